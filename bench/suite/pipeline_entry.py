"""The pipelines of a suite: a name and its stages, each with how many documents it hands on.

pipelines:
  - name: cascade
    stages:
      - bm25: {keep: 100}
      - bi-encoder: {model: ./my-embedder, keep: 20}
      - minilm-l6: {keep: 10}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

from pydantic import Field

from bench.contract.part import Part
from bench.core.errors import SuiteError
from bench.core.options import Options

KEEP = "keep"
KEEP_SCHEMA = {
    "type": "integer",
    "minimum": 1,
    "description": "documents per query that the stage hands on; all that it gets when absent",
}


class PipelineEntry(Options):
    """A named list of stages: a first stage, then what orders and cuts its candidates."""

    name: str = Field(min_length=1, description="what tables call the pipeline")
    stages: tuple[Part, ...] = Field(
        min_length=1,
        description="a first stage, then rerankers or other stages, each an entry as elsewhere, "
        "with keep: how many documents it hands on",
    )
    optional: bool = Field(
        False,
        description="leave the pipeline out, with a note, where a stage cannot run; otherwise that "
        "is an error",
    )

    def to_entry(self) -> PipelineFields:
        """Return the entry as a suite file writes it."""
        entry: PipelineFields = {
            "name": self.name,
            "stages": [stage.to_entry() for stage in self.stages],
        }
        if self.optional:
            entry["optional"] = True
        return entry


class PipelineFields(TypedDict):
    """A pipeline as a suite file writes it."""

    name: str
    stages: list[Any]
    optional: NotRequired[bool]


def keep_of(stage: Part) -> int | None:
    """Return how many documents a stage hands on; None where it says nothing. Raises SuiteError for
    what is no number of documents.
    """
    if not isinstance(stage.options, Mapping) or stage.options.get(KEEP) is None:
        return None
    keep = stage.options[KEEP]
    if isinstance(keep, bool) or not isinstance(keep, int) or keep < 1:
        raise SuiteError(f"keep: {keep!r} is no number of documents: give 1 or more")
    return keep


def retrieved_by(stage: Part) -> int | None:
    """Return the depth that the options of a first stage give; None where they give none."""
    if not isinstance(stage.options, Mapping):
        return None
    return stage.options.get("depth")


def refuse_more(keep: int | None, received: int | None) -> None:
    """Raise SuiteError for a stage that would hand on more documents than it gets."""
    if keep is not None and received is not None and keep > received:
        raise SuiteError(f"keep: {keep} is more than the {received} documents that it gets")


def refuse_optional(stage: Part) -> None:
    """Raise SuiteError for a stage that may be left out: a pipeline without it is another one."""
    if isinstance(stage.options, Mapping) and stage.options.get("optional"):
        raise SuiteError(
            "optional: it belongs to the pipeline, next to its name and stages: a stage cannot be "
            "left out alone"
        )


def without_keep(stage: Part) -> Part:
    """Return a stage as the lists of first stages and rerankers would have it."""
    if not isinstance(stage.options, Mapping) or KEEP not in stage.options:
        return stage
    options = {name: value for name, value in stage.options.items() if name != KEEP}
    return Part(name=stage.name, options=options or None)
