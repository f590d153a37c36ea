"""What a run says in a few sentences: which reranker ranks best, whether that is real, which is
fastest among its equals, what is missing.

Markdown and HTML begin with these sentences, so that they never tell two stories.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bench.comparison.pairs import Side, paired, run_seed
from bench.contract.trial import FIRST_STAGE
from bench.core.counting import counted
from bench.quality import statistics
from bench.quality.statistics import Difference, Estimate
from bench.records.rows import GroupKey, Row, candidates_of, groups, measures_of
from bench.records.run import Run
from bench.reports import numbers
from bench.reports.timings import one_query

ALPHA = 0.05


class Style(NamedTuple):
    """How a page writes text as text, and a name that stands out: both escape."""

    plain: Callable[[str], str]
    strong: Callable[[str], str]


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


def name_of(row: Row) -> str:
    """A row's reranker, and its device where it has one."""
    return row.name if row.trial.device == "-" else f"{row.name} ({row.trial.device})"


def sentences(finding: Finding, style: Style) -> list[str]:
    """The finding in words, as markup of the page that `style` is for."""
    told = [_lead(finding, style), _room(finding), _speed(finding, style), _money(finding)]
    return [sentence for sentence in told if sentence]


def absent(rows: Sequence[Row], status: str) -> dict[str, list[str]]:
    """Reason -> the rerankers that were skipped, or failed, for it."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if row.status == status:
            names = found.setdefault(row.reason or "no reason given", [])
            if name_of(row) not in names:
                names.append(name_of(row))
    return found


def _finding(run: Run, key: GroupKey, members: Sequence[Row]) -> Finding:
    measure = next(iter(measures_of(members)), "")
    ranked = _ranked(members, measure)
    if not ranked:
        return Finding(key, measure, members, None)
    best = max(
        ranked, key=lambda row: (row.quality[measure].mean, *(-value for value in speed(row)))
    )
    return Finding(
        key,
        measure,
        members,
        best,
        (best, *_tied(run, best, [row for row in ranked if row is not best], measure)),
    )


def _ranked(members: Sequence[Row], measure: str) -> list[Row]:
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


def _lead(finding: Finding, style: Style) -> str:
    dataset, first_stage, _ = finding.group
    where = f"{dataset} ({first_stage}, {candidates_of(finding.members)})"
    if finding.best is None:
        measured = any(
            row.trial.kind == "reranker" and finding.measure in row.quality
            for row in finding.members
        )
        verdict = "can lead a verdict (see the notes)" if measured else "was measured"
        return style.plain(f"No reranker {verdict} on {where}.")
    value = f"{finding.measure} {numbers.quality(finding.best.quality[finding.measure].mean)}"
    name, delta = style.strong(name_of(finding.best)), finding.difference
    if delta is None:
        return f"{name} {style.plain(f'ranks best on {where}: {value}.')}"
    by = (
        f"{numbers.change(delta)} [{delta.low:+.3f}, {delta.high:+.3f}] (p "
        f"{numbers.p_value(delta.p)})"
    )
    if delta.p < ALPHA and delta.mean > 0:
        return (
            f"{name} {style.plain(f'ranks best on {where}: {value}, {by} over the first stage.')}"
        )
    verdict = "helps" if delta.p < ALPHA else "can be told from the first stage"
    so = "is below the first stage:" if delta.p < ALPHA else "has"
    return (
        f"{style.plain(f'No reranker {verdict} on {where}: the best,')} {name}, "
        f"{style.plain(f'{so} {value}, {by}.')}"
    )


def _speed(finding: Finding, style: Style) -> str:
    best, fastest, others = finding.best, finding.fastest, len(finding.tied) - 1
    ranked = len(_ranked(finding.members, finding.measure))
    timing = one_query(fastest) if fastest else None
    alone = "" if ranked == 1 else "No other reranker ties with it."
    if others:
        alone = f"These queries cannot tell {counted(others, 'other reranker')} from it."
    if best is None or fastest is None or timing is None:
        return alone if best else ""
    cost = (
        f"{numbers.milliseconds(timing.p50_ms)} ms a query "
        f"(p50{', through a network' if fastest.request else ''})"
    )
    if fastest is not best:
        against = (
            f", against {numbers.milliseconds(best.single.p50_ms)} ms"
            if best.single and fastest.single
            else ""
        )
        return (
            f"{style.strong(name_of(fastest))} is the fastest that these queries cannot tell "
            f"from it: {cost}{against}."
        )
    return (
        f"It is the fastest of the {others + 1} that tie: {cost}."
        if others
        else f"{alone} It takes {cost}.".strip()
    )


def _room(finding: Finding) -> str:
    if finding.leaves_no_room:
        return (
            "The candidates leave no room to gain: no order of them is better than the first "
            "stage's."
        )
    if finding.room is None or not 0 < finding.room <= 1:
        return ""
    return (
        f"That is {100 * finding.room:.0f}\N{NO-BREAK SPACE}% of the way from there to the "
        "best order of these candidates."
    )


def _money(finding: Finding) -> str:
    cost = finding.best.cost if finding.best else None
    return (
        f"The best ranking costs ${numbers.dollars(cost.usd_per_1000_queries)} per 1,000 queries."
        if cost
        else ""
    )
