"""Result files in the shape of MTEB's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.core.atomic import write_atomically
from bench.records.run import Run
from bench.records.schema import Record
from bench.reports.exports.base import doubt, file_name, judged_by, measured, mteb_name, reranked

UNKNOWN_LANGUAGE = "und-Zyyy"
"""ISO 639-3 and ISO 15924 for a language and a script that were not determined."""
LANGUAGES = {
    "embedded:everyday": "eng-Latn",
    "embedded:everyday-train": "eng-Latn",
    "embedded:everyday-questions": "eng-Latn",
}
"""Datasets whose language is known here, by the id in their record."""


def to_mteb(run: Run, out: Path | None = None, *, languages: Sequence[str] = ()) -> list[Path]:
    """Write `<reranker>/<revision>/<dataset>.json` in the shape of MTEB's result files, so that its
    loaders and tables read them.

    Shape: TaskResult of https://github.com/embeddings-benchmark/mteb (dataset_revision, task_name,
    mteb_version, scores per split, evaluation_time, kg_co2_emissions). These are results of this
    harness, and say so: mteb_version is null and the candidates are named. `languages` are those of
    the datasets, as in eng-Latn. Without them, and where a dataset's is not known here, it is
    "undetermined": MTEB's `get_score()` has no mean over an empty list.
    """
    folder = out or run.folder / "mteb"
    written = []
    for record in reranked(run):
        trial = record.trial
        known = record.system.fields.get("revision") or record.system.hash
        revision = str(known).replace("sha256:", "")
        path = (
            folder
            / file_name(trial.reranker)
            / file_name(revision)
            / f"{file_name(trial.dataset)}-{file_name(trial.first_stage)}-{trial.depth}.json"
        )
        write_atomically(
            path,
            (
                json.dumps(_mteb_result(record, run, languages), indent=2, ensure_ascii=False)
                + "\n"
            ).encode(),
        )
        written.append(path)
    return written


def _mteb_result(record: Record, run: Run, languages: Sequence[str]) -> dict[str, Any]:
    known = LANGUAGES.get(str(record.dataset.get("id")), UNKNOWN_LANGUAGE)
    scores = {mteb_name(measure): mean.mean for measure, mean in measured(record)}
    lead = next(iter(scores.values()))
    return {
        "dataset_revision": record.keys["quality"].hash,
        "task_name": record.trial.dataset,
        "mteb_version": None,
        "scores": {
            "test": [
                {
                    **scores,
                    "main_score": lead,
                    "hf_subset": "default",
                    "languages": list(languages) or [known],
                }
            ]
        },
        "evaluation_time": None,
        "kg_co2_emissions": None,
        "rerank_bench": {
            "version": run.info.version,
            "run": run.info.id,
            "first_stage": record.trial.first_stage,
            "candidates": record.candidates.get("hash"),
            "depth": record.trial.depth,
            "queries": record.counts.queries,
            "failed_queries": record.counts.failed,
            "out_of_verdict": doubt(record),
            "judged_by": judged_by(record),
            "system": record.system.fields,
        },
    }
