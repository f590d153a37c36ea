"""A cut as a document: what is promised, what it keeps here, and elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench.calibration.file import ErrorInterval
from bench.core.counting import counted
from bench.meaning.cut import Cut, Effect
from bench.reports import cells
from bench.reports.calibrated import error_cell
from bench.reports.cells import Cell
from bench.reports.document import Block, Bullets, Column, Document, Record, Row, Section, Table
from bench.reports.judges import Marked

HERE = "the queries that chose it"
ELSEWHERE = "other queries, cross-fitted"
COLUMNS = (
    Column("recall", "recall", better="higher", priority=0, interval="value", needed=True),
    Column("precision", "precision", better="higher", priority=1, interval="value"),
    Column("documents", "documents", "kept per query", priority=2, interval="comment"),
    Column("of_documents", "of documents", "candidates per query", priority=2),
    Column("empty", "none kept", "share of queries", priority=3, interval="comment"),
    Column("tokens", "tokens", "of what is kept, per query", priority=5),
    Column("of_tokens", "of tokens", "of all candidates, per query", priority=5),
    Column(
        "query_precision",
        "query precision",
        "mean over queries, 1 where nothing is kept",
        priority=4,
        interval="comment",
    ),
)
READ = {
    "left-out": "they are kept or not like the others, and count in no recall and no precision",
    "not-relevant": "they count as not relevant",
}
"""How unjudged documents are read."""


class Cuts(Marked[Cut]):
    """Cuts that a notebook shows as the command prints them."""

    def document(self) -> Document:
        return document(self)


def document(cuts: Sequence[Cut]) -> Document:
    """Return a section per cut."""
    sections: list[Section] = []
    for number, cut in enumerate(cuts):
        blocks: list[Block] = [_table(cut), Bullets([(line,) for line in sentences(cut)])]
        sections.append(Section(f"cut{number}", _title(cut), blocks))
    return Document("", sections, data=[_data(cut) for cut in cuts], records=flat(cuts))


def _title(cut: Cut) -> str:
    trial = cut.table.row.trial
    return (
        f"{trial.dataset}, {trial.first_stage}, {cut.table.name}: keep scores from "
        f"{number(cut.threshold)} on, for a {cut.goal} of {cut.level:g}"
    )


def number(threshold: float) -> str:
    """Return a threshold as text."""
    if math.isinf(threshold):
        return "-∞" if threshold < 0 else "∞"
    return f"{threshold:.4g}"


def _table(cut: Cut) -> Table:
    columns = [*COLUMNS]
    if cut.goal == "precision":
        columns = [replace(columns[-1], priority=0, interval="value"), *columns[:-1]]
    rows = list(_sets(cut))
    if not any(effect.tokens for _, effect in rows):
        columns = [column for column in columns if "tokens" not in column.key]
    lines = [Row(name, _cells(effect), kind="reranker") for name, effect in rows]
    return Table("on", columns, lines, _title(cut))


def _sets(cut: Cut) -> Iterator[tuple[str, Effect]]:
    """Yield the sets of queries that a cut is tried on, by name."""
    yield HERE, cut.here
    yield ELSEWHERE, cut.elsewhere
    for carried in cut.carried:
        trial = carried.table.row.trial
        yield f"{trial.dataset}, {trial.first_stage} ({carried.run_id})", carried.effect


def _cells(effect: Effect) -> dict[str, Cell]:
    return {
        "recall": error_cell(effect.recall, "no query has a relevant candidate"),
        "precision": error_cell(effect.precision, "nothing judged is kept"),
        "query_precision": error_cell(effect.query_precision),
        "documents": _amount(effect.documents),
        "of_documents": cells.number("count", "{:,.1f}".format, effect.of_documents),
        "empty": cells.number("share", "{:.1%}".format, *_parts(effect.empty)),
        "tokens": cells.number("count", "{:,.0f}".format, effect.tokens),
        "of_tokens": cells.number("count", "{:,.0f}".format, effect.of_tokens),
    }


def _amount(error: ErrorInterval) -> Cell:
    return cells.number("count", "{:,.1f}".format, *_parts(error))


def _parts(error: ErrorInterval) -> tuple[float | None, float | None, float | None]:
    return error.value, error.low, error.high


def sentences(cut: Cut) -> Iterator[str]:
    """Yield what a cut promises, and what to know of it."""
    share = f"{100 * cut.level:.6g} %"
    chosen = counted(cut.queries, "query")
    if cut.goal == "recall":
        yield (
            f"Promised: of another query like these {chosen} with a relevant candidate, at least "
            f"{share} of its relevant candidates are kept, in expectation over these queries and "
            "that one (conformal risk control). A single threshold may do worse, by what the "
            "interval says."
        )
    else:
        yield (
            f"Promised: of what is kept of another query like these {chosen}, at least {share} is "
            "relevant, in expectation over these queries and that one, where a query of which "
            "nothing is kept counts 100 % (conformal risk control on the worst share from the "
            "highest score down). It is the query precision, and not that of all documents "
            "together."
        )
    yield (
        f"With other queries drawn from these, the threshold lies between {number(cut.low)} and "
        f"{number(cut.high)} (95 %)."
    )
    if math.isinf(cut.threshold):
        yield from _unbounded(cut)
    if not cut.table.is_judged.all():
        unjudged = int((~cut.table.is_judged).sum())
        documents = len(cut.table.scores)
        yield f"Of {documents:,} documents {unjudged:,} are unjudged: {READ[cut.unjudged]}."
    changed = [each.table.row.trial.id for each in cut.carried if not each.same_identity]
    if changed:
        yield (
            f"Not the same reranker as loaded, or not the same first stage: {', '.join(changed)}."
        )
    if cut.carried:
        yield "On other collections nothing is promised: the numbers say what became of it."


def _unbounded(cut: Cut) -> Iterator[str]:
    if cut.queries < cut.enough:
        yield (
            f"{counted(cut.queries, 'query')} promise nothing at this level: {cut.enough} are "
            "needed."
        )
    elif cut.goal == "recall":
        yield "Only keeping everything keeps the promise."
    else:
        yield "No threshold keeps the promise but one above every score."


def flat(cuts: Sequence[Cut]) -> list[Record]:
    """Return flat rows for programs: one per cut and set of queries."""
    records: list[Record] = []
    for cut in cuts:
        for name, effect in _sets(cut):
            record: Record = {**_about(cut), "on": name, "queries": effect.queries}
            for key, error in _errors(effect).items():
                record |= {key: error.value, f"{key} low": error.low, f"{key} high": error.high}
            record |= {"tokens": effect.tokens, "of_tokens": effect.of_tokens}
            records.append(record)
    return records


def _errors(effect: Effect) -> dict[str, ErrorInterval]:
    return {
        "recall": effect.recall,
        "precision": effect.precision,
        "query_precision": effect.query_precision,
        "documents": effect.documents,
        "empty": effect.empty,
    }


def _about(cut: Cut) -> Record:
    trial = cut.table.row.trial
    return {
        "trial": trial.id,
        "dataset": trial.dataset,
        "first_stage": trial.first_stage,
        "reranker": trial.reranker,
        "goal": cut.goal,
        "level": cut.level,
        "threshold": _finite(cut.threshold),
        "threshold_low": _finite(cut.low),
        "threshold_high": _finite(cut.high),
    }


def _finite(threshold: float) -> float | None:
    """Return a threshold as JSON has it: null where everything or nothing is effect."""
    if math.isinf(threshold):
        return None
    return threshold


def _data(cut: Cut) -> Record:
    keeps = {-math.inf: "everything", math.inf: "nothing"}.get(cut.threshold, "scores")
    return {
        **_about(cut),
        "keeps": keeps,
        "unjudged": cut.unjudged,
        "queries": cut.queries,
        "here": _effect_data(cut.here),
        "cross_fitted": _effect_data(cut.elsewhere),
        "carried": [
            {
                "run": each.run_id,
                "trial": each.table.row.trial.id,
                "same_identity": each.same_identity,
                **_effect_data(each.effect),
            }
            for each in cut.carried
        ],
        "notes": list(sentences(cut)),
    }


def _effect_data(effect: Effect) -> Record:
    data: Record = {name: error.model_dump() for name, error in _errors(effect).items()}
    amounts: Record = {
        "queries": effect.queries,
        "of_documents": effect.of_documents,
        "tokens": effect.tokens,
        "of_tokens": effect.of_tokens,
    }
    return {**data, **amounts}
