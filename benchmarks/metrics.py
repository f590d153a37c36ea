"""What measuring costs: rankings and four per-query measures against ir_measures, reading a run
file against bare pyarrow, and all of it from the file on, each in processes of its own.

    python benchmarks/metrics.py [--queries 7000] [--depth 1000] [--end-to-end 5]

ir_measures gets the same rankings, ready as the dictionaries that it wants. Values are compared,
and the largest difference is printed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pyarrow.csv as csv

from bench.quality import measures
from bench.quality.expression import measure_of
from bench.ranking import trec_rows
from bench.ranking.order import Ranking, rank
from bench.ranking.trec import read_run

Candidates = dict[str, tuple[list[str], np.ndarray]]
"""Query id -> documents and their scores."""
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
    parser.add_argument(
        "--end-to-end",
        type=int,
        default=0,
        metavar="ROUNDS",
        help="measure nothing but a run from its file on, so many times, in turn with ir_measures",
    )
    parser.add_argument(
        "--evaluate", nargs=3, metavar=("SIDE", "RUN", "QRELS"), help=argparse.SUPPRESS
    )
    options = parser.parse_args()
    if options.evaluate:
        print(json.dumps(evaluated(*options.evaluate)))
        return
    candidates, qrels = random_data(options.queries, options.depth)
    print(
        f"{options.queries} queries x {options.depth} documents, {len(MEASURES)} measures, per "
        "query"
    )
    if options.end_to_end:
        end_to_end(candidates, qrels, options.end_to_end)
        return
    ranked, rank_s = timed(
        lambda: {query: rank(docs, scores) for query, (docs, scores) in candidates.items()}
    )
    values, measure_s = timed(lambda: measures.evaluate(ranked, qrels, MEASURES))
    print(f"order by score and tie rule    {rank_s:6.2f} s")
    print(f"{', '.join(MEASURES):<30} {measure_s:6.2f} s")
    against_ir_measures(ranked, qrels, values, options.oracle_queries)
    reading(ranked)


def random_data(queries: int, depth: int) -> tuple[Candidates, dict[str, dict[str, int]]]:
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


def evaluated(side: str, run: str, qrels: str) -> dict[str, Any]:
    """Read a run and evaluate it. Returns the processor seconds without those of imports and of the
    judgments, and the means.
    """
    judgments: dict[str, dict[str, int]] = {}
    for line in Path(qrels).read_text().splitlines():
        query_id, _, doc_id, grade = line.split()
        judgments.setdefault(query_id, {})[doc_id] = int(grade)
    measures.names(MEASURES)
    parsed = [measure_of(name) for name in MEASURES]
    start = time.process_time()
    if side == "ours":
        values = measures.evaluate(read_run(run), judgments, MEASURES)
    else:
        values = {name: {} for name in MEASURES}
        for metric in ir_measures.iter_calc(parsed, judgments, ir_measures.read_trec_run(run)):
            values[str(metric.measure)][metric.query_id] = metric.value
    seconds = time.process_time() - start
    return {"seconds": seconds, "means": [statistics.mean(own.values()) for own in values.values()]}


def end_to_end(candidates: Candidates, qrels: dict[str, dict[str, int]], rounds: int) -> None:
    """Print the ratio of ir_measures' processor time to ours, from files to values."""
    with tempfile.TemporaryDirectory() as folder:
        run, judgments = Path(folder) / "made.run", Path(folder) / "made.qrels"
        write_run_file(run, candidates)
        with judgments.open("w") as file:
            for query_id, grades in qrels.items():
                file.writelines(f"{query_id} 0 {doc} {grade}\n" for doc, grade in grades.items())
        ratios: list[float] = []
        ours: list[float] = []
        for round_ in range(rounds):
            order = ["ours", "ir_measures"]
            if round_ % 2:
                order.reverse()
            figures = {}
            for side in order:
                command = [sys.executable, __file__, "--evaluate", side, str(run), str(judgments)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                figures[side] = json.loads(done.stdout)
            differences = zip(
                figures["ours"]["means"], figures["ir_measures"]["means"], strict=True
            )
            assert max(abs(a - b) for a, b in differences) < 1e-9
            ratios.append(figures["ir_measures"]["seconds"] / figures["ours"]["seconds"])
            ours.append(figures["ours"]["seconds"])
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    print(
        f"ir_measures / ours, from the file on: {middle:.2f} (quartiles {low:.2f} to {high:.2f}), "
        f"{statistics.median(ours):.2f} processor seconds here, {rounds} alternating rounds"
    )


def write_run_file(path: Path, candidates: Candidates) -> None:
    """Write rankings whose scores fall by steps that single precision tells apart: readers order
    equal ones in different ways.
    """
    rng = np.random.default_rng(1)
    with path.open("w") as file:
        for query_id, (doc_ids, _) in candidates.items():
            scores = rng.uniform(0.01, 1, len(doc_ids)).cumsum()[::-1].round(4)
            rows = zip(doc_ids, scores.tolist(), strict=True)
            file.writelines(
                f"{query_id} Q0 {doc_id} {rank} {score} random\n"
                for rank, (doc_id, score) in enumerate(rows, 1)
            )


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
    parsed = [measure_of(name) for name in MEASURES]
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
            "checked for repeats)"
        )


if __name__ == "__main__":
    main()
