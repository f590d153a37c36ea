"""The rows that compute nothing: first stage, oracle, published run."""

from __future__ import annotations

import gzip
import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import rerankers
from bench.errors import DataError, RerankerError, Unavailable
from bench.measure.ranking import rank
from bench.rerankers.base import Request


def order(reranker: Any, query_id: str, doc_ids: list[str]) -> list[str]:
    """The ranking that the reranker's scores give under the tie rule; scores must fall strictly."""
    (scores,) = reranker.rerank([Request(query_id, "text", doc_ids, ["text"] * len(doc_ids))])
    assert len(set(scores)) == len(doc_ids)
    return list(rank(doc_ids, scores.tolist()).doc_ids)


def dcg(grades: list[int]) -> float:
    return sum(grade / math.log2(position + 2) for position, grade in enumerate(grades))


IDS = st.lists(st.text("abcxyz0189", min_size=1, max_size=4), unique=True, max_size=6)


@given(IDS)
def test_the_first_stage_keeps_its_order(doc_ids: list[str]) -> None:
    assert order(rerankers.build("first-stage"), "q", doc_ids) == doc_ids


@given(IDS, st.data())
def test_no_order_is_better_than_the_oracles(doc_ids: list[str], data: st.DataObject) -> None:
    grades = {doc_id: data.draw(st.integers(0, 3)) for doc_id in doc_ids if data.draw(st.booleans())}
    oracle = rerankers.build("oracle")
    oracle.bind({"q": grades})
    found = order(oracle, "q", doc_ids)
    assert sorted(found) == sorted(doc_ids)
    best = max(dcg([grades.get(doc_id, 0) for doc_id in permutation]) for permutation in itertools.permutations(doc_ids))
    assert dcg([grades.get(doc_id, 0) for doc_id in found]) == pytest.approx(best)


def test_the_oracle_keeps_the_first_stages_order_among_equals() -> None:
    oracle = rerankers.build("oracle")
    oracle.bind({"q": {"c": 1, "a": 1, "z": 2}})
    assert order(oracle, "q", ["b", "c", "a", "z", "d"]) == ["z", "c", "a", "b", "d"]
    assert order(oracle, "unjudged", ["b", "c"]) == ["b", "c"]


def test_the_oracle_needs_judgments() -> None:
    with pytest.raises(RerankerError, match="no judgments"):
        order(rerankers.build("oracle"), "q", ["a"])


def published(tmp_path: Path, lines: str, name: str = "published.run") -> Any:
    path = tmp_path / name
    path.write_bytes(gzip.compress(lines.encode()) if name.endswith(".gz") else lines.encode())
    return rerankers.build("run-file", name, base_dir=tmp_path)


@pytest.mark.parametrize("name", ["published.run", "published.run.gz"])
def test_a_run_orders_its_candidates_by_the_tie_rule(tmp_path: Path, name: str) -> None:
    """Scores decide, never the rank column; equal scores go by doc_id, falling."""
    run = published(tmp_path, "q Q0 a 1 2.0 t\nq Q0 b 2 5.0 t\nq Q0 c 3 2.0 t\nq Q0 elsewhere 4 1.0 t\n", name)
    run.check()
    run.bind({"q": {"a": 1}})
    run.load()
    assert order(run, "q", ["x", "a", "b", "y", "c"]) == ["b", "c", "a", "x", "y"]
    assert order(run, "q2", ["n", "m"]) == ["n", "m"]
    expected = {"source": name, "queries_absent": 1, "candidates_absent": 4, "extra_documents": 1}
    assert run.describe().facts == expected
    order(run, "q", ["x", "a", "b", "y", "c"])
    assert run.describe().facts == expected, "a request asked twice counts once"


def test_equal_runs_have_one_identity_wherever_they_lie(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    line = "q Q0 a 1 2.0 t\n"
    first, second = published(tmp_path, line), published(tmp_path / "other", line, "copy.run")
    third = published(tmp_path, "q Q0 a 1 3.0 t\n", "third.run")
    assert first.describe().identity == second.describe().identity != third.describe().identity


def test_a_run_of_another_collection_is_an_error(tmp_path: Path) -> None:
    run = published(tmp_path, "q Q0 a 1 2.0 t\n")
    run.bind({"1": {}, "2": {}})
    with pytest.raises(RerankerError, match="has none of the 2 judged queries"):
        run.load()


def test_a_missing_or_malformed_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no such run file"):
        rerankers.build("run-file", "nowhere.run", base_dir=tmp_path).check()
    with pytest.raises(DataError, match="2"):
        published(tmp_path, "q Q0 a 1 2.0 t\nthis is no run\n").load()
    with pytest.raises(RerankerError, match="load\\(\\) comes before"):
        order(published(tmp_path, "q Q0 a 1 2.0 t\n"), "q", ["a"])


def test_fixed_rows_are_not_worth_caching() -> None:
    assert rerankers.build("first-stage").fingerprint() == rerankers.build("oracle").fingerprint() == {}
    assert np.dtype(np.float64) == rerankers.build("first-stage").rerank([Request("q", "t", ["a"], ["t"])])[0].dtype
