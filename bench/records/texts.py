"""What a report shows of queries and documents: it reads records only, so their texts and grades must stand in the run folder.

Bounded, since a run is kept for long: documents that someone ranked in a top 10, each cut, and grades of candidates alone. A suite with
`store_texts: false` keeps ids and grades, and no text leaves its collection.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.measure.ranking import Ranking
    from bench.rerankers.base import Request

QUERIES = ("dataset", "query", "text")
DOCUMENTS = ("dataset", "document", "text")
JUDGMENTS = ("dataset", "query", "document", "grade")
TOP = 10
LIMIT = 600
"""Characters kept of a document: what one reads to see why it was ranked."""


@dataclass(frozen=True)
class Texts:
    """Rows of queries.parquet, documents.parquet and judgments.parquet, in the order of QUERIES, DOCUMENTS and JUDGMENTS."""

    queries: Sequence[tuple[str, str, str]]
    documents: Sequence[tuple[str, str, str]]
    judgments: Sequence[tuple[str, str, str, int]]


def of_group(
    dataset: str,
    queries: Mapping[str, str],
    qrels: Mapping[str, Mapping[str, int]],
    requests: Sequence[Request],
    rankings: Iterable[Mapping[str, Ranking]],
    *,
    with_texts: bool = True,
) -> Texts:
    """What is kept of the trials over one dataset's candidates: `rankings` holds each trial's, by query. `queries` are those measured."""
    ranked = list(rankings)
    judgments = [
        (dataset, request.query_id, doc_id, int(grades[doc_id]))
        for request in requests
        if (grades := qrels.get(request.query_id))
        for doc_id in request.doc_ids
        if doc_id in grades
    ]
    if not with_texts:
        return Texts([], [], judgments)
    kept: dict[str, str] = {}
    for request in requests:
        tops = [request.doc_ids[:TOP], *(found[request.query_id].doc_ids[:TOP] for found in ranked if request.query_id in found)]
        wanted = {doc_id for top in tops for doc_id in top} - kept.keys()
        kept |= {doc_id: _cut(text) for doc_id, text in zip(request.doc_ids, request.docs, strict=True) if doc_id in wanted}
    return Texts(
        [(dataset, query_id, _storable(text)) for query_id, text in queries.items()],
        [(dataset, doc_id, text) for doc_id, text in kept.items()],
        judgments,
    )


def _cut(text: str) -> str:
    """The beginning of a text; a mark says that there was more."""
    return _storable(text if len(text) <= LIMIT else f"{text[: LIMIT - 1].rstrip()}…")


def _storable(text: str) -> str:
    """Half a character (a lone surrogate) has no UTF-8: it becomes a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8")
