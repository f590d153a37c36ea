"""The defaults that rerankers share, and all that one of your own needs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from bench.contract.identity import Fields, Identity
from bench.contract.meter import SORT, Meter
from bench.contract.request import CandidateList, Failure, Usage
from bench.contract.requirement import Key, Package, Requirement, requirements_of
from bench.contract.stage import Component, Description
from bench.core.errors import RerankerError
from bench.core.note import Note
from bench.core.plugins import is_ours
from bench.ranking.order import as_scores, reordered
from bench.rerankers.options import RerankerOptions

if TYPE_CHECKING:
    from bench.catalogue.price import Price
    from bench.contract.candidates import Candidates, QueryCandidates
    from bench.contract.learned import Learned, Origin
    from bench.contract.request import Outcome, Scores
    from bench.contract.stage import Placement
    from bench.datasets.base import Dataset, Qrels
    from bench.models.weights import Weights

__all__ = [
    "BaseReranker",
    "CandidateList",
    "Description",
    "Failure",
    "Key",
    "Meter",
    "Package",
    "PointwiseReranker",
    "Requirement",
    "Usage",
    "pair_usage",
    "split_scores",
]
"""What a reranker of one's own needs, from one place."""


class BaseReranker(ABC):
    """The defaults that every shipped reranker shares. `options` is an instance of the class's
    `Options`.

    A reranker writes `fingerprint`, `describe`, and `rerank` (or `score`, see PointwiseReranker);
    `requirements`, `load` and `close` where it needs or loads something. While it runs, `meter`
    takes down what it does: `with self.meter.span("tokenise")`, `self.meter.count(Usage(...),
    query_id)`.
    """

    Options: ClassVar[type[RerankerOptions]] = RerankerOptions
    pointwise: bool = True
    placement: Placement = "device"
    reads_texts: bool = True
    reads_scores: bool = False
    is_given: bool = False
    is_reference: ClassVar[bool] = False
    """Whether it is a row of every table, which competes with no reranker."""
    latency_only: bool = False
    weights: Weights | None = None
    """Where its own weights come from."""
    run_file: Path | None = None
    """The published run whose order it is."""
    talks: bool = False
    """Whether the model behind it can also be chatted with, see `continue_chat`."""
    needs_collection: bool = False
    state: Any = None
    """What it has learned in this run."""
    longest_input: int | None = None
    """The tokens that a pair is cut to, where the options say so."""

    parts: Sequence[Component] = ()
    learns: bool = False
    gives_probabilities: bool = False
    """Whether its scores are probabilities of relevance, by a calibration."""
    only_shortens: ClassVar[bool] = False
    """Whether it orders nothing and has a place between other stages alone."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    concurrency: int = 1
    of_dataset: str | None = None
    of_first_stage: str | None = None

    def __init__(self, options: Any, device: str = "cpu") -> None:
        self.options = options
        self.device = device
        self.meter = Meter()

    @property
    def host(self) -> str | None:
        return None

    @property
    def optional(self) -> bool:
        return bool(self.options.optional)

    @property
    def model_name(self) -> str | None:
        """What others call the model that it runs or asks for."""
        if self.weights is None:
            return None
        return self.weights.label

    @property
    def label(self) -> str:
        return type(self).__name__

    @property
    def origin(self) -> type:
        return type(self)

    @property
    def is_untrained(self) -> bool:
        """Whether it learns from the lists of a run and has learned nothing yet: what it gives then
        is not what a run has measured.
        """
        return False

    @property
    def is_sure_pointwise(self) -> bool:
        """Whether a document's score is sure not to depend on the other candidates. An outsider's
        class that has `rerank` may look at them all: it is where it says that it is pointwise.
        """
        if not self.pointwise or self.reads_scores:
            return False
        classes = type(self).__mro__
        own = classes[: classes.index(BaseReranker)]
        return is_ours(self.origin) or any("pointwise" in vars(kind) for kind in own)

    @property
    def merges_calls(self) -> bool:
        return True

    def requirements(self) -> Sequence[Requirement]:
        """Return what it needs to run. Packages come first: other requirements may look with
        them.
        """
        return ()

    def check(self) -> None:
        for requirement in requirements_of(self, self.origin):
            requirement.require()

    def bind(self, qrels: Qrels, candidates: Candidates) -> None:
        return None

    def over(self, dataset: Dataset) -> None:
        return None

    def check_over(self, dataset: Dataset) -> None:
        return None

    @property
    def is_portable(self) -> bool:
        return True

    def follows(self, origin: Origin) -> None:
        return None

    def restore(self, key: str) -> None:
        return None

    @property
    def learned(self) -> Learned | None:
        return None

    def prepared(self, requests: Sequence[CandidateList]) -> AbstractContextManager[None]:
        return nullcontext()

    def identity(self) -> Identity | None:
        """Return what decides the scores, known without loading; None for what is never cached."""
        return None

    def fingerprint(self) -> Fields:
        identity = self.identity()
        if identity is None:
            return {}
        return identity.fingerprint()

    def load(self) -> None:
        return None

    @abstractmethod
    def describe(self) -> Description: ...

    @abstractmethod
    def rerank(self, requests: Sequence[CandidateList]) -> list[Outcome]: ...

    @contextmanager
    def open(self) -> Iterator[Self]:
        try:
            self.load()
            yield self
        finally:
            self.close()

    def run(self, lists: Sequence[CandidateList], meter: Meter) -> list[CandidateList | Failure]:
        outcomes = self.score_lists(lists, meter)
        results: list[CandidateList | Failure] = []
        with meter.span(SORT):
            for request, outcome in zip(lists, outcomes, strict=True):
                if isinstance(outcome, Failure):
                    results.append(outcome)
                else:
                    results.append(reordered(request, outcome))
        return results

    def score_lists(self, requests: Sequence[CandidateList], meter: Meter) -> list[Outcome]:
        self.meter = meter
        try:
            return self.rerank(requests)
        finally:
            self.meter = Meter()

    def own_scores(self, request: CandidateList, answer: QueryCandidates) -> QueryCandidates:
        return answer

    def hold(self, parts: Sequence[Component]) -> None:
        self.parts = parts

    def asks(self, part: Component, request: CandidateList) -> bool:
        return True

    def learn(
        self, requests: Sequence[CandidateList], outcomes: Sequence[Sequence[Outcome | None]]
    ) -> None:
        return None

    def combine(
        self, requests: Sequence[CandidateList], outcomes: Sequence[Sequence[Outcome | None]]
    ) -> list[Outcome]:
        """Return the scores of each list from what the parts gave. Raises RerankerError for a
        reranker that has none.
        """
        raise RerankerError("it is not made of others")

    def described_by(self, parts: Sequence[Description]) -> Description:
        return self.describe()

    def hands_on(self, scores: Sequence[float]) -> int | None:
        return None

    def spans(self) -> list[str]:
        return []

    def pause(self) -> None:
        return None

    def doubt(self) -> Note | None:
        return None

    def price(self) -> Price | None:
        return None

    def expected_usage(
        self, requests: Sequence[CandidateList], tokens: Callable[[str], int]
    ) -> Usage:
        usage = pair_usage(requests, tokens, self.longest_input)
        if self.placement != "device":
            return Usage(pairs=usage.pairs)
        return usage

    def continue_chat(
        self, messages: Sequence[dict[str, str]], max_tokens: int
    ) -> tuple[str, Usage]:
        """Return what the model says next in a conversation, of at most `max_tokens`, and what
        that used. Raises RerankerError for a model that writes no text.
        """
        raise RerankerError("it writes no text")

    def close(self) -> None:
        return None


class PointwiseReranker(BaseReranker):
    """Adapter for models that score one (query, document) pair at a time: all pairs of all requests
    go to `score` at once.
    """

    pointwise = True

    @abstractmethod
    def score(self, pairs: Sequence[tuple[str, str]]) -> Scores:
        """Return one raw float per pair, in order. Shape: (len(pairs),)."""

    def rerank(self, requests: Sequence[CandidateList]) -> list[Outcome]:
        return split_scores(self.score, requests)


def split_scores(
    score: Callable[[Sequence[tuple[str, str]]], Scores], requests: Sequence[CandidateList]
) -> list[Outcome]:
    """Score all pairs of all requests in one call and cut the result back into one array per
    request.

    Raises RerankerError for an answer that is not one number per pair; what `score` raises itself
    passes through.
    """
    import numpy as np

    if not requests:
        return []
    pairs: list[tuple[str, str]] = []
    for request in requests:
        pairs += [(request.query, doc) for doc in request.docs]
    if not pairs:
        return [np.empty(0, dtype=np.float64) for _ in requests]
    answer = score(pairs)
    try:
        scores = as_scores(answer)
    except ValueError as error:
        raise RerankerError(f"score(pairs) must return one number per pair: {error}") from error
    if scores.shape != (len(pairs),):
        raise RerankerError(
            f"score(pairs) returned scores of shape {scores.shape} for {len(pairs)} pairs"
        )
    bounds = np.cumsum([len(request.docs) for request in requests])[:-1]
    return list(np.split(scores, bounds))


def pair_usage(
    requests: Sequence[CandidateList], tokens: Callable[[str], int], longest: int | None = None
) -> Usage:
    """Return pairs, and the tokens of all pairs: the query counts once per document, and each pair
    is cut at `longest`.
    """
    lengths: list[int] = []
    for request in requests:
        query = tokens(request.query)
        lengths += [query + tokens(doc) for doc in request.docs]
    if longest is not None:
        lengths = [min(length, longest) for length in lengths]
    return Usage(pairs=len(lengths), tokens=sum(lengths))
