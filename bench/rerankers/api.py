"""What every hosted reranker needs: asking again when that may help, merging answers, and trusting none of them unread.

A client writes `connect` and `ask`. Retries happen here and not inside an SDK, so that they are counted (`Usage.retries`) and a timed
sample that needed one can be told from a clean one. Limits per minute are waited for between the calls of `rerank` where possible.
"""

from __future__ import annotations

import math
import os
import time
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from importlib.util import find_spec
from threading import Event, Lock
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from bench import catalogue
from bench.errors import RerankerError, Unavailable
from bench.price import Price
from bench.rerankers.address import is_address, nobody_at, require_listener
from bench.rerankers.answer import Answer
from bench.rerankers.base import BaseReranker, Description, Failure, Request, Usage, pair_tokens
from bench.rerankers.options import RerankerOptions
from bench.rerankers.pacing import Pace
from bench.rerankers.refusal import Refusal
from bench.rerankers.tiny import is_tiny
from bench.rerankers.weights import versions

if TYPE_CHECKING:
    from bench.rerankers.base import Outcome, Scores

LONGEST_WAIT_S = 60.0
ANSWERS_AT_RISK, SECONDS_AT_RISK = 4, 0.5
"""Answers are handed over for keeping when there are this many, or after this time."""
GIVE_UP_AFTER = 20
"""Failed queries in a row after which a service is taken to be down."""
DOCUMENTS_PER_SEARCH, TOKENS_PER_DOCUMENT = 100, 500  # https://cohere.com/pricing, https://docs.pinecone.io/models/cohere-rerank-4-fast
_UNREADABLE = (TypeError, ValueError, AttributeError, LookupError)  # what an SDK raises that reads an answer without checking it


class ApiOptions(RerankerOptions):
    """What every hosted reranker takes."""

    model: str = Field(min_length=1, description="the service's name of the model")
    base_url: str | None = Field(None, description="address of the service, where it is not the usual one")
    timeout_s: float = Field(30.0, gt=0, description="seconds before a request is given up")
    retries: int = Field(3, ge=0, description="further attempts after a time-out, a server error or a rate limit")
    backoff_s: float = Field(1.0, ge=0, description="wait before the first retry, doubled each time; Retry-After goes first")
    concurrency: int = Field(1, ge=1, le=256, description="HTTP requests in flight at once")
    requests_per_minute: float | None = Field(None, gt=0, description="HTTP requests a minute, evenly spread; no limit when absent")
    tokens_per_minute: float | None = Field(None, gt=0, description="tokens a minute, as the service counts them; no limit when absent")
    price: Price | None = Field(None, description="what the service charges, in place of the catalogue's: {usd: 2, per: 1000 searches}")

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is not None and not is_address(value):
            raise ValueError("not an address such as https://api.example.com/v1")
        return value


class ApiReranker(BaseReranker):
    """The base of clients.

    A wrong key, an unknown model, an exhausted quota or a broken answer ends the trial; a request that keeps failing becomes a Failure of
    its own query. With `concurrency` above 1, `ask` is called by several threads.
    """

    Options: ClassVar[type[RerankerOptions]] = ApiOptions
    placement = "remote"
    service: ClassVar[str]
    package: ClassVar[str]
    key_variable: str | None
    address: ClassVar[str | None] = None
    address_variable: ClassVar[str | None] = None
    documents_per_call: int = 1000
    options: ApiOptions

    def __init__(self, options: Any, device: str = "cpu") -> None:
        super().__init__(options, device)
        self._client: Any = None
        self._pool: ThreadPoolExecutor | None = None
        self._pace = Pace(options.requests_per_minute, options.tokens_per_minute)
        self._stop, self._counting = Event(), Lock()
        self._answered: list[tuple[Request, Scores]] = []
        self._handing, self._handed_at = Lock(), 0.0
        self._ended_early = False
        self._refused = 0

    @abstractmethod
    def connect(self, key: str) -> Any:
        """The client that `ask` finds as `_client`; nothing is sent. `key` is empty only where none is needed."""

    @abstractmethod
    def ask(self, query: str, documents: Sequence[str]) -> Answer:
        """One HTTP request, never repeated inside. Raises Refusal."""

    def disconnect(self, client: Any) -> None:
        """Close the client's connections."""

    def settings(self) -> dict[str, Any]:
        """What decides the scores beside the model and the host."""
        return {}

    def check(self) -> None:
        if find_spec(self.package) is None:
            raise Unavailable(f"{self.package} not installed", "pip install 'rerank-bench[api]'")
        if self.key_variable and not self._key():
            raise Unavailable(f"no {self.key_variable}", f"export {self.key_variable}=...")
        require_listener(self._base_url())

    def fingerprint(self) -> dict[str, Any]:
        return {"backend": self.service, **self._identity()}

    def price(self) -> Price | None:
        """What the service charges: the suite's word, else the catalogue's for this model at this address."""
        base_url = self._base_url()
        listed = catalogue.price(self.service, self.options.model, base_url if base_url != self.address else None)
        return self.options.price or listed

    def expected_usage(self, requests: Sequence[Request], tokens: Callable[[str], int]) -> Usage:
        """As told by services that count the query once per document. Search units are told where the price is for them."""
        pairs, length = pair_tokens(requests, tokens)
        calls = [(request, start) for request in requests for start in self._starts(request)]
        price = self.price()
        units = sum(self._search_units(*call, tokens) for call in calls) if price and price.per == "1000 searches" else 0
        return Usage(pairs=pairs, calls=len(calls), tokens=length, billed_units=float(units))

    def load(self) -> None:
        if self._client is None:
            self.check()
            self._client = self.connect(self._key())
        if self._pool is None and self.options.concurrency > 1:  # kept: some SDKs hold a connection per thread
            self._pool = ThreadPoolExecutor(self.options.concurrency, thread_name_prefix=self.service)

    def describe(self) -> Description:
        names = ("timeout_s", "retries", "concurrency", "requests_per_minute", "tokens_per_minute")
        facts = {name: getattr(self.options, name) for name in names}
        if is_tiny(self.options.model):
            facts["random_weights"] = True
        return Description(self.service, self._identity(), facts | {"sdk": versions(self.package)[self.package]})

    def rerank(self, requests: Sequence[Request]) -> list[Outcome]:
        import numpy as np

        if self._client is None:
            raise RerankerError(f"{self.service}: load() comes before rerank()")
        scores = [np.empty(len(request.docs), dtype=np.float64) for request in requests]
        parts = [(number, start) for number, one in enumerate(requests) for start in self._starts(one)]
        open_parts = Counter(number for number, _ in parts)
        failures: dict[int, Failure] = {}

        def answer(part: tuple[int, int]) -> None:
            number, start = part
            if number not in failures:
                try:
                    self._answer(requests[number], start, scores[number])
                except Refusal as refusal:
                    failures[number] = Failure(self._plain(refusal))
                    self._give_up_if_down(failures[number])
                else:
                    with self._counting:
                        self._refused = 0
                        open_parts[number] -= 1
                        is_answered = not open_parts[number]
                    if is_answered:
                        self._hand_over(requests[number], scores[number])

        self._answered, self._handed_at, self._ended_early = [], time.monotonic(), True
        self._each(answer, parts)
        self._answered, self._ended_early = [], False
        return [failures.get(number, found) for number, found in enumerate(scores)]

    def take_answered(self) -> list[tuple[Request, Scores]]:
        with self._counting:
            answers, self._answered = self._answered, []
        return answers

    def take_usage(self) -> Usage:
        """What rerank() has cost. Called between timed calls, so that what the limits owe is waited for here and not in a sample."""
        if not self._ended_early:  # otherwise rerank() raised, and nobody waits for more
            self._stop.wait(self._pace.owed())
        return super().take_usage()

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
        if self._client is not None:
            self.disconnect(self._client)
            self._client = None

    def _starts(self, request: Request) -> range:
        """Where each HTTP request of one query begins among its documents."""
        return range(0, len(request.docs), self.documents_per_call)

    def _search_units(self, request: Request, start: int, tokens: Callable[[str], int]) -> int:
        """Search units of one HTTP request: one covers a query with up to 100 documents, of which a long one counts once per 500 tokens."""
        query, docs = tokens(request.query), request.docs[start : start + self.documents_per_call]
        return math.ceil(sum(math.ceil(max(1, query + tokens(doc)) / TOKENS_PER_DOCUMENT) for doc in docs) / DOCUMENTS_PER_SEARCH)

    def _each(self, answer: Callable[[tuple[int, int]], None], parts: Sequence[tuple[int, int]]) -> None:
        """Answer every part; the first RerankerError stops the others before their next request."""
        if self._pool is None:
            for part in parts:
                answer(part)
            return

        def guarded(part: tuple[int, int]) -> None:
            try:
                answer(part)
            except BaseException:
                self._stop.set()  # here and not in the waiting thread, which may wake after further requests
                raise

        futures = [self._pool.submit(guarded, part) for part in parts]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        except BaseException:
            self._stop.set()
            wait(futures)
            raise
        finally:
            self._stop.clear()

    def _hand_over(self, request: Request, scores: Scores) -> None:
        """Put an answer among those to keep, and have them kept every few answers."""
        now = time.monotonic()
        with self._counting:
            self._answered.append((request, scores))
            many = len(self._answered) >= max(ANSWERS_AT_RISK, self.options.concurrency)
            is_due = many or now - self._handed_at >= SECONDS_AT_RISK
            if is_due:
                self._handed_at = now
        if is_due and self.on_answers:
            with self._handing:
                self.on_answers()

    def _answer(self, request: Request, start: int, scores: Scores) -> None:
        """Write the scores of one HTTP request's documents. Raises Refusal or RerankerError."""
        documents = request.docs[start : start + self.documents_per_call]
        answer = self._insist(request.query_id, request.query, documents)
        scores[start : start + len(documents)] = answer.in_order(len(documents), self.service)
        self._count(Usage(pairs=len(documents), billed_units=answer.billed_units, tokens=answer.tokens), request.query_id)

    def _insist(self, query_id: str, query: str, documents: Sequence[str]) -> Answer:
        """The answer, asked for until it comes or the retries are used up. Raises Refusal or RerankerError."""
        options = self.options
        for attempt in range(options.retries + 1):
            if self._stop.wait(self._pace.book()):
                raise Refusal("stopped")
            self._count(Usage(calls=1, retries=int(attempt > 0)), query_id)
            try:
                return self._asked(query, documents)
            except Refusal as refusal:
                pause = options.backoff_s * 2**attempt if refusal.retry_after is None else refusal.retry_after
                if not refusal.may_pass or attempt == options.retries or pause > LONGEST_WAIT_S:
                    self._raise_if_final(refusal)
                    raise refusal from None
            self._stop.wait(pause)
        raise RerankerError(f"{self.service}: no attempt was made")

    def _asked(self, query: str, documents: Sequence[str]) -> Answer:
        try:
            answer = self.ask(query, documents)
        except _UNREADABLE as error:
            raise RerankerError(f"{self.service}: the answer cannot be read ({type(error).__name__})") from None
        answer.refuse_impossible(self.service)
        self._pace.charge(answer.tokens + answer.tokens_out)
        return answer

    def _count(self, usage: Usage, query_id: str | None = None) -> None:
        with self._counting:
            super()._count(usage, query_id)

    def _raise_if_final(self, refusal: Refusal) -> None:
        """Raise RerankerError for a refusal that every further request would meet too."""
        if refusal.refused:
            raise RerankerError(f"{self.service}: {nobody_at(self._base_url() or self.address or '')}")
        key = f"the key in {self.key_variable}" if self.key_variable else "a request without a key"
        said = {
            401: f"{key} was refused",
            402: "over quota",
            403: f"{key} may not use it",
            404: f"no such model '{self.options.model}', or a wrong base_url",
            429: "over quota or rate limit",
            498: f"{key} was refused",
        }.get(refusal.status or 0)
        if said:
            raise RerankerError(f"{self.service}: {said} ({self._plain(refusal)})") from None

    def _give_up_if_down(self, last: Failure) -> None:
        """Raise RerankerError after so many queries failed in a row, retries included, that the others would too."""
        with self._counting:
            self._refused += 0 if self._stop.is_set() else 1
            if self._refused < GIVE_UP_AFTER:
                return
            self._refused = 0
        raise RerankerError(f"{self.service}: gave up after {GIVE_UP_AFTER} failed queries in a row ({last.reason}); run again to go on")

    def _plain(self, refusal: Refusal) -> str:
        """The refusal in one short line without the key."""
        text, key = " ".join(refusal.reason.split()), self._key()
        text = text.replace(key, "***") if key else text
        status = f"HTTP {refusal.status}: " if refusal.status else ""
        return f"{status}{text[:200]}"

    def _key(self) -> str:
        return os.environ.get(self.key_variable, "") if self.key_variable else ""

    def _base_url(self) -> str | None:
        """The address to give to the SDK; None for its usual one."""
        return self.options.base_url or (os.environ.get(self.address_variable) if self.address_variable else None)

    def _identity(self) -> dict[str, Any]:
        host = urlsplit(self._base_url() or self.address or "").hostname
        return {"model": self.options.model, **self.settings(), "host": host}
