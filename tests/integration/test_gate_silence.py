"""Green is never silence: every way in which a check could pass without having compared."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from rich.console import Console

from bench.cli.main import cli
from bench.core.errors import BenchError, RecordError
from bench.gate import Gate, Gates, Verdict, check, load, quality_of
from bench.gate.file import RerankerGates
from bench.gate.remarks import remarks
from bench.records.run import Run
from bench.reports import verdict as report
from bench.reports.renderers import render, terminal
from tests.support.made_runs import made_run

RNG = np.random.default_rng(3)
OLD = RNG.random(60)
COUNTS = ("unjudged_queries", "without_relevant", "without_candidates", "pairs", "ties")
ORDER = {"q0": [("d1", 2.0), ("d2", 1.0)]}


def pair(tmp_path: Path, new: dict[str, Any], old: dict[str, Any], **more: Any) -> tuple[Run, Run]:
    return made_run(tmp_path, new, name="new", **more), made_run(tmp_path, old, name="old")


def run_gates(new: Run, old: Run, gates: Gates | None = None) -> list[Gate]:
    return [
        gate for gate in check(new, old, gates or Gates(drift=None)).gates if gate.name == "run"
    ]


def rewrite(run: Run, **fields: Any) -> Run:
    path = run.folder / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    return Run(run.folder)


def damage(run: Run, change: Any) -> Run:
    for path in (run.folder / "per_query").iterdir():
        change(pd.read_parquet(path)).to_parquet(path, index=False)
    return Run(run.folder)


def test_a_reranker_that_was_skipped_fails_with_its_reason(tmp_path: Path) -> None:
    new, old = pair(tmp_path, {"a": OLD, "b": OLD}, {"a": OLD, "b": OLD})
    trials = json.loads((new.folder / "run.json").read_text())["trials"]
    trials[1] |= {"status": "skipped", "reason": "no CO_API_KEY"}
    [gate] = run_gates(rewrite(new, trials=trials), old)
    assert (gate.outcome, gate.measured, gate.remark) == (
        "fail",
        "missing",
        "skipped: no CO_API_KEY",
    )


def test_a_reranker_that_was_renamed_fails_and_says_what_it_may_be_called(tmp_path: Path) -> None:
    new, old = pair(tmp_path, {"a": OLD, "minilm-v2": OLD}, {"a": OLD, "minilm": OLD})
    verdict = check(new, old, Gates(drift=None))
    [gate] = [one for one in verdict.gates if one.name == "run"]
    assert (verdict.exit_code, gate.remark) == (
        1,
        "it is not in the new run: did you mean 'minilm-v2'?",
    )
    assert "tiny--bm25--minilm-v2 is new: the baseline has no such trial" in render(
        report.document(verdict), "markdown"
    )


def test_a_dataset_that_is_gone_fails(tmp_path: Path) -> None:
    old = made_run(tmp_path, {"a": OLD}, dataset="one", name="old")
    new = made_run(
        tmp_path, {"a": OLD}, dataset="two", name="new", quality={"dataset": {"corpus": "c2"}}
    )
    assert check(new, old, Gates(drift=None)).exit_code == 3


def test_only_what_failed_on_another_device_is_found_by_its_place(tmp_path: Path) -> None:
    new = made_run(tmp_path, {"b": OLD}, failed=["a"], devices={"a": "cuda"}, name="new")
    old = made_run(tmp_path, {"a": OLD, "b": OLD}, name="old")
    [gate] = run_gates(new, old)
    assert (gate.outcome, gate.measured) == ("fail", "failed")


def test_the_reason_for_which_a_whole_run_failed_is_given_once(tmp_path: Path) -> None:
    new = made_run(tmp_path, {"c": OLD}, failed=["a", "b"], name="new")
    old = made_run(tmp_path, {"a": OLD, "b": OLD, "c": OLD}, name="old")
    first, second = run_gates(new, old)
    assert (first.outcome, second.outcome) == ("fail", "fail")
    assert first.remark
    assert second.remark == f"for the same reason as {first.trial.id}"


def test_rerankers_that_failed_in_both_runs_are_incomparable_and_never_green(
    tmp_path: Path,
) -> None:
    new = made_run(tmp_path, {}, failed=["a", "b"], name="new")
    old = made_run(tmp_path, {}, failed=["a", "b"], name="old")
    verdict = check(new, old)
    assert (verdict.exit_code, {gate.measured for gate in verdict.gates}) == (
        3,
        {"failed in both runs"},
    )
    with pytest.raises(RecordError, match="every reranker failed in both"):
        check(new, old, Gates(missing="pass"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("quality: [1, -.inf]", r"quality: \[1, -inf\] is a list: write the margin alone"),
        ("speed: [1.1]", r"speed: \[1.1\] is a list: write such as speed: 1.10"),
        ("rerankers: {a: {drift: [versions]}}", r"\[versions\] is a list: write such as drift:"),
    ],
)
def test_a_list_in_place_of_a_margin_is_named(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "gates.yaml"
    path.write_text(text)
    with pytest.raises(BenchError, match=problem):
        load(path)


@pytest.mark.parametrize("missing", ["pass", "fail"])
def test_a_trial_that_mostly_failed_does_not_pass(tmp_path: Path, missing: Any) -> None:
    counts = {"counts": {"queries": 60, "failed": 40, **dict.fromkeys(COUNTS, 0)}}
    new, old = pair(tmp_path, {"a": OLD, "b": OLD}, {"a": OLD, "b": OLD}, record={"a": counts})
    [gate] = run_gates(new, old, Gates(drift=None, missing=missing))
    assert (gate.trial.reranker, gate.outcome, gate.remark) == (
        "a",
        "fail",
        "40 of 60 queries failed",
    )


def test_a_baseline_that_mostly_failed_guards_nothing_and_says_so(tmp_path: Path) -> None:
    counts = {"counts": {"queries": 60, "failed": 40, **dict.fromkeys(COUNTS, 0)}}
    old, new = pair(tmp_path, {"a": OLD, "b": OLD}, {"a": OLD, "b": OLD}, record={"a": counts})
    assert check(new, old, Gates(drift=None)).exit_code == 3
    assert "tiny--bm25--a: 40 of 60 queries failed: this baseline does not guard it" in remarks(old)


def test_a_reranker_that_the_gates_name_and_the_baseline_lacks_is_incomparable(
    tmp_path: Path,
) -> None:
    new, old = pair(tmp_path, {"a": OLD, "b": OLD}, {"a": OLD})
    gates = Gates(drift=None, rerankers={"b": RerankerGates(quality={"nDCG@10": 0.1})})
    [gate] = run_gates(new, old, gates)
    assert (gate.trial.reranker, gate.outcome) == ("b", "incomparable")
    assert check(new, old, gates).exit_code == 3


@pytest.mark.parametrize("side", [0, 1])
def test_an_unfinished_run_is_refused(tmp_path: Path, side: int) -> None:
    runs = list(pair(tmp_path, {"a": OLD}, {"a": OLD}))
    runs[side] = rewrite(runs[side], status="running")
    with pytest.raises(
        RecordError, match=r"this run is not finished \(1 of 1 trial\): run its suite again"
    ):
        check(runs[0], runs[1])


NO_NUMBERS = "column 'value' holds cells that are no numbers"
NOT_WHOLE = "does not hold nDCG@10 of tiny--bm25--a once for each of its 60 queries"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table[table["query"] != "q7"], NOT_WHOLE),
        (lambda table: pd.concat([table, table[:1]]), NOT_WHOLE),
        (
            lambda table: table.assign(value=table["value"].where(table["query"] != "q7")),
            NO_NUMBERS,
        ),
        (
            lambda table: table.assign(
                value=table["value"].astype(str).where(table["query"] != "q7", "lost")
            ),
            "column 'value' holds cells that",
        ),
    ],
)
@pytest.mark.parametrize("side", [0, 1])
def test_per_query_rows_that_are_not_one_per_query_are_refused(
    tmp_path: Path, change: Any, message: str, side: int
) -> None:
    runs = list(pair(tmp_path, {"a": OLD}, {"a": OLD}))
    runs[side] = damage(runs[side], change)
    with pytest.raises(RecordError, match=message):
        check(runs[0], runs[1], Gates(drift=None))


def test_a_table_without_a_column_is_refused(tmp_path: Path) -> None:
    new, old = pair(tmp_path, {"a": OLD}, {"a": OLD})
    with pytest.raises(RecordError, match=r"per_query/.*\.parquet: column 'query' is missing"):
        check(damage(new, lambda table: table.drop(columns="query")), old, Gates(drift=None))


def test_zeros_everywhere_fail_even_against_zeros(tmp_path: Path) -> None:
    zeros = np.zeros(60)
    for old in (OLD, zeros):
        verdict = check(
            *pair(tmp_path / str(old[0]), {"a": zeros}, {"a": old}),
            Gates(drift=None, quality={"nDCG@10": 0.9}),
        )
        assert verdict.exit_code == 1
        assert "every query scores 0" in verdict.gates[0].remark


def test_a_margin_above_the_baselines_mean_cannot_be_lost_and_does_not_pass(tmp_path: Path) -> None:
    verdict = check(
        *pair(tmp_path, {"a": OLD / 10}, {"a": OLD / 10}),
        Gates(drift=None, quality={"nDCG@10": 0.2}),
    )
    assert verdict.outcome == "inconclusive"
    assert (
        f"a margin of 0.2 cannot be lost: the baseline's mean is {OLD.mean() / 10:.4f}"
        in verdict.gates[0].remark
    )


@pytest.mark.parametrize(
    ("measure", "margin", "right"),
    [("nDCG@10", 1.0, False), (None, 2.0, False), ("NumRet", 3.0, True), ("R@5", 0.99, True)],
)
def test_a_margin_that_no_measure_can_lose_is_refused(
    measure: str | None, margin: float, right: bool
) -> None:
    if right:
        assert quality_of(measure, margin).quality == {measure: margin}
    else:
        with pytest.raises(BenchError, match="cannot lose so much, so that nothing could fail"):
            quality_of(measure, margin)


def test_scores_from_the_cache_are_said_by_check_and_parity(tmp_path: Path) -> None:
    scores = {"a": {"scores": {"cached": 40, "computed": 20}}}
    new = made_run(tmp_path, {"a": OLD}, record=scores, rankings={"a": ORDER}, name="new")
    old = made_run(tmp_path, {"a": OLD}, rankings={"a": ORDER}, name="old")
    sentence = (
        f"run {new.info.id}: scores are older than the run, from the cache; --fresh scores anew: "
        "tiny--bm25--a (40 of 60 queries)"
    )
    assert sentence in check(new, old).notes
    assert check(old, old).notes == ()
    done = CliRunner().invoke(cli, ["parity", str(old.folder), str(new.folder)])
    assert sentence in done.output


def test_an_underpowered_check_writes_every_output(tmp_path: Path) -> None:
    new, old = pair(tmp_path, {"a": RNG.permutation(OLD)}, {"a": OLD})
    files = {form: tmp_path / form for form in ("table", "markdown", "json", "junit", "github")}
    sent = [part for form, path in files.items() for part in ("--format", f"{form}:{path}")]
    gates = tmp_path / "gates.yaml"
    gates.write_text("drift: null\n")
    arguments = [
        "check",
        str(new.folder),
        "--baseline",
        str(old.folder),
        "--gates",
        str(gates),
        *sent,
    ]
    assert CliRunner().invoke(cli, arguments, standalone_mode=False).return_value == 4
    for path in files.values():
        assert "60 queries support a margin of 0." in " ".join(path.read_text().split())


def test_an_output_that_cannot_be_written_leaves_the_others(tmp_path: Path) -> None:
    new, old = pair(tmp_path, {"a": OLD}, {"a": OLD})
    gates = tmp_path / "gates.yaml"
    gates.write_text("drift: null\n")
    bad, good = tmp_path / "gates.yaml" / "x.json", tmp_path / "good.xml"
    sent = ["--format", f"json:{bad}", "--format", f"junit:{good}"]
    done = CliRunner().invoke(
        cli, ["check", str(new.folder), "--baseline", str(old.folder), "--gates", str(gates), *sent]
    )
    assert "x.json: cannot be written" in str(done.exception)
    assert good.is_file()


def test_a_baseline_says_on_its_first_day_what_margin_its_queries_support(tmp_path: Path) -> None:
    run = made_run(tmp_path, {"a": OLD}, rankings={"a": ORDER})
    done = CliRunner().invoke(
        cli, ["baseline", "save", str(run.folder), "--in", str(tmp_path / "kept")]
    )
    assert (
        "note: 60 queries support a margin of 0.074 at least where a change moves a query by 0.15"
        in done.output
    )
    assert "the gates ask for 0.01: such a change will be inconclusive (exit 4)" in done.output
    gates = tmp_path / "gates.yaml"
    gates.write_text("quality: 0.1\n")
    assert remarks(run, load(gates)) == []
    assert (
        "one query supports no margin" in remarks(made_run(tmp_path, {"a": [0.5]}, name="one"))[0]
    )


FORMATS = ("markdown", "json", "junit", "github")


def in_every_format(verdict: Verdict) -> list[str]:
    stream = io.StringIO()
    terminal.show(report.terminal(verdict), Console(file=stream, width=400))
    document = report.document(verdict)
    texts = [stream.getvalue(), *(render(document, form) for form in FORMATS)]
    return [text.replace("\\", "") for text in texts]


@pytest.mark.parametrize(("missing", "exit_code"), [("fail", 3), ("pass", 0)])
def test_a_trial_that_failed_in_both_runs_is_said_and_passes_only_where_the_gates_say_so(
    tmp_path: Path, missing: Any, exit_code: int
) -> None:
    runs = []
    for name in ("new", "old"):
        run = made_run(tmp_path, {"a": OLD, "b": OLD}, failed=["c"], name=name)
        trials = json.loads((run.folder / "run.json").read_text())["trials"]
        trials[-1]["reason"] = "no weights"
        runs.append(rewrite(run, trials=trials))
    new, old = runs
    verdict = check(new, old, Gates(drift=None, missing=missing))
    assert verdict.exit_code == exit_code
    for text in in_every_format(verdict):
        assert "tiny--bm25--c failed in both runs, not guarded: no weights" in text


def test_what_was_skipped_in_both_runs_is_named_as_guarded_by_no_gate(tmp_path: Path) -> None:
    runs = []
    for name in ("new", "old"):
        run = made_run(tmp_path, {"a": OLD}, failed=["c"], name=name)
        trials = json.loads((run.folder / "run.json").read_text())["trials"]
        trials[-1] |= {"status": "skipped", "reason": "no CO_API_KEY"}
        runs.append(rewrite(run, trials=trials))
    new, old = runs
    verdict = check(new, old, Gates(drift=None))
    assert verdict.exit_code == 0
    for text in in_every_format(verdict):
        assert "skipped in both runs, no gate guards them: tiny--bm25--c" in text


def test_queries_that_failed_are_said_where_no_gate_asks_for_them(tmp_path: Path) -> None:
    failed = {
        "counts": {"queries": 60, "failed": 4, **dict.fromkeys(COUNTS, 0)},
        "failures": {f"q{i}": "no \x1b[31manswer\nat all" for i in range(4)},
    }
    new = made_run(tmp_path, {"a": OLD}, name="new", record={"a": failed})
    old = made_run(tmp_path, {"a": OLD}, name="old", record={"a": failed})
    clean = made_run(tmp_path, {"a": OLD}, name="clean")
    for text in in_every_format(check(new, old, Gates(drift=None))):
        assert "tiny--bm25--a: 4 of 60 queries failed in both runs" in text
    [note] = check(new, clean, Gates(drift=None)).notes
    assert "4 of 60 queries failed in the new run, 0 in the baseline" in note
    assert check(clean, clean, Gates(drift=None)).notes == ()
    verdict = check(new, old, Gates(drift=None, failures=0.5))
    assert verdict.notes == ()
    [gate] = [gate for gate in verdict.gates if gate.name == "failures"]
    assert gate.remark == "e.g. no [31manswer at all"
