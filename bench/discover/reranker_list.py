"""`list rerankers`: the catalogue by backend, in as many columns as the terminal has room for.

What does not fit is not lost: in a narrow terminal, a column that says the same in every row of a
group stands in the group's heading.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence

from bench.catalogue import entries as catalogue
from bench.catalogue.entries import ListedPrice
from bench.core.errors import BenchError, nearest
from bench.discover.needs import by_backend, needs
from bench.rerankers import TABLE

UNLIMITED = 1000
NOTHING = "–"
LEGEND = (
    "needs: local, demo, api are extras: pip install 'rerank-bench[local]'; hub: weights from "
    "the model hub; code: trust_remote_code must "
    "be set; GPU: advised",
    "here: ready, fetch (a run would download the weights; the hub was not asked), or what is "
    "missing",
    "price: as of the day that `show reranker NAME` tells, * not from the vendor's own page, ? "
    "where no public one was found",
)

Cells = Mapping[str, str]


def lines(backend: str | None = None, width: int | None = None) -> Iterator[str]:
    """The list as text. Raises BenchError for a backend that the catalogue does not name."""
    groups = {name: {entry: _cells(entry) for entry in entries} for name, entries in by_backend()}
    if backend is not None and backend not in groups:
        raise BenchError(
            f"no entry of the catalogue has the backend '{backend}': {nearest(backend, groups)}"
        )
    shown = {name: rows for name, rows in groups.items() if backend in (None, name)}
    width = width or shutil.get_terminal_size((UNLIMITED, 24)).columns
    every = [row for rows in shown.values() for row in rows.values()]
    columns = _filled(every)
    widths = _widths(columns, every)
    if sum(widths.values()) + 2 * len(widths) > width:
        columns = [name for name in columns if name != "MODEL"]
    is_wide = sum(widths[name] for name in columns) + 2 * len(columns) <= width
    for name, rows in shown.items():
        yield from _wide(name, rows, columns, widths) if is_wide else _narrow(name, rows, width)
        yield ""
    yield from _wrapped(
        f"{len(every)} rerankers over {len(shown)} backend{'s'[: len(shown) - 1]}; a suite names "
        "them by NAME",
        width,
    )
    yield from (line for text in LEGEND for line in _wrapped(text, width))
    if backend is None:
        others = [name for name in TABLE if name not in groups]
        yield from _wrapped(
            f"also: {', '.join(others)}, any backend with options of your own, "
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
        "TOKENS": _short(
            facts.max_length, 1024 if facts.max_length and facts.max_length % 1024 == 0 else 1000
        ),
        "LANG": _languages(facts.languages),
        "LICENCE": facts.licence,
        "PRICE": _price(facts.price, remote=needed.is_remote),
        "NEEDS": " ".join(needed.titles),
        "HERE": needed.state,
        "MODEL": str(entry.options.get("model", "")),
    }


def _wide(
    backend: str, rows: Mapping[str, Cells], columns: Sequence[str], widths: Mapping[str, int]
) -> Iterator[str]:
    yield backend
    yield _line({name: name for name in columns}, columns, widths)
    yield from (_line(row, columns, widths) for row in rows.values())


def _narrow(backend: str, rows: Mapping[str, Cells], width: int) -> Iterator[str]:
    cells = list(rows.values())
    columns = [name for name in _filled(cells) if name != "MODEL"]
    common = [name for name in columns if name != "NAME" and len({row[name] for row in cells}) == 1]
    told = ", ".join(f"{name.lower()} {cells[0][name]}" for name in common)
    yield from _wrapped(f"{backend}: {told}" if told else backend, width)
    own = [name for name in columns if name not in common]
    widths = _widths(own, cells)
    if len(own) > 1:
        yield _line({name: name for name in own}, own, widths)
    yield from (_line(row, own, widths) for row in cells)


def _line(row: Cells, columns: Sequence[str], widths: Mapping[str, int]) -> str:
    right = ("SIZE", "TOKENS")
    return "  ".join(
        row[name].rjust(widths[name]) if name in right else row[name].ljust(widths[name])
        for name in columns
    ).rstrip()


def _filled(rows: Sequence[Cells]) -> list[str]:
    """The columns in which some row says something."""
    return [name for name in rows[0] if any(row[name] not in (NOTHING, "") for row in rows)]


def _widths(columns: Sequence[str], rows: Sequence[Cells]) -> dict[str, int]:
    return {name: max(len(name), *(len(row[name]) for row in rows)) for name in columns}


def _languages(codes: Sequence[str]) -> str:
    if not codes:
        return "?"
    return (
        "many"
        if codes == ("multilingual",)
        else ",".join(codes)
        if len(codes) <= 2
        else str(len(codes))
    )


def _short(value: int | None, thousand: int = 1000) -> str:
    """A number in four characters or so: 23M, 1.5B, 512, 8k."""
    if value is None:
        return "?"
    for size, unit in ((thousand**3, "B"), (thousand**2, "M"), (thousand, "k")):
        if value >= size:
            return (
                f"{value / size:.0f}{unit}"
                if value >= 10 * size or unit == "k"
                else f"{value / size:.1f}{unit}"
            )
    return str(value)


def _wrapped(text: str, width: int) -> list[str]:
    from textwrap import wrap

    return wrap(text, max(40, min(width, 140)), break_long_words=False, break_on_hyphens=False)


def _price(price: ListedPrice | None, *, remote: bool) -> str:
    if price is None:
        return "?" if remote else NOTHING
    return str(price) if price.vendor else f"{price}*"
