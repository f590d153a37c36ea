"""What the disagreement of a person with the model does to nDCG@10: per row, and to the difference
of each row to the first stage.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.core.errors import BenchError
from bench.datasets.provenance import MODEL
from bench.judging.imputation import BEYOND, TOP, Reviewed, imputed
from bench.judging.pool import pooled_rows, top_pairs
from bench.judging.sample import Judgments
from bench.records.rows import Row, group_of
from bench.records.run import Run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

DRAWS = 100
LEVEL = 0.975
MEASURE = f"nDCG@{TOP}"
FEWEST = 3
"""Degrees of freedom of an interval at least, however few pairs of a grade were reviewed."""


@dataclass(frozen=True)
class Bound:
    """A value by the judgments as they are, its mean over what a person may have said, the 95 %
    interval of that, and the interval when the queries are drawn anew as well.
    """

    measured: float
    corrected: float
    low: float
    high: float
    low_of_all: float
    high_of_all: float


@dataclass(frozen=True)
class RowBounds:
    """Those of one row; `difference` is None of the first stage itself."""

    row: Row
    value: Bound
    difference: Bound | None


@dataclass(frozen=True)
class Judged:
    """All judgments of a dataset as arrays: `grades` are those of the file, shape (pairs,), pairs
    ordered by query; `is_model` says which of them the model made.
    """

    places: Mapping[tuple[str, str], int]
    query_ids: Sequence[str]
    query: IntArray
    grades: IntArray
    is_model: NDArray[np.bool_]


def bounds(
    run: Run,
    dataset: str,
    judgments: Mapping[str, Judgments],
    reviewed: Judgments,
    scale: Sequence[int],
    seed: int,
) -> list[RowBounds]:
    """Return what the disagreement does to each row of a dataset. `judgments` are by who made them,
    as `judgments_of` gives them; `reviewed` is what a person gave to some of the model's.
    """
    import numpy as np

    judged = _arrays(judgments)
    rows = pooled_rows(run, dataset)
    ranks = np.stack([_ranks(run, row, judged) for row in rows], axis=1)
    drawn = _drawn(judged, ranks, reviewed, scale, seed)
    generator = np.random.default_rng(seed)
    counts = len(judged.query_ids)
    weights = generator.multinomial(counts, np.full(counts, 1 / counts), len(drawn)) / counts
    values: list[tuple[FloatArray, FloatArray]] = []
    quantile = _quantile(judged, reviewed)
    for own in ranks.T:
        measured = ndcg(judged.grades[None, :], judged.query, own, counts)[0]
        values.append((measured, ndcg(drawn, judged.query, own, counts)))
    every: list[RowBounds] = []
    for row, (measured, imputations) in zip(rows, values, strict=True):
        difference = None
        if not row.trial.is_first_stage:
            base, base_draws = values[_first_of(row, rows)]
            change = imputations - base_draws
            difference = _bound(measured - base, change, weights, quantile, -1.0)
        value = _bound(measured, imputations, weights, quantile, 0.0)
        every.append(RowBounds(row, value, difference))
    return every


def ndcg(grades: IntArray, query: IntArray, ranks: FloatArray, queries: int) -> FloatArray:
    """Return nDCG@10 per draw and query, shape (draws, queries), of grades (draws, pairs), pairs
    ordered by query, ranked so; documents without a judgment gain nothing. As trec_eval: linear
    gains, an ideal over all judgments, 0 without a relevant document.
    """
    import numpy as np

    gains = np.maximum(grades, 0).astype(np.float64)
    discounts = np.where(ranks <= TOP, 1 / np.log2(1 + ranks), 0.0)
    sizes = np.bincount(query, minlength=queries)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    reached = np.zeros((len(gains), queries))
    ideal = np.zeros((len(gains), queries))
    np.add.at(reached.T, query, (gains * discounts).T)
    padded = np.zeros((len(gains), queries, max(int(sizes.max(initial=0)), 1)))
    padded[:, query, np.arange(len(query)) - starts[query]] = gains
    best = -np.sort(-padded, axis=2)[:, :, :TOP]
    ideal = (best / np.log2(2 + np.arange(best.shape[2]))).sum(axis=2)
    values: FloatArray = np.where(ideal > 0, reached / np.where(ideal > 0, ideal, 1), 0.0)
    return values


def _quantile(judged: Judged, reviewed: Judgments) -> float:
    """Return how many standard deviations a 95 % interval reaches: by Student's t, with the
    freedom that the reviewed pairs of the grade with the fewest leave.
    """
    from scipy.stats import t as student

    counts = Counter(int(judged.grades[judged.places[pair]]) for pair in reviewed)
    return float(student.ppf(LEVEL, max(min(counts.values()) - 1, FEWEST)))


def _bound(
    measured: FloatArray, draws: FloatArray, weights: FloatArray, quantile: float, lowest: float
) -> Bound:
    """Return the bound of a mean over queries; `draws` are (draws, queries), and so are the weights
    of queries that are drawn anew. No value is below `lowest` or above 1.
    """
    means = draws.mean(axis=1)
    corrected = float(means.mean())
    # Rubin's variance between imputations, a finite number of them
    quantile *= math.sqrt(1 + 1 / len(draws))
    reach = quantile * float(means.std(ddof=1))
    reach_of_all = max(reach, quantile * float((draws * weights).sum(axis=1).std(ddof=1)))
    return Bound(
        float(measured.mean()),
        corrected,
        max(lowest, corrected - reach),
        min(1.0, corrected + reach),
        max(lowest, corrected - reach_of_all),
        min(1.0, corrected + reach_of_all),
    )


def _first_of(row: Row, rows: Sequence[Row]) -> int:
    """Return the place of the first stage's own row in the group of a row. Raises BenchError."""
    key = group_of(row.trial)
    for place, other in enumerate(rows):
        if other.trial.is_first_stage and group_of(other.trial) == key:
            return place
    raise BenchError(f"{row.trial.id}: the run has no ranking of its first stage")


def _arrays(judgments: Mapping[str, Judgments]) -> Judged:
    import numpy as np

    rows: list[tuple[str, str, int, bool]] = []
    for origin, own in judgments.items():
        rows += [
            (query, document, grade, origin == MODEL) for (query, document), grade in own.items()
        ]
    rows.sort()
    query_ids = list(dict.fromkeys(query for query, *_ in rows))
    numbers = {query: number for number, query in enumerate(query_ids)}
    return Judged(
        {(query, document): place for place, (query, document, *_) in enumerate(rows)},
        query_ids,
        np.array([numbers[query] for query, *_ in rows], dtype=np.int64),
        np.array([grade for *_, grade, _ in rows], dtype=np.int64),
        np.array([is_model for *_, is_model in rows], dtype=np.bool_),
    )


def _ranks(run: Run, row: Row, judged: Judged) -> FloatArray:
    """Return the rank that a row gives to each judged pair, one beyond all where it gives none."""
    import numpy as np

    ranks = np.full(len(judged.grades), BEYOND)
    for query_id, doc_id, rank in top_pairs(run, row, int(BEYOND)):
        place = judged.places.get((query_id, doc_id))
        if place is not None:
            ranks[place] = rank
    return ranks


def _drawn(
    judged: Judged, ranks: FloatArray, reviewed: Judgments, scale: Sequence[int], seed: int
) -> IntArray:
    """Return grades of all pairs as a person may have given them, shape (draws, pairs)."""
    import numpy as np

    grades = np.repeat(judged.grades[None, :], DRAWS, axis=0)
    places = np.flatnonzero(judged.is_model)
    inside = {int(place): number for number, place in enumerate(places)}
    index = {grade: number for number, grade in enumerate(scale)}
    own = sorted((inside[judged.places[pair]], index[grade]) for pair, grade in reviewed.items())
    pairs = Reviewed(
        len(scale),
        np.array([index[grade] for grade in judged.grades[places].tolist()], dtype=np.int64),
        judged.query[places],
        len(judged.query_ids),
        ranks[places],
        np.array([place for place, _ in own], dtype=np.int64),
        np.array([grade for _, grade in own], dtype=np.int64),
    )
    grades[:, places] = np.array(scale)[imputed(pairs, DRAWS, seed)]
    return grades
