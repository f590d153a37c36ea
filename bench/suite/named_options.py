"""Options of an entry by their names: a bare value gets that of the one required option."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench import rerankers, retrieval
from bench.contract.part import Part
from bench.core.options import as_mapping


def first_stage_options(part: Part) -> dict[str, Any]:
    """Return the options of a first stage by name: of `run: path`, those of `run: {path: path}`.
    Raises SuiteError for a bare value where no single option is required.
    """
    if part.options is None or isinstance(part.options, Mapping):
        return dict(part.options or {})
    return as_mapping(retrieval.options_for(part.name), part.options)


def reranker_options(part: Part) -> dict[str, Any]:
    """Return the same of a reranker."""
    if part.options is None or isinstance(part.options, Mapping):
        return dict(part.options or {})
    return as_mapping(rerankers.options_for(part.name), part.options)
