"""What the gate answers: one `Gate` for each question put to each trial, and the verdict over all
of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from bench.contract.trial import Trial
from bench.core.counting import counted
from bench.records.run import Run

Outcome = Literal["pass", "inconclusive", "incomparable", "fail"]

SEVERITY: tuple[Outcome, ...] = ("pass", "inconclusive", "incomparable", "fail")
"""From best to worst: a shown loss outweighs what could not be compared, and that outweighs what
the queries could not tell.
"""
EXIT_CODES: dict[Outcome, int] = {"pass": 0, "fail": 1, "incomparable": 3, "inconclusive": 4}


class Line(NamedTuple):
    """One number of a gate, and the worst that passes, as people read them."""

    name: str
    measured: str
    limit: str


@dataclass(frozen=True)
class Gate:
    """One question put to one trial of the new run.

    `measured` and `limit` are what was measured and the worst that passes, as people read them;
    `lines` hold them one by one where there are several, and `numbers` in full. `remark` says in a
    sentence what a reader of the two would miss. A gate that does not `decide` is shown and leaves
    the verdict alone: drift of two different systems, or a speed that nobody demanded.
    """

    trial: Trial
    name: str
    outcome: Outcome
    measured: str = ""
    limit: str = ""
    remark: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict)
    decides: bool = True
    lines: Sequence[Line] = ()


@dataclass(frozen=True)
class Verdict:
    """Every gate of every reranker of the baseline, and the trials of the baseline that the new run
    does not hold.
    """

    new: Run
    baseline: Run
    gates: tuple[Gate, ...]
    absent: tuple[str, ...] = ()
    inconclusive: Literal["pass", "fail"] | None = None
    """What an inconclusive gate counts as, where somebody said so."""
    notes: tuple[str, ...] = ()
    """What a reader should know of the runs as such: trials without a baseline, scores that came
    from the cache.
    """

    def __repr__(self) -> str:
        runs = f"{self.new.info.id} against {self.baseline.info.id}"
        return f"<Verdict {self.outcome}: {counted(len(self.gates), 'gate')}, {runs}>"

    @property
    def outcome(self) -> Outcome:
        """The worst of the gates that decide; of all gates where none does, since nothing was shown
        then.
        """
        deciding = [gate for gate in self.gates if gate.decides]
        return worst(gate.outcome for gate in deciding or self.gates)

    @property
    def exit_code(self) -> int:
        """0 pass, 1 fail, 3 incomparable, 4 inconclusive unless `inconclusive` says what that
        counts as.
        """
        return EXIT_CODES[self.counted(self.outcome)]

    def counted(self, outcome: Outcome) -> Outcome:
        if outcome == "inconclusive" and self.inconclusive:
            return self.inconclusive
        return outcome


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """Fail before incomparable before inconclusive before pass; pass where there is nothing."""
    return max(outcomes, key=SEVERITY.index, default="pass")
