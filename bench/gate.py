"""The gate: is a run at least as good as its baseline? Verdicts from records only, with an exit code for CI.

Two tests for each reranker that both runs hold. Quality by non-inferiority: "not significantly worse" is never a pass, the data must show
that the loss is smaller than the margin (Walker & Nowacki, J Gen Intern Med 2011). And where the system keys say that it is the very same
reranker, its scores: they have no sampling error, so that drift shows which no sample of queries could reveal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.compare import Comparison, Side, counterparts, paired, resolve_measure, run_seed, sides
from bench.errors import BenchError, RecordError
from bench.measure import stats
from bench.records.schema import TrialStatus
from bench.records.store import Run

Outcome = Literal["pass", "fail", "inconclusive"]

EXIT_CODES: dict[Outcome, int] = {"pass": 0, "fail": 1, "inconclusive": 4}
MARGIN = 0.01
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


@dataclass(frozen=True)
class Check:
    """One reranker's verdict. `low` and `high` are one-sided 95 % bounds of the mean difference, `drift` is None for different systems."""

    comparison: Comparison
    margin: float
    low: float
    high: float
    quality: Outcome
    drift: Drift | None

    @property
    def outcome(self) -> Outcome:
        return worst([self.quality, *([self.drift.outcome] if self.drift else [])])

    @property
    def underpowered(self) -> bool:
        """The margin is below what so many queries can tell. Known drift fails without statistics, so that it needs no power."""
        return self.margin < self.comparison.detectable and not (self.drift and self.drift.outcome == "fail")


@dataclass(frozen=True)
class Verdict:
    """Every reranker's check, the trials of the baseline that failed in the new run, and those that it does not hold for other reasons."""

    new: Run
    baseline: Run
    measure: str
    margin: float
    checks: tuple[Check, ...]
    failed: tuple[TrialStatus, ...] = ()
    absent: tuple[str, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """Fail before inconclusive before pass. A reranker that failed to run fails the gate."""
        return "fail" if self.failed else worst([check.outcome for check in self.checks])

    def exit_code(self, inconclusive: Literal["pass", "fail"] | None = None) -> int:
        """0 pass, 1 fail, 4 inconclusive unless `inconclusive` says what that counts as."""
        outcome = self.outcome
        return EXIT_CODES[inconclusive if outcome == "inconclusive" and inconclusive else outcome]


def check(
    new: Run,
    baseline: Run,
    measure: str | None = None,
    margin: float = MARGIN,
    *,
    accept_underpowered: bool = False,
    seed: int | None = None,
) -> Verdict:
    """The verdict on `new`. Raises IncomparableError where a quality key differs, RecordError when no reranker is in both, and BenchError
    for a margin below the minimum detectable effect unless `accept_underpowered`."""
    if not (math.isfinite(margin) and margin > 0):
        raise BenchError(f"--margin {margin}: the loss that is still acceptable is a number above 0, such as 0.01")
    name = resolve_measure(baseline, measure)
    seed = run_seed(baseline) if seed is None else seed
    ours, theirs = sides(new, references=False), sides(baseline, references=False)
    pairs = counterparts(ours, theirs)
    matched = {side.trial.id for _, side in pairs}
    failed = tuple(status for status in new.info.trials if status.status == "failed" and status.trial.id in {s.trial.id for s in theirs})
    if not pairs and not failed:
        raise RecordError(f"{new.folder} and {baseline.folder}: no reranker is in both, so there is nothing to check")
    checks = tuple(_check(one, old, name, margin, seed) for one, old in pairs)
    if not accept_underpowered:
        _require_power(checks)
    gone = {status.trial.id for status in failed}
    absent = tuple(side.trial.id for side in theirs if side.trial.id not in matched | gone)
    return Verdict(new, baseline, name, margin, checks, failed, absent)


def non_inferiority(delta: Sequence[float], margin: float, seed: int = 0, resamples: int = stats.RESAMPLES) -> tuple[float, float, Outcome]:
    """(lower bound, upper bound, outcome) for paired differences new - old: pass above -margin, fail below it, else inconclusive."""
    import numpy as np

    low, high = stats.one_sided_bounds(np.asarray(delta, dtype=np.float64), seed, resamples)
    return low, high, "pass" if low > -margin else "fail" if high < -margin else "inconclusive"


def drift(new: Side, baseline: Side) -> Drift:
    """Compare the two rankings on disk, which hold every score."""
    ours, theirs = new.run.ranking(new.trial.id), baseline.run.ranking(baseline.trial.id)
    tolerance = _tolerance(baseline)
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


def worst(outcomes: Sequence[Outcome]) -> Outcome:
    """Fail before inconclusive before pass."""
    return "fail" if "fail" in outcomes else "inconclusive" if "inconclusive" in outcomes else "pass"


def _check(new: Side, baseline: Side, measure: str, margin: float, seed: int) -> Check:
    comparison = paired(new, baseline, measure, seed=seed)
    low, high, outcome = non_inferiority(list(comparison.deltas.values()), margin, seed)
    same = new.record.keys["system"].hash == baseline.record.keys["system"].hash
    return Check(comparison, margin, low, high, outcome, drift(new, baseline) if same else None)


def _require_power(checks: Sequence[Check]) -> None:
    weak = [check for check in checks if check.underpowered]
    if not weak:
        return
    told = []
    for check in weak:
        one, n = check.comparison, len(check.comparison.deltas)
        needed = (
            f"{math.ceil(n * (one.detectable / check.margin) ** 2)} would do"
            if math.isfinite(one.detectable)
            else "one query tells nothing"
        )
        told.append(
            f"{one.new.trial.id}: {n} queries detect {one.detectable:.4f} at best ({needed}); {one.measure} differs by "
            f"{one.difference.mean:+.4f}, one-sided bounds {check.low:+.4f} and {check.high:+.4f}"
        )
    raise BenchError(
        f"--margin {weak[0].margin:g} is below the minimum detectable effect: raise the margin, take more queries, "
        "or accept a gate that will mostly be inconclusive with --accept-underpowered\n" + "\n".join(told)
    )


def _tolerance(side: Side) -> Tolerance:
    dtype = str(side.record.keys["system"].fields.get("dtype", ""))
    return ROUNDED if any(name in dtype for name in ("16", "int8", "float8")) else EXACT


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 1.0
