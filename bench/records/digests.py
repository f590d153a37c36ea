"""What a run folder held when its run ended: the SHA-256 of each file in `digests.json`, and, table
by table, a digest of the rows of each query in the folder `digests`, so that a change is named by
the query that it is of.

Neither is a signature: whoever can change a run can change its digests, too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pydantic import ValidationError

from bench.core.atomic import write_atomically
from bench.core.digest import file_digest
from bench.core.errors import RecordError
from bench.core.options import Options
from bench.latency.intervals import RESAMPLES as LATENCY_RESAMPLES
from bench.quality.statistics import FLIPS, RESAMPLES
from bench.records.tables import DIGESTS, TABLES, Table, read_files, stretches, write_rows

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]

FILE = "digests.json"
INFO = "run.json"
FOLDERS = (
    "records",
    "architectures",
    *(table.name for table in TABLES),
    "rankings",
    "models",
    "errors",
    DIGESTS.name,
)
"""What a run writes; reports and pictures are made of these again at any time."""
KEYS = ("query", "document")
"""The column that names a row's query; texts of documents have none."""
_ODD, _MIX, _STIR = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


class Draws(Options):
    """How many times a version resamples: what it draws with another number is another interval."""

    quality: int = RESAMPLES
    flips: int = FLIPS
    latency: int = LATENCY_RESAMPLES


class FolderDigests(Options):
    """The file digests.json."""

    files: dict[str, str]
    draws: Draws = Draws()


class RowDigest(NamedTuple):
    """How many rows of a table are of one query, and a digest of them, whatever their order."""

    rows: int
    digest: int


def write_digests(folder: Path, info: bytes) -> None:
    """Write the digests of all files of a run, whose run.json is about to hold `info`."""
    by_trial: dict[str, list[tuple[Path, Table]]] = {}
    for path, table in table_files(folder):
        by_trial.setdefault(_trial_of(folder, path), []).append((path, table))
    for trial, tables in by_trial.items():
        rows = _digest_rows(folder, tables)
        write_rows(folder / DIGESTS.name / f"{trial}.parquet", DIGESTS, rows)
    files = {name: file_digest(folder / name) for name in written_files(folder)}
    files[INFO] = hashlib.sha256(info).hexdigest()
    text = json.dumps(FolderDigests(files=files).model_dump(), indent=1)
    write_atomically(folder / FILE, f"{text}\n".encode())


def _digest_rows(
    folder: Path, tables: Sequence[tuple[Path, Table]]
) -> Iterator[tuple[str, str, int, int]]:
    """Yield file, query, rows and digest of some files, one of which is in memory at once."""
    for path, table in tables:
        name = path.relative_to(folder).as_posix()
        try:
            digests = row_digests(path, table)
        except RecordError:
            # damaged from outside while the run was at work: its readers will say so
            continue
        for key, digest in digests.items():
            yield name, key, digest.rows, digest.digest


def read_digests(folder: Path) -> FolderDigests | None:
    """Return the digests of a run's files; None where it has none, as older runs and those that are
    not finished. Raises RecordError for a file that cannot be read.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        return FolderDigests.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise RecordError(f"{path}: cannot be read as digests of a run") from error


def read_row_digests(folder: Path) -> dict[str, dict[str, RowDigest]]:
    """Return file -> query -> the digest of its rows."""
    by_file: dict[str, dict[str, RowDigest]] = {}
    table = read_files(sorted((folder / DIGESTS.name).glob("*.parquet")), DIGESTS)
    columns = (table[name].tolist() for name in DIGESTS.names)
    for file, key, rows, digest in zip(*columns, strict=True):
        by_file.setdefault(file, {})[key] = RowDigest(rows, digest)
    return by_file


def written_files(folder: Path) -> list[str]:
    """Return the names of the files that a run has written, but for run.json."""
    names: list[str] = []
    for part in FOLDERS:
        paths = sorted(path for path in (folder / part).rglob("*") if path.is_file())
        names += [path.relative_to(folder).as_posix() for path in paths]
    return names


def table_files(folder: Path) -> Iterator[tuple[Path, Table]]:
    """Yield the files of the tables."""
    for table in TABLES:
        for path in sorted((folder / table.name).rglob("*.parquet")):
            yield path, table


def row_digests(path: Path, table: Table) -> dict[str, RowDigest]:
    """Return query -> the digest of its rows in a file. Raises RecordError where it cannot be
    read.
    """
    key = next(name for name in KEYS if name in table.columns)
    sums: dict[str, RowDigest] = {}
    for rows in stretches(path, table):
        if rows.num_rows:
            for name, more in _digests(rows, key):
                before = sums.get(name, RowDigest(0, 0))
                sums[name] = RowDigest(before.rows + more.rows, _sum(before.digest, more.digest))
    return sums


def _digests(rows: pa.Table, key: str) -> Iterator[tuple[str, RowDigest]]:
    import numpy as np

    names, codes = _encoded(rows[key])
    sums = np.zeros(len(names), dtype=np.uint64)
    np.add.at(sums, codes, _row_hashes(rows))
    counts = np.bincount(codes, minlength=len(names)).tolist()
    for name, count, total in zip(names, counts, sums.view(np.int64).tolist(), strict=True):
        yield name, RowDigest(count, total)


def _sum(left: int, right: int) -> int:
    """Return the sum of two signed numbers of 64 bits, which begins anew where it runs over."""
    return (left + right + 2**63) % 2**64 - 2**63


def _row_hashes(rows: pa.Table) -> Hashes:
    """Return a number of 64 bits per row, which every cell of the row changes."""
    import numpy as np

    hashes = np.zeros(rows.num_rows, dtype=np.uint64)
    for column in rows.columns:
        hashes = _mixed(hashes * np.uint64(_ODD) + _cells(column))
    return hashes


def _cells(column: pa.ChunkedArray) -> Hashes:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_dictionary(kind):
        names, codes = _encoded(column)
        return _hashes_of(names)[codes]
    absent = column.is_null().to_numpy()
    if pa.types.is_floating(kind):
        numbers = pc.fill_null(column, 0.0).to_numpy().astype(np.float64).view(np.uint64)
    else:
        numbers = pc.fill_null(column.cast(pa.int64()), 0).to_numpy().view(np.uint64)
    return _mixed(numbers + np.where(absent, np.uint64(_STIR), np.uint64(1)))


def _encoded(column: pa.ChunkedArray) -> tuple[list[str], NDArray[np.int64]]:
    """Return the texts of a column, each once, and which of them each row has. No text is \"\"."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = column.cast(pa.string())
    encoded = pc.fill_null(column, "").combine_chunks().dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy().astype(np.int64)


def _hashes_of(names: Sequence[str]) -> Hashes:
    import numpy as np

    data = b"".join(
        hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        for name in names
    )
    return np.frombuffer(data, dtype=">u8").astype(np.uint64)


def _mixed(numbers: Hashes) -> Hashes:
    """Return numbers whose every bit depends on every bit of these (splitmix64; Steele, Lea &
    Flood, OOPSLA 2014).
    """
    import numpy as np

    numbers = numbers + np.uint64(_ODD)
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(_MIX)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(_STIR)
    mixed: Hashes = numbers ^ (numbers >> np.uint64(31))
    return mixed


def _trial_of(folder: Path, path: Path) -> str:
    """Return the trial, or the first trial of the group, that a file of a table is of."""
    name = path.relative_to(folder).parts[1]
    return name.removesuffix(".parquet")


def changed_keys(before: Mapping[str, RowDigest], now: Mapping[str, RowDigest]) -> list[str]:
    """Return the queries whose rows are not what they were, in the order of their names."""
    return sorted(key for key in {*before, *now} if before.get(key) != now.get(key))
