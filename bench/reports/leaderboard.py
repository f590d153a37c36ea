"""All runs of a folder as a document: a table per quality key, since only its numbers are
comparable, with a column per measure that a system has.

The newest record of a system is its row, with the newest timing of that system on the same machine;
a second record of the same reranker on another device or with other weights has a row of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.comparison.leaderboard import Board, Entry
from bench.core.counting import percent
from bench.core.wording import sentences, worded
from bench.latency.summary import Summary
from bench.reports import cells
from bench.reports.document import (
    Block,
    Bullets,
    Code,
    Column,
    Document,
    Paragraph,
    Record,
    Row,
    Section,
    Table,
)
from bench.reports.judges import FIELD
from bench.reports.names import device_of, name_of
from bench.reports.training_notes import training_notes
from bench.reports.wording import NOT_IN_VERDICT, out_of_verdict

CPU = "cpu"


def document(boards: Sequence[Board]) -> Document:
    """Return a section per board. Latencies are next to their machine: those of two machines are
    not comparable.
    """
    data = []
    records: list[Record] = []
    sections = []
    for number, board in enumerate(boards):
        rows = [_flat(entry, board) for entry in board.entries]
        key = {"quality_key": board.key, "measure": board.measure}
        about = {"title": board.title, **key, "difference": board.difference}
        data.append({**about, "entries": rows})
        records += [{"group": board.title, **key, **row} for row in rows]
        sections.append(_section(number, board))
    return Document("Leaderboard", sections, data=data, records=records)


def _section(number: int, board: Board) -> Section:
    about: list[str | Code] = ["Quality key ", Code(board.key), "."]
    if board.difference:
        about.append(f" {board.difference}.")
    blocks: list[Block] = [_table(board), Paragraph(tuple(about), quiet=True)]
    if remarks := notes(board):
        blocks.append(Bullets([(line,) for line in remarks]))
    return Section(f"board{number}", board.title, blocks)


def notes(board: Board) -> list[str]:
    """Return which run a row's time or measure is of where that is another one, what a machine did
    while it was timed, and why a row led no verdict of its run: each text once, with the rows
    that it is about.
    """
    about: dict[str, list[str]] = {}
    for entry in board.entries:
        texts = [_timing_run(entry), *_earlier(entry), *_disturbances(entry)]
        texts.append(out_of_verdict(entry.row))
        if entry.row.judge is not None:
            texts.append(worded(entry.row.judge))
        for text in filter(None, texts):
            about.setdefault(text, []).append(name_of(entry.row.trial))
    remarks = [f"{', '.join(dict.fromkeys(names))}: {text}" for text, names in about.items()]
    rows = [entry.row for entry in board.entries]
    return [*remarks, *training_notes((name_of(row.trial), row.seen) for row in rows)]


def _earlier(entry: Entry) -> list[str]:
    """Return which measures are of an earlier run than the row."""
    return [f"{name} of run {run}" for name, run in entry.earlier.items()]


def _disturbances(entry: Entry) -> list[str]:
    if entry.timing is None:
        return []
    return sentences(entry.timing.row.disturbances)


def _table(board: Board) -> Table:
    others = [Column(name, name, better="higher", priority=5) for name in board.others]
    columns = [
        Column(board.measure, board.measure, better="higher", priority=0, interval="own"),
        Column("delta", "Δ first", better="higher", priority=1),
        *others,
        Column("p50", "p50 ms", better="lower", priority=2),
        Column("machine", "machine", align="left", priority=6),
        Column("run", "run", align="left", priority=4),
    ]
    rows = [_row(entry, board) for entry in board.entries]
    return Table("reranker", columns, rows, board.title, sortable=True)


def _row(entry: Entry, board: Board) -> Row:
    row = entry.row
    by_column = {
        name: cells.seen(cells.measure(row.quality.get(name)), row.seen)
        for name in (board.measure, *board.others)
    }
    by_column |= {
        "delta": cells.delta(row.differences.get(board.measure)),
        "run": cells.text(entry.run.info.id),
    }
    if single := _single(entry):
        by_column |= {"p50": cells.duration(single.p50_ms), "machine": cells.text(entry.machine)}
    name, device = row.name, device_of(row.trial)
    if row.failed:
        name += f", {percent(row.failed)} failed"
    if out_of_verdict(row):
        name += NOT_IN_VERDICT
    if device == CPU:
        device = ""
    return Row(name, by_column, device, row.trial.kind)


def _timing_run(entry: Entry) -> str:
    """Return that the timing is of another run than the quality; empty where it is of the same."""
    if entry.timing is None or entry.timing.run.info.id == entry.run.info.id:
        return ""
    return f"timed in run {entry.timing.run.info.id}"


def _single(entry: Entry) -> Summary | None:
    """Return the latency of one query, of the run that timed it last."""
    return entry.timing.row.query_here if entry.timing else None


def _flat(entry: Entry, board: Board) -> Record:
    row, value = entry.row, entry.row.quality.get(board.measure)
    flat: Record = {
        "reranker": row.name,
        "device": row.trial.device,
        "kind": row.trial.kind,
        "failed": row.failed,
    }
    # A key without a value is there too: programs read it as null.
    flat |= dict.fromkeys(("mean", "low", "high", "difference", "p", "p50_ms", "p95_ms"))
    if value is not None:
        flat |= {"mean": value.mean, "low": value.low, "high": value.high}
    for name in board.others:
        other = row.quality.get(name)
        flat[name] = other.mean if other else None
    if delta := row.differences.get(board.measure):
        flat |= {"difference": delta.mean, "p": delta.p}
    if row.judge is not None:
        flat[FIELD] = worded(row.judge)
    if single := _single(entry):
        flat |= {"p50_ms": single.p50_ms, "p95_ms": single.p95_ms}
    return flat | {
        "machine": entry.machine,
        "earlier": "; ".join(_earlier(entry)),
        "disturbances": "; ".join(_disturbances(entry)),
        "out_of_verdict": out_of_verdict(row),
        "run": entry.run.info.id,
        "timing_run": entry.timing.run.info.id if entry.timing else None,
        "finished": entry.record.finished,
    }
