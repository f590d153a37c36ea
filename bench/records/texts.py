"""What a report shows of queries and documents: it reads records only, so their texts and grades
must stand in the run folder.

Bounded, since a run is kept for long: documents that someone ranked in a top 10, each cut. Grades
are all those of the queries measured, retrieved or not: measures need them. A suite with
`store_texts: false` keeps ids and grades, and no text leaves its collection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

TOP = 10
BATCH = 1000
"""Documents whose whole texts are in memory at once."""
LIMIT = 600
"""Characters kept of a document: what one reads to see why it was ranked."""


@dataclass(frozen=True)
class Texts:
    """Rows of the tables `queries`, `documents` and `judgments` for one group."""

    queries: Sequence[tuple[str, str, str]]
    documents: Sequence[tuple[str, str, str]]
    judgments: Sequence[tuple[str, str, str, int]]
    query_fields: Sequence[tuple[str, str, str, str]] = ()


def of_group(
    dataset: str,
    queries: Mapping[str, str],
    qrels: Mapping[str, Mapping[str, int]],
    candidates: Iterable[tuple[str, Sequence[str]]],
    tops: Iterable[Iterable[str]],
    texts_of: Callable[[Sequence[str]], Sequence[str]] | None,
    query_fields: Mapping[str, Mapping[str, str]] | None = None,
) -> Texts:
    """What is kept of the trials over one dataset's candidates: `candidates` are by query, `tops`
    holds each trial's best documents of all queries, each once.

    `queries` are those measured. `texts_of` gives the texts of documents; without it none are kept.
    """
    judgments: list[tuple[str, str, str, int]] = []
    for query_id, grades in qrels.items():
        judgments += [(dataset, query_id, doc_id, int(grade)) for doc_id, grade in grades.items()]
    wanted: dict[str, None] = {}
    for _, doc_ids in candidates:
        wanted |= dict.fromkeys(doc_ids[:TOP])
    if texts_of is None:
        return Texts([], [], judgments)
    for best in tops:
        wanted |= dict.fromkeys(best)
    return Texts(
        [(dataset, query_id, _storable(text)) for query_id, text in queries.items()],
        [(dataset, doc_id, text) for doc_id, text in _cut_texts(list(wanted), texts_of)],
        judgments,
        list(_field_rows(dataset, queries, query_fields or {})),
    )


def _field_rows(
    dataset: str, queries: Iterable[str], query_fields: Mapping[str, Mapping[str, str]]
) -> Iterator[tuple[str, str, str, str]]:
    for query_id in queries:
        for name, value in query_fields.get(query_id, {}).items():
            yield dataset, query_id, _storable(name), _storable(value)


def _cut_texts(
    doc_ids: Sequence[str], texts_of: Callable[[Sequence[str]], Sequence[str]]
) -> Iterator[tuple[str, str]]:
    for start in range(0, len(doc_ids), BATCH):
        batch = doc_ids[start : start + BATCH]
        yield from zip(batch, map(_cut, texts_of(batch)), strict=True)


def _cut(text: str) -> str:
    """The beginning of a text; a mark says that there was more."""
    return _storable(text if len(text) <= LIMIT else f"{text[: LIMIT - 1].rstrip()}…")


def _storable(text: str) -> str:
    """Half a character (a lone surrogate) has no UTF-8: it becomes a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8")
