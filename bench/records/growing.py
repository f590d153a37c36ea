"""The two tables that grow with queries, written a stretch of rows at a time: memory holds no more
of them than that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.atomic import whole_file
from bench.core.errors import RecordError

if TYPE_CHECKING:
    import pyarrow as pa

PER_QUERY = {"trial": "string", "query": "string", "measure": "string", "value": "float64"}
DEPTHS = {
    "trial": "string",
    "depth": "int64",
    "query": "string",
    "measure": "string",
    "value": "float64",
}
STRETCH = 100_000
"""Rows in memory at once."""


def extend(
    path: Path, columns: dict[str, str], rows: Iterable[Sequence[Any]], without: set[str]
) -> None:
    """Write the table at `path` anew: its rows but for those of the trials `without`, then `rows`.
    `columns` are name -> type of Arrow.

    A table that would have no rows is not begun. Raises RecordError for one that cannot be read,
    BenchError for one that cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(list(columns.items()))
    rows = iter(rows)
    first = next(rows, None)
    if first is None and not path.is_file():
        return
    rows = rows if first is None else chain([first], rows)
    with whole_file(path) as file, pq.ParquetWriter(file, schema) as writer:
        for batch in _kept(path, schema, without):
            writer.write_batch(batch)
        while stretch := list(islice(rows, STRETCH)):
            arrays = [
                pa.array(column, kind)
                for column, kind in zip(zip(*stretch, strict=True), schema.types, strict=True)
            ]
            writer.write_batch(pa.record_batch(arrays, schema=schema))


def _kept(path: Path, schema: pa.Schema, without: set[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows that are there, but for those of some trials."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    if not path.is_file():
        return
    try:
        with pq.ParquetFile(path) as table:
            for batch in table.iter_batches(STRETCH, columns=schema.names):
                cast = pa.Table.from_batches([batch]).cast(schema)
                yield from cast.filter(
                    pc.invert(pc.is_in(cast["trial"], pa.array(sorted(without), pa.string())))
                ).to_batches()
    except (OSError, ValueError, KeyError) as error:
        raise RecordError(f"{path}: cannot be read: {error}") from error
