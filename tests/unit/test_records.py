"""Keys name what differs; files are whole or absent; a run's folder opens only when it is one."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from bench.core.atomic import write_atomically
from bench.core.errors import BenchError, RecordError
from bench.records.keys import identity_of, make_key, system_key
from bench.records.run import Run
from tests.support.made_runs import made_run


def test_equal_fields_give_equal_keys_whatever_their_order() -> None:
    assert (
        make_key({"a": 1, "b": {"c": 2, "d": 3}}).hash
        == make_key({"b": {"d": 3, "c": 2}, "a": 1}).hash
    )


def test_the_differing_fields_are_named() -> None:
    left = system_key(
        identity_of(
            {
                "backend": "cross-encoder",
                "identity": {"model": "m", "revision": "abc", "versions": {"torch": "2.1"}},
            }
        )
    )
    right = system_key(
        identity_of(
            {
                "backend": "cross-encoder",
                "identity": {"model": "m", "revision": "def", "versions": {"torch": "2.2"}},
            }
        )
    )
    assert left.differing(right) == ["revision", "versions.torch"]
    assert left.differing(left) == []


def test_a_write_replaces_the_file_and_leaves_no_other(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.json"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert os.listdir(path.parent) == ["file.json"]


def test_a_full_disk_keeps_the_old_file_and_names_the_path(tmp_path: Path) -> None:
    """/dev/full-like behaviour, portable: the folder is a file, so nothing can be made in it."""
    blocker = tmp_path / "results"
    blocker.write_text("in the way")
    with pytest.raises(BenchError, match=r"results.*cannot be written"):
        write_atomically(blocker / "run.json", b"{}")
    assert blocker.read_text() == "in the way"


def test_a_folder_without_a_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no run here"):
        Run(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"schema_version": 1}', ""])
def test_a_damaged_run_is_one_clear_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(RecordError, match=r"run\.json: not a record"):
        Run(tmp_path)


def test_another_schema_version_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"schema_version": 99}))
    with pytest.raises(RecordError, match="schema version 99"):
        Run(tmp_path)


@pytest.mark.parametrize("version", ["2", True, None, [2]])
def test_a_schema_version_that_is_no_number_is_named(tmp_path: Path, version: object) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"schema_version": version}))
    with pytest.raises(RecordError, match="schema_version has to be a number from 1 to 2, and is"):
        Run(tmp_path)


STAGE = {"name": "s", "received": 5, "keep": 5, "quality": {}, "recall": 0.5}
TIES = [{"code": "ties", "count": -4}]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("description", {"facts": None}, "description.facts is null, and not an object"),
        ("description", {"identity": []}, "description.identity is of type list"),
        ("description", {"facts": {"warnings": TIES}}, "description.facts.warnings: a count of a "),
        (
            "latency",
            {"notes": TIES},
            "latency.notes: a count of a note is -4; it is a number, 0 or",
        ),
        ("latency", {"calls": -1}, "latency.calls is -1; it is 0 or more, and finite"),
        ("latency", {"errors": float("inf")}, "latency.errors is inf; it is 0 or more, and finite"),
        ("latency", {"failure_rate": 2}, "latency.failure_rate is 2, and not a share"),
        ("candidates", {"longest": -3}, "candidates.longest is -3"),
        ("stages", [{**STAGE, "recall": 7.5}], "stages.0.recall: Input should be less than"),
        ("stages", [{**STAGE, "recall": float("nan")}], "stages.0.recall: Input should be "),
        ("stages", [{**STAGE, "lost": -9}], "stages.0.lost: Input should be greater than"),
        ("stages", [{**STAGE, "usage": {"calls": -1}}], "stages.0.usage: Value error, -1 calls"),
        ("scores", {"cached": -5}, "scores.cached: Input should be greater than or equal to 0"),
        ("usage", {"calls": float("inf")}, "usage.calls: Input should be a finite number"),
    ],
)
def test_a_value_inside_a_record_that_cannot_be_is_named(
    tmp_path: Path, key: str, value: object, message: str
) -> None:
    _refused(tmp_path, {key: value}, message)


def test_more_failures_than_queries_are_refused(tmp_path: Path) -> None:
    counts = {"queries": 12, "without_candidates": 2, "failed": 99, "pairs": 10, "ties": 0}
    counts |= {"unjudged_queries": 0, "without_relevant": 0}
    message = "counts: Value error, 99 of 10 queries cannot have failed"
    _refused(tmp_path, {"counts": counts}, message)


def _refused(tmp_path: Path, fields: dict[str, object], message: str) -> None:
    folder = made_run(tmp_path, {"a": [0.5, 1.0]}).folder
    (path,) = (folder / "records").iterdir()
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
    with pytest.raises(RecordError) as error:
        list(Run(folder).records)
    assert f"{path.name}: not a record: {message}" in str(error.value)
