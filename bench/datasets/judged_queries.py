"""The judged queries of datasets, and what they have in common."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from bench.core import words
from bench.core.errors import DataError
from bench.datasets.base import Dataset, content_hash, render
from bench.datasets.folds import visible_text
from bench.datasets.similarity import Words


class JudgedQuery(NamedTuple):
    """A query with its relevant documents. `dataset` is the place of its dataset, and
    `name` is what lists call it: its id, with its dataset's where there are several. `positives`
    are the ids of its relevant documents, `texts` digests of what these say, the same for the same
    text.
    """

    dataset: int
    query_id: str
    name: str
    text: str
    grades: Mapping[str, int]
    positives: tuple[str, ...]
    texts: frozenset[str]

    @property
    def key(self) -> str:
        """A digest that two queries that ask the same have in common."""
        return content_hash([(visible_text(self.text),)])

    @property
    def words(self) -> Words:
        """Digests of its words."""
        return frozenset(map(_word_digest, tokens(self.text)))


@dataclass(frozen=True)
class Judged:
    """The judged queries of some datasets, in the order of their ids; `without_positive` counts
    those that were left out, since no document of the collection is relevant.
    """

    datasets: Sequence[Dataset]
    queries: Sequence[JudgedQuery]
    without_positive: int


def judged(datasets: Sequence[Dataset]) -> Judged:
    """Return the judged queries of some datasets. Raises DataError where there is none."""
    queries: list[JudgedQuery] = []
    without = 0
    for place, dataset in enumerate(datasets):
        relevant = _relevant(dataset)
        for query_id in sorted(relevant):
            positives = relevant[query_id]
            if not positives:
                without += 1
                continue
            name = query_id
            if len(datasets) > 1:
                name = f"{dataset.id}:{query_id}"
            queries.append(
                JudgedQuery(
                    place,
                    query_id,
                    name,
                    dataset.queries[query_id],
                    dataset.qrels[query_id],
                    positives,
                    _digests(dataset, positives),
                )
            )
    if not queries:
        names = ", ".join(dataset.id for dataset in datasets)
        raise DataError(f"{names}: no query has a relevant document: nothing can be learned")
    return Judged(datasets, queries, without)


def measured(dataset: Dataset) -> list[JudgedQuery]:
    """Return the queries that a dataset measures: those with a relevant document, all of them where
    nobody has judged yet. Where its documents are not all known, those with judgments, and no
    relevant documents.
    """
    relevant: Mapping[str, tuple[str, ...]] = {}
    is_known = dataset.has_texts and dataset.documents_read is None
    if is_known:
        relevant = _relevant(dataset)
    queries: list[JudgedQuery] = []
    for query_id in sorted(dataset.qrels or dataset.queries):
        if query_id not in dataset.queries:
            continue
        grades = dataset.qrels.get(query_id, {})
        positives = relevant.get(query_id, ())
        if is_known and grades and not positives:
            continue
        text = dataset.queries[query_id]
        digests = _digests(dataset, positives)
        queries.append(JudgedQuery(0, query_id, query_id, text, grades, positives, digests))
    return queries


def _relevant(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    """Return the relevant documents of each judged query that the collection has, the highest
    grades first.
    """
    relevant: dict[str, tuple[str, ...]] = {}
    for query_id, grades in dataset.qrels.items():
        if query_id not in dataset.queries:
            continue
        rows = [(-grade, doc_id) for doc_id, grade in grades.items()]
        wanted = [doc_id for grade, doc_id in sorted(rows) if -grade >= dataset.min_relevance]
        relevant[query_id] = tuple(dataset.known(wanted))
    return relevant


def _digests(dataset: Dataset, doc_ids: Sequence[str]) -> frozenset[str]:
    """Return a digest of what each document says, but for case and white space; none of blank
    ones.
    """
    texts = [visible_text(text) for text in dataset.texts(doc_ids)]
    return frozenset(content_hash([(text,)]) for text in texts if text)


@cache
def _word_digest(word: str) -> str:
    return content_hash([(word,)])


def field_values(dataset: Dataset, doc_ids: Iterable[str], name: str) -> dict[str, str]:
    """Return document id -> its value of a field. Raises DataError for a document without it."""
    ids = list(doc_ids)
    numbers = dataset.extras.get("numbers", {}).get(name, {})
    values: dict[str, str] = {}
    for doc_id, fields in zip(ids, dataset.documents.get(ids), strict=True):
        value = render("{value}", {"value": fields.get(name, "")})
        if not value and doc_id in numbers:
            value = f"{numbers[doc_id]:g}"
        if not value:
            known = ", ".join(sorted(fields))
            raise DataError(
                f"{dataset.id}: document '{doc_id}' has no field '{name}' to split by (it has: "
                f"{known})"
            )
        values[doc_id] = value
    return values


def tokens(text: str) -> frozenset[str]:
    """Return the words of a text, as the lexical first stage cuts them; single letters and digits
    count, too.
    """
    return frozenset(_pattern().findall(visible_text(text)))


@cache
def _pattern() -> re.Pattern[str]:
    return words.compiled(f"{words.TOKEN}|\\w")
