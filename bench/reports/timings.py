"""The latency of a group in full, as lines of text for any report: each scenario with its intervals, and where the time goes."""

from __future__ import annotations

from collections.abc import Sequence

from bench.measure.latency_spans import ON_DEVICE
from bench.measure.latency_summary import ONE_QUERY, Summary
from bench.records.table import Row
from bench.reports import numbers

REQUEST_MARK = "ʳ"
"""Beside the latency of a hosted service in a table that holds others' too."""
REQUEST_NOTE = f"{REQUEST_MARK} request: through a network to another machine; not comparable with the rows timed here"
HEAD = ("reranker", "scenario", "queries", "p50 ms", "p95 ms", "ms/pair", "pairs/s")


def one_query(row: Row) -> Summary | None:
    """The row's latency with one query in flight, in whichever scenario it was taken."""
    return row.single or row.request


def marked(row: Row, value: float | None) -> str:
    """Milliseconds for the main table, marked where they are those of a `request`."""
    text = numbers.milliseconds(value)
    return f"{text}{REQUEST_MARK}" if row.request and value is not None else text


def full(members: Sequence[Row], label: dict[str, str]) -> list[Sequence[str]]:
    """A line per trial and scenario, with 95 % intervals; pairs/s with its slowest and fastest round. `label` is by trial id."""
    return [_line(label[row.trial.id], summary) for row in members for summary in row.latency.values()]


def _line(label: str, found: Summary) -> Sequence[str]:
    form = numbers.milliseconds
    is_offline = found.scenario == "offline"
    return (
        label,
        found.scenario,
        numbers.NOTHING if is_offline else str(found.queries),
        numbers.NOTHING if is_offline else numbers.ranged(found.p50_ms, found.p50_low_ms, found.p50_high_ms, form),
        numbers.ranged(found.p95_ms, found.p95_low_ms, found.p95_high_ms, form),
        numbers.ranged(found.per_pair_ms, found.per_pair_low_ms, found.per_pair_high_ms, form),
        numbers.ranged(found.pairs_per_s, found.pairs_per_s_low, found.pairs_per_s_high, numbers.rate),
    )


def parts(members: Sequence[Row], label: dict[str, str]) -> list[Sequence[str]]:
    """Header and lines of where the time of one call goes: median milliseconds and share of each part; empty where nothing was split."""
    found = [(row, scenario, pieces) for row in members for scenario, pieces in row.parts.items()]
    names = list(dict.fromkeys(name for _, _, pieces in found for name in pieces))
    lines: list[Sequence[str]] = [("reranker", "scenario", *names)] if found else []
    for row, scenario, pieces in found:
        whole = sum(value for name, value in pieces.items() if name != ON_DEVICE)
        lines.append((label[row.trial.id], scenario, *(_part(pieces.get(name), whole) for name in names)))
    return lines


def _part(value: float | None, whole: float) -> str:
    return f"{numbers.milliseconds(value)} ({value / whole:.0%})" if value is not None and whole else numbers.NOTHING


def has_requests(members: Sequence[Row]) -> bool:
    return any(row.request for row in members)


def is_plain(members: Sequence[Row]) -> bool:
    """Whether the main table already shows every scenario that was timed, if without intervals."""
    return all(scenario in (*ONE_QUERY, "offline") for row in members for scenario in row.latency)
