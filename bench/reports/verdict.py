"""Verdicts of the gate as a document: what did not pass first, then what passed."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from bench.contract.trial import Trial
from bench.core.counting import counted
from bench.gate.verdict import Gate, Outcome, Verdict
from bench.reports import cells
from bench.reports.document import (
    Block,
    Bullets,
    Check,
    Checks,
    Column,
    Document,
    Fold,
    Heading,
    Paragraph,
    Record,
    Row,
    Section,
    Strong,
    Table,
)
from bench.reports.names import device_of

MARKS: dict[Outcome, str] = {"pass": "✅", "fail": "❌", "incomparable": "⛔", "inconclusive": "❔"}
OPEN_ROWS = 12
"""Up to this number of gates that passed are open in a comment; more of them are folded."""
TRIAL_FIELDS = ("id", "dataset", "first_stage", "depth", "reranker", "device")
EXPLANATION = (
    "Quality passes when the one-sided 95 % lower bound of the mean paired difference (in "
    "brackets) lies above minus the margin, and fails "
    "when the upper bound lies below it. Drift is the largest score difference of one and the "
    "same system, with Kendall's tau and the "
    "overlap of the top 10. Speed is the median of the paired ratios of times."
)
COLUMNS = (
    Column("verdict", "verdict", align="left", priority=0),
    Column("found", "found", align="left", priority=1),
    Column("limit", "limit", align="left", priority=2),
)


def document(verdict: Verdict) -> Document:
    """Return the verdict for a comment: what did not pass first, with its reasons; what passed
    below, folded where it is long.
    """
    passed = _table(verdict, passed=True)
    blocks: list[Block] = [
        Paragraph((runs(verdict),)),
        _table(verdict, passed=False),
        Bullets([(note,) for note in notes(verdict)]),
    ]
    if len(passed.rows) > OPEN_ROWS:
        blocks.append(Fold((f"{counted(len(passed.rows), 'gate')} passed",), [passed]))
    else:
        blocks.append(passed)
    blocks.append(Paragraph((EXPLANATION,), quiet=True))
    section = Section("verdict", "Verdict", blocks, titled=False)
    return Document(
        f"{MARKS[verdict.outcome]} {title(verdict)}",
        [section],
        data=_data(verdict),
        checks=_checks(verdict),
    )


def terminal(verdict: Verdict) -> Document:
    """Return the verdict for a terminal: a table per reranker, then what the numbers leave out,
    then the verdict, which is next to the prompt.
    """
    blocks: list[Block] = []
    names = labels(verdict)
    for name in dict.fromkeys(names):
        gates = [gate for gate, own in zip(verdict.gates, names, strict=True) if own == name]
        rows: list[Row] = []
        for gate in gates:
            rows += _lines(gate)
        blocks += [Heading(name), Table("gate", COLUMNS, rows, f"gates of {name}")]
    blocks += [Paragraph((note,)) for note in notes(verdict)]
    blocks += [Paragraph((Strong(title(verdict)),)), Paragraph((runs(verdict),))]
    return Document("", [Section("verdict", "Verdict", blocks, titled=False)])


def _table(verdict: Verdict, *, passed: bool) -> Table:
    """Return a row for each gate that passed, or did not."""
    rows = []
    for gate, name in zip(verdict.gates, labels(verdict), strict=True):
        if (gate.outcome == "pass") is passed:
            rows.append(Row(name, {"gate": cells.text(gate.name), **_cells(gate)}))
    columns = [Column("gate", "gate", align="left", priority=0), *COLUMNS]
    return Table("reranker", columns, rows, title(verdict))


def _lines(gate: Gate) -> list[Row]:
    """Return the rows of a gate, one per number that it measures: next to each other, the numbers
    of drift leave no room for their limits. The first row has the outcome.
    """
    if not gate.lines:
        return [Row(gate.name, _cells(gate))]
    rows = []
    for line in gate.lines:
        by_column = {"found": cells.text(line.measured), "limit": cells.text(line.limit)}
        rows.append(Row(line.name, {"verdict": cells.text(""), **by_column}))
    rows[0] = replace(rows[0], cells={**rows[0].cells, "verdict": cells.text(outcome(gate))})
    return rows


def _cells(gate: Gate) -> dict[str, cells.Cell]:
    return {
        "verdict": cells.text(outcome(gate)),
        "found": cells.text(gate.measured),
        "limit": cells.text(gate.limit),
    }


def _data(verdict: Verdict) -> Record:
    return {
        "outcome": verdict.outcome,
        "exit_code": verdict.exit_code,
        "suite": verdict.new.info.suite,
        "new": verdict.new.info.id,
        "baseline": verdict.baseline.info.id,
        "gates": [_flat(gate) for gate in verdict.gates],
        "absent": list(verdict.absent),
        "notes": list(verdict.notes),
    }


def _checks(verdict: Verdict) -> Checks:
    """Return the gates as CI systems count them."""
    absent = [f"{name} is not in the new run" for name in verdict.absent]
    return Checks(
        name=f"rerank-bench check {verdict.new.info.suite}",
        started=verdict.new.info.started,
        items=[_check(gate, verdict) for gate in verdict.gates],
        notes=verdict.notes,
        summary="; ".join([title(verdict), runs(verdict), *absent]),
        level="notice" if verdict.exit_code == 0 else "error",
    )


def _check(gate: Gate, verdict: Verdict) -> Check:
    suite = f"{verdict.new.info.suite}.{gate.trial.dataset}.{gate.trial.first_stage}"
    return Check(
        suite=suite,
        name=f"{label(gate.trial)}: {gate.name}",
        title=f"{gate.trial.reranker}: {gate.name} {outcome(gate)}",
        text=_sentence(gate),
        outcome=gate.outcome,
        result=_result(gate, verdict),
        level=_level(gate, verdict),
    )


def _result(gate: Gate, verdict: Verdict) -> Literal["passed", "failed", "error", "skipped"]:
    """Return how CI counts a gate: one that fails is a failure, one that could not be compared is
    an error, what has no say is skipped, as is an inconclusive gate that counts as passed.
    """
    counts_as = verdict.counted(gate.outcome)
    if not gate.decides or (gate.outcome != "pass" and counts_as == "pass"):
        return "skipped"
    if counts_as == "pass":
        return "passed"
    return "failed" if counts_as == "fail" else "error"


def _level(gate: Gate, verdict: Verdict) -> Literal["", "error", "warning", "notice"]:
    if gate.outcome == "pass":
        return ""
    if not gate.decides:
        return "notice"
    return "error" if verdict.counted(gate.outcome) in ("fail", "incomparable") else "warning"


def _sentence(gate: Gate) -> str:
    parts = []
    if gate.measured:
        parts.append(f"found {gate.measured}")
    if gate.limit:
        parts.append(f"limit {gate.limit}")
    if gate.remark:
        parts.append(gate.remark)
    return "; ".join(parts)


def title(verdict: Verdict) -> str:
    decided = [gate for gate in verdict.gates if gate.decides]
    passed = sum(gate.outcome == "pass" for gate in decided)
    gates = counted(len(decided), "gate")
    return f"{verdict.outcome}: {verdict.new.info.suite}, {passed} of {gates} passed"


def runs(verdict: Verdict) -> str:
    """Return which run is checked against which."""
    run, name = verdict.baseline.info.id, verdict.baseline.folder.name
    baseline = run
    if name != run:
        baseline = f"baseline {name}, run {run}"
    return f"run {verdict.new.info.id} against {baseline}"


def labels(verdict: Verdict) -> list[str]:
    """Return the name of each gate's trial: its reranker, and where one reranker is in several
    places, the place.
    """
    places: dict[str, set[str]] = {}
    for gate in verdict.gates:
        places.setdefault(gate.trial.reranker, set()).add(gate.trial.id)
    names = []
    for gate in verdict.gates:
        name = gate.trial.reranker
        if len(places[name]) > 1:
            name = label(gate.trial)
        names.append(name)
    return names


def notes(verdict: Verdict) -> list[str]:
    """Return what the numbers leave out: the reasons of what did not pass, what a pass was measured
    across, what was not checked.
    """
    lines = []
    for gate, name in zip(verdict.gates, labels(verdict), strict=True):
        if gate.remark and _needs_a_note(gate):
            lines.append(f"{name}, {gate.name}: {gate.remark}")
    ruled = {gate.trial.id for gate in verdict.gates if gate.name == "run"}
    for trial in verdict.absent:
        if trial not in ruled:
            lines.append(f"{trial} is in the baseline and not in the new run: not checked")
    lines += verdict.notes
    if verdict.inconclusive and verdict.outcome == "inconclusive":
        lines.append(f"inconclusive counts as {verdict.inconclusive} here")
    return lines


def outcome(gate: Gate) -> str:
    """Return the outcome in a cell. What does not decide is not compared, rather than wrongly
    compared.
    """
    if gate.decides:
        return gate.outcome
    return "not checked" if gate.outcome == "incomparable" else f"({gate.outcome})"


def label(trial: Trial) -> str:
    """Return a trial's full name."""
    parts = [trial.dataset, trial.first_stage, device_of(trial)]
    return f"{trial.reranker} ({', '.join(part for part in parts if part)})"


def _needs_a_note(gate: Gate) -> bool:
    """Return whether a gate's sentence is worth a line: a quality that plainly passed has none."""
    if gate.outcome != "pass" or not gate.name.startswith("quality"):
        return True
    if "certain_after" in gate.numbers:
        return True
    return bool(gate.numbers.get("underpowered") or gate.numbers.get("unpaired"))


def _flat(gate: Gate) -> Record:
    fields = gate.trial.model_dump()
    return {
        "gate": gate.name,
        "outcome": gate.outcome,
        "decides": gate.decides,
        "found": gate.measured,
        "limit": gate.limit,
        "told": gate.remark,
        "trial": {name: fields[name] for name in TRIAL_FIELDS},
        "numbers": dict(gate.numbers),
    }
