"""Folds of queries: seeded, of even size, with equal texts together."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import DataError
from bench.datasets.folds import folds, refuse_shared

QUERIES = {f"q{number}": f"question {number}" for number in range(23)}


def test_folds_are_even_and_depend_on_the_seed_alone() -> None:
    first = folds(QUERIES, 5, 13)
    assert set(first) == set(QUERIES)
    sizes = Counter(first.values())
    assert set(sizes) == set(range(5))
    assert max(sizes.values()) - min(sizes.values()) <= 1
    backwards = dict(reversed(QUERIES.items()))
    assert folds(backwards, 5, 13) == first
    assert folds(QUERIES, 5, 14) != first


@given(st.integers(2, 8), st.integers(0, 5))
def test_queries_of_one_text_are_in_one_fold(count: int, seed: int) -> None:
    twins = {f"twin {query_id}": f"  {text.upper()}\n" for query_id, text in QUERIES.items()}
    fold_of = folds(QUERIES | twins, count, seed)
    assert all(fold_of[f"twin {query_id}"] == fold_of[query_id] for query_id in QUERIES)
    # twins change no fold of the others
    assert {query_id: fold_of[query_id] for query_id in QUERIES} == folds(QUERIES, count, seed)


@pytest.mark.parametrize("count", [1, 3, 5])
def test_too_few_queries_are_an_error(count: int) -> None:
    with pytest.raises(DataError, match=f"1 query of different texts .* {count} folds"):
        folds({"a": "one text", "b": "ONE  text"}, count, 1)


def test_queries_that_are_trained_on_and_measured_are_named() -> None:
    refuse_shared({"a": "what is rust"}, {"a": "what is go"}, "files:train", "files:test")
    with pytest.raises(DataError) as caught:
        refuse_shared(
            {"a": "what is rust", "b": "Who?", "c": "new"},
            {"a": "What is  Rust", "z": "who?"},
            "files:train",
            "files:test",
        )
    assert str(caught.value) == (
        "files:train: 2 queries to train on are also measured in files:test: 'a', "
        "'b' ('z' in files:test); train on other queries"
    )
