"""What a run has yet to score, stage by stage: what neither the score cache holds nor the run has
bought by then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from bench.contract.request import CandidateList, Usage, cut, picked
from bench.contract.stage import Reranker
from bench.ranking.order import rank
from bench.scoring.cache import ScoreCache, request_key
from bench.scoring.description import identified
from bench.suite.planning import Planned

if TYPE_CHECKING:
    from bench.contract.request import Scores

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
    """Return the reranker of a trial, or the stages of a pipeline after the search."""
    if planned.pipeline is None:
        return [StageInput(planned.reranker, None)]
    handed = planned.pipeline.handed()
    steps = zip(planned.pipeline.steps, handed, strict=True)
    return [StageInput(step.reranker, keep) for step, keep in steps]


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
        usages = [Usage()] * len(stages)
        queries = 0
        for request in requests:
            is_missing = False
            current: CandidateList | None = request
            for number, stage in enumerate(stages):
                received = cut(request, stage.handed) if current is None else current
                scores = stage.scores(received, is_exact=current is not None)
                if scores is None and self._is_to_be_scored(stage, received, current is not None):
                    usages[number] += stage.reranker.expected_usage([received], self._tokens)
                    is_missing = True
                current = stage.hands_on(received, scores)
            queries += is_missing
        return Missing(queries, usages)

    def _stages(self, planned: Planned) -> list[_Stage]:
        is_pending = planned.status.status == "pending"
        keeps: list[int | None] = [None]
        keys = [planned.trial.id]
        if planned.pipeline is not None:
            keeps = [step.keep for step in planned.pipeline.steps]
            keys = [step.key for step in planned.pipeline.steps]
        prefix: Prefix = ()
        stages: list[_Stage] = []
        for stage, keep, key in zip(stages_of(planned), keeps, keys, strict=True):
            prefix = (*prefix, (key, keep))
            cache = None if self._fresh else _cache(stage.reranker, is_pending)
            stages.append(_Stage(*stage, keep, prefix, cache, is_pending))
        return stages

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

    def key(self, request: CandidateList) -> str:
        return request_key(request, with_scores=self.reranker.reads_scores)

    def scores(self, request: CandidateList, *, is_exact: bool) -> Scores | None:
        """Return the cached scores of a request; None of one whose documents are a guess."""
        if self.cache is None or not is_exact:
            return None
        return self.cache.get(self.key(request))

    def hands_on(self, request: CandidateList, scores: Scores | None) -> CandidateList | None:
        """Return what the next stage gets; None where the scores are not known."""
        if scores is None:
            return None
        ranking = rank(request.doc_ids, scores)
        return cut(picked(request, ranking.doc_ids, ranking.scores), self.keep)


def _cache(reranker: Reranker, is_pending: bool) -> ScoreCache | None:
    """Return the cached scores of a reranker; None where its identity is not known: the weights of
    a local one that cannot run here may be missing.
    """
    if not is_pending and reranker.placement != "remote":
        return None
    fingerprint = identified(reranker)
    return ScoreCache(fingerprint) if fingerprint else None
