"""Whether calibration helps a fusion of first stages: sums of probabilities next to other fusions.

    python benchmarks/calibrated_fusion.py [RUN]

RUN has two first stages or more over one collection, at one depth, and keeps their scores; without
one, the packaged encoder and BM25 search the embedded collection. The lists are fused by
probabilities of each kind of map, by z-scores and by reciprocal ranks, with equal weights and with
weights that are tuned. Each query has maps and weights of the queries of the other folds. The
differences are paired by query, each less the sum of z-scores.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

import bench
from bench.contract.candidates import QueryCandidates
from bench.meaning.calibrate import default_reading, labels_of, tables_of
from bench.meaning.cross_fitting import (
    FOLDS,
    RECIPES,
    Recipe,
    cross_fitted,
    fold_numbers,
    lists_of,
)
from bench.quality import measures, statistics
from bench.ranking import tuning
from bench.ranking.fusion import (
    Contributions,
    contributions_of,
    rrf_contributions,
    weighted_contributions,
)
from bench.ranking.order import Ranking
from bench.ranking.score_maps import in_order_of
from bench.ranking.tuning import FusionWeights
from bench.records.judged_scores import JudgedScores, qrels_of
from bench.records.run import Run

MEASURE = "nDCG@10"
Z_SCORES = "z-scores"
SUITE = {
    "name": "calibrated-fusion",
    "datasets": ["embedded:everyday"],
    "first_stages": ["bm25", "minilm-dense"],
    "rerankers": [],
    "depth": 50,
}
Lists = Mapping[str, QueryCandidates]
"""Query id -> the list of a first stage."""
Fuse = Callable[[Sequence[QueryCandidates], str], Contributions]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", nargs="?", metavar="RUN")
    folder = parser.parse_args().run
    with tempfile.TemporaryDirectory() as place:
        _print(bench.load(folder) if folder else bench.run(SUITE, out=place, latency=False))


def _print(run: Run) -> None:
    tables = tables_of(run, "first-stage")
    lists = [run.scores_of(table.row.trial.id) for table in tables]
    trials = [table.row.trial for table in tables]
    names = " + ".join(trial.first_stage for trial in trials)
    print(f"{trials[0].dataset}: {names}, {trials[0].depth} candidates each; {MEASURE}")
    for name, own in _alone(run, tables, lists):
        print(f"{name:<16} {np.mean(own):.4f}")
    fusions = _fusions(run, tables)
    for is_tuned in (False, True):
        values = {name: _values(run, tables, lists, fuse, is_tuned) for name, fuse in fusions}
        title = "weights tuned on the other folds" if is_tuned else "equal weights"
        print(f"{title}, {len(values[Z_SCORES])} queries, and the difference to {Z_SCORES}")
        for name, own in values.items():
            difference = statistics.difference(own, values[Z_SCORES], run.seed)
            print(
                f"{name:<16} {np.mean(own):.4f}  {difference.mean:+.4f} "
                f"[{difference.low:+.4f}, {difference.high:+.4f}]  p {difference.p:.3f}"
            )


def _alone(
    run: Run, tables: Sequence[JudgedScores], lists: Sequence[Lists]
) -> Iterator[tuple[str, list[float]]]:
    """Yield each first stage with the values of its own order."""
    for table in tables:
        trial = table.row.trial
        values = run.values(trial.id, MEASURE)
        yield trial.first_stage, [values[query_id] for query_id in _common(table, lists)]


def _fusions(run: Run, tables: Sequence[JudgedScores]) -> list[tuple[str, Fuse]]:
    """Return each way to fuse with its name."""
    fusions: list[tuple[str, Fuse]] = [
        (Z_SCORES, lambda lists, query_id: weighted_contributions(lists, "z-score")),
        ("reciprocal ranks", lambda lists, query_id: rrf_contributions(lists)),
    ]
    for recipe in RECIPES:
        rows = [_probabilities(run, table, recipe) for table in tables]
        fusions.append((recipe.name, _by_probabilities(rows)))
    return fusions


def _by_probabilities(rows: Sequence[Mapping[str, np.ndarray]]) -> Fuse:
    """Return a fusion that adds up probabilities; `rows` are those of each first stage."""

    def fuse(lists: Sequence[QueryCandidates], query_id: str) -> Contributions:
        return contributions_of(lists, [row[query_id] for row in rows])

    return fuse


def _probabilities(run: Run, table: JudgedScores, recipe: Recipe) -> dict[str, np.ndarray]:
    """Return query id -> the probabilities of its list, by maps of the other folds."""
    labels = labels_of(table, default_reading(table))
    fold_of = fold_numbers(run, table, FOLDS, run.seed)
    values = cross_fitted(recipe, lists_of(table), labels, fold_of)
    starts = table.offsets[1:-1]
    parts = list(zip(np.split(values, starts), np.split(table.scores, starts), strict=True))
    probabilities = [own for own, _ in parts]
    if not recipe.features:
        # as the stages do: where a map is level, the order stays that of the scores
        probabilities = [in_order_of(own, scores) for own, scores in parts]
    return dict(zip(table.query_ids, probabilities, strict=True))


def _common(table: JudgedScores, lists: Sequence[Lists]) -> list[str]:
    """Return the queries that all first stages have a list of."""
    return [query_id for query_id in table.query_ids if all(query_id in own for own in lists)]


def _values(
    run: Run, tables: Sequence[JudgedScores], lists: Sequence[Lists], fuse: Fuse, is_tuned: bool
) -> list[float]:
    """Return the measure of each query, fused with equal weights or with those that were best on
    the queries of the other folds.
    """
    table = tables[0]
    query_ids = _common(table, lists)
    qrels = qrels_of(run, table.row.trial.dataset)
    parts: dict[str, Contributions] = {}
    for query_id in query_ids:
        parts[query_id] = fuse([own[query_id] for own in lists], query_id)
    numbers = fold_numbers(run, table, FOLDS, run.seed).tolist()
    fold_of = dict(zip(table.query_ids, numbers, strict=True))
    weights = FusionWeights((1.0,) * len(tables))
    if is_tuned:
        weights = tuning.cross_fitted(parts, qrels, fold_of, FOLDS)
    rankings: dict[str, Ranking] = {}
    for query_id, contributions in parts.items():
        order = contributions.ranking(weights.of(query_id))
        rankings[query_id] = Ranking(order.doc_ids, order.scores)
    judged = {query_id: qrels.get(query_id, {}) for query_id in query_ids}
    values = measures.evaluate(rankings, judged, [MEASURE], table.threshold)[MEASURE]
    return [values[query_id] for query_id in query_ids]


if __name__ == "__main__":
    main()
