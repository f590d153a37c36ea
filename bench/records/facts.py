"""What a record holds of a collection, its candidates, a reranker, a timed pass and a suite: the
fields that are read, by name and type. Others are stored as they came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from pydantic_core import CoreSchema, core_schema

from bench.contract.identity import Fields
from bench.core.note import NoteFields, read_notes
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


class CandidateFacts(TypedDict, total=False):
    """The candidates and how they were made. `longest` is their number for the query that has the
    most.
    """

    hash: str
    depth: int
    longest: int
    first_stage: str


class LoadedFacts(TypedDict, total=False):
    """What a reranker says of itself that decides no score."""

    warnings: StoredNotes
    random_weights: bool
    other_candidates: bool
    device: str
    parameters: int
    stages: list[Fields]


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
    latency: Fields | None


class MachineFacts(TypedDict, total=False):
    """The machine and the libraries of a run."""

    cpu: str
    gpu: str | None
    os: str
    python: str
    logical_cores: int
    physical_cores: int
    libraries: dict[str, str]


_NUMBER = (int, float)
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
    _check_types(values, {"min_relevance": int})


def check_candidates(values: Stored) -> None:
    """Raise ValueError where what is read of candidates is of another type."""
    _check_types(values, {"longest": int})


def check_description(values: Stored) -> None:
    """Raise ValueError where a part of a description is of another type."""
    _check_types(values, {"backend": str, "identity": dict, "facts": dict})
    facts = values.get("facts") or {}
    read_notes(facts.get("warnings") or [])
    _check_types(facts, {"stages": list})
    for stage in facts.get("stages") or []:
        if not isinstance(stage, dict):
            raise ValueError(f"a stage is of type {type(stage).__name__}")


def check_timing(values: Stored) -> None:
    """Raise ValueError where a part of a timed pass is of another type."""
    kinds: dict[str, type | tuple[type, ...]] = {"notes": list, "disturbances": list, "noise": dict}
    _check_types(values, kinds | dict.fromkeys(SCENARIOS, dict) | dict.fromkeys(_COUNTS, _NUMBER))
    for name in ("notes", "disturbances"):
        read_notes(values.get(name) or [])


def check_suite(values: Stored) -> None:
    """Raise ValueError where what is read of a suite is of another type."""
    _check_types(values, {"seed": int, "rerankers": list, "latency": dict})
    if (values.get("seed") or 0) < 0:
        raise ValueError("seed is below 0")


def check_nothing(values: Stored) -> None:
    """Any object will do."""


def _check_types(values: Stored, kinds: Mapping[str, type | tuple[type, ...]]) -> None:
    """Raise ValueError for a value that is there and of another type; others are read by nobody."""
    for name, kind in kinds.items():
        value = values.get(name)
        if value is not None and not isinstance(value, kind):
            raise ValueError(f"{name} is of type {type(value).__name__}")
