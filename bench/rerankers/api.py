"""What every hosted reranker needs: asking again when that may help, merging answers, and trusting none of them unread.

A client writes `connect` and `ask`. Retries happen here and not inside an SDK, so that they are counted (`Usage.retries`) and a timed
sample that needed one can be told from a clean one.
"""

from __future__ import annotations

import email.utils
import math
import os
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bench.errors import RerankerError, Unavailable
from bench.rerankers.base import BaseReranker, Failure, Request, Usage
from bench.rerankers.options import RerankerOptions

if TYPE_CHECKING:
    from bench.rerankers.base import Outcome

LONGEST_WAIT_S = 60.0


class ApiOptions(RerankerOptions):
    """What every hosted reranker takes."""

    model: str = Field(min_length=1, description="the service's name of the model")
    base_url: str | None = Field(None, description="address of the service, where it is not the usual one")
    timeout_s: float = Field(30.0, gt=0, description="seconds before a request is given up")
    retries: int = Field(3, ge=0, description="further attempts after a time-out, a server error or a rate limit")
    backoff_s: float = Field(1.0, ge=0, description="wait before the first retry, doubled each time; Retry-After goes first")


@dataclass(frozen=True)
class Answer:
    """What a service said: (position of a document in the request, its score), in any order, and what it charged."""

    scores: Sequence[tuple[Any, Any]]
    billed_units: float = 0.0
    tokens: int = 0


class Refusal(Exception):
    """A request that was not answered. `status` is the HTTP status, None when there was no response at all."""

    def __init__(self, reason: str, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.retry_after = retry_after

    @property
    def may_pass(self) -> bool:
        """Whether asking again may help."""
        return self.status is None or self.status in (408, 409, 425, 429) or self.status >= 500


class ApiReranker(BaseReranker):
    """The base of clients.

    A wrong key, an unknown model, an exhausted quota or a broken answer ends the trial; a request that keeps failing becomes a Failure of
    its own query.
    """

    Options: ClassVar[type[RerankerOptions]] = ApiOptions
    placement = "remote"
    service: ClassVar[str]
    key_variable: ClassVar[str]
    documents_per_call: ClassVar[int] = 1000
    options: ApiOptions

    @abstractmethod
    def ask(self, query: str, documents: Sequence[str]) -> Answer:
        """One HTTP request, never repeated inside. Raises Refusal."""

    def check(self) -> None:
        if not os.environ.get(self.key_variable):
            raise Unavailable(f"no {self.key_variable}", f"export {self.key_variable}=...")

    def rerank(self, requests: Sequence[Request]) -> list[Outcome]:
        return [self._answer(request) for request in requests]

    def _answer(self, request: Request) -> Outcome:
        import numpy as np

        scores = np.empty(len(request.docs), dtype=np.float64)
        for start in range(0, len(request.docs), self.documents_per_call):
            documents = request.docs[start : start + self.documents_per_call]
            try:
                answer = self._insist(request.query, documents)
            except Refusal as refusal:
                return Failure(self._plain(refusal))
            scores[start : start + len(documents)] = self._validated(answer, len(documents))
            self.usage += Usage(pairs=len(documents), billed_units=answer.billed_units, tokens=answer.tokens)
        return scores

    def _insist(self, query: str, documents: Sequence[str]) -> Answer:
        """The answer, asked for until it comes or the retries are used up. Raises Refusal or RerankerError."""
        options = self.options
        for attempt in range(options.retries + 1):
            self.usage += Usage(calls=1, retries=int(attempt > 0))
            try:
                return self.ask(query, documents)
            except Refusal as refusal:
                wait = options.backoff_s * 2**attempt if refusal.retry_after is None else refusal.retry_after
                if not refusal.may_pass or attempt == options.retries or wait > LONGEST_WAIT_S:
                    self._raise_if_final(refusal)
                    raise refusal from None
            time.sleep(wait)
        raise RerankerError(f"{self.service}: no attempt was made")

    def _raise_if_final(self, refusal: Refusal) -> None:
        """Raise RerankerError for a refusal that every further request would meet too."""
        said = {
            401: f"the key in {self.key_variable} was refused",
            402: "over quota",
            403: f"the key in {self.key_variable} may not use it",
            404: f"no such model '{self.options.model}', or a wrong base_url",
            429: "over quota or rate limit",
            498: f"the key in {self.key_variable} was refused",
        }.get(refusal.status or 0)
        if said:
            raise RerankerError(f"{self.service}: {said} ({self._plain(refusal)})") from None

    def _validated(self, answer: Answer, count: int) -> list[float]:
        """One finite score per document, in the order of the documents. Raises RerankerError for anything else."""
        found: dict[int, float] = {}
        for position, score in answer.scores:
            if not isinstance(position, int) or isinstance(position, bool) or not 0 <= position < count:
                raise RerankerError(f"{self.service}: the answer scores document {position!r} of {count}")
            if position in found:
                raise RerankerError(f"{self.service}: the answer scores document {position} twice")
            if not isinstance(score, int | float) or not math.isfinite(score):
                raise RerankerError(f"{self.service}: the answer gives document {position} the score {score!r}")
            found[position] = float(score)
        if len(found) != count:
            raise RerankerError(f"{self.service}: the answer has {len(found)} scores for {count} documents")
        return [found[position] for position in range(count)]

    def _plain(self, refusal: Refusal) -> str:
        """The refusal in one short line without the key."""
        text = " ".join(refusal.reason.split())
        key = os.environ.get(self.key_variable, "")
        text = text.replace(key, "***") if key else text
        status = f"HTTP {refusal.status}: " if refusal.status else ""
        return f"{status}{text[:200]}"


def retry_after(headers: Mapping[str, str] | None) -> float | None:
    """Seconds that a Retry-After header asks for, as a number or as a date (RFC 9110, section 10.2.3); None without a usable one."""
    value = {name.lower(): text for name, text in (headers or {}).items()}.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
