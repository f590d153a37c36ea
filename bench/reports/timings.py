"""The latency of a group in full, as lines of text for any report: each scenario with its
intervals, and where the time goes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.latency.spans import ON_DEVICE
from bench.latency.summary import COLD, ONE_QUERY, Summary
from bench.records.rows import Row
from bench.reports import numbers

REQUEST_MARK = "ʳ"
"""Beside the latency of a hosted service in a table that holds others' too."""
REQUEST_NOTE = (
    f"{REQUEST_MARK} request: through a network to another machine; not comparable "
    "with the rows timed here"
)
HEAD = ("reranker", "scenario", "queries", "p50 ms", "p95 ms", "ms/pair", "pairs/s")
ENERGY = "J/1k pairs"
KINDS = ("single", "request", COLD, "server")
"""The scenarios that are told in parts, in the order in which they are shown."""


def one_query(row: Row) -> Summary | None:
    """The row's latency with one query in flight, in whichever scenario it was taken."""
    return row.single or row.request


def marked(row: Row, value: float | None) -> str:
    """Milliseconds for the main table, marked where they are those of a `request`."""
    text = numbers.milliseconds(value)
    return f"{text}{REQUEST_MARK}" if row.request and value is not None else text


def full(members: Sequence[Row], label: Mapping[str, str]) -> list[Sequence[str]]:
    """Header and a line per trial and scenario, with 95 % intervals; pairs/s with its slowest and
    fastest round; energy where a GPU tells.

    `label` is by trial id. Empty where nothing was timed.
    """
    lines: list[Sequence[str]] = []
    has_energy = any(_joules(row) is not None for row in members)
    for row in members:
        for summary in row.latency.values():
            energy = numbers.rate(_joules(row) if summary.scenario == "offline" else None)
            lines.append(
                (
                    *_line(label[row.trial.id], summary, _load(row, summary.scenario)),
                    *([energy] if has_energy else []),
                )
            )
    return [(*HEAD, *([ENERGY] if has_energy else [])), *lines] if lines else []


def _joules(row: Row) -> float | None:
    found: float | None = row.timing.get("joules_per_1000_pairs")
    return found


def _load(row: Row, scenario: str) -> Mapping[str, Any]:
    """What the record tells of a rate of `server`."""
    loads = (row.timing.get("server") or {}).get("loads", [])
    return next((load for load in loads if load["scenario"] == scenario), {})


def _line(label: str, found: Summary, load: Mapping[str, Any]) -> Sequence[str]:
    """Percentiles of an overloaded server are left out: they would tell how long it was
    measured.
    """
    form = numbers.milliseconds
    scenario = f"{found.scenario}, {load['utilisation']:.0%} load" if load else found.scenario
    p50, p95 = (
        numbers.ranged(value, low, high, form)
        for value, low, high in (
            (found.p50_ms, found.p50_low_ms, found.p50_high_ms),
            (found.p95_ms, found.p95_low_ms, found.p95_high_ms),
        )
    )
    if load.get("overloaded"):
        p50, p95 = "overloaded", numbers.NOTHING
    is_offline = found.scenario == "offline"
    counted = (
        f"{found.samples} run{'s' * (found.samples > 1)}"
        if found.scenario == COLD
        else str(found.queries)
    )
    return (
        label,
        scenario,
        numbers.NOTHING if is_offline else counted,
        numbers.NOTHING if is_offline else p50,
        p95,
        numbers.ranged(found.per_pair_ms, found.per_pair_low_ms, found.per_pair_high_ms, form),
        numbers.ranged(
            found.pairs_per_s, found.pairs_per_s_low, found.pairs_per_s_high, numbers.rate
        ),
    )


def about(rows: Sequence[Row], members: Sequence[Row], label: Mapping[str, str]) -> str:
    """Whom a note is about: the rows by name, or all that were timed."""
    timed = [row for row in members if row.latency]
    return (
        "every timed row"
        if len(timed) > 1 and list(rows) == timed
        else ", ".join(label[row.trial.id] for row in rows)
    )


def parts(members: Sequence[Row], label: Mapping[str, str]) -> list[list[Sequence[str]]]:
    """Tables of where the time of a call goes, header first: median milliseconds and share of each
    part, a table per kind of scenario.

    That of `cold` ends with the memory of a process that holds nothing but this reranker.
    """
    tables: dict[str, list[tuple[Row, str, Mapping[str, float]]]] = {}
    for row in members:
        for scenario, pieces in row.parts.items():
            tables.setdefault(scenario.partition(" ")[0], []).append((row, scenario, pieces))
    return [
        _parts(kind, found, label)
        for kind, found in sorted(
            tables.items(), key=lambda one: KINDS.index(one[0]) if one[0] in KINDS else len(KINDS)
        )
    ]


def _parts(
    kind: str, found: Sequence[tuple[Row, str, Mapping[str, float]]], label: Mapping[str, str]
) -> list[Sequence[str]]:
    names = list(dict.fromkeys(name for _, _, pieces in found for name in pieces))
    is_cold = kind == COLD
    lines: list[Sequence[str]] = [
        ("reranker", "scenario", *names, *(["memory"] if is_cold else []))
    ]
    for row, scenario, pieces in found:
        whole = sum(value for name, value in pieces.items() if name != ON_DEVICE)
        memory = [_gib((row.timing.get("cold") or {}).get("peak_rss_bytes"))] if is_cold else []
        lines.append(
            (
                label[row.trial.id],
                scenario,
                *(_part(pieces.get(name), whole) for name in names),
                *memory,
            )
        )
    return lines


def _part(value: float | None, whole: float) -> str:
    return (
        f"{numbers.milliseconds(value)} ({value / whole:.0%})"
        if value is not None and whole
        else numbers.NOTHING
    )


def _gib(size: int | None) -> str:
    return f"{size / (1 << 30):.2f} GiB" if size else numbers.NOTHING


def has_requests(members: Sequence[Row]) -> bool:
    return any(row.request for row in members)


def is_plain(members: Sequence[Row]) -> bool:
    """Whether the main table already shows every scenario that was timed, if without intervals."""
    return all(scenario in (*ONE_QUERY, "offline") for row in members for scenario in row.latency)
