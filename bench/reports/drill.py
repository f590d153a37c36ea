"""What the per-query drill-down shows, as compact data: values, top 10s with movements, grades,
texts. Bounded: a page stays a page.

Documents are in one list, once each, and everything else names them by their number in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypedDict

from bench.records.rows import Row
from bench.records.run import Run
from bench.records.texts import LIMIT, TOP

if TYPE_CHECKING:
    import pandas as pd

MOST_QUERIES, MOST_DOCUMENTS, FEWEST = 600, 300_000, 20
"""Of the whole page, shared by its groups: the ones that moved most, with as many documents
together. A group has FEWEST queries, whatever the others have.
"""
TEXT_BUDGET = 2_400_000
"""Bytes of document text in a page."""
SHORTEST = 60
"""Characters to which a text is cut at most, whatever the budget."""

First = tuple[float, list[int]]
"""Of one query, the first stage: its value, and its top 10."""
Result = tuple[float, list[int], list[int], list[int]]
"""Of one query, a reranker: its value, its top 10, their ranks in the first stage, and the ranks
here of the first stage's top 10. Ranks count from 1, 0 is nowhere.
"""


class RerankerData(TypedDict):
    """A reranker of a group: a result per query of the group."""

    name: str
    device: str | None
    failures: dict[str, str]
    results: list[Result]
    best: bool


class GroupData(TypedDict):
    """The queries of a group, in lists of the same order. `relevant` is the grade from which a
    document is, `all` the number of queries that the run has.
    """

    measure: str
    relevant: int
    all: int
    queries: list[list[str]]
    relevants: list[int]
    first: list[First]
    rerankers: list[RerankerData]
    grades: list[dict[int, int]]


class PageGroup(GroupData):
    """A group with its place in the page."""

    id: str
    label: str


class PageData(TypedDict):
    """What the page's script reads. `docs` holds (id, text) by number, `cut` is the length to which
    texts were cut.
    """

    groups: list[PageGroup]
    docs: list[list[str]]
    cut: int
    texts: bool


@dataclass
class Documents:
    """The documents of a page, numbered as they come."""

    run: Run
    numbers: dict[tuple[str, str], int] = field(default_factory=dict)

    def number(self, dataset: str, document: str) -> int:
        return self.numbers.setdefault((dataset, document), len(self.numbers))

    def listed(self) -> tuple[list[list[str]], int]:
        """Return [id, text] by number, and the characters of a text: all are cut alike where they
        would weigh more than the budget.
        """
        by_document = self.run.document_texts(self.numbers)
        texts = [by_document.get(key, "") for key in self.numbers]
        length = LIMIT
        while length > SHORTEST and _bytes(texts, length) > TEXT_BUDGET:
            length = int(length * 0.8)
        documents = []
        for (_, document), text in zip(self.numbers, texts, strict=True):
            documents.append([document, _cut(text, length)])
        return documents, length


def limit_of(groups: int, documents: float) -> int:
    """Return how many queries a group of a page shows that have so many documents each."""
    queries = min(MOST_QUERIES, int(MOST_DOCUMENTS / max(1.0, documents)))
    return max(FEWEST, queries // max(1, groups))


class GroupDrill:
    """The drill-down of one group: rankings are added trial by trial, so that no two need to be in
    memory at once.
    """

    def __init__(
        self, run: Run, members: Sequence[Row], measure: str, documents: Documents, limit: int
    ) -> None:
        self.run, self.measure, self.documents = run, measure, documents
        self.rows = [row for row in members if measure in row.quality]
        self.dataset = members[0].trial.dataset
        self.values = {row.trial.id: run.values(row.trial.id, measure) for row in self.rows}
        self.base = next((row for row in self.rows if row.trial.is_first_stage), None)
        self.queries = self._most_moved(limit)
        self.orders: dict[str, dict[str, Sequence[str]]] = {}
        texts = run.queries[run.queries["dataset"] == self.dataset]
        texts = texts[texts["query"].isin(self.queries)]
        self.words = dict(zip(texts["query"], texts["text"], strict=True))

    def add(self, row: Row, table: pd.DataFrame) -> None:
        """Take a part of a trial's ranking: columns query, document, best first."""
        if row.trial.id in self.values:
            own = table[table["query"].isin(set(self.queries))]
            by_query = own.groupby("query", sort=False, observed=True)["document"]
            orders = self.orders.setdefault(row.trial.id, {})
            orders |= {str(query): documents.tolist() for query, documents in by_query}

    def data(self, best: Row | None) -> GroupData | None:
        """Return the group as plain data; None where there is nothing to set side by side."""
        base = self.base
        others = [row for row in self.rows if row is not base and row.trial.id in self.orders]
        if base is None or base.trial.id not in self.orders or not others:
            return None
        threshold = int(self.run.records[base.trial.id].dataset.get("min_relevance", 1))
        grades = self._grades()
        # Documents get their numbers here, and grades are looked up by them: so grades come last.
        rerankers = [self._reranker(base, row, row is best) for row in others]
        return {
            "measure": self.measure,
            "relevant": threshold,
            "all": len(self.values[base.trial.id]),
            "queries": [[query, self.words.get(query, "")] for query in self.queries],
            "relevants": [
                sum(grade >= threshold for grade in grades[query].values())
                for query in self.queries
            ],
            "first": [self._first(base, query) for query in self.queries],
            "rerankers": rerankers,
            "grades": [self._numbered(grades[query]) for query in self.queries],
        }

    def _most_moved(self, limit: int) -> list[str]:
        """Return the queries that any reranker changed most, at most `limit`, in the run's
        order.
        """
        if self.base is None:
            return []
        others = [self.values[row.trial.id] for row in self.rows if row.trial.kind == "reranker"]
        changes = {}
        for query, value in self.values[self.base.trial.id].items():
            moves = [abs(values.get(query, 0.0) - value) for values in others]
            changes[query] = max(moves, default=0.0)
        moved = set(sorted(changes, key=lambda query: -changes[query])[:limit])
        return [query for query in changes if query in moved]

    def _first(self, base: Row, query: str) -> First:
        top = self.orders[base.trial.id].get(query, ())[:TOP]
        return _rounded(self.values[base.trial.id][query]), self._numbers(top)

    def _reranker(self, base: Row, row: Row, is_best: bool) -> RerankerData:
        failures = self.run.records[row.trial.id].failures
        return {
            "name": row.name,
            "device": row.trial.device,
            "failures": {query: failures[query] for query in self.queries if query in failures},
            "results": [self._result(base, row, query) for query in self.queries],
            "best": is_best,
        }

    def _result(self, base: Row, row: Row, query: str) -> Result:
        before = self.orders[base.trial.id].get(query, ())
        after = self.orders[row.trial.id].get(query, ())
        value = _rounded(self.values[row.trial.id].get(query, 0.0))
        top = after[:TOP]
        return value, self._numbers(top), _ranks(top, before), _ranks(before[:TOP], after)

    def _numbers(self, documents: Sequence[str]) -> list[int]:
        return [self.documents.number(self.dataset, document) for document in documents]

    def _grades(self) -> dict[str, dict[str, int]]:
        """Return query -> document -> grade, for every query that is shown."""
        judged = self.run.judgments
        judged = judged[(judged["dataset"] == self.dataset) & judged["query"].isin(self.queries)]
        grades: dict[str, dict[str, int]] = {query: {} for query in self.queries}
        columns = judged["query"], judged["document"], judged["grade"]
        for query, document, grade in zip(*columns, strict=True):
            grades[query][document] = int(grade)
        return grades

    def _numbered(self, grades: Mapping[str, int]) -> dict[int, int]:
        """Return grades by document number, of the documents that the page shows."""
        numbers = self.documents.numbers
        return {
            numbers[self.dataset, document]: grade
            for document, grade in grades.items()
            if (self.dataset, document) in numbers
        }


def _ranks(documents: Sequence[str], order: Sequence[str]) -> list[int]:
    """Return the rank of each document in an order, from 1; 0 where it is not in it."""
    ranks = {document: rank for rank, document in enumerate(order, 1)}
    return [ranks.get(document, 0) for document in documents]


def _bytes(texts: Sequence[str], length: int) -> int:
    return sum(len(text[:length].encode()) for text in texts)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _rounded(value: float) -> float:
    return round(value, 4)
