"""Calibration as a document: a table per group of rows, what to know of it, and the reliability
curve where one row is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from bench.calibration.errors import Bins
from bench.calibration.file import ErrorInterval, Errors
from bench.core import wording
from bench.core.counting import counted, percent
from bench.meaning.calibrate import NO_MAP, RANKS, Assessed, Reading, RowCalibration
from bench.records.rows import GroupKey, group_of, longest_of
from bench.reports import cells, numbers
from bench.reports.cells import Cell
from bench.reports.document import (
    Block,
    Bullets,
    Column,
    Document,
    Heading,
    Record,
    Row,
    Section,
    Table,
)
from bench.reports.judges import Marked
from bench.reports.names import title_of
from bench.reports.training_notes import training_notes

COLUMNS = (
    Column(
        "brier_skill",
        "Brier skill",
        "1 is the best, 0 as good as always saying the share of relevant documents",
        better="higher",
        priority=0,
        interval="value",
    ),
    Column(
        "ece_mass",
        "ECE",
        "distance of predicted and observed shares, ten bins of equal size",
        better="lower",
        priority=1,
        interval="value",
        needed=True,
    ),
    Column("log_loss", "log loss", "", better="lower", priority=2, interval="comment", needed=True),
    Column(
        "auc",
        "AUC",
        "over all queries; of maps, within each fold",
        better="higher",
        priority=3,
        interval="comment",
    ),
    Column("brier", "Brier", "", better="lower", priority=4, interval="comment"),
    Column(
        "ece_width",
        "ECE (width)",
        "the same, ten bins of equal width",
        better="lower",
        priority=5,
        interval="comment",
    ),
)
"""Brier skill and log loss come with ECE, which alone says too little."""
SUMMARY = (
    Column(
        "brier_skill",
        "Brier skill",
        "with the best map: 1 is the best, 0 as good as always saying the share of relevant "
        "documents",
        better="higher",
        priority=0,
        interval="value",
    ),
    Column("ece_mass", "ECE", "with that map", better="lower", priority=1, interval="comment"),
    Column("map", "best map", "", priority=2),
    Column("log_loss", "log loss", "with that map", better="lower", priority=3, interval="comment"),
    Column("auc", "AUC", "of the scores as they are", better="higher", priority=4),
    Column("raw", "skill as they are", "Brier skill without a map", better="higher", priority=5),
    Column("against", "Δ Brier", "to the row named below", better="lower", priority=6),
    Column("p", "p", "paired permutation test, after Holm's correction", priority=7),
)
"""A line per row of the run, where several are asked for."""
NAMES = {
    "left-out": "unjudged left out",
    "not-relevant": "unjudged as not relevant",
}
"""How unjudged documents are read."""


class Calibrations(Marked[RowCalibration]):
    """Calibrations that a notebook shows as the command prints them."""

    def document(self) -> Document:
        return document(self)


DETAILS = (
    "`rerank-bench calibrate RUN ROW` has all errors of a row, with unjudged documents left out "
    "and read as not relevant."
)


def document(rows: Sequence[RowCalibration], *, curves: bool = False) -> Document:
    """Return a section per dataset, first stage and depth: a line per row, or all of the errors of
    one. `curves`: with the points of the reliability curves.
    """
    groups: dict[GroupKey, list[RowCalibration]] = {}
    for row in rows:
        groups.setdefault(group_of(row.table.row.trial), []).append(row)
    sections = [
        Section(f"calibration{number}", _title(key, members), list(_blocks(members, curves)))
        for number, (key, members) in enumerate(groups.items())
    ]
    return Document("", sections, data=[_data(row) for row in rows], records=flat(rows))


def _title(key: GroupKey, rows: Sequence[RowCalibration]) -> str:
    return f"{title_of(key, longest_of([row.table.row for row in rows]))}: what scores mean"


def _blocks(rows: Sequence[RowCalibration], curves: bool) -> Iterator[Block]:
    if len(rows) > 1 and not curves:
        yield _summary(rows)
        read = f"Here: {_readings(rows)}."
        yield Bullets([(line,) for line in (*sentences(rows), read, DETAILS)])
        return
    for row in rows:
        for reading in row.readings:
            yield Heading(row.table.name, _counts(row, reading), level=4)
            yield _table(reading, row.table.row.seen)
        if curves:
            yield from _curves(row)
    yield Bullets([(line,) for line in sentences(rows)])


def _summary(rows: Sequence[RowCalibration]) -> Table:
    """Return a line per row: its scores as they are, and with the map of the highest skill."""
    lines: list[Row] = []
    for row in rows:
        reading = row.readings[0]
        raw = reading.raw[0]
        seen = row.table.row.seen
        by_column = {"auc": _cell(raw, "auc", seen), "raw": _cell(raw, "brier_skill", seen)}
        best = reading.best
        if best is not None:
            by_column["map"] = cells.text(best.name)
            for key in ("brier_skill", "ece_mass", "log_loss"):
                by_column[key] = _cell(best, key, seen)
        if row.against is not None:
            own = row.against
            by_column["against"] = cells.number(
                "delta", numbers.change, own.mean, own.low, own.high
            )
            by_column["p"] = cells.p(own.p_holm)
        lines.append(Row(row.table.name, by_column, kind="reranker"))
    return Table("row", SUMMARY, lines, _readings(rows))


def _readings(rows: Sequence[RowCalibration]) -> str:
    """Return how the rows read unjudged documents."""
    readings = dict.fromkeys(NAMES[row.readings[0].unjudged] for row in rows)
    return ", ".join(readings)


def _table(reading: Reading, seen: Sequence[str]) -> Table:
    best = reading.best
    lines: list[Row] = []
    for each in reading.all:
        by_column = {column.key: _cell(each, column.key, seen) for column in COLUMNS}
        lines.append(Row(each.name, by_column, kind="reranker", best=each is best))
    return Table("scores", COLUMNS, lines, NAMES[reading.unjudged])


def _cell(each: Assessed, key: str, seen: Sequence[str]) -> Cell:
    return cells.seen(error_cell(each.errors.get(key), each.problem), seen)


def error_cell(error: ErrorInterval | None, reason: str = "") -> Cell:
    """Return an error with its interval; why it is not there, where it is not."""
    if error is None or error.value is None:
        return cells.missing(reason)
    return cells.number("measure", numbers.quality, error.value, error.low, error.high)


def _counts(row: RowCalibration, reading: Reading) -> str:
    """Return what a reading of unjudged documents is of."""
    text = (
        f"{reading.pairs:,} documents of {counted(reading.queries, 'query')}, "
        f"{reading.relevant:,} with grade {row.table.threshold} or more"
    )
    if row.unjudged:
        text += f"; {row.unjudged:,} {NAMES[reading.unjudged]}"
    return text


def _curves(row: RowCalibration) -> Iterator[Block]:
    reading = row.readings[0]
    for each in reading.all:
        if each.curve is not None:
            yield Heading(each.name, "reliability curve", level=4)
            yield _curve(each.curve)


def _curve(curve: Bins) -> Table:
    columns = [
        Column("observed", "observed", "share of them that is relevant", priority=0),
        Column("documents", "documents", priority=1),
    ]
    lines = [
        Row(
            f"{predicted:.3f}",
            {"observed": cells.mean(float(observed)), "documents": cells.count(int(documents))},
        )
        for predicted, observed, documents in zip(
            curve.predicted, curve.observed, curve.documents, strict=True
        )
    ]
    return Table("predicted", columns, lines, "reliability curve")


def sentences(rows: Sequence[RowCalibration]) -> Iterator[str]:
    """Yield what to know of a calibration."""
    if any(row.readings[0].best is not None for row in rows):
        yield (
            "Maps are fitted on other queries than those that they are measured on. Intervals are "
            "95 %, over queries."
        )
    if rows and rows[0].groups:
        groups = ", ".join(sorted(set(rows[0].groups)))
        yield f"Each group of queries has maps of its own: {groups}."
    raw = [row.readings[0].raw[0] for row in rows]
    if any(each.problem == "not probabilities" for each in raw):
        yield (
            "Scores outside 0 to 1 are not probabilities: as they are, they have an AUC and no "
            "other error."
        )
    baselines = dict.fromkeys(row.against.baseline for row in rows if row.against is not None)
    for baseline in baselines:
        yield (
            f"Δ Brier: difference of the Brier score to {baseline} over the same documents, "
            "negative is better; scores that are no probabilities by Platt's map. p: paired "
            "permutation test over queries, after Holm's correction."
        )
    yield from training_notes((row.table.name, row.table.row.seen) for row in rows)
    for row in rows:
        yield from _few_judged(row)
        for text in wording.sentences(row.notes):
            yield f"{row.table.name}: {text}."
        if row.table.are_ranks:
            yield f"{row.table.name}: {RANKS[row.table.scale]}; {NO_MAP}."
    unlabelled = [row.table.name for row in rows if not row.readings[0].pairs]
    if unlabelled:
        yield f"No candidate is judged of {', '.join(unlabelled)}: nothing says what a score means."
    for problem, names in _problems(rows).items():
        yield f"No map of {', '.join(names)}: {problem}."


def _few_judged(row: RowCalibration) -> Iterator[str]:
    """Yield what maps are of where most documents are left out, since nobody judged them."""
    reading = row.readings[0]
    documents = reading.pairs + row.unjudged
    if reading.unjudged != "left-out" or reading.best is None or 2 * reading.pairs >= documents:
        return
    yield (
        f"{row.table.name}: {row.unjudged:,} of {documents:,} documents have no judgment, and no "
        f"part in its maps. Of those that have one {percent(reading.relevant / reading.pairs)} are "
        f"relevant, of all at least {percent(reading.relevant / documents)}: a map gives too high "
        "a probability to documents such as nobody judged, as far as these are not relevant."
    )


def _problems(rows: Sequence[RowCalibration]) -> dict[str, list[str]]:
    """Return why maps could not be fitted -> of which rows; with their kinds where a row has others
    or has them for another reason.
    """
    names: dict[str, list[str]] = {}
    for row in rows:
        kinds: dict[str, list[str]] = {}
        for each in row.readings[0].maps:
            if each.problem:
                kinds.setdefault(each.problem, []).append(each.name)
        for problem, own in kinds.items():
            name = row.table.name
            if len(own) < len(row.readings[0].maps):
                name = f"{name} ({', '.join(own)})"
            names.setdefault(problem, []).append(name)
    return names


def flat(rows: Sequence[RowCalibration]) -> list[Record]:
    """Return flat rows for programs: one per row of the run, reading and map."""
    records: list[Record] = []
    for row in rows:
        for reading in row.readings:
            about = {**_about(row), "unjudged": reading.unjudged, "pairs": reading.pairs}
            for each in reading.all:
                records.append({**about, "scores": each.name, **_flat(each.errors)})
    return records


def _about(row: RowCalibration) -> Record:
    trial = row.table.row.trial
    return {
        "trial": trial.id,
        "dataset": trial.dataset,
        "first_stage": trial.first_stage,
        "reranker": trial.reranker,
        "depth": trial.depth,
    }


def _flat(errors: Errors) -> Record:
    record: Record = {}
    for column in COLUMNS:
        error = errors.get(column.key, ErrorInterval(value=None))
        record |= {
            column.key: error.value,
            f"{column.key} low": error.low,
            f"{column.key} high": error.high,
        }
    return record


def _data(row: RowCalibration) -> Record:
    return {
        **_about(row),
        "scale": str(row.table.scale),
        "relevant_from": row.table.threshold,
        "unjudged_pairs": row.unjudged,
        "notes": [own.to_dict() for own in row.notes],
        "brier_against": _against(row),
        "readings": [_reading_data(reading) for reading in row.readings],
    }


def _against(row: RowCalibration) -> Record | None:
    if row.against is None:
        return None
    return asdict(row.against)


def _reading_data(reading: Reading) -> Record:
    return {
        "unjudged": reading.unjudged,
        "pairs": reading.pairs,
        "relevant": reading.relevant,
        "queries": reading.queries,
        "scores": [_assessed_data(each) for each in reading.all],
    }


def _assessed_data(each: Assessed) -> Record:
    data: Record = {
        "name": each.name,
        "fitted": each.fitted,
        "problem": each.problem or None,
        "errors": {name: error.model_dump() for name, error in each.errors.items()},
        "reliability": [],
    }
    if each.curve is not None:
        curve = each.curve
        points = zip(curve.predicted, curve.observed, curve.documents, strict=True)
        data["reliability"] = [
            {"predicted": float(x), "observed": float(y), "documents": int(count)}
            for x, y, count in points
        ]
    return data
