"""The tie rule, held against trec_eval's own order and against the trap that ties set for
ir_measures' providers.
"""

from __future__ import annotations

import gzip
import itertools
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import DataError
from bench.quality.measures import evaluate
from bench.ranking import members
from bench.ranking.order import SINGLE_MAX, as_scores, count_ties, rank, strictly_falling
from bench.ranking.trec import Tally, read_pieces, write_run
from tests.support.agreement import PRINTED

IDS = st.lists(
    st.text(alphabet="abcdefXYZ0123456789-é", min_size=1, max_size=6),
    min_size=1,
    max_size=30,
    unique=True,
)


def test_equal_scores_stand_by_falling_doc_id() -> None:
    ranking = rank(["a", "c", "b", "d"], [1.0, 1.0, 1.0, 2.0])
    assert ranking.doc_ids == ("d", "c", "b", "a")
    assert ranking.ties == 3


@given(IDS, st.data())
def test_order_is_trec_evals(ids: list[str], data: st.DataObject) -> None:
    """RR tells where trec_eval puts each document: one query per document, in which only that one
    is relevant.
    """
    scores = data.draw(
        st.lists(st.sampled_from([0.0, -1.5, 3.25, 3.5]), min_size=len(ids), max_size=len(ids))
    )
    expected = {}
    run = {doc: dict(zip(ids, scores, strict=True)) for doc in ids}
    qrels = {doc: {doc: 1} for doc in ids}
    for metric in ir_measures.pytrec_eval.iter_calc([ir_measures.RR], qrels, run):
        expected[metric.query_id] = round(1 / metric.value)
    ours = rank(ids, scores).doc_ids
    assert {doc: place for place, doc in enumerate(ours, 1)} == expected


def test_one_tied_pair_cannot_be_first_for_one_measure_and_second_for_another() -> None:
    """Two tied documents, one relevant: handed over as they are, the providers give nDCG@10 .631
    and RR@10 1.0 in one call.
    """
    qrels = {"q": {"a": 1, "b": 0}}
    raw = {
        str(m.measure): m.value
        for m in ir_measures.iter_calc(
            [ir_measures.nDCG @ 10, ir_measures.RR @ 10], qrels, {"q": {"a": 1.0, "b": 1.0}}
        )
    }
    assert raw["nDCG@10"] == pytest.approx(0.6309, abs=PRINTED)
    assert raw["RR@10"] == 1.0, (
        "the trap is gone from ir_measures: strict scores may no longer be needed"
    )
    values = evaluate({"q": rank(["a", "b"], [1.0, 1.0])}, qrels, ["nDCG@10", "RR@10"])
    assert values["nDCG@10"]["q"] == pytest.approx(1 / np.log2(3))
    assert values["RR@10"]["q"] == 0.5


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_score_that_is_not_finite_is_an_error(bad: float) -> None:
    with pytest.raises(ValueError, match="document 'b'"):
        rank(["a", "b"], [1.0, bad])


def test_a_wrong_count_is_an_error() -> None:
    with pytest.raises(ValueError, match="1 scores for 2 documents"):
        rank(["a", "b"], [1.0])


@given(st.lists(st.floats(-1e6, 1e6), max_size=50))
def test_strictly_falling_scores_keep_their_order_in_single_precision(values: list[float]) -> None:
    ordered = sorted(values, reverse=True)
    singles = np.array(strictly_falling(ordered), dtype=np.float32)
    assert (np.diff(singles) < 0).all()


def test_scores_that_single_precision_can_tell_apart_are_left_as_they_are() -> None:
    assert strictly_falling([3.25, 1.125, -7.5]) == [3.25, 1.125, -7.5]


@pytest.mark.filterwarnings("error")
@given(
    st.lists(
        st.floats(allow_nan=False, allow_infinity=False)
        | st.sampled_from([1e39, 1e40, -1.7e308, -1e308]),
        max_size=12,
    )
)
def test_any_finite_scores_keep_their_order_in_single_precision(values: list[float]) -> None:
    """Beyond its ends too, where two masked documents of -1.7e308 both are; and what it can hold is
    left as it is.
    """
    ordered = sorted(values, reverse=True)
    falling = strictly_falling(ordered)
    singles = np.array(falling, dtype=np.float32)
    assert np.isfinite(singles).all()
    assert (singles[1:] < singles[:-1]).all()
    assert all(below < above for above, below in itertools.pairwise(falling))


def test_scores_beyond_single_precision_go_to_its_ends() -> None:
    assert strictly_falling([1e40, 1e39, 1.0, -1.0, -1.7e308, -1.7e308]) == [
        SINGLE_MAX,
        float(np.nextafter(np.float32(SINGLE_MAX), np.float32(0))),
        1.0,
        -1.0,
        -float(np.nextafter(np.float32(SINGLE_MAX), np.float32(0))),
        -SINGLE_MAX,
    ]
    assert float(np.finfo(np.float32).max) == SINGLE_MAX
    assert rank(["a", "b", "c"], [1e39, 1.0, -1.7e308]).beyond == 2


def test_ties_count_documents_not_pairs() -> None:
    assert count_ties([3.0, 3.0, 3.0, 2.0, 1.0, 1.0]) == 5
    assert count_ties([]) == 0


def test_a_series_whose_index_is_not_the_order_of_the_documents_is_refused() -> None:
    assert as_scores(pd.Series([0.1, 0.2, 0.3])).tolist() == [0.1, 0.2, 0.3]
    with pytest.raises(ValueError, match="its index is not 0, 1, 2"):
        as_scores(pd.Series([0.3, 0.1, 0.2], index=[2, 0, 1]))


HUGE = 2**53
LONG = np.array([1, 1 + np.finfo(np.longdouble).eps], dtype=np.longdouble)


@pytest.mark.parametrize(
    "answer",
    [
        [HUGE, HUGE + 1, HUGE + 2],
        [0.5, HUGE, HUGE + 1],
        [-1, 2**63, 2**63 + 1],
        [10**30, 10**30 + 1, 10**30 + 2],
        np.array([HUGE, HUGE + 1], dtype=np.int64),
        np.array([HUGE, HUGE + 1], dtype=np.uint64),
        pd.Series([HUGE, HUGE + 1]),
        torch.tensor([HUGE, HUGE + 1]),
        [Decimal("0.1"), Decimal("0.10000000000000000001")],
        [Fraction(1, 3), Fraction(1, 3) + Fraction(1, 10**30)],
        LONG,
    ],
)
def test_numbers_that_float64_rounds_to_one_stay_in_their_order(answer: Any) -> None:
    scores = as_scores(answer)
    assert (np.diff(scores) > 0).all()
    assert rank([f"d{i}" for i in range(len(scores))], scores).ties == 0
    turned = as_scores(list(answer)[::-1] if not isinstance(answer, np.ndarray) else answer[::-1])
    assert turned.tolist() == scores.tolist()[::-1]


def test_equal_whole_numbers_tie_whatever_their_size() -> None:
    assert rank(["a", "b", "c"], as_scores([HUGE + 1, HUGE + 1, HUGE])).ties == 2
    assert as_scores([True, False, True]).tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (np.array([np.inf, 1], dtype=np.float16), "float16 ends at 65504; return float32"),
        (torch.tensor([70000.0, 1.0], dtype=torch.float32).half(), "float16 ends at 65504"),
        ([complex(1, 2), 1.0], "numbers are needed, not complex numbers"),
        ([complex(1, 2), 2**60], "numbers are needed, not complex"),
        (torch.tensor([1 + 2j]), "numbers are needed, not complex numbers"),
    ],
)
def test_numbers_that_ran_over_or_have_no_order_are_refused(answer: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_scores(answer)


def test_a_ranking_is_read_in_pieces_of_whole_queries(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    rankings = {
        f"query-{i}": [(f"d{j:06}", float(-j)) for j in range(int(rng.integers(1, 60)))]
        for i in range(3000)
    }
    path = tmp_path / "a.run.gz"
    write_run(path, rankings, tag="a")
    pieces = list(read_pieces(path))
    assert len(pieces) > 1
    assert sum(piece["query"].nunique() for piece in pieces) == len(rankings)
    table = pd.concat(pieces, ignore_index=True).astype({"query": str, "document": str})
    assert table["query"].tolist() == [query for query in rankings for _ in rankings[query]]
    assert table["document"].tolist() == [
        doc for ranking in rankings.values() for doc, _ in ranking
    ]
    assert table["rank"].tolist() == [
        i + 1 for ranking in rankings.values() for i in range(len(ranking))
    ]


def test_a_run_that_needs_a_closer_look_half_way_is_read_once(tmp_path: Path) -> None:
    rows = [f"query-{i} Q0 d{j} {j + 1} {9.0 - j} a\n" for i in range(30_000) for j in range(2)]
    path = tmp_path / "a.run"
    path.write_text("".join(rows) + "last\tQ0\td1\t1\t2.5\ta\n")
    table = pd.concat(list(read_pieces(path)), ignore_index=True)
    assert len(table) == len(rows) + 1
    assert table["query"].astype(str).tolist()[::2][:-1] == [f"query-{i}" for i in range(30_000)]
    path.write_text("".join(rows) + "last Q0 d1 1 no-number a\n")
    with pytest.raises(DataError, match=r"a\.run:60001: "):
        list(read_pieces(path))


def test_a_packed_run_is_read_in_part_and_as_any_gzip_file(tmp_path: Path) -> None:
    path = tmp_path / "run.gz"
    rankings = {
        f"q{number}": [(f"d{number}-{place:04d}", 1000.5 - place) for place in range(900)]
        for number in range(20)
    }
    write_run(path, rankings, "tag")
    content = path.read_bytes()
    assert content.count(b"\x1f\x8b\x08\x04") > 3, "members of some queries each"
    lines = gzip.decompress(content).decode().splitlines()
    assert len(lines) == 20 * 900
    assert lines[900] == "q1 Q0 d1-0000 1 1000.5 tag"
    tally = Tally()
    rows = pd.concat(list(read_pieces(path, {"q3", "q17"}, tally)), ignore_index=True)
    assert (tally.queries, tally.documents) == (20, 18_000)
    assert rows["query"].tolist() == ["q3"] * 900 + ["q17"] * 900
    assert rows["document"].tolist() == [
        name for query in ("q3", "q17") for name, _ in rankings[query]
    ]
    assert rows["rank"].tolist() == [*range(1, 901)] * 2
    # written by something else: all of it is read
    path.write_bytes(gzip.compress(gzip.decompress(content)))
    again = pd.concat(list(read_pieces(path, {"q3", "q17"}, tally := Tally())), ignore_index=True)
    assert (tally.queries, tally.documents) == (20, 18_000)
    assert again["document"].tolist() == rows["document"].tolist()


def test_a_flip_of_a_bit_of_a_packed_run_is_seen_or_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "run.gz"
    write_run(path, {f"q{number}": [("d1", 2.0), ("d0", 1.0)] for number in range(2)}, "tag")
    content = path.read_bytes()
    [member] = members.members_of(path)
    [text] = members.texts_of(path, [member])
    assert (member.query_ids, member.documents) == (["q0", "q1"], 4)
    damaged = 0
    for bit in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            assert list(members.members_of(path)) == [member]
            assert list(members.texts_of(path, [member])) == [text]
        except members.Unmarked:
            damaged += 1
    assert damaged > 7 * len(content), "all but what gzip itself lets pass"
    path.write_bytes(content[:-8] + bytes(4) + content[-4:])
    with pytest.raises(DataError):
        list(read_pieces(path, {"q1"}))
