"""The main table of each group: quality, difference to the first stage, speed, failures, cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from bench.core.counting import counted
from bench.latency.columns import P50
from bench.quality.measures import JUDGED
from bench.records import rows as records
from bench.records.rows import GroupKey, headline_of, measures_of
from bench.reports import cells
from bench.reports.cells import REQUEST_MARK, Badge, Cell
from bench.reports.document import (
    Block,
    Column,
    Heading,
    Note,
    Paragraph,
    Row,
    Section,
    Table,
    by_reason,
)
from bench.reports.findings import one_query, significance
from bench.reports.names import about, at_odds, device_of, name_of
from bench.reports.view import View, absent_of
from bench.reports.wording import notes_on

DELTA = "Δ first"
FAILED, COST = "failed", "$/1k queries"
REQUEST_NOTE = (
    f"{REQUEST_MARK} request: through a network to another machine; not comparable "
    "with the rows timed here"
)
WITHHELD = "too few distinct queries to show this percentile"


def results(view: View) -> Section:
    """Return every group's table, with what to know about it below."""
    shared = _shared(view)
    blocks: list[Block] = []
    for i, (group, members) in enumerate(view.groups.items(), 1):
        measure = view.measure(group)
        queries = next((row.quality[measure].n for row in members if measure in row.quality), 0)
        blocks.append(Heading(view.title(group), counted(queries, "query") if queries else ""))
        reasons = _reasons_of_all(members)
        blocks += [Paragraph((reason,)) for reason in reasons]
        if not reasons:
            blocks.append(table(view, group, f"g{i}", shared))
    return Section("results", "Results", blocks, titled=False)


def table(view: View, group: GroupKey, key: str, shared: frozenset[str] = frozenset()) -> Table:
    """Return the main table of a group."""
    members = view.groups[group]
    measures = measures_of(members)
    done = [row for row in members if row.status == "done"]
    finding = next(finding for finding in view.findings if finding.group == group)
    badges = significance(done, view.measure(group))
    best = {row.trial.id for row in finding.equals}
    remarks, notes = _remarks(done), _notes(done, shared)
    rows = []
    for row in done:
        numbers = [i for i, (whom, _) in enumerate(remarks, 1) if row in whom]
        rows.append(
            Row(
                row.name,
                _cells(row, measures, badges),
                device_of(row.trial),
                row.trial.kind,
                view.marks.get(row.trial.id),
                row.trial.id in best,
                numbers,
                row.trial.id,
            )
        )
    return Table(
        "reranker",
        columns(done, measures),
        rows,
        f"results on {view.title(group)}",
        absent_of(members),
        notes,
        key,
        "main",
        sortable=True,
    )


def columns(members: Sequence[records.Row], measures: Sequence[str]) -> list[Column]:
    """Return the columns of a group's table: latency, failures and money only where a row has
    them.
    """
    shown = [_lead(measures[0])] if measures else []
    shown += [_DELTA, _P]
    if any(row.failed for row in members):
        shown.append(_FAILED)
    for i, name in enumerate(measures[1:]):
        meaning = "mean over queries, with its 95 % interval"
        priority = 4 if i else 2
        shown.append(Column(name, name, meaning, better="higher", priority=priority))
    if JUDGED not in measures:
        shown.append(_JUDGED)
    if any(row.latency for row in members):
        shown += LATENCY
    if any(row.cost for row in members):
        shown.append(_COST)
    return shown


def _lead(name: str) -> Column:
    meaning = "mean over queries, with its 95 % interval"
    return Column(name, name, meaning, better="higher", priority=0, interval="own")


_DELTA = Column(
    DELTA,
    DELTA,
    "mean paired difference to the first stage, with its 95 % interval",
    better="higher",
    priority=1,
    interval="comment",
)
_P = Column("p", "p", "two-sided permutation test of that difference, uncorrected", better="lower")
_JUDGED = Column(
    JUDGED,
    JUDGED,
    "share of the top 10 that has a judgment",
    better="higher",
    priority=6,
    detail=True,
)
LATENCY = (
    Column(
        "p50 ms",
        "p50 ms",
        "median latency of one query, with its 95 % interval",
        better="lower",
        priority=3,
    ),
    Column(
        "p95 ms",
        "p95 ms",
        "95th percentile of the latency of one query; withheld below 59 distinct queries",
        better="lower",
        priority=3,
    ),
    Column(
        "ms/pair",
        "ms/pair",
        "latency of one query divided by its candidates, amortised",
        better="lower",
        priority=6,
        detail=True,
    ),
    Column(
        "pairs/s",
        "pairs/s",
        "throughput: all pairs of the sample in one call",
        better="higher",
        priority=3,
    ),
)
_FAILED = Column(
    FAILED,
    FAILED,
    "share of queries whose call failed: they score 0",
    better="lower",
    priority=1,
)
_COST = Column(
    COST,
    COST,
    "US dollars for 1,000 queries at the recorded price",
    better="lower",
    priority=4,
)
MEANINGS = {
    column.title: column.meaning for column in (_DELTA, _P, _JUDGED, *LATENCY, _COST, _FAILED)
}


def latency_cells(row: records.Row) -> dict[str, Cell]:
    """Return the cells of `LATENCY`."""
    single, hosted = one_query(row), row.query_elsewhere is not None
    rate = row.throughput.pairs_per_s if row.throughput else None
    if single is None:
        return {"pairs/s": cells.rate(rate)}
    _, low, high = single.of(P50)
    return {
        "p50 ms": cells.duration(single.p50_ms, low, high, hosted=hosted),
        "p95 ms": cells.duration(single.p95_ms, hosted=hosted, reason=WITHHELD),
        "ms/pair": cells.duration(single.per_pair_ms, hosted=hosted),
        "pairs/s": cells.rate(rate),
    }


def _cells(
    row: records.Row, measures: Sequence[str], badges: Mapping[str, Badge]
) -> dict[str, Cell]:
    found = {name: cells.measure(row.quality.get(name)) for name in measures}
    delta = row.differences.get(measures[0]) if measures else None
    found[DELTA] = cells.delta(delta, badges.get(row.trial.id, ""))
    found["p"] = cells.p(delta.p if delta else None)
    if JUDGED not in measures:
        found[JUDGED] = cells.judged(row.quality.get(JUDGED))
    if row.trial.kind != "reference":
        found[FAILED] = cells.share(row.failed)
    if row.cost:
        found[COST] = cells.money(row.cost.usd_per_1000_queries, f"as of {row.cost.as_of}")
    return found | latency_cells(row)


def _notes(done: Sequence[records.Row], shared: frozenset[str]) -> list[Note]:
    labels = {row.trial.id: name_of(row.trial) for row in done}
    notes = []
    for whom, text in _remarks(done):
        note = Note(about(whom, done, labels), text)
        notes.append(Note(note.about, text, note.full in shared))
    if any(row.query_elsewhere for row in done):
        notes.append(Note("", REQUEST_NOTE))
    return notes


def _remarks(done: Sequence[records.Row]) -> list[tuple[Sequence[records.Row], str]]:
    """Return the rows' notes with the rows that each is about, and what the table's intervals and
    p say differently.
    """
    measure = headline_of(done)
    deltas = [(row, row.differences[measure]) for row in done if measure in row.differences]
    odd = [(row, delta) for row, delta in deltas if delta.is_at_odds]
    remarks = notes_on(done)
    if text := at_odds([delta for _, delta in odd]):
        remarks.append(([row for row, _ in odd], text))
    return remarks


def _shared(view: View) -> frozenset[str]:
    return frozenset(shared_notes(view))


def shared_notes(view: View) -> dict[str, int]:
    """Return the notes that are the same under several tables, and under how many."""
    tables = Counter[str]()
    for members in view.groups.values():
        done = [row for row in members if row.status == "done"]
        tables.update({note.full for note in _notes(done, frozenset())} - {REQUEST_NOTE})
    return {text: count for text, count in tables.items() if count > 1}


def _reasons_of_all(members: Sequence[records.Row]) -> list[str]:
    """Return why a whole group failed, its first stage's own row among it; nothing where some of it
    ran.
    """
    if any(row.status == "done" for row in members):
        return []
    reasons = by_reason(absent_of(members), "failed")
    if len(reasons) == 1:
        return [f"failed: {reason}" for reason in reasons]
    return [f"{', '.join(names)} failed: {reason}" for reason, names in reasons.items()]
