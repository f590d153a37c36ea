"""One run, as reports and analyses read it: its folder, and what is computed from it, each once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING

from bench.contract.identity import Fields
from bench.core.note import Code, Note
from bench.core.plugins import resolve
from bench.core.wording import sentences
from bench.records import points, rows
from bench.records.folder import RunFolder
from bench.records.judges import judge_notes
from bench.records.points import Point, Qualities
from bench.records.rows import GroupKey, Row
from bench.records.scores import read_scores, stream_scores
from bench.records.tables import LOSSES, SCORES

if TYPE_CHECKING:
    import pandas as pd

    from bench.contract.candidates import QueryCandidates


FURTHER_COLUMNS: dict[str, str] = {
    "measures of scores": "bench.meaning.score_measures:columns",
}
"""What the main table has that is computed of a run as a whole: functions from a run to trial id ->
the columns of its row.
"""


ColumnsOf = Callable[["Run"], Mapping[str, Fields]]


class Run(RunFolder):
    """One run, read from its folder. Never loads a model."""

    @cached_property
    def rows(self) -> list[Row]:
        """The main table, a row per trial in the suite's order, skipped ones included."""
        return rows.rows(self)

    def failures(self) -> list[str]:
        """Return a line per reason for which trials failed, or for which timings that were asked
        for are missing.
        """
        lines = self.info.failures()
        ended = [note for note in self.info.warnings if note.code == Code.TIMING_ENDED]
        for row in (*self.rows, *self.architecture_rows):
            ended += [note.at(row.trial.reranker) for note in row.notes if _says_lost(note)]
        return list(dict.fromkeys([*lines, *sentences(ended)]))

    @cached_property
    def groups(self) -> dict[GroupKey, list[Row]]:
        """The rows by what makes them comparable: dataset, first stage, depth."""
        return rows.groups(self.rows)

    @cached_property
    def architecture_rows(self) -> list[Row]:
        """The rows that were timed without weights: latency, and no quality."""
        return rows.architectures(self)

    @cached_property
    def architecture_groups(self) -> dict[GroupKey, list[Row]]:
        """The rows without weights by dataset, first stage and depth."""
        return rows.groups(self.architecture_rows)

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """Every timed point of the rerankers, of the timed pass and of the sweep."""
        return points.measured(self)

    @cached_property
    def architecture_points(self) -> tuple[Point, ...]:
        """Every timed point of the networks without weights."""
        return points.measured(self, architectures=True)

    @cached_property
    def scores(self) -> pd.DataFrame:
        """What each row gave to each document, before ties are broken: columns trial, query,
        doc_id (categories) and score. Empty where the suite keeps none, as in older runs.
        """
        return self._table(SCORES)

    @cached_property
    def losses(self) -> pd.DataFrame:
        """The relevant documents that are missing from the top of a ranking: columns trial, query,
        doc_id, loss (`not-retrieved`, `cut`, `ranked-below`, `failed`) and the stage that lost it.
        Empty in older runs.
        """
        return self._table(LOSSES)

    def scores_of(
        self, trial_id: str, only: Collection[str] | None = None
    ) -> Mapping[str, QueryCandidates]:
        """Return the scores of one trial, as `bench.records.scores.read_scores` does."""
        return read_scores(self.folder, trial_id, only)

    def stream_scores(
        self, trial_id: str, only: Collection[str] | None = None
    ) -> Iterator[tuple[str, QueryCandidates]]:
        """Yield the same query by query, as `bench.records.scores.stream_scores` does."""
        return stream_scores(self.folder, trial_id, only)

    def qualities(self, measure: str) -> Qualities:
        """The per-query values of a measure, by system and depth."""
        if measure not in self._qualities:
            self._qualities[measure] = Qualities(self, measure)
        return self._qualities[measure]

    @cached_property
    def _qualities(self) -> dict[str, Qualities]:
        return {}

    def to_frame(self) -> pd.DataFrame:
        """The main table: a row per trial, skipped ones included, with aggregates, intervals and
        latency summaries as numbers; measures of scores where the suite asks for them.
        """
        import pandas as pd

        rows = [dict(row.to_dict()) for row in self.rows]
        for name in FURTHER_COLUMNS:
            columns: ColumnsOf = resolve(name, FURTHER_COLUMNS, "columns of the main table")
            by_trial = columns(self)
            for row, line in zip(self.rows, rows, strict=True):
                line |= by_trial.get(row.trial.id, {})
        return pd.DataFrame(rows)

    def _repr_html_(self) -> str:
        """The main table, as a notebook shows it, and who judged it where that was a model."""
        table = self.to_frame().set_index("reranker").dropna(axis="columns", how="all")
        lines = "".join(f"<p>{escape(line)}</p>" for line in sentences(judge_notes([self])))
        html = table.to_html(escape=True, na_rep="–", float_format=lambda value: f"{value:.4g}")
        return f"{lines}{html}"


def _says_lost(note: Note) -> bool:
    """Return whether a note says that what was to be timed failed."""
    has_no_start = note.code == Code.COLD_FAILED and note.count == note.total
    return note.code in (Code.GIVEN_UP, Code.NO_TIME) or has_no_start
