"""A run's folder on disk: its records and tables, read when they are first asked for."""

from __future__ import annotations

import math
from array import array
from collections.abc import Collection, Container, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contract.trial import Trial
from bench.core.counting import counted
from bench.core.errors import RecordError
from bench.latency.sample import Condition
from bench.latency.summary import Summary, parts, summarise
from bench.quality.query_values import QueryValues, SharedPlaces
from bench.records import tables
from bench.records.cells import REPEAT
from bench.records.packed import unpacked
from bench.records.reading import TrialModel, validated
from bench.records.schema import ArchitectureRecord, Record, RunInfo
from bench.records.tables import Table, file_of, of_measure, read_stretches, read_table

if TYPE_CHECKING:
    import pandas as pd

    from bench.contract.candidates import QueryCandidates


class RunFolder:
    """The records and tables of one run. Never loads a model."""

    def __init__(self, folder: Path | str) -> None:
        """Raises RecordError when the folder holds no run that this version can read."""
        self.folder = Path(folder)
        self.info = read_info(self.folder)
        self.places = SharedPlaces()
        """Where the values of each query are, for measures of the same queries the same."""
        self._values: dict[tuple[str, str], QueryValues] = {}

    @property
    def seed(self) -> int:
        """The seed of the run's own intervals, so that the same difference gets the same interval
        wherever it is taken.
        """
        return int(self.info.resolved.get("seed") or 0)

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
        return self._table(tables.PER_QUERY)

    def values(self, trial_id: str, measure: str) -> QueryValues:
        """Return query id -> value of a finished trial, in the record's order.

        Raises RecordError where the table does not hold one per query that the record counts, or
        its mean is not the record's.
        """
        key = (trial_id, measure)
        if key not in self._values:
            self._values[key] = self._complete_values(trial_id, measure)
        return self._values[key]

    def _complete_values(self, trial_id: str, measure: str) -> QueryValues:
        path = file_of(self.folder, tables.PER_QUERY, trial_id)
        record = self.records[trial_id]
        query_ids: list[str] = []
        values = array("d")
        for rows in read_stretches(self.folder, tables.PER_QUERY, trial_id):
            rows = of_measure(rows, measure)
            query_ids += rows["query"].to_pylist()
            values.extend(rows["value"].to_pylist())
        if not query_ids:
            raise RecordError(f"{path}: holds no {measure} of {trial_id}: {REPEAT}")
        expected = record.counts.queries
        if not len(query_ids) == len(set(query_ids)) == expected:
            raise RecordError(
                f"{path}: does not hold {measure} of {trial_id} once for each of its "
                f"{counted(expected, 'query')}: {REPEAT}"
            )
        by_query = QueryValues(self.places.of(query_ids), values)
        recorded = record.quality.get(measure)
        if recorded and not math.isclose(by_query.mean, recorded.mean, rel_tol=1e-6, abs_tol=1e-6):
            raise RecordError(
                f"{path}: gives {measure} of {trial_id} the mean {by_query.mean:.6f}, and its "
                f"record says {recorded.mean:.6f}: {REPEAT}"
            )
        return by_query

    @cached_property
    def depths(self) -> pd.DataFrame:
        """Quality at smaller depths, from the same scores: columns trial, system_dtype,
        system_runtime, system_batch_size, system_token_budget, system_threads, depth, query,
        measure, value; depth 0 is the first stage's order. Settings are null where they are the
        trial's own.
        """
        return self._table(tables.DEPTHS)

    @cached_property
    def usage(self) -> pd.DataFrame:
        """What each query cost when its scores were made, of rerankers that can tell (services and
        listwise models): columns trial, query, and those of `bench.contract.request.Usage`, such as
        calls, tokens (read) and tokens_out (written).
        """
        return self._table(tables.USAGE)

    @cached_property
    def latency(self) -> pd.DataFrame:
        """Raw timings: columns trial, scenario, round, query, pairs, tokens, nanoseconds, warmup,
        span, slots, truncated, rate.
        """
        return unpacked(self._table(tables.LATENCY), self.records)

    @cached_property
    def summaries(self) -> Mapping[tuple[str, Condition], Summary]:
        """The timed pass: (trial, condition) -> summary."""
        return summarise(self.latency, self.seed)

    @cached_property
    def parts(self) -> Mapping[tuple[str, Condition], Mapping[str, float]]:
        """The timed pass: (trial, condition) -> the median milliseconds of each part of a call."""
        return parts(self.latency)

    @cached_property
    def queries(self) -> pd.DataFrame:
        """Texts of the queries measured: columns dataset, query, text. Empty where the suite keeps
        none, as in older runs.
        """
        return self._distinct(tables.QUERIES)

    @cached_property
    def query_fields(self) -> pd.DataFrame:
        """What the collections say of the queries measured, such as their language: columns
        dataset, query, field, value. Empty as `queries` is, and where collections say nothing.
        """
        return self._distinct(tables.QUERY_FIELDS)

    @cached_property
    def documents(self) -> pd.DataFrame:
        """Texts, cut, of the documents in someone's top 10: columns dataset, document, text. Empty
        as `queries` is.
        """
        return self._distinct(tables.DOCUMENTS)

    def document_texts(self, wanted: Container[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """Return (dataset, document) -> its text, cut, for those of the wanted documents whose text
        the run keeps.
        """
        texts: dict[tuple[str, str], str] = {}
        for rows in read_stretches(self.folder, tables.DOCUMENTS):
            columns = (rows[name].to_pylist() for name in tables.DOCUMENTS.names)
            for dataset, document, text in zip(*columns, strict=True):
                if (dataset, document) in wanted:
                    texts[dataset, document] = text
        return texts

    @cached_property
    def judgments(self) -> pd.DataFrame:
        """Grades of the queries measured: columns dataset, query, document, grade. Older runs hold
        those of candidates alone, or none.
        """
        return self._distinct(tables.JUDGMENTS)

    @cached_property
    def sweep(self) -> pd.DataFrame:
        """Raw timings of `single` at other depths and settings, a row per call; the columns
        of its system name the rows of `depths` with their quality.
        """
        return self._table(tables.SWEEP)

    def ranking(self, trial_id: str) -> Mapping[str, QueryCandidates]:
        """Return the ranking of one trial: query_id -> documents, best first.

        Raises RecordError where there is none, or not of each query and pair that its record
        counts.
        """
        from bench.ranking.trec import read_run

        path = ranking_path(self.folder, trial_id)
        if not self.has_ranking(trial_id):
            raise RecordError(f"{path}: there is no such file: {REPEAT}")
        rankings = read_run(path)
        documents = sum(len(ranking.doc_ids) for ranking in rankings.values())
        self._refuse_cut(trial_id, len(rankings), documents)
        return rankings

    def ranking_pieces(
        self, trial_id: str, only: Collection[str] | None = None
    ) -> Iterator[pd.DataFrame]:
        """Yield the same as tables, some thousand queries at a time: columns query, document,
        score and rank (from 1), best first; of all queries, or of some. Yields nothing where the
        run holds no ranking of the trial.

        Raises RecordError as `ranking` does, once all are read.
        """
        from bench.ranking.trec import Tally, read_pieces

        if not self.has_ranking(trial_id):
            return
        tally = Tally()
        yield from read_pieces(ranking_path(self.folder, trial_id), only, tally)
        self._refuse_cut(trial_id, tally.queries, tally.documents)

    def has_ranking(self, trial_id: str) -> bool:
        """Return whether the ranking of a trial is in the folder."""
        return ranking_path(self.folder, trial_id).is_file()

    def _refuse_cut(self, trial_id: str, queries: int, documents: int) -> None:
        """Raise RecordError where a ranking is not of each query and pair that its record counts:
        it was cut short, or is of another depth.
        """
        counts = self.records[trial_id].counts
        ranked = counts.called - counts.failed
        if (queries, documents) != (ranked, counts.pairs):
            raise RecordError(
                f"{ranking_path(self.folder, trial_id)}: ranks {counted(documents, 'document')} "
                f"of {counted(queries, 'query')}, and its record counts {counts.pairs} of "
                f"{ranked}: {REPEAT}"
            )

    def _table(self, table: Table) -> pd.DataFrame:
        """All rows of a table, trials in the suite's order."""
        trials = [status.trial.id for status in self.info.trials]
        return read_table(self.folder, table, {trial: i for i, trial in enumerate(trials)})

    def _distinct(self, table: Table) -> pd.DataFrame:
        """The rows of a table whose last column is the value of the others, each once: groups of
        one dataset share its queries and documents.
        """
        keys = list(table.names[:-1])
        return read_table(self.folder, table).drop_duplicates(keys, keep="last", ignore_index=True)

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


def ranking_path(folder: Path, trial_id: str) -> Path:
    """Return the file of a trial's ranking."""
    return folder / "rankings" / f"{trial_id}.run.gz"


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


def _record(model: type[TrialModel], folder: Path, trial: Trial) -> TrialModel:
    """The record of a trial. Raises RecordError where there is none, or that of another trial."""
    path = record_path(folder, trial)
    record = validated(model, path)
    if record.trial.id != trial.id:
        raise RecordError(
            f"{path}: holds the record of {record.trial.id}, and run.json says that it is of "
            f"{trial.id}"
        )
    return record
