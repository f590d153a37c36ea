"""From what a loader brings to a dataset that can be used: sampled, checked, counted and hashed,
the same way for every kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain, islice

from bench.core.errors import DataError, SuiteError
from bench.core.note import Code, Notes, read_notes
from bench.datasets import checks
from bench.datasets.base import Dataset, Documents, Qrels, content_hash, render
from bench.datasets.families import families_of, with_translations
from bench.datasets.options import DatasetOptions, template_fields
from bench.datasets.own_document import own_documents

GLANCE = 1000
"""Documents looked at to find the fields of a collection that is too large to be read whole."""


def prepare(dataset: Dataset, options: DatasetOptions, seed: int) -> Dataset:
    """Return the dataset with its options applied.

    Raises SuiteError for a template that fits no document or a threshold above every grade, and
    DataError where queries, judgments and documents do not meet; where only some do not, they are
    counted.

    The identity gains content hashes that do not depend on the order of documents, queries or
    judgments. A corpus is read whole and hashed unless the loader declares a `corpus_hash`, as it
    does for collections of millions.
    """
    notes = Notes()
    qrels = dataset.qrels
    if not dataset.is_unjudged:
        qrels = checks.known_queries(dataset, notes)
    queries = dict(dataset.queries)
    if options.queries is not None:
        queries = _sample(dataset.queries, qrels, options.queries, seed)
    qrels = {query_id: grades for query_id, grades in qrels.items() if query_id in queries}
    min_relevance = options.min_relevance or dataset.min_relevance
    if dataset.is_unjudged:
        notes.add(Code.UNJUDGED, len(queries))
    else:
        checks.check_grades(dataset.id, qrels, min_relevance, notes)
    notes.add(Code.UNJUDGED_QUERIES, len(queries) - len(qrels))
    survey = _survey(dataset, options.document)
    if dataset.has_texts:
        _check_template(dataset, options.document, survey)
        doc_ids = survey.ids if survey.is_complete else None
        if not dataset.is_unjudged:
            checks.check_documents(dataset, qrels, doc_ids, min_relevance, notes)
        if survey.is_complete:
            notes.add(Code.BLANK_DOCUMENTS, survey.blank)
    relevant_only = not dataset.is_unjudged and checks.lists_relevant_only(qrels, notes)
    skip_own = own_documents(dataset, options, qrels, survey.ids, notes)
    identity: dict[str, str | int] = {}
    if survey.is_complete:
        identity = {"corpus_hash": survey.hash, "corpus_hash_kind": "content"}
    judgments = _judgments(qrels)
    identity = {
        **identity,
        **dataset.identity,
        "queries_hash": content_hash(sorted(queries.items())),
        "qrels_hash": content_hash(sorted(judgments)),
        "documents": len(dataset.documents),
        "queries": len(queries),
        "judgments": len(judgments),
    }
    return replace(
        dataset,
        id=options.name or dataset.id,
        queries=queries,
        qrels=qrels,
        identity=identity,
        min_relevance=min_relevance,
        template=options.document,
        warnings=(*read_notes(dataset.warnings), *notes.all()),
        relevant_only=relevant_only,
        skip_own=skip_own,
        families=_families(dataset, options),
    )


def _families(dataset: Dataset, options: DatasetOptions) -> tuple[str, ...]:
    if options.family is not None:
        return with_translations([options.family.casefold()])
    return families_of(f"{dataset.identity.get('id', '')}/{dataset.id}")


def _judgments(qrels: Qrels) -> list[tuple[str, str, str]]:
    """Return the rows (query id, document id, grade)."""
    rows = []
    for query_id, grades in qrels.items():
        rows += [(query_id, doc_id, str(grade)) for doc_id, grade in grades.items()]
    return rows


def _sample(
    queries: Mapping[str, str], qrels: Iterable[str], size: int, seed: int
) -> dict[str, str]:
    """Return judged queries, the first in the order of a seeded hash of their ids: a larger sample
    contains the smaller, on any Python version.
    """
    drawn = set(in_sample_order(qrels, seed)[:size])
    return {query_id: text for query_id, text in queries.items() if query_id in drawn}


def in_sample_order(query_ids: Iterable[str], seed: int) -> list[str]:
    """Return queries in the order in which samples of growing size take them."""
    return sorted(query_ids, key=lambda query_id: content_hash([(str(seed), query_id)]))


@dataclass
class _Survey:
    """What one pass over the documents saw; `is_complete` where these are all."""

    is_complete: bool
    fields: set[str] = field(default_factory=set)
    seen: int = 0
    blank: int = 0
    ids: set[str] = field(default_factory=set)
    hash: str = ""


def _survey(dataset: Dataset, template: str) -> _Survey:
    documents: Documents = dataset.documents
    if not dataset.has_texts:
        return _Survey(is_complete=False)
    is_hashed = "corpus_hash" in dataset.identity
    survey = _Survey(is_complete=not is_hashed and dataset.documents_read is None)
    rows: Iterable[tuple[str, Mapping[str, str]]] = documents
    if not survey.is_complete:
        rows = islice(documents, GLANCE)
    hashes: list[str] = []
    for doc_id, fields in rows:
        survey.seen += 1
        survey.blank += not render(template, fields)
        survey.fields.update(fields)
        if survey.is_complete:
            survey.ids.add(doc_id)
            cells = chain.from_iterable(sorted(fields.items()))
            hashes.append(content_hash([(doc_id, *cells)]))
    survey.hash = content_hash((row,) for row in sorted(hashes))
    return survey


def _check_template(dataset: Dataset, template: str, survey: _Survey) -> None:
    if not survey.seen:
        raise DataError(f"{dataset.id}: the collection has no documents")
    # collections without titles are common, and no mistake
    missing = set(template_fields(template)) - survey.fields - {"title"}
    if missing or survey.blank == survey.seen:
        problem = "leaves every document blank"
        if missing:
            problem = f"names '{min(missing)}', which no document has"
        names = ", ".join(sorted(survey.fields))
        raise SuiteError(
            f"{dataset.id}: the document template '{template}' {problem} (the documents have: "
            f"{names})"
        )
