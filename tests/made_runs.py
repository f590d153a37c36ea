"""Run folders written as the runner writes them, from values that a test chooses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.first_stage.run_file import write_run
from bench.measure import stats
from bench.records.keys import make_key
from bench.records.schema import Counts, Record, RunInfo, Trial, TrialStatus
from bench.records.store import Run, RunWriter

MEASURE = "nDCG@10"
QUALITY = {"dataset": {"corpus": "c1", "qrels": "q1"}, "candidates": "abc", "depth": 5, "measures": [MEASURE]}
Ranking = Sequence[tuple[str, float]]


def made_run(
    out: Path,
    values: Mapping[str, Sequence[float]],
    *,
    quality: Mapping[str, Any] | None = None,
    systems: Mapping[str, Mapping[str, Any]] | None = None,
    rankings: Mapping[str, Mapping[str, Ranking]] | None = None,
    failed: Sequence[str] = (),
    first_stage: str = "bm25",
    dataset: str = "tiny",
    measure: str = MEASURE,
    name: str = "made",
) -> Run:
    """A finished run: per reranker one value a query (queries q0, q1, ...), rankings where given, a line for each failed reranker.

    A reranker's system key holds its name unless `systems` says otherwise.
    """
    trials = {one: _trial(one, dataset, first_stage) for one in (*values, *failed)}
    statuses = [TrialStatus(trial=trials[one], status="failed" if one in failed else "done") for one in trials]
    info = RunInfo(
        id=f"20260101T000000Z-{name}",
        suite="made",
        asked={},
        resolved={"seed": 7},
        suite_hash=name,
        started="2026-01-01T00:00:00Z",
        version="0",
        environment={},
        trials=statuses,
    )
    writer = RunWriter.open(out, info)
    fields = {**QUALITY, **(quality or {})}
    records = [_record(trials[one], found, fields, (systems or {}).get(one, {"model": one}), measure) for one, found in values.items()]
    rows = [(trials[one].id, f"q{i}", measure, float(value)) for one, found in values.items() for i, value in enumerate(found)]
    writer.save(records, rows, [])
    for one, ranking in (rankings or {}).items():
        write_run(writer.folder / "rankings" / f"{trials[one].id}.run.gz", ranking, tag=one)
    return writer.finish()


def _trial(reranker: str, dataset: str, first_stage: str) -> Trial:
    reference = reranker in ("first-stage", "oracle")
    return Trial(
        id=f"{dataset}--{first_stage}--{reranker}",
        dataset=dataset,
        first_stage=first_stage,
        reranker=reranker,
        device="-" if reference else "cpu",
        depth=5,
        kind="reference" if reference else "reranker",
    )


def _record(trial: Trial, found: Sequence[float], quality: Mapping[str, Any], system: Mapping[str, Any], measure: str) -> Record:
    counts = Counts(queries=len(found), unjudged_queries=0, without_relevant=0, without_candidates=0, failed=0, pairs=0, ties=0)
    return Record(
        trial=trial,
        description={},
        dataset={},
        candidates={},
        quality={measure: stats.estimate(list(found), seed=7, resamples=100)},
        vs_first_stage={},
        counts=counts,
        scores={"cached": 0, "computed": len(found)},
        keys={"quality": make_key(quality), "system": make_key(system)},
        environment={},
        finished="2026-01-01T00:00:00Z",
    )
