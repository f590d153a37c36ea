"""Networks that were timed without their weights: what they would take, in a table of their own,
where no quality can be next to it.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.records import rows as records
from bench.records.rows import GroupKey
from bench.records.run import Run
from bench.reports import cells
from bench.reports.document import Column, Note, Row, Section, Table
from bench.reports.names import about, device_of, name_of
from bench.reports.sections.results import LATENCY, latency_cells
from bench.reports.view import View, absent_of
from bench.reports.wording import notes_on

NOTE = "weights: random. No weights were loaded and nothing was scored: no quality is known."


def latency_only(view: View) -> Section | None:
    """Return a table per group; None where the suite names no network without its weights."""
    tables = {group: [_table(view, group)] for group in view.run.architecture_groups}
    return view.section("latency-only", "Latency only", tables)


def _table(view: View, group: GroupKey) -> Table:
    """Return one group's networks, and what to know about them."""
    run, members = view.run, view.run.architecture_groups[group]
    done = [row for row in members if row.status == "done"]
    labels = {row.trial.id: name_of(row.trial) for row in members}
    notes = [Note("", NOTE), *_lengths(run, done)]
    notes += [Note(about(rows, members, labels), text) for rows, text in notes_on(members)]
    columns = [Column("parameters", "parameters", priority=4), *LATENCY]
    caption = f"latency of networks without weights, {view.title(group)}"
    rows = [_row(run, row) for row in done]
    return Table("reranker", columns, rows, caption, absent_of(members), notes)


def _lengths(run: Run, done: Sequence[records.Row]) -> list[Note]:
    """Return how tokens were counted."""
    identities = [run.architectures[row.trial.id].description["identity"] for row in done]
    ways = sorted({str(identity.get("lengths")) for identity in identities})
    if not ways:
        return []
    how = f"Tokens {' and '.join(ways)}"
    return [Note("", f"{how}: the model's own tokenizer may count up to a fifth more or less.")]


def _row(run: Run, row: records.Row) -> Row:
    parameters = run.architectures[row.trial.id].description["facts"]["parameters"]
    size = cells.number("count", _millions, parameters)
    return Row(row.name, {"parameters": size, **latency_cells(row)}, device_of(row.trial))


def _millions(number: float) -> str:
    return f"{number / 1e6:,.0f}M"
