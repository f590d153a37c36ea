"""A plain function as a reranker: in a suite, in a notebook, and what it must not return."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bench
from bench import rerankers
from bench.contract.request import CandidateList
from bench.core.errors import RerankerError, SuiteError
from bench.suite.suite import load
from tests.support.paths import ROOT

HERE = "tests.integration.test_function_reranker"
NOT_CALLABLE = [1, 2]


def overlap(query: str, docs: list[str]) -> list[float]:
    """Words in common, as a share of the query."""
    words = set(query.lower().split())
    return [len(words & set(doc.lower().split())) / len(words) for doc in docs]


def crash(query: str, docs: list[str]) -> list[float]:
    raise KeyError("a fault of its own")


class Counting:
    """A callable object."""

    def __call__(self, query: str, docs: Sequence[str]) -> Any:
        return np.arange(len(docs), dtype=np.float32)


def test_a_function_on_its_own() -> None:
    assert bench.reranker(overlap, device="cpu").rerank(
        "red fox", ["a cat", "the red fox", "red"]
    ) == [(1, 1.0), (2, 0.5), (0, 0.0)]


def scaled(scale: int, query: str, docs: list[str]) -> list[int]:
    return [scale * i for i in range(len(docs))]


class Tensor:
    """What numpy cannot read of torch: a number format of its own, a gradient, another device."""

    def detach(self) -> Tensor:
        return self

    cpu = double = detach

    def is_floating_point(self) -> bool:
        return True

    def numpy(self) -> Any:
        return np.arange(3.0)


OTHER_SEQUENCES = [
    lambda query, docs: np.ma.array(range(len(docs)), mask=False),
    lambda query, docs: [Decimal(i) for i in range(len(docs))],
    lambda query, docs: [np.float16(i) for i in range(len(docs))],
    lambda query, docs: Tensor(),
]


@pytest.mark.parametrize(
    "function",
    [Counting(), lambda query, docs: tuple(range(len(docs))), partial(scaled, 1), *OTHER_SEQUENCES],
)
def test_any_callable_and_any_sequence_of_numbers(function: Any) -> None:
    assert bench.reranker(function, device="cpu").score("q", ["a", "b", "c"]).tolist() == [0, 1, 2]


def test_the_function_of_the_docs_works() -> None:
    page = (ROOT / "docs" / "adding.md").read_text(encoding="utf-8")
    [code] = [
        block
        for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL)
        if "def overlap" in block
    ]
    *lines, call = code.strip().splitlines()
    space: dict[str, Any] = {}
    exec("\n".join(lines), space)
    shown, _, expected = call.partition("  # ")
    assert repr(eval(shown, space)) == expected


def test_one_call_a_query_with_a_list_of_texts() -> None:
    seen: list[Any] = []

    def spy(query: str, docs: list[str]) -> list[float]:
        seen.append((query, docs))
        return [0.0] * len(docs)

    made: Any = rerankers.build(spy)
    made.rerank(
        [
            CandidateList("1", "one", ["a"], ("x",)),
            CandidateList("2", "two", ["b", "c"], ("y", "z")),
        ]
    )
    assert seen == [("one", ["x"]), ("two", ["y", "z"])]


def test_it_says_what_it_is_and_is_never_cached() -> None:
    made: Any = rerankers.build(f"{HERE}:overlap")
    assert made.fingerprint() == {}
    assert made.describe().to_dict()["identity"] == {"function": f"{HERE}:overlap"}
    assert bench.reranker(Counting(), device="cpu").describe()["identity"] == {
        "function": f"{HERE}:Counting"
    }
    assert made.pointwise is False


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "must return one number per document: numbers are needed, not NoneType"),
        ([1.0], "scores of shape"),
        ([1.0, float("nan")], "document '1' is not finite"),
        (["high", "low"], "must return one number per document: numbers are needed, not text"),
        (["1.5", "2"], "not text"),
        ([1.0, None], "not NoneType"),
        ([1.0, "2"], "not text"),
        ([[1.0], [1.0, 2.0]], "must return one number per document"),
        ({"a": 1}, "not dict"),
        ((score for score in (1.0, 2.0)), "not generator"),
        (np.array(["2020-01-01", "2021-01-01"], dtype="datetime64[D]"), "not dates"),
        (np.array([1, 2], dtype="timedelta64[s]"), "not time spans"),
        ([1 + 2j, 3.0], "not complex numbers"),
        (np.ma.array([1.0, 2.0], mask=[False, True]), "some of these are masked"),
        ([10**400, 1], "must return one number per document"),
        ([[1.0], [2.0]], "scores of shape"),
    ],
)
def test_answers_that_are_no_scores(answer: Any, message: str) -> None:
    with pytest.raises(RerankerError, match=message):
        bench.reranker(lambda query, docs: answer, device="cpu").score("q", ["a", "b"])


def test_what_is_neither_function_nor_reranker() -> None:
    for name in ("NOT_CALLABLE", "Counting"):
        with pytest.raises(
            SuiteError,
            match=r"is not a class with a method score\(pairs\) or predict\(pairs\), nor a "
            r"function",
        ):
            rerankers.build(f"{HERE}:{name}")
    with pytest.raises(SuiteError, match="is not a function"):
        bench.reranker(Counting, device="cpu")
    with pytest.raises(SuiteError, match="a function as reranker: option 'top': unknown key"):
        bench.reranker(overlap, device="cpu", top=3)


def test_a_suite_names_a_function(collection: Path, tmp_path: Path) -> None:
    """Timed and recorded like any other row, computed again each time, and its own fault is one
    row's failure.
    """
    entries = [{f"{HERE}:overlap": {"name": "overlap"}}, {f"{HERE}:crash": {"name": "crash"}}]
    plan = {"queries": 3, "rounds": 2, "warmup_max": 3}
    suite = {
        "name": "tiny",
        "datasets": [f"files:{collection}"],
        "rerankers": entries,
        "latency": plan,
        "depth": 5,
        "devices": "cpu",
    }
    assert [part.name for part in load(suite).rerankers] == [f"{HERE}:overlap", f"{HERE}:crash"]
    run = bench.run(suite, out=tmp_path / "results")
    records = {record.trial.reranker: record for record in run.records.values()}
    assert "crash" not in records
    [failed] = [status for status in run.info.trials if status.trial.reranker == "crash"]
    assert failed.status == "failed"
    assert "a fault of its own" in str(failed.reason)
    assert records["overlap"].description["backend"] == "function"
    assert set(run.latency["trial"]) == {records["overlap"].trial.id}
