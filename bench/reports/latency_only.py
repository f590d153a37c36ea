"""Networks that were timed without their weights: what they would take, in a table of their own,
where no quality can stand beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.records.rows import GroupKey, Row, notes_on
from bench.records.run import Run
from bench.reports import numbers, timings

TITLE = "Latency only"
NOTE = "weights: random. No weights were loaded and nothing was scored: no quality is known."


@dataclass(frozen=True)
class Bare:
    """One group's networks: a line of cells for each that was timed, the reasons of those that were
    not, and what to know about all.
    """

    lines: list[dict[str, str]]
    absent: list[str]
    notes: list[str]


def tables(run: Run) -> dict[GroupKey, Bare]:
    """By group; none where the suite names no network without its weights."""
    return {group: _bare(run, members) for group, members in run.architecture_groups.items()}


def _bare(run: Run, members: list[Row]) -> Bare:
    records = [run.architectures[row.trial.id] for row in members if row.status == "done"]
    ways = sorted({str(record.description["identity"].get("lengths")) for record in records})
    counted = (
        f"Tokens {' and '.join(ways)}: the model's own tokenizer may count up to a fifth more or "
        "less."
        if ways
        else ""
    )
    names = {row.trial.id: _name(row) for row in members}
    return Bare(
        lines=[_cells(run, row) for row in members if row.status == "done"],
        absent=[
            f"{_name(row)} {row.status}: {row.reason}" for row in members if row.status != "done"
        ],
        notes=[
            NOTE,
            *([counted] if counted else []),
            *(
                f"{timings.about(about, members, names)}: {note}"
                for about, note in notes_on(members)
            ),
        ],
    )


def _cells(run: Run, row: Row) -> dict[str, str]:
    facts = run.architectures[row.trial.id].description["facts"]
    single, offline = row.single, row.offline
    return {
        "reranker": _name(row),
        "parameters": f"{facts['parameters'] / 1e6:,.0f}M",
        "p50 ms": numbers.milliseconds(single.p50_ms if single else None),
        "p95 ms": numbers.milliseconds(single.p95_ms if single else None),
        "ms/pair": numbers.milliseconds(single.per_pair_ms if single else None),
        "pairs/s": numbers.rate(offline.pairs_per_s if offline else None),
    }


def _name(row: Row) -> str:
    return f"{row.name} ({row.trial.device})"
