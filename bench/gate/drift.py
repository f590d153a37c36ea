"""Drift: where the system keys say that it is the very same reranker, its scores must be the same.
They have no sampling error, so that drift shows which no sample of queries could reveal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from bench.comparison.across import differences, refused, sentence
from bench.comparison.drift import TOP, Tolerance, drift, usual_tolerance
from bench.comparison.pairs import Side, comparable
from bench.core.counting import counted
from bench.core.errors import IncomparableError
from bench.gate.file import ACROSS, DriftGate
from bench.gate.verdict import Gate, Outcome

OUTCOMES: Mapping[bool | None, Outcome] = {True: "pass", False: "fail", None: "inconclusive"}


def drift_gate(new: Side, baseline: Side, asked: DriftGate, across: Sequence[str] = ()) -> Gate:
    """Whether one system's scores are what they were. Incomparable, and without a say unless the
    gate is required, for two systems that differ in more than `asked.across` allows.
    """
    try:
        comparable(new, baseline, across, ACROSS)
    except IncomparableError as error:
        return Gate(new.trial, "drift", "incomparable", told=str(error), decides=asked.required)
    differing = differences(new.record.system, baseline.record.system)
    told = sentence(differing)
    if refused(differing, asked.across):
        return Gate(
            new.trial,
            "drift",
            "incomparable",
            told=f"another system: {told}",
            decides=asked.required,
        )
    tolerance = tolerated(baseline, asked)
    found = drift(new, baseline, tolerance)
    outcome = OUTCOMES[found.kept]
    notes = [f"across {told}"] if told else []
    notes += (
        [f"{counted(found.unshared, 'query')} ranked by one run only"] if found.unshared else []
    )
    notes += (
        ["the same system by its record, but its scores drifted beyond what is allowed"]
        if outcome == "fail" and not told
        else []
    )
    return Gate(
        trial=new.trial,
        name="drift",
        outcome=outcome,
        found=f"{found.max_difference:.2g}, tau {found.tau:.3f}, top {TOP} {found.overlap:.2f}",
        limit=f"≤ {found.allowed:.2g}, tau {tolerance.tau:g}, top {TOP} {tolerance.overlap:g}",
        told="; ".join(notes),
        numbers={
            **asdict(found),
            "outcome": outcome,
            "least_tau": tolerance.tau,
            "least_overlap": tolerance.overlap,
            "across": list(differing),
        },
    )


def tolerated(side: Side, asked: DriftGate) -> Tolerance:
    """Return what the gates file says, else what the number format allows."""
    given = {
        name: value
        for name in ("score", "tau", "overlap")
        if (value := getattr(asked, name)) is not None
    }
    return Tolerance(**asdict(usual_tolerance(side)) | given)
