"""A run for other tools. A new format is a file with an `Export` and a line in the table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.core.atomic import write_atomically
from bench.core.errors import RecordError
from bench.core.plugins import resolve
from bench.records.run import Run

EXPORTS: dict[str, str] = {
    "latex": "bench.reports.exports.latex:to_latex",
    "csv": "bench.reports.exports.table:to_csv",
    "json": "bench.reports.exports.table:to_json",
    "parquet": "bench.reports.exports.table:to_parquet",
    "mteb": "bench.reports.exports.mteb:to_mteb",
    "model-card": "bench.reports.exports.model_card:to_model_card",
    "trec": "bench.reports.exports.trec:to_trec",
}
"""Functions from a run and an `out` (a path or None) to text or to the files that they wrote."""


def export(run: Run, form: str, out: Path | None = None, **options: Any) -> str | list[Path]:
    """Return the run in one of the formats of EXPORTS: its text, or the files written to `out`,
    with that format's own options. Formats of several files go to the run's folder by default.

    Raises RecordError when no reranker of the run finished.
    """
    from bench.reports.exports.base import reranked

    if not any(reranked(run)):
        raise RecordError(
            f"{run.folder}: no reranker of this run finished with answers, so there is nothing "
            "to export"
        )
    content: str | list[Path] = resolve(form, EXPORTS, "format")(run, out, **options)
    if isinstance(content, list) or out is None:
        return content
    write_atomically(out, content.encode("utf-8"))
    return [out]
