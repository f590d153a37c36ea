"""The main table of a group as cells: a value as it is written, what it sorts by, what stands small
beneath it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bench.latency.columns import P50
from bench.quality import statistics
from bench.quality.measures import JUDGED
from bench.records.rows import Row, measures_of, notes_on
from bench.reports import numbers, timings
from bench.reports.cells import COST, DELTA, FAILED
from bench.reports.html.svg import Mark
from bench.reports.summary import ALPHA, name_of


@dataclass(frozen=True)
class Cell:
    """`sort` is None where there is no value: such rows stay last, whatever the order. `mark` is
    better, worse, same or nothing; `reason` explains what is below.
    """

    text: str = numbers.NOTHING
    sort: float | None = None
    below: str = ""
    mark: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Line:
    """A row of the table. `notes` are numbers of the group's notes."""

    row: Row
    mark: Mark | None
    cells: Mapping[str, Cell]
    notes: Sequence[int] = ()


@dataclass(frozen=True)
class Grid:
    """Columns are (heading, what it is: shown on pointing at it); lines come in the suite's order,
    those without results last.
    """

    columns: Sequence[tuple[str, str]]
    lines: Sequence[Line]
    absent: Sequence[Row]
    notes: Sequence[str] = field(default_factory=tuple)


MEANINGS = {
    DELTA: "mean paired difference to the first stage, with its 95 % interval",
    "p": "two-sided permutation test of that difference, uncorrected",
    JUDGED: "share of the top 10 that has a judgment",
    "p50 ms": "median latency of one query, with its 95 % interval",
    "p95 ms": "95th percentile of the latency of one query; withheld below 59 distinct queries",
    "ms/pair": "latency of one query divided by its candidates, amortised",
    "pairs/s": "throughput: all pairs of the sample in one call",
    COST: "US dollars for 1,000 queries at the recorded price",
    FAILED: "share of queries whose call failed: they score 0",
}


def grid(members: Sequence[Row], marks: Mapping[str, Mark]) -> Grid:
    """The table of one group. Columns in which no row has a value are left out."""
    done = [row for row in members if row.status == "done"]
    better = significance(done, next(iter(measures_of(members)), ""))
    notes = notes_on(done)
    lines = []
    for row in done:
        cells = dict(_cells(row, members, better.get(row.trial.id, "")))
        mine = [i for i, (about, _) in enumerate(notes, 1) if row in about]
        lines.append(Line(row, marks.get(row.trial.id), cells, mine))
    held = {name for line in lines for name, cell in line.cells.items() if cell.sort is not None}
    if not any(row.failed or row.request or row.cost for row in done):
        held.discard(FAILED)  # what runs here and never failed needs no column to say so
    headings = dict.fromkeys(name for line in lines for name in line.cells)
    columns = [
        (name, MEANINGS.get(name, "mean over queries, with its 95 % interval"))
        for name in headings
        if name in held
    ]
    labels = {row.trial.id: name_of(row) for row in done}
    told = [f"{timings.about(who, done, labels)}: {note}" for who, note in notes]
    if timings.has_requests(done):
        told.append(timings.REQUEST_NOTE)
    return Grid(columns, lines, [row for row in members if row.status != "done"], told)


def significance(done: Sequence[Row], measure: str) -> dict[str, str]:
    """trial id -> better or worse, where the difference of a reranker to the first stage is
    significant at 5 %, Holm-corrected for all of the group's; "same" where it is not.
    """
    tested = [row for row in done if row.trial.kind == "reranker" and measure in row.differences]
    corrected = statistics.holm([row.differences[measure].p for row in tested])
    return {
        row.trial.id: "same"
        if p >= ALPHA
        else "better"
        if row.differences[measure].mean > 0
        else "worse"
        for row, p in zip(tested, corrected, strict=True)
    }


def _cells(row: Row, members: Sequence[Row], mark: str) -> Iterator[tuple[str, Cell]]:
    lead, *others = measures_of(members) or [""]
    if lead:
        yield lead, _quality(row, lead)
    delta = row.differences.get(lead)
    change = (
        Cell(numbers.change(delta), delta.mean, f"[{delta.low:+.3f}, {delta.high:+.3f}]", mark)
        if delta
        else Cell()
    )
    yield DELTA, change
    yield "p", Cell(numbers.p_value(delta.p), delta.p) if delta else Cell()
    for name in others:
        yield name, _quality(row, name)
    judged = row.quality.get(JUDGED)
    if JUDGED not in (lead, *others):
        yield JUDGED, Cell(f"{judged.mean:.2f}", judged.mean) if judged else Cell()
    yield from _speed(row)
    yield (
        FAILED,
        Cell(numbers.share(row.failed), row.failed) if row.trial.kind != "reference" else Cell(),
    )
    cost = row.cost
    yield (
        COST,
        Cell(
            numbers.dollars(cost.usd_per_1000_queries),
            cost.usd_per_1000_queries,
            f"as of {cost.as_of}",
        )
        if cost
        else Cell(),
    )


def _quality(row: Row, name: str) -> Cell:
    found = row.quality.get(name)
    return (
        Cell(numbers.quality(found.mean), found.mean, numbers.interval(found)) if found else Cell()
    )


def _speed(row: Row) -> Iterator[tuple[str, Cell]]:
    single, offline = timings.one_query(row), row.offline
    shown = numbers.milliseconds
    if single:
        _, low, high = single.of(P50)
        interval = f"[{shown(low)}, {shown(high)}]"
        yield "p50 ms", Cell(timings.marked(row, single.p50_ms), single.p50_ms, interval)
        yield "p95 ms", Cell(timings.marked(row, single.p95_ms), single.p95_ms)
        yield "ms/pair", Cell(timings.marked(row, single.per_pair_ms), single.per_pair_ms)
    else:
        yield from ((name, Cell()) for name in ("p50 ms", "p95 ms", "ms/pair"))
    rate = offline.pairs_per_s if offline else None
    yield "pairs/s", Cell(numbers.rate(rate), rate)
