"""Queries that are documents of their collection under the same id, as in ArguAna and Quora: no
document answers itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from bench.core.note import Code, Notes
from bench.datasets.base import Dataset, Qrels, render
from bench.datasets.options import DatasetOptions

LONG = 40
"""Characters from which a query that a document merely contains is taken for that document."""


def own_documents(
    dataset: Dataset, options: DatasetOptions, qrels: Qrels, doc_ids: Collection[str], notes: Notes
) -> bool:
    """Return whether a document with the query's own id is left out of its candidates, as in BEIR's
    evaluation (ignore_identical_ids).

    On `auto` it is where the loader knows the collection as such a one, or where at least half of
    the ids that coincide are of one text: ids that are mere numbers coincide by chance.
    """
    alike = [query_id for query_id in qrels if query_id in doc_ids]
    same = [query_id for query_id in alike if _is_same(dataset, query_id, options.document)]
    is_known = dataset.skip_own or (bool(same) and 2 * len(same) >= len(alike))
    skip = options.own_document == "drop" or (options.own_document == "auto" and is_known)
    if skip:
        count = len(alike) if doc_ids else len(qrels)
        notes.add(Code.OWN_LEFT_OUT, count)
    else:
        notes.add(Code.OWN_LEFT_IN, len(same))
    return skip


def _is_same(dataset: Dataset, query_id: str, template: str) -> bool:
    query = _plain(dataset.queries[query_id])
    fields: Mapping[str, str] = dataset.documents.get([query_id])[0]
    texts = [_plain(text) for text in (fields.get("text", ""), render(template, fields))]
    if query in texts:
        return True
    return len(query) >= LONG and any(query in text for text in texts)


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
