"""What a record holds of a collection, its candidates, a reranker, a timed pass and a suite: the
fields that are read, by name and type. Others are stored as they came.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from pydantic_core import CoreSchema, core_schema

from bench.contract.identity import Fields
from bench.contract.index_facts import IndexFields
from bench.core.note import NoteFields, read_notes
from bench.datasets.provenance import JudgeFacts
from bench.latency.scenarios import SCENARIOS

Stored = dict[str, Any]
"""An object of JSON, before it is known what it holds."""
StoredNotes = list[NoteFields | str]
"""Notes; sentences in records of earlier versions."""


class DatasetFacts(TypedDict, total=False):
    """A collection, with hashes of its content."""

    id: str
    template: str
    min_relevance: int
    relevant_only: bool
    documents: int
    queries: int
    judgments: int
    families: list[str]
    judge: JudgeFacts


class CandidateFacts(TypedDict, total=False):
    """The candidates and how they were made. `longest` is their number for the query that has the
    most, `index` what the index of the first stage took.
    """

    hash: str
    depth: int
    longest: int
    first_stage: str
    index: IndexFields


class TrainingFacts(TypedDict, total=False):
    """The training of a model by a recipe: the share of the training queries and their number,
    pairs, steps, the step whose weights were kept and its dev nDCG@10, seconds. A share of 0 is the
    untuned base.
    """

    recipe: str
    fraction: float
    queries: int
    pairs: int
    steps: int
    best_step: int
    dev: float
    seconds: float


class LoadedFacts(TypedDict, total=False):
    """What a reranker says of itself that decides no score."""

    warnings: StoredNotes
    random_weights: bool
    other_candidates: bool
    device: str
    parameters: int
    stages: list[Fields]
    trained_on: list[str]
    training_unknown: bool
    training: TrainingFacts


class DescriptionFacts(TypedDict, total=False):
    """What loaded."""

    backend: str
    identity: Fields
    facts: LoadedFacts


class LoadFacts(TypedDict, total=False):
    """One rate of arrivals. `scenario` held the rate in records of earlier versions."""

    rate: float
    scenario: str
    arrivals: int
    utilisation: float
    overloaded: bool


class ServerFacts(TypedDict, total=False):
    """Arrivals at several rates."""

    capacity_per_s: float
    loads: list[LoadFacts]


class TimingFacts(TypedDict, total=False):
    """A timed pass: what a reader of its samples should know."""

    notes: StoredNotes
    disturbed: bool | None
    disturbances: StoredNotes
    noise: Fields
    server: ServerFacts
    cold: Fields
    warmup_calls: int
    queries_planned: int
    queries_timed: int
    calls: int
    errors: int
    retried: int
    failure_rate: float | None
    peak_rss_bytes: int | None
    gpu_allocated_bytes: int | None
    joules_per_1000_pairs: float | None
    cpu_clock_mhz: float | None


class SuiteFacts(TypedDict, total=False):
    """A suite with every default filled in."""

    name: str
    seed: int
    rerankers: list[Any]
    pipelines: list[Any]
    first_stages: list[Any]
    measures: list[str]
    latency: Fields | None
    slices: list[str]


class MachineFacts(TypedDict, total=False):
    """The machine and the libraries of a run."""

    cpu: str
    gpu: str | None
    os: str
    python: str
    logical_cores: int
    physical_cores: int
    libraries: dict[str, str]


Kinds = Mapping[str, type]
"""Name of a field -> the type that its readers expect."""
OF_NOTES = ("warnings", "notes", "disturbances")
"""The fields that hold notes, wherever they are."""
_COUNTS = (
    "warmup_calls",
    "queries_planned",
    "queries_timed",
    "calls",
    "errors",
    "retried",
    "slots",
    "truncated",
    "failure_rate",
    "padding_share",
    "peak_rss_bytes",
    "joules_per_1000_pairs",
    "cpu_clock_mhz",
)


class FieldProblem(ValueError):
    """A field inside an object of JSON that cannot be: its path in the object, and why."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path} {problem}")


@dataclass(frozen=True)
class AsStored:
    """Validates an object of JSON and leaves it as it is, so that it is written as it was read."""

    check: Callable[[Stored], None]

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> CoreSchema:
        stored = core_schema.dict_schema(core_schema.str_schema(), core_schema.any_schema())
        return core_schema.no_info_after_validator_function(self._checked, stored)

    def _checked(self, values: Stored) -> Stored:
        self.check(values)
        return values


def check_dataset(values: Stored) -> None:
    """Raise ValueError where what is read of a collection is of another type."""
    _check_types(values, {"min_relevance": int, "families": list, "judge": dict})
    _check_notes(values)


def check_candidates(values: Stored) -> None:
    """Raise ValueError where what is read of candidates is of another type."""
    _check_types(values, {"longest": int})
    _check_amounts(values, ("longest",))
    _check_notes(values)
    if "index" in values:
        _check_index(values["index"], "index.")


def _check_index(values: object, where: str) -> None:
    """Raise ValueError where a fact of an index is missing or of another type."""
    if not isinstance(values, dict):
        raise FieldProblem(where.rstrip("."), f"is {_kind(values)}, and not an object")
    _check_types(values, {"kind": str, "opened": bool, "name": str, "parts": list}, where)
    _check_amounts(values, ("documents", "entries", "bytes", "seconds", "recall"), where)
    for name in ("kind", "documents", "entries", "bytes", "opened"):
        if values.get(name) is None:
            raise FieldProblem(f"{where}{name}", "is missing")
    for number, part in enumerate(values.get("parts") or []):
        _check_index(part, f"{where}parts.{number}.")


def check_description(values: Stored) -> None:
    """Raise ValueError where a part of a description is of another type."""
    _check_types(values, {"backend": str})
    for name in ("identity", "facts"):
        if name in values and not isinstance(values[name], dict):
            raise FieldProblem(name, f"is {_kind(values[name])}, and not an object")
    facts = values.get("facts", {})
    _check_types(facts, {"trained_on": list, "training_unknown": bool}, "facts.")
    _check_notes(facts, "facts.")


def check_architecture(values: Stored) -> None:
    """Raise ValueError where a part of the description of a network without weights is missing or
    of another type.
    """
    check_description(values)
    for name in ("identity", "facts"):
        if name not in values:
            raise FieldProblem(name, "is missing")
    _check_amounts(values["facts"], ("parameters",), "facts.")
    if values["facts"].get("parameters") is None:
        raise FieldProblem("facts.parameters", "is missing")


def check_timing(values: Stored) -> None:
    """Raise ValueError where a part of a timed pass is of another type."""
    kinds: Kinds = {"notes": list, "disturbances": list, "noise": dict, "disturbed": bool}
    _check_types(values, {**kinds, **dict.fromkeys(SCENARIOS, dict)})
    _check_amounts(values, _COUNTS)
    if (values.get("failure_rate") or 0) > 1:
        raise FieldProblem("failure_rate", f"is {values['failure_rate']}, and not a share")
    _check_notes(values)


def check_suite(values: Stored) -> None:
    """Raise ValueError where what is read of a suite is of another type."""
    lists = dict.fromkeys(("rerankers", "pipelines", "first_stages", "measures", "slices"), list)
    _check_types(values, {"seed": int, "latency": dict, **lists})
    if (values.get("seed") or 0) < 0:
        raise FieldProblem("seed", "is below 0")


def check_nothing(values: Stored) -> None:
    """Any object will do."""


def _check_types(values: Stored, kinds: Kinds, where: str = "") -> None:
    """Raise ValueError for a value that is there and of another type; others are read by nobody."""
    for name, kind in kinds.items():
        value = values.get(name)
        if value is not None and not isinstance(value, kind):
            raise FieldProblem(f"{where}{name}", f"is of type {type(value).__name__}")


def _check_amounts(values: Stored, names: Iterable[str], where: str = "") -> None:
    """Raise ValueError for a value that is there and no finite number from 0 on."""
    for name in names:
        value = values.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise FieldProblem(f"{where}{name}", f"is of type {type(value).__name__}")
        if not 0 <= value < math.inf:
            raise FieldProblem(f"{where}{name}", f"is {value}; it is 0 or more, and finite")


def _check_notes(values: Stored, where: str = "") -> None:
    """Raise ValueError for notes that cannot be read."""
    for name in OF_NOTES:
        try:
            read_notes(values.get(name) or [])
        except ValueError as error:
            raise FieldProblem(f"{where}{name}:", str(error)) from error


def _kind(value: object) -> str:
    """Return what a value of JSON is."""
    if value is None:
        return "null"
    return f"of type {type(value).__name__}"
