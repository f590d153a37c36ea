"""A depth curve is what reranking that many candidates would have given: held against ir_measures
over rankings made the long way.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ir_measures
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bench
from bench import reports
from bench.contract.request import CandidateList
from bench.contract.trial import Trial
from bench.datasets.base import Dataset
from bench.datasets.memory import MemoryDocuments
from bench.latency.plan import LatencyPlan
from bench.latency.sweep_plan import SweepPlan
from bench.quality import depth_curve
from bench.quality.expression import measure_of
from bench.quality.questions import Questions
from bench.ranking.order import rank
from bench.reports import exports

FAKE = "tests.support.fakes:HashReranker"


@st.composite
def scored_candidates(
    draw: st.DrawFn,
) -> tuple[dict[str, list[str]], dict[str, list[float]], dict[str, dict[str, int]]]:
    """Up to four queries with up to nine candidates each, scores with many ties, judgments on some
    documents and on absent ones.
    """
    candidates, scores, qrels = {}, {}, {}
    for i in range(draw(st.integers(1, 4))):
        docs = draw(st.lists(st.sampled_from("abcdefghi"), min_size=1, max_size=9, unique=True))
        candidates[f"q{i}"] = docs
        scores[f"q{i}"] = draw(
            st.lists(st.sampled_from([0.0, 1.0, 2.5]), min_size=len(docs), max_size=len(docs))
        )
        qrels[f"q{i}"] = draw(
            st.dictionaries(
                st.sampled_from("abcdefghixyz"), st.integers(0, 2), min_size=1, max_size=6
            )
        )
    return candidates, scores, qrels


@pytest.mark.parametrize(("kind", "depths"), [("reference", [0, 1, 2, 5]), ("reranker", [0, 5])])
def test_a_listwise_row_called_oracle_has_no_curve_of_an_oracle(
    kind: str, depths: list[int]
) -> None:
    trial = Trial(
        id="a", dataset="d", first_stage="f", reranker="oracle", depth=5, kind=kind, device="cpu"
    )
    assert depth_curve.wanted(trial, False, 5) == depths


def questions(
    candidates: dict[str, list[str]], qrels: dict[str, dict[str, int]], measures: tuple[str, ...]
) -> Questions:
    dataset = Dataset("t", MemoryDocuments({}), dict.fromkeys(qrels, "query"), qrels, {})
    requests = [CandidateList(query, "query", docs, docs) for query, docs in candidates.items()]
    return Questions(dataset, list(qrels), requests, measures)


@given(
    scored_candidates(), st.sampled_from([("nDCG@3", "RR@5", "Judged@4"), ("nDCG", "AP", "R@2")])
)
@settings(max_examples=80, deadline=None)
def test_every_depth_is_what_reranking_so_many_candidates_gives(
    made: Any, measures: tuple[str, ...]
) -> None:
    candidates, scores, qrels = made
    rankings = {query: rank(docs, scores[query]) for query, docs in candidates.items()}
    curve = depth_curve.curve(rankings, questions(candidates, qrels, measures), range(10))
    for depth in range(10):
        run = {}
        for query, docs in candidates.items():
            order = [*rank(docs[:depth], scores[query][:depth]).doc_ids, *docs[depth:]]
            run[query] = {doc: float(len(order) - i) for i, doc in enumerate(order)}
        for metric in ir_measures.iter_calc([measure_of(name) for name in measures], qrels, run):
            assert curve[depth][str(metric.measure)][metric.query_id] == pytest.approx(metric.value)


def test_a_failed_query_scores_zero_at_every_depth_that_would_have_called_the_reranker() -> None:
    asked = questions({"q": ["a", "b"]}, {"q": {"b": 1}}, ("RR@10",))
    curve = depth_curve.curve({}, asked, [0, 1, 2])
    assert [curve[depth]["RR@10"]["q"] for depth in (0, 1, 2)] == [0.5, 0.0, 0.0]


def test_depths_start_at_the_first_stage_and_end_at_what_was_scored() -> None:
    def trial(depth: int) -> Trial:
        return Trial(id="t", dataset="d", first_stage="f", reranker="r", device="cpu", depth=depth)

    timed = LatencyPlan(depth=7, sweep=SweepPlan(depths=(12, 500))).depths(20)
    assert timed == [7, 12, 500]
    assert depth_curve.wanted(trial(20), True, 20, timed) == [0, 1, 2, 5, 7, 10, 12, 15, 20]
    assert depth_curve.wanted(trial(1), True, 1) == [0, 1]
    assert depth_curve.wanted(trial(20), False, 20, [7]) == [0, 20]


def test_no_depth_lies_beyond_the_longest_list_of_candidates() -> None:
    trial = Trial(id="t", dataset="d", first_stage="f", reranker="r", device="cpu", depth=100)
    assert depth_curve.wanted(trial, True, 10, [7, 50]) == [0, 1, 2, 5, 7, 10]
    assert depth_curve.wanted(trial, False, 10, [7]) == [0, 10]


def suite(collection: Path, **more: Any) -> dict[str, Any]:
    base = {
        "name": "tiny",
        "datasets": [f"files:{collection}"],
        "rerankers": [{FAKE: {"name": "fake"}}],
        "depth": 12,
        "latency": None,
    }
    return {**base, **more}


def values(
    table: Any, trial: str, measure: str = "nDCG@5", depth: int | None = None
) -> dict[str, float]:
    rows = table[(table["trial"] == trial) & (table["measure"] == measure)]
    rows = rows if depth is None else rows[rows["depth"] == depth]
    return dict(zip(rows["query"], rows["value"], strict=True))


def test_a_run_holds_the_curve_of_every_trial(collection: Path, tmp_path: Path) -> None:
    """Depth 0 is the first stage, the own depth is the record's, and a run of fewer candidates
    gives the same value in their top 5.
    """
    run = bench.run(suite(collection, measures=["nDCG@5", "AP"]), out=tmp_path / "whole")
    small = bench.run(suite(collection, measures=["nDCG@5"], depth=5), out=tmp_path / "small")
    fake, first, oracle = "tiny--bm25--fake--cpu", "tiny--bm25--first-stage", "tiny--bm25--oracle"
    assert sorted(set(run.depths.query("trial == @fake")["depth"])) == [0, 1, 2, 5, 6]
    assert set(run.depths.query("trial == @first")["depth"]) == {0}
    for measure in ("nDCG@5", "AP", "Judged@10"):
        assert values(run.depths, fake, measure, 6) == values(run.per_query, fake, measure)
        assert values(run.depths, fake, measure, 0) == values(run.per_query, first, measure)
    for trial in (fake, oracle):
        assert values(run.depths, trial, depth=5) == values(small.per_query, trial)


def test_a_depth_that_no_query_reaches_is_shown_as_what_it_is(
    collection: Path, tmp_path: Path
) -> None:
    latency = {"queries": 2, "rounds": 1, "scenarios": ["single"], "sweep": {"depths": [2, 50]}}
    run = bench.run(suite(collection, depth=100, latency=latency), out=tmp_path)
    trial = "tiny--bm25--fake--cpu"
    longest = run.records[trial].candidates["longest"]
    assert 2 < longest < 50
    assert max(run.depths["depth"]) == longest
    assert set(run.sweep["depth"]) == {2}
    (choice,) = bench.budget(run, p50_ms=1e9)
    assert choice.best is not None
    assert choice.runner_up is not None
    assert {choice.best.depth, choice.runner_up.depth} == {2, longest}
    assert choice.unscored == ()
    shown = f"at most {longest} candidates (depth 100)"
    assert shown in reports.html(run)
    assert shown in reports.markdown(run)
    assert shown in exports.export(run, "latex")


def test_a_listwise_reranker_has_its_own_depth_only(collection: Path, tmp_path: Path) -> None:
    published = tmp_path / "published.run"
    published.write_text("q1 Q0 d03 1 9 x\nq1 Q0 d00 2 8 x\n")
    run = bench.run(suite(collection, rerankers=[{"run-file": str(published)}]), out=tmp_path / "r")
    assert set(run.depths.query("trial == 'tiny--bm25--published'")["depth"]) == {0, 6}
