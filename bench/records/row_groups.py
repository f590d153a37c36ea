"""Which queries the row groups of a table's file have."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


def require_names(schema: pa.Schema) -> None:
    """Raise ValueError for queries that are no text: none of them would be one of those that are
    looked for.
    """
    import pyarrow as pa

    if "query" not in schema.names:
        raise ValueError("it has no column 'query'")
    kind = schema.field("query").type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise ValueError(f"its column 'query' is of type {kind}, which is no text")


def queries_in(file: pq.ParquetFile, group: int) -> set[str]:
    """Return the queries of a row group, or a few more, by the dictionary of its names. What a file
    says of its row groups has no checksum, and is not asked.
    """
    import pyarrow as pa

    names: set[str] = set()
    # a few rows are read before another thread has begun
    for chunk in file.read_row_group(group, columns=["query"], use_threads=False)["query"].chunks:
        texts = chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk.unique()
        names.update(texts.to_pylist())
    return names
