"""Comparisons as a document: a row per comparison, and the queries that moved most."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from bench.comparison import moved
from bench.comparison.moved import Move, Moves
from bench.comparison.pairs import Comparison, Side, mostly_failed
from bench.core.wording import worded
from bench.records.rows import GroupKey, doubts, group_of
from bench.records.run import Run
from bench.reports import cells, numbers
from bench.reports.document import (
    Block,
    Bullets,
    Column,
    Document,
    Fold,
    Heading,
    Paragraph,
    Record,
    Row,
    Section,
    Strong,
    Table,
    Words,
)
from bench.reports.names import at_odds, device_of, name_of, title_of
from bench.reports.renderers.terminal import shortened
from bench.reports.training_notes import notes_of_pairs

SHOWN = moved.SHOWN
SHOWN_IN_TERMINAL = 3
MOVED_AS_DATA = 10
NAME = 24
"""Characters of a row's name before each of its top documents."""
EXPLANATION = (
    "Δ is the paired mean difference with its 95 % bootstrap interval, p its two-sided permutation "
    "test, Holm the same corrected for all rows, t-test the p of a paired t-test, d the mean over "
    "the standard deviation of the differences, MDE the smallest true difference that this number "
    "of queries finds four times in five."
)
COLUMNS = (
    Column("mean", "mean", better="higher", priority=1),
    Column("baseline", "baseline", better="higher", priority=8),
    Column("difference", "Δ", better="higher", priority=0, interval="own"),
    Column("p", "p", better="lower", priority=5),
    Column("holm", "Holm", better="lower", priority=6),
    Column("t", "t-test", better="lower", priority=9),
    Column("d", "d", better="higher", priority=9),
    Column("wins", "W/T/L", "queries won, tied and lost", priority=6),
    Column("mde", "MDE", priority=7),
)
FAILED = Column("failed", "failed", "share of queries that failed: new / baseline", priority=1)


def document(comparisons: Sequence[Comparison], queries: int = moved.SHOWN) -> Document:
    """Return the comparisons with the `queries` that moved most in each."""
    trained = notes_of_pairs((each.new, each.baseline) for each in comparisons)
    lines = [*left_out(comparisons), *_measures(comparisons), *trained, *_odd(comparisons)]
    notes = Bullets([(line,) for line in lines])
    tables = Section("comparison", "Comparison", [*_tables(comparisons), notes], titled=False)
    moves = [
        _moved(name, moves, _sides(comparison))
        for comparison, (name, moves) in zip(
            _with_moves(comparisons), moves_of(comparisons, queries), strict=True
        )
    ]
    explanation = [Paragraph((EXPLANATION,), quiet=True)]
    reading = Section("reading", "How to read this", explanation, folded=True, wide=True)
    sections = [tables, reading]
    if queries:
        sections.insert(1, Section("moved", "Moved most", moves))
    return Document(
        title(comparisons),
        sections,
        data=[_data(comparison) for comparison in comparisons],
        records=[flat(comparison) for comparison in comparisons],
    )


def left_out(comparisons: Sequence[Comparison]) -> list[str]:
    """Return a line per trial of these runs that is compared with nothing, since most of its
    queries failed, and per compared one that leads no verdict, with the reason.
    """
    runs: dict[str, Run] = {}
    names: dict[str, dict[str, None]] = {}
    for comparison in comparisons:
        for side in (comparison.new, comparison.baseline):
            runs[side.run.info.id] = side.run
            for note in doubts(side.record):
                names.setdefault(worded(note), {})[_of_side(comparison, side)] = None
    lines = []
    for name, run in runs.items():
        for trial, reason in mostly_failed(run).items():
            lines.append(f"{trial} of {name}: {reason}: not compared")
    return lines + [f"{', '.join(rows)}: {text}" for text, rows in names.items()]


def _measures(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Yield the measures that one run alone has, which no command compares."""
    names: dict[str, dict[str, None]] = {}
    for comparison in comparisons:
        new, baseline = comparison.new, comparison.baseline
        for side, other in ((new, baseline), (baseline, new)):
            alone = [name for name in side.record.quality if name not in other.record.quality]
            names.setdefault(side.run.info.id, {}).update(dict.fromkeys(alone))
    for run, measures in names.items():
        if measures:
            yield f"measured in run {run} alone, and not compared: {', '.join(measures)}"


def _of_side(comparison: Comparison, side: Side) -> str:
    """Return the name of a side's row; with its run, where the other side is the same reranker
    without a doubt.
    """
    name = name_of(side.trial)
    sides = (comparison.new, comparison.baseline)
    if any(doubts(other.record) != doubts(side.record) for other in sides):
        return _with_run(comparison, name, side.run.info.id)
    return name


def _odd(comparisons: Sequence[Comparison]) -> list[str]:
    """Return a line on the rows whose interval excludes 0 though p is .05 or more."""
    odd = [comparison for comparison in comparisons if comparison.difference.is_at_odds]
    if not odd:
        return []
    several, names_run = _several(comparisons), not _is_of_two_runs(comparisons)
    names = ", ".join(label(comparison, several, names_run) for comparison in odd)
    return [f"{names}: {at_odds([comparison.difference for comparison in odd])}"]


def title(comparisons: Sequence[Comparison]) -> str:
    """Return what is compared with what, in one line."""
    first = comparisons[0]
    baselines: dict[str, None] = {}
    fields: set[str] = set()
    for comparison in comparisons:
        run = comparison.baseline.run.info.id
        baselines[_with_run(comparison, comparison.baseline.trial.reranker, run)] = None
        fields |= set(comparison.across)
    subject = first.measure
    if _is_of_two_runs(comparisons):
        subject = f"{first.measure} of run {first.new.run.info.id}"
    against = f"run {first.baseline.run.info.id}"
    if len(baselines) == 1:
        against = next(iter(baselines))
    if not fields:
        return f"{subject} against {against}"
    return f"{subject} against {against}, across {', '.join(sorted(fields))}"


def _is_of_two_runs(comparisons: Sequence[Comparison]) -> bool:
    """Whether all compare the same new run with another one: the title names both."""
    runs = {comparison.new.run.info.id for comparison in comparisons}
    return len(runs) == 1 and all(
        comparison.new.run is not comparison.baseline.run for comparison in comparisons
    )


def moves_of(
    comparisons: Sequence[Comparison], n: int = moved.SHOWN
) -> list[tuple[str, list[Move]]]:
    """Return, per comparison of a reranker, its row's name and the `n` queries that moved most."""
    several, names_run = _several(comparisons), not _is_of_two_runs(comparisons)
    reader = Moves()
    return [
        (label(pair, several, names_run), reader.of(pair, n)) for pair in _with_moves(comparisons)
    ]


def _with_moves(comparisons: Sequence[Comparison]) -> Sequence[Comparison]:
    """Return the comparisons of rerankers, all where there is none."""
    rerankers = [pair for pair in comparisons if pair.new.trial.kind == "reranker"]
    return rerankers or comparisons


def _sides(comparison: Comparison) -> tuple[str, str]:
    """Return what the baseline's ranking and the new one are called: their rows, and of one row in
    two runs before and after.
    """
    new, baseline = comparison.new.trial, comparison.baseline.trial
    if new.reranker == baseline.reranker and comparison.new.run is not comparison.baseline.run:
        return "before", "after"
    names = name_of(baseline), name_of(new)
    if names[0] == names[1]:
        names = baseline.id, new.id
    return shortened(names[0], NAME), shortened(names[1], NAME)


def label(comparison: Comparison, several: bool, names_run: bool = True) -> str:
    """Return a row's name: reranker, device, where there are several groups the group, and, unless
    the title names it, the run where it is not the baseline's.
    """
    trial = comparison.new.trial
    name = name_of(trial)
    if several:
        name = f"{name}, {_title_of(comparison)}"
    if not names_run:
        return name
    return _with_run(comparison, name, comparison.new.run.info.id)


def flat(comparison: Comparison) -> Record:
    """Return a comparison as plain values."""
    trial, difference = comparison.new.trial, comparison.difference
    new, baseline = comparison.new.record, comparison.baseline.record
    return {
        "dataset": trial.dataset,
        "first_stage": trial.first_stage,
        "depth": trial.depth,
        "reranker": trial.reranker,
        "device": trial.device,
        "run": comparison.new.run.info.id,
        "baseline": comparison.baseline.trial.id,
        "baseline_run": comparison.baseline.run.info.id,
        "across": " ".join(comparison.across),
        "measure": comparison.measure,
        "queries": len(comparison.deltas),
        "unpaired": comparison.unpaired,
        "failed": new.counts.failed_share,
        "baseline_failed": baseline.counts.failed_share,
        "mean": comparison.mean,
        "baseline_mean": comparison.baseline_mean,
        "difference": difference.mean,
        "low": difference.low,
        "high": difference.high,
        "p": difference.p,
        "p_holm": comparison.p_holm,
        "t": _finite(comparison.t),
        "t_p": comparison.t_p,
        "effect_size": comparison.effect_size,
        "wins": difference.wins,
        "ties": difference.ties,
        "losses": difference.losses,
        "minimum_detectable": _finite(comparison.detectable),
        "usd_per_1000_queries": _dollars(comparison.new),
        "baseline_usd_per_1000_queries": _dollars(comparison.baseline),
    }


def _dollars(side: Side) -> float | None:
    cost = side.record.cost
    return cost.usd_per_1000_queries if cost else None


def _data(comparison: Comparison) -> Record:
    moves = [move.flat() for move in Moves().of(comparison, MOVED_AS_DATA)]
    return {**flat(comparison), "moved": moves}


def _tables(comparisons: Sequence[Comparison]) -> list[Block]:
    """Return a table per group, under its title where there are several."""
    by_group: dict[GroupKey, list[Comparison]] = {}
    for comparison in comparisons:
        by_group.setdefault(group_of(comparison.new.trial), []).append(comparison)
    blocks: list[Block] = []
    for members in by_group.values():
        if len(by_group) > 1:
            blocks.append(Heading(_title_of(members[0])))
        blocks.append(_table(members))
    return blocks


def _table(comparisons: Sequence[Comparison]) -> Table:
    columns = [*COLUMNS]
    if any(max(_failed_shares(comparison)) for comparison in comparisons):
        columns.append(FAILED)
    names_run = not _is_of_two_runs(comparisons)
    rows = [_row(comparison, names_run) for comparison in comparisons]
    return Table("reranker", columns, rows, title(comparisons), sortable=True)


def _title_of(comparison: Comparison) -> str:
    longest = comparison.new.record.candidates.get("longest")
    return title_of(group_of(comparison.new.trial), longest)


def _failed_shares(comparison: Comparison) -> list[float]:
    sides = (comparison.new, comparison.baseline)
    return [side.record.counts.failed_share for side in sides]


def _several(comparisons: Sequence[Comparison]) -> bool:
    return len({group_of(comparison.new.trial) for comparison in comparisons}) > 1


def _row(comparison: Comparison, names_run: bool) -> Row:
    trial, difference = comparison.new.trial, comparison.difference
    name, device = label(comparison, several=False, names_run=names_run), ""
    if name == name_of(trial):
        name, device = trial.reranker, device_of(trial)
    shares = _failed_shares(comparison)
    by_column = {
        "mean": cells.seen(cells.mean(comparison.mean), comparison.new.seen),
        "baseline": cells.seen(cells.mean(comparison.baseline_mean), comparison.baseline.seen),
        "difference": cells.delta(difference),
        "p": cells.p(difference.p),
        "holm": cells.p(comparison.p_holm),
        "t": cells.p(comparison.t_p),
        "d": cells.number("measure", "{:+.2f}".format, comparison.effect_size),
        "wins": cells.text(f"{difference.wins}/{difference.ties}/{difference.losses}"),
        "mde": cells.mean(_finite(comparison.detectable)),
        "failed": cells.text(" / ".join(numbers.share(share) for share in shares)),
    }
    return Row(name, by_column, device)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _moved(name: str, moves: Sequence[Move], sides: tuple[str, str]) -> Fold:
    """Return one comparison's moves, folded, so that a merge-request comment stays short. `sides`
    are what the baseline's ranking and the new one are called.
    """
    blocks: list[Block] = []
    for move in moves:
        blocks.append(Paragraph((Strong(move.label), f" {numbers.change(move.delta)}")))
        lines: list[Words] = []
        for side, documents in zip(sides, (move.before, move.after), strict=True):
            lines += [(f"  {side} {i}. {document}",) for i, document in enumerate(documents, 1)]
        if lines:
            blocks.append(Bullets(lines, one_line=True))
    return Fold((f"{name}: {moved.told(moves)}",), blocks)


def _with_run(comparison: Comparison, name: str, run: str) -> str:
    """Return a name with its run, where a comparison is of two."""
    if comparison.new.run is comparison.baseline.run:
        return name
    return f"{name}, run {run}"
