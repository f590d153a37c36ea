"""Forecasts of a search from a few calls, some of which fail; and rows that learn, as entries that
learn nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from bench.composition.chain import Chain
from bench.composition.works import Rank, Step
from bench.contract.part import Part
from bench.suite.settled import is_settled, settled
from bench.tuning.search import Probe, Queries, probed
from bench.tuning.stage_bench import StageBench

Calls = Mapping[str, Mapping[str, list[float]]]


class Bench:
    """Gives the times that a test says, whatever is asked."""

    def __init__(self, rows: Calls, searches: Calls) -> None:
        self._rows, self._searches = rows, searches

    def rows(self, names: Mapping[str, int], query_ids: Sequence[str], first: str) -> Calls:
        return {name: self._rows[name] for name in names}

    def pipelines(self, chains: Sequence[Chain], query_ids: Sequence[str], label: str) -> Calls:
        return {str(chain): self._searches[chain.first] for chain in chains}


def test_rows_that_answer_different_queries_have_a_forecast_together() -> None:
    """A call that failed counts as the slowest of its row."""
    rows = {"a": {"q1": [10.0]}, "b": {"q2": [5.0], "q3": [7.0]}, "c": {}}
    stages = cast("StageBench", Bench(rows, {"bm25": {"q1": [1.0], "q3": [2.0]}, "gone": {}}))
    probes = [Probe(row, "bm25", (20,)) for row in rows]
    queries = Queries(["q1", "q2", "q3"], [])
    forecasts = probed(stages, probes, {"bm25": 20, "gone": 20}, queries)
    assert set(forecasts.stages) == {"a", "b"}, "no call of c succeeded"
    assert set(forecasts.searches) == {"bm25"}
    chain = Chain("bm25", 20, (Step(Rank("a")), Step(Rank("b"))))
    assert forecasts.samples(chain).ravel().tolist() == [1 + 10 + 7, 2 + 10 + 5, 2 + 10 + 7]


WEIGHTS = {"weights": {"overall": [0.7, 0.3], "by_fold": [[0.6, 0.4], [0.8, 0.2]]}}


@pytest.mark.parametrize(
    ("entry", "facts", "expected"),
    [
        (
            {"blend": {"of": "a", "weight": "tuned", "folds": 3, "seed": 1}},
            WEIGHTS,
            {"blend": {"of": "a", "weight": 0.7}},
        ),
        (
            {"fuse": {"of": ["a", "b"], "weights": "tuned"}},
            WEIGHTS,
            {"fuse": {"of": ["a", "b"], "weights": [0.7, 0.3]}},
        ),
        (
            {
                "skip": {
                    "of": {"blend": {"of": "a", "weight": "tuned"}},
                    "when": {"top_quantile": 0.5},
                }
            },
            {"thresholds": {"overall": -2.5}, "parts": [{"name": "blend", **WEIGHTS}]},
            {"skip": {"of": {"blend": {"of": "a", "weight": 0.7}}, "when": {"top_below": -2.5}}},
        ),
        (
            {"skip": {"of": "a", "when": {"margin_quantile": 0.5}}},
            {"thresholds": {"overall": 1.25}, "parts": [{"name": "a"}]},
            {"skip": {"of": "a", "when": {"margin_below": 1.25}}},
        ),
        ({"blend": {"of": "a", "weight": 0.4}}, {}, {"blend": {"of": "a", "weight": 0.4}}),
        ({"blend": "a"}, {}, {"blend": "a"}),
        ({"fuse": ["a", "b"]}, {}, {"fuse": ["a", "b"]}),
        ({"bge": {"batch_size": 8}}, WEIGHTS, {"bge": {"batch_size": 8}}),
    ],
)
def test_what_a_row_learned_takes_the_place_of_learning(
    entry: Any, facts: dict[str, Any], expected: Any
) -> None:
    part = Part.model_validate(entry)
    assert settled(part, facts, None).to_entry() == expected
    assert is_settled(part, facts, None) == (entry != expected)


def test_a_model_takes_the_place_of_a_training() -> None:
    part = Part.model_validate({"ltr": {"features": ["before"], "train": "files:other"}})
    expected = {"ltr": {"features": ["before"], "load": "m.json"}}
    assert settled(part, {}, Path("m.json")).to_entry() == expected
    assert settled(part, {}, None) == part
