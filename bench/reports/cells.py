"""A row of the main table as text: one set of columns for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from bench.quality.measures import JUDGED
from bench.records.rows import Row
from bench.reports import numbers, timings

DELTA = "Δ first"
LATENCY = ("p50 ms", "p95 ms", "ms/pair", "pairs/s")
FAILED, COST = "failed", "$/1k queries"


def columns(members: Sequence[Row], measures: Sequence[str]) -> list[str]:
    """The columns of one group's table: latency, failures and money only where some row has them to
    show.
    """
    shown = [*measures[:1], "95 %", DELTA, "p", *measures[1:], JUDGED]
    shown += LATENCY if any(row.latency for row in members) else ()
    shown += [FAILED] if any(row.failed for row in members) else []
    return shown + ([COST] if any(row.cost for row in members) else [])


def cells(row: Row, measures: Sequence[str]) -> dict[str, str]:
    """Column -> text, for a row that is done."""
    lead = row.quality.get(measures[0]) if measures else None
    delta = row.differences.get(measures[0]) if measures else None
    single, offline = timings.one_query(row), row.offline
    return {
        **{
            name: numbers.quality(row.quality[name].mean)
            if name in row.quality
            else numbers.NOTHING
            for name in measures
        },
        "95 %": numbers.interval(lead) if lead else numbers.NOTHING,
        DELTA: numbers.change(delta) if delta else numbers.NOTHING,
        "p": numbers.p_value(delta.p) if delta else numbers.NOTHING,
        JUDGED: f"{row.quality[JUDGED].mean:.2f}" if JUDGED in row.quality else numbers.NOTHING,
        "p50 ms": timings.marked(row, single.p50_ms if single else None),
        "p95 ms": timings.marked(row, single.p95_ms if single else None),
        "ms/pair": timings.marked(row, single.per_pair_ms if single else None),
        "pairs/s": numbers.rate(offline.pairs_per_s if offline else None),
        FAILED: numbers.share(row.failed),
        COST: numbers.dollars(row.cost.usd_per_1000_queries if row.cost else None),
    }
