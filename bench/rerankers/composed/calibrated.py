"""A reranker whose scores are probabilities of relevance, by a map that was fitted beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract.part import Part
from bench.contract.request import CandidateList
from bench.contract.requirement import Requirement
from bench.contract.stage import Component, Description, Reranker
from bench.core.errors import CalibrationError
from bench.core.note import Code, Note, note
from bench.ranking.score_maps import MapOnDisk, UsedMap, mapped, used_map
from bench.rerankers.composed.base import Composite, failure_among
from bench.rerankers.composed.options import CalibratedOptions
from bench.rerankers.description import described
from bench.rerankers.options import declared

if TYPE_CHECKING:
    from bench.contract.request import Outcome
    from bench.datasets.base import Dataset


class Calibrated(Composite):
    """The scores of its part, put through a map. A map that rises leaves the order as it is, also
    where it gives one probability to several scores.
    """

    Options: ClassVar[type[CalibratedOptions]] = CalibratedOptions
    backend = "calibrated"
    gives_probabilities = True

    def __init__(self, options: CalibratedOptions, device: str = "cpu") -> None:
        super().__init__(options, device)
        self._dataset: Dataset | None = None
        self._other: Note | None = None

    @property
    def used(self) -> UsedMap:
        """The map. Raises CalibrationError where its file cannot be used."""
        return used_map(self.options.map, self.options.group)

    def hold(self, parts: Sequence[Component]) -> None:
        super().hold(parts)
        try:
            score_map = self.used.score_map
        except CalibrationError:
            # check() says so
            return
        self.pointwise = not score_map.needs_list and parts[0].reranker.pointwise

    def requirements(self) -> Sequence[Requirement]:
        return [MapOnDisk(self.options.map, self.options.group), *super().requirements()]

    def check(self) -> None:
        MapOnDisk(self.options.map, self.options.group).require()
        super().check()

    def over(self, dataset: Dataset) -> None:
        super().over(dataset)
        self._dataset = dataset

    def check_over(self, dataset: Dataset) -> None:
        """Raise CalibrationError, too, for a map that is known to be of another reranker's scores
        though nothing is loaded.
        """
        super().check_over(dataset)
        (part,) = self.parts
        if part.reranker.placement == "none" and not part.reranker.is_untrained:
            own = Description(**described(part.reranker))
            self.used.refuse_other(part.name, own, self.options.other)
        else:
            options = declared(part.reranker.options).model_dump()
            self.used.refuse_other_model(part.name, options, self.options.other)

    def settings(self) -> dict[str, Any]:
        return {"map": self.used.digest}

    def load(self) -> None:
        super().load()
        self.describe()

    def describe(self) -> Description:
        parts = [Description(**described(part.reranker)) for part in self.parts]
        return self.described_by(parts)

    def described_by(self, parts: Sequence[Description]) -> Description:
        """Return what loaded. Raises CalibrationError for a map of another reranker's scores."""
        (part,), (description,) = self.parts, parts
        self._other = self.used.refuse_other(part.name, description, self.options.other)
        return super().described_by(parts)

    def notes(self) -> Sequence[Note]:
        notes: list[Note] = []
        if self._other is not None:
            notes.append(self._other)
        if self.used.is_fitted_on(self._dataset):
            text = self.used.calibration.fitted_on.dataset
            notes.append(note(Code.MAP_OF_THESE_QUERIES, text=text))
        if not self.used.score_map.rises:
            notes.append(note(Code.MAP_MAY_REORDER))
        return notes

    def facts(self) -> dict[str, object]:
        return {"map": dict(self.used.facts())}

    def combine(
        self, requests: Sequence[CandidateList], outcomes: Sequence[Sequence[Outcome | None]]
    ) -> list[Outcome]:
        score_map = self.used.score_map
        results: list[Outcome] = []
        scores: Any
        for scores in outcomes[0]:
            failure = failure_among(self.parts, [scores])
            results.append(failure or mapped(score_map, scores))
        return results


def calibrated(
    inner: Reranker, name: str, path: str | Path, device: str = "cpu", **options: Any
) -> Calibrated:
    """Return a reranker that is built already, with the probabilities of a calibration file.
    Raises CalibrationError, RerankerError or Unavailable where the file cannot be used.
    """
    part = Part(name=name, options=None)
    outer = Calibrated(CalibratedOptions(of=part, map=str(path), **options), device)
    outer.hold([Component(name, inner)])
    outer.check()
    return outer
