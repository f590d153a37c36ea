"""A run's folder as it is written, group by group."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contract.trial import TrialStatus
from bench.core.atomic import write_atomically
from bench.core.errors import RecordError
from bench.core.redaction import for_others
from bench.latency.sweep_plan import SETTINGS
from bench.records import growing, texts
from bench.records.folder import LATENCY, SWEEP, USAGE, plain, record_path
from bench.records.reading import validated
from bench.records.run import Run
from bench.records.schema import ArchitectureRecord, Record, RunInfo
from bench.records.tables import read_table

if TYPE_CHECKING:
    import pandas as pd


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
        found = set()
        for trial in (status.trial for status in self.info.trials):
            path = record_path(self.folder, trial)
            try:
                record = (
                    validated(ArchitectureRecord, path)
                    if trial.kind == "architecture"
                    else validated(Record, path)
                )
            except RecordError:  # none, or damaged from outside: the trial runs again
                continue
            found.add(record.trial.id)
        return found

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
        ids = {record.trial.id for record in records}
        growing.extend(self.folder / "per_query.parquet", growing.PER_QUERY, per_query, ids)
        self._extend("latency.parquet", LATENCY, latency, ids)
        growing.extend(self.folder / "depths.parquet", growing.DEPTHS, depths, ids)
        self._extend("usage.parquet", USAGE, usage, ids)
        for record in records:
            write_atomically(
                record_path(self.folder, record.trial), _json(record.model_dump(mode="json"))
            )

    def save_texts(self, found: texts.Texts) -> None:
        """Add what reports show of one group. Groups of one dataset share its queries and
        documents.
        """
        self._merge("queries.parquet", texts.QUERIES, found.queries)
        self._merge("documents.parquet", texts.DOCUMENTS, found.documents)
        self._merge("judgments.parquet", texts.JUDGMENTS, found.judgments)

    def add_sweep(self, rows: Iterable[Sequence[Any]]) -> None:
        """Add a point to the sweep; what stands there stays, and a run that is continued does not
        time it again.
        """
        self._extend("sweep.parquet", SWEEP, rows, set())

    def swept(self) -> set[tuple[Any, ...]]:
        """The points of the sweep that are timed: (trial, depth, *settings)."""
        table = read_table(self.folder / "sweep.parquet", SWEEP)[
            ["trial", "depth", *SETTINGS]
        ].drop_duplicates()
        return {tuple(map(plain, row)) for row in table.itertuples(index=False)}

    def add_depths(self, system: str, rows: Iterable[Sequence[Any]]) -> None:
        """Put down the quality of a system that is no trial of its own: a reranker in another
        number format or runtime.
        """
        growing.extend(self.folder / "depths.parquet", growing.DEPTHS, rows, {system})

    def set_status(self, statuses: Mapping[str, TrialStatus]) -> None:
        trials = [statuses.get(status.trial.id, status) for status in self.info.trials]
        self.info = self.info.model_copy(update={"trials": trials})
        self.write_info()

    def warn(self, warnings: Iterable[str]) -> None:
        self.info = self.info.model_copy(
            update={
                "warnings": list(dict.fromkeys([*self.info.warnings, *map(for_others, warnings)]))
            }
        )

    def finish(self) -> Run:
        """Mark the run as complete and let go of its folder."""
        self.info = self.info.model_copy(update={"status": "done", "finished": now()})
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
        write_atomically(self.folder / "run.json", _json(self.info.model_dump(mode="json")))

    def _extend(
        self, name: str, columns: Sequence[str], new: Iterable[Sequence[Any]], ids: set[str]
    ) -> None:
        old = read_table(self.folder / name, columns)
        self._write_table(name, columns, old[~old["trial"].isin(ids)], new)

    def _merge(self, name: str, columns: Sequence[str], new: Sequence[Sequence[Any]]) -> None:
        """Add rows whose last column is the value of the others; a row that was there already stays
        once.
        """
        if new:
            self._write_table(
                name, columns, read_table(self.folder / name, columns), new, keys=columns[:-1]
            )

    def _write_table(
        self,
        name: str,
        columns: Sequence[str],
        old: pd.DataFrame,
        new: Iterable[Sequence[Any]],
        keys: Sequence[str] = (),
    ) -> None:
        import pandas as pd

        fresh = pd.DataFrame(list(new), columns=list(columns))
        if fresh.empty and old.empty and not (self.folder / name).is_file():
            return  # a table without rows is as good as none
        table = (
            fresh
            if old.empty
            else old
            if fresh.empty
            else pd.concat([old, fresh], ignore_index=True)
        )
        if keys:
            table = table.drop_duplicates(list(keys), keep="last", ignore_index=True)
        buffer = io.BytesIO()
        table.to_parquet(buffer, index=False)
        write_atomically(self.folder / name, buffer.getvalue())


def now() -> str:
    """UTC, to the second, ISO 8601."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _json(data: Any) -> bytes:
    """JSON that every parser reads: half a character, which has no UTF-8, becomes its escape."""
    return (json.dumps(data, indent=1, ensure_ascii=False) + "\n").encode(
        "utf-8", "backslashreplace"
    )
