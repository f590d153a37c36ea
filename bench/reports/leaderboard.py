"""All runs of a folder in one place, grouped by what makes their numbers comparable: the quality
key.

A group holds the same questions, candidates, texts and yardstick, whichever suite asked.

The newest record of a system is its row, with the newest timing of that system on the same machine;
a second record of the same reranker on another device or with other weights has a row of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from bench.comparison.leaderboard import Board
from bench.reports import numbers, spreadsheet
from bench.reports.comparison import as_json, markdown_grid, print_grid
from bench.reports.markdown import escape

if TYPE_CHECKING:
    from rich.console import Console


def print_board(boards: Sequence[Board], console: Console) -> None:
    from rich.text import Text

    for board in boards:
        key = f" (quality key {board.key})"
        console.print(Text.assemble("\n", (board.title, "bold"), (key, "dim")))
        if board.difference:
            console.print(board.difference, soft_wrap=True)
        print_grid(_grid(board), console)


def to_markdown(boards: Sequence[Board]) -> str:
    return "\n\n".join(_section(board) for board in boards)


def _section(board: Board) -> str:
    difference = f" {escape(board.difference)}." if board.difference else ""
    return (
        f"## {escape(board.title)}\n\n{markdown_grid(_grid(board))}\n\nQuality key "
        f"`{board.key}`.{difference}"
    )


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
        [
            {"group": board.title, "quality_key": board.key, "measure": board.measure, **entry}
            for board in boards
            for entry in _flat(board)
        ]
    )


def _flat(board: Board) -> Iterator[dict[str, Any]]:
    for entry in board.entries:
        row, value = entry.row, entry.row.quality[board.measure]
        single = entry.timing.row.single if entry.timing else None
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
            "p50_ms": single.p50_ms if single else None,
            "p95_ms": single.p95_ms if single else None,
            "machine": entry.machine,
            "run": entry.run.info.id,
            "timing_run": entry.timing.run.info.id if entry.timing else None,
            "finished": entry.record.finished,
        }


def _grid(board: Board) -> list[dict[str, str]]:
    """Return the table's cells. Latencies are next to their machine: two machines' are not
    comparable. Where one is of an earlier run than the quality, a column says of which.
    """
    lines = list(_flat(board))
    earlier = any(one["timing_run"] not in (None, one["run"]) for one in lines)
    return [
        {
            "reranker": _label(one),
            board.measure: numbers.quality(one["mean"]),
            "95 %": f"[{one['low']:.3f}, {one['high']:.3f}]",
            "Δ first": numbers.NOTHING
            if one["difference"] is None
            else f"{one['difference']:+.4f}",
            "p50 ms": numbers.milliseconds(one["p50_ms"]),
            "machine": one["machine"] if one["p50_ms"] is not None else numbers.NOTHING,
            "run": one["run"],
            **({"timed in run": one["timing_run"] or numbers.NOTHING} if earlier else {}),
        }
        for one in lines
    ]


def _label(entry: dict[str, Any]) -> str:
    device = "" if entry["device"] in ("-", "cpu") else f" ({entry['device']})"
    failed = f", {entry['failed']:.0%} failed" if entry["failed"] else ""
    return f"{entry['reranker']}{device}{failed}"
