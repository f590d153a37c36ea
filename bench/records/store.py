"""A run's folder on disk: written group by group while the run goes on, read by everything that comes after it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.atomic import write_atomically
from bench.errors import RecordError
from bench.measure.latency_call import Sample
from bench.measure.sweep_plan import SETTINGS
from bench.records import growing, texts
from bench.records.reading import Model, validated
from bench.records.schema import ArchitectureRecord, Record, RunInfo, Trial, TrialStatus
from bench.records.tables import read_table
from bench.redaction import for_others
from bench.rerankers.base import Usage

if TYPE_CHECKING:
    import pandas as pd

    from bench.first_stage.base import QueryCandidates

PER_QUERY = tuple(growing.PER_QUERY)
DEPTHS = tuple(growing.DEPTHS)
USAGE = ("trial", "query", *(field.name for field in fields(Usage)))
LATENCY = Sample._fields
SWEEP = (*LATENCY, "system", "depth", *SETTINGS)


class Run:
    """One run, read from its folder. Never loads a model."""

    def __init__(self, folder: Path | str) -> None:
        """Raises RecordError when the folder holds no run that this version can read."""
        self.folder = Path(folder)
        self.info = read_info(self.folder)

    @cached_property
    def records(self) -> dict[str, Record]:
        """trial id -> record, in the suite's order, for every trial that finished."""
        return {trial_id: _record(Record, self.folder, trial) for trial_id, trial in self._done(architectures=False)}

    @cached_property
    def architectures(self) -> dict[str, ArchitectureRecord]:
        """trial id -> record, for every architecture that was timed without its weights. They are no `records`: nothing scored them."""
        return {trial_id: _record(ArchitectureRecord, self.folder, trial) for trial_id, trial in self._done(architectures=True)}

    @cached_property
    def per_query(self) -> pd.DataFrame:
        """Columns trial, query, measure, value."""
        return read_table(self.folder / "per_query.parquet", PER_QUERY)

    @cached_property
    def depths(self) -> pd.DataFrame:
        """Quality at smaller depths, from the same scores: columns trial, depth, query, measure, value; 0 is the first stage's order."""
        return read_table(self.folder / "depths.parquet", DEPTHS)

    @cached_property
    def usage(self) -> pd.DataFrame:
        """What each query cost when its scores were made, of rerankers that can tell (services and listwise models): columns trial, query,
        and those of `bench.rerankers.base.Usage`, such as calls, tokens (read) and tokens_out (written)."""
        return read_table(self.folder / "usage.parquet", USAGE)

    @cached_property
    def latency(self) -> pd.DataFrame:
        """Raw timings: columns trial, scenario, round, query, pairs, tokens, nanoseconds, warmup, span, slots, truncated."""
        return read_table(self.folder / "latency.parquet", LATENCY)

    @cached_property
    def queries(self) -> pd.DataFrame:
        """Texts of the queries measured: columns dataset, query, text. Empty where the suite keeps none, as in older runs."""
        return read_table(self.folder / "queries.parquet", texts.QUERIES)

    @cached_property
    def documents(self) -> pd.DataFrame:
        """Texts, cut, of the documents in someone's top 10: columns dataset, document, text. Empty as `queries` is."""
        return read_table(self.folder / "documents.parquet", texts.DOCUMENTS)

    @cached_property
    def judgments(self) -> pd.DataFrame:
        """Grades of the judged candidates: columns dataset, query, document, grade. Empty in older runs."""
        return read_table(self.folder / "judgments.parquet", texts.JUDGMENTS)

    @cached_property
    def sweep(self) -> pd.DataFrame:
        """Raw timings of `single` at other depths and settings, a row per call; `system` names the rows of `depths` with their quality."""
        return read_table(self.folder / "sweep.parquet", SWEEP)

    def ranking(self, trial_id: str) -> Mapping[str, QueryCandidates]:
        """The ranking of one trial: query_id -> documents, best first."""
        from bench.first_stage.run_file import read_run

        return read_run(self.folder / "rankings" / f"{trial_id}.run.gz")

    def ranking_table(self, trial_id: str) -> pd.DataFrame | None:
        """The same as a table, millions of rows in a second: columns query, document, score and rank (from 1), best first. None where the
        run holds no ranking of the trial."""
        from bench.first_stage.run_file import read_rows

        path = self.folder / "rankings" / f"{trial_id}.run.gz"
        return read_rows(path) if path.is_file() else None

    def to_frame(self) -> pd.DataFrame:
        """The main table: a row per trial, skipped ones included, with aggregates, intervals and latency summaries as numbers."""
        import pandas as pd

        from bench.records.table import rows

        return pd.DataFrame([row.to_dict() for row in rows(self)])

    def _repr_html_(self) -> str:
        """The main table, as a notebook shows it."""
        table = self.to_frame().set_index("reranker").dropna(axis="columns", how="all")
        return str(table.to_html(escape=True, na_rep="–", float_format=lambda value: f"{value:.4g}"))

    def _done(self, architectures: bool) -> Iterator[tuple[str, Trial]]:
        for status in self.info.trials:
            if status.status == "done" and (status.trial.kind == "architecture") == architectures:
                yield status.trial.id, status.trial

    def __repr__(self) -> str:
        done = sum(status.status == "done" for status in self.info.trials)
        return f"<Run {self.info.suite} {self.info.id}: {done} of {len(self.info.trials)} trials, {self.folder}>"


class RunWriter:
    """Writes one run's folder. Holds a lock on it, so that a run that resumes never takes over one that is still at work."""

    def __init__(self, folder: Path, info: RunInfo, lock: Any, notes: Sequence[str] = ()) -> None:
        self.folder = folder
        self.info = info
        self.notes = notes
        """What a user should know of how the folder was chosen."""
        self._lock = lock

    def finished(self) -> set[str]:
        """The ids of trials of which an earlier, interrupted process of this run left whole records."""
        found = set()
        for trial in (status.trial for status in self.info.trials):
            path = _place(self.folder, trial)
            try:
                record = validated(ArchitectureRecord, path) if trial.kind == "architecture" else validated(Record, path)
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
        """Add the trials of one group. Tables first, records last: a trial with a record has its rows."""
        ids = {record.trial.id for record in records}
        growing.extend(self.folder / "per_query.parquet", growing.PER_QUERY, per_query, ids)
        self._extend("latency.parquet", LATENCY, latency, ids)
        growing.extend(self.folder / "depths.parquet", growing.DEPTHS, depths, ids)
        self._extend("usage.parquet", USAGE, usage, ids)
        for record in records:
            write_atomically(_place(self.folder, record.trial), _json(record.model_dump(mode="json")))

    def save_texts(self, found: texts.Texts) -> None:
        """Add what reports show of one group. Groups of one dataset share its queries and documents."""
        self._merge("queries.parquet", texts.QUERIES, found.queries)
        self._merge("documents.parquet", texts.DOCUMENTS, found.documents)
        self._merge("judgments.parquet", texts.JUDGMENTS, found.judgments)

    def add_sweep(self, rows: Iterable[Sequence[Any]]) -> None:
        """Add a point to the sweep; what stands there stays, and a run that is continued does not time it again."""
        self._extend("sweep.parquet", SWEEP, rows, set())

    def swept(self) -> set[tuple[Any, ...]]:
        """The points of the sweep that are timed: (trial, depth, *settings)."""
        table = read_table(self.folder / "sweep.parquet", SWEEP)[["trial", "depth", *SETTINGS]].drop_duplicates()
        return {tuple(map(plain, row)) for row in table.itertuples(index=False)}

    def add_depths(self, system: str, rows: Iterable[Sequence[Any]]) -> None:
        """Put down the quality of a system that is no trial of its own: a reranker in another number format or runtime."""
        growing.extend(self.folder / "depths.parquet", growing.DEPTHS, rows, {system})

    def set_status(self, statuses: Mapping[str, TrialStatus]) -> None:
        trials = [statuses.get(status.trial.id, status) for status in self.info.trials]
        self.info = self.info.model_copy(update={"trials": trials})
        self.write_info()

    def warn(self, warnings: Iterable[str]) -> None:
        self.info = self.info.model_copy(update={"warnings": list(dict.fromkeys([*self.info.warnings, *map(for_others, warnings)]))})

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

    def _extend(self, name: str, columns: Sequence[str], new: Iterable[Sequence[Any]], ids: set[str]) -> None:
        old = read_table(self.folder / name, columns)
        self._write_table(name, columns, old[~old["trial"].isin(ids)], new)

    def _merge(self, name: str, columns: Sequence[str], new: Sequence[Sequence[Any]]) -> None:
        """Add rows whose last column is the value of the others; a row that was there already stays once."""
        if new:
            self._write_table(name, columns, read_table(self.folder / name, columns), new, keys=columns[:-1])

    def _write_table(
        self, name: str, columns: Sequence[str], old: pd.DataFrame, new: Iterable[Sequence[Any]], keys: Sequence[str] = ()
    ) -> None:
        import pandas as pd

        fresh = pd.DataFrame(list(new), columns=list(columns))
        if fresh.empty and old.empty and not (self.folder / name).is_file():
            return  # a table without rows is as good as none
        table = fresh if old.empty else old if fresh.empty else pd.concat([old, fresh], ignore_index=True)
        if keys:
            table = table.drop_duplicates(list(keys), keep="last", ignore_index=True)
        buffer = io.BytesIO()
        table.to_parquet(buffer, index=False)
        write_atomically(self.folder / name, buffer.getvalue())


def now() -> str:
    """UTC, to the second, ISO 8601."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_info(folder: Path) -> RunInfo:
    """run.json of a folder. Raises RecordError when there is none or it is of another schema."""
    path = folder / "run.json"
    if not path.is_file():
        raise RecordError(f"{folder}: no run here (there is no run.json); give the folder that `rerank-bench run` printed")
    return validated(RunInfo, path)


def _place(folder: Path, trial: Trial) -> Path:
    """The file of a trial's record."""
    return folder / ("architectures" if trial.kind == "architecture" else "records") / f"{trial.id}.json"


def plain(cell: Any) -> Any:
    """A cell of a table without what pandas makes of absent values and of whole numbers."""
    if cell is None or cell != cell:
        return None
    cell = cell.item() if hasattr(cell, "item") else cell
    return int(cell) if isinstance(cell, float) and cell.is_integer() else cell


def _record(model: type[Model], folder: Path, trial: Trial) -> Model:
    """The record of a trial. Raises RecordError where there is none, or that of another trial."""
    path = _place(folder, trial)
    record = validated(model, path)
    if not isinstance(record, RunInfo) and record.trial.id != trial.id:
        raise RecordError(f"{path}: holds the record of {record.trial.id}, and run.json says that it is of {trial.id}")
    return record


def _json(data: Any) -> bytes:
    """JSON that every parser reads: half a character, which has no UTF-8, becomes its escape."""
    return (json.dumps(data, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
