"""What a run has yet to score, stage by stage: what neither the score cache holds nor the run has
bought by then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from bench.contract.request import CandidateList, Failure, Usage, cut, picked
from bench.contract.stage import Reranker
from bench.ranking.order import rank
from bench.scoring.cache import ScoreCache, request_key
from bench.scoring.description import identified
from bench.suite.planning import Planned

if TYPE_CHECKING:
    from bench.contract.request import Outcome, Scores

Prefix = tuple[tuple[str, int | None], ...]
"""The steps of a pipeline up to one of them, with what each hands on."""


class StageInput(NamedTuple):
    """A stage that scores, and how many documents of a query it is handed, at most."""

    reranker: Reranker
    handed: int | None


class Missing(NamedTuple):
    """The queries of a trial of which something is yet to be scored, and what that takes of each
    stage.
    """

    queries: int
    usages: list[Usage]


def stages_of(planned: Planned) -> list[StageInput]:
    """Return the reranker of a trial, or the stages of a pipeline after the search; of one that is
    made of others, its parts in its place.
    """
    if planned.pipeline is None:
        return _parts_of(StageInput(planned.reranker, None))
    handed = planned.pipeline.handed()
    inputs: list[StageInput] = []
    for step, keep in zip(planned.pipeline.steps, handed, strict=True):
        inputs += _parts_of(StageInput(step.reranker, keep))
    return inputs


def _parts_of(stage: StageInput) -> list[StageInput]:
    if not stage.reranker.parts:
        return [stage]
    inputs: list[StageInput] = []
    for part in stage.reranker.parts:
        inputs += _parts_of(StageInput(part.reranker, stage.handed))
    return inputs


class Backlog:
    """Counts the trials of a run in their order. With `fresh` nothing is taken from the cache, nor
    from an earlier trial.
    """

    def __init__(self, tokens: Callable[[str], int], *, fresh: bool) -> None:
        self._tokens, self._fresh = tokens, fresh
        self._bought: set[tuple[str, str]] = set()
        self._begun: set[tuple[Prefix, str]] = set()

    def begin_group(self) -> None:
        """Forget which stages have run: pipelines of other candidates share none."""
        self._begun.clear()

    def missing(self, planned: Planned, requests: Sequence[CandidateList]) -> Missing:
        """Return what a trial has yet to score.

        Which documents a later stage of a pipeline gets is known where the cache holds the scores
        of the one before. Elsewhere the first candidates serve for them.
        """
        stages = self._stages(planned)
        usages: list[Usage] = [Usage()] * len(stages_of(planned))
        queries = 0
        for request in requests:
            own: list[Usage | None] = []
            current: CandidateList | None = request
            for stage in stages:
                received = cut(request, stage.handed) if current is None else current
                scores = stage.scores(received, is_exact=current is not None)
                own += self._usages(stage, received, current is not None)
                current = stage.hands_on(received, scores)
            queries += any(usage is not None for usage in own)
            usages = [total + (more or Usage()) for total, more in zip(usages, own, strict=True)]
        return Missing(queries, usages)

    def _usages(self, stage: _Stage, request: CandidateList, is_exact: bool) -> list[Usage | None]:
        """Return what a request takes of a stage, or of each of its parts; None of one that has its
        scores already.
        """
        if stage.parts:
            usages: list[Usage | None] = []
            for component, part in zip(stage.reranker.parts, stage.parts, strict=True):
                if stage.reranker.asks(component, request):
                    usages += self._usages(part, request, is_exact)
                else:
                    usages += [None] * part.leaves
            return usages
        has_scores = stage.scores(request, is_exact=is_exact) is not None
        if has_scores or not self._is_to_be_scored(stage, request, is_exact):
            return [None]
        return [stage.reranker.expected_usage([request], self._tokens)]

    def _stages(self, planned: Planned) -> list[_Stage]:
        steps: list[tuple[Reranker, int | None, int | None, str]] = []
        if planned.pipeline is None:
            steps.append((planned.reranker, None, None, planned.trial.id))
        else:
            counts = planned.pipeline.handed()
            for step, received in zip(planned.pipeline.steps, counts, strict=True):
                steps.append((step.reranker, received, step.keep, step.key))
        is_pending = planned.status.status == "pending"
        prefix: Prefix = ()
        stages: list[_Stage] = []
        for reranker, received, keep, key in steps:
            prefix = (*prefix, (key, keep))
            stages.append(self._stage(reranker, received, keep, prefix, is_pending))
        return stages

    def _stage(
        self,
        reranker: Reranker,
        handed: int | None,
        keep: int | None,
        prefix: Prefix,
        is_pending: bool,
    ) -> _Stage:
        parts: list[_Stage] = []
        for part in reranker.parts:
            of_part = (*prefix, (part.name, None))
            parts.append(self._stage(part.reranker, handed, None, of_part, is_pending))
        cache = None
        if not self._fresh and not parts:
            cache = _cache(reranker, is_pending)
        return _Stage(reranker, handed, keep, prefix, cache, is_pending, tuple(parts))

    def _is_to_be_scored(self, stage: _Stage, request: CandidateList, is_exact: bool) -> bool:
        """Return whether this run has to score a request that the cache lacks; if so, it has by
        the next one.
        """
        begun = (stage.prefix, request.query_id)
        if begun in self._begun:
            return False
        bought = None
        if stage.cache is not None and is_exact:
            bought = (stage.cache.folder.name, stage.key(request))
        if bought in self._bought:
            return False
        if stage.is_pending:
            self._begun.add(begun)
            if bought is not None:
                self._bought.add(bought)
        return True


@dataclass(frozen=True)
class _Stage:
    """A stage with what the score cache holds of it."""

    reranker: Reranker
    handed: int | None
    keep: int | None
    prefix: Prefix
    cache: ScoreCache | None
    is_pending: bool
    parts: tuple[_Stage, ...] = ()

    @property
    def leaves(self) -> int:
        """The stages that score for themselves: this one, or those that it is made of."""
        if not self.parts:
            return 1
        return sum(part.leaves for part in self.parts)

    def key(self, request: CandidateList) -> str:
        return request_key(request, with_scores=self.reranker.reads_scores)

    def scores(self, request: CandidateList, *, is_exact: bool) -> Scores | None:
        """Return the cached scores of a request, or what is made of those of its parts; None of one
        whose documents are a guess, and where the scores depend on those of other queries.
        """
        if self.parts:
            return self._combined(request, is_exact=is_exact)
        if self.cache is None or not is_exact:
            return None
        return self.cache.get(self.key(request))

    def _combined(self, request: CandidateList, *, is_exact: bool) -> Scores | None:
        if self.reranker.learns:
            return None
        rows: list[list[Outcome | None]] = []
        for component, part in zip(self.reranker.parts, self.parts, strict=True):
            scores: Outcome | None = None
            if self.reranker.asks(component, request):
                scores = part.scores(request, is_exact=is_exact)
                if scores is None:
                    return None
            rows.append([scores])
        (outcome,) = self.reranker.combine([request], rows)
        if isinstance(outcome, Failure):
            return None
        return outcome

    def hands_on(self, request: CandidateList, scores: Scores | None) -> CandidateList | None:
        """Return what the next stage gets; None where the scores are not known."""
        if scores is None:
            return None
        ranking = rank(request.doc_ids, scores)
        order = picked(request, ranking.doc_ids, ranking.scores)
        return cut(cut(order, self.reranker.hands_on(ranking.scores)), self.keep)


def _cache(reranker: Reranker, is_pending: bool) -> ScoreCache | None:
    """Return the cached scores of a reranker; None where its identity is not known: the weights of
    a local one that cannot run here may be missing.
    """
    if not is_pending and reranker.placement != "remote":
        return None
    fingerprint = identified(reranker)
    return ScoreCache(fingerprint) if fingerprint else None
