"""What a reranker is: it scores the candidates of a query, and says what it loaded. It knows no clock and no store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from bench.options import Options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Scores = NDArray[np.float64]


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
class Usage:
    """What a batch of requests cost beside time, when the reranker knows: added up by the runner into the record."""

    pairs: int = 0
    tokens: int = 0
    truncated: int = 0
    calls: int = 0
    billed_units: float = 0.0


class Reranker(Protocol):
    """The one interface. Implementations take their options in the constructor and load nothing there.

    Life cycle, driven by the runner: `check()`, then `fingerprint()`, then, unless every score is cached, `load()`, `describe()`,
    `rerank()` any number of times, `close()`.
    """

    pointwise: bool
    """True when a document's score does not depend on the other candidates: one scored run then gives every depth."""
    placement: str
    """"device" when it runs on a torch device given by the suite, "remote" when another machine does the work, "none" otherwise."""

    def check(self) -> None:
        """Raise Unavailable when a package, weight, key or device is missing. Cheap; loads no weights."""

    def fingerprint(self) -> dict[str, Any]:
        """What decides the scores, known without loading: the key of the score cache. Cheap."""

    def load(self) -> None:
        """Load weights or open connections. Idempotent."""

    def describe(self) -> Description:
        """What loaded. Only valid after load()."""

    def rerank(self, requests: Sequence[Request]) -> list[Scores]:
        """One array per request: one finite float64 per document, in the order of `docs`; higher is better; raw, never saturated."""

    def close(self) -> None:
        """Free memory and connections."""


class BaseReranker(ABC):
    """The defaults that every shipped reranker shares. `options` is an instance of the class's `Options`."""

    Options: ClassVar[type[Options]] = Options
    pointwise: bool = True
    placement: str = "device"

    def __init__(self, options: Any, device: str = "cpu") -> None:
        self.options = options
        self.device = device

    def check(self) -> None:
        return None

    @abstractmethod
    def fingerprint(self) -> dict[str, Any]: ...

    def load(self) -> None:
        return None

    @abstractmethod
    def describe(self) -> Description: ...

    @abstractmethod
    def rerank(self, requests: Sequence[Request]) -> list[Scores]: ...

    def close(self) -> None:
        return None


class PointwiseReranker(BaseReranker):
    """Adapter for models that score one (query, document) pair at a time: all pairs of all requests go to `score` at once."""

    @abstractmethod
    def score(self, pairs: Sequence[tuple[str, str]]) -> Scores:
        """One raw float per pair, in order. Shape: (len(pairs),)."""

    def rerank(self, requests: Sequence[Request]) -> list[Scores]:
        return split_scores(self.score, requests)


def split_scores(score: Callable[[Sequence[tuple[str, str]]], Scores], requests: Sequence[Request]) -> list[Scores]:
    """Score all pairs of all requests in one call and cut the result back into one array per request."""
    import numpy as np

    pairs = [(request.query, doc) for request in requests for doc in request.docs]
    scores = np.asarray(score(pairs), dtype=np.float64) if pairs else np.empty(0, dtype=np.float64)
    bounds = np.cumsum([len(request.docs) for request in requests])[:-1]
    return list(np.split(scores, bounds)) if requests else []
