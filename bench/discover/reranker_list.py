"""`list rerankers`: the catalogue by backend, in as many columns as the terminal has room for.

What does not fit is not lost: in a narrow terminal, a column that says the same in every row of a
group is part of the group's heading.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from bench.catalogue import entries as catalogue
from bench.catalogue.entries import ListedPrice
from bench.core.counting import counted
from bench.core.errors import BenchError, nearest
from bench.discover.needs import by_backend, needs
from bench.rerankers import TABLE

UNLIMITED = 1000
NOTHING = "–"
NUMBERS = ("SIZE", "TOKENS")
"""Columns that are set flush right."""
LEGEND = (
    "needs: local, demo, api are extras: pip install 'rerank-bench[local]'; hub: weights from "
    "the model hub; code: trust_remote_code must "
    "be set; GPU: advised",
    "here: ready, fetch (a run would download the weights; no request went to the hub), or what "
    "is missing",
    "price: as of the day that `show reranker NAME` has, * not from the vendor's own page, ? "
    "where no public one was found",
)

Cells = Mapping[str, str]


def lines(backend: str | None = None, width: int | None = None) -> Iterator[str]:
    """Yield the list as text. Raises BenchError for a backend that the catalogue does not name."""
    groups = {name: [_cells(entry) for entry in entries] for name, entries in by_backend()}
    if backend is not None and backend not in groups:
        raise BenchError(
            f"no entry of the catalogue has the backend '{backend}': {nearest(backend, groups)}"
        )
    others = [name for name in TABLE if name not in groups]
    if backend is not None:
        groups = {backend: groups[backend]}
    width = width or shutil.get_terminal_size((UNLIMITED, 24)).columns
    every = list(chain.from_iterable(groups.values()))
    columns = _filled(every)
    widths = _widths(columns, every)
    if sum(widths.values()) + 2 * len(widths) > width:
        columns = [name for name in columns if name != "MODEL"]
    is_wide = sum(widths[name] for name in columns) + 2 * len(columns) <= width
    for name, rows in groups.items():
        if is_wide:
            yield from _wide(name, rows, columns, widths)
        else:
            yield from _narrow(name, rows, width)
        yield ""
    backends = counted(len(groups), "backend")
    total = f"{len(every)} rerankers over {backends}; a suite names them by NAME"
    yield from _wrapped(total, width)
    for text in LEGEND:
        yield from _wrapped(text, width)
    if backend is None:
        yield from _wrapped(
            f"also: {', '.join(others)}, any backend with options of your own, "
            "cascade (stages in a row, each with keep), "
            "'your_package.module:ClassOrFunction'",
            width,
        )


def _cells(name: str) -> Cells:
    entry = catalogue.load()[name]
    needed = needs(name)
    facts = entry.facts
    return {
        "NAME": name,
        "SIZE": _short(facts.parameters),
        "TOKENS": _tokens(facts.max_length),
        "LANG": _languages(facts.languages),
        "LICENCE": facts.licence,
        "PRICE": _price(facts.price, remote=needed.is_remote),
        "NEEDS": " ".join(needed.titles),
        "HERE": needed.state,
        "MODEL": str(entry.options.get("model", "")),
    }


def _wide(
    backend: str, rows: Sequence[Cells], columns: Sequence[str], widths: Mapping[str, int]
) -> Iterator[str]:
    """Yield a group as a table of all columns."""
    yield backend
    yield _line({name: name for name in columns}, columns, widths)
    for row in rows:
        yield _line(row, columns, widths)


def _narrow(backend: str, rows: Sequence[Cells], width: int) -> Iterator[str]:
    """Yield a group as a table whose heading says what is the same in every row."""
    columns = [name for name in _filled(rows) if name != "MODEL"]
    common = [name for name in columns if name != "NAME" and len({row[name] for row in rows}) == 1]
    heading = backend
    if common:
        heading = f"{backend}: {', '.join(f'{name.lower()} {rows[0][name]}' for name in common)}"
    yield from _wrapped(heading, width)
    own = [name for name in columns if name not in common]
    widths = _widths(own, rows)
    if len(own) > 1:
        yield _line({name: name for name in own}, own, widths)
    for row in rows:
        yield _line(row, own, widths)


def _line(row: Cells, columns: Sequence[str], widths: Mapping[str, int]) -> str:
    cells = []
    for name in columns:
        if name in NUMBERS:
            cells.append(row[name].rjust(widths[name]))
        else:
            cells.append(row[name].ljust(widths[name]))
    return "  ".join(cells).rstrip()


def _filled(rows: Sequence[Cells]) -> list[str]:
    """Return the columns in which some row says something."""
    return [name for name in rows[0] if any(row[name] not in (NOTHING, "") for row in rows)]


def _widths(columns: Sequence[str], rows: Sequence[Cells]) -> dict[str, int]:
    return {name: max(len(name), *(len(row[name]) for row in rows)) for name in columns}


def _languages(codes: Sequence[str]) -> str:
    if not codes:
        return "?"
    if codes == ("multilingual",):
        return "many"
    if len(codes) <= 2:
        return ",".join(codes)
    return str(len(codes))


def _tokens(limit: int | None) -> str:
    """Return a limit of tokens; one that is a multiple of 1024 is counted in these."""
    if limit and limit % 1024 == 0:
        return _short(limit, 1024)
    return _short(limit)


def _short(value: int | None, thousand: int = 1000) -> str:
    """Return a number in four characters or so: 23M, 1.5B, 512, 8k."""
    if value is None:
        return "?"
    for size, unit in ((thousand**3, "B"), (thousand**2, "M"), (thousand, "k")):
        if value < size:
            continue
        if value >= 10 * size or unit == "k":
            return f"{value / size:.0f}{unit}"
        return f"{value / size:.1f}{unit}"
    return str(value)


def _wrapped(text: str, width: int) -> list[str]:
    from textwrap import wrap

    return wrap(text, max(40, min(width, 140)), break_long_words=False, break_on_hyphens=False)


def _price(price: ListedPrice | None, *, remote: bool) -> str:
    if price is None:
        return "?" if remote else NOTHING
    if price.vendor:
        return str(price)
    return f"{price}*"
