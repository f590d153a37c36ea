"""A trial by name: one reranker over one dataset's candidates, on one device, and what became of
it.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from pydantic import PositiveInt, field_validator

from bench.core.filenames import is_file_name
from bench.core.options import Options

FIRST_STAGE = "first-stage"
"""What the row of the first stage's own order is called: every other row is compared with it."""
ORACLE = "oracle"
"""What the row of the best order of the candidates is called."""
REFERENCES = (FIRST_STAGE, ORACLE)
NO_DEVICE = "-"


class Trial(Options):
    """One reranker, configured, over one dataset's candidates, on one device of this machine. None
    does the work of a reference or of a hosted reranker.
    """

    id: str
    dataset: str
    first_stage: str
    reranker: str
    device: str | None = None
    depth: PositiveInt
    kind: Literal["reference", "reranker", "architecture"] = "reranker"
    """"reference" for the first stage's own order and the oracle, which every table has;
    "architecture" for a network without its weights, which has a latency and no quality.
    """

    @field_validator("device", mode="before")
    @classmethod
    def _no_placeholder(cls, value: object) -> object:
        """Earlier versions wrote "-" where no device is involved."""
        if value == NO_DEVICE:
            return None
        return value

    @property
    def is_first_stage(self) -> bool:
        """Whether it is the first stage's own order, and no reranker of that name."""
        return self.kind == "reference" and self.reranker == FIRST_STAGE

    @property
    def is_oracle(self) -> bool:
        """Whether it is the best order of its candidates, and no reranker of that name."""
        return self.kind == "reference" and self.reranker == ORACLE

    @property
    def label(self) -> str:
        """The reranker with its device, as tables name it."""
        if self.device is None:
            return self.reranker
        return f"{self.reranker} ({self.device})"

    @property
    def host(self) -> str:
        """The device on which its calls are made: the processor where no other one is named."""
        return self.device or "cpu"

    @field_validator("id")
    @classmethod
    def _names_a_file(cls, value: str) -> str:
        """Return an id that may name files: one from a foreign run folder must not lead out of the
        folder that is written to.
        """
        if not is_file_name(value):
            raise ValueError(f"{value!r} cannot be the name of a file")
        return value


class System(NamedTuple):
    """What decides the scores of a trial's documents: the trial, and the settings of a sweep that
    scored it again; None for those that are the trial's own.
    """

    trial: str
    dtype: str | None = None
    runtime: str | None = None
    batch_size: int | None = None
    token_budget: int | None = None
    threads: int | None = None

    @property
    def changes(self) -> tuple[str, ...]:
        """Return the settings that are not the trial's own, numbers with their names."""
        words = [value for value in (self.dtype, self.runtime) if value is not None]
        numbers = {
            "batch_size": self.batch_size,
            "token_budget": self.token_budget,
            "threads": self.threads,
        }
        counts = [f"{name} {value}" for name, value in numbers.items() if value is not None]
        return (*words, *counts)


Status = Literal["pending", "done", "skipped", "failed"]


class TrialStatus(Options):
    """A line of a run's table of contents. `reason` says in a few words why a trial was skipped or
    failed.
    """

    trial: Trial
    status: Status = "pending"
    reason: str | None = None
