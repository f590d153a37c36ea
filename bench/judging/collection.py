"""The collection that a run was made over, read again: judges see whole texts, and a run keeps the
beginnings of some.
"""

from __future__ import annotations

from collections.abc import Mapping

from bench import datasets
from bench.core.errors import RecordError
from bench.datasets.base import Dataset
from bench.judging.pool import pooled_rows
from bench.records.run import Run
from bench.runner.rebuilding import stored_suite
from bench.suite.naming import display_name

TEXTS = ("corpus_hash", "queries_hash")
"""What of a collection's identity decides the texts that a judge sees."""


def collection_of(run: Run, name: str) -> Dataset:
    """Return a dataset of a run. Raises BenchError where it cannot be loaded any more, or its texts
    are not those that were ranked.
    """
    info = run.info
    stored = stored_suite(run)
    part = next((part for part in stored.datasets if display_name(part) == name), None)
    if part is None:
        raise RecordError(f"{run.folder}: its suite has no dataset {name} any more")
    dataset = datasets.load(part.name, part.options, stored.base_dir, stored.seed)
    record = run.records[pooled_rows(run, name)[0].trial.id]
    recorded: Mapping[str, object] = record.dataset
    changed = [key for key in TEXTS if dataset.identity.get(key) != recorded.get(key)]
    if changed or dataset.template != recorded.get("template"):
        raise RecordError(
            f"{name}: its texts are not those that {info.id} ranked "
            f"({', '.join(changed) or 'template'} differ): run the suite again"
        )
    if not dataset.has_texts:
        raise RecordError(f"{name}: it has no texts, and a judge reads them")
    return dataset
