"""The queries that moved most, with their words and the documents on top before and after: what an
average cannot tell.

Texts stand in the run folder unless its suite keeps none (`store_texts: false`); then ids and
grades are shown alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from bench.comparison.pairs import Comparison, Side
from bench.contract.identity import Fields
from bench.records.run import Run

if TYPE_CHECKING:
    import pandas as pd

    from bench.contract.candidates import QueryCandidates

SHOWN = 5
TOP = 3
WIDTH = 90
"""Characters shown of a text."""


@dataclass(frozen=True)
class Top:
    """A document on top of a ranking; `grade` is None where nobody judged it, `text` None where the
    run keeps none.
    """

    doc_id: str
    grade: int | None
    text: str | None

    def __str__(self) -> str:
        grade = "not judged"
        if self.grade is not None:
            grade = f"grade {self.grade}"
        label = f"{self.doc_id} ({grade})"
        if not self.text:
            return label
        return f"{label} {short(self.text)}"


@dataclass(frozen=True)
class Move:
    """One query: its difference, both values, and the top documents of the baseline and of the new
    ranking.
    """

    query_id: str
    text: str | None
    delta: float
    before: tuple[Top, ...]
    after: tuple[Top, ...]

    @property
    def label(self) -> str:
        if self.text is None:
            return self.query_id
        return f"{self.query_id}, {short(self.text)}"

    def flat(self) -> Fields:
        """As plain values, for JSON."""
        return {
            "query": self.query_id,
            "text": self.text,
            "difference": self.delta,
            "before": [vars(document) for document in self.before],
            "after": [vars(document) for document in self.after],
        }


class Moves:
    """Reads each run's texts, grades and rankings once, however many comparisons ask for them."""

    def __init__(self) -> None:
        self._ranking = cache(_ranking)
        self._texts = cache(_texts)

    def of(self, comparison: Comparison, n: int = SHOWN, top: int = TOP) -> list[Move]:
        """Return the `n` queries of a comparison that moved most, either way."""
        moves: list[Move] = []
        for query, delta in comparison.moved(n):
            text = self._query(comparison.new, query)
            before = self._top(comparison.baseline, query, top)
            after = self._top(comparison.new, query, top)
            moves.append(Move(query, text, delta, before, after))
        return moves

    def _query(self, side: Side, query: str) -> str | None:
        return self._texts(side.run, "queries").get((side.trial.dataset, query))

    def _top(self, side: Side, query: str, top: int) -> tuple[Top, ...]:
        ranking = self._ranking(side.run, side.trial.id).get(query)
        if ranking is None:
            return ()
        texts, grades = self._texts(side.run, "documents"), self._texts(side.run, "judgments")
        dataset = side.trial.dataset
        return tuple(
            Top(doc_id, grades.get((dataset, query, doc_id)), texts.get((dataset, doc_id)))
            for doc_id in ranking.doc_ids[:top]
        )


def told(moves: Sequence[Move]) -> str:
    """The moves in one line, for where there is no room."""
    return ", ".join(f"{move.query_id} {move.delta:+.4f}" for move in moves) or "no query moved"


def short(text: str, width: int = WIDTH) -> str:
    """One line of at most `width` characters."""
    plain = " ".join(text.split())
    if len(plain) <= width:
        return plain
    return f"{plain[: width - 1].rstrip()}…"


def _ranking(run: Run, trial_id: str) -> Mapping[str, QueryCandidates]:
    """Empty where a kept baseline holds no rankings."""
    if not run.has_ranking(trial_id):
        return {}
    return run.ranking(trial_id)


def _texts(run: Run, table: str) -> Mapping[tuple[str, ...], Any]:
    """A table of texts or grades as a mapping from all its columns but the last to the last."""
    frames = {"queries": run.queries, "documents": run.documents, "judgments": run.judgments}
    frame: pd.DataFrame = frames[table]
    *keys, value = frame.columns
    places = zip(*(frame[key] for key in keys), strict=True)
    return dict(zip(places, frame[value].tolist(), strict=True))
