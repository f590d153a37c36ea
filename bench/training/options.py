"""The parts of a training recipe. Imports nothing heavier than pydantic."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator
from pydantic.fields import FieldInfo

from bench.contract.part import Part
from bench.core.options import Options


def one_or_many(value: Any) -> Any:
    """Return one entry as a list of it, anything else as it is."""
    if isinstance(value, str | dict | Part):
        return [value]
    return value


class Portion(Options):
    """Queries that no model is trained on: a share of the training data's, or another dataset's."""

    share: float | None = Field(
        None, gt=0, lt=1, description="share of the training data's queries, drawn by the seed"
    )
    dataset: Part | None = Field(None, description="a dataset of its own, as a suite names it")

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, value: Any) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return {"share": value}
        if isinstance(value, str) or _is_entry(value):
            return {"dataset": value}
        return value

    @model_validator(mode="after")
    def _either(self) -> Portion:
        if (self.share is None) == (self.dataset is None):
            raise ValueError("give a share of the queries, such as 0.2, or a dataset")
        return self


def _is_entry(value: Any) -> bool:
    """Return whether a value is a dataset with its options: its one key names a kind."""
    return isinstance(value, dict) and len(value) == 1 and ":" in str(next(iter(value)))


class Negatives(Options):
    """Documents that do not answer a query: hard ones from a pipeline, easy ones at random."""

    # `from` is a keyword of Python
    pipeline: tuple[Part, ...] = Field(
        (Part("bm25"),),
        alias="from",
        min_length=1,
        description="a first stage, or a list of stages: a first stage and rerankers, with keep",
    )
    ranks: tuple[int, int] | None = Field(
        None,
        description="first and last rank in the pipeline's order that hard negatives come from, "
        "such as [5, 50]; all candidates when absent",
    )
    margin: float | None = Field(
        None,
        ge=0,
        allow_inf_nan=False,
        description="a hard negative's score in the pipeline is at least this much below that of "
        "the best positive of its query",
    )
    below: float | None = Field(
        None,
        gt=0,
        le=1,
        description="largest share of the best positive's teacher score that a hard negative may "
        "have, counted from the lowest score of the query's documents; needs a teacher",
    )
    easy: float = Field(
        0, ge=0, le=1, description="share of the negatives that are random documents"
    )
    per_query: int = Field(10, ge=1, description="negatives per query, hard and easy ones together")

    @classmethod
    def known_fields(cls) -> dict[str, FieldInfo]:
        """Return the fields by the key that a recipe has for them."""
        return {field.alias or name: field for name, field in cls.model_fields.items()}

    _one_or_many = field_validator("pipeline", mode="before")(one_or_many)

    @field_validator("ranks")
    @classmethod
    def _in_order(cls, ranks: tuple[int, int] | None) -> tuple[int, int] | None:
        if ranks is not None and not 1 <= ranks[0] <= ranks[1]:
            raise ValueError(
                f"[{ranks[0]}, {ranks[1]}] is no window of ranks: write such as [1, 50]"
            )
        return ranks


class Lora(Options):
    """Low-rank adapters in place of all weights (Hu et al. 2021)."""

    rank: int = Field(8, ge=1, description="rank of the update of each weight matrix")
    alpha: float | None = Field(
        None,
        gt=0,
        description="scale of the update, divided by the rank; twice the rank when absent",
    )
    modules: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="names of the linear layers that are adapted, such as [query, value]; all of "
        "the encoder's when absent",
    )

    merge: bool = Field(
        True,
        description="add the update to the weights, and save a whole model; false: save the "
        "adapter with its head alone, a few MB that need the base next to them",
    )
    half: bool = Field(
        False, description="save an adapter that is not merged in float16, half as large"
    )

    @model_validator(mode="after")
    def _half_of_an_adapter(self) -> Lora:
        if self.half and self.merge:
            raise ValueError("half: an adapter alone is saved in float16: write merge: false, too")
        return self

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            return {"rank": value}
        if not isinstance(value, dict | Lora):
            raise ValueError("give a rank, such as 8, or {rank: 8, merge: false}")
        return value
