"""Rerankers that are unstable in one way each, and a clean one, over hand-made lists."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from bench.contract.request import CandidateList
from bench.contract.stage import Description
from bench.core.options import option
from bench.probes.base import ProbedQuery
from bench.rerankers.base import BaseReranker
from bench.rerankers.options import RerankerOptions

TOPICS = ("boil eggs", "plant roses", "mend bicycles", "brew coffee", "train puppies", "bake bread")
DOCS = 6
QUERIES = tuple(
    CandidateList(
        f"q{number}",
        f"how do I {topic} properly {number}",
        [f"d{place}" for place in range(DOCS)],
        [
            f"Report {place}: this is a text about {' '.join(topic.split()[:place])} and other "
            f"matters{' properly' * (place > 2)}{' explained' * (place > 3)}"
            for place in range(DOCS)
        ],
    )
    for number, topic in enumerate(TOPICS)
)
QRELS = {query.query_id: {"d5": 2, "d4": 1} for query in QUERIES}
LISTS = [ProbedQuery(query, frozenset({4, 5}), number) for number, query in enumerate(QUERIES)]
Fault = Callable[["Planted", CandidateList, "Scores"], "Scores"]
Scores = Any


class PlantedOptions(RerankerOptions):
    fault: str = option("", decides="scores")
    batch_size: int | None = option(None, decides="speed")


def clean(query: str, text: str) -> float:
    """A score by the number of a report and its topic: no other word moves it."""
    number = re.search(r"report (\d)", text.casefold())
    if number is None:
        return -1.0
    return float(number[1]) + 0.1 * len(set(query.casefold().split()) & {"boil", "plant"})


def where(condition: Callable[[CandidateList], bool]) -> Fault:
    """Return a fault that turns the order of lists around."""

    def fault(reranker: Planted, request: CandidateList, scores: Scores) -> Scores:
        return -scores if condition(request) else scores

    return fault


def likes(condition: Callable[[str], bool]) -> Fault:
    """Return a fault that raises the scores of some texts."""

    def fault(reranker: Planted, request: CandidateList, scores: Scores) -> Scores:
        return scores + 4.0 * np.array([condition(text) for text in request.docs])

    return fault


def falling(request: CandidateList) -> bool:
    ids = list(request.doc_ids)
    return len(ids) > 2 and all(first > second for first, second in pairwise(ids))


def mixed(request: CandidateList) -> bool:
    ids = [name for name in request.doc_ids if not name.startswith("probe")]
    return ids != sorted(ids) and not falling(request)


def tripled(text: str) -> bool:
    third = (len(text) - 2) // 3
    return len(text) > 20 and text == " ".join([text[:third]] * 3)


def has_typo(request: CandidateList) -> bool:
    return not {"properly", "please", "explain", "PROPERLY"} & set(request.query.split()) or not (
        any(topic in request.query.casefold() for topic in TOPICS)
    )


def another_batch(reranker: Planted, request: CandidateList, scores: Scores) -> Scores:
    return -scores if reranker.options.batch_size == 3 else scores


def another_call(reranker: Planted, request: CandidateList, scores: Scores) -> Scores:
    return -scores if reranker.calls > 1 else scores


def per_request(reranker: Planted, request: CandidateList, scores: Scores) -> Scores:
    """Scores between the smallest and the largest of the request, a half list's alone."""
    if len(scores) != DOCS // 2:
        return scores
    return (scores - scores.min()) / np.ptp(scores)


ORDERS = re.compile("instructions|ranking system|System:|Relevant: true|im_start")
FAULTS: Mapping[str, Fault] = {
    "second-call": another_call,
    "reversed": where(falling),
    "shuffled": where(mixed),
    "alone": where(lambda request: len(request.doc_ids) == 1),
    "batch-size": another_batch,
    "neighbour": where(lambda request: any(len(text.split()) == 400 for text in request.docs)),
    "split": per_request,
    "blank": where(lambda request: "" in request.docs),
    "duplicate": where(lambda request: len(set(request.docs)) < len(request.docs)),
    "title": where(lambda request: request.docs[0].startswith("Title:")),
    "json": where(lambda request: request.docs[0].startswith("{")),
    "markdown": where(lambda request: request.docs[0].startswith("##")),
    "paraphrase": where(lambda request: request.query.startswith("what is the way")),
    "negation": likes(lambda text: " not " in text),
    "repetition": likes(tripled),
    "length": likes(lambda text: 100 < len(text.split()) < 300),
    "injection": likes(lambda text: bool(ORDERS.search(text))),
}
"""Name of a probe -> the fault that it is for."""
SENSITIVE: Mapping[str, Fault] = {
    "position": likes(lambda text: text.startswith("Report") and len(text.split()) > 300),
    "upper-case": where(lambda request: request.query.isupper()),
    "typos": where(has_typo),
}
"""The same, of the probes that only report."""


class Planted(BaseReranker):
    """Clean but for one fault."""

    Options = PlantedOptions
    options: PlantedOptions

    def __init__(self, options: Any, device: str = "cpu") -> None:
        super().__init__(options, device)
        self.calls = 0

    @property
    def is_sure_pointwise(self) -> bool:
        return True

    def describe(self) -> Description:
        return Description("planted", {"fault": self.options.fault})

    def rerank(self, requests: Sequence[CandidateList]) -> list[Any]:
        self.calls += 1
        fault = {**FAULTS, **SENSITIVE}.get(self.options.fault)
        answers: list[Any] = []
        for request in requests:
            scores = np.array([clean(request.query, text) for text in request.docs])
            if fault is not None:
                scores = fault(self, request, scores)
            answers.append(scores)
        return answers
