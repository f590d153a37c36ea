"""How the time of writing a run grows with its groups: a file per trial and table, against one file
per table that every group rewrites, as schema version 1 had it.

    python benchmarks/store.py [--rounds 3]

Each group has five trials of 200 queries and three measures. Times are wall seconds of the fastest
round; what counts is the ratio of 80 groups to 20, which is 4 where no group waits for those before
it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bench.core.atomic import whole_file
from bench.records.tables import PER_QUERY, write_trials

TRIALS, QUERIES, MEASURES = 5, 200, ("nDCG@10", "RR@10", "R@20")
FEW, MANY = 20, 80

Row = tuple[str, str, str, float]


def rows_of(group: int) -> Iterator[Row]:
    """Yield the rows of one group's trials."""
    for trial in range(TRIALS):
        for measure in MEASURES:
            for query in range(QUERIES):
                yield f"set--group{group}--trial{trial}", f"q{query}", measure, query / QUERIES


def per_trial(folder: Path, group: int) -> None:
    """Write a file for each trial of a group."""
    write_trials(folder, PER_QUERY, rows_of(group))


def rewritten(folder: Path, group: int) -> None:
    """Write the one file of the table anew, with the rows of one more group."""
    path, cells = folder / "per_query.parquet", zip(*rows_of(group), strict=True)
    table = pa.table([pa.array(column) for column in cells], schema=PER_QUERY.schema)
    if path.is_file():
        table = pa.concat_tables([pq.read_table(path), table])
    with whole_file(path) as file:
        pq.write_table(table, file)


WAYS: Mapping[str, Callable[[Path, int], None]] = {
    "a file per trial": per_trial,
    "one file, rewritten": rewritten,
}


def seconds(write: Callable[[Path, int], None], groups: int) -> float:
    """Return the wall seconds in which a run of this many groups is written."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        for group in range(groups):
            write(Path(folder), group)
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    for name, write in WAYS.items():
        few = min(seconds(write, FEW) for _ in range(rounds))
        many = min(seconds(write, MANY) for _ in range(rounds))
        print(
            f"{name:<20} {FEW} groups {few:6.2f} s, {MANY} groups {many:6.2f} s, "
            f"ratio {many / few:.1f}"
        )


if __name__ == "__main__":
    main()
