"""What a run shows of each group: which reranker ranks best, whether that is real, which is fastest
among its equals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.comparison.pairs import Side, paired, run_seed
from bench.contract.trial import FIRST_STAGE
from bench.latency.summary import Summary
from bench.quality import statistics
from bench.quality.statistics import Difference, Estimate
from bench.records.rows import GroupKey, Row, groups, measures_of
from bench.records.run import Run
from bench.reports.cells import Badge

ALPHA = 0.05


@dataclass(frozen=True)
class Finding:
    """One group in a breath. `tied` holds the rerankers that the queries cannot tell apart from the
    best, itself first: their paired difference to it has a permutation p, Holm-corrected, of .05 or
    more. `fastest` is the one of them with the lowest median latency, timed here if any of them
    was: a network's part is not comparable.
    """

    group: GroupKey
    measure: str
    members: Sequence[Row]
    best: Row | None
    tied: Sequence[Row] = ()

    @property
    def difference(self) -> Difference | None:
        """The best reranker's to the first stage."""
        return self.best.differences.get(self.measure) if self.best else None

    @property
    def fastest(self) -> Row | None:
        return min((row for row in self.tied if one_query(row)), key=speed, default=None)

    @property
    def room(self) -> float | None:
        """The share of the way from the first stage to the best order of these candidates that the
        best reranker went.
        """
        first, oracle = self.reference(FIRST_STAGE), self.reference("oracle")
        if first is None or oracle is None or self.best is None or oracle.mean <= first.mean:
            return None
        return (self.best.quality[self.measure].mean - first.mean) / (oracle.mean - first.mean)

    @property
    def leaves_no_room(self) -> bool:
        """Whether the first stage's order is already the best one of these candidates."""
        first, oracle = self.reference(FIRST_STAGE), self.reference("oracle")
        return first is not None and oracle is not None and oracle.mean <= first.mean

    def reference(self, name: str) -> Estimate | None:
        """The quality of the first stage's own order, or of the oracle."""
        return next(
            (
                row.quality[self.measure]
                for row in self.members
                if row.name == name and self.measure in row.quality
            ),
            None,
        )


def findings(run: Run, table: Sequence[Row]) -> list[Finding]:
    """A finding per group, in the suite's order."""
    return [_finding(run, key, members) for key, members in groups(list(table)).items()]


def speed(row: Row) -> tuple[bool, float]:
    """What rows are ordered by, fast ones first: those timed here, those timed through a network,
    those not timed.
    """
    timing = one_query(row)
    return row.single is None, timing.p50_ms if timing else float("inf")


def one_query(row: Row) -> Summary | None:
    """Return the row's latency with one query in flight, in whichever scenario it was taken."""
    return row.single or row.request


def significance(done: Sequence[Row], measure: str) -> dict[str, Badge]:
    """Return trial id -> better or worse, where the difference of a reranker to the first stage is
    significant at 5 %, Holm-corrected for all of the group's; "same" where it is not.
    """
    tested = [row for row in done if row.trial.kind == "reranker" and measure in row.differences]
    corrected = statistics.holm([row.differences[measure].p for row in tested])
    badges: dict[str, Badge] = {}
    for row, p in zip(tested, corrected, strict=True):
        badges[row.trial.id] = _badge(row.differences[measure], p)
    return badges


def _badge(difference: Difference, p: float) -> Badge:
    if p >= ALPHA:
        return "same"
    return "better" if difference.mean > 0 else "worse"


def _finding(run: Run, key: GroupKey, members: Sequence[Row]) -> Finding:
    measure = next(iter(measures_of(members)), "")
    competing = ranked(members, measure)
    if not competing:
        return Finding(key, measure, members, None)
    best = max(competing, key=lambda row: _rank(row, measure))
    others = [row for row in competing if row is not best]
    return Finding(key, measure, members, best, (best, *_tied(run, best, others, measure)))


def _rank(row: Row, measure: str) -> tuple[float, bool, float]:
    """Return what rows are ordered by: quality, then speed."""
    elsewhere, ms = speed(row)
    return row.quality[measure].mean, not elsewhere, -ms


def ranked(members: Sequence[Row], measure: str) -> list[Row]:
    """The rows that compete: rerankers whose order means something."""
    return [
        row
        for row in members
        if row.trial.kind == "reranker" and measure in row.quality and not row.meaningless
    ]


def _tied(run: Run, best: Row, others: Sequence[Row], measure: str) -> list[Row]:
    side = Side(run, run.records[best.trial.id])
    seed = run_seed(run)
    ps = [
        paired(Side(run, run.records[row.trial.id]), side, measure, seed=seed).difference.p
        for row in others
    ]
    return [row for row, p in zip(others, statistics.holm(ps), strict=True) if p >= ALPHA]
