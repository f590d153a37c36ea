"""The score cache on a disk that is damaged, shared, full or not there: nothing is deleted, no
exception, no wrong score.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from bench.contract.request import Usage
from bench.contract.scored import Scored
from bench.core.cache_dir import DAMAGED, cache_dir, make_folder, set_aside
from bench.core.errors import BenchError, RerankerError
from bench.core.note import Code, Note
from bench.core.wording import worded
from bench.rerankers.description import identified
from bench.scoring import chunk_file
from bench.scoring.cache import ScoreCache
from bench.scoring.chunk_file import Chunk, DamagedFile
from bench.scoring.engine import score
from tests.support.fakes import FakeOptions, HashReranker
from tests.support.made_requests import requests
from tests.support.notes import counts
from tests.support.paths import ROOT

FINGERPRINT = identified(HashReranker(FakeOptions()))


@pytest.fixture(autouse=True)
def cache_in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANK_BENCH_CACHE", str(tmp_path / "cache"))


def scored(notes: list[Note] | None = None, **arguments: Any) -> Scored:
    collected = [] if notes is None else notes
    return score(
        HashReranker(FakeOptions()),
        requests(8, docs=5),
        chunk_pairs=10,
        on_note=collected.append,
        **arguments,
    )


def chunk_files() -> list[Path]:
    return sorted(ScoreCache(FINGERPRINT).folder.glob("*.npz"))


def test_a_flip_of_any_single_bit_of_a_score_file_raises_nothing_and_changes_no_score() -> None:
    chunk = Chunk(
        {"k1": np.array([0.25, -1.5]), "k2": np.array([3.0])},
        {"calls": 0.5},
        {"k1": {"tokens": 7}},
        pairs={"k1": np.array([[1, 2], [3, 4]], dtype=np.uint64)},
    )
    data = chunk_file.encode(chunk)
    damaged = harmless = 0
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            read = chunk_file.decode(bytes(flipped))
        except DamagedFile:
            damaged += 1
            continue
        harmless += 1
        assert {key: values.tolist() for key, values in read.scores.items()} == {
            "k1": [0.25, -1.5],
            "k2": [3.0],
        }
        assert (read.share, read.own, read.impossible) == (chunk.share, chunk.own, 0)
        pairs = {key: values.tolist() for key, values in read.pairs.items()}
        assert pairs in ({"k1": [[1, 2], [3, 4]]}, {}), "without pairs it counts by list"
    assert damaged > 2 * harmless, "most of a file matters"


@pytest.mark.parametrize("length", [0, 1, 40, -1])
def test_a_file_cut_short_is_renamed_counted_and_scored_again(length: int) -> None:
    first = scored()
    path = chunk_files()[0]
    path.write_bytes(path.read_bytes()[:length])
    notes: list[Note] = []
    again = scored(notes)
    assert (again.cached_queries, again.computed_queries) == (6, 2)
    assert all(
        np.array_equal(first.scores[query_id], values) for query_id, values in again.scores.items()
    )
    assert path.with_name(path.name + DAMAGED).is_file()
    assert notes == again.notes
    assert len(notes) == 1
    assert "1 file is damaged" in worded(notes[0])
    assert scored().notes == []


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_file_is_renamed_and_never_waited_for(kind: str) -> None:
    scored()
    path = chunk_files()[0]
    path.unlink()
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    assert scored().computed_queries == 2
    assert scored().cached_queries == 8


def test_with_fresh_a_folder_in_the_place_of_a_file_is_renamed_too() -> None:
    scored()
    path = chunk_files()[0]
    path.unlink()
    path.mkdir()
    scored(fresh=True)
    assert scored().cached_queries == 8


def test_a_second_damaged_file_does_not_replace_the_first(tmp_path: Path) -> None:
    for text in ("one", "two", "three"):
        path = tmp_path / "x.npz"
        path.write_text(text)
        set_aside(path)
    assert [(tmp_path / f"x.npz{DAMAGED}{more}").read_text() for more in ("", "-2", "-3")] == [
        "one",
        "two",
        "three",
    ]


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(13, "Permission denied"),
        OSError(24, "Too many open files"),
        OSError(116, "Stale file handle"),
    ],
)
def test_a_file_that_cannot_be_opened_stays_and_is_said(
    error: OSError, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored()
    before = {path: path.read_bytes() for path in chunk_files()}

    def refuse(path: Path) -> bytes:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuse)
        cache = ScoreCache(FINGERPRINT)
    assert len(cache.problems) == 1
    assert f"4 files are left alone because of '{error.strerror}'" in worded(cache.problems[0])
    assert {path: path.read_bytes() for path in chunk_files()} == before
    assert scored().cached_queries == 8


def test_where_nothing_can_be_read_no_file_counts_as_damaged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What reads an archive is loaded when it is first needed: without descriptors that fails, and
    looks like damage.
    """
    scored()
    before = {path: path.read_bytes() for path in chunk_files()}

    def fail(data: bytes) -> Any:
        raise LookupError("unknown encoding: cp437")

    with monkeypatch.context() as patch:
        patch.setattr(chunk_file, "_arrays", fail)
        chunk_file._check_reading.cache_clear()
        cache = ScoreCache(FINGERPRINT)
    assert [problem.code for problem in cache.problems] == [Code.CACHE_UNREADABLE]
    assert "unknown encoding" in worded(cache.problems[0])
    assert {path: path.read_bytes() for path in chunk_files()} == before
    assert scored().cached_queries == 8


SECOND_USER = """
import os
import sys
import numpy, zipfile  # before the rights are dropped
from bench.core import wording
from bench.scoring import cache, chunk_file, engine
from tests.unit.test_score_cache import scored
chunk_file.decode(chunk_file.encode(chunk_file.Chunk({"k": numpy.ones(1)}, {}, {})))
os.setgroups([]); os.setgid(int(sys.argv[1])); os.setuid(65534); os.umask(0o022)
result = scored()
print(result.cached_queries, result.computed_queries, wording.sentences(result.notes))
"""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs a second user")
@pytest.mark.parametrize("mode", [0o2775, 0o755, 0o700])
def test_a_second_user_reads_what_may_be_read_and_deletes_nothing(
    mode: int, tmp_path: Path
) -> None:
    for folder in (tmp_path, *tmp_path.parents):
        if folder != Path(tempfile.gettempdir()) and folder.is_relative_to(tempfile.gettempdir()):
            folder.chmod(0o755)
    group = 65533
    root = cache_dir()
    root.mkdir()
    os.chown(root, 0, group)
    root.chmod(mode)
    scored()
    before = sorted(path.name for path in chunk_files())
    for path in chunk_files():
        path.chmod(0o644)
    if mode == 0o2775:
        chunk_files()[0].unlink()  # what the second user adds
    command = [sys.executable, "-c", SECOND_USER, str(group)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    expected = {0o2775: "6 2 []", 0o755: "8 0 []", 0o700: '0 8 ["score cache'}[mode]
    assert done.stdout.startswith(expected), done.stdout
    assert sorted(path.name for path in chunk_files()) == before
    if mode == 0o2775:
        assert chunk_files()[0].stat().st_uid in (0, 65534)
        assert scored().cached_queries == 8, "the first user reads what the second added"


def test_folders_below_a_group_writable_cache_are_group_writable(tmp_path: Path) -> None:
    cache_dir().mkdir()
    for mode, expected in ((0o775, 0o775), (0o755, 0o755), (0o777, 0o777)):
        cache_dir().chmod(mode)
        folder = cache_dir(f"of{mode}", "below")
        before = os.umask(0o022)
        make_folder(folder)
        os.umask(before)
        assert stat.S_IMODE(folder.stat().st_mode) == expected
    make_folder(tmp_path / "elsewhere" / "folder")


def test_a_cache_that_is_a_file_costs_the_cache_and_not_the_scores() -> None:
    cache_dir().write_text("not a folder")
    notes: list[Note] = []
    assert scored(notes).computed_queries == 8
    assert {Code.CACHE_CLOSED, Code.CACHE_NOT_KEPT} <= set(counts(notes))
    assert not any(str(cache_dir().parent) in note.text for note in notes), (
        "a run names no place of this machine"
    )
    assert cache_dir().read_text() == "not a folder"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_on_a_full_disk_scores_are_used_and_the_loss_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(path: Path, data: bytes) -> None:
        try:
            with Path("/dev/full").open("wb", buffering=0) as file:
                file.write(data)
        except OSError as error:
            raise BenchError(f"{path}: cannot be written: {error.strerror}") from error

    monkeypatch.setattr("bench.scoring.cache_folder.write_atomically", full)
    notes: list[Note] = []
    assert scored(notes).computed_queries == 8
    assert len(notes) == 1
    assert "not kept because of 'No space left on device'; another run scores them again" in worded(
        notes[0]
    )


def test_without_a_home_one_line_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANK_BENCH_CACHE", "~nobody-by-this-name/cache")
    with pytest.raises(BenchError, match="set RERANK_BENCH_CACHE to a folder"):
        cache_dir()


def test_a_description_with_a_flipped_bit_is_not_believed() -> None:
    scored()
    path = ScoreCache(FINGERPRINT).folder / "description.json"
    data = path.read_bytes()
    cache = ScoreCache(FINGERPRINT)
    believed = cache.description
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        assert cache.description in (None, believed)
    path.write_bytes(data[: len(data) // 2])
    assert scored().description == believed
    assert ScoreCache(FINGERPRINT).description == believed, "and kept again"


def test_amounts_that_cannot_be_true_are_left_out_of_a_cache_of_yesterday() -> None:
    scored()
    path = chunk_files()[0]
    with np.load(path) as chunk:
        arrays = {name: chunk[name] for name in chunk.files}
    key = str(arrays["keys"][0])
    arrays["usage"] = np.array(
        json.dumps({"tokens": 1e30, "calls": float("nan"), "billed_units": -5, "pairs": 2.0})
    )
    arrays["own_usage"] = np.array(
        json.dumps({key: {"tokens": 10**30, "calls": "3", "retries": True, "pairs": 1}})
    )
    np.savez(path, **arrays)
    result = scored()
    assert (result.cached_queries, result.usage["pairs"]) == (8, 2 * 2.0 + 1)
    assert result.usage["tokens"] == result.usage["calls"] == 0
    assert "6 amounts of tokens or the like cannot be true" in worded(result.notes[0])


@pytest.mark.parametrize("amount", [10**30, 1e30, -1, float("nan"), float("inf"), "3", True, None])
def test_an_impossible_usage_is_refused_where_it_is_reported(amount: Any) -> None:
    with pytest.raises(RerankerError, match="impossible usage: tokens"):
        Usage(tokens=amount)
    assert Usage(tokens=cast(int, np.int64(3))) + Usage(tokens=4) == Usage(tokens=7)


def test_of_two_files_the_one_written_later_counts_whatever_their_times(tmp_path: Path) -> None:
    """As after a copy of the cache, which gives all files one time: then a name would decide."""
    for names in (("a", "b"), ("a", "c"), ("a", "d"), ("a", "e")):
        root = tmp_path / "".join(names)
        ScoreCache({"x": 1}, root=root).put({"a": np.array([1.0]), names[1]: np.array([1.0])}, {})
        ScoreCache({"x": 1}, fresh=True, root=root).put({"a": np.array([2.0])}, {})
        for file in root.rglob("*.npz"):
            os.utime(file, (1_700_000_000, 1_700_000_000))
        scores = ScoreCache({"x": 1}, root=root).get("a")
        assert scores is not None
        assert scores.tolist() == [2.0]


def test_fingerprints_that_differ_in_the_middle_of_an_array_are_two(tmp_path: Path) -> None:
    """The text of a large array leaves its middle out."""
    weights = np.zeros(5000)
    other = weights.copy()
    other[2500] = 1.0
    folders = {
        ScoreCache({"backend": "own", "weights": array}, root=tmp_path).folder
        for array in (weights, other, weights.copy())
    }
    assert len(folders) == 2
