"""What a run has yet to score, stage by stage: what neither the score cache holds nor the run has
bought by then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from bench.contract.request import CandidateList, Failure, Usage, cut, picked
from bench.contract.stage import Reranker
from bench.pipelines.pipeline import Prefix
from bench.ranking.order import rank
from bench.rerankers.description import identified
from bench.scoring.composite import passes
from bench.scoring.entry_pairs import EntryPairs
from bench.scoring.known import KnownScores, ScoreCaches, part_of_list
from bench.scoring.pairs import ABSENT
from bench.suite.planning import Planned

if TYPE_CHECKING:
    from bench.contract.request import Outcome, Scores


class StageInput(NamedTuple):
    """A stage that scores, and how many documents of a query it is handed, at most."""

    reranker: Reranker
    handed: int | None


class Missing(NamedTuple):
    """The queries of a trial of which something is yet to be scored, what that takes of each stage,
    the pairs that an earlier trial of the run scores, and whether the first candidates serve for
    documents that nobody knows yet.
    """

    queries: int
    usages: list[Usage]
    shared: int
    is_guessed: bool


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
    """Counts the trials of a run in their order. With `fresh` nothing is taken from the cache but
    what an earlier pipeline of the run puts there, by another one.
    """

    def __init__(self, tokens: Callable[[str], int], *, fresh: bool) -> None:
        self._tokens = tokens
        self._caches, self._fresh = ScoreCaches(fresh=fresh), fresh
        self._bought: dict[str, Bought] = {}
        self._begun: set[tuple[Prefix, str]] = set()
        self._shared = 0

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
        self._shared = 0
        is_guessed = False
        for request in requests:
            own: list[Usage | None] = []
            current: CandidateList | None = request
            for stage in stages:
                received = cut(request, stage.handed) if current is None else current
                is_guessed |= current is None
                scores = stage.scores(received, is_exact=current is not None)
                own += self._usages(stage, received, current is not None)
                current = stage.hands_on(received, scores)
            queries += any(usage is not None for usage in own)
            usages = [total + (more or Usage()) for total, more in zip(usages, own, strict=True)]
        return Missing(queries, usages, self._shared, is_guessed)

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
                    usages += [None] * passes(component.reranker)
            return usages
        rest = stage.missing(request, is_exact=is_exact)
        if rest is not None:
            pairs = len(rest.doc_ids)
            rest = self._to_be_scored(stage, rest, is_exact)
            self._shared += pairs - (0 if rest is None else len(rest.doc_ids))
        if rest is None:
            return [None]
        return [stage.reranker.expected_usage([rest], self._tokens)]

    def _stages(self, planned: Planned) -> list[_Stage]:
        is_pending = planned.status.status == "pending"
        pipeline = planned.pipeline
        if pipeline is None:
            bought = {} if self._fresh else self._bought
            prefix: Prefix = ((planned.trial.id, None),)
            return [self._stage(planned.reranker, None, None, prefix, is_pending, bought)]
        stages: list[_Stage] = []
        rows = zip(pipeline.steps, pipeline.handed(), pipeline.prefixes(), strict=True)
        for step, received, prefix in rows:
            stages.append(
                self._stage(step.reranker, received, step.keep, prefix, is_pending, self._bought)
            )
        return stages

    def _stage(
        self,
        reranker: Reranker,
        handed: int | None,
        keep: int | None,
        prefix: Prefix,
        is_pending: bool,
        bought: dict[str, Bought],
    ) -> _Stage:
        parts: list[_Stage] = []
        for component in reranker.parts:
            of_part = (*prefix, (component.name, None))
            parts.append(self._stage(component.reranker, handed, None, of_part, is_pending, bought))
        known = None
        if not parts:
            known = self._known(reranker, is_pending)
        return _Stage(reranker, handed, keep, prefix, known, is_pending, bought, tuple(parts))

    def _known(self, reranker: Reranker, is_pending: bool) -> KnownScores | None:
        """Return what the cache has of a reranker; None where its identity is not known: the
        weights of a local one that cannot run here may be missing.
        """
        if not is_pending and reranker.placement != "remote":
            return None
        fingerprint = identified(reranker)
        if not fingerprint:
            return None
        return KnownScores(self._caches.of(reranker, fingerprint), reranker)

    def _to_be_scored(
        self, stage: _Stage, request: CandidateList, is_exact: bool
    ) -> CandidateList | None:
        """Return what this run has to score of a request that the cache lacks; if so, it has by
        the next one.
        """
        begun = (stage.prefix, request.query_id)
        if begun in self._begun:
            return None
        rest: CandidateList | None = request
        if stage.known is not None and is_exact:
            bought = stage.bought.setdefault(stage.known.cache.folder.name, Bought())
            rest = bought.rest(stage.known, request, adds=stage.is_pending)
        if rest is not None and stage.is_pending:
            self._begun.add(begun)
        return rest


class Bought:
    """What a run has scored by then of one identity: lists, and pairs where these count."""

    def __init__(self) -> None:
        self._lists: set[str] = set()
        self._pairs = EntryPairs()

    def rest(
        self, known: KnownScores, request: CandidateList, *, adds: bool
    ) -> CandidateList | None:
        """Return the part of a request that is not bought yet, None where all is; with `adds` it
        is from now on.
        """
        key = known.asked_key(request.query_id)
        keys = known.pairs.get(key)
        if keys is None:
            if key in self._lists:
                return None
            if adds:
                self._lists.add(key)
            return request
        unknown = (self._pairs.table.find(keys).slots == ABSENT).nonzero()[0].tolist()
        if adds and unknown:
            new = keys[unknown]
            self._pairs.add({key: new}, {key: new[:, 0] * 0.0}, 0, {})
        if not unknown:
            return None
        return part_of_list(request, unknown)


@dataclass(frozen=True)
class _Stage:
    """A stage with what the score cache holds of it."""

    reranker: Reranker
    handed: int | None
    keep: int | None
    prefix: Prefix
    known: KnownScores | None
    is_pending: bool
    bought: dict[str, Bought]
    parts: tuple[_Stage, ...] = ()

    def missing(self, request: CandidateList, *, is_exact: bool) -> CandidateList | None:
        """Return what the cache lacks of a request; all of one whose documents are a guess."""
        if self.known is None or not is_exact:
            return request
        return self.known.missing(request)

    def scores(self, request: CandidateList, *, is_exact: bool) -> Scores | None:
        """Return the cached scores of a request, or what is made of those of its parts; None of one
        whose documents are a guess, and where the scores depend on those of other queries.
        """
        if self.parts:
            return self._combined(request, is_exact=is_exact)
        if self.known is None or self.missing(request, is_exact=is_exact) is not None:
            return None
        return self.known.scores(request.query_id)

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
