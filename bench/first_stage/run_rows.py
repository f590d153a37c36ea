"""The rows of a TREC run file: fast where the file is regular, line by line where it is not, or to find the line that is wrong."""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.datasets.lines import numbered_lines
from bench.errors import DataError

COLUMNS = ("query_id", "q0", "doc_id", "rank", "score", "tag")
GAP = re.compile("[ \t]+")
Columns = tuple[Any, Any, Any]
"""Query ids, document ids and scores, in the file's order."""


def read_fast(path: Path) -> Columns | None:
    """The columns of a regular file, parsed by pyarrow; None when anything about the file needs a closer look."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import csv

    data = _body(path)
    delimiter = _delimiter(data)
    if delimiter is None:
        return None
    try:
        table = csv.read_csv(
            pa.BufferReader(data),
            read_options=csv.ReadOptions(column_names=COLUMNS),
            parse_options=csv.ParseOptions(delimiter=delimiter, quote_char=False, double_quote=False, newlines_in_values=False),
            convert_options=csv.ConvertOptions(
                column_types={"query_id": pa.string(), "doc_id": pa.string(), "score": pa.float64()},
                include_columns=["query_id", "doc_id", "score"],
                null_values=[],
            ),
        ).combine_chunks()
    except pa.ArrowInvalid:
        return None
    scores = table["score"].to_numpy()
    query_ids, doc_ids = (table[name].combine_chunks() for name in ("query_id", "doc_id"))
    comments = any(not name or name.startswith("#") for name in query_ids.unique().to_pylist())
    return None if comments or not np.isfinite(scores).all() else (query_ids, doc_ids, scores)


def read_slowly(path: Path) -> Columns:
    """The columns of any file, columns parted by any run of spaces and tabs. Raises DataError naming the first bad line."""
    query_ids: list[str] = []
    doc_ids: list[str] = []
    scores: list[float] = []
    for _, query_id, doc_id, score in _rows(path):
        query_ids.append(query_id)
        doc_ids.append(doc_id)
        scores.append(score)
    return query_ids, doc_ids, scores


def line_of_repeat(path: Path, query_id: str) -> int:
    """The line that lists a document a second time for the query."""
    seen: set[str] = set()
    for number, found, doc_id, _ in _rows(path):
        if found == query_id and doc_id in seen:
            return number
        if found == query_id:
            seen.add(doc_id)
    return 0


def _rows(path: Path) -> Iterator[tuple[int, str, str, float]]:
    for number, line in numbered_lines(path):
        if line.startswith("#"):
            continue
        cells = GAP.split(line.strip(" \t"))
        if len(cells) != len(COLUMNS):
            raise DataError.at(path, number, f"expected 6 columns (query id, Q0, document id, rank, score, tag), found {len(cells)}")
        yield number, cells[0], cells[2], _score(path, number, cells[4])


def _score(path: Path, number: int, cell: str) -> float:
    try:
        score = float(cell) if "_" not in cell else math.nan
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise DataError.at(path, number, f"score '{cell}' is not a finite number")
    return score


def _body(path: Path) -> bytes:
    """The file's bytes after its header of comments. Raises nothing of its own: what cannot be read, the slow reader explains."""
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error):
        return b""
    start = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    while data.startswith((b"#", b"\n", b"\r\n"), start):
        start = data.find(b"\n", start) + 1 or len(data)
    return data[start:]


def _delimiter(data: bytes) -> str | None:
    """The one character between columns, if the same one stands between all of them, once, and never ends a line."""
    first = data[: data.find(b"\n") + 1 or len(data)]
    mine, other = (b"\t", b" ") if b"\t" in first else (b" ", b"\t")
    if not first.strip() or data.endswith(mine) or any(odd in data for odd in (other, mine * 2, mine + b"\n")):
        return None
    if b"\r" in data and (mine + b"\r" in data or data.count(b"\r") != data.count(b"\r\n")):
        return None  # pyarrow would take a lone carriage return for a line end
    return mine.decode()
