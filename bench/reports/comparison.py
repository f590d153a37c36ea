"""Comparisons as people and programs read them: terminal, Markdown, JSON, CSV. One grid of cells
serves the first two.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.comparison import moved
from bench.comparison.moved import Move, Moves
from bench.comparison.pairs import Comparison, mostly_failed
from bench.records.rows import doubt
from bench.records.run import Run
from bench.reports import numbers, spreadsheet
from bench.reports.cells import FAILED
from bench.reports.fitting import LEAST_LABEL, fitting
from bench.reports.fitting import left_out as columns_left_out
from bench.reports.markdown import escape

if TYPE_CHECKING:
    from rich.console import Console

NAMES = "reranker"
SHOWN_IN_TERMINAL = 3
WIDE_ONLY = frozenset(
    {"machine", "run", "baseline", "p", "t-test", "d", "quality", "queries", "allowed", "top 10"}
)
EXPLANATION = (
    "Δ is the paired mean difference with its 95 % bootstrap interval, p its two-sided "
    "permutation test, Holm the same corrected for all "
    "rows, t-test the p of a paired t-test, d the mean over the standard deviation of the "
    "differences, MDE the smallest true difference "
    "that so many queries find four times in five."
)


def to_csv(comparisons: Sequence[Comparison]) -> str:
    """One line per comparison, numbers in full."""
    return spreadsheet.to_csv([flat(comparison) for comparison in comparisons])


def to_json(comparisons: Sequence[Comparison]) -> str:
    moves = Moves()
    return as_json(
        [{**flat(one), "moved": [move.flat() for move in moves.of(one, 10)]} for one in comparisons]
    )


def to_markdown(comparisons: Sequence[Comparison]) -> str:
    moved = [_moved_markdown(name, found) for name, found in moves(comparisons)]
    absent = "\n".join(f"- {escape(line)}" for line in left_out(comparisons))
    parts = [
        f"## {escape(title(comparisons))}",
        markdown_grid(grid(comparisons)),
        absent,
        EXPLANATION,
        "### Moved most",
        *moved,
    ]
    return "\n\n".join(part for part in parts if part)


def left_out(comparisons: Sequence[Comparison]) -> list[str]:
    """Return a line per trial of these runs that is compared with nothing, since most of its
    queries failed, and per compared one that leads no verdict, with the reason.
    """
    runs: dict[str, Run] = {}
    doubts: dict[str, None] = {}
    for one in comparisons:
        for side in (one.new, one.baseline):
            runs[side.run.info.id] = side.run
            if reason := doubt(side.record):
                doubts[f"{side.trial.id} of {side.run.info.id}: {reason}"] = None
    lines = []
    for name, run in runs.items():
        failures = mostly_failed(run).items()
        lines += [f"{trial} of {name}: {reason}: not compared" for trial, reason in failures]
    return [*lines, *doubts]


def _moved_markdown(name: str, found: Sequence[Move]) -> str:
    """One comparison's moves, folded, so that a merge-request comment stays short."""
    lines = [f"<details><summary>{escape(name)}: {escape(moved.told(found))}</summary>", ""]
    for move in found:
        lines.append(f"- **{escape(move.label)}** {move.delta:+.4f}")
        for side, documents in (("before", move.before), ("after", move.after)):
            lines += (
                [
                    f"  - {side}",
                    *(f"    {place}. {escape(str(one))}" for place, one in enumerate(documents, 1)),
                ]
                if documents
                else []
            )
    return "\n".join([*lines, "", "</details>"])


def print_comparison(comparisons: Sequence[Comparison], console: Console) -> None:
    from rich.text import Text

    console.print(Text.assemble("\n", (title(comparisons), "bold")))
    print_grid(grid(comparisons), console)
    for line in left_out(comparisons):
        console.print(line, soft_wrap=True)
    for name, found in moves(comparisons, SHOWN_IN_TERMINAL):
        heading = Text.assemble((name, "bold"), " moved most:")
        console.print(heading if found else f"{name}: no query moved", soft_wrap=True)
        for move in found:
            short = moved.short(move.label, console.width - 12)
            console.print(f"  {move.delta:+.4f}  {short}", soft_wrap=True)
            for line in moved.lines(move):
                indented = f"           {line[: console.width - 12]}"
                console.print(Text(indented, "dim"), soft_wrap=True)


def title(comparisons: Sequence[Comparison]) -> str:
    """What is compared with what, in one line."""
    first = comparisons[0]
    baselines = list(
        dict.fromkeys(
            _name(one, one.baseline.trial.reranker, one.baseline.run.info.id) for one in comparisons
        )
    )
    against = baselines[0] if len(baselines) == 1 else f"run {first.baseline.run.info.id}"
    across = sorted({field for one in comparisons for field in one.across})
    return f"{first.measure} against {against}" + (
        f", across {', '.join(across)}" if across else ""
    )


def grid(comparisons: Sequence[Comparison]) -> list[dict[str, str]]:
    """The table's cells, a row per comparison."""
    several = (
        len(
            {
                (one.new.trial.dataset, one.new.trial.first_stage, one.new.trial.depth)
                for one in comparisons
            }
        )
        > 1
    )
    failing = any(
        side.record.counts.failed for one in comparisons for side in (one.new, one.baseline)
    )
    return [
        {"reranker": label(one, several), **_cells(one), **(_failed(one) if failing else {})}
        for one in comparisons
    ]


def moves(comparisons: Sequence[Comparison], n: int = moved.SHOWN) -> list[tuple[str, list[Move]]]:
    """Per comparison of a reranker, its row's name and the `n` queries that moved most."""
    several = len({(one.new.trial.dataset, one.new.trial.first_stage) for one in comparisons}) > 1
    found = Moves()
    told = [one for one in comparisons if one.new.trial.kind == "reranker"] or comparisons
    return [(label(one, several), found.of(one, n)) for one in told]


def label(one: Comparison, several: bool, *, with_run: bool = True) -> str:
    """A row's name: reranker, device, where there are several groups the group, and the run where
    it is not the baseline's.
    """
    trial = one.new.trial
    parts = [trial.reranker if trial.device == "-" else f"{trial.reranker} ({trial.device})"]
    if several:
        parts.append(f"{trial.dataset}, {trial.first_stage}, {trial.depth}")
    return _name(one, ", ".join(parts), one.new.run.info.id) if with_run else ", ".join(parts)


def flat(one: Comparison) -> dict[str, Any]:
    """A comparison as plain values."""
    trial, found = one.new.trial, one.difference
    return {
        **{
            name: getattr(trial, name)
            for name in ("dataset", "first_stage", "depth", "reranker", "device")
        },
        "run": one.new.run.info.id,
        "baseline": one.baseline.trial.id,
        "baseline_run": one.baseline.run.info.id,
        "across": " ".join(one.across),
        "measure": one.measure,
        "queries": len(one.deltas),
        "unpaired": one.unpaired,
        "failed": one.new.record.counts.failed_share,
        "baseline_failed": one.baseline.record.counts.failed_share,
        "mean": one.mean,
        "baseline_mean": one.baseline_mean,
        "difference": found.mean,
        "low": found.low,
        "high": found.high,
        "p": found.p,
        "p_holm": one.p_holm,
        "t": one.t if math.isfinite(one.t) else None,
        "t_p": one.t_p,
        "effect_size": one.effect_size,
        "wins": found.wins,
        "ties": found.ties,
        "losses": found.losses,
        "minimum_detectable": one.detectable if math.isfinite(one.detectable) else None,
        "usd_per_1000_queries": one.new.record.cost.usd_per_1000_queries
        if one.new.record.cost
        else None,
        "baseline_usd_per_1000_queries": one.baseline.record.cost.usd_per_1000_queries
        if one.baseline.record.cost
        else None,
    }


def _cells(one: Comparison) -> dict[str, str]:
    found = one.difference
    return {
        "mean": numbers.quality(one.mean),
        "baseline": numbers.quality(one.baseline_mean),
        "Δ": f"{found.mean:+.4f}",
        "95 %": f"[{found.low:+.3f}, {found.high:+.3f}]",
        "p": numbers.p_value(found.p),
        "Holm": numbers.p_value(one.p_holm),
        "t-test": numbers.p_value(one.t_p),
        "d": numbers.NOTHING if one.effect_size is None else f"{one.effect_size:+.2f}",
        "W/T/L": f"{found.wins}/{found.ties}/{found.losses}",
        "MDE": detectable(one),
    }


def _failed(one: Comparison) -> dict[str, str]:
    """The shares of queries that failed, and score 0, on either side."""
    new, baseline = (side.record.counts.failed_share for side in (one.new, one.baseline))
    return {"failed": f"{numbers.share(new)} / {numbers.share(baseline)}"}


def detectable(one: Comparison) -> str:
    """The minimum detectable effect as a cell."""
    return f"{one.detectable:.4f}" if math.isfinite(one.detectable) else numbers.NOTHING


def _name(one: Comparison, name: str, run: str) -> str:
    return f"{name}, run {run}" if one.new.run is not one.baseline.run else name


def as_json(value: Any) -> str:
    """JSON that every parser and every terminal reads: plain ASCII, and numbers that JSON lacks are
    an error.
    """
    return json.dumps(value, indent=1, allow_nan=False)


def markdown_grid(rows: Sequence[dict[str, str]], left: int = 1) -> str:
    """A Markdown table, its cells escaped. The first `left` columns hold names, the others
    numbers.
    """
    if not rows:
        return ""
    rule = ["---" if i < left else "--:" for i in range(len(rows[0]))]
    lines = [list(rows[0]), rule, *([escape(cell) for cell in row.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def print_grid(rows: Sequence[dict[str, str]], console: Console) -> None:
    """A table in the terminal; a narrow one leaves out columns, those of WIDE_ONLY before any
    other, and names them.
    """
    from rich import box
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    if not rows:
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True)
    widths = {name: max(len(name), *(cell_len(row[name]) for row in rows)) + 2 for name in rows[0]}
    longest = max(LEAST_LABEL, widths.pop(NAMES) - 2) if NAMES in widths else 0
    first = [name for name in (FAILED, *widths) if name not in WIDE_ONLY]
    fit = fitting(widths, console.width, longest, first)
    shown = [name for name in rows[0] if name == NAMES or name in fit]
    for name in shown:
        if name == NAMES:
            table.add_column(name, overflow="fold", min_width=LEAST_LABEL)
        else:
            table.add_column(name, overflow="fold", justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(row[name]) for name in shown))
    console.print(table)
    if text := columns_left_out(widths, fit, console.width):
        console.print(Text(text, "dim"))
