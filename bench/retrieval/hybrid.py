"""Several first stages as one: their lists are fused by reciprocal ranks or weighted scores."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

from bench import datasets, retrieval
from bench.contract.candidates import Candidates, QueryCandidates, Source
from bench.contract.index_facts import together
from bench.contract.meter import part_of
from bench.contract.requirement import Requirement, requirements_of
from bench.core.errors import SuiteError
from bench.core.note import Note
from bench.core.options import deciding
from bench.core.paths import beside
from bench.core.plugins import is_ours
from bench.datasets.base import Dataset
from bench.datasets.folds import folds, refuse_shared
from bench.ranking.fusion import Contributions
from bench.ranking.options import map_digests
from bench.ranking.score_maps import MapOnDisk, of_these_queries, used_map
from bench.ranking.tuning import FusionWeights, cross_fitted, fitted
from bench.retrieval.base import BaseFirstStage
from bench.retrieval.options import HybridOptions
from bench.retrieval.own_document import candidates_of, searched
from bench.retrieval.stored_weights import StoredWeights

FUSE = "fuse"
"""What the span of the fusion itself is called."""
TUNED_AT = 100
"""Candidates of each part that weights are chosen over, where the options do not say how many."""


class Hybrid(BaseFirstStage):
    """The documents of all parts, fused. Parts may be hybrids themselves.

    Weights that are tuned are chosen over a fixed number of candidates, whatever the depth of a
    search, and kept in the cache folder: another process, or a timed one, chooses none anew.
    """

    meaning = "the documents of several first stages, fused"
    Options: ClassVar[type[HybridOptions]] = HybridOptions

    def __init__(self, options: HybridOptions, base_dir: Path) -> None:
        if options.maps is not None:
            maps = tuple(beside(path, base_dir) for path in options.maps)
            options = options.model_copy(update={"maps": maps})
        super().__init__(options, base_dir)
        parts: list[tuple[str, BaseFirstStage]] = []
        for part in options.of:
            try:
                parts.append((part.label, retrieval.build(part.name, part.options, base_dir)))
            except SuiteError as error:
                raise SuiteError(f"hybrid, {part.label}: {error}") from error
        self.parts = parts
        self.reads_texts = any(stage.reads_texts for _, stage in parts)
        self.is_given = all(stage.is_given for _, stage in parts)
        self.source_decides = all(
            stage.source_decides and is_ours(stage.origin) for _, stage in parts
        )
        self._weights: tuple[Dataset, FusionWeights] | None = None

    def requirements(self) -> Sequence[Requirement]:
        requirements: list[Requirement] = [*map(MapOnDisk, self.options.maps or ())]
        for _, stage in self.parts:
            requirements += requirements_of(stage, stage.origin)
        return requirements

    def spans(self) -> list[str]:
        names: list[str] = []
        for name, stage in self.parts:
            names += [name, *(part_of(name, inner) for inner in stage.spans())]
        return [*names, FUSE]

    def check(self, dataset: Dataset | None, depth: int) -> Candidates | None:
        """Raise what a part raises, and DataError where weights cannot be tuned on these queries.
        Nothing is retrieved.
        """
        self._map_notes()
        for _, stage in self.parts:
            stage.check(dataset, self._width(depth))
        if dataset is None or not self.options.is_tuned:
            return None
        if self.options.train is None:
            self._folds(dataset)
        else:
            self._training(dataset, check=True)
        return None

    def load(self, dataset: Dataset) -> None:
        """Open the parts, and choose weights that are tuned where no earlier search has."""
        for _, stage in self.parts:
            stage.load(dataset)
        self._weights_for(dataset)

    def retrieve(self, dataset: Dataset, query_ids: Sequence[str], depth: int) -> Candidates:
        """Return up to `depth` candidates for each query. Raises DataError where weights cannot be
        tuned on the dataset's judged queries.
        """
        weights = self._weights_for(dataset)
        width = self._width(depth)
        lists = [candidates_of(stage, dataset, query_ids, width) for _, stage in self.parts]
        by_query: dict[str, QueryCandidates] = {}
        for query_id in query_ids:
            parts = self.options.contributions([each.by_query[query_id] for each in lists])
            by_query[query_id] = parts.ranking(weights.of(query_id)).first(depth)
        notes = self._map_notes()
        notes += of_these_queries(self.options.maps or (), dataset)
        for (name, _), candidates in zip(self.parts, lists, strict=True):
            notes += [about.at(name) for about in candidates.warnings]
        if self.options.is_tuned:
            notes.append(weights.note([name for name, _ in self.parts]))
        source = self._source([candidates.source for candidates in lists], weights)
        indexes = [(name, each.built) for (name, _), each in zip(self.parts, lists, strict=True)]
        return Candidates(by_query, depth, source, tuple(notes), together(indexes))

    def search(self, dataset: Dataset, query_id: str, depth: int) -> QueryCandidates:
        weights = self._weights_for(dataset).of(query_id)
        lists: list[QueryCandidates] = []
        for name, stage in self.parts:
            stage.meter = self.meter.within(name)
            with self.meter.span(name):
                lists.append(searched(stage, dataset, query_id, self._width(depth)))
        with self.meter.span(FUSE):
            parts: Contributions = self.options.contributions(lists)
            return parts.ranking(weights).first(depth)

    def close(self) -> None:
        self._weights = None
        with ExitStack() as stack:
            for _, stage in self.parts:
                stack.callback(stage.close)

    def _width(self, depth: int) -> int:
        return max(depth, self.options.retrieve or 0)

    def _source(self, parts: Sequence[Source], weights: FusionWeights) -> Source:
        """Return what decides the candidates: options, parts, and the weights that were chosen."""
        chosen: dict[str, object] = {"overall": weights.overall}
        if weights.by_fold:
            chosen["by_fold"] = weights.by_fold
        settings = self._settings()
        if self.options.train is not None:
            settings["train"] = self.options.train.to_entry()
        names = [name for name, _ in self.parts]
        return {
            "first_stage": "hybrid",
            **settings,
            "fused_with": chosen,
            "parts": [dict(source, name=name) for name, source in zip(names, parts, strict=True)],
        }

    def _map_notes(self) -> list[Note]:
        """Return a note per map of another first stage. Raises CalibrationError for one, unless
        `other` allows it, and what is raised for a file that cannot be used.
        """
        notes: list[Note] = []
        for (name, _), path in zip(self.parts, self.options.maps or (), strict=False):
            MapOnDisk(path).require()
            about = used_map(path).refuse_other_first_stage(name, self.options.other)
            if about is not None:
                notes.append(about.at(name))
        return notes

    def _settings(self) -> dict[str, object]:
        """Return the options that decide something as they are set."""
        options = self.options
        unused = options.unused
        if options.train is not None:
            unused |= {"folds", "seed"}
        settings = deciding(options, "scores") | map_digests(options.maps)
        return {name: value for name, value in settings.items() if name not in unused}

    def _weights_for(self, dataset: Dataset) -> FusionWeights:
        """Return the weights that serve a dataset's queries, chosen once."""
        if self._weights is not None and self._weights[0] is dataset:
            return self._weights[1]
        if self.options.is_tuned:
            weights = self._tuned(dataset)
        else:
            weights = self.options.fixed_weights(len(self.parts))
        self._weights = (dataset, weights)
        return weights

    def _tuned(self, dataset: Dataset) -> FusionWeights:
        """Return weights by nDCG@10: of the dataset's own judged queries, by fold, or of those of
        the dataset that is named for it.
        """
        if self.options.train is None:
            stages = [stage for _, stage in self.parts]
            fold_of = self._folds(dataset)
            stored = self._stored(dataset, stages)
            weights = stored.read(fold_of)
            if weights is None:
                queries = self._judged(dataset, stages)
                weights = cross_fitted(queries, dataset.qrels, fold_of, self.options.folds)
                stored.write(weights)
            return weights
        training = self._training(dataset)
        # parts of their own: an index is of one collection
        with ExitStack() as stack:
            stages = []
            for part in self.options.of:
                stages.append(
                    retrieval.build(
                        part.name, part.options, self.base_dir, self.device, self.observer
                    )
                )
                stack.callback(stages[-1].close)
            stored = self._stored(training, stages)
            weights = stored.read(None)
            if weights is None:
                weights = fitted(self._judged(training, stages), training.qrels)
                stored.write(weights)
        return weights

    def _folds(self, dataset: Dataset) -> Mapping[str, int]:
        return folds(dataset.judged_queries, self.options.folds, self.options.seed)

    def _training(self, dataset: Dataset, *, check: bool = False) -> Dataset:
        """Return the dataset that weights are chosen on. Raises DataError where it shares judged
        queries with the one that is measured.
        """
        part = self.options.train
        training = datasets.load(
            part.name, part.options, self.base_dir, self.options.seed, check=check
        )
        refuse_shared(training.judged_queries, dataset.judged_queries, part.name, dataset.id)
        return training

    def _judged(
        self, dataset: Dataset, stages: Sequence[BaseFirstStage]
    ) -> Mapping[str, Contributions]:
        query_ids = list(dataset.judged_queries)
        depth = self._tuning_depth
        lists = [candidates_of(stage, dataset, query_ids, depth) for stage in stages]
        return {
            query_id: self.options.contributions([each.by_query[query_id] for each in lists])
            for query_id in query_ids
        }

    @property
    def _tuning_depth(self) -> int:
        depth: int = self.options.retrieve or self.options.depth or TUNED_AT
        return depth

    def _stored(self, dataset: Dataset, stages: Sequence[BaseFirstStage]) -> StoredWeights:
        """Return where the weights are kept that these parts get on a dataset. A part says what
        decides its candidates when it retrieves: one query suffices.
        """
        if not self.source_decides:
            return StoredWeights(None)
        query_ids = list(dataset.judged_queries)[:1]
        parts = [dict(candidates_of(stage, dataset, query_ids, 1).source) for stage in stages]
        fields = {**self._settings(), "depth": self._tuning_depth, "parts": parts}
        return StoredWeights.of(dataset, json.dumps(fields, sort_keys=True, default=str))
