"""Drift: where the system keys say that it is the very same reranker, its scores must be the same. They have no sampling error, so that
drift shows which no sample of queries could reveal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bench.comparing import Side, comparable
from bench.counting import counted
from bench.errors import IncomparableError
from bench.gate.across import differences, refused, sentence
from bench.gate.file import DriftGate
from bench.gate.verdict import Gate, Outcome
from bench.measure import stats

TOP = 10


@dataclass(frozen=True)
class Tolerance:
    """How far one system's scores may drift between machines and batches: as a share of their range, in mean tau, in mean overlap."""

    score: float
    tau: float
    overlap: float


EXACT = Tolerance(score=1e-3, tau=0.995, overlap=0.99)
ROUNDED = Tolerance(score=5e-2, tau=0.98, overlap=0.95)
"""For arithmetic in 16 bits and fewer, where another batch rounds differently."""
COARSE = frozenset(
    {"float16", "bfloat16", "int8", "uint8", "int4", "uint4", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"}
)
"""Number formats of 16 bits and fewer, as records name them; several of one model are joined by a plus."""


@dataclass(frozen=True)
class Drift:
    """The same system, scored twice: the largest score difference and what is allowed, mean Kendall tau and mean overlap of the top 10 over
    the queries that both runs ranked, and the queries that only one of them did."""

    queries: int
    unshared: int
    max_difference: float
    allowed: float
    tau: float
    overlap: float
    outcome: Outcome


def drift_gate(new: Side, baseline: Side, asked: DriftGate, across: Sequence[str] = ()) -> Gate:
    """Whether one system's scores are what they were. Incomparable, and without a say unless the gate is required, for two systems that
    differ in more than `asked.across` allows."""
    try:
        comparable(new, baseline, across)
    except IncomparableError as error:
        return Gate(new.trial, "drift", "incomparable", told=str(error), decides=asked.required)
    differing = differences(new.record.keys["system"], baseline.record.keys["system"])
    told = sentence(differing)
    if refused(differing, asked.across):
        return Gate(new.trial, "drift", "incomparable", told=f"another system: {told}", decides=asked.required)
    tolerance = tolerated(baseline, asked)
    found = drift(new, baseline, tolerance)
    notes = [f"across {told}"] if told else []
    notes += [f"{counted(found.unshared, 'query')} were ranked by one run only"] if found.unshared else []
    notes += ["the same system, its scores drifted beyond what is allowed"] if found.outcome == "fail" and not told else []
    return Gate(
        trial=new.trial,
        name="drift",
        outcome=found.outcome,
        found=f"{found.max_difference:.2g}, tau {found.tau:.3f}, top {TOP} {found.overlap:.2f}",
        limit=f"≤ {found.allowed:.2g}, tau {tolerance.tau:g}, top {TOP} {tolerance.overlap:g}",
        told="; ".join(notes),
        numbers=asdict(found) | {"least_tau": tolerance.tau, "least_overlap": tolerance.overlap, "across": list(differing)},
    )


def drift(new: Side, baseline: Side, tolerance: Tolerance | None = None) -> Drift:
    """Compare the two rankings on disk, which hold every score."""
    ours, theirs = new.run.ranking(new.trial.id), baseline.run.ranking(baseline.trial.id)
    tolerance = tolerance or tolerated(baseline)
    difference, taus, overlaps = 0.0, [], []
    shared = [query for query in theirs if query in ours]
    for query in shared:
        scores = dict(zip(ours[query].doc_ids, ours[query].scores, strict=True))
        place = {doc_id: i for i, doc_id in enumerate(ours[query].doc_ids)}
        both = [(doc_id, score) for doc_id, score in zip(theirs[query].doc_ids, theirs[query].scores, strict=True) if doc_id in scores]
        difference = max([difference, *(abs(scores[doc_id] - score) for doc_id, score in both)])
        taus.append(stats.kendall_tau([place[doc_id] for doc_id, _ in both]))
        before = theirs[query].doc_ids[:TOP]
        overlaps.append(len(set(before) & set(ours[query].doc_ids[:TOP])) / len(before))
    every = [score for query in shared for score in (theirs[query].scores[0], theirs[query].scores[-1])]
    allowed = tolerance.score * (max(every, default=0.0) - min(every, default=0.0))
    tau, overlap = _mean(taus), _mean(overlaps)
    kept = difference <= allowed and tau >= tolerance.tau and overlap >= tolerance.overlap
    outcome: Outcome = "inconclusive" if not shared else "pass" if kept else "fail"
    return Drift(len(shared), len(ours.keys() ^ theirs.keys()), difference, allowed, tau, overlap, outcome)


def tolerated(side: Side, asked: DriftGate | None = None) -> Tolerance:
    """What the gates file says, else what the number format allows."""
    formats = str(side.record.keys["system"].fields.get("dtype", "")).split("+")
    usual = EXACT if COARSE.isdisjoint(formats) else ROUNDED
    given = {name: value for name in ("score", "tau", "overlap") if asked and (value := getattr(asked, name)) is not None}
    return Tolerance(**asdict(usual) | given)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 1.0
