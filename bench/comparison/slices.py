"""Comparisons by classes of queries: by a field of theirs, by their length, by how difficult they
are for the first stage.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from bench.comparison.pairs import Comparison, Side, compare, sides
from bench.core.errors import BenchError, nearest
from bench.quality import statistics
from bench.quality.statistics import Difference
from bench.records.rows import GroupKey, group_of
from bench.records.run import Run

LENGTH, DIFFICULTY = "length", "difficulty"
LEAST = 10
"""Queries below which a slice is named and not judged."""
CLASSES = 12
"""Values of a field up to which each is a slice; numbers of more values are cut into thirds."""
THIRDS = {
    LENGTH: ("short", "medium", "long"),
    DIFFICULTY: ("hard", "medium", "easy"),
}
NUMBERS = ("low", "medium", "high")


class Slice(NamedTuple):
    """A class of queries; `span` are the lowest and the highest number of one that is cut from
    numbers.
    """

    name: str
    queries: Sequence[str]
    span: tuple[float, float] | None = None


@dataclass(frozen=True)
class SliceResult:
    """A row on a slice, against the baseline on the same queries. `p_holm` is corrected for all
    results of the table.
    """

    piece: Slice
    new: Side
    baseline: Side
    mean: float
    baseline_mean: float
    difference: Difference
    p_holm: float


@dataclass(frozen=True)
class Slicing:
    """One group's rows by the classes of a field. `small` are slices of too few queries, `without`
    counts queries that have no such field.
    """

    group: GroupKey
    field: str
    measure: str
    results: Sequence[SliceResult]
    small: Sequence[Slice]
    without: int


def slicings(
    run: Run,
    fields: Sequence[str] = (),
    baseline: str | None = None,
    measure: str | None = None,
) -> list[Slicing]:
    """Return a table per group and field. Without fields: all that the collections have, length
    and difficulty. Raises BenchError for a field that no query has.
    """
    by_group: dict[GroupKey, list[Comparison]] = {}
    for comparison in compare([run], baseline, measure):
        if comparison.new.trial.is_oracle:
            continue
        by_group.setdefault(group_of(comparison.new.trial), []).append(comparison)
    known = fields_of(run)
    _refuse_unknown(fields, known)
    tables: list[Slicing] = []
    for group, comparisons in by_group.items():
        for field in fields or [*known, LENGTH, DIFFICULTY]:
            numbers = _texts(run, group[0]) if field == LENGTH else {}
            if field == LENGTH and not numbers and not fields:
                continue
            table = _slicing(run, group, field, comparisons)
            if fields or table.results or table.small:
                tables.append(table)
    return tables


def fields_of(run: Run) -> list[str]:
    """Return the fields of a run's queries that part them into classes."""
    table = run.query_fields
    names: list[str] = []
    for name, rows in table.groupby("field", sort=False):
        values = rows["value"].tolist()
        if 1 < len(set(values)) <= CLASSES or _numbers(values):
            names.append(str(name))
    return names


def _refuse_unknown(fields: Sequence[str], known: Sequence[str]) -> None:
    for field in fields:
        if field not in (*known, LENGTH, DIFFICULTY):
            names = [*known, LENGTH, DIFFICULTY]
            raise BenchError(
                f"--by {field}: no field that parts the queries of this run into at most {CLASSES} "
                f"classes: {nearest(field, names)}"
            )


def _slicing(run: Run, group: GroupKey, field: str, comparisons: Sequence[Comparison]) -> Slicing:
    queries = list(comparisons[0].deltas)
    measure = comparisons[0].measure
    slices = slices_of(run, group, field, measure, queries)
    judged = [piece for piece in slices if len(piece.queries) >= LEAST]
    results: list[SliceResult] = []
    for comparison in comparisons:
        results += [_result(comparison, piece) for piece in judged]
    corrected = statistics.holm([result.difference.p for result in results])
    results = [replace(result, p_holm=p) for result, p in zip(results, corrected, strict=True)]
    small = [piece for piece in slices if len(piece.queries) < LEAST]
    inside = sum(len(piece.queries) for piece in slices)
    return Slicing(group, field, measure, results, small, len(queries) - inside)


def slices_of(
    run: Run, group: GroupKey, field: str, measure: str, queries: Sequence[str]
) -> list[Slice]:
    """Return the classes of these queries by a field; none where no query has it. Raises BenchError
    for `length` where the run keeps no texts, and for `difficulty` without a first stage's row.
    """
    if field == LENGTH:
        return _of_numbers(_lengths(run, group[0], queries), THIRDS[LENGTH])
    if field == DIFFICULTY:
        return _of_numbers(_difficulties(run, group, measure, queries), THIRDS[DIFFICULTY])
    return _of_field(run, group[0], field, queries)


def _result(comparison: Comparison, piece: Slice) -> SliceResult:
    new = comparison.new.values(comparison.measure)
    old = comparison.baseline.values(comparison.measure)
    now = [new[query] for query in piece.queries if query in comparison.deltas]
    then = [old[query] for query in piece.queries if query in comparison.deltas]
    difference = statistics.difference(now, then, comparison.new.run.seed)
    return SliceResult(
        piece,
        comparison.new,
        comparison.baseline,
        sum(now) / max(1, len(now)),
        sum(then) / max(1, len(then)),
        difference,
        difference.p,
    )


def _of_field(run: Run, dataset: str, field: str, queries: Sequence[str]) -> list[Slice]:
    table = run.query_fields
    rows = table[(table["dataset"] == dataset) & (table["field"] == field)]
    value_of = dict(zip(rows["query"], rows["value"], strict=True))
    values = {query: value_of[query] for query in queries if query in value_of}
    if len(set(values.values())) > CLASSES:
        numbers = _numbers(list(values.values()))
        return _of_numbers(dict(zip(values, numbers, strict=True)), NUMBERS) if numbers else []
    by_value: dict[str, list[str]] = {}
    for query, value in values.items():
        by_value.setdefault(value, []).append(query)
    slices = [Slice(value, members) for value, members in by_value.items()]
    return sorted(slices, key=lambda piece: (-len(piece.queries), piece.name))


def _of_numbers(numbers: Mapping[str, float], names: Sequence[str]) -> list[Slice]:
    """Return thirds of the queries by a number; equal numbers are in one slice, that of their
    middle one.
    """
    ordered = sorted(numbers, key=lambda query: numbers[query])
    places: dict[float, list[int]] = {}
    for place, query in enumerate(ordered):
        places.setdefault(numbers[query], []).append(place)
    members: dict[str, list[str]] = {name: [] for name in names}
    for query in ordered:
        among = places[numbers[query]]
        middle = (among[0] + among[-1]) / 2
        third = min(int(middle * len(names) / len(ordered)), len(names) - 1)
        members[names[third]].append(query)
    slices: list[Slice] = []
    for name, inside in members.items():
        if inside:
            slices.append(Slice(name, inside, (numbers[inside[0]], numbers[inside[-1]])))
    return slices


def _texts(run: Run, dataset: str) -> dict[str, str]:
    table = run.queries
    rows = table[table["dataset"] == dataset]
    return {str(query): str(text) for query, text in zip(rows["query"], rows["text"], strict=True)}


def _lengths(run: Run, dataset: str, queries: Sequence[str]) -> dict[str, float]:
    """Return the characters of each query. Raises BenchError where the run keeps no texts."""
    texts = _texts(run, dataset)
    if not texts:
        raise BenchError(
            f"--by {LENGTH}: {run.folder} keeps no texts of {dataset}'s queries (`store_texts: "
            "false`, or no texts were there)"
        )
    return {query: float(len(texts[query])) for query in queries if query in texts}


def _difficulties(
    run: Run, group: GroupKey, measure: str, queries: Sequence[str]
) -> dict[str, float]:
    """Return the value of the first stage's own order, by query."""
    for side in sides(run):
        if side.trial.is_first_stage and group_of(side.trial) == group:
            values = side.values(measure)
            return {query: values[query] for query in queries if query in values}
    raise BenchError(f"--by {DIFFICULTY}: {run.folder} has no row of the first stage alone")


def _numbers(values: Sequence[str]) -> list[float]:
    """Return values as numbers; nothing where one is none: nan and inf have no order or no size."""
    numbers = list(_as_numbers(values))
    return numbers if len(numbers) == len(values) else []


def _as_numbers(values: Sequence[str]) -> Iterator[float]:
    for value in values:
        try:
            number = float(value)
        except ValueError:
            return
        if not math.isfinite(number):
            return
        yield number
