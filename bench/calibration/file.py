"""calibration.json: a map as plain numbers, and what it was fitted on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from bench.calibration.maps import ScoreMap, kind_of
from bench.core.atomic import write_atomically
from bench.core.errors import CalibrationError
from bench.core.json_file import read_json
from bench.core.options import Options, first_problem

FORMAT = "rerank-bench calibration"
VERSION = 1
AGAIN = "`rerank-bench calibrate RUN RERANKER --out FILE` writes one"
Count = Annotated[int, Field(ge=0)]


class ErrorInterval(Options):
    """One error with its 95 % bootstrap interval over queries; None where it is not defined."""

    value: float | None
    low: float | None = None
    high: float | None = None


Errors = dict[str, ErrorInterval]
"""By name: ece_mass, ece_width, brier, brier_skill, log_loss, auc."""


class FittedOn(Options):
    """What a map was fitted on."""

    reranker: str
    identity: str = Field(
        description="digest of what decides the reranker's scores, but for the versions of "
        "libraries; in files of before, of all of it"
    )
    dataset: str
    dataset_hashes: dict[str, Any] = Field(default_factory=dict)
    first_stage: str = ""
    depth: Count = 0
    relevant_from: int = Field(description="the lowest grade that counts as relevant")
    unjudged: Literal["left-out", "not-relevant"]
    pairs: Count = Field(description="documents with a label")
    relevant: Count = Field(description="those of them that are relevant")
    unjudged_pairs: Count = 0
    queries: Count
    query_digests: list[str] = Field(
        default_factory=list, description="of the texts of those queries, where the run has them"
    )
    folds: Count = 0
    seed: int = 0
    raw: Errors | None = Field(
        None, description="errors of the scores as they are; None where they are no probabilities"
    )
    cross_fitted: Errors = Field(
        default_factory=dict, description="errors of queries whose map was fitted on other queries"
    )
    run: str = ""
    version: str = Field("", description="of rerank-bench")


class Calibration(Options):
    """A map and its provenance. `groups` are maps of some queries alone, by the value of the field
    `by`; `map` is that of all queries.
    """

    map: ScoreMap
    fitted_on: FittedOn
    by: str | None = None
    groups: dict[str, ScoreMap] = Field(default_factory=dict)


def write(path: Path, calibration: Calibration) -> None:
    """Write a calibration file. Raises BenchError where it cannot be written."""
    fields = {
        "format": FORMAT,
        "version": VERSION,
        "map": _map_fields(calibration.map),
        "by": calibration.by,
        "groups": {name: _map_fields(own) for name, own in calibration.groups.items()},
        "fitted_on": calibration.fitted_on.model_dump(mode="json"),
    }
    text = json.dumps(fields, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(path, f"{text}\n".encode())


def read(path: Path) -> Calibration:
    """Return what a calibration file holds. Raises CalibrationError, in one line that names the
    file, the key and the fix, for anything else.
    """
    try:
        fields = read_json(path)
    except OSError as error:
        raise CalibrationError(f"{path}: cannot be read: {error.strerror}: {AGAIN}") from error
    except ValueError as error:
        raise CalibrationError(f"{path}: not JSON: {str(error)[:200]}: {AGAIN}") from error
    try:
        return _calibration(fields)
    except CalibrationError as error:
        raise CalibrationError(f"{path}: {error}") from error


def _calibration(fields: object) -> Calibration:
    if not isinstance(fields, Mapping) or fields.get("format") != FORMAT:
        raise CalibrationError(f"format: this is no calibration file: {AGAIN}")
    if fields.get("version") != VERSION:
        raise CalibrationError(
            f"version: {fields.get('version')!r:.40} is not {VERSION}, which this rerank-bench "
            f"reads: {AGAIN}"
        )
    groups = fields.get("groups") or {}
    if not isinstance(groups, Mapping):
        raise CalibrationError("groups: has to be an object of maps by name")
    rest = {name: fields[name] for name in ("fitted_on", "by") if name in fields}
    maps = {
        "map": _map(fields.get("map"), "map"),
        "groups": {name: _map(own, f"groups.{name}") for name, own in groups.items()},
    }
    try:
        return Calibration(**maps, **rest)
    except ValidationError as error:
        raise CalibrationError(first_problem(error, Calibration)) from error


def _map_fields(score_map: ScoreMap) -> dict[str, Any]:
    """Return a map's kind and parameters, those that it has."""
    parameters = score_map.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {"kind": score_map.kind, **parameters}


def _map(fields: object, key: str) -> ScoreMap:
    if not isinstance(fields, Mapping) or not isinstance(fields.get("kind"), str):
        raise CalibrationError(f"{key}: has to be an object with a kind, such as platt: {AGAIN}")
    parameters = {name: value for name, value in fields.items() if name != "kind"}
    try:
        kind = kind_of(fields["kind"])
        return kind.model_validate(parameters)
    except CalibrationError as error:
        raise CalibrationError(f"{key}: kind: {error}") from error
    except ValidationError as error:
        raise CalibrationError(f"{key}: {first_problem(error, kind)}") from error
