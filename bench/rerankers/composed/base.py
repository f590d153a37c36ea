"""What rerankers have in common that are made of others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.contract.candidates import QueryCandidates
from bench.contract.meter import Meter, part_of
from bench.contract.request import CandidateList, Failure, Usage
from bench.contract.requirement import Requirement, requirements_of
from bench.contract.stage import Component, Description, Placement
from bench.core.errors import SuiteError
from bench.core.note import Note, NoteFields, read_notes
from bench.core.options import deciding
from bench.core.outsiders import outsiders_code
from bench.core.plugins import name_of
from bench.ranking.order import rank
from bench.rerankers.base import BaseReranker
from bench.rerankers.reference.fixed import in_order

if TYPE_CHECKING:
    from bench.contract.candidates import Candidates
    from bench.contract.identity import Fields
    from bench.contract.learned import Origin
    from bench.contract.request import Outcome, Scores
    from bench.datasets.base import Dataset, Qrels

COMBINE = "combine"
"""What the span of the combination itself is called."""


class ComposedState(NamedTuple):
    """What a reranker that is made of others has learned, and what each of its parts has."""

    own: Any
    parts: tuple[Any, ...]


class Composite(BaseReranker):
    """Scores the documents by what its parts give them. Parts are scored and cached each for
    itself; what is written here is `combine`.
    """

    placement: Placement = "none"
    backend: str
    """What it is called in a record."""
    own_state: Any = None
    """What it has learned itself."""

    @property
    def state(self) -> Any:
        """What it and its parts have learned; None where none of them has."""
        state = ComposedState(self.own_state, tuple(part.reranker.state for part in self.parts))
        if state.own is None and not any(own is not None for own in state.parts):
            return None
        return state

    @state.setter
    def state(self, state: ComposedState | None) -> None:
        if state is None:
            state = ComposedState(None, (None,) * len(self.parts))
        self.own_state = state.own
        for part, own in zip(self.parts, state.parts, strict=True):
            part.reranker.state = own

    @property
    def is_portable(self) -> bool:
        return all(part.reranker.is_portable for part in self.parts)

    def hold(self, parts: Sequence[Component]) -> None:
        """Take the parts, built. Raises SuiteError for one that has no scores."""
        for part in parts:
            if part.reranker.latency_only:
                raise SuiteError(f"{part.name}: random weights give no scores to combine")
        rerankers = [part.reranker for part in parts]
        self.parts = parts
        self.placement = _placement([reranker.placement for reranker in rerankers])
        self.needs_collection = any(reranker.needs_collection for reranker in rerankers)
        self.reads_texts = any(reranker.reads_texts for reranker in rerankers)
        self.reads_scores = self.reads_scores or any(
            reranker.reads_scores for reranker in rerankers
        )

    @property
    def is_untrained(self) -> bool:
        is_own = self.learns and self.own_state is None
        return is_own or any(part.reranker.is_untrained for part in self.parts)

    def requirements(self) -> Sequence[Requirement]:
        requirements: list[Requirement] = []
        for part in self.parts:
            requirements += requirements_of(part.reranker, part.reranker.origin)
        return requirements

    def check(self) -> None:
        for part in self.parts:
            with outsiders_code(f"check() of {name_of(part.reranker.origin)}"):
                part.reranker.check()

    def over(self, dataset: Dataset) -> None:
        for part in self.parts:
            part.reranker.over(dataset)

    def check_over(self, dataset: Dataset) -> None:
        for part in self.parts:
            part.reranker.check_over(dataset)

    def follows(self, origin: Origin) -> None:
        for part in self.parts:
            part.reranker.follows(origin)

    def bind(self, qrels: Qrels, candidates: Candidates) -> None:
        for part in self.parts:
            part.reranker.bind(qrels, candidates)

    def settings(self) -> dict[str, Any]:
        """Return the options of its own that decide scores."""
        return dict(deciding(self.options, "scores"))

    def fingerprint(self) -> Fields:
        """Return what decides the scores of every part, and how they are combined; empty where one
        of them does not say.
        """
        fingerprints = [part.reranker.fingerprint() for part in self.parts]
        if not all(fingerprints):
            return {}
        return {"backend": self.backend, **self.settings(), "parts": fingerprints}

    def load(self) -> None:
        for part in self.parts:
            part.reranker.load()

    def describe(self) -> Description:
        return self.described_by([part.reranker.describe() for part in self.parts])

    def described_by(self, parts: Sequence[Description]) -> Description:
        identity = [{"backend": part.backend, **part.identity} for part in parts]
        facts: list[dict[str, object]] = []
        warnings: list[NoteFields] = []
        for part, description in zip(self.parts, parts, strict=True):
            facts.append({"name": part.name, **description.facts})
            for about in read_notes(description.facts.get("warnings", ())):
                warnings.append(about.at(part.name).to_dict())
        warnings += [about.to_dict() for about in self.notes()]
        together: dict[str, object] = {"device": self.device, "parts": facts, **self.facts()}
        if any(description.facts.get("random_weights") for description in parts):
            together["random_weights"] = True
        if warnings:
            together["warnings"] = warnings
        return Description(self.backend, {**self.settings(), "parts": identity}, together)

    def notes(self) -> Sequence[Note]:
        """Return what a reader should know of how the parts are combined."""
        return ()

    def facts(self) -> dict[str, object]:
        """Return what was learned from scores or judgments."""
        return {}

    def spans(self) -> list[str]:
        names: list[str] = []
        for part in self.parts:
            names += [part.name, *(part_of(part.name, inner) for inner in part.reranker.spans())]
        return [*names, COMBINE]

    def rerank(self, requests: Sequence[CandidateList]) -> list[Outcome]:
        """Run the parts one after the other, each a span, and combine what they give."""
        outcomes: list[Sequence[Outcome | None]] = []
        for part in self.parts:
            wanted = [request for request in requests if self.asks(part, request)]
            meter = Meter()
            if part.reranker.parts:
                meter = self.meter.within(part.name)
            with self.meter.span(part.name):
                answers = iter(part.reranker.score_lists(wanted, meter) if wanted else ())
            self.meter.count(meter.take())
            row: list[Outcome | None] = []
            for request in requests:
                row.append(next(answers) if self.asks(part, request) else None)
            outcomes.append(row)
        with self.meter.span(COMBINE):
            return self.combine(requests, outcomes)

    def pause(self) -> None:
        for part in self.parts:
            part.reranker.pause()

    def expected_usage(
        self, requests: Sequence[CandidateList], tokens: Callable[[str], int]
    ) -> Usage:
        usage = Usage()
        for part in self.parts:
            wanted = [request for request in requests if self.asks(part, request)]
            usage += part.reranker.expected_usage(wanted, tokens)
        return usage

    def close(self) -> None:
        with ExitStack() as stack:
            for part in self.parts:
                stack.callback(part.reranker.close)


def _placement(placements: Sequence[Placement]) -> Placement:
    if "remote" in placements:
        return "remote"
    if "device" in placements:
        return "device"
    return "none"


def failure_among(parts: Sequence[Component], outcomes: Sequence[Outcome | None]) -> Failure | None:
    """Return the failure of the first part that failed, with its name; None where none did."""
    for part, outcome in zip(parts, outcomes, strict=True):
        if isinstance(outcome, Failure):
            return Failure(f"{part.name}: {outcome.reason}")
    return None


def ordered(doc_ids: Sequence[str], scores: Scores | Sequence[float]) -> QueryCandidates:
    """Return the documents of a query by these scores, by the tie rule."""
    ranking = rank(doc_ids, scores)
    return QueryCandidates(ranking.doc_ids, ranking.scores)


def scores_before(request: CandidateList) -> Scores:
    """Return the scores of the stage before, in the order of the documents; n, n-1, ..., 1 where
    they are not known.
    """
    import numpy as np

    scores = np.asarray(request.scores, dtype=np.float64)
    if len(scores) != len(request.doc_ids) or not np.isfinite(scores).all():
        return np.arange(len(request.doc_ids), 0, -1, dtype=np.float64)
    return scores


def order_before(request: CandidateList) -> Scores:
    """Return scores that leave the documents in the order of the stage before: its own, or n, n-1,
    ..., 1 where these say another one, as an outsider's may.
    """
    import numpy as np

    scores = scores_before(request)
    if in_order(request.doc_ids, scores):
        return scores
    return np.arange(len(request.doc_ids), 0, -1, dtype=np.float64)


def aligned(doc_ids: Sequence[str], sums: Scores, request: CandidateList) -> Scores:
    """Return sums of documents in the order of the request's."""
    import numpy as np

    by_id = dict(zip(doc_ids, sums.tolist(), strict=True))
    return np.array([by_id[doc_id] for doc_id in request.doc_ids], dtype=np.float64)
