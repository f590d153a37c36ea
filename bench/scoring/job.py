"""Requests that are scored together, and what a reranker answers to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.contract.identity import Fields
from bench.contract.meter import Meter
from bench.contract.request import CandidateList, Failure
from bench.contract.stage import Reranker
from bench.core.counting import counted
from bench.core.errors import RerankerError
from bench.core.note import Note
from bench.ranking.order import as_scores

if TYPE_CHECKING:
    from bench.contract.request import Scores


@dataclass
class Job:
    """Requests that are scored together. What that takes goes to `meter`.

    `keys` are those of the score cache by query id, empty where nothing is cached: then nobody asks
    whether the reranker is still the one that the cache is named after.
    """

    requests: Sequence[CandidateList]
    keys: Mapping[str, str] = field(default_factory=dict)
    meter: Meter = field(default_factory=Meter)

    def answered_by(self, reranker: Reranker) -> Answer:
        """Return the answer of a reranker that has loaded. Raises RerankerError where it breaks its
        contract.
        """
        outcomes = checked(reranker, self.requests, self.meter)
        query_ids = self.query_ids
        if not self.keys:
            return Answer(outcomes, query_ids=query_ids)
        return Answer(outcomes, reranker.doubt(), query_ids=query_ids)

    @property
    def query_ids(self) -> tuple[str, ...]:
        return tuple(request.query_id for request in self.requests)


@dataclass(frozen=True)
class Answer:
    """Scores or a failure per request of a job. `doubt` says why it is not certain that what
    answered is what the score cache is named after; `description` what loaded, where it loaded in
    another process; `note` what a reader should know of how it came about; `query_ids` which
    requests it belongs to, empty where nobody says.
    """

    outcomes: Sequence[Scores | Failure]
    doubt: Note | None = None
    description: Fields | None = None
    note: Note | None = None
    query_ids: Sequence[str] = ()


def checked(
    reranker: Reranker, requests: Sequence[CandidateList], meter: Meter
) -> list[Scores | Failure]:
    """Return the reranker's answers. Raises RerankerError unless there is one per request, with a
    finite number per document.
    """
    return usable(reranker.score_lists(requests, meter), requests, "the reranker")


def usable(
    outcomes: Sequence[Scores | Failure], requests: Sequence[CandidateList], who: str
) -> list[Scores | Failure]:
    """Return the answers of `who`. Raises RerankerError unless there is one per request, with a
    finite number per document.
    """
    import numpy as np

    if len(outcomes) != len(requests):
        raise RerankerError(
            f"{who} answered {len(outcomes)} of {counted(len(requests), 'request')}"
        )
    answers: list[Scores | Failure] = []
    for request, outcome in zip(requests, outcomes, strict=True):
        if isinstance(outcome, Failure):
            answers.append(outcome)
            continue
        try:
            scores = as_scores(outcome)
        except ValueError as error:
            raise RerankerError(f"query '{request.query_id}': {error}") from error
        if scores.shape != (len(request.docs),):
            raise RerankerError(
                f"query '{request.query_id}': scores of shape {scores.shape} for "
                f"{counted(len(request.docs), 'document')}"
            )
        if not np.isfinite(scores).all():
            where = request.doc_ids[int(np.flatnonzero(~np.isfinite(scores))[0])]
            raise RerankerError(
                f"query '{request.query_id}': the score of document '{where}' is not finite"
            )
        answers.append(scores)
    return answers
