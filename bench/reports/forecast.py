"""What a run would take, as people and programs read it: a table in the terminal, JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from bench.core.counting import counted
from bench.reports import numbers
from bench.reports.comparison import as_json
from bench.reports.fitting import LEAST_LABEL, fitting, left_out
from bench.runner.forecast import Expected, Forecast

if TYPE_CHECKING:
    from rich.console import Console

WIDE = 118
UNKNOWN = "?"
IMPORTANT = ("$", "time", "pairs", "calls", "tokens", "cached")
"""Columns for which others give way in a narrow terminal, the first of them last."""


def to_json(found: Forecast) -> str:
    return as_json(
        {
            "suite": found.suite,
            "usd": found.usd,
            "unpriced": [row.trial.id for row in found.unpriced],
            "tokens_from": found.tokens_from,
            "trials": [{"trial": row.trial.id, **row.to_dict()} for row in found.rows],
        }
    )


def print_forecast(found: Forecast, console: Console) -> None:
    """A table per dataset and first stage, the notes behind its numbers, the total."""
    from rich.text import Text

    for (dataset, first_stage, depth), rows in groupby(
        found.rows, lambda row: (row.trial.dataset, row.trial.first_stage, row.trial.depth)
    ):
        members = list(rows)
        queries = counted(members[0].queries, "query")
        shared = f", {queries}, {first_stage}, {counted(depth, 'candidate')}"
        console.print(Text.assemble("\n", (dataset, "bold"), shared))
        _print_table(members, console)
    for line in notes(found):
        console.print(Text(line, "dim"), soft_wrap=console.width >= WIDE)
    console.print(Text(total(found), "bold"), soft_wrap=True)


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
        f"{row.trial.reranker}: time {row.told}"
        for row in found.rows
        if row.told and row.usage.pairs
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


def _print_table(members: Sequence[Expected], console: Console) -> None:
    """Print the rows; columns for which there is no room are left out, and named."""
    from rich import box
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    lines = [_cells(row) for row in members]
    widths = {
        name: max(len(name), *(cell_len(line[name]) for line in lines)) + 2 for name in lines[0]
    }
    longest = max(cell_len(_name(row)) for row in members)
    shown = fitting(widths, console.width, longest, IMPORTANT)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True)
    table.add_column("reranker", overflow="fold", min_width=min(longest, LEAST_LABEL))
    for name in shown:
        table.add_column(name, justify="right", no_wrap=True)
    for row, line in zip(members, lines, strict=True):
        cells = (line[name] for name in shown)
        table.add_row(Text(_name(row)), *map(Text, cells), style="dim" if row.reason else None)
    console.print(table)
    if text := left_out(widths, shown, console.width):
        console.print(Text(text, "dim"))
    for reason, names in _grouped((row for row in members if row.reason), lambda row: row.reason):
        console.print(Text(f"{names} not here: {reason}", "dim"), soft_wrap=True)


def _name(row: Expected) -> str:
    trial = row.trial
    return trial.reranker if trial.device == "-" else f"{trial.reranker} ({trial.device})"


def _cells(row: Expected) -> dict[str, str]:
    remote, both = row.placement == "remote", row.usage + row.timed
    return {
        "cached": f"{row.cached:,}" if row.cached else numbers.NOTHING,
        "pairs": _count(row.usage.pairs),
        "calls": _count(both.calls) if remote else numbers.NOTHING,
        "timed": _count(row.timed.calls) if remote else numbers.NOTHING,
        "tokens": _count(both.tokens),
        "out": _count(both.tokens_out),
        "units": _count(round(both.billed_units)),
        "price": str(row.price) if row.price else UNKNOWN if remote else numbers.NOTHING,
        "$": numbers.dollars(row.usd)
        if row.usd
        else UNKNOWN
        if row.usd is None
        else numbers.NOTHING,
        "time": _time(row),
    }


def _count(value: int) -> str:
    """Exact below ten thousand, then with a unit."""
    if not value:
        return numbers.NOTHING
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            return f"{value / (1e3 if unit == 'k' else size):.3g}{unit}"
    return f"{value:,}"


def _time(row: Expected) -> str:
    if row.placement == "none":
        return numbers.NOTHING
    if row.seconds is None:
        return UNKNOWN
    text = "0" if not row.seconds else "<1 s" if row.seconds < 1 else numbers.duration(row.seconds)
    return f"≥ {text}" if row.at_least else text
