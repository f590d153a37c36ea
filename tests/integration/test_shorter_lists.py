"""Whether listwise rerankers tell that there is no answer: their lists without relevant documents
are asked once, and what was paid for is kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bench
from bench.contract.request import CandidateList, Failure, Usage
from bench.core.options import option
from bench.meaning.answerability import Problem
from bench.probes.shorter_lists import shortened
from bench.records.judged_scores import judged_scores
from bench.records.run import Run
from bench.rerankers.base import BaseReranker, Description
from bench.rerankers.options import RerankerOptions
from tests.support import command

pytestmark = pytest.mark.usefixtures("without_reports")

HERE = "tests.integration.test_shorter_lists"


class LogOptions(RerankerOptions):
    log: str = option("", decides="nothing", description="file that each list asked adds a line to")
    fails: bool = option(False, decides="nothing", description="whether some queries fail")


class Listwise(BaseReranker):
    """Scores a document by its length against the mean of its list: it depends on the others."""

    Options = LogOptions
    pointwise = False
    placement = "remote"

    def fingerprint(self) -> dict[str, Any]:
        return {"model": "lengths"}

    def describe(self) -> Description:
        return Description("listwise", {"model": "lengths"})

    def expected_usage(self, requests: Any, tokens: Any) -> Usage:
        lists = list(requests)
        return Usage(calls=len(lists), pairs=sum(len(own.doc_ids) for own in lists))

    def rerank(self, requests: Sequence[CandidateList]) -> list[Any]:
        answers: list[Any] = []
        for request in requests:
            with Path(self.options.log).open("a") as log:
                log.write(f"{request.query_id}\n")
            is_third = sum(map(ord, request.query_id)) % 3 == 0
            if self.options.fails and len(request.docs) < 12 and is_third:
                answers.append(Failure("busy"))
            else:
                answers.append(lengths(request.docs))
        return answers


def lengths(docs: Sequence[str]) -> Any:
    sizes = np.array([len(doc) for doc in docs], dtype=float)
    return sizes - sizes.mean()


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RERANK_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def made(folder: Path, **options: Any) -> tuple[Run, Path]:
    log = folder / "calls"
    stages = ["bm25", {f"{HERE}:Listwise": {"log": str(log)}}]
    suite = {
        "name": "lists",
        "datasets": [{"embedded:everyday": {"queries": 24}}],
        "rerankers": [
            {f"{HERE}:Listwise": {"name": "listwise", "log": str(log), **options}},
            {"fuse": {"of": ["word-overlap", {"word-overlap": {"name": "b"}}], "name": "sum"}},
        ],
        "pipelines": [{"name": "pipe", "stages": stages}],
        "depth": 12,
        "latency": None,
    }
    run = bench.run(suite, out=folder / "out")
    return run, log


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    return made(tmp_path_factory.mktemp("lists"))


def trial_of(run: Run, name: str) -> str:
    return next(own for own, record in run.records.items() if record.trial.reranker == name)


def test_shorter_lists_are_asked_once_and_give_the_signal_of_a_count_over_all_pairs(
    place: tuple[Run, Path],
) -> None:
    run, log = place
    before = {row.table.row.trial.reranker: row for row in bench.answerability(run)}
    assert before["listwise"].problem is Problem.DEPENDS
    asked = len(log.read_text().splitlines())
    rows = {row.table.row.trial.reranker: row for row in bench.answerability(run, ask=True)}
    own = rows["listwise"]
    assert own.problem is None
    assert (own.is_asked, rows["first-stage"].is_asked) == (True, False)
    table = judged_scores(run, own.table.row)
    lists = shortened(run, table)
    assert len(log.read_text().splitlines()) == asked + len(lists)
    texts = _texts()
    relevant = {
        query_id: {doc for doc, grade in table.qrels[query_id].items() if grade >= table.threshold}
        for query_id in table.query_ids
    }
    with_answer = [
        max(scores.scores)
        for query_id, scores in run.scores_of(trial_of(run, "listwise")).items()
        if relevant[query_id] & set(scores.doc_ids)
    ]
    without: list[float] = []
    for query_id, shorter in lists.items():
        assert not relevant[query_id] & set(shorter.doc_ids)
        without.append(float(lengths([texts[doc_id] for doc_id in shorter.doc_ids]).max()))
    wins = sum((a > b) + (a == b) / 2 for a in with_answer for b in without)
    assert (own.answerable, own.without) == (len(with_answer), len(without))
    assert own.top is not None
    assert own.top.auroc.value == pytest.approx(wins / (len(with_answer) * len(without)))
    # what was paid for is kept
    again = bench.answerability(run, "listwise", ask=True)
    assert again[0].top == own.top
    assert len(log.read_text().splitlines()) == asked + len(lists)


def _texts() -> dict[str, str]:
    from bench import datasets

    dataset = datasets.load("embedded:everyday", {"queries": 24}, Path(), 42)
    doc_ids = [doc_id for doc_id, _ in dataset.documents]
    return dict(zip(doc_ids, dataset.texts(doc_ids), strict=True))


def test_the_command_forecasts_and_names_what_cannot_be_asked(place: tuple[Run, Path]) -> None:
    run, log = place
    calls = log.read_text()
    done = command.bench(
        "answerability", str(run.folder), "--estimate", "--format", "json", cwd=run.folder
    )
    costs = {row["trial"]: row for row in json.loads(done.stdout)}
    own = costs[trial_of(run, "listwise")]
    lists = shortened(run, judged_scores(run, run.rows[1]))
    assert own["calls"] == own["lists"] == len(lists)
    assert own["pairs"] == sum(len(shorter.doc_ids) for shorter in lists.values())
    assert (own["usd"], own["reason"]) == (None, None)
    assert "as a whole" in costs[trial_of(run, "pipe")]["reason"]
    assert log.read_text() == calls
    shown = command.bench(
        "answerability", str(run.folder), "--ask", "-q", cwd=run.folder, width=150
    )
    text = " ".join(shown.stdout.split())
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "listwise: asked once more" in text or "listwise (cpu): asked once more" in text
    assert "pipe" in text
    reason = "a search or a pipeline would have to run as a whole"
    assert f"its scores depend on the list; not asked: {reason}." in text
    assert "which `--ask` makes" not in text, "nothing that was not asked is promised"
    unasked = command.bench("answerability", str(run.folder), cwd=run.folder, width=150)
    text = " ".join(unasked.stdout.split())
    assert f"its scores depend on the list: for the list without relevant documents, {reason}." in (
        text
    )
    assert text.count("which `--ask` makes") == 1, "the listwise one alone"


def test_queries_that_failed_are_said_and_another_system_is_not_used(tmp_path: Path) -> None:
    run, _ = made(tmp_path, fails=True)
    (row,) = bench.answerability(run, "listwise", ask=True)
    assert row.remark.endswith("queries failed (busy)")
    assert 0 < row.without < row.answerable
    record = run.records[trial_of(run, "listwise")]
    fields = {**record.keys["system"].fields, "model": "others"}
    record.keys["system"].fields.update(fields)
    (row,) = bench.answerability(run, "listwise", ask=True)
    assert row.problem is Problem.DEPENDS
    assert row.remark == "not asked: another one answers now: model differ"
