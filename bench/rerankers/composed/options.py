"""What a suite may say about rerankers that are made of others. Imports nothing heavier than
pydantic.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from bench.contract.part import Part, refuse_same_labels
from bench.core.options import Kind, Options, option
from bench.ranking.options import (
    OTHER,
    TUNED,
    FusionNorm,
    FusionOptions,
    check_maps,
    refuse_unused,
)
from bench.ranking.score_maps import Other
from bench.rerankers.options import RerankerOptions


class FuseOptions(FusionOptions, RerankerOptions):
    """Several rerankers as one."""

    holds: ClassVar[Mapping[str, Kind]] = {"of": "rerankers"}
    paths: ClassVar[tuple[str, ...]] = ("maps",)

    of: tuple[Part, ...] = option(
        min_length=2,
        max_length=20,
        decides="scores",
        place="elsewhere",
        description="rerankers, each an entry as elsewhere; all of them score every document",
    )

    @model_validator(mode="after")
    def _fits_its_parts(self) -> FuseOptions:
        refuse_same_labels(self.of)
        self.refuse_other_count(len(self.of))
        return self


class BlendOptions(RerankerOptions):
    """A reranker's scores with those of the stage before."""

    holds: ClassVar[Mapping[str, Kind]] = {"of": "rerankers"}
    paths: ClassVar[tuple[str, ...]] = ("maps",)

    of: Part = option(
        decides="scores", place="elsewhere", description="a reranker, an entry as elsewhere"
    )
    weight: Literal["tuned"] | float = option(
        0.5,
        decides="scores",
        description="of the reranker, 0 to 1; the stage before has the rest. tuned: that of the "
        "best nDCG@10 on queries of other folds",
    )
    norm: FusionNorm = option(
        "z-score",
        decides="scores",
        description="how both scores of a query are put on one scale; calibrated: as "
        "probabilities, by `maps`",
    )
    maps: tuple[str, ...] | None = option(
        None,
        min_length=2,
        max_length=2,
        decides="scores",
        place="elsewhere",
        added=True,
        description="calibrated: the calibration files of the reranker and of the stage before",
    )
    other: Other = option("refuse", decides="nothing", description=OTHER)
    folds: int = option(
        5,
        ge=2,
        le=1000,
        decides="scores",
        description="tuned: a query's weight is chosen on the queries of the other folds",
    )
    seed: int = option(
        42, ge=0, decides="scores", description="tuned: which queries are in which fold"
    )

    @property
    def is_tuned(self) -> bool:
        return self.weight == TUNED

    @field_validator("weight", mode="before")
    @classmethod
    def _share_or_tuned(cls, value: Any) -> Any:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if value == TUNED or (is_number and 0 <= value <= 1):
            return value
        raise ValueError(f"'{TUNED}', or a number from 0 to 1")

    @model_validator(mode="after")
    def _fits(self) -> BlendOptions:
        uses = dict.fromkeys(("folds", "seed"), self.is_tuned)
        refuse_unused(self.model_fields_set, uses, f"weight: {TUNED}")
        check_maps(self.model_fields_set, self.norm, self.maps)
        return self


class CalibratedOptions(RerankerOptions):
    """A reranker's scores as probabilities of relevance."""

    holds: ClassVar[Mapping[str, Kind]] = {"of": "rerankers"}
    paths: ClassVar[tuple[str, ...]] = ("map",)

    of: Part = option(
        decides="scores", place="elsewhere", description="a reranker, an entry as elsewhere"
    )
    map: str = option(
        min_length=1,
        decides="scores",
        place="elsewhere",
        description="a calibration file, as `rerank-bench calibrate` writes it",
    )
    group: str | None = option(
        None,
        decides="scores",
        place="elsewhere",
        description="the map of this group of queries, of a file with several",
    )
    other: Other = option(
        "refuse",
        decides="nothing",
        description="a map that was fitted on another reranker's scores is refused, or used with "
        "a note",
    )


class Rule(Options):
    """When a query is reranked, by the scores of the stage before: one of these."""

    margin_below: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="the best score less the second is below this"
    )
    top_below: float | None = Field(
        None, allow_inf_nan=False, description="the best score is below this"
    )
    margin_quantile: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="the margin is below this quantile of those of the queries of other folds",
    )
    top_quantile: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="the best score is below this quantile of those of queries of other folds",
    )

    @property
    def is_learned(self) -> bool:
        return self.margin_quantile is not None or self.top_quantile is not None

    @property
    def reads_margin(self) -> bool:
        return self.margin_below is not None or self.margin_quantile is not None

    @property
    def quantile(self) -> float:
        """The quantile of a rule that is learned."""
        return self.margin_quantile or self.top_quantile or 0.0

    @property
    def threshold(self) -> float:
        """What the value of a query has to be below, in a rule that is not learned."""
        if self.margin_below is not None:
            return self.margin_below
        return self.top_below or 0.0

    @model_validator(mode="after")
    def _is_one(self) -> Rule:
        values = [value for _, value in self if value is not None]
        if len(values) != 1:
            raise ValueError(f"one rule of {', '.join(type(self).model_fields)}")
        return self


class SkipOptions(RerankerOptions):
    """A reranker that orders some of the queries alone."""

    holds: ClassVar[Mapping[str, Kind]] = {"of": "rerankers"}

    of: Part = option(
        decides="scores", place="elsewhere", description="a reranker, an entry as elsewhere"
    )
    when: Rule = option(
        decides="scores",
        description="which queries are reranked; the others keep the order of the stage before",
    )
    folds: int = option(
        5,
        ge=2,
        le=1000,
        decides="scores",
        description="of a quantile: it is that of the queries of the other folds",
    )
    seed: int = option(
        42, ge=0, decides="scores", description="of a quantile: which queries are in which fold"
    )

    @model_validator(mode="after")
    def _fits(self) -> SkipOptions:
        uses = dict.fromkeys(("folds", "seed"), self.when.is_learned)
        refuse_unused(self.model_fields_set, uses, "when: {margin_quantile: ...}")
        return self


class CutOptions(RerankerOptions):
    """What is handed on, with `keep` as of every stage. At least the best document is."""

    min_score: float | None = option(
        None,
        allow_inf_nan=False,
        decides="scores",
        description="documents whose score is below this are not handed on, but for the best one",
    )
    within: float | None = option(
        None,
        ge=0,
        allow_inf_nan=False,
        decides="scores",
        description="documents whose score is more than this below the best are not handed on",
    )
