"""A pipeline: a first stage, and stages that each order what the one before handed on.

It is timed as one stage: a call retrieves, reranks and cuts as production would, with the index and
the texts in memory. It is scored stage by stage instead (bench.runner.stages), since a record has
the quality after each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bench.contract.candidates import finite
from bench.contract.meter import Meter
from bench.contract.recipe import Recipe
from bench.contract.request import CandidateList, Failure, Usage, cut
from bench.contract.requirement import requirements_of
from bench.contract.stage import Description, Placement, Reranker
from bench.core.errors import RerankerError
from bench.core.note import NoteFields, read_notes
from bench.core.outsiders import outsiders_code
from bench.core.plugins import name_of
from bench.rerankers.base import BaseReranker
from bench.rerankers.options import RerankerOptions
from bench.retrieval.base import BaseFirstStage
from bench.retrieval.own_document import searched

if TYPE_CHECKING:
    from bench.contract.candidates import Candidates, QueryCandidates
    from bench.contract.request import Outcome
    from bench.contract.requirement import Requirement
    from bench.datasets.base import Dataset, Qrels

Prefix = tuple[tuple[str, int | None], ...]
"""The keys of the first stages after the search, with what each hands on."""


@dataclass(frozen=True)
class Step:
    """A stage after the first, by its name in tables. It hands on `keep` documents, all without a
    number. Steps with the same `key` do the same. `recipe` is how another process builds the stage.
    """

    name: str
    reranker: Reranker
    keep: int | None
    key: str
    recipe: Recipe | None = None


class Pipeline(BaseReranker):
    """Works on a device here as soon as one of its stages does, the search of the first among
    them; is remote where one of them is.
    """

    pointwise = False

    def __init__(
        self, first_name: str, first: BaseFirstStage, steps: Sequence[Step], *, device: str
    ) -> None:
        super().__init__(RerankerOptions(), device)
        self.first_name, self.first, self.steps = first_name, first, tuple(steps)
        self.placement = _placement(first, steps)
        self.reads_texts = any(step.reranker.reads_texts for step in steps)
        scoring = [step.reranker for step in steps if not step.reranker.only_shortens]
        self.gives_probabilities = bool(scoring) and scoring[-1].gives_probabilities
        self._dataset: Dataset | None = None

    def requirements(self) -> Sequence[Requirement]:
        requirements = list(requirements_of(self.first, self.first.origin))
        for step in self.steps:
            requirements += requirements_of(step.reranker, step.reranker.origin)
        return requirements

    def check(self) -> None:
        # the first stage is its group's: where it cannot search, the group says so
        for step in self.steps:
            with outsiders_code(f"check() of {name_of(step.reranker.origin)}"):
                step.reranker.check()

    def over(self, dataset: Dataset) -> None:
        self._dataset = dataset
        for step in self.steps:
            step.reranker.over(dataset)

    def check_over(self, dataset: Dataset) -> None:
        for step in self.steps:
            step.reranker.check_over(dataset)

    def bind(self, qrels: Qrels, candidates: Candidates) -> None:
        for step in self.steps:
            step.reranker.bind(qrels, candidates)

    def fingerprint(self) -> dict[str, Any]:
        """Return what decides the scores of every stage; empty where one of them does not say."""
        fingerprints = [step.reranker.fingerprint() for step in self.steps]
        if not all(fingerprints):
            return {}
        keeps = [step.keep for step in self.steps]
        return {"backend": "pipeline", "stages": fingerprints, "keep": keeps}

    def load(self) -> None:
        if self._dataset is None:
            raise RerankerError("a pipeline has no collection: over() comes before load()")
        self.first.load(self._dataset)
        for step in self.steps:
            step.reranker.load()

    def describe(self) -> Description:
        return described([(step, step.reranker.describe()) for step in self.steps], self.device)

    def rerank(self, requests: Sequence[CandidateList]) -> list[Outcome]:
        raise RerankerError("a pipeline is scored stage by stage")

    def run(self, lists: Sequence[CandidateList], meter: Meter) -> list[CandidateList | Failure]:
        """Search anew for each list's query, as many documents as it has, and return what the last
        stage hands on. Each stage is a span, and so is each part of the first.
        """
        if self.first.is_given:
            current = list(lists)
        else:
            self.first.meter = meter.within(self.first_name)
            with meter.span(self.first_name):
                current = [self._searched(request) for request in lists]
        return self.after_search(current, meter)

    def after_search(
        self, lists: Sequence[CandidateList], meter: Meter
    ) -> list[CandidateList | Failure]:
        """Return what the last stage hands on of these lists: every stage but the search."""
        current = list(lists)
        failures: dict[str, Failure] = {}
        for step in self.steps:
            inner = Meter()
            if step.reranker.parts:
                inner = meter.within(step.name)
            try:
                with meter.span(step.name):
                    outcomes = step.reranker.run(current, inner)
                    handed_on: list[CandidateList] = []
                    for request, outcome in zip(current, outcomes, strict=True):
                        if isinstance(outcome, Failure):
                            failures[request.query_id] = outcome
                        else:
                            shorter = cut(outcome, step.reranker.hands_on(outcome.scores))
                            handed_on.append(cut(shorter, step.keep))
                    current = handed_on
            finally:
                meter.count(inner.take())
        results = {request.query_id: request for request in current}
        query_ids = [request.query_id for request in lists]
        return [failures.get(query_id) or results[query_id] for query_id in query_ids]

    def pause(self) -> None:
        for step in self.steps:
            step.reranker.pause()

    def expected_usage(
        self, requests: Sequence[CandidateList], tokens: Callable[[str], int]
    ) -> Usage:
        usage = Usage()
        for step, handed in zip(self.steps, self.handed(), strict=True):
            seen = [cut(request, handed) for request in requests]
            usage += step.reranker.expected_usage(seen, tokens)
        return usage

    def handed(self) -> list[int | None]:
        """Return how many documents each stage after the first is handed, at most."""
        handed: list[int | None] = []
        keep: int | None = None
        for step in self.steps:
            handed.append(keep)
            if step.keep is not None:
                keep = step.keep
        return handed

    def prefixes(self) -> list[Prefix]:
        """Return, per stage after the first, the stages up to it: where these are the same, and so
        are the candidates, so is the order after them.
        """
        stages = [(step.key, step.keep) for step in self.steps]
        return [tuple(stages[: number + 1]) for number in range(len(stages))]

    def own_scores(self, request: CandidateList, answer: QueryCandidates) -> QueryCandidates:
        """Return the scores of the last stage; of a pipeline of one stage, those of its search."""
        if not self.steps:
            return finite(zip(request.doc_ids, request.scores, strict=False))
        return answer

    def close(self) -> None:
        with ExitStack() as stack:
            stack.callback(self.first.close)
            for step in self.steps:
                stack.callback(step.reranker.close)

    def _searched(self, request: CandidateList) -> CandidateList:
        dataset, depth = self._dataset, len(request.doc_ids)
        if dataset is None:
            raise RerankerError("a pipeline has no collection: over() comes before run()")
        candidates = searched(self.first, dataset, request.query_id, depth)
        docs = self._texts(dataset, request, candidates.doc_ids)
        return replace(request, doc_ids=candidates.doc_ids, docs=docs, scores=candidates.scores)

    def _texts(
        self, dataset: Dataset, request: CandidateList, doc_ids: Sequence[str]
    ) -> Sequence[str]:
        """Return the texts of documents, those that the request has at hand among them; empty ones
        where no stage reads them.
        """
        if not self.reads_texts:
            return [""] * len(doc_ids)
        texts = dict(zip(request.doc_ids, request.docs, strict=True))
        if not texts.keys() >= set(doc_ids):
            # a search that gives other documents than the run's candidates
            return list(dataset.texts(doc_ids))
        return [texts[doc_id] for doc_id in doc_ids]


def _placement(first: BaseFirstStage, steps: Sequence[Step]) -> Placement:
    placements = {step.reranker.placement for step in steps}
    if "remote" in placements:
        return "remote"
    if first.is_given and placements <= {"none"}:
        return "none"
    return "device"


def described(stages: Sequence[tuple[Step, Description]], device: str) -> Description:
    """Return what a pipeline's stages after the first say they loaded, together."""
    identity: list[dict[str, object]] = []
    facts: list[dict[str, object]] = []
    warnings: list[NoteFields] = []
    for step, description in stages:
        own = {"backend": description.backend, **description.identity}
        identity.append({"keep": step.keep, **own})
        facts.append({"name": step.name, **description.facts})
        for note in read_notes(description.facts.get("warnings", ())):
            warnings.append(note.at(step.name).to_dict())
    together: dict[str, object] = {"device": device, "stages": facts}
    if warnings:
        together["warnings"] = warnings
    return Description("pipeline", {"stages": identity}, together)
