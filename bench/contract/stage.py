"""What a stage of a ranking pipeline is: it turns candidate lists into candidate lists, and says
what it loaded. It knows no clock and no store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypedDict

from bench.contract.identity import Fields
from bench.contract.meter import Meter
from bench.contract.request import CandidateList, Failure, Usage
from bench.core.note import Note

if TYPE_CHECKING:
    from bench.catalogue.price import Price
    from bench.contract.candidates import Candidates, QueryCandidates
    from bench.contract.learned import Learned, Origin
    from bench.contract.recipe import Recipe
    from bench.contract.request import Outcome
    from bench.contract.requirement import Requirement
    from bench.datasets.base import Dataset, Qrels


Placement = Literal["device", "remote", "none"]
"""Who does the work: a torch device of this machine, another machine, or nobody."""


@dataclass(frozen=True)
class Description:
    """What actually loaded, read back from the model, never what the suite says.

    `identity` holds the fields that decide the scores (model, revision or content hash, dtype, max
    length, prompt, backend and its version): they form the system key. `facts` holds the rest
    (device, parameters, attention kernel, batch size, threads).
    """

    backend: str
    identity: Mapping[str, Any]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> DescriptionFields:
        """Return the description as a record holds it."""
        return {"backend": self.backend, "identity": self.identity, "facts": self.facts}


class DescriptionFields(TypedDict):
    """A description in JSON."""

    backend: str
    identity: Mapping[str, Any]
    facts: Mapping[str, Any]


class OpenStage(Protocol):
    """A stage that has loaded."""

    def describe(self) -> Description:
        """Return what loaded."""

    def run(self, lists: Sequence[CandidateList], meter: Meter) -> list[CandidateList | Failure]:
        """Return each list in the order that the stage gives it, with its scores, or a Failure in
        its place. Spans, usage and answers go to the meter.
        """


class Stage(Protocol):
    """What a suite names: configured, not loaded. The constructor takes the options and loads
    nothing.
    """

    options: Any
    pointwise: bool
    """True when a document's score does not depend on the other candidates: one scored run then
    gives every depth.
    """
    placement: Placement
    """"device" when it runs on a torch device given by the suite, "remote" when another machine
    does the work, "none" otherwise.
    """
    reads_texts: bool
    """False where ids suffice, so that a collection without documents serves, too."""
    reads_scores: bool
    """True where the scores of the stage before decide its own, as in a calibration."""
    is_given: bool
    """True where nothing is computed: judgments, candidates or a file say the order."""
    latency_only: bool
    """True where scores mean nothing, so that they are never asked for: the row has a latency and
    no quality.
    """

    def requirements(self) -> Sequence[Requirement]:
        """Return what it needs to run: packages, weights, keys, servers, devices. Cheap."""

    def check(self) -> None:
        """Raise Unavailable when a requirement is missing, RerankerError for what its options or
        its files show to be unusable. Cheap; loads no weights.
        """

    def fingerprint(self) -> Fields:
        """Return what decides the scores, known without loading: the key of the score cache. Cheap.
        Empty: nothing worth caching.
        """

    def price(self) -> Price | None:
        """Return what its service charges; None for what costs nothing by the query."""

    def expected_usage(
        self, requests: Sequence[CandidateList], tokens: Callable[[str], int]
    ) -> Usage:
        """Return what the lists would use, estimated without a run. `tokens` estimates a text's
        length.
        """

    def open(self) -> AbstractContextManager[OpenStage]:
        """Load, and close on every way out."""


@dataclass(frozen=True)
class Component:
    """A reranker that another one is made of, by its name there. `recipe` is how another process
    builds it.
    """

    name: str
    reranker: Reranker
    recipe: Recipe | None = None


class Reranker(Stage, OpenStage, Protocol):
    """A stage that scores the documents that it is given. Loading and closing are calls of their
    own, since one that finds every score in the cache never loads.
    """

    requests_per_minute: float | None
    tokens_per_minute: float | None
    concurrency: int
    """What a service allows, and how many requests are in flight."""
    of_dataset: str | None
    of_first_stage: str | None
    """The dataset and first stage that it appears over alone, by their names in tables."""
    run_file: Path | None
    """The published run whose order it is."""
    talks: bool
    """Whether the model behind it can also be chatted with."""
    parts: Sequence[Component]
    """The rerankers that it is made of. Each is scored through its own cache; `combine` makes
    scores of theirs.
    """
    learns: bool
    """Whether it combines by what it learns from the scores of all queries."""
    gives_probabilities: bool
    """Whether its scores are probabilities of relevance, by a calibration."""
    needs_collection: bool
    """True where it looks documents up in the collection: without one, nobody can use it."""
    state: Any
    """What it has learned in this run, None before: another instance of the same entry may be
    handed it.
    """

    @property
    def only_shortens(self) -> bool:
        """Whether it orders nothing: its documents keep the scores of the stage before."""

    @property
    def learned(self) -> Learned | None:
        """What its training left; None for a stage that learns nothing, or has not yet."""

    @property
    def is_untrained(self) -> bool:
        """Whether it learns from the lists of a run and has learned nothing yet."""

    @property
    def is_sure_pointwise(self) -> bool:
        """Whether a document's score is sure not to depend on the other candidates, so that it
        serves any other list.
        """

    @property
    def merges_calls(self) -> bool:
        """Whether scores of several calls may be those of one list. A service may normalise the
        scores of a request.
        """

    @property
    def host(self) -> str | None:
        """The machine that does the work, where it is another one."""

    @property
    def optional(self) -> bool:
        """Whether its row is left out, with a note, where it cannot run."""

    @property
    def model_name(self) -> str | None:
        """What others call the model that it runs or asks for."""

    @property
    def label(self) -> str:
        """What messages call it."""

    @property
    def origin(self) -> type:
        """The class whose code decides the scores: that of an outsider, where one is wrapped."""

    def over(self, dataset: Dataset) -> None:
        """Take the collection, before anything else: only what searches it reads it."""

    def check_over(self, dataset: Dataset) -> None:
        """Raise DataError where its options do not fit the collection, as far as that is known
        before anything is scored. Of large files `dataset` may hold the first documents alone.
        """

    def bind(self, qrels: Qrels, candidates: Candidates) -> None:
        """Take judgments and candidates, before `fingerprint()`: only what is given reads them."""

    @property
    def is_portable(self) -> bool:
        """Whether another process can build the same from its recipe, over the same collection:
        not what was trained on the answers of other stages.
        """

    def follows(self, origin: Origin) -> None:
        """Take where its lists come from, when a suite is planned: only what is trained reads
        it.
        """

    def restore(self, key: str) -> None:
        """Take what another process has learned, and kept under this key, when it loads."""

    def prepared(self, requests: Sequence[CandidateList]) -> AbstractContextManager[None]:
        """Learn from all the lists of a quality pass, before `fingerprint()` is asked and the first
        of them is scored; let go of what only that pass needs on the way out.
        """

    def load(self) -> None:
        """Load weights or open connections. Idempotent."""

    def score_lists(self, requests: Sequence[CandidateList], meter: Meter) -> list[Outcome]:
        """Return one array per list: one finite float64 per document, in the order of `docs`;
        higher is better; raw, never saturated.

        A list that failed on its own (a time-out, a server error that outlived its retries) gives a
        Failure in its place. Raises RerankerError for what no further list could survive: a wrong
        key, no such model, an answer that breaks the protocol.
        """

    def own_scores(self, request: CandidateList, answer: QueryCandidates) -> QueryCandidates:
        """Return the documents of a list that it scored itself, with the scores as it gave them:
        its answer, best first, unless numbers in that take the place of scores.
        """

    def hold(self, parts: Sequence[Component]) -> None:
        """Take the rerankers that it is made of, once."""

    def asks(self, part: Component, request: CandidateList) -> bool:
        """Return whether a part scores this list."""

    def learn(
        self, requests: Sequence[CandidateList], outcomes: Sequence[Sequence[Outcome | None]]
    ) -> None:
        """Learn how to combine, from what the parts gave in a quality pass; as in `combine`."""

    def combine(
        self, requests: Sequence[CandidateList], outcomes: Sequence[Sequence[Outcome | None]]
    ) -> list[Outcome]:
        """Return the scores of each list from what the parts gave: a row per part, an outcome per
        list, None where the part was not asked. Loads nothing.
        """

    def described_by(self, parts: Sequence[Description]) -> Description:
        """Return what loaded, where these are what the parts say."""

    def hands_on(self, scores: Sequence[float]) -> int | None:
        """Return how many documents of an order with these scores go to the next stage; None where
        it says nothing.
        """

    def spans(self) -> list[str]:
        """Return what the spans of its parts are called."""

    def pause(self) -> None:
        """Wait for what limits per minute still owe: called between calls, outside every sample."""

    def doubt(self) -> Note | None:
        """Return why it is not certain that what answered since load() is what fingerprint() names;
        None where it is. Scores under doubt are used, and not kept. Raises RerankerError where it
        is certain that something else answered.
        """

    def continue_chat(
        self, messages: Sequence[dict[str, str]], max_tokens: int
    ) -> tuple[str, Usage]:
        """Return what the model says next in a conversation, of at most `max_tokens`, and what
        that used.
        """

    def close(self) -> None:
        """Free memory and connections."""
