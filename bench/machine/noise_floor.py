"""The noise floor of a machine: how far apart two copies of one reranker come out.

It is measured once, and later runs show it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, ValidationError

from bench.core.atomic import write_atomically
from bench.core.cache_dir import cache_dir
from bench.core.counting import counted
from bench.core.digest import digest_of
from bench.core.json_file import read_json
from bench.core.note import Code, Note, StoredNote, note
from bench.core.options import Options
from bench.machine.fingerprint import HARDWARE_FIELDS

FIELDS = (*HARDWARE_FIELDS, "threads")
"""What a noise floor belongs to. Library versions are left out: the machine stays as noisy as it
was.
"""


LEAST_QUERIES = 20
"""Distinct queries below which a measurement is no floor of a machine: few ratios of times say more
about these queries than about it.
"""


class Noise(Options):
    """An A/A measurement. `ratio` is the median over all paired ratios of one copy's times to the
    other's, with its 95 % interval.
    """

    model_config = ConfigDict(populate_by_name=True)

    reranker: str
    device: str
    suite: str
    depth: int = Field(description="candidates per query")
    queries: int = Field(description="distinct queries, timed in each process")
    rounds: int
    processes: list[float] = Field(min_length=1, description="the median ratio of each process")
    ratio: float
    low: float
    high: float
    disturbances: list[StoredNote] = Field(default_factory=list)
    measured_at: str = Field(alias="taken", description="UTC, ISO 8601")

    @property
    def floor(self) -> float:
        """Return the share below which a difference is noise: as far from 1 as the interval
        reaches, or the oddest process.
        """
        return max(abs(value - 1) for value in (self.low, self.high, *self.processes))

    @property
    def doubt(self) -> str:
        """Return why it is not kept as the machine's floor; empty where it is one."""
        reasons = []
        if self.queries < LEAST_QUERIES:
            few = counted(self.queries, "distinct query")
            reasons.append(f"of {few}, and a floor needs {LEAST_QUERIES}")
        if self.disturbances:
            reasons.append("of a disturbed machine")
        return ", ".join(reasons)

    def note(self) -> Note:
        """Return what a report says of it."""
        return note(
            Code.NOISE_FLOOR,
            self.floor,
            len(self.processes),
            queries=self.queries,
            day=self.measured_at[:10],
            reranker=self.reranker,
        )

    def to_dict(self) -> dict[str, object]:
        """Return the fields as files hold them."""
        return self.model_dump(mode="json", by_alias=True)


Machine = Mapping[str, object]
"""The fingerprint of a machine, of this version or of an earlier one."""


def remember(noise: Noise, environment: Machine) -> Path:
    """Write a measurement in place of an earlier one of the same machine. Returns its file."""
    path = _file_of(environment)
    content = {"machine": _machine(environment), "noise": noise.to_dict()}
    write_atomically(path, f"{json.dumps(content, indent=1)}\n".encode())
    return path


def recall(environment: Machine) -> Noise | None:
    """Return what was measured on this very machine; None where nothing was, where the file cannot
    be read, and where an earlier version kept what is in doubt.
    """
    try:
        content = read_json(_file_of(environment))
        noise = Noise.model_validate(content["noise"])
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None
    return None if noise.doubt else noise


def with_noise_floor(facts: Mapping[str, Any], environment: Machine) -> dict[str, object]:
    """Return the facts of a timed pass with the noise floor of its machine, where one is known."""
    noise = recall(environment)
    if noise is None:
        return dict(facts)
    floor = {**noise.to_dict(), "floor": noise.floor}
    return {**facts, "noise": floor, "notes": [*facts.get("notes", []), noise.note().to_dict()]}


def _machine(environment: Machine) -> Machine:
    return {name: environment.get(name) for name in FIELDS}


def _file_of(environment: Machine) -> Path:
    return cache_dir("noise", f"{digest_of(_machine(environment))[:16]}.json")
