"""Tables with a row per document whose column of query ids says which rows belong together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

TAIL = 4096
"""Rows at the end of a table that are looked at together."""


def whole_queries(tables: Iterable[pa.Table], column: str) -> Iterator[pa.Table]:
    """Yield the rows of tables, cut anew where the query ids of a column change, so that neighbours
    of one query are in one table.
    """
    import pyarrow as pa

    rest: pa.Table | None = None
    for table in tables:
        if rest is not None:
            table = pa.concat_tables([rest, table])
        end = _start_of_last(table[column])
        rest = table.slice(end)
        if end:
            yield table.slice(0, end)
    if rest is not None and rest.num_rows:
        yield rest


def of_queries(table: pa.Table, column: str, query_ids: Collection[str]) -> pa.Table:
    """Return the rows whose column holds one of the query ids."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.array(sorted(query_ids), pa.string())
    return table.filter(pc.is_in(table[column].cast(pa.string()), value_set=wanted))


def _start_of_last(names: pa.ChunkedArray) -> int:
    """Return the row from which on all have the last row's name; 0 where there are no rows."""
    import pyarrow as pa
    import pyarrow.compute as pc

    end = len(names)
    if not end:
        return 0
    last = pc.cast(names[-1], pa.string())
    while end:
        # a query has few rows: they are looked for from the end on
        start = max(0, end - TAIL)
        tail = names[start:end].cast(pa.string())
        others = pc.indices_nonzero(pc.not_equal(tail, last))
        if len(others):
            return start + int(others[-1].as_py()) + 1
        end = start
    return 0
