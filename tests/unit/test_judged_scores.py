"""Scores that are ranks are known from those that are not, and grades are next to scores."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from bench.core.errors import RecordError
from bench.records.judged_scores import (
    Scale,
    all_judged_scores,
    judged_scores,
    rows_named,
    scale_of,
)
from bench.records.run import Run
from tests.support.made_scores import scored_run

SIZES = (7, 5, 1, 9)
OFFSETS = np.concatenate([[0], np.cumsum(SIZES)])


def of_ranks(score: np.ufunc | object) -> np.ndarray:
    parts = [np.arange(1, size + 1, dtype=float) for size in SIZES]
    return np.concatenate([score(ranks) for ranks in parts])  # type: ignore[operator]


@pytest.mark.parametrize(
    "scores",
    [
        of_ranks(lambda ranks: len(ranks) - ranks + 1),
        of_ranks(lambda ranks: 1000 - 10 * ranks),
        of_ranks(lambda ranks: 1 - ranks / (len(ranks) + 1)),
        of_ranks(lambda ranks: 1 / ranks),
        of_ranks(lambda ranks: (1 / (60 + ranks)).round(6)),
        of_ranks(lambda ranks: -ranks),
        of_ranks(lambda ranks: ranks),
    ],
)
def test_places_are_ranks_whatever_their_scale(scores: np.ndarray) -> None:
    assert scale_of(scores, OFFSETS) is Scale.RANKS


def test_scores_are_no_ranks() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        scores = rng.normal(size=OFFSETS[-1])
        assert scale_of(scores, OFFSETS) is Scale.SCORES
    whole = rng.integers(0, 5, size=OFFSETS[-1]).astype(float)
    assert scale_of(whole, OFFSETS) is Scale.SCORES
    assert scale_of(np.ones(OFFSETS[-1]), OFFSETS) is Scale.SCORES
    almost = of_ranks(lambda ranks: len(ranks) - ranks + 1)
    almost[-1] -= 1
    assert scale_of(almost, OFFSETS) is Scale.SCORES
    assert scale_of(np.array([2.0, 1.0, 3.0]), np.array([0, 2, 3])) is Scale.SCORES


SCORES = {
    "first-stage": {"q0": [("a", 9.5), ("b", 4.0), ("c", 3.5)], "q1": [("b", 7.0), ("d", 2.5)]},
    "model": {"q0": [("b", 0.9), ("a", 0.2), ("c", 0.1)], "q1": [("d", 0.8), ("b", 0.3)]},
    "redealt": {"q0": [("b", 9.5), ("c", 4.0), ("a", 3.5)], "q1": [("b", 7.0), ("d", 2.5)]},
}
JUDGMENTS = [("q0", "a", 2), ("q0", "b", 1), ("q0", "z", 3), ("q1", "d", 0)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("judged")
    return scored_run(out, SCORES, JUDGMENTS, unscored=["unscored"], facts={"min_relevance": 2})


def test_scores_and_grades_are_next_to_each_other(run: Run) -> None:
    (row,) = rows_named(run, "model")
    table = judged_scores(run, row)
    assert list(table.query_ids) == ["q0", "q1"]
    assert table.offsets.tolist() == [0, 3, 5]
    assert table.scores.tolist() == [0.9, 0.2, 0.1, 0.8, 0.3]
    np.testing.assert_array_equal(table.grades, [1, 2, np.nan, 0, np.nan])
    left_out = table.labels(unjudged_as_not_relevant=False)
    np.testing.assert_array_equal(left_out, [0, 1, np.nan, 0, np.nan])
    assert table.labels(unjudged_as_not_relevant=True).tolist() == [0, 1, 0, 0, 0]
    assert table.relevant.tolist() == [2, 0]
    assert (table.threshold, table.are_ranks) == (2, False)


def test_the_first_stages_scores_in_another_order_are_places(run: Run) -> None:
    scales = {table.name: table.scale for table in all_judged_scores(run)}
    assert scales == {
        "first-stage": Scale.SCORES,
        "model (cpu)": Scale.SCORES,
        "redealt (cpu)": Scale.REDEALT,
    }


def test_a_row_without_scores_and_a_name_that_is_unknown_are_refused(run: Run) -> None:
    (row,) = rows_named(run, "unscored")
    with pytest.raises(RecordError, match="keeps no scores of unscored"):
        judged_scores(run, row)
    with pytest.raises(RecordError, match="did you mean 'model'"):
        rows_named(run, "modle")
    (row,) = rows_named(run, "tiny--bm25--model")
    assert row.trial.reranker == "model"


def test_a_run_without_judgments_is_refused(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(run.folder, folder)
    shutil.rmtree(folder / "judgments")
    copy = Run(folder)
    (row,) = rows_named(copy, "model")
    with pytest.raises(RecordError, match="keeps no judgments of tiny"):
        judged_scores(copy, row)
