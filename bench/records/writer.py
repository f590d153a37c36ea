"""A run's folder as it is written, group by group: nothing that is there is written anew."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.contract.trial import System, TrialStatus
from bench.core.atomic import write_atomically
from bench.core.errors import RecordError
from bench.core.filenames import file_stem
from bench.core.note import Note
from bench.core.redaction import for_others
from bench.latency.sweep_plan import SETTINGS
from bench.records import tables, texts
from bench.records.digests import write_digests
from bench.records.folder import plain, record_path
from bench.records.reading import validated
from bench.records.run import Run
from bench.records.schema import ArchitectureRecord, Record, RunInfo
from bench.records.tables import path_of, read_files, write_rows, write_trials


class RunWriter:
    """Writes one run's folder. Holds a lock on it, so that a run that resumes never takes over one
    that is still at work.
    """

    def __init__(self, folder: Path, info: RunInfo, lock: Any, notes: Sequence[str] = ()) -> None:
        self.folder = folder
        self.info = info
        self.notes = notes
        """What a user should know of how the folder was chosen."""
        self._lock = lock

    def finished(self) -> set[str]:
        """The ids of trials of which an earlier, interrupted process of this run left whole
        records.
        """
        finished: set[str] = set()
        for status in self.info.trials:
            path = record_path(self.folder, status.trial)
            try:
                record: Record | ArchitectureRecord
                if status.trial.kind == "architecture":
                    record = validated(ArchitectureRecord, path)
                else:
                    record = validated(Record, path)
            except RecordError:  # none, or damaged from outside: the trial runs again
                continue
            finished.add(record.trial.id)
        return finished

    def save(
        self,
        records: Sequence[Record | ArchitectureRecord],
        per_query: Iterable[Sequence[Any]],
        latency: Iterable[Sequence[Any]],
        depths: Iterable[Sequence[Any]] = (),
        usage: Iterable[Sequence[Any]] = (),
    ) -> None:
        """Add the trials of one group. Tables first, records last: a trial with a record has its
        rows.
        """
        rows_of = {
            tables.PER_QUERY: per_query,
            tables.LATENCY: latency,
            tables.DEPTHS: depths,
            tables.USAGE: usage,
        }
        for table, rows in rows_of.items():
            written = write_trials(self.folder, table, rows)
            for record in records:
                if record.trial.id not in written:  # an interrupted process may have left some
                    path_of(self.folder, table, record.trial.id).unlink(missing_ok=True)
        for record in records:
            write_atomically(
                record_path(self.folder, record.trial), _json(record.model_dump(mode="json"))
            )

    def save_texts(self, group: str, kept_texts: texts.Texts) -> None:
        """Add what reports show of one group, which is named by its first trial."""
        rows_of: dict[tables.Table, Sequence[Sequence[Any]]] = {
            tables.QUERIES: kept_texts.queries,
            tables.QUERY_FIELDS: kept_texts.query_fields,
            tables.DOCUMENTS: kept_texts.documents,
            tables.JUDGMENTS: kept_texts.judgments,
        }
        for table, rows in rows_of.items():
            if rows:
                write_rows(path_of(self.folder, table, group), table, rows)

    def add_sweep(self, rows: Iterable[Sequence[Any]]) -> None:
        """Add points to the sweep; those that are there stay, and a run that is continued does not
        time them again.
        """
        by_trial: dict[str, list[Sequence[Any]]] = {}
        for row in rows:
            by_trial.setdefault(row[0], []).append(row)
        for trial, members in by_trial.items():
            folder = self._swept(trial)
            number = len(list(folder.glob("*.parquet")))
            write_rows(folder / f"{number:04}.parquet", tables.SWEEP, members)

    def swept(self, trials: Iterable[str]) -> set[tuple[Any, ...]]:
        """The points of the sweep at which these trials are timed: (trial, depth, *settings)."""
        paths: list[Path] = []
        for trial in trials:
            paths += self._swept(trial).glob("*.parquet")
        points = read_files(paths, tables.SWEEP)[["trial", "depth", *SETTINGS]].drop_duplicates()
        return {tuple(map(plain, row)) for row in points.itertuples(index=False)}

    def add_depths(self, system: System, rows: Iterable[Sequence[Any]]) -> None:
        """Write the quality of a system that is no trial of its own: a reranker in another number
        format or runtime.
        """
        folder = path_of(self.folder, tables.DEPTHS, system.trial).with_suffix("")
        write_rows(folder / f"{file_stem('-'.join(system.changes))}.parquet", tables.DEPTHS, rows)

    def set_status(self, statuses: Mapping[str, TrialStatus]) -> None:
        trials = [statuses.get(status.trial.id, status) for status in self.info.trials]
        self.info = self.info.model_copy(update={"trials": trials})
        self.write_info()

    def warn(self, notes: Iterable[Note]) -> None:
        """Add what a reader should know of the run, each note once."""
        public = [replace(note, text=for_others(note.text)) for note in notes]
        warnings = list(dict.fromkeys([*self.info.warnings, *public]))
        self.info = self.info.model_copy(update={"warnings": warnings})

    def finish(self) -> Run:
        """Mark the run as complete and let go of its folder."""
        self.info = self.info.model_copy(update={"status": "done", "finished": now()})
        write_digests(self.folder, self._info_text())
        self.write_info()
        if self._lock is not None:
            # While the lock is held: a process that opened the old file finds the run finished.
            (self.folder / ".lock").unlink(missing_ok=True)
        self.release()
        return Run(self.folder)

    def release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def write_info(self) -> None:
        """Write run.json as it is now."""
        write_atomically(self.folder / "run.json", self._info_text())

    def _info_text(self) -> bytes:
        return _json(self.info.model_dump(mode="json"))

    def _swept(self, trial: str) -> Path:
        """The folder of a trial's sweep: a file for each time that points were added."""
        return path_of(self.folder, tables.SWEEP, trial).with_suffix("")


def now() -> str:
    """UTC, to the second, ISO 8601."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _json(data: Any) -> bytes:
    """JSON that every parser reads: half a character, which has no UTF-8, becomes its escape."""
    return (json.dumps(data, indent=1, ensure_ascii=False) + "\n").encode(
        "utf-8", "backslashreplace"
    )
