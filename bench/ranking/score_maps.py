"""Calibration files as stages use them: the map, what it may be used for, and its scores in the
order of the scores that it reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bench.calibration.file import Calibration, read
from bench.calibration.maps import ScoreMap
from bench.catalogue import entries
from bench.contract.identity import Fields, Identity
from bench.contract.requirement import Requirement
from bench.contract.trial import FIRST_STAGE
from bench.core.digest import digest_of, file_digest
from bench.core.errors import CalibrationError, RerankerError, Unavailable, nearest
from bench.core.note import Code, Note, note
from bench.datasets.base import Dataset
from bench.datasets.folds import query_digest

if TYPE_CHECKING:
    from bench.contract.request import Scores
    from bench.contract.stage import Description

TILT = 1e-6
"""The share of its own place that a probability on a level stretch gets."""
JUDGMENTS = "qrels_hash"
"""The field of a dataset's identity that is of its judgments."""
WEIGHTS = ("model", "adapter")
"""The options that say which weights a reranker runs."""
Other = Literal["refuse", "note"]
"""What becomes of a map that was fitted on another reranker's scores."""


@dataclass(frozen=True)
class UsedMap:
    """A map of a calibration file: the one of all queries, or that of a group."""

    path: str
    calibration: Calibration
    score_map: ScoreMap

    @property
    def digest(self) -> str:
        """What the map does, as a digest: its kind and parameters."""
        parameters = self.score_map.model_dump(mode="json", by_alias=True)
        return digest_of({"kind": self.score_map.kind, **parameters})[:16]

    def refuse_other(self, name: str, description: Description, other: Other) -> Note | None:
        """Return a note where the map was fitted on other scores than those of the reranker of
        this description. Raises CalibrationError, with the fix, unless `other` allows it.
        """
        fitted = self.calibration.fitted_on
        if fitted.identity in digests_of(description):
            return None
        if other == "note":
            return note(Code.OTHER_MAP, text=fitted.reranker, name=name)
        raise self._of_another(name)

    def refuse_other_model(self, name: str, options: Fields, other: Other) -> None:
        """Raise CalibrationError where the catalogue says that the map was fitted on scores of
        another model than that of a reranker with these options, which has not loaded; what the
        catalogue does not know shows when it loads.
        """
        fitted = self.calibration.fitted_on
        entry = entries.load().get(fitted.reranker)
        is_other = False
        if entry is not None and "model" in entry.options and options.get("model"):
            is_other = any(entry.options.get(key) != options.get(key) for key in WEIGHTS)
        if other == "refuse" and (is_other or fitted.reranker == FIRST_STAGE):
            raise self._of_another(name)

    def _of_another(self, name: str) -> CalibrationError:
        fitted = self.calibration.fitted_on
        return CalibrationError(
            f"{self.path}: the map was fitted on scores of {fitted.reranker} "
            f"({fitted.identity}), and {name} is another system: another model, option or number "
            "format (in files of before also another library version). Fit it again on a run of "
            "this one with `rerank-bench calibrate`, or in a suite write `other: note` to use it "
            "all the same"
        )

    def refuse_other_first_stage(self, name: str, other: Other) -> Note | None:
        """Return the same for a first stage, which is known by its name in the run that the map was
        fitted on.
        """
        fitted = self.calibration.fitted_on
        if (fitted.reranker, fitted.first_stage) == (FIRST_STAGE, name):
            return None
        source = f"{fitted.reranker} over {fitted.first_stage or '?'}"
        if other == "note":
            return note(Code.OTHER_MAP, text=source)
        raise CalibrationError(
            f"{self.path}: the map was fitted on scores of {source}, and the part is the first "
            f"stage {name}: fit one on its own row with `rerank-bench calibrate RUN {FIRST_STAGE} "
            "--first-stage NAME`, or write `other: note` to use it all the same"
        )

    def is_fitted_on(self, dataset: Dataset | None) -> bool:
        """Return whether the map was fitted on the judgments of a dataset, or on some of its
        queries.
        """
        if dataset is None:
            return False
        fitted = self.calibration.fitted_on
        judgments = dataset.identity.get(JUDGMENTS)
        if judgments is not None and fitted.dataset_hashes.get(JUDGMENTS) == judgments:
            return True
        if not fitted.query_digests:
            return False
        measured = {query_digest(text) for text in dataset.queries.values()}
        return not measured.isdisjoint(fitted.query_digests)

    def facts(self) -> Fields:
        """Return what a record says of the map."""
        fitted = self.calibration.fitted_on
        return {
            "kind": self.score_map.kind,
            "reranker": fitted.reranker,
            "dataset": fitted.dataset,
            "queries": fitted.queries,
            "pairs": fitted.pairs,
        }


def digests_of(description: Description) -> tuple[str, str]:
    """Return the digests by which a calibration file may name what decides a reranker's scores: of
    all of it, and of all but the versions of libraries.
    """
    fields = {"backend": description.backend, **description.identity}
    identity = Identity.read(fields, description.facts)
    return identity.digest, identity.without_libraries().digest


def used_map(path: str, group: str | None = None) -> UsedMap:
    """Return the map of a calibration file. Raises CalibrationError as reading it does, and for a
    group that it does not have.
    """
    try:
        calibration = _read(path, file_digest(Path(path)))
    except OSError as error:
        raise CalibrationError(f"{path}: cannot be read: {error.strerror}") from error
    if group is None:
        return UsedMap(path, calibration, calibration.map)
    groups = calibration.groups
    if not groups:
        raise CalibrationError(f"{path}: has no map of a group '{group}': it has one map for all")
    if group not in groups:
        raise CalibrationError(f"{path}: has no map of a group '{group}': {nearest(group, groups)}")
    return UsedMap(path, calibration, groups[group])


@lru_cache(maxsize=64)
def _read(path: str, digest: str) -> Calibration:
    return read(Path(path))


def of_these_queries(paths: Sequence[str], dataset: Dataset | None) -> list[Note]:
    """Return a note where maps of a fusion were fitted on the judgments that measure it."""
    maps = [used_map(path) for path in paths]
    fitted = [own.calibration.fitted_on.dataset for own in maps if own.is_fitted_on(dataset)]
    if not fitted:
        return []
    return [note(Code.FUSION_OF_THESE_QUERIES, text=", ".join(dict.fromkeys(fitted)))]


@dataclass(frozen=True)
class MapOnDisk(Requirement):
    """A calibration file."""

    path: str
    group: str | None = None

    def require(self) -> None:
        if not Path(self.path).is_file():
            raise Unavailable(
                "no such calibration file",
                f"{self.path} does not exist: `rerank-bench calibrate RUN RERANKER --out FILE` "
                "writes one",
            )
        try:
            used_map(self.path, self.group)
        except CalibrationError as error:
            raise RerankerError(str(error)) from error


def mapped(score_map: ScoreMap, scores: Sequence[float] | Scores) -> Scores:
    """Return the probabilities of one query's documents, in their order.

    Where the map gives one probability to several scores, as the steps of an isotonic one do, each
    moves by a millionth of the way to where its score is, and what then is still equal by the last
    bits: so the order stays that of the scores, within a query and between queries.
    """
    import numpy as np

    own = np.asarray(scores, dtype=np.float64)
    probabilities = np.clip(score_map.probabilities(own), 0.0, 1.0)
    if not score_map.rises:
        return probabilities
    if score_map.level_between is not None:
        lowest, highest = score_map.level_between
        width = (highest - lowest) / 2 or 1.0
        places = 0.5 + np.arctan((own - lowest) / width - 1) / np.pi
        probabilities = probabilities + TILT * (places - probabilities)
    return in_order_of(probabilities, own)


def in_order_of(probabilities: Scores, scores: Scores) -> Scores:
    """Return probabilities that fall where the scores fall, and are equal where these are: each is
    as given, or the next number below its predecessor; at the lower end the next one above 0.
    """
    import numpy as np

    order = np.argsort(-scores, kind="stable")
    falling = probabilities[order]
    is_equal = np.diff(scores[order]) == 0
    for place in range(1, len(falling)):
        before = falling[place - 1]
        if is_equal[place - 1]:
            falling[place] = before
        elif falling[place] >= before:
            falling[place] = np.nextafter(before, -1.0)
    if len(falling) and falling[-1] < 0:
        _lift(falling, is_equal)
    ordered = np.empty_like(falling)
    ordered[order] = falling
    return ordered


def _lift(falling: Scores, is_equal: Sequence[bool]) -> None:
    """Make room above 0, in place: the lowest becomes 0, and each stays above the next."""
    import numpy as np

    falling[-1] = 0.0
    for place in range(len(falling) - 2, -1, -1):
        after = falling[place + 1]
        if is_equal[place]:
            falling[place] = after
        elif falling[place] <= after:
            falling[place] = np.nextafter(after, 2.0)
        else:
            return
