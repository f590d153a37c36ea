"""What a suite may say about a sweep: the depths and settings at which `single` is timed again.
Imports nothing heavier than pydantic.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Annotated, Any

from pydantic import Field

from bench.core.numeric import MOST_THREADS
from bench.core.options import Options
from bench.rerankers.options import AnyDType, Runtime

SETTINGS = ("dtype", "runtime", "batch_size", "token_budget", "threads")
"""The options of a reranker that a sweep changes, by the names that they have there."""

Size = Annotated[int, Field(ge=1)]
Change = Mapping[str, Any]
"""Option -> value; empty for a reranker as the suite has it."""
Changes = dict[str, Any]
"""The same while it is gathered."""


class SweepPlan(Options):
    """`single`, once more at each depth: as the suite has it, and with one setting changed at a
    time, or in every combination (`cross`).
    """

    depths: tuple[Size, ...] = Field(
        (10, 25, 50, 100, 200),
        min_length=1,
        description="candidates per query; those above the suite's depth are left out",
    )
    batch_sizes: tuple[Size, ...] = Field((), description="such as [1, 8, 16, 32, 64]")
    token_budgets: tuple[Size, ...] = Field(
        (), description="tokens per forward pass, padding included"
    )
    dtypes: tuple[AnyDType, ...] = Field(
        (), description="number formats: each is scored as well, so that its quality is measured"
    )
    runtimes: tuple[Runtime, ...] = Field(
        (), description="such as [torch, onnx, openvino]: each is scored as well"
    )
    threads: tuple[Annotated[int, Field(ge=1, le=MOST_THREADS)], ...] = Field(
        (), description="CPU threads inside one operation"
    )
    cross: bool = Field(
        False, description="every combination of the settings, in place of one changed at a time"
    )
    quality: bool = Field(
        True,
        description="score each number format and runtime; without it their quality is unknown, "
        "and never assumed",
    )
    queries: int | None = Field(
        None, ge=1, description="timed queries per point; the plan's when absent (p95 needs 59)"
    )
    rounds: int = Field(1, ge=1, description="times each query is timed")
    time_limit_s: float = Field(
        60.0,
        gt=0,
        description="seconds of a point of a reranker, after which it is timed on fewer queries",
    )

    def changes(self) -> Iterator[Change]:
        """Yield what is changed, in the order in which it is timed: nothing first."""
        lists = {
            "batch_size": self.batch_sizes,
            "token_budget": self.token_budgets,
            "dtype": self.dtypes,
            "runtime": self.runtimes,
            "threads": self.threads,
        }
        yield {}
        if self.cross:
            used = {name: values for name, values in lists.items() if values}
            combinations = product(*used.values())
            # without any list there is one, which changes nothing
            yield from (dict(zip(used, values, strict=True)) for values in combinations if values)
            return
        for name, values in lists.items():
            yield from ({name: value} for value in values)


def in_words(change: Change) -> str:
    """Return a change in a few words: "batch_size 8, dtype bfloat16"."""
    return ", ".join(f"{name} {value}" for name, value in change.items())
