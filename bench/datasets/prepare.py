"""From what a loader brings to a dataset that can be used: sampled, checked, counted and hashed, the same way for every kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

from bench.datasets.base import Dataset, Documents, Qrels, content_hash, render
from bench.datasets.lines import Notes, told
from bench.datasets.options import DatasetOptions, template_fields
from bench.errors import DataError, SuiteError

GLANCE = 1000
"""Documents looked at to find the fields of a collection that is too large to be read whole."""


def prepare(dataset: Dataset, options: DatasetOptions, seed: int) -> Dataset:
    """Apply the options. Raises SuiteError for a template that fits no document and DataError when no query has a judgment.

    The identity gains content hashes that do not depend on the order of documents, queries or judgments. A corpus is read whole and hashed
    unless the loader declares a `corpus_hash`, as it does for collections of millions.
    """
    notes = Notes()
    qrels = _known_queries(dataset, notes)
    queries = dict(dataset.queries) if options.queries is None else _sample(dataset.queries, qrels, options.queries, seed)
    qrels = {query_id: grades for query_id, grades in qrels.items() if query_id in queries}
    survey = _survey(dataset.documents, options.document, whole="corpus_hash" not in dataset.identity)
    _check_template(dataset, options.document, survey)
    if survey.whole:
        notes["documents whose rendered text is blank"] = survey.blank
        judged = {doc_id for grades in qrels.values() for doc_id in grades}
        notes["judged documents that are not in the collection (they stay in the qrels, as in trec_eval)"] = len(judged - survey.ids)
    identity = {
        **({"corpus_hash": survey.hash, "corpus_hash_kind": "content"} if survey.whole else {}),
        **dataset.identity,
        "queries_hash": content_hash(sorted(queries.items())),
        "qrels_hash": content_hash(sorted((q, d, str(grade)) for q, grades in qrels.items() for d, grade in grades.items())),
        "documents": len(dataset.documents),
        "queries": len(queries),
        "judgments": sum(len(grades) for grades in qrels.values()),
    }
    return replace(
        dataset,
        id=options.name or dataset.id,
        queries=queries,
        qrels=qrels,
        identity=identity,
        min_relevance=dataset.min_relevance if options.min_relevance is None else options.min_relevance,
        template=options.document,
        warnings=(*dataset.warnings, *told(notes)),
    )


def _known_queries(dataset: Dataset, notes: Notes) -> Qrels:
    qrels = {query_id: grades for query_id, grades in dataset.qrels.items() if query_id in dataset.queries and grades}
    unknown = [query_id for query_id in dataset.qrels if query_id not in dataset.queries]
    if not qrels:
        example = f"; the qrels name queries such as '{unknown[0]}', the queries are such as '{next(iter(dataset.queries), '')}'"
        raise DataError(f"{dataset.id}: none of its {len(dataset.queries)} queries has a judgment{example if unknown else ''}")
    notes["queries that have judgments but no text, left out"] = len(unknown)
    return qrels


def _sample(queries: Mapping[str, str], qrels: Qrels, size: int, seed: int) -> dict[str, str]:
    """Judged queries in the order of a seeded hash of their ids: a larger sample contains the smaller, on any Python version."""
    drawn = set(sorted(qrels, key=lambda query_id: content_hash([(str(seed), query_id)]))[:size])
    return {query_id: text for query_id, text in queries.items() if query_id in drawn}


@dataclass
class _Survey:
    """What one pass over the documents found."""

    whole: bool
    fields: set[str] = field(default_factory=set)
    seen: int = 0
    blank: int = 0
    ids: set[str] = field(default_factory=set)
    hash: str = ""


def _survey(documents: Documents, template: str, whole: bool) -> _Survey:
    survey = _Survey(whole)
    rows: list[str] = []
    every: Iterable[tuple[str, Mapping[str, str]]] = documents
    for doc_id, fields in every if whole else islice(every, GLANCE):
        survey.seen += 1
        survey.blank += not render(template, fields)
        survey.fields.update(fields)
        if whole:
            survey.ids.add(doc_id)
            rows.append(content_hash([(doc_id, *(cell for item in sorted(fields.items()) for cell in item))]))
    survey.hash = content_hash((row,) for row in sorted(rows))
    return survey


def _check_template(dataset: Dataset, template: str, survey: _Survey) -> None:
    if not survey.seen:
        raise DataError(f"{dataset.id}: the collection has no documents")
    missing = set(template_fields(template)) - survey.fields - {"title"}  # collections without titles are common, and no mistake
    if missing or survey.blank == survey.seen:
        problem = f"names '{min(missing)}', which no document has" if missing else "leaves every document blank"
        have = ", ".join(sorted(survey.fields))
        raise SuiteError(f"{dataset.id}: the document template '{template}' {problem} (the documents have: {have})")
