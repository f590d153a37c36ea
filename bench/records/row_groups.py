"""Which row groups of a table's file may have rows of some queries."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
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


def may_hold(group: pq.RowGroupMetaData, queries: Sequence[str]) -> bool:
    """Return whether a row group may have any of these queries, which are in order: not where none
    lies between the first and the last name that it has by its own statistics.
    """
    if not group.num_rows:
        return False
    statistics = _column_of(group, "query").statistics
    if statistics is None or not statistics.has_min_max:
        return True
    first, last = statistics.min, statistics.max
    if not (isinstance(first, str) and isinstance(last, str)):
        return True
    # names are in the order of their bytes in UTF-8, which is that of their code points
    place = bisect_left(queries, first)
    return place < len(queries) and queries[place] <= last


def _column_of(group: pq.RowGroupMetaData, name: str) -> pq.ColumnChunkMetaData:
    """Return what a file says of a column of a row group. Raises ValueError where it has none."""
    for place in range(group.num_columns):
        column = group.column(place)
        if column.path_in_schema == name:
            return column
    raise ValueError(f"it has no column '{name}'")
