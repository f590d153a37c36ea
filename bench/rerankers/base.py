"""What a reranker is: it scores the candidates of a query, and says what it loaded. It knows no clock and no store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from bench.errors import RerankerError
from bench.measure.ranking import as_scores
from bench.rerankers.options import RerankerOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Scores = NDArray[np.float64]


LARGEST_AMOUNT = 1e15
"""Beyond this nothing is a count of tokens, calls or billed units."""


def is_amount(value: Any) -> bool:
    """Whether a value can be an amount of usage: a number from 0 to LARGEST_AMOUNT."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    amount: Any = value
    return bool(0 <= amount <= LARGEST_AMOUNT)


@dataclass(frozen=True)
class Request:
    """One query and its candidates, in the first stage's order. `docs` are texts as the document template renders them."""

    query_id: str
    query: str
    doc_ids: Sequence[str]
    docs: Sequence[str]


@dataclass(frozen=True)
class Description:
    """What actually loaded, read back from the model, never what was asked for.

    `identity` holds the fields that decide the scores (model, revision or content hash, dtype, max length, prompt, backend and its
    version): they form the system key. `facts` holds the rest (device, parameters, attention kernel, batch size, threads).
    """

    backend: str
    identity: dict[str, Any]
    facts: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Failure:
    """Stands in for the scores of one request that could not be answered; the query counts 0, and the reason is recorded."""

    reason: str


if TYPE_CHECKING:
    Outcome = Scores | Failure


@dataclass(frozen=True)
class Usage:
    """What a batch of requests cost beside time, when the reranker knows: added up by the runner into the record.

    `tokens` are real ones, `slots` the same with padding; `truncated` pairs were cut to the maximum length, and in
    `cut_queries` of them the query was cut too. `calls` are HTTP requests, or prompts to a generating model; `retries` those among them
    that repeated a failed one: a timed sample with retries is no sample. `tokens_out` were written by a generating model; `repairs` of its
    answers had to be mended, and `cut_answers` of them ended at the limit of written tokens; `halvings` times a batch did not fit into the
    accelerator's memory and was split, `split_requests` times an HTTP request was too large for a service. `blanks` are documents without
    text, which were not sent and placed last.
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
        """Raises RerankerError for an amount that cannot be true: it would be part of every sum and bill after it."""
        for name, amount in vars(self).items():
            if not is_amount(amount):
                raise RerankerError(f"the reranker reports an impossible usage: {name} {amount!r:.40}")

    def __add__(self, other: Usage) -> Usage:
        mine, theirs = asdict(self), asdict(other)
        return Usage(**{name: mine[name] + theirs[name] for name in mine})


class Reranker(Protocol):
    """The one interface. Implementations take their options in the constructor and load nothing there.

    Life cycle, driven by the runner: `check()`, then `fingerprint()`, then, unless every score is cached, `load()`, `describe()`,
    `rerank()` any number of times with `take_usage()` after it, `close()`. A reranker that also has a method `bind(qrels, candidates)`
    gets both before `fingerprint()`: only the rows that compute nothing have one.
    """

    pointwise: bool
    """True when a document's score does not depend on the other candidates: one scored run then gives every depth."""
    placement: str
    """"device" when it runs on a torch device given by the suite, "remote" when another machine does the work, "none" otherwise."""

    def check(self) -> None:
        """Raise Unavailable when a package, weight, key or device is missing. Cheap; loads no weights."""

    def fingerprint(self) -> dict[str, Any]:
        """What decides the scores, known without loading: the key of the score cache. Cheap. Empty: nothing worth caching."""

    def load(self) -> None:
        """Load weights or open connections. Idempotent."""

    def describe(self) -> Description:
        """What loaded. Only valid after load()."""

    def rerank(self, requests: Sequence[Request]) -> list[Outcome]:
        """One array per request: one finite float64 per document, in the order of `docs`; higher is better; raw, never saturated.

        A request that failed on its own (a time-out, a server error that outlived its retries) gives a Failure in its place. Raises
        RerankerError for what no further request could survive: a wrong key, no such model, an answer that breaks the protocol.
        """

    def take_usage(self) -> Usage:
        """What rerank() has cost since the last call of this method. Where its parts are known by query, they stand until then in an
        attribute `usage_by_query`, query_id -> Usage."""

    def close(self) -> None:
        """Free memory and connections."""


def no_span(name: str) -> AbstractContextManager[None]:
    """What a reranker calls around a part of its work while nobody times it."""
    return nullcontext()


class BaseReranker(ABC):
    """The defaults that every shipped reranker shares. `options` is an instance of the class's `Options`.

    A reranker knows no clock: around the parts of its work it enters `self.span("tokenise")`, `"copy"`, `"forward"`, and the timed pass
    puts its stopwatch there.
    """

    Options: ClassVar[type[RerankerOptions]] = RerankerOptions
    pointwise: bool = True
    placement: str = "device"
    reads_texts: bool = True
    """False where ids suffice, so that a collection without documents serves, too."""
    latency_only: bool = False
    """True where scores mean nothing, so that they are never asked for: the row has a latency and no quality."""

    def __init__(self, options: Any, device: str = "cpu") -> None:
        self.options = options
        self.device = device
        self.usage = Usage()
        self.usage_by_query: dict[str, Usage] = {}
        self.span: Callable[[str], AbstractContextManager[None]] = no_span
        self.on_answers: Callable[[], None] | None = None
        """Called by a service's rerank() whenever `take_answered` has some more answers to keep."""

    def check(self) -> None:
        return None

    @abstractmethod
    def fingerprint(self) -> dict[str, Any]: ...

    def load(self) -> None:
        return None

    @abstractmethod
    def describe(self) -> Description: ...

    @abstractmethod
    def rerank(self, requests: Sequence[Request]) -> list[Outcome]: ...

    def take_usage(self) -> Usage:
        taken, self.usage, self.usage_by_query = self.usage, Usage(), {}
        return taken

    def take_answered(self) -> list[tuple[Request, Scores]]:
        """Return the requests that a rerank(), which is at work or raised, has answered in full since
        this was last called: they are paid for, so that they go to the score cache."""
        return []

    def expected_usage(self, requests: Sequence[Request], tokens: Callable[[str], int]) -> Usage:
        """What rerank() would use, told without doing it. `tokens` estimates a text's length."""
        pairs, length = pair_tokens(requests, tokens, getattr(self.options, "max_length", None))
        return Usage(pairs=pairs, tokens=length if self.placement == "device" else 0)

    def close(self) -> None:
        return None

    def _count(self, usage: Usage, query_id: str | None = None) -> None:
        """Add to what rerank() has cost, and to what this query has, where it is known which one it was for."""
        self.usage += usage
        if query_id is not None:
            self.usage_by_query[query_id] = self.usage_by_query.get(query_id, Usage()) + usage


class PointwiseReranker(BaseReranker):
    """Adapter for models that score one (query, document) pair at a time: all pairs of all requests go to `score` at once."""

    @abstractmethod
    def score(self, pairs: Sequence[tuple[str, str]]) -> Scores:
        """One raw float per pair, in order. Shape: (len(pairs),)."""

    def rerank(self, requests: Sequence[Request]) -> list[Outcome]:
        return split_scores(self.score, requests)


def split_scores(score: Callable[[Sequence[tuple[str, str]]], Scores], requests: Sequence[Request]) -> list[Outcome]:
    """Score all pairs of all requests in one call and cut the result back into one array per request."""
    import numpy as np

    pairs = [(request.query, doc) for request in requests for doc in request.docs]
    try:
        scores = as_scores(score(pairs)) if pairs else np.empty(0, dtype=np.float64)
    except ValueError as error:
        raise RerankerError(f"score(pairs) must return one number per pair: {error}") from error
    if scores.shape != (len(pairs),):
        raise RerankerError(f"score(pairs) returned scores of shape {scores.shape} for {len(pairs)} pairs")
    bounds = np.cumsum([len(request.docs) for request in requests])[:-1]
    return list(np.split(scores, bounds)) if requests else []


def pair_tokens(requests: Sequence[Request], tokens: Callable[[str], int], longest: int | None = None) -> tuple[int, int]:
    """(pairs, tokens of all pairs, the query counted once per document), each pair cut at `longest`."""
    pairs = total = 0
    for request in requests:
        query = tokens(request.query)
        for doc in request.docs:
            length = query + tokens(doc)
            pairs, total = pairs + 1, total + (length if longest is None else min(length, longest))
    return pairs, total
