"""What a run shows of each group: which reranker ranks best, whether that is real, which is fastest
among its equals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.comparison.pairs import Comparison, Side, paired
from bench.contract.trial import FIRST_STAGE, ORACLE
from bench.latency.summary import Summary
from bench.quality import statistics
from bench.quality.statistics import ALPHA, EQUAL, Difference, Estimate
from bench.records.rows import GroupKey, Row, groups, headline_of
from bench.records.run import Run
from bench.reports.cells import Badge
from bench.reports.names import too_few


@dataclass(frozen=True)
class Finding:
    """The verdict on a group.

    `tied` holds the rerankers that the queries cannot tell apart from the best, itself first: their
    paired difference to it has a permutation p, Holm-corrected, of .05 or more. `undecided` are
    others, where too few queries move for any p below .05. `rivals` is trial id -> comparison with
    the best, for each of both.
    """

    group: GroupKey
    measure: str
    members: Sequence[Row]
    best: Row | None
    tied: Sequence[Row] = ()
    undecided: Sequence[Row] = ()
    rivals: Mapping[str, Comparison] = field(default_factory=dict)

    @property
    def difference(self) -> Difference | None:
        """Return the difference of the best reranker to the first stage."""
        return self.best.differences.get(self.measure) if self.best else None

    @property
    def equals(self) -> list[Row]:
        """Return the rerankers with exactly the quality of the best, itself first."""
        best = self.best
        if best is None:
            return []
        return [row for row in self.tied if _equal(row, best, self.measure)]

    @property
    def choices(self) -> list[Row]:
        """Return the tied rerankers that are not below the first stage."""
        first = self.first_stage
        if first is None:
            return list(self.tied)
        return [row for row in self.tied if row.quality[self.measure].mean >= first.mean]

    @property
    def fastest(self) -> Row | None:
        """Return the choice with the lowest median latency, timed here if any of them was: a
        network's part is not comparable.
        """
        return min((row for row in self.choices if one_query(row)), key=speed, default=None)

    @property
    def badges(self) -> dict[str, Badge]:
        """Return trial id -> what the group's table marks its difference to the first stage as."""
        done = [row for row in self.members if row.status == "done"]
        return significance(done, self.measure)

    def marked(self, badge: Badge) -> list[Row]:
        """Return the competing rerankers with a mark, in the suite's order."""
        badges = self.badges
        competing = ranked(self.members, self.measure)
        return [row for row in competing if badges.get(row.trial.id) == badge]

    @property
    def room(self) -> float | None:
        """Return the share of the way from the first stage to the best order of these candidates
        that the best reranker went.
        """
        first, oracle = self.first_stage, self.oracle
        if first is None or oracle is None or self.best is None or oracle.mean <= first.mean:
            return None
        return (self.best.quality[self.measure].mean - first.mean) / (oracle.mean - first.mean)

    @property
    def leaves_no_room(self) -> bool:
        """Return whether the first stage's order is already the best one of these candidates."""
        first, oracle = self.first_stage, self.oracle
        return first is not None and oracle is not None and oracle.mean <= first.mean

    @property
    def first_stage(self) -> Estimate | None:
        return reference(self.members, FIRST_STAGE, self.measure)

    @property
    def oracle(self) -> Estimate | None:
        return reference(self.members, ORACLE, self.measure)


def findings(run: Run, table: Sequence[Row]) -> list[Finding]:
    """Return a finding per group, in the suite's order."""
    return [_finding(run, key, members) for key, members in groups(table).items()]


def references(members: Sequence[Row], measure: str) -> dict[str, Estimate]:
    """Return the quality of the first stage's own order and of the oracle, by their names."""
    return {
        row.name: row.quality[measure]
        for row in members
        if row.trial.kind == "reference" and measure in row.quality
    }


def reference(members: Sequence[Row], name: str, measure: str) -> Estimate | None:
    """Return the quality of the first stage's own order, or of the oracle."""
    return references(members, measure).get(name)


def speed(row: Row) -> tuple[bool, float]:
    """Return what rows are ordered by, fast ones first: those timed here, those timed through a
    network, those not timed.
    """
    timing = one_query(row)
    if timing is None:
        return True, float("inf")
    return row.query_here is None, timing.p50_ms


def one_query(row: Row) -> Summary | None:
    """Return the row's latency with one query in flight, in whichever scenario it was taken."""
    return row.query_here or row.query_elsewhere


def median_ms(row: Row) -> float | None:
    """Return the median latency with one query in flight."""
    summary = one_query(row)
    return summary.p50_ms if summary else None


def pairs_per_s(row: Row) -> float | None:
    return row.throughput.pairs_per_s if row.throughput else None


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
    measure = headline_of(members)
    competing = ranked(members, measure)
    if not competing:
        return Finding(key, measure, members, None)
    best = max(competing, key=lambda row: _rank(row, measure))
    others = [row for row in competing if row is not best]
    rivals = _rivals(run, best, others, measure)
    corrected = statistics.holm([rival.difference.p for rival in rivals.values()])
    tied, undecided = [best], []
    for row, p in zip(others, corrected, strict=True):
        if too_few(rivals[row.trial.id].difference) and not _equal(row, best, measure):
            undecided.append(row)
        elif p >= ALPHA:
            tied.append(row)
    return Finding(key, measure, members, best, tied, undecided, rivals)


def _equal(row: Row, other: Row, measure: str) -> bool:
    return abs(row.quality[measure].mean - other.quality[measure].mean) < EQUAL


def _rank(row: Row, measure: str) -> tuple[int, bool, float]:
    """Return what rows are ordered by: quality, then speed."""
    elsewhere, ms = speed(row)
    return round(row.quality[measure].mean / EQUAL), not elsewhere, -ms


def ranked(members: Sequence[Row], measure: str) -> list[Row]:
    """Return the rows that compete: rerankers whose order means something."""
    return [row for row in members if row.competes(measure)]


def _rivals(run: Run, best: Row, others: Sequence[Row], measure: str) -> dict[str, Comparison]:
    side, seed = Side(run, run.records[best.trial.id]), run.seed
    ids = [row.trial.id for row in others]
    return {name: paired(Side(run, run.records[name]), side, measure, seed=seed) for name in ids}
