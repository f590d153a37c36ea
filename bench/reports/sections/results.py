"""The main table of each group: quality, difference to the first stage, speed, failures, cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from bench.core.counting import counted
from bench.latency.columns import P50
from bench.quality.measures import JUDGED
from bench.records import rows as records
from bench.records.rows import GroupKey, headline_of, measures_of
from bench.reports import cells
from bench.reports.cells import REQUEST_MARK, Badge, Cell
from bench.reports.document import (
    Better,
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
from bench.reports.findings import one_query, pairs_per_s
from bench.reports.names import about, at_odds, device_of, name_of
from bench.reports.view import View, absent_of, is_pending
from bench.reports.wording import notes_on

REQUEST_NOTE = (
    f"{REQUEST_MARK} request: through a network to another machine; not comparable "
    "with the rows timed here"
)
WITHHELD = "too few distinct queries to show this percentile"
MEAN = "mean over queries, with its 95 % interval"


def _column(
    title: str,
    meaning: str,
    priority: int,
    better: Better = "lower",
    interval: Literal["comment", "page"] = "page",
    detail: bool = False,
) -> Column:
    return Column(title, title, meaning, "right", better, priority, interval, detail)


P50_TITLE, P95_TITLE, PER_PAIR, RATE = "p50 ms", "p95 ms", "ms/pair", "pairs/s"
DELTA, P, FAILED, COST = "Δ first", "p", "failed", "$/1k queries"
_DELTA = _column(
    DELTA,
    "mean paired difference to the first stage, with its 95 % interval",
    1,
    "higher",
    "comment",
)
_P = _column(P, "two-sided permutation test of that difference, uncorrected", 5)
_JUDGED = _column(JUDGED, "share of the top 10 that has a judgment", 6, "higher", detail=True)
LATENCY = (
    _column(P50_TITLE, "median latency of one query, with its 95 % interval", 3),
    _column(
        P95_TITLE,
        "95th percentile of the latency of one query; withheld below 59 distinct queries",
        3,
    ),
    _column(PER_PAIR, "latency of one query divided by its candidates, amortised", 6, detail=True),
    _column(RATE, "throughput: all pairs of the sample in one call", 3, "higher"),
)
_FAILED = _column(FAILED, "share of queries whose call failed: they score 0", 1)
_COST = _column(COST, "US dollars for 1,000 queries at the recorded price", 4)
MEANINGS = {
    column.title: column.meaning for column in (_DELTA, _P, _JUDGED, *LATENCY, _COST, _FAILED)
}


def results(view: View) -> Section:
    """Return every group's table, with what to know about it below."""
    shared = frozenset(shared_notes(view))
    blocks: list[Block] = []
    for i, (group, members) in enumerate(view.groups.items(), 1):
        measure = view.measure(group)
        numbers = [row.quality[measure].n for row in members if measure in row.quality]
        detail = counted(numbers[0], "query") if numbers else ""
        blocks.append(Heading(view.title(group), detail))
        reasons = _reasons_of_all(members)
        blocks += [Paragraph((reason,)) for reason in reasons]
        # rows that were skipped are known before a group is reached
        if not reasons or is_pending(members):
            blocks.append(table(view, group, f"g{i}", shared))
    return Section("results", "Results", blocks, titled=False)


def table(view: View, group: GroupKey, key: str, shared: frozenset[str] = frozenset()) -> Table:
    """Return the main table of a group."""
    members = view.groups[group]
    measures = measures_of(members)
    done = [row for row in members if row.status == "done"]
    finding = next(finding for finding in view.findings if finding.group == group)
    badges = finding.badges
    best = {row.trial.id for row in finding.equals}
    remarks = _remarks(done)
    rows = []
    for row in done:
        trial = row.trial
        numbers = [i for i, (about_rows, _) in enumerate(remarks, 1) if row in about_rows]
        line = Row(
            row.name,
            row_cells(row, measures, badges),
            device_of(trial),
            trial.kind,
            view.marks.get(trial.id),
            best=trial.id in best,
            notes=numbers,
            id=trial.id,
        )
        rows.append(line)
    return Table(
        "reranker",
        _columns(done, measures),
        rows,
        f"results on {view.title(group)}",
        absent_of(members),
        _notes(done, shared),
        key,
        "main",
        sortable=True,
    )


def latency_cells(row: records.Row) -> dict[str, Cell]:
    """Return the cells of `LATENCY`."""
    by_column = {RATE: cells.rate(pairs_per_s(row))}
    single, hosted = one_query(row), row.query_elsewhere is not None
    if single:
        _, low, high = single.of(P50)
        by_column[P50_TITLE] = cells.duration(single.p50_ms, low, high, hosted=hosted)
        by_column[P95_TITLE] = cells.duration(single.p95_ms, hosted=hosted)
        if single.p95_ms is None:
            by_column[P95_TITLE] = cells.missing(WITHHELD, "withheld")
        by_column[PER_PAIR] = cells.duration(single.per_pair_ms, hosted=hosted)
    return by_column


def shared_notes(view: View) -> dict[str, int]:
    """Return the notes that are the same under several tables, and under how many."""
    tables = Counter[str]()
    for members in view.groups.values():
        done = [row for row in members if row.status == "done"]
        tables.update({note.full for note in _notes(done, frozenset())} - {REQUEST_NOTE})
    return {text: count for text, count in tables.items() if count > 1}


def _columns(members: Sequence[records.Row], measures: Sequence[str]) -> list[Column]:
    """Return the columns of a group's table: latency, failures and money only where a row has
    them.
    """
    columns = [_DELTA, _P] if measures else []
    if any(row.failed for row in members):
        columns.append(_FAILED)
    if measures:
        lead = measures[0]
        columns.insert(0, Column(lead, lead, MEAN, better="higher", priority=0, interval="own"))
    for priority, name in zip((2, *[4] * len(measures)), measures[1:], strict=False):
        columns.append(_column(name, MEAN, priority, "higher"))
    if measures and JUDGED not in measures:
        columns.append(_JUDGED)
    if any(row.latency for row in members):
        columns += LATENCY
    if any(row.cost for row in members):
        columns.append(_COST)
    if not columns:
        # of rows that are ranked and not measured
        columns.append(_JUDGED)
    return columns


def row_cells(
    row: records.Row, measures: Sequence[str], badges: Mapping[str, Badge]
) -> dict[str, Cell]:
    """Return the cells of a row of the main table, by the titles of their columns."""
    by_column: dict[str, Cell] = {}
    for name in measures:
        by_column[name] = cells.seen(cells.measure(row.quality.get(name)), row.seen)
    delta = row.differences.get(measures[0]) if measures else None
    if delta:
        by_column[DELTA] = cells.delta(delta, badges.get(row.trial.id, ""))
        by_column[P] = cells.p(delta.p)
    if JUDGED not in measures and JUDGED in row.quality:
        # Two digits: it is a share that no decision hangs on.
        judged = row.quality[JUDGED].mean
        by_column[JUDGED] = cells.number("measure", "{:.2f}".format, judged)
    if row.trial.kind != "reference":
        by_column[FAILED] = cells.share(row.failed)
    if row.cost:
        by_column[COST] = cells.money(row.cost.usd_per_1000_queries, f"as of {row.cost.as_of}")
    return by_column | latency_cells(row)


def _notes(done: Sequence[records.Row], shared: frozenset[str]) -> list[Note]:
    labels = {row.trial.id: name_of(row.trial) for row in done}
    notes = []
    for rows, text in _remarks(done):
        note = Note(about(rows, done, labels), text)
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
    odd = [row for row, delta in deltas if delta.is_at_odds]
    remarks = notes_on(done)
    if text := at_odds([delta for _, delta in deltas]):
        remarks.append((odd, text))
    return remarks


def _reasons_of_all(members: Sequence[records.Row]) -> list[str]:
    """Return why a whole group has no results, its first stage's own row among it; nothing where
    some of it ran.
    """
    if any(row.status == "done" for row in members):
        return []
    if is_pending(members):
        return ["not reached: the run is not finished"]
    reasons = by_reason(absent_of(members), "failed")
    if len(reasons) == 1:
        return [f"failed: {reason}" for reason in reasons]
    return [f"{', '.join(names)} failed: {reason}" for reason, names in reasons.items()]
