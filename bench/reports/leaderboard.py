"""All runs of a folder in one place, grouped by what makes their numbers comparable: the quality key.

A group holds the same questions, candidates, texts and yardstick, whichever suite asked. The newest record of a system stands for it; a
second record of the same reranker on another device or with other weights has a row of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.comparing import resolve_measure
from bench.counting import counted
from bench.errors import BenchError, RecordError
from bench.gate.across import differences, sentence
from bench.records.schema import Record
from bench.records.store import Run
from bench.records.table import Row, rows
from bench.reports import numbers, spreadsheet
from bench.reports.comparison import as_json, markdown_grid, print_grid
from bench.reports.markdown import escape

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Entry:
    """One system in one group: its newest row, and the run that it is of."""

    row: Row
    record: Record
    run: Run


@dataclass(frozen=True)
class Board:
    """The systems that answered the same questions, best first. `measure` is the full name of what they are ordered by."""

    key: str
    measure: str
    entries: tuple[Entry, ...]
    difference: str = ""
    """What sets this group apart from the earlier one over the same dataset that it is most like, where there is one."""

    @property
    def title(self) -> str:
        trial = self.entries[0].record.trial
        queries = counted(self.entries[0].record.counts.queries, "query")
        return f"{trial.dataset}, {trial.first_stage}, {counted(trial.depth, 'candidate')}, {queries}"


def collect(folder: Path, measure: str | None = None) -> list[Board]:
    """Every group under `folder`, the one with most systems first. Unreadable run folders are left out.

    Raises RecordError when there is no finished trial, and BenchError when no group holds the measure.
    """
    newest: dict[tuple[str, str, str], Entry] = {}
    for run in sorted(_runs(folder), key=lambda run: run.info.started):
        for row in rows(run):
            if row.status == "done" and row.quality:  # without one, most queries failed: an older record stands
                record = run.records[row.trial.id]
                newest[record.keys["quality"].hash, record.keys["system"].hash, row.trial.device] = Entry(row, record, run)
    if not newest:
        raise RecordError(f"{folder}: no finished trial in any run folder below it; give the folder that holds runs, such as results")
    grouped: dict[str, list[Entry]] = {}
    for (key, *_), entry in newest.items():
        grouped.setdefault(key, []).append(entry)
    boards = [board for key, entries in grouped.items() if (board := _board(key, entries, measure))]
    if not boards:
        held = sorted({name for entry in newest.values() for name in entry.record.quality})
        raise BenchError(f"no run under {folder} holds {measure}; they hold {', '.join(held)}")
    return _told_apart(sorted(boards, key=lambda board: (-len(board.entries), board.title)))


def _told_apart(boards: list[Board]) -> list[Board]:
    """The boards, each with how it differs from the most similar earlier one over a dataset of the same name."""
    told: list[Board] = []
    for board in boards:
        first = board.entries[0].record
        earlier = [other for other in told if other.entries[0].record.trial.dataset == first.trial.dataset]
        changes = [(other, differences(first.keys["quality"], other.entries[0].record.keys["quality"])) for other in earlier]
        if changes:
            other, fields = min(changes, key=lambda change: len(change[1]))
            board = replace(board, difference=f"Not comparable with group {other.key}: it differs in {sentence(fields)}")
        told.append(board)
    return told


def _runs(folder: Path) -> Iterator[Run]:
    """The runs below a folder whose records can be read."""
    for path in sorted(folder.glob("**/run.json")):
        try:
            run = Run(path.parent)
            _ = run.records
        except RecordError:
            continue
        yield run


def _board(key: str, entries: list[Entry], measure: str | None) -> Board | None:
    try:
        name = resolve_measure(entries[-1].run, measure)
    except BenchError:
        return None
    held = [entry for entry in entries if name in entry.row.quality]
    return Board(key, name, tuple(sorted(held, key=lambda entry: (entry.row.meaningless, -entry.row.quality[name].mean)))) if held else None


def print_board(boards: Sequence[Board], console: Console) -> None:
    from rich.markup import escape as escaped

    for board in boards:
        console.print(f"\n[bold]{escaped(board.title)}[/bold] [dim](quality key {board.key})[/dim]")
        if board.difference:
            console.print(escaped(board.difference), soft_wrap=True)
        print_grid(_grid(board), console)


def to_markdown(boards: Sequence[Board]) -> str:
    return "\n\n".join(_section(board) for board in boards)


def _section(board: Board) -> str:
    difference = f" {escape(board.difference)}." if board.difference else ""
    return f"## {escape(board.title)}\n\n{markdown_grid(_grid(board))}\n\nQuality key `{board.key}`.{difference}"


def to_json(boards: Sequence[Board]) -> str:
    return as_json(
        [
            {
                "title": board.title,
                "quality_key": board.key,
                "measure": board.measure,
                "difference": board.difference,
                "entries": list(_flat(board)),
            }
            for board in boards
        ]
    )


def to_csv(boards: Sequence[Board]) -> str:
    return spreadsheet.to_csv(
        [{"group": board.title, "quality_key": board.key, "measure": board.measure, **entry} for board in boards for entry in _flat(board)]
    )


def _flat(board: Board) -> Iterator[dict[str, Any]]:
    for entry in board.entries:
        row, value = entry.row, entry.row.quality[board.measure]
        delta = row.differences.get(board.measure)
        yield {
            "reranker": row.name,
            "device": row.trial.device,
            "kind": row.trial.kind,
            "failed": row.failed,
            "mean": value.mean,
            "low": value.low,
            "high": value.high,
            "difference": delta.mean if delta else None,
            "p": delta.p if delta else None,
            "p50_ms": row.single.p50_ms if row.single else None,
            "p95_ms": row.single.p95_ms if row.single else None,
            "machine": _machine(entry),
            "run": entry.run.info.id,
            "finished": entry.record.finished,
        }


def _grid(board: Board) -> list[dict[str, str]]:
    """The table's cells. Latencies stand beside their machine: two machines' are not comparable."""
    return [
        {
            "reranker": _label(one),
            board.measure: numbers.quality(one["mean"]),
            "95 %": f"[{one['low']:.3f}, {one['high']:.3f}]",
            "Δ first": numbers.NOTHING if one["difference"] is None else f"{one['difference']:+.4f}",
            "p50 ms": numbers.milliseconds(one["p50_ms"]),
            "machine": one["machine"] if one["p50_ms"] is not None else numbers.NOTHING,
            "run": one["run"],
        }
        for one in _flat(board)
    ]


def _label(entry: dict[str, Any]) -> str:
    device = "" if entry["device"] in ("-", "cpu") else f" ({entry['device']})"
    failed = f", {entry['failed']:.0%} failed" if entry["failed"] else ""
    return f"{entry['reranker']}{device}{failed}"


def _machine(entry: Entry) -> str:
    environment = entry.record.environment
    gpu = environment.get("gpu") if entry.row.trial.device.startswith(("cuda", "mps")) else None
    return str(gpu or environment.get("cpu") or "?")
