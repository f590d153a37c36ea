"""Answerability as a document: whether scores tell that nothing relevant is there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.calibration.file import ErrorInterval
from bench.core.counting import counted, percent
from bench.meaning.answerability import (
    FEWEST,
    KEPT,
    PLACED,
    PROBABILITY,
    TOP,
    WHOLE,
    Answerability,
    Problem,
)
from bench.meaning.calibrate import RANKS
from bench.probes.shorter_lists import ListCost
from bench.records.rows import GroupKey, group_of, longest_of
from bench.reports import cells, numbers
from bench.reports.calibrated import error_cell
from bench.reports.document import (
    Block,
    Bullets,
    Column,
    Document,
    Record,
    Row,
    Section,
    Table,
)
from bench.reports.judges import Marked
from bench.reports.names import title_of
from bench.reports.training_notes import training_notes

HARDLY, WELL = 0.65, 0.85
"""AUROC up to which a signal hardly tells, and from which it tells well."""
FALSE_ACCEPTS = "false accepts"
COLUMNS = (
    Column(
        TOP,
        "top score",
        "AUROC: the chance that a query with an answer has the higher top score than one without",
        better="higher",
        priority=0,
        interval="value",
    ),
    Column("margin", "margin", "AUROC of the lead over the second", priority=2, interval="comment"),
    Column(
        PROBABILITY,
        "probability",
        "AUROC of the calibrated probability of the first document",
        priority=3,
        interval="comment",
    ),
    Column(
        PLACED,
        PLACED,
        "the same of a probability that also reads the score's place within its list",
        priority=5,
        interval="comment",
    ),
    Column(
        FALSE_ACCEPTS,
        f"{FALSE_ACCEPTS}",
        f"queries without an answer that reach the top score which keeps {KEPT:.0%} of the others",
        better="lower",
        priority=1,
        interval="value",
    ),
    Column("chance", "chance", "AUROC of the top of random scores", priority=4),
)
DEPENDS = "its scores depend on the list"
REASONS = {
    Problem.DEPENDS: f"{DEPENDS}: the list without relevant documents needs one more call, which "
    "`--ask` makes where the reranker can be asked alone; `--estimate` says where it cannot",
    Problem.FEW: f"fewer than {FEWEST} queries have an answer among their candidates",
    Problem.FULL: f"fewer than {FEWEST} queries have a candidate that is no answer",
}


class Answerabilities(Marked[Answerability]):
    """Answerabilities that a notebook shows as the command prints them."""

    def document(self) -> Document:
        return document(self)


def document(rows: Sequence[Answerability]) -> Document:
    """Return a section per dataset, first stage and depth."""
    groups: dict[GroupKey, list[Answerability]] = {}
    for row in rows:
        groups.setdefault(group_of(row.table.row.trial), []).append(row)
    sections: list[Section] = []
    for number, (key, members) in enumerate(groups.items()):
        title = title_of(key, longest_of([row.table.row for row in members]))
        table = Table("scores of", COLUMNS, [_row(row) for row in members], title)
        notes = Bullets([(line,) for line in notes_of(members)])
        sections.append(
            Section(f"answerability{number}", f"{title}: is there an answer?", [table, notes])
        )
    return Document("", sections, data=[_data(row) for row in rows], records=flat(rows))


def costs(rows: Sequence[ListCost]) -> Document:
    """Return what asking the lists without relevant documents would take."""
    columns = [
        Column("lists", "lists", "one per query", priority=2),
        Column("pairs", "pairs", priority=1),
        Column("calls", "calls", priority=1),
        Column("tokens", "tokens", priority=3),
        Column("usd", "$", priority=0),
    ]
    title = "What asking the lists without relevant documents would take, at most"
    lines: list[Row] = []
    data: list[Record] = []
    notes = [f"{row.table.name}: {row.absent}." for row in rows if row.absent]
    notes += [f"{row.table.name}: {row.price}." for row in rows if row.price is not None]
    notes.append("Nothing was loaded, sent or scored; answers that are kept already cost nothing.")
    for row in rows:
        amounts: Record = {
            "lists": row.lists,
            "pairs": row.usage.pairs,
            "calls": row.usage.calls,
            "tokens": row.usage.tokens,
        }
        by_column = {name: cells.count(amount) for name, amount in amounts.items()}
        if not row.absent:
            lines.append(Row(row.table.name, {**by_column, "usd": cells.bill(row.usd)}))
        about = {"trial": row.table.row.trial.id, **amounts}
        data.append({**about, "usd": row.usd, "reason": row.absent or None})
    blocks: list[Block] = [
        Table("reranker", columns, lines, title),
        Bullets([(line,) for line in notes]),
    ]
    return Document("", [Section("costs", title, blocks)], data=data, records=data)


def sentence(row: Answerability, sample: str = "") -> str:
    """Return what the top score of a row tells, by a sample of the queries where it is named; empty
    where nothing is known.
    """
    signal = row.top
    if signal is None or signal.auroc.value is None:
        return ""
    value = signal.auroc.value
    tells = "tells a query with an answer from one without in part"
    if value < HARDLY:
        tells = "hardly tells a query with an answer from one without"
    elif value >= WELL:
        tells = "tells a query with an answer from one without"
    figures = f"AUROC {numbers.quality(value)}"
    if sample:
        figures = f"{figures}, {sample}"
    return f"its top score {tells} ({figures})"


def notes_of(rows: Sequence[Answerability]) -> Iterator[str]:
    """Yield what to know of a table."""
    counts = [row for row in rows if row.signals]
    if counts:
        yield from _sizes(counts)
        yield (
            f"{FALSE_ACCEPTS.capitalize()}: queries without an answer whose top score reaches the "
            f"threshold that keeps {percent(KEPT)} of those with one."
        )
    yield from training_notes((row.table.name, row.table.row.seen) for row in counts)
    names = [row.table.name for row in rows if row.is_asked]
    if names:
        yield (
            f"{', '.join(names)}: asked once more, for each query's candidates without those that "
            "are relevant."
        )
    for row in rows:
        for text in _reasons(row):
            yield f"{row.table.name}: {text}."


def _reasons(row: Answerability) -> Iterator[str]:
    """Yield why nothing is said of a row, and what to know of its shorter lists. Of one that could
    not be asked, nothing promises that it will be.
    """
    if row.problem is Problem.DEPENDS and row.remark:
        yield f"{DEPENDS}; {row.remark}"
        return
    if row.remark:
        yield row.remark
    if row.problem is Problem.RANKS:
        yield RANKS[row.table.scale]
    elif row.problem is Problem.DEPENDS and row.runs_as_a_whole:
        yield f"{DEPENDS}: for the list without relevant documents, {WHOLE}"
    elif row.problem is not None:
        yield REASONS[row.problem]


def _sizes(rows: Sequence[Answerability]) -> Iterator[str]:
    """Yield how many lists there are with an answer and without, which may differ from row to row:
    where calls failed, and where one was asked anew.
    """
    names: dict[tuple[int, int], list[str]] = {}
    for row in rows:
        names.setdefault((row.answerable, row.without), []).append(row.table.name)
    for (answerable, without), own in names.items():
        about = "" if len(names) == 1 else f"{', '.join(own)}: "
        with_answer = counted(answerable, "query")
        yield (
            f"{about}{with_answer} with a relevant document among the candidates, against "
            f"{without} lists without."
        )
    yield (
        "A list without is a query's less its relevant documents; documents without a judgment "
        "stay. Intervals are 95 %, over queries."
    )


def _row(row: Answerability) -> Row:
    by_column = {}
    seen = row.table.row.seen
    for signal in row.signals:
        by_column[signal.name] = cells.seen(error_cell(signal.auroc), seen)
        if signal.name == TOP:
            by_column[FALSE_ACCEPTS] = cells.seen(error_cell(signal.false_accepts), seen)
    if row.signals:
        by_column["chance"] = cells.mean(row.chance)
    return Row(row.table.name, by_column, kind="reranker")


def _data(row: Answerability) -> Record:
    trial = row.table.row.trial
    problem = "" if row.problem is None else str(row.problem)
    return {
        "trial": trial.id,
        "dataset": trial.dataset,
        "first_stage": trial.first_stage,
        "reranker": trial.reranker,
        "answerable": row.answerable,
        "without": row.without,
        "chance": None if problem else row.chance,
        "problem": problem,
        "asked": row.is_asked,
        "remark": row.remark,
        "signals": [
            {
                "signal": signal.name,
                "auroc": signal.auroc.model_dump(),
                "false_accepts": signal.false_accepts.model_dump(),
                "threshold": signal.threshold,
            }
            for signal in row.signals
        ],
    }


def flat(rows: Sequence[Answerability]) -> list[Record]:
    """Return a line per row of the run and signal, for CSV and data frames."""
    lines: list[Record] = []
    for row in rows:
        trial = row.table.row.trial
        names: Record = {
            "dataset": trial.dataset,
            "first_stage": trial.first_stage,
            "reranker": trial.reranker,
            "device": trial.device,
            "answerable": row.answerable,
            "without": row.without,
        }
        for signal in row.signals:
            line = {**names, "signal": signal.name, "chance": row.chance}
            line |= _flat("auroc", signal.auroc)
            line |= _flat("false_accepts", signal.false_accepts)
            lines.append({**line, "threshold": signal.threshold})
    return lines


def _flat(name: str, value: ErrorInterval) -> Record:
    return {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
