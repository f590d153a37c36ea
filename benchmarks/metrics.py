"""What measuring costs: rankings and four per-query measures against ir_measures, and reading a run
file against bare pyarrow.

    python benchmarks/metrics.py [--queries 7000] [--depth 1000]

ir_measures gets the same rankings, ready as the dictionaries that it wants. Values are compared,
and the largest difference is printed.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pyarrow.csv as csv

from bench.quality import measures
from bench.ranking import trec_rows
from bench.ranking.order import Ranking, rank
from bench.ranking.trec import read_run

MEASURES = ["nDCG@10", "RR@10", "AP", "R@100"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--queries", type=int, default=7000)
    parser.add_argument("--depth", type=int, default=1000)
    parser.add_argument(
        "--oracle-queries",
        type=int,
        default=700,
        help="queries that ir_measures gets: it holds them all as dictionaries",
    )
    options = parser.parse_args()
    candidates, qrels = random_data(options.queries, options.depth)
    print(
        f"{options.queries} queries x {options.depth} documents, {len(MEASURES)} measures, per "
        "query"
    )
    ranked, rank_s = timed(
        lambda: {query: rank(docs, scores) for query, (docs, scores) in candidates.items()}
    )
    values, measure_s = timed(lambda: measures.evaluate(ranked, qrels, MEASURES))
    print(f"order by score and tie rule    {rank_s:6.2f} s")
    print(f"{', '.join(MEASURES):<30} {measure_s:6.2f} s")
    against_ir_measures(ranked, qrels, values, options.oracle_queries)
    reading(ranked)


def random_data(
    queries: int, depth: int
) -> tuple[dict[str, tuple[list[str], np.ndarray]], dict[str, dict[str, int]]]:
    rng = np.random.default_rng(0)
    names = [f"{i}" for i in range(8_000_000, 8_000_000 + 40 * depth)]
    candidates, qrels = {}, {}
    for i in range(queries):
        drawn = rng.choice(len(names), depth, replace=False)
        candidates[f"q{i}"] = ([names[j] for j in drawn], rng.normal(size=depth).round(4))
        judged = [*drawn[rng.choice(depth, 15, replace=False)], *rng.choice(len(names), 5)]
        qrels[f"q{i}"] = {
            names[j]: int(grade)
            for j, grade in zip(judged, rng.integers(0, 4, len(judged)), strict=True)
        }
    return candidates, qrels


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    outcome = work()
    return outcome, time.perf_counter() - start


def against_ir_measures(
    ranked: dict[str, Ranking],
    qrels: dict[str, dict[str, int]],
    values: dict[str, dict[str, float]],
    queries: int,
) -> None:
    some = dict(list(ranked.items())[:queries])
    judgments = {query: qrels[query] for query in some}
    run = {
        query: dict(zip(ranking.doc_ids, ranking.strict_scores(), strict=True))
        for query, ranking in some.items()
    }
    parsed = [ir_measures.parse_measure(name) for name in MEASURES]
    ratios, largest = [], 0.0
    for round_ in range(4):
        pair = [
            lambda: measures.evaluate(some, judgments, MEASURES),
            lambda: list(ir_measures.iter_calc(parsed, judgments, run)),
        ]
        order = [0, 1]
        if round_ % 2:
            order.reverse()
        seconds = {}
        for which in order:
            outcome, seconds[which] = timed(pair[which])
            if which == 1:
                largest = max(
                    abs(metric.value - values[str(metric.measure)][metric.query_id])
                    for metric in outcome
                )
        ratios.append(seconds[1] / seconds[0])
    print(
        f"ir_measures / ours             {statistics.median(ratios):6.1f} x  ({len(some)} "
        "queries, 4 alternating rounds), "
        f"largest difference of a value {largest:.1e}"
    )


def reading(ranked: dict[str, Ranking]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made.run"
        with path.open("w") as file:
            for query, ranking in ranked.items():
                rows = zip(ranking.doc_ids, ranking.scores, strict=True)
                for rank_, (doc, score) in enumerate(rows, 1):
                    file.write(f"{query} Q0 {doc} {rank_} {score} random\n")
        complete, parsed = [], []
        for _ in range(5):
            _, bare = timed(
                lambda: csv.read_csv(
                    path,
                    csv.ReadOptions(column_names=list("abcdef")),
                    csv.ParseOptions(delimiter=" "),
                )
            )
            _, parsing = timed(lambda: trec_rows.read(path))
            _, ours = timed(lambda: read_run(path))
            complete.append(ours / bare)
            parsed.append(parsing / bare)
        lines = sum(len(ranking.doc_ids) for ranking in ranked.values())
        print(f"read_run, {lines:,} lines    {ours:6.2f} s, {lines / ours / 1e6:.1f} M lines/s")
        print(
            f"its parsing / bare pyarrow     {statistics.median(parsed):6.1f} x  (5 rounds; "
            "columns checked, ids as text)"
        )
        print(
            f"read_run / bare pyarrow        {statistics.median(complete):6.1f} x  (in order, "
            "checked for repeats, as Python objects)"
        )


if __name__ == "__main__":
    main()
