"""The rows of a run file: fast where the file is regular, line by line where it is not, or to find
the line that is wrong.

Three forms are read: TREC's six columns (query id, Q0, document id, rank, score, tag), MS MARCO's
three (query id, document id, rank from 1 on), and JSON as ranx, pytrec_eval and BEIR write it,
{query id: {document id: score}}. What else circulates is refused with the way out.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.core.errors import DataError
from bench.core.printable import quoted
from bench.datasets import lines
from bench.datasets.lines import LONE_RETURN, id_problem
from bench.ranking.trec_order import Rows

if TYPE_CHECKING:
    import pyarrow as pa

TREC = ("query_id", "q0", "doc_id", "rank", "score", "tag")
MS_MARCO = ("query_id", "doc_id", "rank")
LAYOUTS: Mapping[int, tuple[str, ...]] = {len(columns): columns for columns in (TREC, MS_MARCO)}
SIX = "expected 6 columns (query id, Q0, document id, rank, score, tag)"
GAP = re.compile("[ \t]+")
DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")
HEADER_WORDS = frozenset(
    (
        "qid",
        "query",
        "query_id",
        "query-id",
        "docid",
        "docno",
        "doc_id",
        "corpus-id",
        "pid",
        "rank",
        "score",
    )
)
WHITE = 32
"""The last character of ASCII, the blank, that is none to be seen."""
MARK = b"\xef\xbb\xbf"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
ODD_IN_ASCII = tuple(bytes([code]) for code in (0, 11, 12, 28, 29, 30, 31))
ODD = re.compile(
    "|".join(char for char in map(chr, range(0x80, 0x3001)) if char.isspace()).encode()
)
"""What no id may hold (see `id_problem`), without ends of lines and what is between columns."""
ENDINGS = {kind: ending for ending, kind in lines.NAMED.items()}


def read(path: Path) -> Rows:
    """Return the rows of a run file in one of the three forms. Raises DataError naming the file and
    its first bad line.
    """
    data = content(path)
    if is_json(data):
        return _read_json(path, data)
    return read_fast(data) or _read_slowly(path, data)


def content(path: Path) -> bytes:
    """Return the file's bytes, unpacked, without byte order marks at the start of lines. Raises
    DataError for what is no readable text.
    """
    data = lines.content(path)
    kind = lines.compression(path)
    # tools that read runs go by the name: one that belies the content would be read here and
    # nowhere else
    if kind and path.suffix not in lines.NAMED:
        raise DataError(f"{path}: this is a {kind} file: let its name end in {ENDINGS[kind]}")
    if data.startswith(UTF_16):
        raise DataError(f"{path}: this is UTF-16: save it as UTF-8")
    if MARK not in data:
        return data
    # files joined by `cat` have such a mark in their middle
    return re.sub(rb"^(?:" + MARK + rb")+", b"", data, flags=re.MULTILINE)


def is_json(data: bytes) -> bool:
    """Return whether the file holds an object. Query ids may start with a brace: a first line of
    six columns is a row.
    """
    if not data[:100].lstrip().startswith(b"{"):
        return False
    cells = data[: data.find(b"\n") + 1 or len(data)].decode("utf-8", "replace").split()
    return len(cells) != len(TREC) or not math.isfinite(_number(cells[4]))


def read_fast(data: bytes) -> Rows | None:
    """Return the columns of a regular file, parsed by pyarrow; None when anything about it needs a
    closer look.
    """

    data = data[end_of_header(data) :]
    first = data[: data.find(b"\n") + 1 or len(data)]
    delimiter = delimiter_of(data, first)
    layout = LAYOUTS.get(len(first.split()))
    if delimiter is None or layout is None:
        return None
    table = parsed(data, delimiter, layout)
    if table is None:
        return None
    return rows_of(table)


def parsed(data: bytes, delimiter: str, layout: Sequence[str]) -> pa.Table | None:
    """Return the columns that matter; None for rows that are not of this layout."""
    import pyarrow as pa
    from pyarrow import csv

    types = {
        "query_id": pa.string(),
        "doc_id": pa.string(),
        "rank": pa.int64(),
        "score": pa.float64(),
    }
    try:
        return csv.read_csv(
            pa.BufferReader(data),
            read_options=csv.ReadOptions(column_names=layout),
            parse_options=csv.ParseOptions(
                delimiter=delimiter, quote_char=False, double_quote=False, newlines_in_values=False
            ),
            convert_options=csv.ConvertOptions(
                column_types=types,
                include_columns=[column for column in layout if column in types],
                null_values=[],
            ),
        )
    except pa.ArrowInvalid:
        return None


def rows_of(table: pa.Table) -> Rows | None:
    """Return parsed rows of whole queries; None where something needs a closer look."""
    import numpy as np

    query_ids = table["query_id"].combine_chunks().dictionary_encode()
    doc_ids = table["doc_id"].combine_chunks().dictionary_encode()
    if any(not name or name.startswith("#") for name in query_ids.dictionary.to_pylist()):
        return None
    ranks = table["rank"].to_numpy()
    if "score" not in table.column_names:
        if not _numbered(query_ids.indices.to_numpy(), ranks):
            return None
        return Rows(query_ids, doc_ids, -ranks.astype(np.float64), ranks, has_scores=False)
    scores = table["score"].to_numpy()
    if not np.isfinite(scores).all():
        return None
    return Rows(query_ids, doc_ids, scores, ranks)


def line_of_repeat(path: Path, query_id: str) -> int:
    """Return the line that lists a document a second time for the query with another score, 0 where
    the file has no lines.
    """
    data = content(path)
    if is_json(data):
        return 0
    scores: dict[str, float] = {}
    for number, row in _rows(path, data):
        if row.query_id == query_id and scores.setdefault(row.doc_id, row.score) != row.score:
            return number
    return 0


def _read_slowly(path: Path, data: bytes) -> Rows:
    """Return the columns of any file, columns parted by any run of spaces and tabs. Raises
    DataError naming the first bad line.
    """
    query_ids: list[str] = []
    doc_ids: list[str] = []
    scores: list[float] = []
    ranks: list[float] = []
    has_scores = True
    for _, row in _rows(path, data):
        query_ids.append(row.query_id)
        doc_ids.append(row.doc_id)
        scores.append(row.score)
        ranks.append(row.rank)
        has_scores = row.has_score
    return Rows(query_ids, doc_ids, scores, ranks, has_scores)


class _Row(NamedTuple):
    query_id: str
    doc_id: str
    rank: float
    score: float
    has_score: bool = True


def _rows(path: Path, data: bytes) -> Iterator[tuple[int, _Row]]:
    """Yield each row with the number of its line. The first row says whether the file is TREC's or
    MS MARCO's.
    """
    layout: tuple[str, ...] | None = None
    ranks: Counter[str] = Counter()
    for number, line in _lines(path, data):
        if line.startswith("#"):
            continue
        cells = GAP.split(line.strip(" \t"))
        layout = layout or LAYOUTS.get(len(cells), TREC)
        if len(cells) != len(layout):
            raise DataError.at(path, number, _header_problem(line) or _shape_problem(line, cells))
        for column in ("query_id", "doc_id"):
            cell = cells[layout.index(column)]
            if problem := id_problem(cell):
                name = column.replace("_", " ")
                raise DataError.at(path, number, f"{name} {quoted(cell)} {problem}")
        if layout is TREC:
            yield (
                number,
                _Row(cells[0], cells[2], _number(cells[3]), _score(path, number, line, cells[4])),
            )
            continue
        ranks[cells[0]] += 1
        if cells[2] != str(ranks[cells[0]]):
            raise DataError.at(
                path, number, _header_problem(line) or _rank_problem(cells[2], ranks[cells[0]])
            )
        yield number, _Row(cells[0], cells[1], ranks[cells[0]], -ranks[cells[0]], has_score=False)


def _lines(path: Path, data: bytes) -> Iterator[tuple[int, str]]:
    """Yield each line that is not blank with its number, counted from 1. Raises DataError for bytes
    that are not UTF-8.
    """
    for number, encoded in enumerate(io.BytesIO(data), 1):
        try:
            line = encoded.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            problem = (
                f"not valid UTF-8 (byte 0x{encoded[error.start]:02x} at column "
                f"{error.start + 1}); save the file as UTF-8"
            )
            raise DataError.at(path, number, problem) from error
        if line.strip():
            yield number, line


def _number(cell: str) -> float:
    """Return a cell as a number, nan where it is none. Python's underscores between digits are
    none.
    """
    try:
        return math.nan if "_" in cell else float(cell)
    except ValueError:
        return math.nan


def _score(path: Path, number: int, line: str, cell: str) -> float:
    score = _number(cell)
    if math.isfinite(score):
        return score
    hint = "; write a point before the decimals" if DECIMAL_COMMA.fullmatch(cell) else ""
    raise DataError.at(
        path, number, _header_problem(line) or f"score {quoted(cell)} is not a finite number{hint}"
    )


def _header_problem(line: str) -> str | None:
    """Return what is wrong with a line that names columns, None for any other."""
    words = re.split("[ \t,;]+", line.strip().lower())
    if len(HEADER_WORDS.intersection(words)) < 2:
        return None
    return f"this is a header ({quoted(line.strip())}), and a run file has none: delete the line"


def _shape_problem(line: str, cells: Sequence[str]) -> str:
    """Return what is wrong with a line of another number of columns, and the way out where its kind
    is known.
    """
    problem = f"{SIX}, found {len(cells)}"
    if "\r" in line:
        return f"{problem}: {LONE_RETURN}"
    spaced = next((cell for cell in line.split("\t") if " " in cell.strip()), None)
    if spaced is not None and line.count("\t") == len(TREC) - 1:
        return f"{problem}: {quoted(spaced)} holds a space, which no column of a run can carry"
    if "," in line and len(cells) < len(MS_MARCO):
        return f"{problem}: part the columns by tabs or spaces in place of commas"
    if len(cells) > len(TREC):
        return f"{problem}: an id or the tag holds a space, or the line holds texts"
    way_out = _WAYS_OUT.get(len(cells), ())
    return next((f"{problem}: {text}" for fits, text in way_out if fits(cells)), problem)


_WAYS_OUT: Mapping[int, Sequence[tuple[Callable[[Sequence[str]], bool], str]]] = {
    4: (
        (
            lambda cells: cells[1].upper() in ("Q0", "0"),
            "these are the columns of judgments (qrels), not of a run",
        ),
        (
            lambda cells: True,
            """for query id, document id, rank, score: awk '{print $1, "Q0", $2, $3, $4, "run"}'""",
        ),
    ),
    5: (
        (
            lambda cells: cells[1].upper() in ("Q0", "0"),
            """the tag is missing: awk '{print $0, "run"}' adds one""",
        ),
        (
            lambda cells: True,
            """the second column, Q0, is missing: awk '{print $1, "Q0", $2, $3, $4, $5}' adds it""",
        ),
    ),
}
"""By the number of columns: what such lines are, the first that fits, and what to do."""


def _rank_problem(cell: str, expected: int) -> str:
    ranks = (
        "3 columns are read as MS MARCO's (query id, document id, rank from 1 on), and "
        f"{quoted(cell)} is not the rank {expected}"
    )
    return (
        f"""{ranks}; with scores in the third column: awk '{{print $1, "Q0", $2, 0, $3, "run"}}'"""
    )


def _numbered(query_codes: Any, ranks: Any) -> bool:
    """Return whether every query's rows are next to each other and numbered from 1 on."""
    import numpy as np

    starts = np.flatnonzero(np.append(True, query_codes[1:] != query_codes[:-1]))
    lengths = np.diff(np.append(starts, len(query_codes)))
    expected = np.arange(len(query_codes)) - np.repeat(starts, lengths) + 1
    return len(starts) == len(np.unique(query_codes)) and bool((ranks == expected).all())


def _read_json(path: Path, data: bytes) -> Rows:
    """Return the rows of {query id: {document id: score}}."""
    try:
        run = json.loads(data, object_pairs_hook=_Members)
    except (ValueError, RecursionError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        raise DataError.at(
            path, line, f"starts as JSON and is none that can be read: {error}"
        ) from error
    query_ids: list[str] = []
    doc_ids: list[str] = []
    scores: list[float] = []
    for query_id, documents in run.unique(path, "query"):
        if not isinstance(documents, _Members):
            raise DataError(
                f"{path}: query '{query_id}' has no object of scores: JSON is read as {{query "
                f"id: {{document id: score}}}}"
            )
        for doc_id, score in documents.unique(path, f"query '{query_id}': document"):
            if not _is_finite(score):
                raise DataError(
                    f"{path}: query '{query_id}': the score of document '{doc_id}' is not a "
                    "finite number"
                )
            query_ids.append(query_id)
            doc_ids.append(doc_id)
            scores.append(float(score))
    return Rows(query_ids, doc_ids, scores)


def _is_finite(score: Any) -> bool:
    """Return whether a JSON value is a number that double precision holds: an integer may be
    longer.
    """
    try:
        return (
            isinstance(score, int | float) and not isinstance(score, bool) and math.isfinite(score)
        )
    except OverflowError:
        return False


class _Members(list[tuple[str, Any]]):
    """The members of a JSON object as they are in the file, a name that is there twice included."""

    def unique(self, path: Path, what: str) -> Iterator[tuple[str, Any]]:
        """Yield each name and value. Raises DataError for a name that is there twice, or cannot be
        an id.
        """
        names: set[str] = set()
        for name, value in self:
            problem = "appears a second time" if name in names else id_problem(name)
            if problem:
                raise DataError(f"{path}: {what} {quoted(name)} {problem}")
            names.add(name)
            yield name, value


def end_of_header(data: bytes) -> int:
    """Return where the rows begin, after blank lines and comments."""
    start = 0
    while data.startswith((b"#", b"\n", b"\r\n"), start):
        start = data.find(b"\n", start) + 1 or len(data)
    return start


def delimiter_of(data: bytes, first: bytes) -> str | None:
    """Return the one character between columns, if the same one is between all of them, once, and
    never ends a line, and nothing else in the file could end a word.
    """
    import numpy as np

    mine, other = (b"\t", b" ") if b"\t" in first else (b" ", b"\t")
    if not first.strip() or data.endswith(mine) or other in data:
        return None
    characters = np.frombuffer(data, dtype=np.uint8)
    is_between = characters[:-1] == mine[0]
    is_between &= characters[1:] <= WHITE
    if is_between.any():
        # no column between two such characters, or before the end of a line
        return None
    if any(odd in data for odd in ODD_IN_ASCII) or (not data.isascii() and ODD.search(data)):
        return None
    if b"\r" in data and data.count(b"\r") != data.count(b"\r\n"):
        # pyarrow would take a lone carriage return for a line end
        return None
    return mine.decode()
