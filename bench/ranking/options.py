"""What a stage says that fuses others: a first stage of several, and rerankers of several."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import field_validator, model_validator

from bench.core.options import StageOptions, option
from bench.ranking.fusion import (
    RANK_CONSTANT,
    Contributions,
    contributions_of,
    rrf_contributions,
    weighted_contributions,
)
from bench.ranking.score_maps import Other, mapped, used_map
from bench.ranking.tuning import FusionWeights

if TYPE_CHECKING:
    from bench.contract.candidates import QueryCandidates

TUNED = "tuned"
LARGEST_WEIGHT = 1e6


FusionNorm = Literal["z-score", "min-max", "none", "calibrated"]
CALIBRATED = "calibrated"
MAPS = "calibrated: a calibration file per part, in their order"
OTHER = "calibrated: a map that was fitted on other scores is refused, or used with a note"


class FusionOptions(StageOptions):
    """How several rankings become one."""

    by: Literal["rrf", "weighted"] = option(
        "rrf",
        decides="scores",
        description="reciprocal rank fusion, or a weighted sum of normalised scores",
    )
    k: float = option(
        RANK_CONSTANT,
        ge=0,
        le=LARGEST_WEIGHT,
        decides="scores",
        description="rrf: a part adds weight / (k + rank)",
    )
    norm: FusionNorm = option(
        "z-score",
        decides="scores",
        description="weighted: how the scores of a query are put on one scale; calibrated: as "
        "probabilities, by `maps`",
    )
    maps: tuple[str, ...] | None = option(
        None, decides="scores", place="elsewhere", added=True, description=MAPS
    )
    other: Other = option("refuse", decides="nothing", description=OTHER)
    weights: Literal["tuned"] | tuple[float, ...] | None = option(
        None,
        decides="scores",
        description="a number per part, all equal when absent; tuned: those of the best nDCG@10 "
        "on queries of other folds",
    )
    folds: int = option(
        5,
        ge=2,
        le=1000,
        decides="scores",
        description="tuned: a query's weights are chosen on the queries of the other folds",
    )
    seed: int = option(
        42, ge=0, decides="scores", description="tuned: which queries are in which fold"
    )

    @property
    def is_tuned(self) -> bool:
        return self.weights == TUNED

    @property
    def unused(self) -> set[str]:
        """The options that decide nothing beside the others."""
        unused = {"norm"} if self.by == "rrf" else {"k"}
        if not self.is_tuned:
            unused |= {"folds", "seed"}
        return unused

    def contributions(self, lists: Sequence[QueryCandidates]) -> Contributions:
        """Return what each of a query's lists adds to each document, before weights."""
        if self.by == "rrf":
            return rrf_contributions(lists, self.k)
        return normalised_contributions(lists, self.norm, self.maps)

    def fixed_weights(self, count: int) -> FusionWeights:
        """Return the weights of this number of parts, equal ones where none are given."""
        if isinstance(self.weights, tuple):
            return FusionWeights(tuple(map(float, self.weights)))
        return FusionWeights((1.0,) * count)

    @field_validator("weights", mode="before")
    @classmethod
    def _numbers_or_tuned(cls, value: Any) -> Any:
        if value is None or value == TUNED:
            return value
        is_list = isinstance(value, list | tuple)
        if not is_list or not all(_is_weight(weight) for weight in value) or not any(value):
            raise ValueError(
                f"'{TUNED}', or a number per part as in [0.3, 0.7]: 0 to {LARGEST_WEIGHT:,.0f}, "
                "one of them above 0"
            )
        return value

    @model_validator(mode="after")
    def _fits(self) -> FusionOptions:
        refuse_unused(self.model_fields_set, {"k": self.by == "rrf"}, "by: rrf")
        refuse_unused(self.model_fields_set, {"norm": self.by == "weighted"}, "by: weighted")
        uses = dict.fromkeys(("folds", "seed"), self.is_tuned)
        refuse_unused(self.model_fields_set, uses, f"weights: {TUNED}")
        check_maps(self.model_fields_set, self.norm, self.maps)
        return self

    def refuse_other_count(self, count: int) -> None:
        """Raise ValueError where there is not a weight per part."""
        if isinstance(self.weights, tuple) and len(self.weights) != count:
            raise ValueError(f"{len(self.weights)} weights for {count} parts: give one per part")
        if self.maps is not None and len(self.maps) != count:
            raise ValueError(f"{len(self.maps)} maps for {count} parts: give a file per part")


def normalised_contributions(
    lists: Sequence[QueryCandidates], norm: FusionNorm, maps: Sequence[str] | None
) -> Contributions:
    """Return what each of a query's lists adds to each document, before weights. `maps` are the
    calibration files of the lists.
    """
    if norm != "calibrated":
        return weighted_contributions(lists, norm)
    pairs = zip(lists, maps or (), strict=True)
    rows = [mapped(used_map(path).score_map, ranking.scores) for ranking, path in pairs]
    return contributions_of(lists, rows)


def map_digests(maps: Sequence[str] | None) -> dict[str, object]:
    """Return what an identity holds of the maps of a fusion; nothing where it has none."""
    if maps is None:
        return {}
    return {"maps": [used_map(path).digest for path in maps]}


def check_maps(fields: Iterable[str], norm: FusionNorm, maps: Sequence[str] | None) -> None:
    """Raise ValueError where maps are missing, or given and not used."""
    uses = dict.fromkeys(("maps", "other"), norm == CALIBRATED)
    refuse_unused(fields, uses, f"norm: {CALIBRATED}")
    if norm == CALIBRATED and maps is None:
        raise ValueError(f"norm: {CALIBRATED} needs maps: a file of `calibrate` per part")


def refuse_unused(fields: Iterable[str], uses: Mapping[str, bool], place: str) -> None:
    """Raise ValueError for an option that was given and that nothing uses. `place` is what would
    use it.
    """
    for name, is_used in uses.items():
        if name in fields and not is_used:
            raise ValueError(f"{name} belongs to '{place}' and decides nothing here: remove it")


def _is_weight(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and 0 <= value <= LARGEST_WEIGHT
