"""What a run would take, as a document: a table per dataset and first stage, then the total."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from bench.core.counting import counted
from bench.records.rows import groups
from bench.reports import cells, numbers
from bench.reports.cells import Cell
from bench.reports.document import (
    Block,
    Column,
    Document,
    Heading,
    Note,
    Paragraph,
    Row,
    Section,
    Strong,
    Table,
)
from bench.reports.names import device_of, title_of
from bench.runner.forecast import Expected, Forecast

UNKNOWN = "?"
REMOTE, NONE = "remote", "none"
COLUMNS = (
    Column("cached", "cached", "queries whose scores are in the cache", priority=3),
    Column("pairs", "pairs", priority=1),
    Column("calls", "calls", priority=1),
    Column("timed", "timed", "calls of the timed pass", priority=6),
    Column("tokens", "tokens", priority=2),
    Column("out", "out", "tokens written", priority=7),
    Column("units", "units", "billed units", priority=8),
    Column("price", "price", priority=9),
    Column("usd", "$", "US dollars", better="lower", priority=0),
    Column("time", "time", better="lower", priority=1),
)


def document(forecast: Forecast) -> Document:
    """Return a table per dataset and first stage, the notes behind its numbers, the total."""
    blocks: list[Block] = []
    for group, members in groups(forecast.rows).items():
        queries = counted(members[0].queries, "query")
        blocks += [Heading(title_of(group), queries), _table(members, title_of(group))]
    blocks += [Paragraph((line,), quiet=True) for line in notes(forecast)]
    blocks.append(Paragraph((Strong(total(forecast)),)))
    section = Section("forecast", "Forecast", blocks, titled=False)
    return Document("", [section], data=_data(forecast))


def _data(forecast: Forecast) -> dict[str, Any]:
    return {
        "suite": forecast.suite,
        "usd": forecast.usd,
        "unpriced": [row.trial.id for row in forecast.unpriced],
        "tokens_from": forecast.tokens_from,
        "trials": [{"trial": row.trial.id, **row.to_dict()} for row in forecast.rows],
    }


def notes(found: Forecast) -> Iterator[str]:
    """How the numbers came about, and what they leave out."""
    if not found.rows:
        yield "the suite has no reranker but the first stage and the oracle, which cost nothing"
        return
    yield f"tokens: {found.tokens_from}"
    yield (
        "time: of scoring alone, as fast as in the newest run that timed the same entry on "
        "this machine; ? where there is none"
    )
    yield from dict.fromkeys(
        f"{row.trial.reranker}: time {row.time_source}"
        for row in found.rows
        if row.time_source and row.usage.pairs
    )
    if any(row.timed.calls for row in found.rows):
        yield (
            "calls, tokens and price include the timed pass of hosted rerankers, which is "
            "never cached (--no-latency leaves it out)"
        )
    for price, rows in _grouped((row for row in found.rows if row.price), lambda row: row.price):
        dated = f", {price.as_of}" if price.as_of else ""
        yield f"{rows}: {price} ({price.source or 'suite'}{dated})"
    for _, rows in _grouped((row for row in found.rows if row.usd is None), lambda row: None):
        yield (
            f"{rows}: no price known; give one in the suite, as price: {{usd: 2, per: 1000 "
            f"searches}}"
        )


def _grouped(rows: Iterable[Expected], key: Callable[[Expected], Any]) -> Iterator[tuple[Any, str]]:
    """(what rows have in common, their names)."""
    names: dict[Any, dict[str, None]] = {}
    for row in rows:
        names.setdefault(key(row), {})[row.trial.reranker] = None
    return ((common, ", ".join(found)) for common, found in names.items())


def total(found: Forecast) -> str:
    """One line: what running the suite here would cost."""
    text = f"total: ${numbers.dollars(found.usd)}"
    if found.unpriced:
        text += (
            " and what "
            f"{', '.join(dict.fromkeys(row.trial.reranker for row in found.unpriced))} cost"
        )
    others = [row for row in found.rows if row.reason and row.usd]
    if others:
        text += (
            f"; ${numbers.dollars(sum(row.usd or 0.0 for row in others))} more if what is "
            "skipped here could run"
        )
    return f"{text}. Nothing was sent, nothing was scored."


def _table(members: Sequence[Expected], title: str) -> Table:
    rows = [Row(row.trial.reranker, _cells(row), device_of(row.trial)) for row in members]
    absent = _grouped((row for row in members if row.reason), lambda row: row.reason)
    notes = [Note("", f"{names} not here: {reason}") for reason, names in absent]
    columns = [column for column in COLUMNS if any(_says(row, column) for row in rows)]
    return Table("reranker", columns, rows, f"what {title} would take", notes=notes)


def _says(row: Row, column: Column) -> bool:
    """Return whether a row has something to say in a column: a question mark says something."""
    cell = row.cells.get(column.key, cells.missing())
    return cell != cells.missing()


def _cells(row: Expected) -> dict[str, Cell]:
    remote, both = row.placement == REMOTE, row.usage + row.timed
    by_column = {
        "cached": _count(row.cached),
        "pairs": _count(row.usage.pairs),
        "tokens": _count(both.tokens),
        "out": _count(both.tokens_out),
        "units": _count(round(both.billed_units)),
        "usd": _dollars(row.usd),
        "time": _time(row),
    }
    if remote:
        by_column |= {"calls": _count(both.calls), "timed": _count(row.timed.calls)}
    if row.price or remote:
        by_column["price"] = cells.text(str(row.price) if row.price else UNKNOWN)
    return by_column


def _dollars(usd: float | None) -> Cell:
    if usd is None:
        return Cell("missing", UNKNOWN)
    return cells.money(usd) if usd else cells.missing()


def _count(value: int) -> Cell:
    """Return a count: exact below ten thousand, then with a unit."""
    if not value:
        return cells.missing()
    for size, per, unit in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if value >= size:
            return Cell("count", f"{value / per:.3g}{unit}", value)
    return Cell("count", f"{value:,}", value)


def _time(row: Expected) -> Cell:
    if row.placement == NONE:
        return cells.missing()
    if row.seconds is None:
        return Cell("missing", UNKNOWN)
    text = numbers.duration(row.seconds)
    if row.seconds < 1:
        text = "<1 s" if row.seconds else "0"
    return Cell("duration", f"≥ {text}" if row.at_least else text, row.seconds)
