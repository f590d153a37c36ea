"""What a reranker is: it scores the candidates of a query, and says what it loaded. It knows no
clock and no store.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from bench.contract.request import CandidateList, Failure, Usage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Scores = NDArray[np.float64]
if TYPE_CHECKING:
    Outcome = Scores | Failure


@dataclass(frozen=True)
class Description:
    """What actually loaded, read back from the model, never what was asked for.

    `identity` holds the fields that decide the scores (model, revision or content hash, dtype, max
    length, prompt, backend and its version): they form the system key. `facts` holds the rest
    (device, parameters, attention kernel, batch size, threads).
    """

    backend: str
    identity: dict[str, Any]
    facts: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Reranker(Protocol):
    """The one interface. Implementations take their options in the constructor and load nothing
    there.

    Life cycle, driven by the runner: `check()`, then `fingerprint()`, then, unless every score is
    cached, `load()`, `describe()`, `rerank()` any number of times with `take_usage()` after it,
    `close()`. A reranker that also has a method `bind(qrels, candidates)` gets both before
    `fingerprint()`: only the rows that compute nothing have one.
    """

    pointwise: bool
    """True when a document's score does not depend on the other candidates: one scored run then
    gives every depth.
    """
    placement: str
    """"device" when it runs on a torch device given by the suite, "remote" when another machine
    does the work, "none" otherwise.
    """

    def check(self) -> None:
        """Raise Unavailable when a package, weight, key or device is missing. Cheap; loads no
        weights.
        """

    def fingerprint(self) -> dict[str, Any]:
        """What decides the scores, known without loading: the key of the score cache. Cheap. Empty:
        nothing worth caching.
        """

    def load(self) -> None:
        """Load weights or open connections. Idempotent."""

    def describe(self) -> Description:
        """What loaded. Only valid after load()."""

    def rerank(self, requests: Sequence[CandidateList]) -> list[Outcome]:
        """One array per request: one finite float64 per document, in the order of `docs`; higher is
        better; raw, never saturated.

        A request that failed on its own (a time-out, a server error that outlived its retries)
        gives a Failure in its place. Raises RerankerError for what no further request could
        survive: a wrong key, no such model, an answer that breaks the protocol.
        """

    def take_usage(self) -> Usage:
        """What rerank() has cost since the last call of this method. Where its parts are known by
        query, they stand until then in an attribute `usage_by_query`, query_id -> Usage.
        """

    def close(self) -> None:
        """Free memory and connections."""


def no_span(name: str) -> AbstractContextManager[None]:
    """What a reranker calls around a part of its work while nobody times it."""
    return nullcontext()
