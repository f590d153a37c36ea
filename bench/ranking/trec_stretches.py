"""A regular run file in stretches of whole queries, so that a run of millions of rows is never in
memory as rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING

from bench.datasets import lines
from bench.ranking import members, query_tables, trec_rows
from bench.ranking.trec_order import Rows

if TYPE_CHECKING:
    import pyarrow as pa

    from bench.ranking.members import Member

STRETCH = 2**23
"""Bytes of a file that are parsed at once: some 150,000 rows."""


class Irregular(Exception):
    """Something about a run file needs a closer look, which reads it from its beginning."""


def whole_queries(path: Path) -> Iterator[Rows]:
    """Yield the rows of a run file, each query whole and in one stretch.

    Raises Irregular where the rows of a query are apart, or anything else is unusual, and DataError
    for a kind of file that holds no lines.
    """
    seen: set[str] = set()
    for table in query_tables.whole_queries(_tables(_blocks(path)), "query_id"):
        yield _unseen(table, seen)
    if not seen:
        raise Irregular("no rows")


def _unseen(table: pa.Table, seen: set[str]) -> Rows:
    rows = trec_rows.rows_of(table)
    if rows is None:
        raise Irregular("cells")
    query_ids = rows.query_ids.dictionary.to_pylist()
    if not seen.isdisjoint(query_ids):
        raise Irregular("queries apart")
    seen.update(query_ids)
    return rows


def _tables(blocks: Iterable[bytes]) -> Iterator[pa.Table]:
    """Yield the columns of a file, block by block."""
    delimiter: str | None = None
    layout: Sequence[str] = ()
    first = b""
    for block in blocks:
        if not first:
            if block.startswith(trec_rows.UTF_16) or trec_rows.is_json(block):
                raise Irregular("no plain rows")
            block = block[trec_rows.end_of_header(block) :]
            first = block[: block.find(b"\n") + 1 or len(block)]
            layout = trec_rows.LAYOUTS.get(len(first.split()), ())
            delimiter = trec_rows.delimiter_of(block, first)
        if not block:
            continue
        if trec_rows.MARK in block or trec_rows.delimiter_of(block, first) != delimiter:
            raise Irregular("characters")
        if delimiter is None or not layout:
            raise Irregular("columns")
        table = trec_rows.parsed(block, delimiter, layout)
        if table is None:
            raise Irregular("cells")
        yield table


def _blocks(path: Path) -> Iterator[bytes]:
    """Yield the file's bytes, unpacked, cut at line ends."""
    try:
        kind = lines.compression(path)
        if kind and path.suffix not in lines.NAMED:
            raise Irregular("name")
        with lines.opened(path, kind) as file:
            tail = b""
            while data := file.read(STRETCH):
                end = data.rfind(b"\n") + 1
                if end:
                    yield tail + data[:end]
                    tail = data[end:]
                else:
                    tail += data
            if tail:
                yield tail
    except (*lines.DAMAGE, OSError) as error:
        raise Irregular("damage") from error


def pieces(path: Path) -> Iterator[pa.Table]:
    """Yield query, document and score of a run as `write_run` writes it, some thousand rows at a
    time. Raises Irregular where anything about the file needs a closer look.
    """
    return _of_three(_tables(_blocks(path)))


def of_members(path: Path, wanted: Sequence[Member], only: Set[str]) -> Iterator[pa.Table]:
    """Yield the same of some queries in these members of a run file, each query whole."""
    return _of_three(_tables(_unpacked(path, wanted, only)))


def _of_three(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    for table in tables:
        if "score" not in table.column_names:
            raise Irregular("columns")
        columns = [table["query_id"], table["doc_id"], table["score"]]
        yield table.from_arrays(columns, ["query", "document", "score"])


def _unpacked(path: Path, wanted: Sequence[Member], only: Set[str]) -> Iterator[bytes]:
    """Yield the lines of some queries in members, those of some members together."""
    texts: list[bytes] = []
    size = 0
    try:
        for member, content in zip(wanted, members.texts_of(path, wanted), strict=True):
            text = _lines_of(content, member.query_ids, only)
            texts.append(text)
            size += len(text)
            if size >= STRETCH:
                yield b"".join(texts)
                texts = []
                size = 0
    except (members.Unmarked, OSError) as error:
        raise Irregular("damage") from error
    if texts:
        yield b"".join(texts)


def _lines_of(text: bytes, query_ids: Sequence[str], only: Set[str]) -> bytes:
    """Return the lines of some of a member's queries, which are in the order of its ids: less to
    parse than all. Raises Irregular where they are not.
    """
    parts: list[bytes] = []
    start = 0
    for query_id, next_id in zip(query_ids, [*query_ids[1:], None], strict=True):
        end = len(text)
        if next_id is not None:
            end = text.find(b"\n%b " % next_id.encode(), start) + 1
        if not end:
            raise Irregular("ids")
        if query_id in only:
            parts.append(text[start:end])
        start = end
    return b"".join(parts)
