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
