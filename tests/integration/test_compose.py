"""Pipelines composed from the stored scores of a run have the values of real runs of the same
pipelines, to the last bit.
"""

from __future__ import annotations

from typing import Any

import pytest

import bench
from bench.composition.chain import Chain
from bench.composition.steps import Rank, Step
from bench.composition.stored import stored
from bench.records.run import Run

HASH = "tests.support.fakes:HashReranker"
ROWS: list[Any] = [
    {HASH: {"name": "red", "salt": "r"}},
    {HASH: {"name": "blue", "salt": "b"}},
    "word-overlap",
]
RED, BLUE, WORDS = ROWS


def keep(entry: Any, number: int) -> Any:
    """Return an entry of a suite that hands on this many documents."""
    if isinstance(entry, str):
        return {entry: {"keep": number}}
    ((name, options),) = entry.items()
    return {name: {**options, "keep": number}}


def first(depth: int) -> Any:
    return {"bm25": {"keep": depth}}


PIPELINES: dict[str, list[Any]] = {
    "a": [first(30), RED],
    "b": [first(10), RED],
    "c": [first(30), keep(RED, 10), BLUE],
    "d": [first(20), keep(WORDS, 7), RED],
    "e": [first(30), keep(RED, 20), keep(BLUE, 5), WORDS],
    "f": [first(30), keep(BLUE, 3), keep(WORDS, 2)],
}
CHAINS = {
    "a": Chain("bm25", 30, (Step(Rank("red")),)),
    "b": Chain("bm25", 10, (Step(Rank("red")),)),
    "c": Chain("bm25", 30, (Step(Rank("red"), 10), Step(Rank("blue")))),
    "d": Chain("bm25", 20, (Step(Rank("word-overlap"), 7), Step(Rank("red")))),
    "e": Chain(
        "bm25", 30, (Step(Rank("red"), 20), Step(Rank("blue"), 5), Step(Rank("word-overlap")))
    ),
    "f": Chain("bm25", 30, (Step(Rank("blue"), 3), Step(Rank("word-overlap"), 2))),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("compose")
    suite = {
        "name": "composed",
        "datasets": [{"embedded:everyday": {"queries": 40}}],
        "rerankers": ROWS,
        "pipelines": [{"name": name, "stages": stages} for name, stages in PIPELINES.items()],
        "measures": ["nDCG@10", "RR@10", "R@20", "AP", "P@5", "Rprec"],
        "depth": 30,
        "devices": "cpu",
        "latency": None,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RERANK_BENCH_CACHE", str(folder / "cache"))
        return bench.run(suite, out=folder / "results")


@pytest.mark.parametrize("name", PIPELINES)
def test_a_composed_pipeline_has_the_values_of_a_real_run(finished: Run, name: str) -> None:
    (dataset,) = stored(finished)
    values = dataset.measuring.values(CHAINS[name])
    (trial,) = [row.trial for row in finished.rows if row.trial.reranker == name]
    for measure, own in values.items():
        recorded = finished.values(trial.id, measure)
        assert own.tolist() == [recorded[query_id] for query_id in dataset.query_ids]
    assert len(values) == 7


def test_the_stored_scores_give_the_values_of_the_run_itself(finished: Run) -> None:
    (dataset,) = stored(finished)
    dataset.verify()
