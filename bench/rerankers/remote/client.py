"""What every hosted reranker needs: asking again when that may help, merging answers, and trusting
none of them unread.

A client writes `connect` and `ask`. Retries happen here and not inside an SDK, so that they are
counted (`Usage.retries`) and a timed sample that needed one differs from a clean one. Limits
per minute are waited for between the calls of `rerank` where possible.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import cached_property
from threading import Event, Lock
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract.request import CandidateList, Failure, Usage
from bench.contract.stage import Description
from bench.core.errors import RerankerError, Unavailable
from bench.core.note import Code, note
from bench.models.tiny import is_tiny
from bench.models.weights import versions
from bench.rerankers.base import pair_usage
from bench.rerankers.options import RerankerOptions
from bench.rerankers.remote.address import nobody_at
from bench.rerankers.remote.answer import Answer
from bench.rerankers.remote.base import RemoteReranker
from bench.rerankers.remote.options import ApiOptions
from bench.rerankers.remote.overlap import Part, merged, place_of_overlap, steps
from bench.rerankers.remote.pacing import Pace
from bench.rerankers.remote.refusal import HINTS, Kind, Refusal
from bench.rerankers.remote.splitting import Splitter

if TYPE_CHECKING:
    from bench.contract.request import Outcome, Scores

LONGEST_WAIT_S = 65.0
"""A service that allows a number of calls a minute is waited for."""
GIVE_UP_AFTER = 20
"""Failed queries in a row after which a service is taken to be down."""
# https://cohere.com/pricing, https://docs.pinecone.io/models/cohere-rerank-4-fast
DOCUMENTS_PER_SEARCH = 100
TOKENS_PER_DOCUMENT = 500
SPEED_FACTS = {
    "timeout_s",
    "retries",
    "concurrency",
    "requests_per_minute",
    "tokens_per_minute",
}
"""The options that a description repeats, since they decide how long an answer takes."""
_UNREADABLE = (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, RecursionError)
"""What an SDK raises that reads an answer without checking it."""


class ApiReranker(RemoteReranker):
    """The base of clients.

    A wrong key, an unknown model, an exhausted quota or a broken answer ends the trial; a request
    that keeps failing becomes a Failure of its own query. With `concurrency` above 1, `ask` is
    called by several threads.
    """

    Options: ClassVar[type[RerankerOptions]] = ApiOptions
    documents_per_call: int = 1000
    sends_blanks = False
    """Whether documents without text are sent: most services refuse the whole request for one."""
    hints: ClassVar[dict[Kind, str]] = HINTS
    requests_of: ClassVar[str] = "queries"
    """What a message calls what it is asked."""
    options: ApiOptions

    def __init__(self, options: Any, device: str = "cpu") -> None:
        super().__init__(options, device)
        self._client: Any = None
        self._http: Any = None
        self.documents_per_call = options.largest_request or self.documents_per_call
        self._pool: ThreadPoolExecutor | None = None
        self.concurrency = options.concurrency
        self.requests_per_minute = options.requests_per_minute
        self.tokens_per_minute = options.tokens_per_minute
        self._pace = Pace(options.requests_per_minute, options.tokens_per_minute)
        self._stop, self._counting = Event(), Lock()
        self._ended_early = False
        self._refused = 0

    @cached_property
    def _splitter(self) -> Splitter:
        return Splitter(
            self._asked_at_once,
            self._count_split,
            may_split=self.pointwise,
            overlaps=self._overlaps,
        )

    @abstractmethod
    def connect(self, key: str, http: Any) -> Any:
        """Return the client that `ask` finds as `_client`, speaking through `http` (an httpx.Client
        that bounds time and size); nothing is sent. `key` is empty only where none is needed.
        """

    @abstractmethod
    def ask(self, query: str, documents: Sequence[str]) -> Answer:
        """Return the answer to one HTTP request, never repeated inside. Raises Refusal."""

    def expected_usage(
        self, requests: Sequence[CandidateList], tokens: Callable[[str], int]
    ) -> Usage:
        """Return what the requests would use, as services count that take the query once per
        document. Search units are counted where the price is for them.
        """
        price = self.price()
        is_by_search = price is not None and price.per == "1000 searches"
        usage = pair_usage(requests, tokens)
        calls = units = 0
        for request in requests:
            parts = self._parts(request)
            calls += len(parts)
            if self._overlaps:
                # which document it will be is not known: the first one takes its place
                parts[1:] = [[parts[0][0], *part] for part in parts[1:]]
                again = [request.docs[part[0]] for part in parts[1:]]
                usage += pair_usage([replace(request, docs=again)], tokens)
            if is_by_search:
                units += sum(self._search_units(request, part, tokens) for part in parts)
        return usage + Usage(calls=calls, billed_units=float(units))

    def load(self) -> None:
        if self._client is None:
            self.check()
            if not self._knows_what_is_served():
                raise Unavailable(
                    f"no answer from {self.host}", "start the server, or mend base_url"
                )
            self._http = self._connection()
            self._client = self.connect(self._key(), self._http)
        threads = self.options.concurrency
        if self._pool is None and threads > 1:
            # kept between calls: some SDKs hold a connection per thread
            self._pool = ThreadPoolExecutor(threads, thread_name_prefix=self.service)

    def describe(self) -> Description:
        facts = self.options.model_dump(include=SPEED_FACTS)
        if is_tiny(self.options.model):
            facts["random_weights"] = True
        if self._asks_what_is_served and not self._served:
            doubt = self._doubt or note(Code.SERVER_SILENT)
            facts["warnings"] = [doubt.to_dict()]
        return Description(
            self.service,
            self._identity().own_fields(),
            facts | {"sdk": versions(self.package)[self.package]},
        )

    def rerank(self, requests: Sequence[CandidateList]) -> list[Outcome]:
        import numpy as np

        if self._client is None:
            raise RerankerError(f"{self.service}: load() comes before rerank()")
        scores = [np.zeros(len(request.docs), dtype=np.float64) for request in requests]
        parts: list[Part] = []
        for number, request in enumerate(requests):
            first, *others = self._parts(request) or [[]]
            if first:
                parts.append(Part(number, first))
            parts += [Part(number, places, first) for places in others]
        open_parts = Counter(part.number for part in parts)
        failures: dict[int, Failure] = {}
        first_ended = {number: Event() for number in open_parts}
        begun: set[int] = set()

        def answer(part: Part) -> None:
            number = part.number
            try:
                if part.first and self._overlaps:
                    # in a pool the first request was begun before, so that nobody waits in vain
                    first_ended[number].wait()
                    if number not in begun:
                        return
                if number in failures:
                    return
                self._answer(requests[number], part, scores[number])
                if not part.first:
                    begun.add(number)
            except Refusal as refusal:
                failures[number] = Failure(self._plain(refusal))
                self._give_up_if_down(failures[number])
                return
            except RerankerError as error:
                # it may quote the answer, and that may quote the key
                raise RerankerError(self._public(str(error), 500)) from None
            finally:
                if not part.first:
                    first_ended[number].set()
            with self._counting:
                open_parts[number] -= 1
                is_answered = not open_parts[number]
            if is_answered:
                self._refused = 0
                self._place_blanks(requests[number], scores[number])
                self.meter.answered(requests[number], scores[number])

        self._ended_early = True
        self._each(answer, parts)
        self._ended_early = False
        for number, request in enumerate(requests):
            if number not in open_parts:
                self._place_blanks(request, scores[number])
        return [failures.get(number, of_query) for number, of_query in enumerate(scores)]

    def pause(self) -> None:
        if not self._ended_early:  # otherwise rerank() raised, and nobody waits for more
            self._stop.wait(self._pace.owed())

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
        if self._http is not None:
            self._http.close()
        self._client = self._http = None

    @property
    def merges_calls(self) -> bool:
        return not self.options.overlaps

    @property
    def _overlaps(self) -> bool:
        return self.pointwise and self.options.overlaps and self.documents_per_call > 1

    def _parts(self, request: CandidateList) -> list[list[int]]:
        """Return the places of the new documents of each HTTP request of one query."""
        sent = self._sent(request)
        if not sent:
            return []
        parts = steps(len(sent), self.documents_per_call, self._overlaps)
        return [sent[part.start : part.stop] for part in parts]

    def _sent(self, request: CandidateList) -> list[int]:
        """Return the positions of the documents that are sent."""
        if self.sends_blanks:
            return list(range(len(request.docs)))
        return [position for position, doc in enumerate(request.docs) if doc.strip()]

    def _place_blanks(self, request: CandidateList, scores: Scores) -> None:
        """Put the documents that were not sent behind all others."""
        sent = self._sent(request)
        blanks = sorted({*range(len(request.docs))} - {*sent})
        if not blanks:
            return
        scores[blanks] = 0.0
        if sent:
            scores[blanks] = scores[sent].min() - 1
        self.meter.count(Usage(blanks=len(blanks)), request.query_id)

    def _search_units(
        self, request: CandidateList, part: Sequence[int], tokens: Callable[[str], int]
    ) -> int:
        """Return the search units of one HTTP request: one covers a query with up to 100 documents,
        of which a long one counts once per 500 tokens.
        """
        query = tokens(request.query)
        documents = 0
        for position in part:
            length = max(1, query + tokens(request.docs[position]))
            documents += math.ceil(length / TOKENS_PER_DOCUMENT)
        return math.ceil(documents / DOCUMENTS_PER_SEARCH)

    def _each(self, answer: Callable[[Part], None], parts: Sequence[Part]) -> None:
        """Answer every part; the first RerankerError stops the others before their next request."""
        if self._pool is None:
            for part in parts:
                answer(part)
            return

        def guarded(part: Part) -> None:
            try:
                answer(part)
            except BaseException:
                # here and not in the waiting thread, which may wake after further requests
                self._stop.set()
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

    def _answer(self, request: CandidateList, part: Part, scores: Scores) -> None:
        """Write the scores of one HTTP request's documents. Raises Refusal or RerankerError."""
        documents = [request.docs[place] for place in part.places]
        if not part.first or not self._overlaps:
            scores[part.places] = self._splitter.scores(request.query_id, request.query, documents)
            return
        known = scores[part.first].tolist()
        again = place_of_overlap(known)
        documents.insert(0, request.docs[part.first[again]])
        answer = self._splitter.scores(request.query_id, request.query, documents)
        scores[part.places] = merged(known, again, answer)[len(known) :]

    def _asked_at_once(self, query_id: str, query: str, documents: Sequence[str]) -> list[float]:
        """Return one score per document, of one HTTP request. Raises Refusal or RerankerError."""
        answer = self._insist(query_id, query, documents)
        scores = answer.in_order(len(documents), self.service)
        self.meter.count(answer.usage() + Usage(pairs=len(documents)), query_id)
        return scores

    def _count_split(self, query_id: str) -> None:
        self.meter.count(Usage(split_requests=1), query_id)

    def _insist(self, query_id: str, query: str, documents: Sequence[str]) -> Answer:
        """Return the answer, asked for until it comes or the retries are used up. Raises Refusal or
        RerankerError.
        """
        options = self.options
        for attempt in range(options.retries + 1):
            if self._stop.wait(self._pace.book()):
                raise Refusal("stopped")
            self.meter.count(Usage(calls=1, retries=int(attempt > 0)), query_id)
            try:
                return self._asked(query, documents)
            except Refusal as refusal:
                pause = refusal.retry_after
                if pause is None:
                    pause = options.backoff_s * 2**attempt
                if not refusal.may_pass or attempt == options.retries or pause > LONGEST_WAIT_S:
                    self._raise_if_final(refusal)
                    raise refusal from None
            self._stop.wait(pause)
        raise RerankerError(f"{self.service}: no attempt was made")

    def _asked(self, query: str, documents: Sequence[str]) -> Answer:
        try:
            answer = self.ask(_sendable(query), [_sendable(document) for document in documents])
        except _UNREADABLE as error:
            raise RerankerError(
                f"{self.service}: the answer cannot be read ({type(error).__name__})"
            ) from None
        answer.refuse_impossible(self.service)
        self._pace.charge(answer.tokens + answer.tokens_out)
        return answer

    def _raise_if_final(self, refusal: Refusal) -> None:
        """Raise RerankerError for a refusal that every further request would meet too."""
        if refusal.refused:
            raise RerankerError(
                f"{self.service}: {nobody_at(self._base_url() or self.address or '')}"
            )
        if refusal.kind is Kind.UNREADABLE:
            raise RerankerError(f"{self.service}: {self._public(refusal.reason)}") from None
        key = "a request without a key"
        if self.key_variable:
            key = f"the key in {self.key_variable}"
        problem = {
            Kind.KEY: f"{key} was refused",
            Kind.FORBIDDEN: f"{key} may not use it",
            Kind.QUOTA: "over quota",
            Kind.MODEL: f"no such model '{self.options.model}', or a wrong base_url",
            Kind.ADDRESS: "base_url is not where requests are answered",
            Kind.RATE: "over quota or rate limit",
        }.get(refusal.kind)
        if problem:
            message = f"{self.service}: {problem} ({self._reason(refusal)})"
            hint = self.hints.get(refusal.kind)
            if hint:
                message += f"; {hint}"
            raise RerankerError(message) from None

    def _give_up_if_down(self, last: Failure) -> None:
        """Raise RerankerError once GIVE_UP_AFTER queries have failed in a row, with all retries:
        the others would fail too.
        """
        with self._counting:
            if not self._stop.is_set():
                self._refused += 1
            if self._refused < GIVE_UP_AFTER:
                return
            self._refused = 0
        raise RerankerError(
            f"{self.service}: gave up after {GIVE_UP_AFTER} failed {self.requests_of} in a row "
            f"({last.reason}); run again to go on"
        )

    def _plain(self, refusal: Refusal) -> str:
        """Return the refusal in one line, with what may help."""
        reason = self._reason(refusal)
        hint = self.hints.get(refusal.kind)
        if hint is None:
            return reason
        return f"{reason} ({hint})"

    def _reason(self, refusal: Refusal) -> str:
        """Return the service's own words in one short line without secrets."""
        reason = self._public(refusal.reason)
        if not refusal.status:
            return reason
        return f"HTTP {refusal.status}: {reason}"


def _sendable(text: str) -> str:
    """Return the text with U+FFFD for halves of surrogate pairs: no JSON body in UTF-8 can hold
    these.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
