"""Verdicts of the gate as people and programs read them: terminal, Markdown for a merge request,
JSON.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from bench.contract.trial import Trial
from bench.core.counting import counted
from bench.gate.verdict import Gate, Outcome, Verdict
from bench.reports.comparison import as_json, markdown_grid
from bench.reports.markdown import escape
from bench.reports.screen import screen

if TYPE_CHECKING:
    from rich.console import Console

MARKS: dict[Outcome, str] = {"pass": "✅", "fail": "❌", "incomparable": "⛔", "inconclusive": "❔"}
OPEN_ROWS = 12
"""So many gates that passed stand open in a comment; more of them are folded away."""
EXPLANATION = (
    "Quality passes when the one-sided 95 % lower bound of the mean paired difference (in "
    "brackets) lies above minus the margin, and fails "
    "when the upper bound lies below it. Drift is the largest score difference of one and the "
    "same system, with Kendall's tau and the "
    "overlap of the top 10. Speed is the median of the paired ratios of times."
)


def to_json(verdict: Verdict) -> str:
    return as_json(
        {
            "outcome": verdict.outcome,
            "exit_code": verdict.exit_code,
            "suite": verdict.new.info.suite,
            "new": verdict.new.info.id,
            "baseline": verdict.baseline.info.id,
            "gates": [_flat(gate) for gate in verdict.gates],
            "absent": list(verdict.absent),
            "notes": list(verdict.notes),
        }
    )


def to_markdown(verdict: Verdict) -> str:
    """A comment for a merge request: what did not pass first, with its reasons; what passed below,
    folded where it is long.
    """
    bad, good = (grid(verdict, passed) for passed in (False, True))
    passed = markdown_grid(good, left=3)
    if len(good) > OPEN_ROWS:
        passed = (
            f"<details><summary>{counted(len(good), 'gate')} "
            f"passed</summary>\n\n{passed}\n\n</details>"
        )
    told = "\n".join(f"- {escape(note)}" for note in notes(verdict))
    parts = [
        f"## {MARKS[verdict.outcome]} {escape(title(verdict))}",
        escape(runs(verdict)),
        markdown_grid(bad, left=3),
        told,
        passed,
    ]
    return "\n\n".join(part for part in [*parts, f"<sub>{EXPLANATION}</sub>"] if part)


def to_text(verdict: Verdict) -> str:
    """The terminal's table as plain text, for a file."""
    buffer = io.StringIO()
    print_verdict(verdict, screen(file=buffer, width=100))
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines())


def print_verdict(verdict: Verdict, console: Console) -> None:
    """A block per reranker, then what the numbers leave out, then the verdict."""
    from rich.table import Table
    from rich.text import Text

    names = labels(verdict)
    for name in dict.fromkeys(names):
        console.print(Text.assemble("\n", (name, "bold")))
        table = Table(box=None, show_header=False, padding=(0, 1, 0, 1))
        for width in (max(17, *(len(gate.name) for gate in verdict.gates)), 12, 24, None):
            table.add_column(min_width=width, overflow="fold")
        for gate in (gate for gate, own in zip(verdict.gates, names, strict=True) if own == name):
            table.add_row(gate.name, outcome(gate), gate.found, gate.limit)
        console.print(table)
    console.print()
    for note in notes(verdict):
        console.print(note, soft_wrap=True)
    console.print(Text(title(verdict), "bold"), soft_wrap=True)
    console.print(runs(verdict), soft_wrap=True)


def title(verdict: Verdict) -> str:
    decided = [gate for gate in verdict.gates if gate.decides]
    passed = sum(gate.outcome == "pass" for gate in decided)
    gates = counted(len(decided), "gate")
    return f"{verdict.outcome}: {verdict.new.info.suite}, {passed} of {gates} passed"


def runs(verdict: Verdict) -> str:
    """Which run is checked against which."""
    base, name = verdict.baseline.info.id, verdict.baseline.folder.name
    return (
        f"run {verdict.new.info.id} against "
        f"{base if name == base else f'baseline {name}, run {base}'}"
    )


def grid(verdict: Verdict, passed: bool) -> list[dict[str, str]]:
    """The table's cells, a row for each gate that passed, or did not."""
    return [
        {
            "reranker": name,
            "gate": gate.name,
            "verdict": outcome(gate),
            "found": gate.found,
            "limit": gate.limit,
        }
        for gate, name in zip(verdict.gates, labels(verdict), strict=True)
        if (gate.outcome == "pass") is passed
    ]


def labels(verdict: Verdict) -> list[str]:
    """What each gate's trial is called: its reranker, and where one reranker stands in several
    places, the place.
    """
    places: dict[str, set[str]] = {}
    for gate in verdict.gates:
        places.setdefault(gate.trial.reranker, set()).add(gate.trial.id)
    return [
        label(gate.trial) if len(places[gate.trial.reranker]) > 1 else gate.trial.reranker
        for gate in verdict.gates
    ]


def notes(verdict: Verdict) -> list[str]:
    """What the numbers leave out: the reasons of what did not pass, what a pass was measured
    across, what was not checked.
    """
    named = zip(verdict.gates, labels(verdict), strict=True)
    told = [
        f"{name}, {gate.name}: {gate.told}"
        for gate, name in named
        if gate.told and _worth_telling(gate)
    ]
    ruled = {gate.trial.id for gate in verdict.gates if gate.name == "run"}
    told += [
        f"{name} is in the baseline and not in the new run: not checked"
        for name in verdict.absent
        if name not in ruled
    ]
    told += verdict.notes
    if verdict.inconclusive and verdict.outcome == "inconclusive":
        told.append(f"inconclusive counts as {verdict.inconclusive} here")
    return told


def outcome(gate: Gate) -> str:
    """The outcome in a cell. What does not decide is not compared, rather than wrongly compared."""
    return (
        gate.outcome
        if gate.decides
        else "not checked"
        if gate.outcome == "incomparable"
        else f"({gate.outcome})"
    )


def label(trial: Trial) -> str:
    """A trial's full name."""
    device = [] if trial.device == "-" else [trial.device]
    return f"{trial.reranker} ({', '.join([trial.dataset, trial.first_stage, *device])})"


def _worth_telling(gate: Gate) -> bool:
    numbers = gate.numbers
    quiet = (
        gate.name.startswith("quality")
        and gate.outcome == "pass"
        and not numbers.get("underpowered")
        and not numbers.get("unpaired")
    )
    return not quiet


def _flat(gate: Gate) -> dict[str, Any]:
    trial = {
        name: getattr(gate.trial, name)
        for name in ("id", "dataset", "first_stage", "depth", "reranker", "device")
    }
    told = {
        "outcome": gate.outcome,
        "decides": gate.decides,
        "found": gate.found,
        "limit": gate.limit,
        "told": gate.told,
    }
    return {"gate": gate.name, **told, "trial": trial, "numbers": dict(gate.numbers)}
