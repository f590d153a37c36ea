"""A failure is never a number: what failed has no quality anywhere, and takes nothing else with
it.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bench
from bench import reports
from bench.comparison.budgets import budget
from bench.comparison.leaderboard import collect
from bench.comparison.pairs import compare, sides
from bench.contract.request import CandidateList, Failure
from bench.contract.stage import Description
from bench.core.errors import BenchError, RecordError, SuiteError
from bench.records.rows import rows
from bench.records.run import Run
from bench.reports import budget as budget_report
from bench.reports import comparison, exports, findings, plots
from bench.reports.renderers import render
from bench.rerankers.options import RerankerOptions
from tests.support.command import bench as command
from tests.support.fakes import FakeOptions, HashReranker
from tests.support.made_runs import made_run

HERE = "tests.integration.test_failures"


class Refusing(HashReranker):
    """A service that refuses the queries whose ids the option `fail_query` lists, "all" for every
    one.
    """

    placement = "remote"

    def fingerprint(self) -> dict[str, Any]:
        return {}

    def rerank(self, requests: Sequence[CandidateList]) -> list[Any]:
        refused = str(self.options.fail_query).split()
        answers: list[Any] = []
        for request, scores in zip(requests, super().rerank(requests), strict=True):
            is_refused = refused == ["all"] or request.query_id in refused
            answers.append(Failure("HTTP 400: no such model") if is_refused else scores)
        return answers


def suite(collection: Path, *rerankers: Any, **more: Any) -> dict[str, Any]:
    base = {
        "name": "tiny",
        "datasets": [f"files:{collection}"],
        "rerankers": list(rerankers),
        "latency": None,
        "depth": 5,
    }
    return {**base, "devices": "cpu", **more}


def statuses(run: Run) -> dict[str, tuple[str, str | None]]:
    return {status.trial.reranker: (status.status, status.reason) for status in run.info.trials}


def test_a_trial_of_which_nothing_was_answered_has_failed(collection: Path, tmp_path: Path) -> None:
    """Two queries, or four, are too few to end the trial early: it still has no quality."""
    entries = [
        {f"{HERE}:Refusing": {"name": "gone", "fail_query": "all"}},
        {"tests.support.fakes:HashReranker": {"name": "fine"}},
    ]
    (tmp_path / "suite.yaml").write_text(json.dumps(suite(collection, *entries)))
    result = command("run", "suite.yaml", "--out", "out", "-q", cwd=tmp_path)
    assert result.returncode == 2
    assert (
        "gone failed: none of its 4 queries was answered: HTTP 400: no such model" in result.stderr
    )
    [folder] = (tmp_path / "out" / "tiny").iterdir()
    run = Run(folder)
    assert statuses(run)["fine"] == ("done", None)
    assert "gone" not in {record.trial.reranker for record in run.records.values()}
    assert not list((folder / "rankings").glob("*gone*"))
    assert not run.per_query["trial"].str.contains("gone").any()
    assert np.isnan(run.to_frame().set_index("reranker").loc["gone", "nDCG@10"])
    assert "gone" not in str(exports.export(run, "latex")) + str(exports.export(run, "model-card"))


def mostly_failed(tmp_path: Path, failed: int, queries: int = 10, **more: Any) -> Run:
    """A run whose best mean is of a reranker of which some queries failed."""
    counts = {
        "queries": queries,
        "unjudged_queries": 0,
        "without_relevant": 0,
        "without_candidates": 0,
        "pairs": 2 * (queries - failed),
        "ties": 0,
    }
    values = {
        "first-stage": [0.1] * queries,
        "sound": [0.5, 0.6] * (queries // 2),
        "weak": [0.9] * queries,
    }
    return made_run(
        tmp_path,
        values,
        record={"weak": {"counts": {**counts, "failed": failed}, "failures": {"q0": "timed out"}}},
        milliseconds={"sound": [20.0] * queries, "weak": [10.0] * queries},
        by_depth={(name, depth): values[name] for name in ("sound", "weak") for depth in (0, 2, 5)},
        rankings={
            name: {f"q{i}": [("d1", 2.0), ("d2", 1.0)] for i in range(queries)}
            for name in ("first-stage", "sound")
        }
        | {"weak": {f"q{i}": [("d1", 2.0), ("d2", 1.0)] for i in range(failed, queries)}},
        **more,
    )


def test_above_half_failed_it_is_out_of_every_verdict(tmp_path: Path) -> None:
    run = mostly_failed(tmp_path, failed=6)
    [finding] = findings.findings(run, run.rows)
    assert finding.best is not None
    assert finding.best.name == "sound"
    page, comment = reports.html(run), reports.markdown(run)
    for text in (page, comment):
        assert "6 of 10 queries failed" in text
        assert "0.9000" not in text
    frame = run.to_frame().set_index("reranker")
    assert np.isnan(frame.loc["weak", "nDCG@10"])
    assert frame.loc["weak", "failed"] == 0.6


def test_above_half_failed_it_is_in_no_comparison_and_the_report_says_so(tmp_path: Path) -> None:
    run = mostly_failed(tmp_path, failed=6)
    comparisons = compare([run])
    assert [one.new.trial.reranker for one in comparisons] == ["sound"]
    assert (
        "tiny--bm25--weak of 20260101T000000Z-made: 6 of 10 queries failed: not compared"
        in render(comparison.document(comparisons), "markdown")
    )
    with pytest.raises(BenchError, match="--baseline weak: 6 of 10 queries failed"):
        compare([run], baseline="weak")
    assert "weak" not in {side.trial.reranker for side in sides(run)}


def test_above_half_failed_it_is_chosen_by_no_budget(tmp_path: Path) -> None:
    [choice] = budget(mostly_failed(tmp_path, failed=6), p50_ms=100)
    assert choice.best is not None
    assert choice.best.trial.reranker == "sound"
    assert [point.trial.reranker for point in choice.unscored] == ["weak"]
    assert "60 % of its queries failed" in render(budget_report.document([choice]), "markdown")


def test_above_half_failed_it_is_in_no_export_plot_or_leaderboard(tmp_path: Path) -> None:
    run = mostly_failed(tmp_path / "runs", failed=6)
    assert "weak" not in str(exports.export(run, "model-card")) + str(exports.export(run, "latex"))
    assert not [
        path for path in exports.export(run, "mteb", tmp_path / "mteb") if "weak" in str(path)
    ]
    [board] = collect(tmp_path / "runs")
    assert "weak" not in {entry.row.name for entry in board.entries}
    for kind in ("pareto", "depth", "per-query"):
        for picture in plots.draw(run, kind):
            [axes] = picture.figure.axes[:1]
            assert "weak" not in " ".join(axes.get_legend_handles_labels()[1])
            assert "weak" not in picture.name


def test_below_half_the_failed_share_stands_next_to_the_number(tmp_path: Path) -> None:
    run = mostly_failed(tmp_path, failed=3)
    [finding] = findings.findings(run, run.rows)
    assert finding.best is not None
    assert finding.best.name == "weak"
    comparisons = compare([run])
    page = render(comparison.document(comparisons), "markdown")
    weak = next(line for line in page.splitlines() if line.startswith("| weak (cpu) |"))
    assert weak.endswith("| 30 % / 0 |")
    assert "weak, 30 \\% failed" in exports.export(run, "latex")
    assert "3 of 10 queries failed and score 0" in exports.export(run, "model-card")
    [choice] = budget(run, p50_ms=100)
    assert "30 % of the queries of weak" in render(budget_report.document([choice]), "markdown")


def test_a_record_of_nothing_but_failures_reads_as_failed(tmp_path: Path) -> None:
    """Earlier versions wrote such records."""
    run = mostly_failed(tmp_path, failed=10)
    row = next(row for row in rows(run) if row.name == "weak")
    assert (row.status, dict(row.quality)) == ("failed", {})
    assert row.reason == "none of its 10 queries was answered: timed out"


def exits(query: str, docs: Sequence[str]) -> Any:
    sys.exit(3)


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text either")


def raises_unspeakable(query: str, docs: Sequence[str]) -> Any:
    raise Unspeakable


def raises_half_a_character(query: str, docs: Sequence[str]) -> Any:
    raise ValueError("half a character: \ud800")


def texts(query: str, docs: Sequence[str]) -> Any:
    return [str(i) for i in range(len(docs))]


def dates(query: str, docs: Sequence[str]) -> Any:
    return [datetime.date(2020, 1, 1) for _ in docs]


def numpy_dates(query: str, docs: Sequence[str]) -> Any:
    return np.array(["2020-01-01"] * len(docs), dtype="datetime64[D]")


def masked(query: str, docs: Sequence[str]) -> Any:
    return np.ma.array(np.arange(len(docs), dtype=float), mask=[True] + [False] * (len(docs) - 1))


class OddOptions(RerankerOptions):
    where: str = ""


class Odd(HashReranker):
    """Exits, or breaks something, in one of its methods."""

    Options = OddOptions  # type: ignore[assignment]

    def __init__(self, options: OddOptions, device: str = "cpu") -> None:
        super().__init__(FakeOptions(), device)
        self.where = options.where
        self._at("build")

    def _at(self, place: str) -> None:
        if place == self.where:
            sys.exit(1)

    def check(self) -> None:
        self._at("check")

    def fingerprint(self) -> dict[str, Any]:
        self._at("fingerprint")
        return {}

    def load(self) -> None:
        self._at("load")

    def describe(self) -> Description:
        self._at("describe")
        return Description("odd", {"number": np.float32(1.5), "path": Path("x"), "set": {1}})

    def close(self) -> None:
        self._at("close")

    def rerank(self, requests: Sequence[CandidateList]) -> list[Any]:
        if self.where == "usage":
            self.meter.count(None)  # type: ignore[arg-type]
        return super().rerank(requests)


class Own(BaseException):
    """An error beside every Exception."""


def is_cancelled(query: str, docs: list[str]) -> list[float]:
    raise asyncio.CancelledError


def closes(query: str, docs: list[str]) -> list[float]:
    raise GeneratorExit


def raises_its_own(query: str, docs: list[str]) -> list[float]:
    raise Own("mine")


FUNCTIONS = [
    "exits",
    "is_cancelled",
    "closes",
    "raises_its_own",
    "raises_unspeakable",
    "raises_half_a_character",
    "texts",
    "dates",
    "numpy_dates",
    "masked",
]
METHODS = ["build", "check", "fingerprint", "load", "describe", "usage"]


@pytest.mark.parametrize("latency", [None, {"queries": 2, "rounds": 1, "warmup_max": 1}])
def test_code_of_ones_own_fails_its_trial_and_not_the_run(
    collection: Path, tmp_path: Path, latency: Mapping[str, Any] | None
) -> None:
    entries: list[Any] = [{f"{HERE}:{name}": {"name": name}} for name in FUNCTIONS]
    entries += [{f"{HERE}:Odd": {"name": where, "where": where}} for where in (*METHODS, "close")]
    run = bench.run(
        suite(
            collection,
            *entries,
            {"tests.support.fakes:HashReranker": {"name": "fine"}},
            latency=latency,
        ),
        out=tmp_path,
    )
    found = statuses(run)
    assert {name: found[name][0] for name in (*FUNCTIONS, *METHODS)} == dict.fromkeys(
        (*FUNCTIONS, *METHODS), "failed"
    )
    assert all(
        len(str(reason).splitlines()) == 1
        for status, reason in found.values()
        if status == "failed"
    )
    assert (found["fine"], found["close"]) == (("done", None), ("done", None))
    assert run.info.status == "done"
    assert (run.folder / "report.md").is_file()


def test_a_module_that_exits_on_import_is_one_line(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "leaves_at_once.py").write_text("import sys\nsys.exit(0)\n")
    (tmp_path / "lacks_an_attribute.py").write_text("import sys\nsys.no_such_thing\n")
    monkeypatch.chdir(tmp_path)
    for module, problem in (
        ("leaves_at_once", "SystemExit: 0"),
        ("lacks_an_attribute", "AttributeError"),
    ):
        with pytest.raises(SuiteError, match=f"module '{module}' cannot be imported: {problem}"):
            bench.run(suite(collection, f"{module}:Anything"), out=tmp_path / "out")


class Exiting:
    """A first stage that exits."""

    Options = RerankerOptions
    name = "exiting"

    def __init__(self, options: Any, base_dir: Path) -> None: ...

    def retrieve(self, dataset: Any, query_ids: Any, depth: int) -> Any:
        sys.exit(4)


def test_one_bad_first_stage_does_not_end_the_groups_after_it(
    collection: Path, tmp_path: Path
) -> None:
    (tmp_path / "foreign.run").write_text("x1 Q0 d1 1 1.0 x\n")
    stages = [
        {"run": {"path": str(tmp_path / "foreign.run"), "name": "foreign"}},
        {f"{HERE}:Exiting": {}},
        "bm25",
    ]
    settings = suite(
        collection, {"tests.support.fakes:HashReranker": {"name": "fine"}}, first_stages=stages
    )
    (tmp_path / "suite.yaml").write_text(json.dumps(settings))
    result = command("run", "suite.yaml", "--out", "out", "-q", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stdout.count("has none of tiny's queries") == 1
    assert result.stderr.count("has none of tiny's queries") == 1
    [folder] = (tmp_path / "out" / "tiny").iterdir()
    run = Run(folder)
    by_group = {(status.trial.first_stage, status.status) for status in run.info.trials}
    assert by_group == {("foreign", "failed"), (f"{HERE}:Exiting", "failed"), ("bm25", "done")}
    assert run.info.status == "done"
    comment = (folder / "report.md").read_text()
    assert "foreign" in comment
    assert "SystemExit: 4" in comment
    assert "1.0000" in comment or "nDCG@10" in comment


def test_where_no_group_ran_the_python_api_raises(collection: Path, tmp_path: Path) -> None:
    (collection / "qrels.txt").write_text("q99 0 d00 1\n")
    with pytest.raises(BenchError, match="judgment"):
        bench.run(suite(collection, "word-overlap"), out=tmp_path / "out")
    [folder] = (tmp_path / "out" / "tiny").iterdir()
    assert "judgment" in (folder / "report.md").read_text()
    with pytest.raises(RecordError, match="nothing to export"):
        exports.export(Run(folder), "csv")


class Verbose(HashReranker):
    """Fails half of its queries, with a reason as long as a book, or with none."""

    def rerank(self, requests: Sequence[CandidateList]) -> list[Any]:
        outcomes: list[Any] = list(super().rerank(requests))
        outcomes[0] = Failure(f"begins {'x' * 1_000_000} ends")
        if len(outcomes) > 2:
            outcomes[1] = Failure(None)  # type: ignore[arg-type]
        return outcomes


def test_a_long_reason_is_cut_in_the_record_and_whole_in_errors(
    collection: Path, tmp_path: Path
) -> None:
    entry = {f"{HERE}:Verbose": {"name": "verbose"}}
    run = bench.run(suite(collection, entry, latency=None, chunk_pairs=1000), out=tmp_path)
    (record,) = [each for each in run.records.values() if each.trial.reranker == "verbose"]
    long, none = record.failures.values()
    assert len(long) <= 400
    assert long.startswith("begins xx")
    assert long.endswith("xx ends")
    assert "[... 1,000,012 characters ...]" in long
    assert none == "no reason given"
    (errors,) = (run.folder / "errors").iterdir()
    assert errors.read_text() == f"begins {'x' * 1_000_000} ends"
    assert (run.folder / "report.html").stat().st_size < 500_000


def test_the_reason_of_a_failed_trial_is_cut_too(collection: Path, tmp_path: Path) -> None:
    entry = {"tests.support.fakes:HashReranker": {"name": "fails", "crash": "y" * 100_000}}
    run = bench.run(suite(collection, entry, latency=None), out=tmp_path)
    (status,) = [line for line in run.info.trials if line.trial.reranker == "fails"]
    assert "100,014 characters" in str(status.reason)
    assert len(str(status.reason)) < 500


class Stating(HashReranker):
    """Says what it needs, and what it loaded, in a way of its own."""

    Options = OddOptions  # type: ignore[assignment]

    def __init__(self, options: OddOptions, device: str = "cpu") -> None:
        super().__init__(FakeOptions(), device)
        self.where = options.where

    def requirements(self) -> Any:
        if self.where == "generator":
            return (word for word in ["faiss"])
        if self.where == "raises":
            raise ValueError("boo")
        return {"text": "faiss", "numbers": [1, 2], "nothing": None, "number": 7}.get(
            self.where, ()
        )

    def check(self) -> None:
        super().check()
        if self.where == "check":
            raise ZeroDivisionError("no luck")

    def fingerprint(self) -> dict[str, Any]:
        return {}

    def describe(self) -> Any:
        if self.where == "dict":
            return {"a": 1}
        if self.where == "facts":
            return Description("odd", {}, None)  # type: ignore[arg-type]
        return super().describe()


STATING = f"{HERE}:Stating"
LIST = "it returns a list of requirements, such as [Package('faiss')]"


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("text", f"requirements() of {STATING} returned text; {LIST}"),
        (
            "numbers",
            f"requirements() of {STATING} returned a list with a value of type int; {LIST}",
        ),
        ("nothing", f"requirements() of {STATING} returned None; {LIST}"),
        ("number", f"requirements() of {STATING} returned a value of type int; {LIST}"),
        ("generator", f"requirements() of {STATING} returned a list with text; {LIST}"),
        ("raises", f"requirements() of {STATING} raised ValueError: boo (errors/ID.txt)"),
        ("check", f"check() of {STATING} raised ZeroDivisionError: no luck (errors/ID.txt)"),
        (
            "dict",
            f"describe() of {STATING} returned a value of type dict; it returns a Description",
        ),
        ("facts", f"describe() of {STATING}: its facts is None, and not a mapping"),
    ],
)
def test_a_method_that_breaks_its_contract_is_named(
    where: str, message: str, collection: Path, tmp_path: Path
) -> None:
    entries = [{STATING: {"name": "odd", "where": where}}, "word-overlap"]
    run = bench.run(suite(collection, *entries, latency=None), out=tmp_path)
    (status,) = [line for line in run.info.trials if line.trial.reranker == "odd"]
    assert status.status == "failed"
    assert message.replace("ID", status.trial.id) in str(status.reason)
    if "errors/" in message:
        text = (run.folder / "errors" / f"{status.trial.id}.txt").read_text()
        assert "in requirements" in text or "in check" in text
