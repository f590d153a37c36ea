"""Every relevant document is in the top of a ranking or lost by one stage, and by which."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.quality.losses import After, Loss, Losses, Lost, cutoff_of
from bench.records.losses import LossRecord, StageLosses, loss_record


def losses(orders: list[After], relevant: list[str], cutoff: int = 2, stages: int = 3) -> Losses:
    counted = Losses(cutoff, stages)
    counted.add("q", relevant, orders)
    return counted


def after(doc_ids: str, handed_on: int | None = None) -> After:
    """Return an order of documents of one letter."""
    return After(tuple(doc_ids), len(doc_ids) if handed_on is None else handed_on)


CASES: dict[str, tuple[list[After], str, Loss | None, int]] = {
    "in the top": ([after("abcd"), after("abcd"), after("bacd")], "a", None, 0),
    "not a candidate": ([after("abcd"), after("abcd"), after("abcd")], "x", Loss.NOT_RETRIEVED, 0),
    "no candidates": ([], "a", Loss.NOT_RETRIEVED, 0),
    "cut": ([after("abcd"), after("bcda", 3), after("bcda")], "a", Loss.CUT, 1),
    "cut, and in the top all the same": (
        [after("abcd"), after("badc", 1), after("badc")],
        "a",
        None,
        0,
    ),
    "taken out of the top by the last": (
        [after("abcd"), after("abcd"), after("cdab")],
        "a",
        Loss.RANKED_BELOW,
        2,
    ),
    "taken out before the last": (
        [after("abcd"), after("cdab"), after("cdab")],
        "a",
        Loss.RANKED_BELOW,
        1,
    ),
    "back in the top for a while": (
        [after("abcd"), after("acbd"), after("cdab")],
        "a",
        Loss.RANKED_BELOW,
        2,
    ),
    "never in the top": ([after("cdab"), after("cdab"), after("cdab")], "a", Loss.RANKED_BELOW, 2),
    "failed in the middle": ([after("abcd"), After(None, 0)], "a", Loss.FAILED, 1),
    "failed at the end": ([after("abcd"), after("abcd"), After(None, 0)], "a", Loss.FAILED, 2),
    "cut, then failed": ([after("abcd"), after("bcda", 3), After(None, 0)], "a", Loss.CUT, 1),
    "failed, and no candidate": ([after("abcd"), After(None, 0)], "x", Loss.NOT_RETRIEVED, 0),
}


@pytest.mark.parametrize("name", CASES)
def test_the_stage_that_lost_a_document_is_named(name: str) -> None:
    orders, doc_id, loss, stage = CASES[name]
    counted = losses(orders, [doc_id])
    if loss is None:
        assert (counted.in_top, counted.lost) == (1, [])
    else:
        assert (counted.in_top, counted.lost) == (0, [Lost("q", doc_id, loss, stage)])


@st.composite
def pipelines(draw: st.DrawFn) -> tuple[list[After], list[str], int]:
    """Orders as a pipeline of three stages leaves them: what it does not see stays below."""
    documents = list("abcdefgh")
    search = draw(st.permutations(documents))[: draw(st.integers(0, 8))]
    orders: list[After] = []
    if search:
        orders.append(After(tuple(search), len(search)))
        order, handed = list(search), len(search)
        for _ in range(2):
            if draw(st.integers(0, 9)) == 0:
                orders.append(After(None, 0))
                break
            order = [*draw(st.permutations(order[:handed])), *order[handed:]]
            handed = draw(st.integers(1, handed))
            orders.append(After(tuple(order), handed))
    relevant = draw(st.lists(st.sampled_from([*documents, "x", "y"]), unique=True))
    return orders, relevant, draw(st.integers(1, 5))


@settings(max_examples=300)
@given(st.lists(pipelines(), max_size=4))
def test_losses_and_the_top_add_up_to_all_that_are_relevant(
    queries: list[tuple[list[After], list[str], int]],
) -> None:
    cutoff = 3
    counted = Losses(cutoff, 3)
    found = relevant_count = 0
    for number, (orders, relevant, _) in enumerate(queries):
        if len(orders) == 3 and orders[-1].doc_ids is not None:
            # the order of the last stage is the result: it cuts nothing
            orders[-1] = After(orders[-1].doc_ids, len(orders[-1].doc_ids))
            found += len(set(relevant).intersection(orders[-1].doc_ids[:cutoff]))
        relevant_count += len(relevant)
        counted.add(f"q{number}", relevant, orders)
    assert (counted.in_top, counted.relevant) == (found, relevant_count)
    record = loss_record(counted, ["search", "cheap", "dear"])
    assert record.in_top + sum(stage.total for stage in record.stages) == record.relevant
    assert len(counted.lost) == len(set(counted.lost)) == record.relevant - record.in_top
    assert [stage.not_retrieved for stage in record.stages[1:]] == [0, 0]
    assert (record.stages[0].cut, record.stages[0].ranked_below, record.stages[-1].cut) == (0, 0, 0)


def test_a_record_that_does_not_add_up_is_refused() -> None:
    stages = [StageLosses(stage="bm25", not_retrieved=2), StageLosses(stage="x", cut=1)]
    LossRecord(cutoff=10, relevant=10, in_top=7, stages=stages)
    with pytest.raises(ValidationError, match="7 relevant documents in the top and 3"):
        LossRecord(cutoff=10, relevant=11, in_top=7, stages=stages)


@pytest.mark.parametrize(
    ("headline", "cutoff"), [("nDCG@10", 10), ("R@20", 20), ("AP", 10), ("RR", 10), ("nDCG@5", 5)]
)
def test_the_top_is_the_headline_measures(headline: str, cutoff: int) -> None:
    assert cutoff_of(headline) == cutoff


def test_every_case_is_another() -> None:
    names = list(CASES)
    assert all(CASES[one] != CASES[other] for one, other in pairwise(names))
