"""What a run would take, as a document: a table per dataset and first stage, then the total."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bench.catalogue.price import Price
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
    Record,
    Row,
    Section,
    Strong,
    Table,
)
from bench.reports.names import device_of, title_of
from bench.runner.forecast import Expected, Forecast

REMOTE, NONE = "remote", "none"
COLUMNS = (
    Column(
        "cached",
        "cached",
        "queries whose scores are in the cache, or are made by an earlier row",
        priority=3,
    ),
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
        title, queries = title_of(group), counted(members[0].queries, "query")
        blocks += [Heading(title, queries), _table(members, title)]
    blocks += [Paragraph((line,), quiet=True) for line in notes(forecast)]
    blocks.append(Paragraph((Strong(total(forecast)),)))
    section = Section("forecast", "Forecast", blocks, titled=False)
    return Document("", [section], data=_data(forecast))


def _data(forecast: Forecast) -> Record:
    return {
        "suite": forecast.suite,
        "usd": forecast.usd,
        "unpriced": [row.trial.id for row in forecast.unpriced],
        "tokens_from": forecast.tokens_from,
        "trials": [{"trial": row.trial.id, **row.to_dict()} for row in forecast.rows],
    }


def notes(forecast: Forecast) -> Iterator[str]:
    """Return how the numbers came about, and what they leave out."""
    rows = forecast.rows
    if not rows:
        yield "the suite has no reranker but the first stage and the oracle, which cost nothing"
        return
    yield from _pairs(rows)
    yield f"tokens: {forecast.tokens_from}"
    yield (
        "time: of scoring alone, as fast as in the newest run that timed the same entry on "
        "this machine; ? where there is none"
    )
    limit = sum(row.timing_limit_s for row in forecast.runnable)
    if limit:
        yield (
            "the timed pass of rerankers on this machine comes on top: at most "
            f"{numbers.duration(limit)} (time_limit_s of each row and scenario; --no-latency "
            "leaves it out)"
        )
    timed = [row for row in rows if row.time_source and row.usage.pairs]
    yield from dict.fromkeys(f"{row.trial.reranker}: time {row.time_source}" for row in timed)
    if any(row.timed.calls for row in rows):
        yield (
            "calls, tokens and price include the timed pass of hosted rerankers, which is "
            "never cached (--no-latency leaves it out)"
        )
    prices: dict[Price, list[Expected]] = {}
    for row in rows:
        if row.price:
            prices.setdefault(row.price, []).append(row)
    for price, members in prices.items():
        source = price.source or "suite"
        if price.as_of:
            source = f"{source}, {price.as_of}"
        yield f"{_names(members)}: {price} ({source})"
    unpriced = [row for row in rows if row.usd is None]
    if unpriced:
        yield (
            f"{_names(unpriced)}: no price known; give one in the suite, as price: {{usd: 2, per: "
            "1000 searches}"
        )


def _pairs(rows: Sequence[Expected]) -> Iterator[str]:
    """Return which pairs are counted once, and of which rows nobody knows them yet."""
    shared = sum(row.shared for row in rows if row.reason is None)
    if shared:
        yield (
            f"pairs: {counted(shared, 'pair')} of later rows {_are(shared)} scored by an earlier "
            "one, and counted there alone"
        )
    guessed = [row for row in rows if row.is_guessed]
    if guessed:
        yield (
            f"{_names(guessed)}: documents of a later stage are not known before the scores of the "
            "one before: the first candidates serve for them, and what rows share of these is "
            "counted in each"
        )


def _are(count: int) -> str:
    if count == 1:
        return "is"
    return "are"


def _names(rows: Iterable[Expected]) -> str:
    """Return the rerankers of rows, each once."""
    return ", ".join(dict.fromkeys(row.trial.reranker for row in rows))


def total(forecast: Forecast) -> str:
    """Return what running the suite here would cost, in one line."""
    text = f"total: ${numbers.dollars(forecast.usd)}"
    if forecast.unpriced:
        text += f" and what {_names(forecast.unpriced)} cost"
    others = [row.usd for row in forecast.rows if row.reason and row.usd]
    if others:
        text += f"; ${numbers.dollars(sum(others))} more if what is skipped here could run"
    return f"{text}. Nothing was sent, nothing was scored."


def _table(members: Sequence[Expected], title: str) -> Table:
    rows = [Row(row.trial.reranker, _cells(row), device_of(row.trial)) for row in members]
    reasons: dict[str, list[Expected]] = {}
    for row in members:
        if row.reason:
            reasons.setdefault(row.reason, []).append(row)
    notes = [Note("", f"{_names(rows)} not here: {why}") for why, rows in reasons.items()]
    columns = [column for column in COLUMNS if any(_says(row, column) for row in rows)]
    return Table("reranker", columns, rows, f"what {title} would take", notes=notes)


def _says(row: Row, column: Column) -> bool:
    """Return whether a row has something to say in a column: a question mark says something."""
    return row.cell(column.key) != cells.missing()


def _cells(row: Expected) -> dict[str, Cell]:
    both = row.usage + row.timed
    by_column = {
        "cached": _count(row.cached),
        "pairs": _count(row.usage.pairs),
        "tokens": _count(both.tokens),
        "out": _count(both.tokens_out),
        "units": _count(round(both.billed_units)),
        "usd": cells.bill(row.usd),
        "time": _time(row),
    }
    if row.placement == REMOTE:
        by_column |= {"calls": _count(both.calls), "timed": _count(row.timed.calls)}
        by_column["price"] = cells.text(cells.UNKNOWN)
    if row.price:
        by_column["price"] = cells.text(str(row.price))
    return by_column


def _count(value: int) -> Cell:
    """Return a count: exact below ten thousand, then with a unit."""
    if not value:
        return cells.missing()
    for limit, divisor, unit in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if value >= limit:
            return Cell("count", f"{value / divisor:.3g}{unit}", value)
    return cells.count(value)


def _time(row: Expected) -> Cell:
    if row.placement == NONE:
        return cells.missing()
    if row.seconds is None:
        return cells.missing(words=cells.UNKNOWN)
    text = numbers.duration(row.seconds)
    if 0 < row.seconds < 1:
        text = "<1 s"
    elif not row.seconds:
        text = "0"
    return Cell("duration", f"≥ {text}" if row.at_least else text, row.seconds)
