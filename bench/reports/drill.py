"""What the per-query drill-down shows, as compact data: values, top 10s with movements, grades,
texts. Bounded: a page stays a page.

Documents stand once, in one list, and everything else names them by their number in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.contract.trial import FIRST_STAGE
from bench.records.rows import Row
from bench.records.run import Run
from bench.records.texts import LIMIT, TOP

if TYPE_CHECKING:
    import pandas as pd

MOST_QUERIES = 600
"""Of the whole page, shared by its groups; those that moved most are kept."""
TEXT_BUDGET = 2_400_000
"""Bytes of document text in a page."""
SHORTEST = 60


@dataclass
class Documents:
    """The documents of a page, numbered as they come."""

    run: Run
    numbers: dict[tuple[str, str], int] = field(default_factory=dict)

    def number(self, dataset: str, document: str) -> int:
        return self.numbers.setdefault((dataset, document), len(self.numbers))

    def listed(self) -> tuple[list[list[str]], int]:
        """([id, text] by number, characters kept of a text): all are cut alike where they would
        weigh more than the budget.
        """
        texts = self.run.document_texts(self.numbers)
        found = [
            (document, texts.get((dataset, document), "")) for dataset, document in self.numbers
        ]
        kept = LIMIT
        while kept > SHORTEST and sum(len(text[:kept].encode()) for _, text in found) > TEXT_BUDGET:
            kept = int(kept * 0.8)
        return [
            [document, text if len(text) <= kept else f"{text[: kept - 1]}…"]
            for document, text in found
        ], kept


class GroupDrill:
    """The drill-down of one group: rankings are added trial by trial, so that no two need to be in
    memory at once.
    """

    def __init__(
        self, run: Run, members: Sequence[Row], measure: str, documents: Documents, most: int
    ) -> None:
        self.run, self.measure, self.documents = run, measure, documents
        self.rows = [row for row in members if measure in row.quality]
        self.dataset = members[0].trial.dataset
        self.values = {row.trial.id: run.values(row.trial.id, measure) for row in self.rows}
        self.base = next((row for row in self.rows if row.name == FIRST_STAGE), None)
        self.shown = self._most_moved(most)
        self.orders: dict[str, dict[str, Sequence[str]]] = {}
        texts = run.queries[run.queries["dataset"] == self.dataset]
        texts = texts[texts["query"].isin(self.shown)]
        self.words = dict(zip(texts["query"], texts["text"], strict=True))

    def add(self, row: Row, table: pd.DataFrame) -> None:
        """Take a part of a trial's ranking: columns query, document, best first."""
        if row.trial.id in self.values:
            kept = table[table["query"].isin(set(self.shown))]
            by_query = kept.groupby("query", sort=False, observed=True)["document"]
            orders = self.orders.setdefault(row.trial.id, {})
            orders |= {str(query): documents.tolist() for query, documents in by_query}

    def data(self, best: Row | None) -> dict[str, Any] | None:
        """The group as plain data; None where there is nothing to set side by side."""
        others = [row for row in self.rows if row is not self.base and row.trial.id in self.orders]
        if self.base is None or self.base.trial.id not in self.orders or not others:
            return None
        threshold = int(self.run.records[self.base.trial.id].dataset.get("min_relevance", 1))
        grades = self._grades()
        rerankers = [{**self._reranker(self.base, row), "best": row is best} for row in others]
        return {
            "measure": self.measure,
            "relevant": threshold,
            "all": len(self.values[self.base.trial.id]),
            "queries": [[query, self.words.get(query, "")] for query in self.shown],
            "found": [
                sum(grade >= threshold for grade in grades.get(query, {}).values())
                for query in self.shown
            ],
            "first": [self._first(self.base, query) for query in self.shown],
            "rerankers": rerankers,
            "grades": [self._shown_grades(grades.get(query, {})) for query in self.shown],
        }

    def _most_moved(self, most: int) -> list[str]:
        """The queries that any reranker changed most; all, in the run's order, where there are few
        enough.
        """
        base = self.values[self.base.trial.id] if self.base else {}
        others = [self.values[row.trial.id] for row in self.rows if row.trial.kind == "reranker"]
        moved = {
            query: max((abs(found.get(query, 0.0) - value) for found in others), default=0.0)
            for query, value in base.items()
        }
        kept = set(sorted(moved, key=lambda query: -moved[query])[:most])
        return [query for query in base if query in kept]

    def _first(self, base: Row, query: str) -> list[Any]:
        top = self.orders[base.trial.id].get(query, ())[:TOP]
        return [_rounded(self.values[base.trial.id][query]), self._numbers(top)]

    def _reranker(self, base: Row, row: Row) -> dict[str, Any]:
        failures = self.run.records[row.trial.id].failures
        return {
            "name": row.name,
            "device": row.trial.device,
            "failures": {query: failures[query] for query in self.shown if query in failures},
            "results": [self._result(base, row, query) for query in self.shown],
        }

    def _result(self, base: Row, row: Row, query: str) -> list[Any]:
        """[value, top 10, where each stood in the first stage, where the first stage's top 10 stand
        now]: ranks from 1, 0 is nowhere.
        """
        before, after = (
            self.orders[base.trial.id].get(query, ()),
            self.orders[row.trial.id].get(query, ()),
        )
        was = {document: rank for rank, document in enumerate(before, 1)}
        now = {document: rank for rank, document in enumerate(after, 1)}
        value = _rounded(self.values[row.trial.id].get(query, 0.0))
        top = after[:TOP]
        return [
            value,
            self._numbers(top),
            [was.get(one, 0) for one in top],
            [now.get(one, 0) for one in before[:TOP]],
        ]

    def _numbers(self, documents: Sequence[str]) -> list[int]:
        return [self.documents.number(self.dataset, document) for document in documents]

    def _grades(self) -> dict[str, dict[str, int]]:
        judged = self.run.judgments
        judged = judged[(judged["dataset"] == self.dataset) & judged["query"].isin(set(self.shown))]
        found: dict[str, dict[str, int]] = {}
        for query, document, grade in zip(
            judged["query"], judged["document"], judged["grade"], strict=True
        ):
            found.setdefault(query, {})[document] = int(grade)
        return found

    def _shown_grades(self, grades: Mapping[str, int]) -> dict[int, int]:
        """Grades by document number, of the documents that the page shows."""
        known = self.documents.numbers
        return {
            known[self.dataset, document]: grade
            for document, grade in grades.items()
            if (self.dataset, document) in known
        }


def _rounded(value: float) -> float:
    return round(value, 4)
