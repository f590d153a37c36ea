"""Fusion of rankings, held against a hand calculation and a plain loop."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.contract.candidates import QueryCandidates
from bench.ranking.fusion import Norm, normalised, rrf, simplex, weighted
from bench.ranking.order import rank

IDS = "abcdefgh"


def ranking(**scores: float) -> QueryCandidates:
    ordered = rank(list(scores), list(scores.values()))
    return QueryCandidates(ordered.doc_ids, ordered.scores)


@st.composite
def rankings(draw: st.DrawFn) -> QueryCandidates:
    ids = draw(st.lists(st.sampled_from(IDS), unique=True))
    scores = draw(
        st.lists(
            st.integers(-20, 20).map(lambda number: number / 4),
            min_size=len(ids),
            max_size=len(ids),
        )
    )
    return ranking(**dict(zip(ids, scores, strict=True)))


LISTS = st.lists(rankings(), min_size=1, max_size=4)
NORMS = st.sampled_from(["min-max", "z-score", "none"])


def plain_normalised(scores: Sequence[float], norm: str) -> list[float]:
    if norm == "none":
        return list(scores)
    if len(set(scores)) < 2:
        return [0.0] * len(scores)
    if norm == "min-max":
        return [(score - min(scores)) / (max(scores) - min(scores)) for score in scores]
    mean, deviation = statistics.fmean(scores), statistics.pstdev(scores)
    return [(score - mean) / deviation for score in scores]


def plain_sums(
    lists: Sequence[QueryCandidates], weights: Sequence[float], norm: str
) -> dict[str, float]:
    """A loop over documents, for comparison."""
    sums: dict[str, float] = {}
    for doc_id in {doc_id for entry in lists for doc_id in entry.doc_ids}:
        total = 0.0
        for entry, weight in zip(lists, weights, strict=True):
            values = plain_normalised(entry.scores, norm)
            by_id = dict(zip(entry.doc_ids, values, strict=True))
            total += weight * by_id.get(doc_id, min(values, default=0.0))
        sums[doc_id] = total
    return sums


def test_rrf_by_hand() -> None:
    fused = rrf([ranking(a=9.0, b=8.0, c=7.0), ranking(c=0.5, a=0.4)], k=60)
    assert fused.doc_ids == ("a", "c", "b")
    assert fused.scores == pytest.approx((1 / 61 + 1 / 62, 1 / 63 + 1 / 61, 1 / 62), abs=1e-15)


def test_rrf_with_weights_and_another_constant_by_hand() -> None:
    fused = rrf([ranking(a=9.0, b=8.0), ranking(c=0.5, b=0.4)], [1, 3], k=1)
    assert fused.doc_ids == ("c", "b", "a")
    assert fused.scores == pytest.approx((3 / 2, 1 / 3 + 3 / 3, 1 / 2))


def test_weighted_sums_by_hand() -> None:
    lists = [ranking(a=10.0, b=5.0, c=0.0), ranking(b=3.0, d=1.0)]
    fused = weighted(lists, [0.5, 2], "min-max")
    assert dict(zip(fused.doc_ids, fused.scores, strict=True)) == {
        "b": 0.5 * 0.5 + 2 * 1.0,
        "a": 0.5 * 1.0,
        "c": 0.0,
        "d": 0.0,
    }
    # b first; a above the two zeros, which the tie rule orders
    assert fused.doc_ids == ("b", "a", "d", "c")
    fused = weighted(lists, [1, 1], "none")
    assert fused.doc_ids == ("a", "b", "d", "c")
    assert fused.scores == (10 + 1, 5 + 3, 0 + 1, 0 + 1)


@given(LISTS, NORMS, st.data())
def test_weighted_is_the_plain_loop(
    lists: list[QueryCandidates], norm: Norm, data: st.DataObject
) -> None:
    weights = data.draw(
        st.lists(st.integers(0, 8).map(lambda n: n / 4), min_size=len(lists), max_size=len(lists))
    )
    fused = weighted(lists, weights, norm)
    sums = plain_sums(lists, weights, norm)
    assert dict(zip(fused.doc_ids, fused.scores, strict=True)) == pytest.approx(sums, abs=1e-9)
    # the order is that of the scores, ties by falling id
    assert list(zip(fused.scores, fused.doc_ids, strict=True)) == sorted(
        zip(fused.scores, fused.doc_ids, strict=True), reverse=True
    )


@given(LISTS)
def test_rrf_is_the_plain_loop(lists: list[QueryCandidates]) -> None:
    sums: dict[str, float] = {}
    for entry in lists:
        for place, doc_id in enumerate(entry.doc_ids, start=1):
            sums[doc_id] = sums.get(doc_id, 0.0) + 1 / (60 + place)
    fused = rrf(lists)
    assert dict(zip(fused.doc_ids, fused.scores, strict=True)) == sums
    assert fused.doc_ids == rank(list(sums), list(sums.values())).doc_ids


@given(LISTS, NORMS, st.permutations(IDS))
def test_new_names_for_documents_change_no_sum(
    lists: list[QueryCandidates], norm: Norm, names: list[str]
) -> None:
    """Only where sums are equal do names decide."""
    new = dict(zip(IDS, names, strict=True))
    renamed = [
        QueryCandidates(tuple(new[doc_id] for doc_id in entry.doc_ids), entry.scores)
        for entry in lists
    ]
    for before, after in (
        (rrf(lists), rrf(renamed)),
        (weighted(lists, None, norm), weighted(renamed, None, norm)),
    ):
        sums = dict(zip(after.doc_ids, after.scores, strict=True))
        for doc_id, score in zip(before.doc_ids, before.scores, strict=True):
            assert sums[new[doc_id]] == score


@given(LISTS, st.sampled_from(["min-max", "z-score"]), st.integers(-6, 6), st.integers(-64, 64))
def test_scale_and_origin_of_a_list_do_not_matter(
    lists: list[QueryCandidates], norm: Norm, power: int, origin: int
) -> None:
    """Powers of two and whole numbers keep these scores exact."""
    moved = [
        QueryCandidates(entry.doc_ids, tuple(score * 2.0**power + origin for score in entry.scores))
        for entry in lists[:1]
    ] + lists[1:]
    before = weighted(lists, None, norm)
    after = dict(zip(*_columns(weighted(moved, None, norm)), strict=True))
    assert after == pytest.approx(dict(zip(*_columns(before), strict=True)), abs=1e-9)
    assert rrf(moved) == rrf(lists)


def _columns(entry: QueryCandidates) -> tuple[tuple[str, ...], tuple[float, ...]]:
    return entry.doc_ids, entry.scores


@pytest.mark.parametrize("norm", ["min-max", "z-score"])
def test_a_list_whose_scores_are_equal_says_nothing(norm: Norm) -> None:
    """0.1 three times has a mean that is not 0.1: no z-scores of that noise."""
    flat = ranking(a=0.1, b=0.1, c=0.1)
    assert normalised(flat.scores, norm).tolist() == [0, 0, 0]
    alone = ranking(c=7.0)
    fused = weighted([ranking(a=2.0, b=1.0), flat, alone], None, norm)
    assert fused.doc_ids == ("a", "c", "b")


def test_empty_lists_and_lists_that_share_nothing() -> None:
    nothing = QueryCandidates((), ())
    assert rrf([nothing, nothing]) == nothing
    assert weighted([nothing], None, "z-score") == nothing
    assert rrf([nothing, ranking(a=1.0)]) == QueryCandidates(("a",), (1 / 61,))
    # equal ranks of lists that share nothing: the tie rule decides
    fused = rrf([ranking(a=9.0, b=8.0), ranking(c=2.0, d=1.0)])
    assert fused.doc_ids == ("c", "a", "d", "b")
    assert fused.scores[0] == fused.scores[1] > fused.scores[2] == fused.scores[3]


@pytest.mark.parametrize("norm", ["min-max", "z-score"])
def test_the_largest_numbers_are_normalised(norm: Norm) -> None:
    values = normalised([1.7e308, 0.0, -1.7e308], norm)
    assert np.isfinite(values).all()
    assert values[0] > values[1] > values[2]


def test_weights_are_one_per_list() -> None:
    with pytest.raises(ValueError, match="argument"):
        rrf([ranking(a=1.0)], [0.5, 0.5])


@pytest.mark.parametrize(("count", "steps"), [(1, 4), (2, 20), (3, 10), (4, 3)])
def test_the_simplex_has_every_combination_once(count: int, steps: int) -> None:
    grid = list(simplex(count, steps))
    assert len(grid) == len(set(grid)) == math.comb(steps + count - 1, count - 1)
    assert all(math.isclose(sum(weights), 1) for weights in grid)
    assert all(0 <= weight <= 1 for weights in grid for weight in weights)
