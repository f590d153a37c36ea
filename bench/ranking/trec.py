"""TREC run files: read as candidates, written as rankings. Six columns: query id, Q0, document id,
rank, score, tag.

Plain or packed; blank lines are allowed, and so are comment lines that start with `#`, where
ir_metadata (Breuer et al., SIGIR 2022, https://www.ir-metadata.org) keeps its header. Most other
readers stop at a comment, so that a written run holds none: its ir_metadata goes into a file next
to it. The order is that of trec_eval, by score and then doc_id; queries whose rank column
contradicts that are counted. `run_rows` has the other forms that are read.
"""

from __future__ import annotations

import gzip
import json
import math
import operator
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contract.candidates import QueryCandidates
from bench.core.atomic import whole_file, write_atomically
from bench.core.errors import DataError
from bench.core.printable import quoted
from bench.datasets.lines import id_problem
from bench.ranking import query_tables, trec_rows, trec_stretches
from bench.ranking.members import Member, MemberWriter, Unmarked, members_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

    from bench.ranking.trec_order import RunContent

Rankings = Mapping[str, Sequence[tuple[str, float]]]
_START = b"# ir_metadata.start\n"
_END = b"# ir_metadata.end\n"


def read_run(path: Path | str) -> Mapping[str, QueryCandidates]:
    """Return query_id -> its documents, score descending, then doc_id descending. Queries are as
    they first appear.

    Raises DataError naming file and line for a wrong number of columns, a score that is not a
    finite number, a document with two scores.
    """
    return read_content(path).by_query


def read_content(path: Path | str) -> RunContent:
    """Return the same with what is odd about the file. Raises DataError as `read_run` does."""
    from bench.ranking.trec_order import RepeatedDocument, joined, ordered, ordered_part

    path = Path(path)
    try:
        try:
            return joined(map(ordered_part, trec_stretches.whole_queries(path)))
        except trec_stretches.Irregular:
            return ordered(trec_rows.read(path))
    except RepeatedDocument as error:
        line = trec_rows.line_of_repeat(path, error.query_id)
        raise DataError.at(path, line, str(error)) from error


@dataclass
class Tally:
    """Counts the queries and the documents of a run as it is read."""

    queries: int = 0
    documents: int = 0


def read_pieces(
    path: Path | str, only: Collection[str] | None = None, tally: Tally | None = None
) -> Iterator[pd.DataFrame]:
    """Yield the rows of a run that `write_run` wrote, in its order, some thousand queries at a time
    and each of them whole: columns query and document (categories), score, and rank in its query.
    Where `only` names queries, those of others are left out; `tally` counts all.

    Raises DataError as `read_run` does; nothing is sorted and no list is checked for repeated
    documents.
    """
    counts = tally or Tally()
    pieces: Iterator[pa.Table] | None = None
    if only is not None:
        pieces = _of_members(Path(path), frozenset(only), counts)
    if pieces is not None:
        yield from map(_with_ranks, pieces)
        return
    for piece in _whole_queries(Path(path)):
        counts.documents += piece.num_rows
        counts.queries += _changes(piece["query"]) + 1
        if only is not None:
            piece = query_tables.of_queries(piece, "query", only)
        if piece.num_rows:
            yield _with_ranks(piece)


def _of_members(path: Path, only: Set[str], counts: Tally) -> Iterator[pa.Table] | None:
    """Return the rows of some queries of a run, piece by piece, and count all; None where the file
    does not say where they are: it is of another writer, or of a version before.
    """
    wanted: list[Member] = []
    queries = documents = 0
    try:
        for member in members_of(path):
            queries += len(member.query_ids)
            documents += member.documents
            if not only.isdisjoint(member.query_ids):
                wanted.append(member)
    except (Unmarked, OSError):
        return None
    counts.queries += queries
    counts.documents += documents
    return _selected(path, wanted, only)


def _selected(path: Path, wanted: Sequence[Member], only: Set[str]) -> Iterator[pa.Table]:
    missing = set(only)
    try:
        for piece in trec_stretches.of_members(path, wanted, only):
            rows = query_tables.of_queries(piece, "query", missing)
            missing.difference_update(piece["query"].unique().to_pylist())
            yield rows
    except trec_stretches.Irregular:
        # damaged: reading all of it says how
        rows = query_tables.of_queries(_closely(path), "query", missing)
        if rows.num_rows:
            yield rows


def _whole_queries(path: Path) -> Iterator[pa.Table]:
    """Yield the rows of a run, piece by piece, each query in one of them."""
    rows_before = 0
    try:
        for piece in query_tables.whole_queries(trec_stretches.pieces(path), "query"):
            rows_before += piece.num_rows
            yield piece
    except trec_stretches.Irregular:
        # something about the file needs a closer look, which reads it from its beginning
        rest = _closely(path).slice(rows_before)
        if rest.num_rows:
            yield rest


def _closely(path: Path) -> pa.Table:
    import pyarrow as pa

    rows = trec_rows.read(path)
    columns = {"query": rows.query_ids, "document": rows.doc_ids}
    table = {name: pa.array(cells, pa.string()) for name, cells in columns.items()}
    return pa.table({**table, "score": pa.array(rows.scores, pa.float64())})


def _changes(names: pa.ChunkedArray) -> int:
    """Return how often another name follows in a column."""
    import pyarrow.compute as pc

    if len(names) < 2:
        return 0
    return int(pc.sum(pc.not_equal(names[1:], names[:-1])).as_py())


def _with_ranks(rows: pa.Table) -> pd.DataFrame:
    import pyarrow as pa

    columns = {"query": rows["query"], "document": rows["document"]}
    names = {name: cells.combine_chunks().dictionary_encode() for name, cells in columns.items()}
    table: pd.DataFrame = pa.table({**names, "score": rows["score"]}).to_pandas()
    table["rank"] = _ranks(table["query"].cat.codes.to_numpy())
    return table


def _ranks(queries: NDArray[Any]) -> NDArray[np.int64]:
    """Return the place of each row among those of its query, from 1; rows of a query need not be
    neighbours.
    """
    import numpy as np

    order = np.argsort(queries, kind="stable")
    in_order = queries[order]
    starts = np.flatnonzero(np.diff(in_order, prepend=-1))
    lengths = np.diff(starts, append=len(queries))
    ranks = np.empty(len(queries), np.int64)
    ranks[order] = np.arange(1, len(queries) + 1) - np.repeat(starts, lengths)
    return ranks


def write_run(
    path: Path | str,
    rankings: Rankings,
    tag: str,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write rankings, best first, so that they are read back exactly: scores keep every digit. A
    query without documents leaves no line.

    The file is gzipped when its name ends in .gz, equal input giving equal bytes, and is whole or
    not there. `metadata` goes to `metadata_path(path)`. Raises DataError for ids, a tag or scores
    that a run file cannot carry, or an order that reading would change.
    """
    with run_writer(Path(path), tag, metadata) as write:
        write(rankings)


@contextmanager
def run_writer(
    path: Path, tag: str, metadata: Mapping[str, Any] | None = None
) -> Iterator[Callable[[Rankings], None]]:
    """Yield a function that adds rankings of further queries to a run file, which is there when the
    block ends well. As `write_run` otherwise.
    """
    _check_name(path, "tag", tag)
    with whole_file(path) as file:
        packed: MemberWriter | None = None
        if path.suffix == ".gz":
            packed = MemberWriter(file)

        def write(rankings: Rankings) -> None:
            for query_id, ranking in rankings.items():
                _check_name(path, "query id", query_id)
                lines = _text(_ranking_lines(path, query_id, ranking, tag))
                if packed is None:
                    file.write(lines)
                else:
                    packed.write(query_id, lines, len(ranking))

        yield write
        if packed is not None:
            packed.end()
        if metadata is not None:
            write_atomically(metadata_path(path), _metadata_text(metadata).encode())


def metadata_path(path: Path) -> Path:
    """Return the file of a run's ir_metadata, next to the run: `name.run.gz` has
    `name.ir_metadata.yaml`.
    """
    return path.with_name(f"{path.name.removesuffix('.gz').removesuffix('.run')}.ir_metadata.yaml")


def split_run(path: Path) -> tuple[str | None, bytes]:
    """Return a written run's ir_metadata, as YAML, and its rows, unzipped. Old runs hold the former
    in a header of comments.

    Raises DataError when a file cannot be read.
    """
    metadata = b""
    try:
        rows = path.read_bytes()
        if path.suffix == ".gz":
            rows = gzip.decompress(rows)
        if metadata_path(path).is_file():
            metadata = metadata_path(path).read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    header = b""
    if rows.startswith(_START):
        header, end, rows = rows.partition(_END)
        if not end:
            raise DataError(f"{path}: its ir_metadata header has no end")
    if not metadata:
        lines = header.removeprefix(_START).splitlines()
        metadata = b"".join(line.removeprefix(b"#").removeprefix(b" ") + b"\n" for line in lines)
    return metadata.decode("utf-8", "replace") or None, rows


def header_of(metadata: str) -> bytes:
    """Return the comments by which ir_metadata, given as YAML, begins a run file."""
    lines = "".join(f"# {line}".rstrip() + "\n" for line in metadata.splitlines())
    return _START + lines.encode() + _END


def _check_name(path: Path, what: str, value: str) -> None:
    problem = id_problem(value)
    if problem is None and value.startswith("#"):
        problem = "starts with '#', which marks a comment"
    if problem:
        raise DataError(f"{path}: {what} {quoted(value)} {problem}")


def _text(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _ranking_lines(
    path: Path, query_id: str, ranking: Sequence[tuple[str, float]], tag: str
) -> list[str]:
    doc_ids = [doc_id for doc_id, _ in ranking]
    # a number of numpy would be written with its type
    scores = [float(score) for _, score in ranking]
    if not (_are_ids(doc_ids) and _are_falling(scores)):
        _refuse_wrong(path, query_id, doc_ids, scores)
    rows = enumerate(zip(doc_ids, scores, strict=True), 1)
    return [f"{query_id} Q0 {doc_id} {rank} {score!r} {tag}" for rank, (doc_id, score) in rows]


def _are_ids(doc_ids: list[str]) -> bool:
    """Return whether texts can all serve as ids, without a look at each of them."""
    text = "\n".join(doc_ids)
    return text.isascii() and "\0" not in text and text.split() == doc_ids


def _are_falling(scores: Sequence[float]) -> bool:
    """Return whether numbers are finite and each is below the one before it."""
    if not all(map(operator.gt, scores, scores[1:])):
        return False
    return not scores or (math.isfinite(scores[0]) and math.isfinite(scores[-1]))


def _refuse_wrong(
    path: Path, query_id: str, doc_ids: Sequence[str], scores: Sequence[float]
) -> None:
    """Raise DataError for the first row that a run file cannot carry."""
    before: tuple[float, str] = (math.inf, "")
    for doc_id, score in zip(doc_ids, scores, strict=True):
        if problem := id_problem(doc_id):
            raise DataError(f"{path}: query '{query_id}': document id {quoted(doc_id)} {problem}")
        if not math.isfinite(score):
            raise DataError(
                f"{path}: query '{query_id}': score {score} of document '{doc_id}' is not finite"
            )
        if not (score, doc_id) < before:
            raise DataError(
                f"{path}: query '{query_id}': '{doc_id}' does not come after '{before[1]}' by "
                "score, then doc_id"
            )
        before = (score, doc_id)


def _metadata_text(metadata: Mapping[str, Any]) -> str:
    import yaml

    plain = json.loads(json.dumps(metadata, default=str))
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # some wheels lack the quick one
    return str(yaml.dump(plain, Dumper=dumper, sort_keys=False, allow_unicode=True))
