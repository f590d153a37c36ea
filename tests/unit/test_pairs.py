"""Scores by pair: the table answers as a dictionary would, in whatever order pairs come."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.contract.request import CandidateList
from bench.scoring.entry_pairs import Cost, EntryPairs, Marks, PairCosts
from bench.scoring.pairs import ABSENT, SLOT_BITS, PairTable, pair_keys

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
    rows = table.find(keys(everything))
    found = zip(everything, rows.slots.tolist(), rows.scores.tolist(), strict=True)
    for pair, slot, own in found:
        if pair not in known:
            assert slot == ABSENT
        else:
            assert own == known[pair][1]


def test_pairs_that_were_asked_for_before_are_named_once() -> None:
    entries = EntryPairs()
    entries.add({"a": keys([(1, 1), (2, 2), (3, 3)])}, {"a": np.zeros(3)}, 1, {})
    first = entries.table.find(keys([(1, 1), (2, 2)]))
    assert entries.asked_before(first).slots.tolist() == []
    again = entries.table.find(keys([(2, 2), (3, 3), (2, 2)]))
    assert entries.asked_before(again).slots.tolist() == [first.slots[1]]


def test_an_entry_costs_its_share_by_its_different_pairs() -> None:
    entries = EntryPairs()
    scores = {"a": np.zeros(3), "b": np.zeros(2)}
    pairs = {"a": keys([(1, 1), (2, 2), (1, 1)]), "b": keys([(4, 4), (5, 5)])}
    costs = {"a": Cost({"tokens": 6.0}, {}), "b": Cost({"tokens": 1.0}, {"calls": 2.0})}
    entries.add(pairs, scores, 1, costs)
    find = entries.table.find
    some = find(keys([(5, 5), (1, 1)]))
    used = PairCosts(entries)
    used.add(some)
    assert used.total() == {"tokens": 3.5, "calls": 1.0}
    assert used.own_of(some) == {"calls": 1.0}
    used.add(find(keys([(1, 1), (2, 2), (1, 1)])))
    assert used.total() == {"tokens": 6.5, "calls": 1.0}, "a pair counts once"


@given(st.lists(st.sets(st.integers(0, 200)), max_size=6))
def test_marks_are_a_set(additions: list[set[int]]) -> None:
    marks = Marks()
    known: set[int] = set()
    for places in additions:
        slots = np.array(sorted(places), dtype=np.int64) + (np.arange(len(places)) % 2 << SLOT_BITS)
        expected = [slot not in known for slot in slots.tolist()]
        assert marks.add(slots).tolist() == expected
        known.update(slots.tolist())


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
