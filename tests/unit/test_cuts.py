"""The guarantee of a cut, simulated; and its steps by plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.calibration.cuts import (
    EVERYTHING,
    NOTHING,
    Goal,
    precision_losses,
    recall_losses,
    steps_of,
)
from bench.calibration.lists import ScoredLists

COLLECTIONS = 2_000
LOSSES = {"recall": recall_losses, "precision": precision_losses}


def drawn(rng: np.random.Generator, queries: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores and labels of queries of different difficulty, shape (queries, size)."""
    difficulty = rng.normal(0.0, 1.0, size=(queries, 1))
    labels = (rng.random((queries, size)) < 0.35).astype(float)
    scores = rng.normal(size=(queries, size)) + 2.0 * labels + difficulty
    return scores, labels


def flat(scores: np.ndarray) -> ScoredLists:
    return ScoredLists(scores.ravel(), np.arange(0, scores.size + 1, scores.shape[1]))


def losses_of(goal: Goal, lists: ScoredLists, labels: np.ndarray, threshold: float) -> np.ndarray:
    return LOSSES[goal](lists, labels, lists.scores >= threshold)


@pytest.mark.parametrize(
    ("goal", "level", "queries"),
    [("recall", 0.85, 25), ("precision", 0.6, 25)],
)
def test_a_new_query_loses_at_most_what_is_promised(goal: Goal, level: float, queries: int) -> None:
    """Each of 2,000 collections has its own threshold, which queries that it has not seen use."""
    rng = np.random.default_rng(11)
    fresh = 20
    means = np.empty(COLLECTIONS)
    for number in range(COLLECTIONS):
        scores, labels = drawn(rng, queries + fresh, 6)
        lists = flat(scores[:queries])
        threshold = steps_of(goal, lists, labels[:queries].ravel()).threshold(level)
        means[number] = np.nanmean(
            losses_of(goal, flat(scores[queries:]), labels[queries:].ravel(), threshold)
        )
    error = means.std() / math.sqrt(COLLECTIONS)
    assert means.mean() <= 1 - level + 3 * error
    if goal == "recall":
        # and no more than a query's loss below it: the threshold is not needlessly low
        assert means.mean() >= 1 - level - 2 / (queries + 1) - 3 * error


def plain_threshold(goal: Goal, lists: ScoredLists, labels: np.ndarray, level: float) -> float:
    """Return the last threshold, by trying each score of a document that counts."""
    values = set(lists.scores[labels == 1 if goal == "recall" else ~np.isnan(labels)].tolist())
    best = EVERYTHING if goal == "recall" else NOTHING
    worst = np.zeros(len(lists.offsets) - 1)
    for value in sorted(values, reverse=goal == "precision"):
        losses = losses_of(goal, lists, labels, value)
        worst = np.fmax(worst, losses)
        n = np.isfinite(losses).sum()
        if np.sum(worst[np.isfinite(losses)]) > (n + 1) * (1 - level) - 1 + 1e-9:
            break
        best = value
    return best


@pytest.mark.parametrize("goal", ["recall", "precision"])
def test_thresholds_are_those_of_plain_loops(goal: Goal) -> None:
    rng = np.random.default_rng(4)
    for level in (0.5, 0.7, 0.8, 0.9):
        for _ in range(10):
            scores, labels = drawn(rng, 15, 5)
            lists = flat(scores.round(1))
            known = labels.ravel().copy()
            known[rng.random(known.size) < 0.2] = np.nan
            own = steps_of(goal, lists, known).threshold(level)
            assert own == plain_threshold(goal, lists, known, level)


@pytest.mark.parametrize("goal", ["recall", "precision"])
def test_resampled_thresholds_are_those_of_the_drawn_queries(goal: Goal) -> None:
    rng = np.random.default_rng(6)
    scores, labels = drawn(rng, 25, 5)
    steps = steps_of(goal, flat(scores), labels.ravel())
    counts = rng.multinomial(25, [1 / 25] * 25, size=20).astype(float)
    resampled = steps.resampled(0.7, counts)
    for drawing, threshold in zip(counts.astype(int), resampled, strict=True):
        rows = np.repeat(np.arange(25), drawing)
        lists, known = flat(scores[rows]), labels[rows].ravel()
        alone = steps_of(goal, lists, known).threshold(0.7)
        # among the scores of queries that were not drawn a lower one may serve as well
        assert alone >= threshold
        np.testing.assert_array_equal(
            losses_of(goal, lists, known, alone), losses_of(goal, lists, known, threshold)
        )


def test_too_few_queries_keep_everything_or_nothing() -> None:
    scores, labels = drawn(np.random.default_rng(0), 5, 4)
    assert steps_of("recall", flat(scores), labels.ravel()).threshold(0.9) == EVERYTHING
    assert steps_of("precision", flat(scores), labels.ravel()).threshold(0.9) == NOTHING


def test_lists_without_labels_keep_everything_or_nothing() -> None:
    scores, _ = drawn(np.random.default_rng(0), 5, 4)
    unknown = np.full(scores.size, np.nan)
    assert steps_of("recall", flat(scores), unknown).threshold(0.5) == EVERYTHING
    precision = steps_of("precision", flat(scores), unknown)
    assert precision.resampled(0.5, np.ones((3, 5))).tolist() == [NOTHING] * 3


def test_losses_by_hand() -> None:
    lists = ScoredLists(np.array([3.0, 2.0, 1.0, 5.0, 4.0, 1.0]), np.array([0, 3, 5, 6]))
    labels = np.array([1.0, 0.0, 1.0, 0.0, np.nan, np.nan])
    np.testing.assert_array_equal(losses_of("recall", lists, labels, 2.0), [0.5, np.nan, np.nan])
    np.testing.assert_array_equal(losses_of("precision", lists, labels, 2.0), [0.5, 1.0, np.nan])
    np.testing.assert_array_equal(losses_of("precision", lists, labels, 4.5), [0.0, 1.0, np.nan])
