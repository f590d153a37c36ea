"""Comparisons by classes of queries as a document: a table per group and field."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.comparison.slices import DIFFICULTY, LEAST, LENGTH, Slice, SliceResult, Slicing
from bench.core.counting import counted
from bench.reports import cells
from bench.reports.document import (
    Block,
    Column,
    Document,
    Heading,
    Paragraph,
    Record,
    Row,
    Section,
    Table,
)
from bench.reports.names import device_of, name_of, title_of
from bench.reports.training_notes import notes_of_pairs

EXPLANATION = (
    "Δ is the paired mean difference to the baseline on the queries of the slice, with its 95 % "
    "bootstrap interval; Holm is the p of its permutation test, corrected for all rows and slices "
    "of the table."
)
REGRESSION = (
    "Queries that are hard for the first stage are so by chance, too: over them every other order "
    "gains and over the easy ones every other order loses (regression to the mean). Compare the "
    "rows with each other there, by --baseline NAME, rather than with the first stage."
)
COLUMNS = (
    Column("slice", "slice", align="left", priority=0, needed=True),
    Column("queries", "queries", priority=3),
    Column("mean", "mean", better="higher", priority=2),
    Column("baseline", "baseline", better="higher", priority=6),
    Column("difference", "Δ", better="higher", priority=0, interval="own"),
    Column("holm", "Holm", better="lower", priority=1),
)


def document(slicings: Sequence[Slicing]) -> Document:
    """Return the tables, as printed by `rerank-bench slices`."""
    section = Section("slices", "Slices", list(blocks(slicings)), titled=False)
    rows = records(slicings)
    return Document("Slices", [section], data=rows, records=rows)


def records(slicings: Sequence[Slicing]) -> list[Record]:
    """Return a record per field, class and row, and one per class that is not judged."""
    rows: list[Record] = []
    for slicing in slicings:
        rows += [flat(slicing, result) for result in slicing.results]
        rows += [_of_small(slicing, piece) for piece in slicing.small]
    return rows


def blocks(slicings: Sequence[Slicing]) -> Iterator[Block]:
    """Yield each table under its title, with what it leaves out."""
    for slicing in slicings:
        yield Heading(f"{title_of(slicing.group)}, by {slicing.field}", _about(slicing))
        if slicing.results:
            yield Table("reranker", COLUMNS, list(_rows(slicing)), f"by {slicing.field}")
        for line in notes_of_pairs((each.new, each.baseline) for each in slicing.results):
            yield Paragraph((line,), quiet=True)
        if cut := _cut(slicing):
            yield Paragraph((cut,), quiet=True)
        if slicing.small:
            names = ", ".join(f"{piece.name} ({len(piece.queries)})" for piece in slicing.small)
            yield Paragraph((f"Fewer than {LEAST} queries, not judged: {names}.",))
        if slicing.without:
            yield Paragraph((f"{counted(slicing.without, 'query')} without {slicing.field}.",))
    if slicings:
        yield Paragraph((EXPLANATION,), quiet=True)
    if any(slicing.field == DIFFICULTY for slicing in slicings):
        yield Paragraph((REGRESSION,), quiet=True)


def _about(slicing: Slicing) -> str:
    """Return what is measured."""
    baseline = ""
    if slicing.results:
        baseline = f" against {name_of(slicing.results[0].baseline.trial)}"
    return f"{slicing.measure}{baseline}"


def _cut(slicing: Slicing) -> str:
    """Return how queries are cut by a number; empty where they are not."""
    if slicing.field == LENGTH:
        return "Thirds by the characters of the query; equal ones are in one slice."
    if slicing.field == DIFFICULTY:
        by = f"the first stage's {slicing.measure}"
        return f"Thirds by {by} on the query; equal ones are in one slice."
    return ""


def _rows(slicing: Slicing) -> Iterator[Row]:
    for result in slicing.results:
        trial = result.new.trial
        by_column = {
            "slice": cells.text(_named(result.piece)),
            "queries": cells.count(result.difference.queries),
            "mean": cells.seen(cells.mean(result.mean), result.new.seen),
            "baseline": cells.seen(cells.mean(result.baseline_mean), result.baseline.seen),
            "difference": cells.delta(result.difference),
            "holm": cells.p(result.p_holm),
        }
        yield Row(trial.reranker, by_column, device_of(trial))


def _named(piece: Slice) -> str:
    """Return a slice's name, with its numbers where it is cut by these."""
    if piece.span is None:
        return piece.name
    low, high = (_short(value) for value in piece.span)
    return f"{piece.name} ({low})" if low == high else f"{piece.name} ({low} to {high})"


def flat(slicing: Slicing, result: SliceResult) -> Record:
    """Return a result as plain values."""
    trial, difference = result.new.trial, result.difference
    return {
        **_place(slicing, result.piece),
        "reranker": trial.reranker,
        "device": trial.device,
        "baseline": result.baseline.trial.id,
        "mean": result.mean,
        "baseline_mean": result.baseline_mean,
        "difference": difference.mean,
        "low": difference.low,
        "high": difference.high,
        "p": difference.p,
        "p_holm": result.p_holm,
    }


def _of_small(slicing: Slicing, piece: Slice) -> Record:
    return {**_place(slicing, piece), "judged": False}


def _place(slicing: Slicing, piece: Slice) -> Record:
    dataset, first_stage, depth = slicing.group
    low, high = piece.span or (None, None)
    return {
        "dataset": dataset,
        "first_stage": first_stage,
        "depth": depth,
        "field": slicing.field,
        "slice": piece.name,
        "from": low,
        "to": high,
        "queries": len(piece.queries),
        "judged": True,
        "measure": slicing.measure,
    }


def _short(value: float) -> str:
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.2g}"
