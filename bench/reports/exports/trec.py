"""The rankings as plain TREC runs."""

from __future__ import annotations

from pathlib import Path

from bench.core.atomic import write_atomically
from bench.ranking.trec import header_of, metadata_path, split_run
from bench.records.folder import ranking_path
from bench.records.run import Run


def to_trec(run: Run, out: Path | None = None, *, header: bool = False) -> list[Path]:
    """Write every ranking as a plain, unzipped TREC run, and its ir_metadata in a file next to it
    or, where `header`, in comments that begin it.

    trec_eval 9, pytrec_eval, ir_measures, ranx, PyTerrier and trectools stop at a comment;
    trec_eval 10 reads on.
    """
    folder = out or run.folder / "trec"
    written = []
    for trial_id, record in run.records.items():
        if record.mostly_failed:
            continue
        path = folder / f"{trial_id}.run"
        run.ranking(trial_id)  # which refuses one that is not complete
        metadata, rows = split_run(ranking_path(run.folder, trial_id))
        write_atomically(path, header_of(metadata) + rows if header and metadata else rows)
        written.append(path)
        if metadata and not header:
            write_atomically(metadata_path(path), metadata.encode())
            written.append(metadata_path(path))
    return written
