"""What the indexes of a run's first stages took to build and take on disk, apart from the latency
of a query.
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.contract.index_facts import IndexFacts
from bench.reports import cells, numbers
from bench.reports.cells import Cell
from bench.reports.document import Block, Column, Paragraph, Row, Section, Table
from bench.reports.view import View

EXPLANATION = (
    "An index is built once and opened from the cache afterwards: the time is that of building it, "
    "and in no latency. Bytes are on disk."
)
WHOLE = "in all"
BUILT, OPENED = "built now", "cache"
"""Where an index of a run comes from."""


def indexes(view: View) -> Section | None:
    """Return a row per index of the run's first stages; a narrow terminal has them where embeddings
    are among them.
    """
    rows: list[Row] = []
    has_vectors = False
    for dataset, name, facts in _indexes(view):
        has_vectors = has_vectors or facts.kind == "vectors" or bool(facts.parts)
        rows += [_row(dataset, name, facts), *_parts(dataset, name, facts)]
    if not rows:
        return None
    columns = [
        Column("dataset", "collection", align="left", priority=1),
        Column("documents", "documents", priority=3),
        Column("entries", "entries", "vectors of texts that differ, or postings", priority=4),
        Column("build", "built in s", better="lower", priority=0),
        Column("bytes", "size", "on disk", better="lower", priority=0),
        Column("each", "bytes/doc", "on disk, per document", better="lower", priority=2),
    ]
    if any("recall" in row.cells for row in rows):
        hint = "of an approximate search: share of what the exact search finds"
        columns.append(Column("recall", "recall", hint, better="higher", priority=1))
    columns.append(Column("source", "source", align="left", priority=5))
    table = Table("first stage", columns, rows, "what the indexes took", sortable=True)
    blocks: list[Block] = [table, Paragraph((EXPLANATION,), quiet=True)]
    # word indexes are built in seconds: a narrow terminal has room for something else
    return Section("indexes", "Indexes", blocks, folded=True, wide=not has_vectors)


def _indexes(view: View) -> Iterator[tuple[str, str, IndexFacts]]:
    """Yield dataset, first stage and facts of each index, in the run's order."""
    seen: set[tuple[str, str]] = set()
    for record in view.run.records.values():
        place = (record.trial.dataset, record.trial.first_stage)
        fields = record.candidates.get("index")
        if fields is not None and place not in seen:
            seen.add(place)
            yield (*place, IndexFacts.read(fields))


def _parts(dataset: str, name: str, facts: IndexFacts) -> Iterator[Row]:
    for part in facts.parts:
        label = f"{name}: {part.name}"
        yield _row(dataset, label, part)
        yield from _parts(dataset, label, part)


def _row(dataset: str, name: str, facts: IndexFacts) -> Row:
    entries = cells.text(f"{facts.entries:,} {facts.kind}")
    if facts.parts:
        entries = cells.text(WHOLE)
    by_column: dict[str, Cell] = {
        "dataset": cells.text(dataset),
        "documents": cells.count(facts.documents),
        "entries": entries,
        "build": cells.number("count", numbers.seconds, facts.seconds),
        "bytes": cells.number("count", numbers.size, facts.bytes),
        "each": cells.missing(),
        "source": cells.text(BUILT),
    }
    if facts.opened:
        by_column["source"] = cells.text(OPENED)
    if facts.bytes_per_document is not None:
        by_column["each"] = cells.number("count", "{:,.0f}".format, facts.bytes_per_document)
    if facts.recall is not None:
        by_column["recall"] = cells.mean(facts.recall)
    return Row(name, by_column)
