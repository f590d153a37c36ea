"""A run's folder on disk: its records and tables, read when they are first asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contract.request import Usage
from bench.contract.trial import Trial
from bench.core.errors import RecordError
from bench.latency.sample import Sample
from bench.latency.sweep_plan import SETTINGS
from bench.records import growing, texts
from bench.records.reading import Model, validated
from bench.records.schema import ArchitectureRecord, Record, RunInfo
from bench.records.tables import read_table

if TYPE_CHECKING:
    import pandas as pd

    from bench.contract.candidates import QueryCandidates

PER_QUERY = tuple(growing.PER_QUERY)
DEPTHS = tuple(growing.DEPTHS)
USAGE = ("trial", "query", *(field.name for field in fields(Usage)))
LATENCY = Sample._fields
SWEEP = (*LATENCY, "system", "depth", *SETTINGS)


class RunFolder:
    """The records and tables of one run. Never loads a model."""

    def __init__(self, folder: Path | str) -> None:
        """Raises RecordError when the folder holds no run that this version can read."""
        self.folder = Path(folder)
        self.info = read_info(self.folder)

    @cached_property
    def records(self) -> dict[str, Record]:
        """trial id -> record, in the suite's order, for every trial that finished."""
        return {
            trial_id: _record(Record, self.folder, trial)
            for trial_id, trial in self._done(architectures=False)
        }

    @cached_property
    def architectures(self) -> dict[str, ArchitectureRecord]:
        """trial id -> record, for every architecture that was timed without its weights. They are
        no `records`: nothing scored them.
        """
        return {
            trial_id: _record(ArchitectureRecord, self.folder, trial)
            for trial_id, trial in self._done(architectures=True)
        }

    @cached_property
    def per_query(self) -> pd.DataFrame:
        """Columns trial, query, measure, value."""
        return read_table(self.folder / "per_query.parquet", PER_QUERY)

    @cached_property
    def depths(self) -> pd.DataFrame:
        """Quality at smaller depths, from the same scores: columns trial, depth, query, measure,
        value; 0 is the first stage's order.
        """
        return read_table(self.folder / "depths.parquet", DEPTHS)

    @cached_property
    def usage(self) -> pd.DataFrame:
        """What each query cost when its scores were made, of rerankers that can tell (services and
        listwise models): columns trial, query, and those of `bench.contract.request.Usage`, such as
        calls, tokens (read) and tokens_out (written).
        """
        return read_table(self.folder / "usage.parquet", USAGE)

    @cached_property
    def latency(self) -> pd.DataFrame:
        """Raw timings: columns trial, scenario, round, query, pairs, tokens, nanoseconds, warmup,
        span, slots, truncated.
        """
        return read_table(self.folder / "latency.parquet", LATENCY)

    @cached_property
    def queries(self) -> pd.DataFrame:
        """Texts of the queries measured: columns dataset, query, text. Empty where the suite keeps
        none, as in older runs.
        """
        return read_table(self.folder / "queries.parquet", texts.QUERIES)

    @cached_property
    def documents(self) -> pd.DataFrame:
        """Texts, cut, of the documents in someone's top 10: columns dataset, document, text. Empty
        as `queries` is.
        """
        return read_table(self.folder / "documents.parquet", texts.DOCUMENTS)

    @cached_property
    def judgments(self) -> pd.DataFrame:
        """Grades of the judged candidates: columns dataset, query, document, grade. Empty in older
        runs.
        """
        return read_table(self.folder / "judgments.parquet", texts.JUDGMENTS)

    @cached_property
    def sweep(self) -> pd.DataFrame:
        """Raw timings of `single` at other depths and settings, a row per call; `system` names the
        rows of `depths` with their quality.
        """
        return read_table(self.folder / "sweep.parquet", SWEEP)

    def ranking(self, trial_id: str) -> Mapping[str, QueryCandidates]:
        """The ranking of one trial: query_id -> documents, best first."""
        from bench.ranking.trec import read_run

        return read_run(self.folder / "rankings" / f"{trial_id}.run.gz")

    def ranking_table(self, trial_id: str) -> pd.DataFrame | None:
        """The same as a table, millions of rows in a second: columns query, document, score and
        rank (from 1), best first. None where the run holds no ranking of the trial.
        """
        from bench.ranking.trec import read_rows

        path = self.folder / "rankings" / f"{trial_id}.run.gz"
        return read_rows(path) if path.is_file() else None

    def _done(self, architectures: bool) -> Iterator[tuple[str, Trial]]:
        for status in self.info.trials:
            if status.status == "done" and (status.trial.kind == "architecture") == architectures:
                yield status.trial.id, status.trial

    def __repr__(self) -> str:
        done = sum(status.status == "done" for status in self.info.trials)
        return (
            f"<Run {self.info.suite} {self.info.id}: {done} of {len(self.info.trials)} "
            f"trials, {self.folder}>"
        )


def read_info(folder: Path) -> RunInfo:
    """run.json of a folder. Raises RecordError when there is none or it is of another schema."""
    path = folder / "run.json"
    if not path.is_file():
        raise RecordError(
            f"{folder}: no run here (there is no run.json); give the folder that `rerank-bench "
            "run` printed"
        )
    return validated(RunInfo, path)


def record_path(folder: Path, trial: Trial) -> Path:
    """The file of a trial's record."""
    return (
        folder
        / ("architectures" if trial.kind == "architecture" else "records")
        / f"{trial.id}.json"
    )


def plain(cell: Any) -> Any:
    """A cell of a table without what pandas makes of absent values and of whole numbers."""
    if cell is None or cell != cell:
        return None
    cell = cell.item() if hasattr(cell, "item") else cell
    return int(cell) if isinstance(cell, float) and cell.is_integer() else cell


def _record(model: type[Model], folder: Path, trial: Trial) -> Model:
    """The record of a trial. Raises RecordError where there is none, or that of another trial."""
    path = record_path(folder, trial)
    record = validated(model, path)
    if not isinstance(record, RunInfo) and record.trial.id != trial.id:
        raise RecordError(
            f"{path}: holds the record of {record.trial.id}, and run.json says that it is of "
            f"{trial.id}"
        )
    return record
