"""A group's faster ways as lines of text for any report: how much faster each is, and what it does
to scores and order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.comparison.agreement import Agreement
from bench.comparison.pairs import Side
from bench.latency.sweep_plan import SETTINGS
from bench.records.rows import Row
from bench.reports import numbers
from bench.reports.settings import LEGEND, short
from bench.reports.timings import one_query

TITLE = f"The same model run in other ways: speed and scores against torch in float32 ({LEGEND})."


def head(found: Sequence[Agreement]) -> Sequence[str]:
    return (
        "reranker",
        "runs as",
        "p50",
        "pairs/s",
        "max Δ",
        "tau",
        "top 10",
        f"Δ {found[0].measure}",
    )


def lines(found: Sequence[Agreement], members: Sequence[Row]) -> list[Sequence[str]]:
    """A line per row: its speed as a multiple of the plain row's, where both were timed, then the
    agreement.
    """
    rows = {row.trial.id: row for row in members}
    return [_line(one, rows[one.new.trial.id], rows[one.plain.trial.id]) for one in found]


def way(side: Side, plain: Side) -> str:
    """In what a row differs from its plain one, in a few characters."""
    ours, theirs = _settings(side), _settings(plain)
    told = [short(ours, [ours, theirs])]
    told += ["compiled"] if side.record.identity.arithmetic.compile else []
    told += [side.trial.device] if side.trial.device != plain.trial.device else []
    return " ".join(told)


def _line(one: Agreement, row: Row, plain: Row) -> Sequence[str]:
    single, plain_single = one_query(row), one_query(plain)
    return (
        row.name,
        way(one.new, one.plain),
        _times(plain_single.p50_ms if plain_single else None, single.p50_ms if single else None),
        _times(
            row.offline.pairs_per_s if row.offline else None,
            plain.offline.pairs_per_s if plain.offline else None,
        ),
        f"{one.drift.max_difference:.1e}",
        f"{one.drift.tau:.4f}",
        f"{one.drift.overlap:.3f}",
        f"{one.change:+.4f}",
    )


def _times(more: float | None, less: float | None) -> str:
    return f"{more / less:.2f}x" if more and less else numbers.NOTHING


def _settings(side: Side) -> dict[str, Any]:
    arithmetic = side.record.identity.arithmetic
    known = {
        **side.record.description.get("facts", {}),
        "runtime": arithmetic.runtime_name,
        "dtype": arithmetic.dtype,
    }
    return {name: known.get(name) for name in SETTINGS}
