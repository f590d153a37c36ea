"""The file of a judge's answers: what is in it is read as it was written, or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import BenchError
from bench.judging.answers import Answers, Reply

REPLY = Reply("k", "q", "d", "final score: 2", 2)


def opened(path: Path, data: bytes = b"") -> Answers:
    path.write_bytes(data)
    return Answers(path)


@pytest.mark.parametrize(
    "fields",
    [
        {"grade": "2"},
        {"grade": 7},
        {"grade": 2.0},
        {"grade": True},
        {"key": ["k"]},
        {"tokens": "x"},
    ],
    ids=str,
)
def test_a_line_with_a_value_of_another_kind_is_no_answer(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    line = json.dumps({**vars(REPLY), **fields})
    answers = opened(tmp_path / "a", f"{line}\n".encode())
    assert (answers.damaged, answers.grade("k")) == (1, None)
    answers.close()


def test_a_line_that_nests_without_end_is_no_answer(tmp_path: Path) -> None:
    answers = opened(tmp_path / "a", b"[" * 100_000 + b"\n")
    assert answers.damaged == 1
    answers.close()


def test_an_answer_whose_line_has_no_end_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a"
    answers = opened(path, json.dumps(vars(REPLY)).encode())
    assert (answers.damaged, answers.grade("k")) == (0, 2)
    answers.add(Reply("l", "q", "e", "3", 3))
    answers.close()
    again = Answers(path)
    assert (again.damaged, again.grade("k"), again.grade("l")) == (0, 2, 3)
    again.close()


def test_a_full_disk_leaves_whole_lines(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="limits of files are POSIX")
    path = tmp_path / "a"
    answers = opened(path)
    answers.add(REPLY)
    size = path.stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, limits[1]))
    try:
        for _ in range(2):
            with pytest.raises(BenchError, match="cannot be written"):
                answers.add(Reply("l", "q", "e", "3", 3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.stat().st_size == size
    answers.add(Reply("l", "q", "e", "3", 3))
    answers.close()
    again = Answers(path)
    assert (again.damaged, again.grade("l")) == (0, 3)
    again.close()
