"""Several collections in one table: the headline measure of each reranker on each, and its mean
where no collection is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bench.records.rows import Row
from bench.reports import numbers
from bench.reports.html.svg import Mark
from bench.reports.html.table import Cell, significance
from bench.reports.summary import Finding, name_of


@dataclass(frozen=True)
class Line:
    """A reranker over all groups: a cell per group, then the mean."""

    name: str
    kind: str
    mark: Mark | None
    cells: Sequence[Cell]


def overview(found: Sequence[Finding], marks: Mapping[str, Mark]) -> list[Line]:
    """A line per reranker and device; empty where there is one group only."""
    if len(found) < 2:
        return []
    better = [
        significance([row for row in one.members if row.status == "done"], one.measure)
        for one in found
    ]
    by_name: dict[str, dict[int, Row]] = {}
    for i, finding in enumerate(found):
        for row in finding.members:
            if finding.measure in row.quality or row.trial.kind == "reranker":
                by_name.setdefault(name_of(row), {})[i] = row
    return [_line(name, held, found, better, marks) for name, held in by_name.items()]


def _line(
    name: str,
    held: Mapping[int, Row],
    found: Sequence[Finding],
    better: Sequence[Mapping[str, str]],
    marks: Mapping[str, Mark],
) -> Line:
    values = {
        i: row.quality[found[i].measure].mean
        for i, row in held.items()
        if found[i].measure in row.quality
    }
    cells = []
    for i in range(len(found)):
        cell = Cell(numbers.quality(values[i]), values[i]) if i in values else Cell()
        if i in held:
            below, reason = _aside(held[i])
            mark = better[i].get(held[i].trial.id, "")
            cell = replace(cell, mark=mark, below=below, reason=reason)
        cells.append(cell)
    mean = sum(values.values()) / len(values) if len(values) == len(found) else None
    row = next(iter(held.values()))
    cells.append(Cell() if mean is None else Cell(numbers.quality(mean), mean))
    return Line(name, row.trial.kind, marks.get(row.trial.id), cells)


def _aside(row: Row) -> tuple[str, str]:
    """Return what a cell says below its value of a row that leads no verdict, and why."""
    reason = row.out_of_verdict
    if not reason:
        return "", ""
    word = row.status if row.status != "done" else "not in the verdict"
    return word, reason
