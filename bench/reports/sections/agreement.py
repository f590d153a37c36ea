"""A group's faster ways: how much faster each is, and what it does to scores and order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.comparison.agreement import Agreement
from bench.comparison.pairs import Side
from bench.latency.sweep_plan import SETTINGS
from bench.records import rows as records
from bench.records.rows import GroupKey
from bench.reports import cells, numbers
from bench.reports.cells import Cell
from bench.reports.document import Block, Column, Paragraph, Row, Section, Table
from bench.reports.findings import one_query
from bench.reports.names import device_of
from bench.reports.settings import LEGEND, short
from bench.reports.view import View

EXPLANATION = (
    f"The same model run in other ways: speed and scores against torch in float32 ({LEGEND})."
)


def agreement(view: View) -> Section | None:
    """Return the tables of the rows that run a model in another way than the plain one."""
    by_group: list[tuple[GroupKey, Sequence[Block]]] = []
    for group, agreements in view.agreements.items():
        by_group.append((group, [_table(agreements, view.groups[group], view.title(group))]))
    if not by_group:
        return None
    blocks = [Paragraph((EXPLANATION,), quiet=True), *view.parts(by_group)]
    return Section("agreement", "The same model run in other ways", blocks)


def way(side: Side, plain: Side) -> str:
    """Return in what a row differs from its plain one, in a few characters."""
    ours, theirs = _settings(side), _settings(plain)
    parts = [short(ours, [ours, theirs])]
    if side.record.identity.arithmetic.compile:
        parts.append("compiled")
    if side.trial.device != plain.trial.device:
        parts.append(side.trial.device)
    return " ".join(parts)


def _table(agreements: Sequence[Agreement], members: Sequence[records.Row], title: str) -> Table:
    rows = {row.trial.id: row for row in members}
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
    lines = [_row(one, rows[one.new.trial.id], rows[one.plain.trial.id]) for one in agreements]
    return Table("reranker", columns, lines, f"the same model run in other ways, {title}")


def _row(agreement: Agreement, row: records.Row, plain: records.Row) -> Row:
    """Return a row: its speed as a multiple of the plain row's, where both were timed, then the
    agreement.
    """
    single, plain_single = one_query(row), one_query(plain)
    ms = single.p50_ms if single else None
    plain_ms = plain_single.p50_ms if plain_single else None
    rate = row.throughput.pairs_per_s if row.throughput else None
    plain_rate = plain.throughput.pairs_per_s if plain.throughput else None
    drift = agreement.drift
    by_column = {
        "way": cells.text(way(agreement.new, agreement.plain)),
        "p50": _times(plain_ms, ms),
        "rate": _times(rate, plain_rate),
        "max": Cell("measure", f"{drift.max_difference:.1e}", drift.max_difference),
        "tau": Cell("measure", f"{drift.tau:.4f}", drift.tau),
        "top": Cell("measure", f"{drift.overlap:.3f}", drift.overlap),
        "change": Cell("delta", f"{agreement.change:+.4f}", agreement.change),
    }
    return Row(row.name, by_column, device_of(row.trial), mark=None)


def _times(more: float | None, less: float | None) -> Cell:
    if not more or not less:
        return Cell("missing", numbers.NOTHING)
    return Cell("rate", f"{more / less:.2f}x", more / less)


def _settings(side: Side) -> dict[str, Any]:
    arithmetic = side.record.identity.arithmetic
    known = {
        **side.record.description.get("facts", {}),
        "runtime": arithmetic.runtime_name,
        "dtype": arithmetic.dtype,
    }
    return {name: known.get(name) for name in SETTINGS}
