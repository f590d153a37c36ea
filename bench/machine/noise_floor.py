"""The noise floor of a machine: how far apart two copies of one reranker come out, measured once
and kept for later runs to show.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from bench.core.atomic import write_atomically
from bench.core.cache_dir import cache_dir
from bench.core.digest import digest_of
from bench.core.options import Options
from bench.machine.fingerprint import HARDWARE_FIELDS

FIELDS = (*HARDWARE_FIELDS, "threads")
"""What a noise floor belongs to. Library versions are left out: the machine stays as noisy as it
was.
"""


class Noise(Options):
    """An A/A measurement. `ratio` is the median over all paired ratios of one copy's times to the
    other's, with its 95 % interval.
    """

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
    disturbances: list[str] = Field(default_factory=list)
    taken: str = Field(description="UTC, ISO 8601")

    @property
    def floor(self) -> float:
        """The share below which a difference is noise: as far from 1 as the interval reaches, or
        the oddest process.
        """
        return max(abs(value - 1) for value in (self.low, self.high, *self.processes))

    def told(self) -> str:
        """One sentence for a report."""
        count = len(self.processes)
        how = f"{count} process{'es' * (count > 1)} of {self.queries} queries, {self.taken[:10]}"
        return (
            f"differences in latency below {self.floor:.1%} are noise on this machine (A/A: "
            f"{self.reranker} against itself, {how})"
        )


def remember(noise: Noise, environment: Mapping[str, Any]) -> Path:
    """Keep a measurement under the machine that `environment` (a fingerprint) describes, in place
    of an earlier one. Returns its file.
    """
    path = _place(environment)
    text = json.dumps(
        {"machine": _machine(environment), "noise": noise.model_dump(mode="json")}, indent=1
    )
    write_atomically(path, f"{text}\n".encode())
    return path


def recall(environment: Mapping[str, Any]) -> Noise | None:
    """What was measured on this very machine; None where nothing was, or where the file cannot be
    read.
    """
    try:
        return Noise.model_validate(
            json.loads(_place(environment).read_text(encoding="utf-8"))["noise"]
        )
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None


def beside(facts: Mapping[str, Any], environment: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of a timed pass with the noise floor of its machine, where one is known."""
    noise = recall(environment)
    if noise is None:
        return dict(facts)
    kept = {**noise.model_dump(mode="json"), "floor": noise.floor}
    return {**facts, "noise": kept, "notes": [*facts.get("notes", []), noise.told()]}


def _machine(environment: Mapping[str, Any]) -> dict[str, Any]:
    return {name: environment.get(name) for name in FIELDS}


def _place(environment: Mapping[str, Any]) -> Path:
    return cache_dir("noise", f"{digest_of(_machine(environment))[:16]}.json")
