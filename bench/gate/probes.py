"""Probes: what `rerank-bench probe` showed of the very system of the new run. No baseline is
needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.comparison.pairs import Side
from bench.core.errors import nearest
from bench.gate.asking import Context
from bench.gate.file import ALL, RerankerGates
from bench.gate.verdict import Gate, Line, Outcome, worst
from bench.records.probe_file import ProbeFile, of_run

OUTCOMES: dict[str, Outcome] = {
    "holds": "pass",
    "reported": "pass",
    "accused": "fail",
    "failed": "incomparable",
    "not applicable": "incomparable",
}


def ask(new: Side, baseline: Side, questions: RerankerGates, context: Context) -> Iterator[Gate]:
    """Yield the gate of probes where the file asks for it."""
    if questions.probes:
        yield probes_gate(new, questions.probes)


def probes_gate(new: Side, names: Sequence[str]) -> Gate:
    """Whether probes hold. Incomparable where there is no probe file of the system, and where a
    probe that is named was not applied or failed.
    """
    limit = ", ".join(names)
    probes = of_run(new.run, new.trial.id)
    if probes is None:
        reason = _why_none(new)
        return Gate(new.trial, "probes", "incomparable", "not probed", limit, reason)
    lines = list(_lines(probes, names))
    outcomes = [OUTCOMES[line.measured] for line in lines]
    remarks = [
        f"{line.name} {line.measured}" for line in lines if OUTCOMES[line.measured] != "pass"
    ]
    unknown = _unknown(probes, names)
    if unknown:
        outcomes.append("incomparable")
        remarks.append(unknown)
    if not outcomes:
        outcomes.append("incomparable")
        remarks.append("no probe applied")
    holds = sum(outcome == "pass" for outcome in outcomes)
    return Gate(
        trial=new.trial,
        name="probes",
        outcome=worst(outcomes),
        measured=f"{holds} of {len(outcomes)} hold",
        limit=limit,
        remark="; ".join(remarks),
        numbers={line.name: line.measured for line in lines},
        lines=lines,
    )


def _why_none(new: Side) -> str:
    """Return why a row has no probes, and what helps."""
    name = new.trial.reranker
    facts = new.record.description.get("facts") or {}
    if new.record.stages or facts.get("parts"):
        return (
            "a row that is made of others is not probed: probe these, and write "
            f"rerankers: {{{name}: {{probes: null}}}} in the gates file"
        )
    return (
        "no probes of this system in the run's folder or next to its suite's: rerank-bench "
        f"probe SUITE --reranker {name}"
    )


def _lines(probes: ProbeFile, names: Sequence[str]) -> Iterator[Line]:
    """Yield the probes that are named; of all of them, those that were applied and expect
    something.
    """
    for result in probes.results:
        is_judged = result.outcome not in ("not applicable", "reported")
        if result.name in names or (ALL in names and is_judged):
            yield Line(result.name, result.outcome, "holds")


def _unknown(probes: ProbeFile, names: Sequence[str]) -> str:
    """Return what is wrong with names of which the file has no probe; empty where it has all."""
    known = [result.name for result in probes.results]
    for name in names:
        if name != ALL and name not in known:
            return f"no probe '{name}' in the file of probes: {nearest(name, known)}"
    return ""
