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
from bench.records.run import Run

if TYPE_CHECKING:
    import pandas as pd

    from bench.contract.candidates import QueryCandidates

SHOWN = 5
TOP = 3
WIDTH = 90
"""Characters shown of a text."""


@dataclass(frozen=True)
class Found:
    """A document on top of a ranking; `grade` is None where nobody judged it, `text` None where the
    run keeps none.
    """

    doc_id: str
    grade: int | None
    text: str | None

    def __str__(self) -> str:
        grade = "not judged" if self.grade is None else f"grade {self.grade}"
        return f"{self.doc_id} ({grade})" + (f" {short(self.text)}" if self.text else "")


@dataclass(frozen=True)
class Move:
    """One query: its difference, both values, and the top documents of the baseline and of the new
    ranking.
    """

    query_id: str
    text: str | None
    delta: float
    before: tuple[Found, ...]
    after: tuple[Found, ...]

    @property
    def label(self) -> str:
        return self.query_id if self.text is None else f"{self.query_id}, {short(self.text)}"

    def flat(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        tops = {
            name: [vars(one) for one in found]
            for name, found in (("before", self.before), ("after", self.after))
        }
        return {"query": self.query_id, "text": self.text, "difference": self.delta, **tops}


class Moves:
    """Reads each run's texts, grades and rankings once, however many comparisons ask for them."""

    def __init__(self) -> None:
        self._ranking = cache(_ranking)
        self._texts = cache(_texts)

    def of(self, one: Comparison, n: int = SHOWN, top: int = TOP) -> list[Move]:
        """The `n` queries of a comparison that moved most, either way."""
        return [
            Move(
                query,
                self._query(one.new, query),
                delta,
                *(self._top(side, query, top) for side in (one.baseline, one.new)),
            )
            for query, delta in one.moved(n)
        ]

    def _query(self, side: Side, query: str) -> str | None:
        return self._texts(side.run, "queries").get((side.trial.dataset, query))

    def _top(self, side: Side, query: str, top: int) -> tuple[Found, ...]:
        ranked = self._ranking(side.run, side.trial.id).get(query)
        texts, grades, dataset = (
            self._texts(side.run, "documents"),
            self._texts(side.run, "judgments"),
            side.trial.dataset,
        )
        return tuple(
            Found(doc_id, grades.get((dataset, query, doc_id)), texts.get((dataset, doc_id)))
            for doc_id in (ranked.doc_ids[:top] if ranked else ())
        )


def told(moves: Sequence[Move]) -> str:
    """The moves in one line, for where there is no room."""
    return ", ".join(f"{move.query_id} {move.delta:+.4f}" for move in moves) or "no query moved"


def short(text: str, width: int = WIDTH) -> str:
    """One line of at most `width` characters."""
    plain = " ".join(text.split())
    return plain if len(plain) <= width else f"{plain[: width - 1].rstrip()}…"


def _ranking(run: Run, trial_id: str) -> Mapping[str, QueryCandidates]:
    """Empty where a kept baseline holds no rankings."""
    return run.ranking(trial_id) if run.has_ranking(trial_id) else {}


def _texts(run: Run, table: str) -> Mapping[tuple[str, ...], Any]:
    """A table of texts or grades as a mapping from all its columns but the last to the last."""
    frame: pd.DataFrame = getattr(run, table)
    *keys, value = frame.columns
    return dict(
        zip(zip(*(frame[key] for key in keys), strict=True), frame[value].tolist(), strict=True)
    )
