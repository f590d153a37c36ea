"""What `validate` sees of weights on this machine: pickled ones, the hub's cache, and positions
that begin after the padding token's.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from bench import rerankers
from bench.core.errors import RerankerError
from bench.models import headers, hub
from tests.support import tiny_models

WEIGHTS = "model.safetensors"
PICKLED = "pytorch_model.bin"


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.classifier(tmp_path_factory.mktemp("models") / "bert", "Bert")


def check(folder: Path | str, **options: Any) -> None:
    rerankers.build("cross-encoder", {"model": str(folder), **options}).check()


def pickled(source: Path, folder: Path, *, without: str = "nothing", legacy: bool = False) -> Path:
    """A copy of a model with its weights as torch saves them."""
    shutil.copytree(source, folder)
    state = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    state = {name: values for name, values in state.items() if not name.startswith(without)}
    torch.save(state, folder / PICKLED, _use_new_zipfile_serialization=not legacy)
    return folder


@pytest.mark.parametrize("legacy", [False, True])
def test_pickled_weights_that_are_complete_pass(
    encoder: Path, tmp_path: Path, legacy: bool
) -> None:
    check(pickled(encoder, tmp_path / "model", legacy=legacy))


def test_shapes_of_pickled_weights_are_those_of_safetensors(encoder: Path, tmp_path: Path) -> None:
    folder = pickled(encoder, tmp_path / "model")
    assert headers.tensors("m", folder) == headers.tensors("m", encoder)


def test_pickled_weights_without_a_head_are_refused(encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(RerankerError, match="no trained classification head"):
        check(pickled(encoder, tmp_path / "model", without="classifier"))


def test_a_length_beyond_the_positions_of_pickled_weights_is_refused(
    encoder: Path, tmp_path: Path
) -> None:
    folder = pickled(encoder, tmp_path / "model")
    limit = headers.positions({}, headers.tensors("m", encoder))
    assert limit is not None
    check(folder, max_length=limit)
    with pytest.raises(RerankerError, match=f"is more than the {limit} positions"):
        check(folder, max_length=limit + 1)


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def with_code(path: Path) -> None:
    torch.save({"a": Harmful()}, path)


class Harmful:
    def __reduce__(self) -> tuple[Callable[[str], Any], tuple[str]]:
        return pytest.fail, ("code in a file of weights ran",)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (half, "pytorch_model.bin is not a whole PyTorch file; copy or download it again"),
        (lambda path: path.write_bytes(b""), "pytorch_model.bin is not a whole PyTorch file"),
        (with_code, "its pickled weights hold more than tensors"),
    ],
)
def test_pickled_weights_that_are_damaged_or_hold_code_are_refused(
    encoder: Path, tmp_path: Path, damage: Callable[[Path], Any], problem: str
) -> None:
    folder = pickled(encoder, tmp_path / "model")
    damage(folder / PICKLED)
    with pytest.raises(RerankerError, match=problem):
        check(folder)


@pytest.mark.parametrize(
    ("config", "limit"),
    [
        ({"model_type": "bert", "pad_token_id": 0}, 514),
        ({"model_type": "roberta", "pad_token_id": 1}, 512),
        ({"model_type": "xlm-roberta"}, 512),
        ({"model_type": "xlm-roberta", "pad_token_id": 0}, 513),
        ({"model_type": "mpnet", "pad_token_id": 0}, 512),
    ],
)
def test_positions_of_the_roberta_family_begin_after_the_padding(
    config: dict[str, Any], limit: int
) -> None:
    shapes = {"x.embeddings.position_embeddings.weight": (514, 8), "other": (3, 3)}
    assert headers.positions(config, shapes) == limit
    assert headers.positions(config, {"other": (3, 3)}) is None


@pytest.mark.parametrize("kind", ["Roberta", "XLMRoberta"])
def test_the_length_that_validate_allows_is_the_one_that_loads(tmp_path: Path, kind: str) -> None:
    folder = tiny_models.classifier(tmp_path / kind, kind)
    values = headers.config("m", folder)
    assert values is not None
    limit = headers.positions(values, headers.tensors("m", folder))
    assert limit is not None
    reranker = rerankers.build("cross-encoder", {"model": str(folder), "max_length": limit})
    reranker.check()
    reranker.load()
    reranker.close()
    with pytest.raises(RerankerError, match=f"is more than the {limit} positions"):
        check(folder, max_length=limit + 1)
    with pytest.raises(RerankerError, match=f"is more than the {limit} positions"):
        rerankers.build("cross-encoder", {"model": str(folder), "max_length": limit + 1}).load()


COMMIT = "a" * 40


@pytest.fixture
def cache(encoder: Path, tmp_path: Path) -> Path:
    """A model as the hub's cache keeps it: files as blobs, and links to them by commit."""
    model = tmp_path / "hub" / "models--owner--name"
    copy = model / "snapshots" / COMMIT
    copy.mkdir(parents=True)
    (model / "blobs").mkdir()
    for number, path in enumerate(sorted(encoder.iterdir())):
        blob = model / "blobs" / f"{number:040x}"
        shutil.copy(path, blob)
        (copy / path.name).symlink_to(Path("..") / ".." / "blobs" / blob.name)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text(COMMIT)
    return model


def test_a_folder_of_the_hubs_cache_is_the_model_that_main_names(cache: Path) -> None:
    assert hub.snapshot(cache) == cache / "snapshots" / COMMIT
    (cache / "snapshots" / ("b" * 40)).mkdir()
    check(cache)
    (cache / "refs" / "main").unlink()
    with pytest.raises(RerankerError, match="2 commits of a model; give one of them, such as snap"):
        check(cache)
    shutil.rmtree(cache / "snapshots" / ("b" * 40))
    check(cache)
    check(cache / "snapshots" / COMMIT)
    shutil.rmtree(cache / "snapshots" / COMMIT)
    with pytest.raises(RerankerError, match="a folder of the hub's cache that holds no model"):
        check(cache)


@pytest.mark.parametrize("by_id", [True, False])
def test_weights_in_the_hubs_cache_are_looked_at(
    cache: Path, monkeypatch: pytest.MonkeyPatch, by_id: bool
) -> None:
    monkeypatch.setattr(hub, "cache_folder", lambda: str(cache.parent))
    spec = "owner/name" if by_id else str(cache)
    check(spec)
    with pytest.raises(RerankerError, match="is more than the"):
        check(spec, max_length=100_000)
    blob = (cache / "snapshots" / COMMIT / WEIGHTS).resolve()
    half(blob)
    with pytest.raises(RerankerError, match="is not a whole safetensors file"):
        check(spec)
