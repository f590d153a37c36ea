"""The stages that a resolved suite names, as a run has stored it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.contract.part import Part
from bench.core.errors import RecordError
from bench.suite.pipeline_entry import PipelineEntry


@dataclass(frozen=True)
class NamedStages:
    """The pipelines, first stages and rerankers of a suite, in its order."""

    pipelines: list[PipelineEntry]
    first_stages: list[Part]
    rerankers: list[Part]


def named_stages(resolved: Mapping[str, Any], folder: Path) -> NamedStages:
    """Return the stages that the resolved suite of a run folder names. Raises RecordError where an
    entry is none.
    """
    try:
        return NamedStages(
            [PipelineEntry.model_validate(own) for own in resolved.get("pipelines") or ()],
            [Part.model_validate(own) for own in resolved.get("first_stages") or ()],
            [Part.model_validate(own) for own in resolved.get("rerankers") or ()],
        )
    except ValidationError as error:
        raise RecordError(f"{folder}: run.json: its suite names what is no stage") from error
