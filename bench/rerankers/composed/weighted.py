"""What fuse and blend have in common: weights of what is added up, given or chosen on queries of
other folds.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.contract.request import CandidateList, Failure
from bench.contract.requirement import Requirement
from bench.contract.stage import Description
from bench.core.errors import CalibrationError
from bench.core.note import Note
from bench.datasets.folds import folds
from bench.ranking.fusion import Contributions
from bench.ranking.options import map_digests
from bench.ranking.score_maps import MapOnDisk, of_these_queries, used_map
from bench.ranking.tuning import FusionWeights, cross_fitted
from bench.rerankers.composed.base import Composite, aligned, failure_among
from bench.rerankers.description import described

if TYPE_CHECKING:
    from bench.contract.request import Outcome
    from bench.datasets.base import Dataset, Qrels


class Weighted(Composite):
    """Adds up what its parts give to each document of a query. Weights that are tuned are fixed
    ones until the queries have been scored once.
    """

    own_state: FusionWeights | None = None

    def __init__(self, options: Any, device: str = "cpu") -> None:
        super().__init__(options, device)
        self.learns = options.is_tuned
        self._qrels: Qrels = {}
        self._other_maps: list[Note] = []
        self._dataset: Dataset | None = None

    @property
    def adds_scores(self) -> bool:
        """Whether what is added up of a document depends on no other document of the query."""
        if self.options.maps is None:
            return bool(self.options.norm == "none")
        try:
            maps = [used_map(path).score_map for path in self.options.maps]
        except CalibrationError:
            # check() says so
            return False
        return not any(score_map.needs_list for score_map in maps)

    def requirements(self) -> Sequence[Requirement]:
        return [*map(MapOnDisk, self.options.maps or ()), *super().requirements()]

    def check(self) -> None:
        for path in self.options.maps or ():
            MapOnDisk(path).require()
        super().check()

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), **map_digests(self.options.maps)}

    def load(self) -> None:
        super().load()
        if self.options.maps is not None:
            self.describe()

    def describe(self) -> Description:
        parts = [Description(**described(part.reranker)) for part in self.parts]
        return self.described_by(parts)

    def described_by(self, parts: Sequence[Description]) -> Description:
        """Return what loaded. Raises CalibrationError for a map of another part's scores."""
        self._other_maps = []
        # of a blend, the second map is that of whatever comes before
        maps = self.options.maps or ()
        for part, description, path in zip(self.parts, parts, maps, strict=False):
            about = used_map(path).refuse_other(part.name, description, self.options.other)
            if about is not None:
                self._other_maps.append(about.at(part.name))
        return super().described_by(parts)

    @property
    @abstractmethod
    def weighted_names(self) -> Sequence[str]:
        """What notes call that which each weight belongs to."""

    @abstractmethod
    def fixed_weights(self) -> FusionWeights:
        """Return the weights where none are learned."""

    @abstractmethod
    def contributions(self, request: CandidateList, scores: Sequence[Any]) -> Contributions:
        """Return what is added up for a query, of the scores that the parts gave."""

    def over(self, dataset: Dataset) -> None:
        super().over(dataset)
        self._qrels = dataset.qrels
        self._dataset = dataset

    def facts(self) -> dict[str, object]:
        """Return the weights that were chosen, nothing where none were."""
        weights = self.own_state
        if weights is None:
            return {}
        return {"weights": {"overall": weights.overall, "by_fold": weights.by_fold}}

    def notes(self) -> Sequence[Note]:
        notes = [*self._other_maps, *of_these_queries(self.options.maps or (), self._dataset)]
        if self.own_state is not None:
            notes.append(self.own_state.note(self.weighted_names))
        return notes

    def learn(
        self, requests: Sequence[CandidateList], outcomes: Sequence[Sequence[Outcome | None]]
    ) -> None:
        """Choose weights by nDCG@10, cross-fitted over all queries that every part has answered.
        Raises DataError where they are too few for the folds.
        """
        if not self.learns:
            return
        queries: dict[str, Contributions] = {}
        texts: dict[str, str] = {}
        for request, *scores in zip(requests, *outcomes, strict=True):
            if not any(isinstance(own, Failure) for own in scores):
                queries[request.query_id] = self.contributions(request, scores)
                texts[request.query_id] = request.query
        count = self.options.folds
        fold_of = folds(texts, count, self.options.seed)
        self.own_state = cross_fitted(queries, self._qrels, fold_of, count)

    def combine(
        self, requests: Sequence[CandidateList], outcomes: Sequence[Sequence[Outcome | None]]
    ) -> list[Outcome]:
        weights = self.own_state or self.fixed_weights()
        results: list[Outcome] = []
        for request, *scores in zip(requests, *outcomes, strict=True):
            failure = failure_among(self.parts, scores)
            if failure is not None:
                results.append(failure)
                continue
            parts = self.contributions(request, scores)
            sums = parts.summed(weights.of(request.query_id))
            results.append(aligned(parts.doc_ids, sums, request))
        return results
