"""The best pipeline as files: a suite that runs, and a description of what was measured, which
`rerank-bench serve` hosts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.composition.entries import entry_of
from bench.contract.part import Part
from bench.core.atomic import write_atomically
from bench.core.filenames import file_stem
from bench.core.json_file import read_json
from bench.core.redaction import redacted
from bench.core.version import version
from bench.core.wording import sentences
from bench.core.yaml_source import plain_yaml
from bench.records.run import Run
from bench.suite.moved import moved
from bench.suite.suite import Suite
from bench.tuning.candidates import LEARNED_ON
from bench.tuning.outcome import Outcome, TimedPipeline
from bench.tuning.suite_parts import SuiteParts

SUITE, DESCRIPTION = "winner.yaml", "winner.json"
NAME = "winner"
LOAD = "load"
"""The option of a learned stage that names its model."""


def write(outcome: Outcome, suite: Suite, parts: SuiteParts, run: Run, out: Path) -> list[Path]:
    """Write the winner into a folder and return the files; nothing where there is no winner, and
    files of an earlier one are removed.

    The suite runs, and learns what its stages learn; that of the description is served, and has
    what was learned of all judged queries: numbers, and models as files in the same folder.
    """
    files = [out / SUITE, out / DESCRIPTION]
    for path in (*_earlier_models(out), *files):
        path.unlink(missing_ok=True)
    if outcome.winner is None:
        return []
    chain = outcome.winner.chain
    out.mkdir(parents=True, exist_ok=True)
    models = _copied(outcome.winner, parts, out)
    entries = parts.after(chain.first, chain.rows, learned=False)
    own = _suite(outcome.winner, suite, entries, out)
    served = parts.after(chain.first, chain.rows, learned=True)
    for row, name in models.items():
        served[row] = Part(name=served[row].name, options={**served[row].options, LOAD: name})
    text = plain_yaml(own, sort_keys=False)
    description = {
        "suite": _suite(outcome.winner, suite, served, out),
        "pipeline": str(chain),
        "dataset": outcome.dataset,
        "device": outcome.device,
        "limits": asdict(outcome.limits),
        "measure": outcome.measure,
        "winner": _measured(outcome.winner),
        "learned": _learned(outcome.winner, parts, models),
        "interval": asdict(outcome.estimate) if outcome.estimate else None,
        "runner_up": _measured(outcome.runner_up) if outcome.runner_up else None,
        "timed_pipelines": len(outcome.timed),
        "timed_calls": outcome.calls,
        "disturbances": sentences(outcome.disturbances),
        "composed_pipelines": outcome.pipelines,
        "scores": run.info.id,
        "machine": dict(run.info.environment),
        "version": version(),
    }
    write_atomically(files[0], text.encode())
    body = json.dumps(redacted(description), indent=1, ensure_ascii=False)
    write_atomically(files[1], f"{body}\n".encode())
    return [*files, *(out / name for name in models.values())]


def _earlier_models(out: Path) -> list[Path]:
    """Return the models of an earlier winner, which its description names: what else lies in the
    folder is somebody's.
    """
    try:
        names = {stage["model"] for stage in read_json(out / DESCRIPTION)["learned"]}
    except (OSError, ValueError, TypeError, LookupError):
        return []
    return [path for path in out.glob(f"{NAME}-*") if path.name in names and path.is_file()]


def _copied(winner: TimedPipeline, parts: SuiteParts, out: Path) -> dict[str, str]:
    """Copy the models of the winner's stages next to its description; return row -> file name."""
    names: dict[str, str] = {}
    for row in winner.chain.rows:
        model = parts.models.get((winner.chain.first, row))
        if model is not None:
            names[row] = f"{NAME}-{file_stem(row)}{model.suffix}"
            write_atomically(out / names[row], model.read_bytes())
    return names


def _learned(
    winner: TimedPipeline, parts: SuiteParts, models: Mapping[str, str]
) -> list[dict[str, object]]:
    """Return what the winner learned, stage by stage, and on which queries."""
    learned: list[dict[str, object]] = []
    for row in winner.chain.rows:
        entry = parts.settled.get((winner.chain.first, row))
        if entry is not None:
            learned.append({"stage": row, "on": "all judged queries", "model": models.get(row)})
    tuning = winner.candidate.tuning
    if tuning is not None:
        halves = zip(winner.candidate.values, tuning.half_of, strict=True)
        values = [value for value, half in halves if half != LEARNED_ON]
        learned.append(
            {
                "stage": str(winner.chain),
                "on": f"{tuning.queries[LEARNED_ON]} of {sum(tuning.queries)} queries",
                "share": tuning.shares[1 - LEARNED_ON],
                "quality_on_the_others": sum(values) / len(values),
            }
        )
    return learned


def _suite(
    winner: TimedPipeline, suite: Suite, parts: Mapping[str, Part], out: Path
) -> dict[str, Any]:
    """Return a suite of the winner alone, with paths as seen from the folder of its file."""
    entry = entry_of(winner.chain, NAME, parts).to_entry()
    fields = {
        "name": f"{suite.name}-{NAME}",
        "datasets": [part.to_entry() for part in suite.datasets],
        "pipelines": [dict(entry)],
        "measures": list(suite.measures),
        "depth": winner.chain.depth,
        "devices": list(suite.devices),
        "seed": suite.seed,
    }
    return {key: moved(value, suite.base_dir, out) for key, value in fields.items()}


def _measured(pipeline: TimedPipeline) -> dict[str, object]:
    candidate = pipeline.candidate
    low, high = pipeline.p50_range or (None, None)
    return {
        "pipeline": str(pipeline.chain),
        "first_stage": pipeline.chain.first,
        "depth": pipeline.chain.depth,
        "quality": candidate.quality,
        "p50_ms": pipeline.p50_ms,
        "p50_low_ms": low,
        "p50_high_ms": high,
        "p50_forecast_ms": candidate.forecast_p50_ms,
        "p50_is_as_forecast": pipeline.is_as_forecast,
        "p95_ms": pipeline.p95_ms,
        "queries_timed": pipeline.queries,
        "p95_is_known": pipeline.is_p95_known,
        "usd_per_1000_queries": candidate.usd_per_1000,
    }
