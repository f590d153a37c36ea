"""`tune` chooses what an exhaustive timed run of all pipelines would choose, with far fewer calls:
on the embedded collection, by rerankers whose time passes on a clock of the test.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import bench
from bench.composition.composed import Limits
from bench.contract.stage import Description
from bench.core.errors import BenchError
from bench.core.options import option
from bench.quality import statistics
from bench.reports import tuned as report
from bench.rerankers.base import PointwiseReranker
from bench.rerankers.options import RerankerOptions
from bench.serving.hosted_pipeline import described_suite, of_suite
from bench.serving.search import Search
from bench.suite import suite as suites
from bench.tuning import search
from bench.tuning.journal import Journal
from bench.tuning.outcome import Outcome, TimedPipeline
from bench.tuning.tune import tune
from tests.support.fake_clock import FakeClock


class Ticking(FakeClock):
    """Takes a microsecond to read, so that no call takes none."""

    def now_ns(self) -> int:
        self.now += 1000
        return super().now_ns()


class Paced(PointwiseReranker):
    """Scores by the words that a query and a document share, with noise; each pair takes a while on
    the test's clock.
    """

    class Options(RerankerOptions):
        ms: float = option(1.0, decides="speed")
        noise: float = option(0.0, decides="scores")

    clock = Ticking()

    def fingerprint(self) -> dict[str, Any]:
        return {"backend": "paced", "noise": self.options.noise}

    def describe(self) -> Description:
        return Description("paced", self.fingerprint(), {"device": self.device})

    def score(self, pairs: Sequence[tuple[str, str]]) -> Any:
        Paced.clock.work(self.options.ms * len(pairs))
        return np.array([self._one(query, doc) for query, doc in pairs])

    def _one(self, query: str, doc: str) -> float:
        shared = set(query.lower().split()) & set(doc.lower().split())
        digest = hashlib.sha256(f"{query}\0{doc}".encode()).digest()
        return sum(map(len, shared)) + float(self.options.noise) * digest[0] / 255


NAME = "tests.integration.test_tune:Paced"
SUITE: dict[str, Any] = {
    "name": "tuned",
    "datasets": ["embedded:everyday"],
    "rerankers": [
        {NAME: {"name": "cheap", "ms": 1.0, "noise": 30.0}},
        {NAME: {"name": "middle", "ms": 3.0, "noise": 12.0}},
        {NAME: {"name": "dear", "ms": 10.0, "noise": 0.5}},
    ],
    "depth": 50,
    "devices": "cpu",
    "latency": None,
}


@dataclass(frozen=True)
class Exhaustive:
    """Every pipeline, timed on as many queries as confirm a choice: quality, p95, and the calls."""

    pipelines: Sequence[tuple[float, float]]
    calls: int

    def best(self, p95_ms: float) -> float:
        """Return the highest quality that fits."""
        return max(quality for quality, high in self.pipelines if high <= p95_ms)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for the runs of this module, which share their scores."""
    path = tmp_path_factory.mktemp("tune")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RERANK_BENCH_CACHE", str(path / "cache"))
        yield path


def found(folder: Path, name: str, p95_ms: float) -> Outcome:
    """Return what a search comes to, timed by the test's clock."""
    suite = suites.load(SUITE)
    return tune(
        suite,
        Limits(p95_ms=p95_ms),
        out=folder / name,
        results=folder / "results",
        clock=Paced.clock,
    )


@pytest.fixture(scope="module")
def exhaustive(folder: Path) -> Exhaustive:
    """Every pipeline that the search could time, timed by the same stages."""
    with pytest.MonkeyPatch.context() as patch:
        recorded: list[Any] = []

        def all_of_them(self: Any, candidates: Sequence[Any]) -> None:
            chains = [candidate.chain for candidate in candidates]
            times = self.stages.pipelines(chains, self.queries.confirming, "all")
            for candidate in candidates:
                calls = [ms for rounds in times[str(candidate.chain)].values() for ms in rounds]
                recorded.append((candidate.quality, float(np.quantile(calls, 0.95))))

        patch.setattr(search.Search, "run", all_of_them)
        outcome = found(folder, "all", 1.0)
    return Exhaustive(recorded, outcome.calls)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_the_choice_is_that_of_an_exhaustive_run(
    folder: Path, exhaustive: Exhaustive, share: float
) -> None:
    times = sorted({round(high, 3) for _, high in exhaustive.pipelines})
    place = int(share * (len(times) - 1))
    budget = (times[place] + times[place + 1]) / 2
    outcome = found(folder, f"at {share}", budget)
    assert outcome.winner is not None
    assert outcome.winner.candidate.quality == exhaustive.best(budget)
    assert outcome.winner.p95_ms <= budget
    assert outcome.winner.is_confirmed
    assert outcome.winner.queries == 59
    assert outcome.verdict == "fits"
    assert outcome.calls < exhaustive.calls / 3
    assert outcome.pipelines == len(exhaustive.pipelines)
    assert outcome.beyond + outcome.beaten + len(outcome.timed) == outcome.pipelines


def test_the_winner_is_a_suite_that_runs_with_the_same_quality(folder: Path) -> None:
    outcome = found(folder, "winner", 200.0)
    assert outcome.winner is not None
    assert outcome.exit_code == 0
    description = json.loads((folder / "winner" / "winner.json").read_text())
    assert description["winner"]["p95_ms"] == outcome.winner.p95_ms
    assert description["timed_calls"] == outcome.calls
    written = yaml.safe_load((folder / "winner" / "winner.yaml").read_text())
    assert description["suite"] == written
    run = bench.run(folder / "winner" / "winner.yaml", out=folder / "again", latency=False)
    (row,) = [row for row in run.rows if row.trial.reranker == "winner"]
    assert row.quality["nDCG@10"].mean == outcome.winner.candidate.quality


def test_the_winner_is_served(folder: Path) -> None:
    outcome = found(folder, "served", 200.0)
    assert outcome.winner is not None
    described = described_suite(str(folder / "served" / "winner.json"))
    hosted = of_suite(described, None, "cpu")
    hosted.load()
    try:
        query = "how do I get a stain out of a shirt"
        hits, _ = hosted.search(Search(query, 3, True, None))
    finally:
        hosted.close()
    assert len(hits) == 3
    assert all(hit.text for hit in hits)
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)


def test_an_interrupted_search_times_nothing_twice(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = found(folder, "whole", 200.0)
    write = Journal.write
    entries: list[str] = []

    def stop_after_three(self: Journal, name: str, timed: Any) -> None:
        write(self, name, timed)
        entries.append(name)
        if len(entries) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "write", stop_after_three)
    with pytest.raises(KeyboardInterrupt):
        found(folder, "cut", 200.0)
    monkeypatch.setattr(Journal, "write", write)
    rest = found(folder, "cut", 200.0)
    assert rest.winner == whole.winner
    assert 0 < rest.calls < whole.calls
    again = found(folder, "cut", 200.0)
    assert (again.calls, again.winner) == (0, whole.winner)


def test_nothing_that_fits_is_an_answer_that_names_the_nearest(folder: Path) -> None:
    outcome = found(folder, "none", 1e-9)
    assert outcome.winner is None
    assert outcome.exit_code == 1
    assert outcome.nearest is not None
    answer = " ".join(report.sentences(outcome))
    assert f"Nothing fits. The nearest is {outcome.nearest.chain}" in answer
    assert not (folder / "none" / "winner.yaml").exists()


def test_a_search_needs_a_limit_and_rerankers(folder: Path) -> None:
    with pytest.raises(BenchError, match="--p95-ms"):
        tune(suites.load(SUITE), Limits(), out=folder / "x")
    bare = suites.load({**SUITE, "rerankers": []})
    with pytest.raises(BenchError, match="nothing to compose"):
        tune(bare, Limits(p95_ms=1.0), out=folder / "x")


@pytest.fixture(scope="module")
def few(folder: Path) -> Outcome:
    """A search over two first stages with a row that a run trains, on too few queries for a p95."""
    suite = suites.load(
        {
            **SUITE,
            "datasets": [{"embedded:everyday": {"queries": 20}}],
            "first_stages": ["bm25", {"bm25": {"name": "b2", "k1": 2}}],
            "rerankers": [SUITE["rerankers"][0], "ltr"],
            "depth": 20,
        }
    )
    out, results = folder / "few", folder / "results"
    return tune(suite, Limits(p95_ms=15.0), out=out, results=results, clock=Paced.clock)


def test_each_pipeline_that_is_left_out_has_a_reason(few: Outcome) -> None:
    reasons = dict(few.left_out)
    assert len(reasons) == len(few.left_out)
    assert "no timed call of ltr succeeded" in reasons["bm25:20 > ltr"]
    assert "no timed call of ltr succeeded" in reasons["b2:20 > ltr"]
    assert "that the suite does not name" in reasons["hybrid(bm25, b2):20 > cheap"]
    assert few.too_slow + few.too_dear + few.beaten + len(few.timed) == few.pipelines
    assert few.too_slow == 2, "20 documents at a millisecond each, over two first stages"
    answer = " ".join(report.sentences(few))
    assert "2 whose forecast is outside the limits" in answer
    assert "bm25:20 > ltr and 1 more" in answer


def test_an_estimate_over_few_queries_is_marked_and_no_verdict_by_it_is_sure(few: Outcome) -> None:
    assert few.exit_code == 4
    assert all(pipeline.queries < 59 for pipeline in few.timed)
    rows = report.table(few).rows
    assert all(row.cells["p95"].text.startswith("~") for row in rows)
    verdicts = {str(row.cells["verdict"].text) for row in rows}
    assert "best, not sure" in verdicts
    assert not verdicts & {"best", "runner-up", "too slow"}
    answer = " ".join(report.sentences(few))
    assert "that looks as if it fits" in answer
    assert "a provisional estimate over fewer than 59 queries" in answer


def test_a_runner_up_of_equal_values_is_called_equal(few: Outcome) -> None:
    assert few.winner is not None
    chain = replace(few.winner.chain, depth=7)
    equal = replace(few.winner, candidate=replace(few.winner.candidate, chain=chain))
    difference = statistics.difference(few.winner.candidate.values, equal.candidate.values, 0)
    answer = " ".join(report.sentences(replace(few, runner_up=equal, difference=difference)))
    assert f"The runner-up, {chain}, has an equal nDCG@10 on every query." in answer
    assert "is lower by" not in answer


def test_a_pipeline_whose_calls_failed_has_no_time(few: Outcome) -> None:
    candidate = few.timed[0].candidate
    failed = TimedPipeline(candidate, math.inf, math.inf, 0)
    outcome = replace(few, winner=None, runner_up=None, nearest=failed, timed=[failed])
    (row,) = report.table(outcome).rows
    assert row.cells["p95"].number is None
    assert row.cells["verdict"].text == "failed"
    assert "(each of its calls failed)" in next(report.sentences(outcome))
