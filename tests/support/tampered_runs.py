"""Changes to the files of a run folder, and twelve of them that `verify` has to name."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from bench.records.run import Run
from bench.verification.finding import Code, Finding

Rows = list[dict[str, Any]]
Change = Callable[[Rows], dict[str, Any]]


class Planted(NamedTuple):
    """What `verify` has to say of a change: a code, and the place in words."""

    code: Code
    file: str
    query: str = ""
    key: str = ""


def rewritten(path: Path, change: Change) -> dict[str, Any]:
    """Write a table anew, with checksums that hold, after a change to its rows; return the row that
    was changed.
    """
    table = pq.read_table(path)
    rows: Rows = table.to_pylist()
    changed = change(rows)
    pq.write_table(pa.Table.from_pylist(rows, table.schema), path, write_page_checksum=True)
    return changed


def edited(path: Path, keys: Sequence[str | int], value: Callable[[Any], Any]) -> None:
    """Set a value of a JSON file."""
    data = json.loads(path.read_text(encoding="utf-8"))
    inner = data
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value(inner[keys[-1]])
    path.write_text(json.dumps(data), encoding="utf-8")


def swapped(path: Path) -> tuple[str, str]:
    """Exchange the first two documents of a ranking; return their query and the new first."""
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    first, second = (line.split() for line in lines[:2])
    first[2], second[2] = second[2], first[2]
    lines[:2] = [" ".join(first), " ".join(second)]
    path.write_bytes(gzip.compress("\n".join([*lines, ""]).encode()))
    return first[0], first[2]


def raised(field: str, by: float, number: int = 0) -> Change:
    """Return a change that adds to a number of a row."""

    def change(rows: Rows) -> dict[str, Any]:
        rows[number][field] += by
        return rows[number]

    return change


def having(field: str, value: Any, number: int = 0) -> Change:
    """Return a change that sets a value of a row."""

    def change(rows: Rows) -> dict[str, Any]:
        rows[number][field] = value
        return rows[number]

    return change


def slower(rows: Rows) -> dict[str, Any]:
    """Make a timed call three times as long."""
    row = next(row for row in rows if row["scenario"] == "single" and not row["warmup"])
    row["nanoseconds"] *= 3
    return row


TABLES: Sequence[tuple[str, Change]] = (
    ("scores", raised("score", -1e-3, number=-1)),
    ("per_query", having("value", 0.123, number=-1)),
    ("depths", having("value", 0.123, number=-1)),
    ("latency", slower),
)
"""Table -> a change to a row of a trial, where the run has the table."""
MEASURE = "nDCG@10"
NUMBERS: Sequence[tuple[Sequence[str], Callable[[Any], Any], Code, str]] = (
    (
        ("quality", MEASURE, "mean"),
        lambda value: value + 1e-6,
        Code.MEAN,
        "quality.nDCG@10",
    ),
    (
        ("quality", MEASURE, "low"),
        lambda value: value - 1e-4,
        Code.INTERVAL,
        "quality.nDCG@10.low",
    ),
    (
        ("vs_first_stage", MEASURE, "mean"),
        lambda value: value + 1e-4,
        Code.DIFFERENCE,
        "vs_first_stage.nDCG@10.mean",
    ),
    (
        ("vs_first_stage", MEASURE, "p"),
        lambda value: value / 2,
        Code.P_VALUE,
        "vs_first_stage.nDCG@10.p",
    ),
    (
        ("candidates", "hash"),
        lambda value: "0" * len(value),
        Code.CANDIDATES_HASH,
        "candidates.hash",
    ),
    (
        ("keys", "system", "hash"),
        lambda value: "0" * len(value),
        Code.KEY_HASH,
        "keys.system.hash",
    ),
    (
        ("counts", "pairs"),
        lambda value: value - 1,
        Code.COUNT,
        "counts.pairs",
    ),
)
"""Keys of a record, a change, and the finding's code and key."""


def tampered(run: Run) -> list[Planted]:
    """Plant twelve changes into a run folder, all at once: a grade, an order, a score, a value of a
    query, a point of a curve, a mean, an end of an interval, a difference, a p, two hashes and a
    count; a timing, too, where the run has some. Return what has to be said of each.
    """
    trial_id = _reranked(run)
    planted = [_grade(run)]
    ranking = f"rankings/{trial_id}.run.gz"
    swapped(run.folder / ranking)
    planted.append(Planted(Code.CHANGED_FILE, ranking))
    for table, change in TABLES:
        file = f"{table}/{trial_id}.parquet"
        if (run.folder / file).is_file():
            row = rewritten(run.folder / file, change)
            planted.append(Planted(Code.CHANGED_ROWS, file, row["query"]))
    record = f"records/{trial_id}.json"
    for keys, change, code, key in NUMBERS:
        edited(run.folder / record, keys, change)
        planted.append(Planted(code, record, key=key))
    return planted


def unnamed(planted: Sequence[Planted], findings: Sequence[Finding]) -> list[Planted]:
    """Return the changes that no finding names at their place."""
    names = {
        (finding.code, finding.place.file, finding.place.query, finding.place.key)
        for finding in findings
    }
    return [own for own in planted if own not in names]


def _reranked(run: Run) -> str:
    """Return the first trial that is compared with its first stage: of a reranker, or the oracle's
    in a run without one.
    """
    records = [record for record in run.records.values() if not record.stages]
    return next(record.trial.id for record in records if record.vs_first_stage)


def _grade(run: Run) -> Planted:
    """Change a grade."""
    [path, *_] = sorted((run.folder / "judgments").glob("*.parquet"))
    row = rewritten(path, raised("grade", 1))
    return Planted(Code.CHANGED_ROWS, path.relative_to(run.folder).as_posix(), row["query"])
