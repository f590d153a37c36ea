"""Everything the page shows of one group, dataset x first stage: gathered once, its rankings read
one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.comparison.agreement import Agreement
from bench.records.points import Point
from bench.records.rows import candidates_of
from bench.records.run import Run
from bench.reports import agreement, numbers, timings
from bench.reports.html import curves, latency, tradeoff
from bench.reports.html.latency import Distribution
from bench.reports.html.queries import Documents, Drill
from bench.reports.html.scores import CandidateScores, Separation
from bench.reports.html.svg import Mark
from bench.reports.html.table import Grid, grid
from bench.reports.summary import Finding, name_of

MOVED = 5


@dataclass(frozen=True)
class Moved:
    """A query that the best reranker moved: its value in the first stage and after."""

    query: str
    text: str
    before: str
    after: str
    change: float


@dataclass(frozen=True)
class View:
    """One group of the page. Charts are markup, empty where there is nothing to draw."""

    id: str
    finding: Finding
    grid: Grid
    agreement: Sequence[Sequence[str]]
    tradeoff: str
    devices: Sequence[str]
    legend: Sequence[tuple[Mark, str]]
    depth_quality: str
    depth_latency: str
    distributions: Sequence[Distribution]
    parts: Sequence[Sequence[Sequence[str]]]
    separations: Sequence[Separation]
    moved: Sequence[Moved]
    drill: Mapping[str, Any] | None

    @property
    def title(self) -> str:
        dataset, first_stage, _ = self.finding.group
        return f"{dataset} · {first_stage} · {candidates_of(self.finding.members)}"

    @property
    def queries(self) -> int:
        return next(
            (
                row.quality[self.finding.measure].n
                for row in self.finding.members
                if self.finding.measure in row.quality
            ),
            0,
        )


def view(
    run: Run,
    finding: Finding,
    identifier: str,
    marks: Mapping[str, Mark],
    timed: Sequence[Point],
    agreed: Sequence[Agreement],
    documents: Documents,
    most_queries: int,
) -> View:
    """The group of a finding. `agreed` are its faster ways."""
    members, measure = finding.members, finding.measure
    drill = Drill(run, members, measure, documents, most_queries)
    separations = []
    for row in members:
        if not row.quality:
            continue
        scores = CandidateScores(run, row)
        for piece in run.ranking_pieces(row.trial.id):
            drill.add(row, piece)
            scores.add(piece)
        if row.name != "oracle" and (separation := scores.separation(marks)):
            separations.append(separation)
    points = tradeoff.points(members, measure, marks)
    return View(
        id=identifier,
        finding=finding,
        grid=grid(members, marks),
        agreement=[agreement.head(agreed), *agreement.lines(agreed, members)] if agreed else [],
        tradeoff=tradeoff.draw(points, members, measure),
        devices=tradeoff.devices(points),
        legend=[(one.mark, name_of(one.row)) for one in points],
        depth_quality=curves.quality(members, run.depths, measure, marks),
        depth_latency=curves.latency(members, timed, marks),
        distributions=latency.distributions(members, run.latency, marks),
        parts=timings.parts(members, {row.trial.id: name_of(row) for row in members}),
        separations=separations,
        moved=_moved(drill, finding),
        drill=drill.data(finding.best),
    )


def marks(run: Run) -> dict[str, Mark]:
    """trial id -> its mark, the same for a reranker wherever it stands; references have none."""
    trials = [status.trial for status in run.info.trials if status.trial.kind != "reference"]
    names = list(dict.fromkeys(trial.reranker for trial in trials))
    devices: dict[str, list[str]] = {
        name: list(dict.fromkeys(one.device for one in trials if one.reranker == name))
        for name in names
    }
    return {
        one.id: Mark(names.index(one.reranker), hollow=one.device != devices[one.reranker][0])
        for one in trials
    }


def _moved(drill: Drill, finding: Finding) -> list[Moved]:
    """The best reranker's biggest wins, then its biggest losses."""
    if finding.best is None or drill.base is None:
        return []
    before, after = drill.values[drill.base.trial.id], drill.values[finding.best.trial.id]
    changes = {
        query: after[query] - value
        for query, value in before.items()
        if query in after and after[query] != value
    }
    order = sorted(changes, key=lambda query: changes[query])
    wins = [query for query in reversed(order) if changes[query] > 0][:MOVED]
    losses = [query for query in order if changes[query] < 0][:MOVED]
    return [
        Moved(
            query,
            drill.words.get(query, ""),
            numbers.quality(before[query]),
            numbers.quality(after[query]),
            changes[query],
        )
        for query in (*wins, *losses)
    ]
