"""Scores by pair: the table answers as a dictionary would, in whatever order pairs come."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.contract.request import CandidateList
from bench.scoring.entry_pairs import EntryPairs
from bench.scoring.pairs import ABSENT, PairTable, pair_keys

PAIRS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=4)
ENTRIES = st.lists(st.tuples(st.integers(0, 3), PAIRS), max_size=12)


def keys(pairs: list[tuple[int, int]]) -> np.ndarray:
    """Keys of which many share a half."""
    return np.array(pairs, dtype=np.uint64).reshape(-1, 2)


@settings(max_examples=200)
@given(ENTRIES, st.sets(st.integers(0, 11)))
def test_the_table_answers_as_a_dictionary_does(
    entries: list[tuple[int, list[tuple[int, int]]]], looks: set[int]
) -> None:
    """The newest entry counts; of one entry, and of two of one time, the first."""
    table = PairTable()
    known: dict[tuple[int, int], tuple[int, float]] = {}
    score = 0.0
    for number, (written, pairs) in enumerate(entries):
        entry = table.begin_entry(written)
        scores = []
        for pair in pairs:
            score += 1.0
            scores.append(score)
            if pair not in known or known[pair][0] < written:
                known[pair] = (written, score)
        table.add(keys(pairs), np.array(scores), np.full(len(pairs), entry, dtype=np.int32))
        if number in looks:
            table.find(keys([(0, 0)]))
    everything = [(high, low) for high in range(4) for low in range(4)]
    slots = table.find(keys(everything))
    for pair, slot in zip(everything, slots.tolist(), strict=True):
        if pair not in known:
            assert slot == ABSENT
        else:
            assert table.scores(np.array([slot])).tolist() == [known[pair][1]]


def test_pairs_that_were_counted_before_are_named_once() -> None:
    entries = EntryPairs()
    entries.add({"a": keys([(1, 1), (2, 2), (3, 3)])}, {"a": np.zeros(3)}, 1)
    first = entries.table.find(keys([(1, 1), (2, 2)]))
    assert entries.table.count_once(first).tolist() == []
    again = entries.table.find(keys([(2, 2), (3, 3), (2, 2)]))
    assert entries.table.count_once(again).tolist() == [first[1]]


def test_an_entry_has_a_share_by_its_different_pairs() -> None:
    entries = EntryPairs()
    scores = {"a": np.zeros(3), "b": np.zeros(2)}
    entries.add({"a": keys([(1, 1), (2, 2), (1, 1)]), "b": keys([(4, 4), (5, 5)])}, scores, 1)
    find = entries.table.find
    assert list(entries.shares(find(keys([(5, 5), (1, 1)])))) == [("b", 0.5), ("a", 0.5)]
    whole = find(keys([(1, 1), (2, 2), (1, 1)]))
    assert list(entries.shares(whole)) == [("a", 1.0)]


def request(query: str, *docs: str) -> CandidateList:
    return CandidateList("q", query, [f"d{place}" for place in range(len(docs))], docs)


@given(st.lists(st.text(min_size=1, max_size=3), min_size=2, max_size=2), st.text(max_size=3))
def test_different_texts_have_different_keys(docs: list[str], query: str) -> None:
    found = pair_keys(request(query, *docs))
    if any(not text.strip() for text in docs):
        assert found is None
        return
    assert found is not None
    assert (found[0].tolist() == found[1].tolist()) == (docs[0] == docs[1])


def test_a_query_and_a_document_are_not_exchanged() -> None:
    one, other = pair_keys(request("a", "b")), pair_keys(request("b", "a"))
    assert one is not None
    assert other is not None
    assert one.tolist() != other.tolist()


@pytest.mark.parametrize("blank", ["", " ", "\n\t"])
def test_a_list_with_a_document_without_text_has_no_pairs(blank: str) -> None:
    assert pair_keys(request("q", "text", blank)) is None
