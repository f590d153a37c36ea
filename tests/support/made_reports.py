"""A run of many rerankers, queries and documents, written as the runner writes it, for tests of
reports: made data, no model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.contract.request import CandidateList
from bench.contract.trial import System, Trial, TrialStatus
from bench.core.note import read_notes
from bench.latency.sample import Sample
from bench.latency.sweep_plan import SETTINGS
from bench.quality import measures, statistics
from bench.quality.assess import Counts, differences
from bench.ranking.order import Ranking, rank
from bench.ranking.trec import write_run
from bench.records.keys import make_key
from bench.records.run import Run
from bench.records.schema import Cost, Record, RunInfo
from bench.records.texts import TOP, of_group
from bench.records.writer import RunWriter

MEASURES = ("nDCG@10", "RR@10", measures.JUDGED)
WORDS = (
    "ranking",
    "search",
    "query",
    "passage",
    "index",
    "model",
    "latency",
    "recall",
    "token",
    "cache",
    "graph",
    "vector",
    "shard",
)


@dataclass
class Made:
    """What the run is made of. Names and texts may be anything; `noise` is per reranker: the less,
    the better it ranks.
    """

    noise: Mapping[str, float] = field(
        default_factory=lambda: {f"reranker-{i}": 0.3 + 0.25 * i for i in range(5)}
    )
    devices: Mapping[str, str] = field(default_factory=dict)
    datasets: Sequence[str] = ("made",)
    queries: int = 40
    depth: int = 20
    length: int = 80
    suite: str = "made-report"
    description: str = "Made data."
    query_text: str = ""
    doc_prefix: str = "d"
    doc_text: str = ""
    notes: Sequence[str] = ()
    timed: bool = True
    skipped: Mapping[str, str] = field(default_factory=dict)
    failures: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    costs: Mapping[str, Cost] = field(default_factory=dict)
    with_texts: bool = True
    first_stage_noise: float = 2.5
    slower: float = 1.0
    """By how much of the first reranker's time each further one is slower."""


def made_report(out: Path, made: Made) -> Run:
    """The finished run folder; its reports are not written yet."""
    trials = [trial for dataset in made.datasets for trial in _trials(made, dataset)]
    statuses = [TrialStatus(trial=trial, status="done") for trial in trials]
    statuses += [
        TrialStatus(
            trial=_trial(made, made.datasets[0], name, "-", "reranker"),
            status="skipped",
            reason=reason,
        )
        for name, reason in made.skipped.items()
    ]
    info = RunInfo(
        id="20260101T000000Z-made",
        suite=made.suite,
        description=made.description,
        asked={},
        resolved={"name": made.suite, "description": made.description, "seed": 7},
        suite_hash="made",
        command=f"rerank-bench run '{made.suite}.yaml'",
        started="2026-01-01T00:00:00Z",
        version="0",
        environment={"cpu": "Made CPU", "physical_cores": 2, "libraries": {"numpy": "2"}},
        trials=statuses,
        warnings=read_notes(made.notes),
    )
    folder = out / "run"
    folder.mkdir(parents=True)
    writer = RunWriter(folder, info, None)
    writer.write_info()
    for dataset in made.datasets:
        _write_group(writer, made, dataset, [trial for trial in trials if trial.dataset == dataset])
    return writer.finish()


def _write_group(writer: RunWriter, made: Made, dataset: str, trials: Sequence[Trial]) -> None:
    rng = np.random.default_rng(len(dataset))
    requests, gains = list(_requests(made, rng)), {}
    qrels: dict[str, dict[str, int]] = {}
    for request in requests:
        gains[request.query_id] = rng.choice([0, 0, 0, 1, 2, 3], size=len(request.docs))
        judged = rng.random(len(request.docs)) < 0.7
        judged[:2] = True
        qrels[request.query_id] = {
            doc: int(g)
            for doc, g, known in zip(request.doc_ids, gains[request.query_id], judged, strict=True)
            if known
        }
    rankings = {trial.id: _rankings(made, trial, requests, gains, rng) for trial in trials}
    per_query = {
        name: measures.evaluate(found, qrels, MEASURES) for name, found in rankings.items()
    }
    records = [
        _record(made, trial, per_query[trial.id], per_query[trials[0].id], list(qrels))
        for trial in trials
    ]
    values = [
        (t, q, m, v)
        for t, found in per_query.items()
        for m, by_query in found.items()
        for q, v in by_query.items()
    ]
    queries = {request.query_id: request.query for request in requests}
    texts = {
        doc_id: text
        for request in requests
        for doc_id, text in zip(request.doc_ids, request.docs, strict=True)
    }
    texts_of = (lambda doc_ids: [texts[doc_id] for doc_id in doc_ids]) if made.with_texts else None
    tops = [
        [doc_id for one in found.values() for doc_id in one.doc_ids[:TOP]]
        for found in rankings.values()
    ]
    writer.save_texts(
        trials[0].id,
        of_group(
            dataset,
            queries,
            qrels,
            [(one.query_id, one.doc_ids) for one in requests],
            tops,
            texts_of,
        ),
    )
    depths = [
        (*System(trial.id), depth, query, MEASURES[0], value * depth / made.depth)
        for trial in trials[1:-1]
        for depth in sorted({1, 5, 10, made.depth})
        for query, value in per_query[trial.id][MEASURES[0]].items()
    ]
    first, best = (per_query[trials[i].id][MEASURES[0]] for i in (0, -1))
    depths += [
        (
            *System(trials[-1].id),
            depth,
            query,
            MEASURES[0],
            value + (best[query] - value) * depth / made.depth,
        )
        for depth in sorted({1, 5, 10, made.depth})
        for query, value in first.items()
    ]
    writer.save(records, values, _latency(made, trials, rng), depths)
    if made.timed:
        swept = [
            (trial, depth) for trial in trials if trial.device is not None for depth in (5, 10)
        ]
        writer.add_sweep([row for trial, depth in swept for row in _sweep(trial, depth, rng)])
    for name, found in rankings.items():
        lines = {
            query: [(doc, -float(i)) for i, doc in enumerate(r.doc_ids)]
            for query, r in found.items()
        }
        lines = (
            {query: list(zip(r.doc_ids, r.scores, strict=True)) for query, r in found.items()}
            if "oracle" not in name
            else lines
        )
        write_run(writer.folder / "rankings" / f"{name}.run.gz", lines, tag="made")


def _requests(made: Made, rng: Any) -> Iterator[CandidateList]:
    for i in range(made.queries):
        docs = [f"{made.doc_prefix}{i * made.depth + j}" for j in range(made.depth)]
        texts = [made.doc_text or " ".join(rng.choice(WORDS, size=made.length)) for _ in docs]
        yield CandidateList(
            f"q{i}", made.query_text or f"{' '.join(rng.choice(WORDS, size=5))}?", docs, texts
        )


def _rankings(
    made: Made, trial: Trial, requests: Sequence[CandidateList], gains: Mapping[str, Any], rng: Any
) -> dict[str, Ranking]:
    noise = {"first-stage": made.first_stage_noise, "oracle": 0.001}.get(
        trial.reranker, made.noise.get(trial.reranker, 1.0)
    )
    failed = made.failures.get(trial.reranker, {})
    return {
        request.query_id: rank(
            request.doc_ids,
            (gains[request.query_id] + rng.normal(0, noise, len(request.docs))).round(5).tolist(),
        )
        for request in requests
        if request.query_id not in failed
    }


def _latency(made: Made, trials: Sequence[Trial], rng: Any) -> list[Sample]:
    rows: list[Sample] = []
    for i, trial in enumerate(trials):
        if not made.timed or trial.kind == "reference":
            continue
        one = "request" if trial.device is None else "single"
        base = 20e6 * (1 + made.slower * i) * (0.1 if trial.device == "cuda" else 1)

        def add(
            scenario: str,
            round_: int,
            query: str,
            time: float,
            warmup: bool = False,
            span: str = "total",
            name: str = trial.id,
            rate: float | None = None,
        ) -> None:
            rows.append(
                Sample(
                    name,
                    scenario,
                    round_,
                    query,
                    made.depth,
                    99,
                    int(time),
                    warmup,
                    span,
                    120,
                    0,
                    rate,
                )
            )

        for query in range(min(60, made.queries)):
            for round_ in (0, 1):
                add(one, round_, f"q{query}", base * rng.lognormal(0, 0.2))
        add(one, -1, "q0", 9 * base, warmup=True)
        if one == "single":
            for round_ in (0, 1):
                add("offline", round_, "", 30 * base * (1 + round_ / 9))
            for span, share in (("tokenise", 0.1), ("forward", 0.85), ("other", 0.05)):
                add("single", 0, "q0", base * share, span=span)
            for rate in (4.0, 8.0):
                add("server", 0, "q0", 2 * base, rate=rate)
            add("some new scenario", 0, "q0", base)
    return rows


def _sweep(trial: Trial, depth: int, rng: Any) -> Iterator[tuple[Any, ...]]:
    for query in range(20):
        time = int(depth * 1e6 * rng.lognormal(0, 0.2))
        yield (
            *Sample(trial.id, "single", 0, f"q{query}", depth, 99, time),
            *System(trial.id)[1:],
            depth,
            *[None] * len(SETTINGS),
        )


def _trials(made: Made, dataset: str) -> list[Trial]:
    own = [
        _trial(made, dataset, name, device, "reranker")
        for name in made.noise
        for device in made.devices.get(name, "cpu").split()
    ]
    return [
        _trial(made, dataset, "first-stage", "-", "reference"),
        *own,
        _trial(made, dataset, "oracle", "-", "reference"),
    ]


def _trial(made: Made, dataset: str, name: str, device: str, kind: Any) -> Trial:
    where = [dataset, "bm25", name, *([device] if device != "-" else [])]
    slug = "--".join(
        "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in step)
        for step in where
    )
    return Trial(
        id=slug,
        dataset=dataset,
        first_stage="bm25",
        reranker=name,
        device=device,
        depth=made.depth,
        kind=kind,
    )


def _record(
    made: Made,
    trial: Trial,
    found: Mapping[str, Any],
    base: Mapping[str, Any],
    queries: Sequence[str],
) -> Record:
    failures = dict(made.failures.get(trial.reranker, {}))
    pairs = (made.queries - len(failures)) * made.depth
    counts = {
        "queries": len(queries),
        "unjudged_queries": 0,
        "without_relevant": 0,
        "without_candidates": 0,
        "pairs": pairs,
        "ties": 0,
    }
    return Record(
        trial=trial,
        description={
            "backend": "made",
            "identity": {"model": trial.reranker},
            "facts": {"device": trial.device},
        },
        dataset={"id": trial.dataset, "min_relevance": 1},
        candidates={"hash": "abc", "depth": made.depth},
        quality={
            name: statistics.estimate([values[query] for query in queries], 7, 500)
            for name, values in found.items()
        },
        vs_first_stage={}
        if trial.reranker == "first-stage"
        else differences(found, base, queries, 7),
        counts=Counts(**counts, failed=len(failures)),
        failures=failures,
        scores={"cached": 0, "computed": len(queries)},
        cost=made.costs.get(trial.reranker),
        latency={"notes": list(made.notes)} if made.notes and trial.kind == "reranker" else None,
        keys={
            "quality": make_key({"dataset": trial.dataset}),
            "system": make_key({"model": trial.reranker}),
        },
        environment={},
        finished="2026-01-01T00:00:00Z",
    )
