"""The measures of scores that a suite asks for: errors of the scores as probabilities, over all
judged pairs of each row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.calibration.file import ErrorInterval
from bench.meaning.score_measures import Absence, RowScores, ScoreValue, score_measures
from bench.reports import cells
from bench.reports.cells import Cell
from bench.reports.document import Block, Bullets, Column, Heading, Paragraph, Row, Section, Table
from bench.reports.names import name_of
from bench.reports.view import View

EXPLANATION = (
    "Over all judged pairs of a row together, with 95 % intervals that draw queries anew with all "
    "of their pairs; no query has a value of its own. Unjudged documents are left out; where a "
    "collection lists relevant documents alone, they count as not relevant. ECE does not say how "
    "well relevant documents are told from others: read it next to Brier and AUC."
)
WHY = {
    Absence.RANKS: "scores are ranks",
    Absence.NO_PROBABILITIES: "scores are no probabilities: a stage `calibrated` makes them so",
    Absence.ONE_LABEL: "all judged documents are relevant, or none",
    Absence.NO_PAIRS: "no document is judged",
}


def errors_of_scores(view: View) -> Section | None:
    """Return a table of each dataset and first stage; None where the suite asks for none."""
    by_group: dict[str, list[RowScores]] = {}
    for row in score_measures(view.run):
        trial = row.table.row.trial
        by_group.setdefault(f"{trial.dataset}, {trial.first_stage}", []).append(row)
    blocks: list[Block] = []
    for title, rows in by_group.items():
        if len(by_group) > 1:
            blocks.append(Heading(title))
        blocks.append(_table(title, rows))
        reasons = list(_reasons(rows))
        if reasons:
            blocks.append(Bullets([(reason,) for reason in reasons]))
    if not blocks:
        return None
    blocks.append(Paragraph((EXPLANATION,), quiet=True))
    return Section("score-measures", "Errors of the scores", blocks)


def _table(title: str, rows: Sequence[RowScores]) -> Table:
    columns: list[Column] = []
    for value in rows[0].values:
        measure = value.measure
        arrow = "↓" if measure.better == "lower" else "↑"
        columns.append(
            Column(
                measure.name,
                f"{measure.name} {arrow}",
                measure.meaning,
                better=measure.better,
                priority=0,
            )
        )
        hint = f"interval of {measure.name}"
        columns.append(Column(f"{measure.name} interval", "95 %", hint, priority=2))
    columns.append(Column("pairs", "pairs", "judged documents", priority=3))
    table_rows = [Row(name_of(row.table.row.trial), _cells(row)) for row in rows]
    return Table("reranker", columns, table_rows, title, sortable=True)


def _cells(row: RowScores) -> dict[str, Cell]:
    by_column = value_cells(row)
    for value in row.values:
        if value.interval.value is not None:
            hint = cells.text(_interval(value.interval))
            by_column[f"{value.measure.name} interval"] = hint
    by_column["pairs"] = cells.count(len(row.pairs.labels))
    return by_column


def value_cells(row: RowScores) -> dict[str, Cell]:
    """Return the values of a row by the names of their measures."""
    by_column: dict[str, Cell] = {}
    for value in row.values:
        cell = cells.mean(value.interval.value)
        by_column[value.measure.name] = cells.seen(cell, row.table.row.seen)
    return by_column


def _interval(interval: ErrorInterval) -> str:
    if interval.low is None or interval.high is None:
        return ""
    return f"{interval.low:.4f} to {interval.high:.4f}"


def _reasons(rows: Sequence[RowScores]) -> Iterator[str]:
    """Yield why rows have no value, a sentence per reason and its measures."""
    by_sentence: dict[str, list[str]] = {}
    for row in rows:
        by_reason: dict[Absence, list[ScoreValue]] = {}
        for value in row.values:
            if value.absence is not None:
                by_reason.setdefault(value.absence, []).append(value)
        for reason, values in by_reason.items():
            measures = ", ".join(value.measure.name for value in values)
            sentence = f"no {measures}: {WHY[reason]}"
            by_sentence.setdefault(sentence, []).append(name_of(row.table.row.trial))
    for sentence, names in by_sentence.items():
        yield f"{', '.join(names)}: {sentence}"
