"""Requests to a reranker and its answers: a query with its candidates' texts, scores or a failure,
and the cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING, Any, TypedDict

from bench.core.errors import RerankerError
from bench.core.late_sequence import LateSequence

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Scores = NDArray[np.float64]


LARGEST_AMOUNT = 1e15
"""Beyond this nothing is a count of tokens, calls or billed units."""


NO_REASON = "no reason given"
"""What is said of a failure that says nothing."""


class CandidateListFields(TypedDict):
    """A candidate list in JSON."""

    query_id: str
    query: str
    doc_ids: list[str]
    docs: list[str]
    scores: list[float]


def is_amount(value: object) -> bool:
    """Return whether a value can be an amount of usage: a number from 0 to LARGEST_AMOUNT."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    amount: Any = value
    return bool(0 <= amount <= LARGEST_AMOUNT)


@dataclass(frozen=True)
class CandidateList:
    """One query and its documents, best first: what goes into a stage and comes out of it.

    `docs` are texts as the document template renders them, empty where nobody reads them; `scores`
    are those of the stage before, empty where they are not known.
    """

    query_id: str
    query: str
    doc_ids: Sequence[str]
    docs: Sequence[str]
    scores: Sequence[float] = ()

    def to_dict(self) -> CandidateListFields:
        """Return the fields for JSON, with the texts that are read late."""
        return {
            "query_id": self.query_id,
            "query": self.query,
            "doc_ids": list(self.doc_ids),
            "docs": list(self.docs),
            "scores": [float(score) for score in self.scores],
        }


def cut(request: CandidateList, keep: int | None) -> CandidateList:
    """Return the first `keep` documents of a list; all of them without a number."""
    if keep is None or keep >= len(request.doc_ids):
        return request
    return replace(
        request,
        doc_ids=request.doc_ids[:keep],
        docs=request.docs[:keep],
        scores=request.scores[:keep],
    )


def picked(
    request: CandidateList, doc_ids: Sequence[str], scores: Sequence[float]
) -> CandidateList:
    """Return a list of these of its documents, in this order, with these scores."""
    docs: Sequence[str] = ()
    if len(request.docs):
        places = {doc_id: place for place, doc_id in enumerate(request.doc_ids)}
        docs = Picked(request.docs, [places[doc_id] for doc_id in doc_ids])
    return replace(request, doc_ids=doc_ids, docs=docs, scores=scores)


class Picked(LateSequence[int, str]):
    """Some of these texts, in an order of their own. None is read before it is asked for."""

    def __init__(self, docs: Sequence[str], places: Sequence[int]) -> None:
        super().__init__(places)
        self._docs = docs

    def _item(self, place: int) -> str:
        return self._docs[place]


@dataclass(frozen=True)
class Failure:
    """Takes the place of the scores of one request that could not be answered; the query counts 0,
    and the reason is recorded.
    """

    reason: str

    def __post_init__(self) -> None:
        """An outsider's code may give an error, or nothing, in the place of a text."""
        reason: object = self.reason
        if reason is None or not str(reason).strip():
            object.__setattr__(self, "reason", NO_REASON)
        elif not isinstance(reason, str):
            object.__setattr__(self, "reason", str(reason))


if TYPE_CHECKING:
    Outcome = Scores | Failure


@dataclass(frozen=True)
class Usage:
    """What a batch of requests cost apart from time, when the reranker knows: the runner adds it up
    in the record.

    `tokens` are real ones, `slots` the same with padding; `truncated` pairs were cut to the maximum
    length, and in `cut_queries` of them the query was cut too. `calls` are HTTP requests, or
    prompts to a generating model; `retries` those among them that repeated a failed one: a timed
    sample with retries is no sample. `tokens_out` were written by a generating model; `repairs` of
    its answers had to be mended, and `cut_answers` of them ended at the limit of written tokens;
    `halvings` times a batch did not fit into the accelerator's memory and was split,
    `split_requests` times an HTTP request was too large for a service. `blanks` are documents
    without text, which were not sent and placed last.
    """

    pairs: int = 0
    tokens: int = 0
    truncated: int = 0
    calls: int = 0
    billed_units: float = 0.0
    slots: int = 0
    cut_queries: int = 0
    retries: int = 0
    tokens_out: int = 0
    repairs: int = 0
    halvings: int = 0
    split_requests: int = 0
    blanks: int = 0
    cut_answers: int = 0

    def __post_init__(self) -> None:
        """Raises RerankerError for an amount that cannot be true: it would be part of every sum and
        bill after it.
        """
        for name, amount in vars(self).items():
            if not is_amount(amount):
                raise RerankerError(
                    f"the reranker reports an impossible usage: {name} {amount!r:.40}"
                )

    def __add__(self, other: Usage) -> Usage:
        mine = asdict(self)
        theirs = asdict(other)
        return Usage(**{name: mine[name] + theirs[name] for name in mine})
