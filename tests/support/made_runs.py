"""Run folders written as the runner writes them, from values that a test chooses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.contract.trial import System, Trial, TrialStatus
from bench.latency.sample import Sample
from bench.latency.sweep_plan import SETTINGS
from bench.quality import statistics
from bench.quality.assess import Counts
from bench.ranking.trec import write_run
from bench.records.keys import make_key
from bench.records.opening import open_run
from bench.records.run import Run
from bench.records.schema import Record, RunInfo

MEASURE = "nDCG@10"
QUALITY = {
    "dataset": {"corpus": "c1", "qrels": "q1"},
    "candidates": "abc",
    "depth": 5,
    "measures": [MEASURE],
}
Ranking = Sequence[tuple[str, float]]
Values = Sequence[float] | np.ndarray


def made_run(
    out: Path,
    values: Mapping[str, Values],
    *,
    quality: Mapping[str, Any] | None = None,
    quality_of: Mapping[str, Mapping[str, Any]] | None = None,
    systems: Mapping[str, Mapping[str, Any]] | None = None,
    rankings: Mapping[str, Mapping[str, Ranking]] | None = None,
    failed: Sequence[str] = (),
    first_stage: str = "bm25",
    dataset: str = "tiny",
    measure: str = MEASURE,
    name: str = "made",
    devices: Mapping[str, str] | None = None,
    depth: int = 5,
    milliseconds: Mapping[str, Values] | None = None,
    by_depth: Mapping[tuple[str | System, int], Values] | None = None,
    sweep: Sequence[Mapping[str, Any]] = (),
    more: Mapping[str, Mapping[str, Values]] | None = None,
    record: Mapping[str, Mapping[str, Any]] | None = None,
    latency: Sequence[Sequence[Any]] = (),
) -> Run:
    """A finished run: per reranker one value a query (queries q0, q1, ...), rankings where given, a
    line for each failed reranker.

    Queries that a reranker's `rankings` leave out have no candidates.

    A reranker's system key holds its name unless `systems` says otherwise. `milliseconds` are of
    `single`, one call a query; `by_depth` holds one value a query by (system, depth), where a
    reranker's own system is its name; each of `sweep` is a point: reranker, depth, settings, and
    its milliseconds, one call a query. `more` holds other measures' values, `record` what else a
    reranker's record holds, `latency` rows of the timings.
    """
    trials = {
        one: _trial(one, dataset, first_stage, (devices or {}).get(one, "cpu"), depth)
        for one in (*values, *failed)
    }
    statuses = [
        TrialStatus(trial=trials[one], status="failed" if one in failed else "done")
        for one in trials
    ]
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
    writer = open_run(out, info)
    fields = {
        one: {**QUALITY, **(quality or {}), **(quality_of or {}).get(one, {})} for one in values
    }
    measures = {measure: values, **(more or {})}
    records = [
        _record(
            trials[one],
            {name: of[one] for name, of in measures.items() if one in of},
            fields[one],
            (systems or {}).get(one, {"model": one}),
            (record or {}).get(one, {}),
            (rankings or {}).get(one),
        )
        for one in values
    ]
    rows = [
        (trials[one].id, f"q{i}", measured, float(value))
        for measured, of in measures.items()
        for one, found in of.items()
        for i, value in enumerate(found)
    ]
    ids = {one: trial.id for one, trial in trials.items()}
    timed = [
        call
        for one, found in (milliseconds or {}).items()
        for call in _calls(ids[one], found, depth)
    ]
    curve = [
        (*_system(ids, one), at, f"q{i}", measure, float(value))
        for (one, at), found in (by_depth or {}).items()
        for i, value in enumerate(found)
    ]
    writer.save(records, rows, [*timed, *latency], curve)
    writer.add_sweep([row for point in sweep for row in _swept(ids[point["reranker"]], point)])
    for one, ranking in (rankings or {}).items():
        write_run(writer.folder / "rankings" / f"{trials[one].id}.run.gz", ranking, tag=one)
    return writer.finish()


def _calls(trial: str, milliseconds: Values, depth: int) -> list[Sample]:
    """One call of `single` a query."""
    return [
        Sample(trial, "single", 0, f"q{i}", depth, None, int(one * 1e6))
        for i, one in enumerate(milliseconds)
    ]


def _swept(trial: str, point: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    settings = [point.get(name) for name in SETTINGS]
    calls = _calls(trial, point["milliseconds"], point["depth"])
    system = System(trial, **point.get("changes", {}))
    return [(*call, *system[1:], point["depth"], *settings) for call in calls]


def _system(ids: Mapping[str, str], one: str | System) -> System:
    """The system of a reranker's name, or the same system with the id of its trial."""
    system = one if isinstance(one, System) else System(one)
    return system._replace(trial=ids.get(system.trial, system.trial))


def _trial(reranker: str, dataset: str, first_stage: str, device: str, depth: int) -> Trial:
    reference = reranker in ("first-stage", "oracle")
    return Trial(
        id=f"{dataset}--{first_stage}--{reranker}",
        dataset=dataset,
        first_stage=first_stage,
        reranker=reranker,
        device="-" if reference else device,
        depth=depth,
        kind="reference" if reference else "reranker",
    )


def _record(
    trial: Trial,
    found: Mapping[str, Values],
    quality: Mapping[str, Any],
    system: Mapping[str, Any],
    more: Mapping[str, Any],
    rankings: Mapping[str, Ranking] | None,
) -> Record:
    queries = len(next(iter(found.values())))
    ranked = queries if rankings is None else len(rankings)
    counts = Counts(
        queries=queries,
        unjudged_queries=0,
        without_relevant=0,
        without_candidates=queries - ranked,
        failed=0,
        pairs=sum(map(len, (rankings or {}).values())),
        ties=0,
    )
    keys = {"quality": make_key(quality), "system": make_key(system), **more.get("keys", {})}
    made = {
        "trial": trial,
        "description": {},
        "dataset": {},
        "candidates": {},
        "quality": {
            name: statistics.estimate(list(values), seed=7, resamples=100)
            for name, values in found.items()
        },
        "vs_first_stage": {},
        "counts": counts,
        "scores": {"cached": 0, "computed": queries},
        "environment": {},
        "finished": "2026-01-01T00:00:00Z",
    }
    return Record.model_validate({**made, **more, "keys": keys})
