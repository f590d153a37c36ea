"""The Parquet tables of a run, by name and columns: a file per trial and table, written once, and
held to their columns when they are read, since a run folder may come from anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import ExitStack
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contract.request import Usage
from bench.core.atomic import whole_file
from bench.core.errors import RecordError
from bench.core.filenames import is_file_name
from bench.latency.sample import PARAMETERS
from bench.records import row_groups, version_1
from bench.records.cells import REPEAT, Column, are_sound, check_cells

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

STRETCH = 100_000
"""Rows of a table that are written and read together."""
PIECE = 5_000
"""Rows that are Python's objects at once while a table is written."""


TEXT, NUMBER, WHOLE = Column("string"), Column("float64"), Column("int64")
DEPTH = Column("int64", minimum=1)
CURVE_DEPTH = Column("int64", minimum=0)
"""At depth 0 nothing is reranked: the first stage's order."""
SOME_TEXT, SOME_FLAG = Column("string", required=False), Column("bool", required=False)
SOME_AMOUNT = Column("float64", required=False, minimum=0)
SOME_COUNT = Column("int64", required=False, minimum=0)


@dataclass(frozen=True, eq=False)
class Table:
    """The name of a table, which is that of its folder, and its columns."""

    name: str
    columns: Mapping[str, Column]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.columns)

    @property
    def schema(self) -> pa.Schema:
        import pyarrow as pa

        return pa.schema([(name, column.type) for name, column in self.columns.items()])


SETTING = {
    "dtype": SOME_TEXT,
    "runtime": SOME_TEXT,
    "batch_size": SOME_COUNT,
    "token_budget": SOME_COUNT,
    "threads": SOME_COUNT,
}
"""The settings that a sweep changes: see `bench.latency.sweep_plan.SETTINGS`."""
CHANGED = {f"system_{name}": column for name, column in SETTING.items()}
SYSTEM = {"trial": TEXT, **CHANGED}
"""What gave the scores: see `bench.contract.trial.System`."""
CALL = {
    "trial": TEXT,
    "scenario": TEXT,
    "round": WHOLE,
    "query": SOME_TEXT,
    "pairs": WHOLE,
    "tokens": SOME_COUNT,
    "nanoseconds": WHOLE,
    "warmup": SOME_FLAG,
    "span": TEXT,
    "slots": SOME_COUNT,
    "truncated": SOME_COUNT,
    **dict.fromkeys(PARAMETERS, SOME_AMOUNT),
}
"""The fields of `bench.latency.sample.Sample`."""

PER_QUERY = Table("per_query", {"trial": TEXT, "query": TEXT, "measure": TEXT, "value": NUMBER})
DEPTHS = Table(
    "depths", {**SYSTEM, "depth": CURVE_DEPTH, "query": TEXT, "measure": TEXT, "value": NUMBER}
)
LATENCY = Table("latency", CALL)
SWEEP = Table("sweep", {**CALL, **CHANGED, "depth": DEPTH, **SETTING})
USAGE = Table(
    "usage",
    {"trial": TEXT, "query": TEXT, **{field.name: SOME_AMOUNT for field in fields(Usage)}},
)
NAME = Column("category")
SCORES = Table("scores", {"trial": NAME, "query": NAME, "doc_id": NAME, "score": NUMBER})
LOSSES = Table(
    "losses", {"trial": NAME, "query": NAME, "doc_id": NAME, "loss": NAME, "stage": NAME}
)
STAGES = Table(
    "stages", {"trial": NAME, "stage": WHOLE, "query": NAME, "doc_id": NAME, "score": NUMBER}
)
"""What the stages of a pipeline before its last one scored; the search is number 0."""
QUERIES = Table("queries", {"dataset": TEXT, "query": TEXT, "text": TEXT})
QUERY_FIELDS = Table("query_fields", {"dataset": TEXT, "query": TEXT, "field": TEXT, "value": TEXT})
"""What else a collection says of its queries, such as their language."""
DOCUMENTS = Table("documents", {"dataset": TEXT, "document": TEXT, "text": TEXT})
JUDGMENTS = Table("judgments", {"dataset": TEXT, "query": TEXT, "document": TEXT, "grade": WHOLE})
DIGESTS = Table("digests", {"file": TEXT, "key": TEXT, "rows": WHOLE, "digest": WHOLE})
"""What the rows of the other tables were when the run ended: see `bench.records.digests`."""
TABLES = (
    PER_QUERY,
    DEPTHS,
    LATENCY,
    SWEEP,
    USAGE,
    SCORES,
    STAGES,
    LOSSES,
    QUERIES,
    QUERY_FIELDS,
    DOCUMENTS,
    JUDGMENTS,
)
"""Every table that measurements are written to."""


def write_rows(path: Path, table: Table, rows: Iterable[Sequence[Any]]) -> None:
    """Write one file of a table, whole or not at all. Raises BenchError where it cannot be
    written.
    """
    with ExitStack() as stack:
        writer = _Writer(stack, path, table)
        for piece in _pieces(rows):
            writer.add(piece)
        writer.end()


def write_trials(folder: Path, table: Table, rows: Iterable[Sequence[Any]]) -> set[str]:
    """Write a file for each trial that the rows name in their first column, a stretch of rows at a
    time. Returns the trials.

    Raises BenchError where one cannot be written, RecordError for a trial that names no file.
    """
    writers: dict[str, _Writer] = {}
    with ExitStack() as stack:
        for piece in _pieces(rows):
            by_trial: dict[str, list[Sequence[Any]]] = {}
            for row in piece:
                by_trial.setdefault(row[0], []).append(row)
            for trial, members in by_trial.items():
                if trial not in writers:
                    writers[trial] = _Writer(stack, path_of(folder, table, trial), table)
                writers[trial].add(members)
        for writer in writers.values():
            writer.end()
    return set(writers)


def path_of(folder: Path, table: Table, trial: str) -> Path:
    """The file of one trial. Raises RecordError for an id that leads elsewhere."""
    if not is_file_name(trial):
        raise RecordError(f"{folder / table.name}: {trial!r} cannot be the name of a file")
    return folder / table.name / f"{trial}.parquet"


def file_of(folder: Path, table: Table, trial: str) -> Path:
    """The file that holds the rows of a trial."""
    old = _file_of_all(folder, table)
    return old if old.is_file() else path_of(folder, table, trial)


def _file_of_all(folder: Path, table: Table) -> Path:
    """Where runs of schema version 1 have the rows of all trials."""
    return folder / f"{table.name}.parquet"


def read_table(folder: Path, table: Table, order: Mapping[str, int] | None = None) -> pd.DataFrame:
    """Return all rows of a table of the run, or none where it was not written. `order` is the place
    of each trial.

    Raises RecordError where a file cannot be read, or lacks a column, or a column holds what it
    cannot.
    """
    old = _file_of_all(folder, table)
    if old.is_file():
        return _joined([_read(old, table, version=1)], table)
    return read_files(_files(folder, table), table, order)


def read_stretches(folder: Path, table: Table, trial: str | None = None) -> Iterator[pa.Table]:
    """Yield the rows of a table of the run, of one trial where it is named, some rows at a time.
    Raises RecordError as `read_table` does.
    """
    import pyarrow.compute as pc

    old = _file_of_all(folder, table)
    if old.is_file():
        for rows in stretches(old, table, version=1):
            yield rows if trial is None else rows.filter(pc.equal(rows["trial"], trial))
        return
    paths = _files(folder, table)
    if trial is not None:
        paths = [path for path in (path_of(folder, table, trial),) if path.is_file()]
    for path in paths:
        yield from stretches(path, table)


def of_measure(rows: pa.Table, measure: str) -> pa.Table:
    """Return the rows of one measure."""
    import pyarrow.compute as pc

    return rows.filter(pc.equal(rows["measure"], measure))


def _files(folder: Path, table: Table) -> list[Path]:
    """Return the files of a table, by name."""
    return sorted(path for path in (folder / table.name).rglob("*.parquet") if path.is_file())


def read_files(
    paths: Iterable[Path], table: Table, order: Mapping[str, int] | None = None
) -> pd.DataFrame:
    """Return the rows of some files of a table."""
    parts = [part for path in paths if (part := _read(path, table)).num_rows]
    if order:
        parts.sort(key=lambda part: order.get(part["trial"][0].as_py(), len(order)))
    return _joined(parts, table)


def _joined(parts: Sequence[pa.Table], table: Table) -> pd.DataFrame:
    import pandas as pd
    import pyarrow as pa

    if not parts:
        return pd.DataFrame(columns=list(table.names))
    frame: pd.DataFrame = pa.concat_tables(parts).to_pandas()
    return frame


class _Writer:
    """Writes one file of a table: STRETCH rows together, which are columns of numbers and texts
    until then.
    """

    def __init__(self, stack: ExitStack, path: Path, table: Table) -> None:
        import pyarrow.parquet as pq

        self._schema = table.schema
        file = stack.enter_context(whole_file(path))
        writer = pq.ParquetWriter(file, self._schema, write_page_checksum=True)
        self._writer = stack.enter_context(writer)
        self._batches: list[pa.RecordBatch] = []
        self._rows = 0

    def add(self, rows: Sequence[Sequence[Any]]) -> None:
        import pyarrow as pa

        arrays = []
        for cells, kind in zip(zip(*rows, strict=True), self._schema.types, strict=True):
            arrays.append(pa.array(cells, kind))
        self._batches.append(pa.record_batch(arrays, schema=self._schema))
        self._rows += len(rows)
        if self._rows >= STRETCH:
            self._write()

    def end(self) -> None:
        """Write what waits."""
        if self._rows:
            self._write()

    def _write(self) -> None:
        import pyarrow as pa

        rows = pa.Table.from_batches(self._batches, self._schema)
        self._batches, self._rows = [], 0
        self._writer.write_table(rows.unify_dictionaries(), row_group_size=rows.num_rows)


def _pieces(rows: Iterable[Sequence[Any]]) -> Iterator[list[Sequence[Any]]]:
    """Yield PIECE rows at a time."""
    rows = iter(rows)
    while piece := list(islice(rows, PIECE)):
        yield piece


def _read(path: Path, table: Table, version: int = 2) -> pa.Table:
    """Return one file, its columns those of the table."""
    import pyarrow as pa

    return pa.concat_tables(stretches(path, table, version))


def stretches(
    path: Path, table: Table, version: int = 2, only: Set[str] | None = None
) -> Iterator[pa.Table]:
    """Yield one file, some rows at a time, its columns those of the table; rows of the queries
    `only` alone, where there are any. Raises RecordError where it cannot be read, or lacks a
    column, or a column holds what it cannot.
    """
    import pyarrow as pa

    for data in _batches_of(path, only):
        if version == 1:
            data = version_1.table(table.name, data)
        if not are_sound(data, table.columns):
            check_cells(path, data.to_pandas(), table.columns)
        arrays = []
        for name, column in table.columns.items():
            if name in data.column_names:
                arrays.append(_cast(path, name, column, data[name]))
            else:
                arrays.append(pa.nulls(data.num_rows, column.type))
        yield pa.table(arrays, schema=table.schema)


def _batches_of(path: Path, only: Set[str] | None) -> Iterator[pa.Table]:
    """Yield the rows of a Parquet file, some of them at a time; no rows of one that has none."""
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            schema = file.schema_arrow.remove_metadata()
            if len(set(schema.names)) < len(schema.names):
                raise ValueError("it holds a column twice")
            expected = file.metadata.num_rows
            rows = 0
            if not expected:
                yield schema.empty_table()
            for part in _parts_of(file, only):
                data = part.replace_schema_metadata(None)
                # cells of damaged pages are seen to be wrong only when they are looked at
                data.validate(full=True)
                rows += data.num_rows
                yield data
            if only is None and rows != expected:
                raise ValueError(f"it holds {rows} rows and says {expected}")
    except (MemoryError, ImportError):
        raise
    except Exception as error:  # pyarrow raises many kinds over damaged files
        reason = str(error).partition("\n")[0][:200]
        raise RecordError(f"{path}: cannot be read: {reason or type(error).__name__}") from error


def _parts_of(file: pq.ParquetFile, only: Set[str] | None) -> Iterator[pa.Table]:
    """Yield the rows of a file, STRETCH of them at a time; those of some queries from the row
    groups that have any of them.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if only is None:
        # a few rows are read before another thread has begun
        for batch in file.iter_batches(STRETCH, use_threads=file.metadata.num_rows > PIECE):
            yield pa.Table.from_batches([batch])
        return
    row_groups.require_names(file.schema_arrow)
    for group in range(file.num_row_groups):
        wanted = only & row_groups.queries_in(file, group)
        if wanted:
            rows = file.read_row_group(group)
            names = rows["query"].cast(pa.string())
            yield _plain(rows.filter(pc.is_in(names, value_set=pa.array(sorted(wanted)))))


def _plain(rows: pa.Table) -> pa.Table:
    """Return rows without the names that other rows of their file had."""
    import pyarrow as pa

    for place, name in enumerate(rows.column_names):
        cells = rows.column(place)
        if pa.types.is_dictionary(cells.type):
            rows = rows.set_column(place, name, cells.cast(cells.type.value_type))
    return rows


def _cast(path: Path, name: str, column: Column, cells: Any) -> Any:
    """Return the cells of a column in its type. Raises RecordError for those that it cannot
    hold.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_floating(cells.type):  # older tables write what is absent as NaN
        cells = pc.if_else(pc.is_finite(cells), cells, None)
    try:
        return cells.cast(column.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise RecordError(
            f"{path}: column '{name}' holds cells that are no {column.kind}: {REPEAT}"
        ) from error
