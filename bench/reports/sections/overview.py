"""Several collections in one table: the headline measure of each reranker on each, and its mean
where no collection is missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bench.records import rows as records
from bench.records.rows import GroupKey
from bench.reports import cells
from bench.reports.cells import SEEN_MARK, Badge, Cell
from bench.reports.document import Block, Column, Paragraph, Row, Section, Table
from bench.reports.findings import Finding, significance
from bench.reports.names import device_of, name_of
from bench.reports.view import View
from bench.reports.wording import out_of_verdict

MEAN, UNSEEN = "mean", "unseen"


@dataclass(frozen=True)
class Mean:
    """A reranker over the groups of a run: its row in each, and the mean of the headline measure
    over those of `averaged`, None where one of them lacks it.
    """

    rows: Mapping[int, records.Row]
    values: Mapping[int, float]
    mean: float | None

    @property
    def any_row(self) -> records.Row:
        return next(iter(self.rows.values()))

    @property
    def out_of_verdict(self) -> str:
        """Return why a row of it that ran leads no verdict; empty where all may lead one."""
        reasons = [out_of_verdict(row) for row in self.rows.values() if row.status == "done"]
        return next(filter(None, reasons), "")


def means(findings: Sequence[Finding]) -> list[Mean]:
    """Return the mean of each reranker and device over several groups; none where there is one
    group only.
    """
    if len(findings) < 2:
        return []
    rows: dict[str, dict[int, records.Row]] = {}
    for i, finding in enumerate(findings):
        for row in finding.members:
            if finding.measure in row.quality or row.trial.kind == "reranker":
                rows.setdefault(name_of(row.trial), {})[i] = row
    shared = averaged(findings)
    return [_mean(by_group, findings, shared) for by_group in rows.values()]


def averaged(findings: Sequence[Finding]) -> list[int]:
    """Return the groups that a mean is over: those that most rerankers are of, where these are
    several, else all. A pipeline with a first stage of its own is in a group of its own, and takes
    nobody's mean away.
    """
    groups: dict[str, list[int]] = {}
    for i, finding in enumerate(findings):
        for row in finding.members:
            if row.trial.kind == "reranker":
                groups.setdefault(name_of(row.trial), []).append(i)
    counts = Counter(tuple(own) for own in groups.values())
    shared = max(counts, key=lambda own: (counts[own], len(own)), default=())
    if len(shared) > 1:
        return list(shared)
    return list(range(len(findings)))


def overview(view: View) -> Section | None:
    """Return a row per reranker and device, a column per group and one for their mean."""
    table = overview_table(view)
    if table is None:
        return None
    # a group that the run did not reach has no measure
    measures = dict.fromkeys(finding.measure for finding in view.findings if finding.measure)
    where = f"The mean is over {over(view)}; it is blank where one of them is missing."
    if outside := _outside(view):
        where = f"{where} {outside}"
    if text := _of_training(view):
        where = f"{where} {text}"
    blocks: list[Block] = [table, Paragraph((where,), quiet=True)]
    title = f"All {_what(view)}"
    if measures:
        title += f", {' and '.join(measures)}"
    return Section("overview", title, blocks)


def unseen(view: View) -> list[int]:
    """Return the groups of the mean whose collection no row is known to have been trained on."""
    return [
        i for i in averaged(view.findings) if not any(row.seen for row in view.findings[i].members)
    ]


def unseen_mean(mean: Mean, view: View) -> float | None:
    """Return the mean over the groups that nobody is known to have been trained on; None where a
    group lacks it, or where these are all or none of them.
    """
    groups = unseen(view)
    if not _has_unseen(view) or not set(groups) <= set(mean.values):
        return None
    return sum(mean.values[i] for i in groups) / len(groups)


def _of_training(view: View) -> str:
    """Return what the marks and the mean of unseen collections say; empty where nothing is
    marked.
    """
    groups = unseen(view)
    if len(groups) == len(averaged(view.findings)):
        return ""
    texts = [f"{SEEN_MARK}: a model of the row was trained on the collection's family."]
    if groups:
        titles = "; ".join(view.title(view.findings[i].group) for i in groups)
        texts.append(f"Unseen is the mean over what no row is known to be trained on: {titles}.")
    else:
        texts.append("There is no collection that no row is known to be trained on.")
    unknown = _unknown(view)
    if unknown:
        texts.append(f"Not known of {', '.join(unknown)}, which may have seen any of them.")
    return " ".join(texts)


def _unknown(view: View) -> list[str]:
    """Return the rows of which it is not known what they were trained on."""
    names: dict[str, None] = {}
    for row in view.rows:
        if row.status == "done" and row.is_unseen is None and row.trial.kind == "reranker":
            names[row.name] = None
    return list(names)


def _what(view: View) -> str:
    """Return what the columns of the overview differ in, first of all."""
    if len({dataset for dataset, _, _ in view.groups}) > 1:
        return "collections"
    if len({first_stage for _, first_stage, _ in view.groups}) > 1:
        return "first stages"
    return "depths"


def over(view: View) -> str:
    """Return over which groups a mean is taken."""
    return "; ".join(view.title(view.findings[i].group) for i in averaged(view.findings))


def _outside(view: View) -> str:
    """Return which groups the mean is not over, and why; empty where it is over all."""
    groups = averaged(view.findings)
    others = [
        view.title(finding.group) for i, finding in enumerate(view.findings) if i not in groups
    ]
    if not others:
        return ""
    return f"It leaves out where few rerankers are: {'; '.join(others)}."


def _has_unseen(view: View) -> bool:
    """Return whether the mean of the unseen is another one than that of all."""
    return 0 < len(unseen(view)) < len(averaged(view.findings))


def overview_table(view: View) -> Table | None:
    """Return the table of the overview; None where there is nothing to take a mean of."""
    findings = view.findings
    lines = means(findings)
    if not lines:
        return None
    badges = []
    for finding in findings:
        done = [row for row in finding.members if row.status == "done"]
        badges.append(significance(done, finding.measure))
    columns = [_column(i, finding, view) for i, finding in enumerate(findings)]
    shared = averaged(findings)
    columns = [
        replace(column, priority=column.priority + (i not in shared))
        for i, column in enumerate(columns)
    ]
    columns.append(Column(MEAN, MEAN, f"mean over {over(view)}", better="higher", priority=0))
    if _has_unseen(view):
        meaning = "mean over the collections that no row is known to be trained on"
        columns.append(Column(UNSEEN, UNSEEN, meaning, better="higher", priority=0))
    rows = [_row(line, badges, view) for line in lines]
    caption = f"all {_what(view)}"
    return Table("reranker", columns, rows, caption, style="overview", sortable=True)


def _aside(row: records.Row) -> str:
    """Return what a page says below the value of a row that leads no verdict."""
    if row.status != "done":
        return row.status
    return "not in the verdict" if out_of_verdict(row) else ""


def _mean(
    rows: Mapping[int, records.Row], findings: Sequence[Finding], shared: Sequence[int]
) -> Mean:
    values = {}
    for i, row in rows.items():
        measure = findings[i].measure
        if measure in row.quality:
            values[i] = row.quality[measure].mean
    if not set(shared) <= set(values):
        return Mean(rows, values, None)
    return Mean(rows, values, sum(values[i] for i in shared) / len(shared))


def _column(i: int, finding: Finding, view: View) -> Column:
    """Return a group's column. Its title names as much of the group as sets it apart: text reports
    show nothing below it.
    """
    parts = [str(part) for part in finding.group]
    length = 1
    while sum(_begins(group, parts[:length]) for group in view.groups) > 1:
        length += 1
    title, below = ", ".join(parts[:length]), ", ".join(parts[length:])
    return Column(str(i), title, view.title(finding.group), better="higher", below=below)


def _begins(group: GroupKey, parts: Sequence[str]) -> bool:
    """Return whether a group's dataset, first stage and depth begin with these."""
    return [str(part) for part in group[: len(parts)]] == list(parts)


def _row(line: Mean, badges: Sequence[Mapping[str, Badge]], view: View) -> Row:
    trial = line.any_row.trial
    by_column: dict[str, Cell] = {MEAN: cells.mean(line.mean)}
    by_column[UNSEEN] = cells.mean(unseen_mean(line, view))
    for i, row in line.rows.items():
        cell = cells.mean(line.values.get(i), badges[i].get(row.trial.id, ""))
        cell = cells.seen(cell, row.seen)
        below = _aside(row)
        by_column[str(i)] = replace(cell, below=below, reason=out_of_verdict(row))
    device = device_of(trial)
    return Row(trial.reranker, by_column, device, trial.kind, view.marks.get(trial.id))
