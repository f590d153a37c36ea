"""Judgments by a model as a document: what asking would take, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from bench.core.counting import counted
from bench.judging.forecast import Expected, Forecast
from bench.judging.grades import GRADES
from bench.judging.job import Outcome
from bench.reports import cells, numbers
from bench.reports.cells import Cell
from bench.reports.document import (
    Block,
    Bullets,
    Column,
    Document,
    Paragraph,
    Record,
    Row,
    Section,
    Strong,
    Table,
)

LISTED = 10
"""Pairs without a grade that a table lists; the provenance lists all."""
EXPECTED = (
    Column("pairs", "pairs", "documents among the first of some row, by query", priority=1),
    Column("answered", "answered", "pairs whose answers are kept", priority=2),
    Column("requests", "requests", "at least one per pair to ask", priority=0),
    Column("tokens", "tokens", "tokens that are read", priority=2),
    Column("out", "out", "tokens that are written, at most", priority=3),
    Column("usd", "$", "US dollars, at most", better="lower", priority=0),
    Column("time", "time", better="lower", priority=1),
)
GRADED = tuple(Column(str(grade), str(grade), f"pairs of grade {grade}") for grade in GRADES)
OUTCOME = (
    Column("pairs", "pairs", "documents among the first of some row, by query", priority=1),
    Column("judged", "judged", "pairs with a grade", better="higher", priority=0),
    *GRADED,
    Column("failed", "no grade", "pairs without a graded answer", better="lower", priority=0),
    Column("tokens", "tokens", "tokens read and written", priority=6),
    Column("usd", "$", "US dollars of all answers, whenever they came", priority=3),
)


def forecast(expected: Forecast) -> Document:
    """Return a row per dataset, and how the numbers came about."""
    rows = [Row(row.dataset, _expected(row)) for row in expected.rows]
    table = Table("dataset", EXPECTED, rows, f"what asking {expected.judge} would take")
    notes = [
        f"tokens: {expected.tokens_from}",
        "time: as fast as the answers that are kept, and no faster than the limits per minute "
        "allow; ? where there is neither",
    ]
    blocks: list[Block] = [table, *(Paragraph((line,), quiet=True) for line in notes)]
    blocks.append(Paragraph((Strong(_total(expected)),)))
    data: Record = {
        "judge": expected.judge,
        "usd": expected.usd,
        "tokens_from": expected.tokens_from,
        "datasets": [_flat(row) for row in expected.rows],
    }
    return Document("", [Section("forecast", "Forecast", blocks, titled=False)], data=data)


def document(outcomes: Sequence[Outcome]) -> Document:
    """Return a row per dataset, and the pairs without a grade."""
    rows = [Row(outcome.dataset, _judged(outcome)) for outcome in outcomes]
    blocks: list[Block] = [Table("dataset", OUTCOME, rows, "judgments by a model")]
    failures: list[str] = []
    for outcome in outcomes:
        failures += _failures(outcome)
    if failures:
        blocks.append(Bullets([(line,) for line in failures]))
    data = [_outcome(outcome) for outcome in outcomes]
    return Document("", [Section("judged", "Judgments", blocks, titled=False)], data=data)


def _expected(row: Expected) -> dict[str, Cell]:
    time = cells.missing(words=cells.UNKNOWN)
    if row.seconds is not None:
        time = Cell("duration", numbers.duration(row.seconds), row.seconds)
    return {
        "pairs": cells.count(row.pairs),
        "answered": cells.count(row.answered),
        "requests": cells.count(row.to_ask),
        "tokens": cells.count(row.usage.tokens),
        "out": cells.count(row.usage.tokens_out),
        "usd": cells.bill(row.usd),
        "time": time,
    }


def _total(expected: Forecast) -> str:
    requests = counted(expected.to_ask, "request")
    if expected.usd is None:
        return f"{expected.judge}: {requests}, at a price that is not known (--price)"
    if not expected.usd:
        return f"{expected.judge}: {requests}, for nothing"
    return f"{expected.judge}: {requests}, ${expected.usd:.2f} at most"


def _flat(row: Expected) -> Record:
    return {
        "dataset": row.dataset,
        "pairs": row.pairs,
        "answered": row.answered,
        "blank": row.blank,
        "requests": row.to_ask,
        "tokens": row.usage.tokens,
        "tokens_out": row.usage.tokens_out,
        "usd": row.usd,
        "seconds": row.seconds,
    }


def _judged(outcome: Outcome) -> dict[str, Cell]:
    counts, usage = _counts(outcome), outcome.judged.usage
    by_column = {
        "pairs": cells.count(len(outcome.judged.assignment.pool.pairs)),
        "judged": cells.count(len(outcome.judged.grades)),
        "failed": cells.count(len(outcome.judged.reasons) or None),
        "tokens": cells.count(usage.tokens + usage.tokens_out),
        "usd": cells.bill(outcome.usd),
    }
    for grade in GRADES:
        by_column[str(grade)] = cells.count(counts[grade])
    return by_column


def _counts(outcome: Outcome) -> Mapping[int, int]:
    return Counter(outcome.judged.grades.values())


def _failures(outcome: Outcome) -> Iterator[str]:
    reasons = outcome.judged.reasons
    for pair in sorted(reasons)[:LISTED]:
        yield f"{outcome.dataset}, {pair.query_id}, {pair.doc_id}: {reasons[pair]}"
    if len(reasons) > LISTED:
        yield f"{outcome.dataset}: {len(reasons) - LISTED} more are in the provenance"


def _outcome(outcome: Outcome) -> Record:
    counts = _counts(outcome)
    path = outcome.path
    return {
        "dataset": outcome.dataset,
        "qrels": None if path is None else str(path),
        "pairs": len(outcome.judged.assignment.pool.pairs),
        "judged": len(outcome.judged.grades),
        "grades": {str(grade): counts[grade] for grade in GRADES},
        "usd": outcome.usd,
        "failures": [
            {"query": pair.query_id, "document": pair.doc_id, "reason": reason}
            for pair, reason in sorted(outcome.judged.reasons.items())
        ],
    }
