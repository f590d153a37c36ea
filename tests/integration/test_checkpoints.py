"""Checkpoints as they circulate: old ones are read without running their code, broken ones are one
line and cost their own row alone.
"""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import bench
from bench import rerankers
from bench.catalogue import entries
from bench.contract.request import CandidateList
from bench.core.errors import BenchError, RerankerError
from bench.models import checkpoint, hub, tiny
from tests.support import fake_hub, tiny_models
from tests.support.agreement import close

QUERY = "how long does it rain"
REQUEST = CandidateList("q", QUERY, ["a", "b"], ["the sun", "hot tea and the moon sat on the mat"])
OPTIONS: dict[str, dict[str, Any]] = {"llm": {"token_true": "yes", "token_false": "no"}}
BACKENDS = ("cross-encoder", "bi-encoder", "late-interaction", "monot5", "llm")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one whole model for each backend."""
    folder = tmp_path_factory.mktemp("sources")
    tiny_models.bert_cross_encoder(folder / "cross-encoder")
    tiny_models.bi_encoder(folder / "bi-encoder")
    tiny.late_interaction(folder / "late-interaction", max_length=64)
    tiny_models.t5(folder / "monot5")
    tiny_models.qwen3(folder / "llm", max_length=512, chat_template=tiny.CHAT_TEMPLATE)
    return folder


def loaded(folder: Path, backend: str) -> Any:
    reranker = rerankers.build(backend, {"model": str(folder), **OPTIONS.get(backend, {})})
    reranker.check()
    reranker.fingerprint()
    reranker.load()
    return reranker


def scores_of(reranker: Any) -> list[float]:
    [scores] = reranker.rerank([REQUEST])
    return [float(score) for score in scores]


def state_of(folder: Path) -> dict[str, Any]:
    """The weights of the folder's network, taken out of it."""
    state: dict[str, Any] = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    return state


class Code:
    """What runs a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


def pickled(folder: Path) -> None:
    torch.save(state_of(folder), folder / "pytorch_model.bin")


def pickled_in_the_old_way(folder: Path) -> None:
    torch.save(state_of(folder), folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)


def pickled_in_parts(folder: Path) -> None:
    state = state_of(folder)
    parts: dict[str, dict[str, Any]] = {
        "pytorch_model-00001-of-00002.bin": {},
        "pytorch_model-00002-of-00002.bin": {},
    }
    for number, (name, tensor) in enumerate(sorted(state.items())):
        list(parts.values())[number % 2][name] = tensor
    for file, tensors in parts.items():
        torch.save(tensors, folder / file)
    weight_map = {name: file for file, tensors in parts.items() for name in tensors}
    (folder / "pytorch_model.bin.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": weight_map})
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("change", [pickled, pickled_in_the_old_way, pickled_in_parts])
def test_pickled_weights_score_as_the_same_in_safetensors(
    sources: Path, tmp_path: Path, backend: str, change: Callable[[Path], None]
) -> None:
    folder = Path(shutil.copytree(sources / backend, tmp_path / "model"))
    change(folder)
    close(scores_of(loaded(folder, backend)), scores_of(loaded(sources / backend, backend)))


def test_a_tokenizer_that_is_a_sentencepiece_file_alone_is_read(tmp_path: Path) -> None:
    """As castorini's monoT5 of 2021 and mT5 checkpoints have it."""
    sentencepiece = pytest.importorskip("sentencepiece")
    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(
            [f"{QUERY} {' '.join(REQUEST.docs)} Query: Document: Relevant:"] * 50
        ),
        model_writer=trained,
        vocab_size=80,
        hard_vocab_limit=False,
        user_defined_symbols=["▁true", "▁false"],
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    folder = tiny_models.t5(tmp_path / "model")
    no_tokenizer(folder)
    (folder / "spiece.model").write_bytes(trained.getvalue())
    tiny_models.edit_json(folder / "config.json", vocab_size=400)
    state = state_of(folder)
    tokens = len(tiny_models.t5_tokenizer())
    rows = {
        name: torch.cat([tensor] * 3)[:400].clone()
        for name, tensor in state.items()
        if len(tensor) == tokens
    }
    save_file(state | rows, folder / "model.safetensors", metadata={"format": "pt"})
    assert len(set(scores_of(loaded(folder, "monot5")))) == 2


def test_other_pickled_weights_are_another_identity(sources: Path, tmp_path: Path) -> None:
    identities = []
    for seed in (0, 1):
        folder = tiny_models.bert_cross_encoder(tmp_path / f"seed-{seed}", seed=seed)
        pickled(folder)
        (folder / "training_args.bin").write_bytes(
            b"whatever stands next to the weights is not read"
        )
        identities.append(rerankers.build("cross-encoder", str(folder)).fingerprint()["revision"])
    assert identities[0] != identities[1]


def with_code(folder: Path) -> None:
    torch.save({**state_of(folder), "extra": Code(folder / "ran")}, folder / "pytorch_model.bin")


def a_part_missing(folder: Path) -> None:
    pickled_in_parts(folder)
    (folder / "pytorch_model-00002-of-00002.bin").unlink()


def no_tokenizer(folder: Path) -> None:
    for path in (*folder.glob("tokenizer*"), *folder.glob("vocab*")):
        path.unlink()


def another_tokenizer(folder: Path) -> None:
    """The same network with a table of 20 embeddings."""
    tiny_models.edit_json(folder / "config.json", vocab_size=20)
    state = state_of(folder)
    tables = [
        name
        for name in state
        if name.endswith(
            ("embeddings.weight", "embed_tokens.weight", "shared.weight", "lm_head.weight")
        )
    ]
    state |= {
        name: state[name][:20].clone()
        for name in tables
        if "position" not in name and "token_type" not in name
    }
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def git_lfs_pointer(folder: Path) -> None:
    (folder / "model.safetensors").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n"
    )


def half_a_file(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


def half_precision_variant(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model.fp16.safetensors")


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "flax_model.msgpack")


def no_configuration(folder: Path) -> None:
    (folder / "config.json").unlink()


REFUSED: dict[Callable[[Path], None], str] = {
    with_code: "pickled weights hold more than tensors",
    a_part_missing: "pytorch_model-00002-of-00002.bin",
    no_tokenizer: "no tokenizer in it",
    another_tokenizer: "they belong to different models",
    git_lfs_pointer: "model.safetensors only points to the weights; fetch them with `git lfs pull`",
    half_a_file: "is not a whole safetensors file",
    half_precision_variant: "no file named model.safetensors",
    no_weights: r"no weights in it \(\*.safetensors or pytorch_model\*.bin\), only "
    r"flax_model.msgpack",
    no_configuration: "config.json",
}


@pytest.mark.parametrize("backend", ["cross-encoder", "bi-encoder", "monot5", "llm"])
@pytest.mark.parametrize("change", REFUSED)
def test_a_broken_checkpoint_is_one_line(
    sources: Path, tmp_path: Path, backend: str, change: Callable[[Path], None]
) -> None:
    folder = Path(shutil.copytree(sources / backend, tmp_path / "model"))
    change(folder)
    with pytest.raises(RerankerError, match=REFUSED[change]) as caught:
        loaded(folder, backend)
    assert "\n" not in str(caught.value)
    assert not (folder / "ran").exists()


def test_weights_without_numbers_give_no_scores(
    sources: Path, tmp_path: Path, collection: Path
) -> None:
    folder = Path(shutil.copytree(sources / "cross-encoder", tmp_path / "model"))
    state = state_of(folder)
    name = next(name for name in state if name.endswith("word_embeddings.weight"))
    state[name] = torch.full_like(state[name], float("nan"))
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    status = run(collection, tmp_path, {"cross-encoder": {"model": str(folder), "name": "broken"}})[
        "broken"
    ]
    assert status[0] == "failed"
    assert "is not finite" in status[1]


def run(collection: Path, tmp_path: Path, *rows: Any) -> dict[str, tuple[str, str]]:
    """Reranker -> its status and the reason."""
    suite = {
        "name": "odd",
        "datasets": [f"files:{collection}"],
        "rerankers": ["word-overlap", *rows],
        "depth": 4,
        "latency": None,
    }
    found = bench.run(suite, out=tmp_path / "results", device="cpu")
    return {
        status.trial.reranker: (status.status, status.reason or "") for status in found.info.trials
    }


def test_a_refused_checkpoint_fails_alone(sources: Path, tmp_path: Path, collection: Path) -> None:
    folder = Path(shutil.copytree(sources / "cross-encoder", tmp_path / "model"))
    no_tokenizer(folder)
    finished_run = run(
        collection, tmp_path, {"cross-encoder": {"model": str(folder), "name": "broken"}}
    )
    assert finished_run["word-overlap"][0] == "done"
    assert finished_run["broken"][0] == "failed"
    assert "no tokenizer in it" in finished_run["broken"][1]


def test_what_weights_lack_is_asked_once_and_of_other_weights_anew(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has checked them before they load."""
    folder = shutil.copytree(sources / "cross-encoder", tmp_path / "model")
    rerankers.build("cross-encoder", str(folder)).load()
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_missing", lambda *_: pytest.fail("asked again"))
        rerankers.build("cross-encoder", str(folder)).load()
    file = folder / "model.safetensors"
    tensors = load_file(file)
    headless = {name: tensors[name] for name in tensors if not name.startswith("classifier")}
    save_file(headless, file, metadata={"format": "pt"})
    with pytest.raises(RerankerError, match="classifier"):
        rerankers.build("cross-encoder", str(folder)).load()


def test_where_every_reranker_is_refused_nothing_is_run(
    sources: Path, tmp_path: Path, collection: Path
) -> None:
    folder = Path(shutil.copytree(sources / "cross-encoder", tmp_path / "model"))
    no_tokenizer(folder)
    row = {"cross-encoder": {"model": str(folder), "name": "broken"}}
    suite = {
        "name": "odd",
        "datasets": [f"files:{collection}"],
        "rerankers": [row],
        "depth": 4,
        "latency": None,
    }
    with pytest.raises(BenchError, match=r"reranker 'broken': .*no tokenizer in it"):
        bench.run(suite, out=tmp_path / "results", device="cpu")
    assert not (tmp_path / "results").exists()


# --- the hub


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    from huggingface_hub import constants

    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(tmp_path / "cache"))
    for answers in (hub.commit, hub._answers):
        answers.cache_clear()
    with fake_hub.serve() as found:
        monkeypatch.setattr(constants, "ENDPOINT", found.url)
        monkeypatch.setattr(
            constants,
            "HUGGINGFACE_CO_URL_TEMPLATE",
            found.url + "/{repo_id}/resolve/{revision}/{filename}",
        )
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield found
    for answers in (hub.commit, hub._answers):
        answers.cache_clear()


@pytest.mark.parametrize("change", [pickled, pickled_in_parts])
def test_a_hub_model_with_pickled_weights_alone_is_fetched_and_scored(
    sources: Path, tmp_path: Path, served: Any, change: Callable[[Path], None]
) -> None:
    folder = Path(shutil.copytree(sources / "monot5", tmp_path / "model"))
    change(folder)
    served.models["owner/old"] = folder
    reranker = rerankers.build("monot5", "owner/old")
    reranker.check()
    reranker.load()
    close(scores_of(reranker), scores_of(loaded(sources / "monot5", "monot5")))
    assert hub.cached("owner/old", fake_hub.COMMIT) is not None


def test_pickled_weights_are_not_fetched_where_there_are_others(
    sources: Path, tmp_path: Path, served: Any
) -> None:
    folder = Path(shutil.copytree(sources / "monot5", tmp_path / "model"))
    torch.save({}, folder / "pytorch_model.bin")
    (folder / "optimizer.bin").write_bytes(b"x")
    served.models["owner/both"] = folder
    reranker = rerankers.build("monot5", "owner/both")
    reranker.load()
    assert not [path for path in served.paths if path.endswith(".bin")]


def test_the_catalogues_older_models_are_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "monot5-base",
        "monot5-large",
        "monot5-3b",
        "mt5-base-mmarco-v2",
        "mt5-base-en-msmarco",
    ):
        assert entries.load()[name].options["revision"]


def test_prices_say_whether_they_are_the_vendors() -> None:
    for name, entry in entries.load().items():
        price = entry.facts.price
        if price is not None:
            assert price.vendor == ("mixedbread.com" in price.url), name
            assert (price.source == price.url) == price.vendor


def test_half_precision_weights_are_read_as_what_the_suite_asks_for(
    sources: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(sources / "cross-encoder", tmp_path / "model"))
    state = {name: tensor.half() for name, tensor in state_of(folder).items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    reranker = loaded(folder, "cross-encoder")
    assert reranker.describe().identity["dtype"] == "float32"
    assert np.isfinite(scores_of(reranker)).all()


def empty_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def broken_configuration(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def unknown_kind(folder: Path) -> None:
    tiny_models.edit_json(folder / "config.json", model_type="no-such-kind")


def two_labels(folder: Path) -> None:
    tiny_models.edit_json(folder / "config.json", id2label={"0": "a", "1": "b"})


def without_head(folder: Path) -> None:
    state = {
        name: values
        for name, values in state_of(folder).items()
        if not name.startswith("classifier")
    }
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (empty_weights, "model.safetensors is not a whole safetensors file"),
        (half_a_file, "model.safetensors is not a whole safetensors file"),
        (no_configuration, "no config.json in it"),
        (broken_configuration, "config.json cannot be read"),
        (unknown_kind, "has no model_type 'no-such-kind'"),
        (two_labels, r"its head has 2 labels \(0: a, 1: b\)"),
        (without_head, "no trained classification head in its weights"),
    ],
)
def test_what_files_show_is_refused_before_anything_is_loaded(
    sources: Path, tmp_path: Path, change: Any, problem: str
) -> None:
    folder = Path(shutil.copytree(sources / "cross-encoder", tmp_path / "model"))
    rerankers.build("cross-encoder", {"model": str(folder)}).check()
    change(folder)
    with pytest.raises(RerankerError, match=problem):
        rerankers.build("cross-encoder", {"model": str(folder)}).check()


def test_a_length_beyond_the_positions_is_refused_before_anything_is_loaded(sources: Path) -> None:
    with pytest.raises(RerankerError, match="max_length 65 is more than the 64 positions"):
        rerankers.build(
            "cross-encoder", {"model": str(sources / "cross-encoder"), "max_length": 65}
        ).check()


@pytest.mark.parametrize("backend", BACKENDS)
def test_whole_models_pass(sources: Path, backend: str) -> None:
    rerankers.build(backend, {"model": str(sources / backend), **OPTIONS.get(backend, {})}).check()
