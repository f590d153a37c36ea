"""Checks of whether queries, judgments and documents meet: an error where nothing matches, a
counted note where something does not.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import chain

from bench.core.counting import counted
from bench.core.errors import DataError, SuiteError
from bench.core.note import Code, Notes
from bench.core.printable import quoted
from bench.datasets.base import Dataset, Qrels
from bench.datasets.lines import id_problem
from bench.datasets.matching import difference

COMPARED = 200_000
"""Documents up to which single ids that are missing are compared with those that are there."""
LOOKED_UP = 100
"""Judged documents looked up in a collection that is too large to be read whole."""


def known_queries(dataset: Dataset, notes: Notes) -> Qrels:
    """Return the judgments of queries that have a text. Raises DataError where none has one, or an
    id cannot be written to a run file.
    """
    qrels = {
        query_id: grades
        for query_id, grades in dataset.qrels.items()
        if query_id in dataset.queries and grades
    }
    unknown = [query_id for query_id in dataset.qrels if query_id not in dataset.queries]
    if not qrels:
        problem = (
            f"{dataset.id}: none of its {counted(len(dataset.queries), 'query')} has a judgment"
        )
        if unknown:
            ours = next(iter(dataset.queries), "")
            problem += (
                f"; the qrels name queries such as '{unknown[0]}', the queries are such as '{ours}'"
            )
            problem += _but(difference(unknown, dataset.queries))
        raise DataError(problem)
    for query_id in qrels:
        problem = id_problem(query_id) or ""
        if query_id.startswith("#"):
            problem = (
                "begins with '#', which marks a comment in run files: give it another id "
                "there and in the judgments"
            )
        if problem:
            raise DataError(f"{dataset.id}: query id {quoted(query_id)} {problem}")
    notes.add(Code.UNKNOWN_QUERIES, len(unknown), text=difference(unknown, dataset.queries))
    return qrels


def check_grades(name: str, qrels: Qrels, min_relevance: int, notes: Notes) -> None:
    """Count queries without a relevant document.

    Raises DataError where no grade is positive, SuiteError for a threshold above every grade.
    """
    highest = max(max(grades.values()) for grades in qrels.values())
    if highest < 1:
        lowest = min(min(grades.values()) for grades in qrels.values())
        span = f"they go from {lowest} to {highest}"
        if lowest == highest:
            span = f"all are {highest}"
        raise DataError(
            f"{name}: no judgment has a positive grade ({span}): there is nothing to find"
        )
    if highest < min_relevance:
        problem = f"min_relevance {min_relevance} is above every grade (the highest is {highest})"
        raise SuiteError(f"{name}: {problem}: no document would be relevant; lower it")
    hopeless = sum(max(grades.values()) < min_relevance for grades in qrels.values())
    notes.add(Code.WITHOUT_RELEVANT, hopeless, grade=min_relevance)


def lists_relevant_only(qrels: Qrels, notes: Notes) -> bool:
    """Return whether no judgment says that a document is not relevant: then the share of judged
    documents says nothing.
    """
    is_relevant_only = all(min(grades.values()) > 0 for grades in qrels.values())
    if is_relevant_only:
        notes.add(Code.RELEVANT_ONLY, sum(map(len, qrels.values())))
    return is_relevant_only


def check_documents(
    dataset: Dataset,
    qrels: Qrels,
    doc_ids: Collection[str] | None,
    min_relevance: int,
    notes: Notes,
) -> None:
    """Count judged documents that the collection lacks; raises DataError where it lacks all, or has
    an id that cannot be written.

    `doc_ids` are the collection's, None where it is too large to be read whole: then some of the
    judged are looked up.
    """
    judged = list(dict.fromkeys(chain.from_iterable(qrels.values())))
    if doc_ids is None:
        _look_up(dataset, judged, notes)
        return
    bad = next((doc_id for doc_id in doc_ids if id_problem(doc_id)), None)
    if bad is not None:
        raise DataError(f"{dataset.id}: document id {quoted(bad)} {id_problem(bad)}")
    missing = [doc_id for doc_id in judged if doc_id not in doc_ids]
    if len(missing) == len(judged):
        raise DataError(_nothing_matches(dataset, missing, sorted(doc_ids)))
    hint = ""
    if missing and len(doc_ids) <= COMPARED:
        hint = difference(missing, doc_ids)
    notes.add(Code.UNKNOWN_DOCUMENTS, len(missing), len(judged), hint)
    absent = set(missing)
    unreachable = 0
    for grades in qrels.values():
        relevant = [doc_id for doc_id, grade in grades.items() if grade >= min_relevance]
        unreachable += bool(relevant) and absent.issuperset(relevant)
    notes.add(Code.UNREACHABLE, unreachable)


def _look_up(dataset: Dataset, judged: Sequence[str], notes: Notes) -> None:
    if not can_look_up(dataset):
        return
    sample = judged[:: max(1, len(judged) // LOOKED_UP)][:LOOKED_UP]
    missing = [doc_id for doc_id in sample if not has_document(dataset, doc_id)]
    if len(missing) == len(sample):
        raise DataError(_nothing_matches(dataset, missing, []))
    notes.add(Code.UNKNOWN_IN_SAMPLE, len(missing), len(sample))


def can_look_up(dataset: Dataset) -> bool:
    """Return whether single documents can be looked up in no time, and one that is not found is not
    there.

    A check that has read the first documents only cannot tell that one is missing. An outsider's
    documents may not say what is quick.
    """
    return dataset.documents_read is None and getattr(dataset.documents, "is_quick", True)


def has_document(dataset: Dataset, doc_id: str) -> bool:
    """Return whether a collection has a document."""
    try:
        dataset.documents.get([doc_id])
    except DataError:
        return False
    return True


def _nothing_matches(dataset: Dataset, missing: Sequence[str], doc_ids: Sequence[str]) -> str:
    problem = (
        f"{dataset.id}: none of {counted(len(missing), 'judged document')} is in the collection"
    )
    example = f"; the qrels name documents such as '{missing[0]}'"
    if doc_ids:
        example += f", the documents are such as '{doc_ids[0]}'"
    return f"{problem}{example}{_but(difference(missing, doc_ids))}"


def documents_there(dataset: Dataset, missing: Sequence[str]) -> str:
    """Return what the ids of a collection look like, and how those that it lacks differ from them,
    as the end of a sentence.
    """
    doc_ids = dataset.documents.ids()
    text = f"; the documents are such as '{next(doc_ids, '')}'"
    if len(dataset.documents) <= COMPARED:
        text += _but(difference(missing, dataset.documents.ids()))
    return text


def _but(text: str) -> str:
    if not text:
        return ""
    return f"; {text}"
