"""A cascade among the rerankers of a suite: a pipeline after each listed first stage.

rerankers:
  - cascade: [bi-encoder: {model: ./my-embedder, keep: 30}, minilm-l6]
  - cascade: {name: mine, stages: [minilm-bi-encoder: {keep: 30}, minilm-l6], optional: true}
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from bench.contract.part import Part
from bench.core.errors import SuiteError
from bench.core.options import Keys, Options, as_mapping, validated

CASCADE = "cascade"
STAGES = "stages"


class CascadeOptions(Options):
    """Stages in a row, each with what it hands on; a list stands for its stages alone."""

    name: str | None = Field(
        None, min_length=1, description="what tables call it; the names of its stages when absent"
    )
    stages: tuple[Part, ...] = Field(
        min_length=1,
        description="rerankers or other stages, each an entry as elsewhere, with keep: how many "
        "documents it hands on",
    )
    optional: bool = Field(
        False,
        description="leave the row out, with a note, where a stage cannot run; otherwise that is "
        "an error",
    )


def is_cascade(part: Part) -> bool:
    """Return whether an entry of the rerankers is a cascade."""
    return part.name == CASCADE


def cascade_of(part: Part) -> CascadeOptions:
    """Return what an entry says of a cascade. Raises SuiteError for what cannot be one."""
    if part.options is None or isinstance(part.options, str):
        raise SuiteError(
            "a cascade is a list of stages: 'cascade: [minilm-bi-encoder: {keep: 30}, minilm-l6]'"
        )
    return validated(CascadeOptions, as_mapping(CascadeOptions, part.options), CASCADE)


def keys_of_stage(part: Part, keys: Keys, place: int) -> Keys:
    """Return the keys that lead to a stage of a cascade whose own keys these are."""
    name = cascade_of(part).stages[place].name
    if isinstance(part.options, Mapping):
        return (*keys, STAGES, place, name)
    return (*keys, place, name)
