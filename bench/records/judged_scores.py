"""The scored documents of a row with their grades: the one reader of both, for whatever asks what a
score is worth.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

from bench.contract.candidates import QueryCandidates
from bench.core.errors import RecordError, nearest
from bench.records.cells import REPEAT
from bench.records.judges import is_unjudged, refuse_unjudged
from bench.records.judgments import qrels_in
from bench.records.rows import Row
from bench.records.run import Run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

Qrels = Mapping[str, Mapping[str, int]]
"""query id -> document id -> grade."""
LEVEL_STEPS = 0.05
"""How far the steps between ranks may differ, as a share of a step: run files round."""
BLOCK = 1000
COMPARED = 5
"""Pairs of neighbouring steps from which equal steps are no accident."""


class Scale(StrEnum):
    """What a row's scores are."""

    SCORES = "scores"
    RANKS = "ranks"
    """Equal steps within every query, or reciprocals of such: places, whatever they are called."""
    REDEALT = "redealt"
    """The first stage's scores of each query, in another order: places again."""


@dataclass(frozen=True)
class JudgedScores:
    """The documents of a row that have a score, query by query, end to end.

    The documents of query i are at `offsets[i]` to `offsets[i + 1]`, in the order of the ranking.
    `grades` are NaN for unjudged documents; shapes (documents,) and (queries + 1,). `qrels` are all
    judgments of the measured queries, scored or not, `threshold` is the lowest grade that counts as
    relevant. `relevant_only` says that the collection lists relevant documents alone.
    """

    row: Row
    name: str
    query_ids: Sequence[str]
    offsets: IntArray
    scores: FloatArray
    grades: FloatArray
    qrels: Qrels
    threshold: int
    relevant_only: bool
    scale: Scale

    @property
    def are_ranks(self) -> bool:
        """Whether the scores say nothing but places: a probability cannot be read from them."""
        return self.scale is not Scale.SCORES

    @cached_property
    def owners(self) -> IntArray:
        """The number of each document's query, shape (documents,)."""
        import numpy as np

        owners: IntArray = np.repeat(np.arange(len(self.query_ids)), np.diff(self.offsets))
        return owners

    @cached_property
    def is_judged(self) -> NDArray[np.bool_]:
        """Whether each document has a grade, shape (documents,)."""
        import numpy as np

        return ~np.isnan(self.grades)

    def labels(self, *, unjudged_as_not_relevant: bool) -> FloatArray:
        """Return 1 for relevant documents, 0 for others; NaN for unjudged ones where they do not
        count as not relevant. Shape (documents,).
        """
        import numpy as np

        labels = (np.nan_to_num(self.grades, nan=-np.inf) >= self.threshold).astype(np.float64)
        if not unjudged_as_not_relevant:
            labels[~self.is_judged] = np.nan
        return labels

    @cached_property
    def relevant(self) -> IntArray:
        """The number of each query's relevant documents, scored or not, shape (queries,)."""
        import numpy as np

        counts: list[int] = []
        for query_id in self.query_ids:
            grades = self.qrels.get(query_id, {})
            counts.append(sum(grade >= self.threshold for grade in grades.values()))
        return np.array(counts, dtype=np.int64)


def judged_scores(run: Run, row: Row, only: Collection[str] | None = None) -> JudgedScores:
    """Return the scores and grades of a row, of all queries or of some. Queries whose call failed
    are not among them.

    Raises RecordError where the run keeps no scores of it, as older ones.
    """
    lists = run.scores_of(row.trial.id, only)
    if not lists:
        raise RecordError(
            f"{run.folder}: keeps no scores of {row.trial.label}: run the suite again without "
            f"`store_scores: false`"
        )
    return joined(run, row, lists, qrels_of(run, row.trial.dataset, only), only)


def all_judged_scores(run: Run) -> list[JudgedScores]:
    """Return those of every row that has scores, in the suite's order, the first stage's among
    them; the oracle has none of its own.
    """
    tables: list[JudgedScores] = []
    qrels: dict[str, Qrels] = {}
    for row in run.rows:
        is_measured = row.status == "done" and not row.trial.is_oracle
        if is_measured and is_unjudged(run.records[row.trial.id]):
            continue
        lists = run.scores_of(row.trial.id) if is_measured else {}
        if lists:
            dataset = row.trial.dataset
            if dataset not in qrels:
                qrels[dataset] = qrels_of(run, dataset)
            tables.append(joined(run, row, lists, qrels[dataset]))
    return tables


def rows_named(run: Run, name: str) -> list[Row]:
    """Return the finished rows of a reranker, or of the one trial, that is named. Raises
    RecordError where there is none.
    """
    rows = [row for row in run.rows if row.status == "done" and not row.trial.is_oracle]
    named = [row for row in rows if name in (row.trial.id, row.trial.reranker, row.trial.label)]
    if not named:
        known = dict.fromkeys(row.trial.reranker for row in rows)
        raise RecordError(f"{run.folder}: there is no row '{name}': {nearest(name, known)}")
    return named


def qrels_of(run: Run, dataset: str, only: Collection[str] | None = None) -> Qrels:
    """Return the judgments of a dataset's measured queries, or of some of them. Raises RecordError
    where the run keeps none, as older ones.
    """
    judged = run.judgments
    judged = judged[judged["dataset"] == dataset]
    if only is not None:
        judged = judged[judged["query"].isin(only)]
    if judged.empty:
        refuse_unjudged(run)
        raise RecordError(f"{run.folder}: keeps no judgments of {dataset}: {REPEAT}")
    return qrels_in(judged)


def joined(
    run: Run,
    row: Row,
    lists: Mapping[str, QueryCandidates],
    qrels: Qrels,
    only: Collection[str] | None = None,
) -> JudgedScores:
    """Return the scores of a row next to the grades of its documents."""
    import numpy as np

    query_ids = list(lists)
    # eight bytes a number: a run may have millions
    scores = array("d")
    grades = array("d")
    sizes = array("q")
    for query_id, answer in lists.items():
        own = qrels.get(query_id, {})
        scores.extend(answer.scores)
        grades.extend([own.get(doc_id, np.nan) for doc_id in answer.doc_ids])
        sizes.append(len(answer.doc_ids))
    facts = run.records[row.trial.id].dataset
    values = np.array(scores)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    scale = scale_of(values, offsets)
    if scale is Scale.SCORES and _are_redealt(lists, _first_stage_lists(run, row, only)):
        scale = Scale.REDEALT
    return JudgedScores(
        row,
        row.trial.label,
        query_ids,
        offsets,
        values,
        np.array(grades),
        qrels,
        facts.get("min_relevance", 1),
        facts.get("relevant_only", False),
        scale,
    )


def scale_of(scores: FloatArray, offsets: IntArray) -> Scale:
    """Return RANKS where the scores of every query, sorted, fall by equal steps, as n, n - 1, ...,
    1 do, or their reciprocals rise so, as 1 / (60 + rank) do; else SCORES.
    """
    if _in_equal_steps(scores, offsets, reciprocals=False):
        return Scale.RANKS
    if _in_equal_steps(scores, offsets, reciprocals=True):
        return Scale.RANKS
    return Scale.SCORES


def _in_equal_steps(scores: FloatArray, offsets: IntArray, *, reciprocals: bool) -> bool:
    """Return whether the scores of every query, or their reciprocals, lie in equal steps. BLOCK
    queries are looked at at once: the first ones say it of nearly all rows.
    """
    import numpy as np

    pairs = 0
    for start in range(0, len(offsets) - 1, BLOCK):
        bounds = offsets[start : start + BLOCK + 1]
        owners = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
        values = scores[bounds[0] : bounds[-1]]
        order = np.lexsort((-values, owners))
        values = values[order]
        if reciprocals:
            if np.any(values <= 0):
                return False
            values = 1 / values
        steps = np.diff(values)
        is_pair = (owners[2:] == owners[:-2]).nonzero()[0]
        before = steps[is_pair]
        after = steps[is_pair + 1]
        if np.any((np.abs(after - before) > LEVEL_STEPS * np.abs(before)) | (before == 0)):
            return False
        pairs += len(is_pair)
    return pairs >= COMPARED


def _first_stage_lists(
    run: Run, row: Row, only: Collection[str] | None
) -> Iterator[tuple[str, QueryCandidates]]:
    """Yield the first stage's own scores of a row's candidates, as they are read; nothing for its
    own row.
    """
    if row.trial.is_first_stage:
        return
    key = (row.trial.dataset, row.trial.first_stage, row.trial.depth)
    for other in run.groups[key]:
        if other.trial.is_first_stage:
            yield from run.stream_scores(other.trial.id, only)
            return


def _are_redealt(
    lists: Mapping[str, QueryCandidates], first: Iterable[tuple[str, QueryCandidates]]
) -> bool:
    """Return whether each list has the first stage's scores, and some document another one. The
    first list says it of nearly all rows.
    """
    compared = 0
    moved = False
    for query_id, own in first:
        answer = lists.get(query_id)
        if answer is None:
            continue
        if sorted(own.scores) != sorted(answer.scores):
            return False
        compared += 1
        by_id = dict(zip(own.doc_ids, own.scores, strict=True))
        pairs = zip(answer.doc_ids, answer.scores, strict=True)
        moved = moved or any(by_id.get(doc_id) != score for doc_id, score in pairs)
    return moved and compared == len(lists)
