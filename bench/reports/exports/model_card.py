"""A model card's snippet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.core.counting import counted
from bench.records.rows import group_of
from bench.records.run import Run
from bench.records.schema import Record
from bench.reports.exports.base import doubt, judged_by, measured, mteb_name, reranked
from bench.reports.names import title_of


def to_model_card(run: Run, out: Path | None = None) -> str:
    """Return a model card's `model-index` block, one entry per reranker, with the first stage and
    candidates named.

    Shape: https://huggingface.co/docs/hub/model-cards#evaluation-results, with the task type that
    sentence-transformers writes.
    """
    import yaml

    entries: dict[str, list[dict[str, Any]]] = {}
    for record in reranked(run):
        entries.setdefault(record.trial.reranker, []).append(_card_result(record))
    index = {
        "model-index": [{"name": name, "results": results} for name, results in entries.items()]
    }
    return f"---\n{yaml.safe_dump(index, sort_keys=False, allow_unicode=True)}---\n"


def _card_result(record: Record) -> dict[str, Any]:
    trial = record.trial
    name = title_of(group_of(trial), record.candidates.get("longest"))
    if record.counts.failed:
        called = counted(record.counts.called, "query")
        name += f" ({record.counts.failed} of {called} failed and score 0)"
    for remark in filter(None, (doubt(record), judged_by(record))):
        name += f" ({remark})"
    metrics = [
        {
            "type": mteb_name(measure).replace("_at_", "@"),
            "name": measure,
            "value": round(mean.mean, 6),
        }
        for measure, mean in measured(record)
    ]
    return {
        "task": {"type": "cross-encoder-reranking", "name": "Reranking"},
        "dataset": {"type": trial.dataset, "name": name, "revision": record.keys["quality"].hash},
        "metrics": metrics,
    }
