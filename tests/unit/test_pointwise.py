"""Whose scores serve other lists: those of classes that are pointwise for sure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from bench import rerankers
from bench.contract.request import CandidateList
from bench.contract.stage import Description
from bench.rerankers.base import BaseReranker, PointwiseReranker
from bench.rerankers.options import RerankerOptions
from bench.scoring.known import shares_pairs


class Listwise(BaseReranker):
    """Looks at all documents of a list, and says nothing about it."""

    def fingerprint(self) -> dict[str, Any]:
        return {"backend": "listwise of an outsider"}

    def describe(self) -> Description:
        return Description("listwise", {})

    def rerank(self, requests: Sequence[CandidateList]) -> list[Any]:
        return [np.arange(len(request.docs)) for request in requests]


class Declared(Listwise):
    pointwise = True


class Calibrated(Declared):
    reads_scores = True


class ByPair(PointwiseReranker):
    def fingerprint(self) -> dict[str, Any]:
        return {"backend": "pairs of an outsider"}

    def describe(self) -> Description:
        return Description("pairs", {})

    def score(self, pairs: Sequence[tuple[str, str]]) -> Any:
        return np.zeros(len(pairs))


class Duck:
    """A stage that inherits nothing."""

    Options = RerankerOptions

    def __init__(self, options: Any, device: str = "cpu") -> None:
        self.options = options

    def fingerprint(self) -> dict[str, Any]:
        return {"backend": "duck"}

    def describe(self) -> Description:
        return Description("duck", {})

    def rerank(self, requests: Sequence[CandidateList]) -> list[Any]:
        return [np.arange(len(request.docs)) for request in requests]


class PointwiseDuck(Duck):
    pointwise = True


@pytest.mark.parametrize(
    ("kind", "is_sure"),
    [
        (Listwise, False),
        (Declared, True),
        (Calibrated, False),
        (ByPair, True),
        (Duck, False),
        (PointwiseDuck, True),
    ],
)
def test_an_outsiders_scores_serve_other_lists_where_it_says_so(kind: type, is_sure: bool) -> None:
    reranker = rerankers.build(f"{__name__}:{kind.__name__}")
    assert (reranker.is_sure_pointwise, shares_pairs(reranker)) == (is_sure, is_sure)


@pytest.mark.parametrize(("name", "is_sure"), [("word-overlap", True), ("listwise", False)])
def test_ours_say_what_they_are(name: str, is_sure: bool) -> None:
    options = {"model": "tiny:qwen3"} if name == "listwise" else {}
    assert shares_pairs(rerankers.build(name, options)) is is_sure
