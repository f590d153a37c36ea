"""Drift: where the system keys say that it is the very same reranker, its scores must be the same.
They have no sampling error, so that drift shows which no sample of queries could reveal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bench.comparison.across import differences, refused, sentence
from bench.comparison.drift import TOP, Tolerance, drift, usual_tolerance
from bench.comparison.pairs import Side, comparable
from bench.core.counting import counted, two_digits
from bench.core.errors import IncomparableError
from bench.gate.asking import Context
from bench.gate.file import ACROSS, DriftGate, RerankerGates
from bench.gate.verdict import Gate, Line, Outcome

OUTCOMES: Mapping[bool | None, Outcome] = {True: "pass", False: "fail", None: "inconclusive"}


def ask(new: Side, baseline: Side, questions: RerankerGates, context: Context) -> Iterator[Gate]:
    """Yield the drift gate where the file asks for it."""
    if questions.drift:
        yield drift_gate(new, baseline, questions.drift, context.across)


def drift_gate(new: Side, baseline: Side, question: DriftGate, across: Sequence[str] = ()) -> Gate:
    """Whether one system's scores are what they were. Incomparable, and without a say unless the
    gate is required, for two systems that differ in more than `question.across` allows.
    """
    try:
        comparable(new, baseline, across, ACROSS)
    except IncomparableError as error:
        return _not_compared(new, question, str(error))
    differing = differences(new.record.system, baseline.record.system)
    changes = sentence(differing)
    if refused(differing, question.across):
        return _not_compared(new, question, f"another system: {changes}")
    tolerance = tolerated(baseline, question)
    measured = drift(new, baseline, tolerance)
    outcome = OUTCOMES[measured.is_within]
    notes = []
    if changes:
        notes.append(f"across {changes}")
    if measured.unshared:
        notes.append(f"{counted(measured.unshared, 'query')} ranked by one run only")
    if outcome == "fail" and not changes:
        notes.append("the same system by its record, but its scores drifted beyond what is allowed")
    difference, allowed = two_digits(measured.max_difference), two_digits(measured.allowed)
    tau, overlap = f"{measured.tau:.3f}", f"{measured.overlap:.2f}"
    return Gate(
        trial=new.trial,
        name="drift",
        outcome=outcome,
        measured=f"{difference}, tau {tau}, top {TOP} {overlap}",
        limit=f"≤ {allowed}, tau {tolerance.tau:g}, top {TOP} {tolerance.overlap:g}",
        remark="; ".join(notes),
        numbers={
            **measured.to_dict(),
            "outcome": outcome,
            "least_tau": tolerance.tau,
            "least_overlap": tolerance.overlap,
            "across": list(differing),
        },
        lines=(
            Line("drift", difference, f"≤ {allowed}"),
            Line("drift, tau", tau, f"≥ {tolerance.tau:g}"),
            Line(f"drift, top {TOP}", overlap, f"≥ {tolerance.overlap:g}"),
        ),
    )


def _not_compared(new: Side, question: DriftGate, reason: str) -> Gate:
    return Gate(new.trial, "drift", "incomparable", remark=reason, decides=question.required)


def tolerated(side: Side, question: DriftGate) -> Tolerance:
    """Return what the gate allows: the usual tolerance of a number format, and in its place what
    the gates file says.
    """
    usual = usual_tolerance(side.record.identity)
    score, tau, overlap = question.score, question.tau, question.overlap
    return Tolerance(
        score=usual.score if score is None else score,
        tau=usual.tau if tau is None else tau,
        overlap=usual.overlap if overlap is None else overlap,
    )
