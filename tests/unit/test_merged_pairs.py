"""Merged pairs answer as their chunk files do, which decide: where a merged file is damaged, gone
or out of date, nothing is lost and nothing wrong is answered.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.contract.scored import Scored
from bench.core.cache_dir import DAMAGED
from bench.core.note import Code
from bench.rerankers.description import identified
from bench.scoring import merged_folder
from bench.scoring.cache import ScoreCache
from bench.scoring.chunk_file import DamagedFile
from bench.scoring.engine import score
from bench.scoring.merged_pairs import MergedPairs
from tests.support.fakes import FakeOptions, HashReranker
from tests.support.made_requests import requests
from tests.support.notes import noted

QUERIES, FILES = 20, 10
FINGERPRINT = {"backend": "of a test"}
HALVES = [1, 2, 2**63, 2**63 + 1]
"""Keys of which many share a half, in two buckets."""
PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=4)
CHUNKS = st.lists(st.lists(PAIRS, min_size=1, max_size=3), min_size=1, max_size=8)


@pytest.fixture(autouse=True)
def few_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANK_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(merged_folder, "FEWEST_FILES", 3)


def scored(**more: Any) -> Scored:
    lists = requests(QUERIES, docs=5)
    return score(HashReranker(FakeOptions()), lists, chunk_pairs=10, **more)


def folder() -> Path:
    return ScoreCache(identified(HashReranker(FakeOptions())), fresh=True).folder


def merged() -> list[Path]:
    return sorted(folder().glob("*.merged"))


def assert_same(one: Scored, other: Scored) -> None:
    for query_id, values in one.scores.items():
        assert values.tobytes() == other.scores[query_id].tobytes()
    assert (one.usage, one.usage_by_query) == (other.usage, other.usage_by_query)


def test_many_files_are_merged_and_answer_from_the_disk() -> None:
    first = scored()
    assert len(list(folder().glob("*.npz"))) == FILES
    assert_same(scored(), first)
    [path] = merged()
    cache = ScoreCache(identified(HashReranker(FakeOptions())), by_pair=True)
    assert (len(cache), cache.problems) == (0, [])
    again = scored()
    assert_same(again, first)
    assert (again.cached_queries, again.notes) == (QUERIES, [])
    assert merged() == [path]


def keys(pairs: list[tuple[int, int]]) -> np.ndarray:
    return np.array([(HALVES[high], low) for high, low in pairs], dtype=np.uint64).reshape(-1, 2)


@settings(max_examples=25, deadline=None)
@given(CHUNKS, st.sets(st.integers(0, 7)), st.sets(st.integers(0, 7)))
def test_merged_files_answer_as_a_dictionary_does(
    tmp_path_factory: pytest.TempPathFactory,
    chunks: list[list[list[tuple[int, int]]]],
    openings: set[int],
    removals: set[int],
) -> None:
    """Written and merged in steps: the newest chunk that is there counts, and the first of its
    lists.
    """
    root = tmp_path_factory.mktemp("root")
    known: dict[tuple[int, int], float] = {}
    number = 0.0
    for place, lists in enumerate(chunks):
        scores: dict[str, np.ndarray] = {}
        for order, pairs in enumerate(lists):
            number += 10
            scores[f"{place} {order}"] = number + np.arange(len(pairs))
        by_list = {key: keys(pairs) for key, pairs in zip(scores, lists, strict=True)}
        path = ScoreCache(FINGERPRINT, fresh=True, root=root).put(scores, {}, pairs=by_list)
        assert path is not None
        if place in removals and place + 1 in openings:
            path.unlink()
            continue
        of_chunk: dict[tuple[int, int], float] = {}
        for key, pairs in zip(scores, lists, strict=True):
            for pair, value in zip(pairs, scores[key].tolist(), strict=True):
                of_chunk.setdefault(pair, value)
        known |= of_chunk
        if place in openings:
            ScoreCache(FINGERPRINT, root=root, by_pair=True)
    cache = ScoreCache(FINGERPRINT, root=root, by_pair=True)
    assert cache.by_pair is not None
    everything = [(high, low) for high in range(4) for low in range(3)]
    rows = cache.by_pair.table.find(keys(everything))
    expected = [known.get(pair, np.nan) for pair in everything]
    np.testing.assert_array_equal(rows.scores, expected)


def test_a_flip_of_any_bit_of_a_merged_file_is_found(tmp_path: Path) -> None:
    for place in range(3):
        pairs = keys([(place, 0), (3 - place, 1)])
        cache = ScoreCache(FINGERPRINT, fresh=True, root=tmp_path)
        cache.put({f"k{place}": np.arange(2.0)}, {"tokens": 1.0}, pairs={f"k{place}": pairs})
    cache = ScoreCache(FINGERPRINT, root=tmp_path, by_pair=True)
    [path] = cache.folder.glob("*.merged")
    data = path.read_bytes()
    everything = keys([(high, low) for high in range(4) for low in range(2)])
    assert (MergedPairs(path).find(everything).slots >= 0).sum() == 6
    for bit in range(0, 8 * len(data), 5):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises(DamagedFile):
            MergedPairs(path).find(everything)


@pytest.mark.parametrize("kind", ["cut", "empty", "folder", "pipe", "row"])
def test_a_damaged_merged_file_is_renamed_and_costs_no_score(kind: str) -> None:
    first = scored()
    scored()
    [path] = merged()
    data = path.read_bytes()
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        # a row is looked at when it is asked for
        contents = {"cut": data[:-1], "empty": b"", "row": b"x" + data[1:]}
        path.write_bytes(contents[kind])
    again = scored()
    assert (again.cached_queries, again.computed_queries) == (QUERIES, 0)
    assert noted(again.notes, Code.CACHE_DAMAGED).count == 1
    assert_same(again, first)
    assert path.with_name(path.name + DAMAGED).exists()
    assert scored().notes == []
    assert len(merged()) == 1, "made again"


def test_a_chunk_file_that_changed_or_is_gone_decides() -> None:
    first = scored()
    scored()
    gone, cut, *_ = sorted(folder().glob("*.npz"))
    gone.unlink()
    cut.write_bytes(cut.read_bytes()[:40])
    again = scored()
    assert again.computed_queries == 4
    assert noted(again.notes, Code.CACHE_DAMAGED).count == 1
    assert_same(again, first)


def test_newer_scores_count_next_to_merged_ones() -> None:
    scored()
    scored()
    assert len(merged()) == 1
    lists = requests(QUERIES, docs=5)

    class Changed(HashReranker):
        __module__, __qualname__ = HashReranker.__module__, HashReranker.__qualname__

        def score(self, pairs: Any) -> Any:
            return np.full(len(pairs), 7.0)

    score(Changed(FakeOptions()), lists[:3], chunk_pairs=15, fresh=True)
    again = scored()
    assert again.cached_queries == QUERIES
    assert {float(value) for name in ("q0", "q2") for value in again.scores[name]} == {7.0}
    assert again.scores["q3"].tolist() == scored().scores["q3"].tolist()
    assert 7.0 not in again.scores["q3"]


def test_where_no_file_can_be_written_scores_are_read_as_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = scored()

    def refuse(*arguments: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(merged_folder, "write", refuse)
    again = scored()
    assert (again.cached_queries, again.notes, merged()) == (QUERIES, [], [])
    assert_same(again, first)


def die(*arguments: object, **options: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def score_until(name: str) -> None:
    pytest.MonkeyPatch().setattr(name, die)
    scored()


@pytest.mark.parametrize(
    ("name", "files"),
    [("bench.scoring.merging.crc32", 1), ("os.replace", 1), ("pathlib.Path.unlink", 2)],
    ids=["half written", "not renamed", "next to the one that it replaces"],
)
def test_a_kill_during_merging_loses_no_score_and_counts_none_twice(name: str, files: int) -> None:
    def score_some(number: int) -> None:
        score(HashReranker(FakeOptions()), requests(number, docs=5), chunk_pairs=10)

    score_some(12)
    score_some(12)
    [before] = merged()
    first = scored()
    process = multiprocessing.get_context("fork").Process(target=score_until, args=(name,))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert before in merged()
    assert len(merged()) == files
    remains = list(folder().glob(".*.tmp"))
    assert len(remains) == 2 - files
    scored()
    assert list(folder().glob(".*.tmp")) == remains, "of a process that may be at work on it"
    for path in remains:
        os.utime(path, (0, 0))
    for _ in range(2):
        again = scored()
        assert (again.computed_queries, again.notes) == (0, [])
        assert_same(again, first)
        # what is merged next
        score_some(QUERIES + 10)
    assert len(merged()) == 1
    assert list(folder().glob(".*.tmp")) == []
