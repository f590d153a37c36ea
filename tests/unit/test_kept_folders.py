"""What the cache keeps beside scores (indexes, exported and tiny models): whole, or made again, and
nobody else's is touched.
"""

from __future__ import annotations

import errno
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from safetensors import SafetensorError

from bench import datasets
from bench.core.cache_dir import cache_dir
from bench.core.errors import RerankerError
from bench.core.kept_folder import alone, is_intact, keep
from bench.core.note import Code
from bench.models import tiny
from bench.models.saving import saving
from bench.rerankers.local.runtimes.export import kept
from bench.retrieval import bm25_index
from bench.retrieval.options import BM25Options
from tests.support.notes import counts


def fill(log: Counter[str], folder: Path) -> None:
    log["made"] += 1
    (folder / "model.bin").write_bytes(b"weights")
    (folder / "below").mkdir()
    (folder / "below" / "config.json").write_text("{}")


@pytest.mark.parametrize("name", ["model.bin", "below/config.json", "manifest.sha256"])
def test_a_flip_of_any_bit_is_noticed_and_the_folder_made_again(name: str, tmp_path: Path) -> None:
    folder, log = tmp_path / "kept", Counter[str]()
    keep(folder, partial(fill, log))
    data = (folder / name).read_bytes()
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        (folder / name).unlink()
        (folder / name).write_bytes(flipped)
        assert not is_intact(folder)
    keep(folder, partial(fill, log))
    assert is_intact(folder)
    assert log["made"] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["kept"], (
        "what is damaged and can be made again is not collected"
    )


@pytest.mark.parametrize("damage", ["empty", "folder", "gone", "no manifest", "a list", "cut"])
def test_whatever_else_happened_to_it(damage: str, tmp_path: Path) -> None:
    folder, log = tmp_path / "kept", Counter[str]()
    keep(folder, partial(fill, log))
    if damage in ("empty", "cut"):
        (folder / "model.bin").write_bytes(b"weights"[: 0 if damage == "empty" else 3])
    elif damage in ("folder", "gone"):
        (folder / "model.bin").unlink()
        if damage == "folder":
            (folder / "model.bin").mkdir()
    elif damage == "no manifest":
        (folder / "manifest.sha256").unlink()
    else:
        (folder / "manifest.sha256").write_text('["model.bin"]')
    assert not is_intact(folder)
    keep(folder, partial(fill, log))
    assert is_intact(folder)


def test_a_whole_folder_stays_where_two_processes_make_the_same(tmp_path: Path) -> None:
    folder, log = tmp_path / "kept", Counter[str]()
    keep(folder, partial(fill, log))
    inode = (folder / "model.bin").stat().st_ino
    keep(folder, partial(fill, log))
    assert (folder / "model.bin").stat().st_ino == inode


def test_what_cannot_be_read_is_an_error_and_not_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "kept"
    keep(folder, partial(fill, Counter()))

    def refuse(*arguments: object, **more: object) -> str:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", refuse)
        with pytest.raises(PermissionError):
            is_intact(folder)
    assert is_intact(folder)


def test_a_lock_that_may_not_be_taken_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "kept.lock").mkdir()
    with alone(tmp_path / "kept"):
        pass


def test_an_export_is_made_again_when_it_is_damaged() -> None:
    log: Counter[str] = Counter()

    def make(path: Path) -> None:
        log["made"] += 1
        path.write_bytes(b"graph")

    path = kept({"of": "a model"}, make)
    assert kept({"of": "a model"}, make) == path
    assert log["made"] == 1
    path.unlink()
    path.write_bytes(b"graqh")
    assert kept({"of": "a model"}, make).read_bytes() == b"graph"
    assert log["made"] == 2


def test_an_export_that_cannot_be_kept_is_one_line() -> None:
    cache_dir().rmdir()
    cache_dir().write_text("a file")
    with pytest.raises(RerankerError, match="set RERANK_BENCH_CACHE to a folder of your own"):
        kept({"of": "a model"}, lambda path: None)


def test_a_damaged_tiny_model_is_made_again() -> None:
    pytest.importorskip("transformers")
    folder = tiny.folder("tiny:bert-cross-encoder")
    weights = folder / "model.safetensors"
    data = weights.read_bytes()
    weights.unlink()
    weights.write_bytes(data[: len(data) // 2])
    assert (tiny.folder("tiny:bert-cross-encoder") / "model.safetensors").read_bytes() == data


def test_a_damaged_index_is_built_again_and_one_that_cannot_be_kept_serves_from_memory(
    collection: Path,
) -> None:
    dataset = datasets.load(f"files:{collection}", {}, collection)
    options = BM25Options()
    analyzer = bm25_index.Analyzer(options)
    folder = cache_dir("bm25", "one")
    index, warnings = bm25_index.cached_index(folder, dataset, options, analyzer)
    assert warnings == ()
    expected = index.search(["appl"], 5)
    path = max(folder.iterdir(), key=lambda path: path.stat().st_size)
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[:-1])
    again, warnings = bm25_index.cached_index(folder, dataset, options, analyzer)
    assert (again.search(["appl"], 5), warnings) == (expected, ())
    assert is_intact(folder)
    cache_dir("blocked").write_text("a file")
    index, warnings = bm25_index.cached_index(
        cache_dir("blocked", "below"), dataset, options, analyzer
    )
    assert index.search(["appl"], 5) == expected
    assert list(counts(warnings)) == [Code.INDEX_NOT_KEPT]


@pytest.mark.parametrize(
    "text",
    [
        "[enforce fail at inline_container.cc:672] . unexpected pos 26944 vs 26832",
        "basic_ios::clear: iostream error",
        "PytorchStreamWriter failed writing file data/0: file write failed",
    ],
)
def test_what_torch_says_of_a_full_disk_is_an_error_of_the_system(text: str) -> None:
    """As torch 2.13 said it when a checkpoint was written to a full disk."""
    with pytest.raises(OSError, match="the disk may be full") as problem, saving(Path("here")):
        raise RuntimeError(text)
    assert problem.value.filename == "here"
    other = RuntimeError("the sizes of tensors must match")
    with pytest.raises(RuntimeError, match="must match"), saving(Path("here")):
        raise other


def test_what_safetensors_says_of_a_full_disk_is_an_error_of_the_system() -> None:
    full = SafetensorError("Error while serializing: I/O error: No space left (os error 28)")
    with pytest.raises(OSError, match="No space left") as problem, saving(Path("here")):
        raise full
    assert problem.value.errno == errno.ENOSPC
    other = SafetensorError("Error while deserializing header: header too large")
    with pytest.raises(SafetensorError), saving(Path("here")):
        raise other
