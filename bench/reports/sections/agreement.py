"""A group's faster ways: how much faster each is, and what it does to scores and order."""

from __future__ import annotations

from bench.comparison.agreement import Agreement
from bench.comparison.pairs import Side
from bench.latency.sweep_plan import SETTINGS
from bench.records import rows as records
from bench.records.rows import GroupKey
from bench.reports import cells
from bench.reports.cells import Cell
from bench.reports.document import Column, Paragraph, Row, Section, Table
from bench.reports.findings import median_ms, pairs_per_s
from bench.reports.names import device_of
from bench.reports.settings import LEGEND, Settings, short
from bench.reports.view import View

EXPLANATION = (
    f"The same model run in other ways: speed and scores against torch in float32 ({LEGEND})."
)


def agreement(view: View) -> Section | None:
    """Return the tables of the rows that run a model in another way than the plain one."""
    tables = {group: [_table(view, group)] for group in view.agreements}
    explanation = Paragraph((EXPLANATION,), quiet=True)
    return view.section("agreement", "The same model run in other ways", tables, explanation)


def way(side: Side, plain: Side) -> str:
    """Return in what a row differs from its plain one, in a few characters."""
    ours, theirs = _settings(side), _settings(plain)
    parts = [short(ours, [ours, theirs])]
    if side.record.identity.arithmetic.compile:
        parts.append("compiled")
    if side.trial.device != plain.trial.device:
        parts.append(side.trial.host)
    return " ".join(parts)


def _table(view: View, group: GroupKey) -> Table:
    agreements = view.agreements[group]
    rows = {row.trial.id: row for row in view.groups[group]}
    change = f"Δ {agreements[0].measure}"
    columns = [
        Column("way", "runs as", align="left", priority=1),
        Column("p50", "p50", "times as fast as the plain row", better="higher", priority=2),
        Column("rate", "pairs/s", "times the plain row's", better="higher", priority=2),
        Column("max", "max Δ", "the largest difference of a score", better="lower"),
        Column("tau", "tau", "mean Kendall's tau of the orders", better="higher"),
        Column("top", "top 10", "mean overlap of the top 10", better="higher"),
        Column("change", change, better="higher", priority=0),
    ]
    lines = [
        _row(agreement, rows[agreement.new.trial.id], rows[agreement.plain.trial.id])
        for agreement in agreements
    ]
    title = f"the same model run in other ways, {view.title(group)}"
    return Table("reranker", columns, lines, title)


def _row(agreement: Agreement, row: records.Row, plain: records.Row) -> Row:
    """Return a row: its speed as a multiple of the plain row's, where both were timed, then the
    agreement.
    """
    drift = agreement.drift
    by_column = {
        "way": cells.text(way(agreement.new, agreement.plain)),
        "p50": _times(median_ms(plain), median_ms(row)),
        "rate": _times(pairs_per_s(row), pairs_per_s(plain)),
        "max": cells.number("measure", "{:.1e}".format, drift.max_difference),
        "tau": cells.number("measure", "{:.4f}".format, drift.tau),
        "top": cells.number("measure", "{:.3f}".format, drift.overlap),
        "change": cells.change(agreement.change),
    }
    return Row(row.name, by_column, device_of(row.trial))


def _times(numerator: float | None, denominator: float | None) -> Cell:
    if not numerator or not denominator:
        return cells.missing()
    return cells.number("rate", "{:.2f}x".format, numerator / denominator)


def _settings(side: Side) -> Settings:
    arithmetic = side.record.identity.arithmetic
    facts = side.record.description.get("facts", {})
    loaded = {**facts, "runtime": arithmetic.runtime_name, "dtype": arithmetic.dtype}
    return {name: loaded.get(name) for name in SETTINGS}
