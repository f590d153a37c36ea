"""Hub models: the local cache goes first, commits are resolved once, and every refusal is one
line.
"""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from bench import rerankers
from bench.contract.request import CandidateList
from bench.core.errors import RerankerError, Unavailable
from bench.models import hub
from tests.support import tiny_models
from tests.support.fake_hub import COMMIT, FakeHub, serve

PINNED = "f" * 40


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    hub.commit.cache_clear()
    hub._answers.cache_clear()


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """The hub is a server of this test."""
    with serve() as fake:
        monkeypatch.setattr(constants, "ENDPOINT", fake.url)
        monkeypatch.setattr(
            constants,
            "HUGGINGFACE_CO_URL_TEMPLATE",
            fake.url + "/{repo_id}/resolve/{revision}/{filename}",
        )
        yield fake


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No hub: nothing listens there."""
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")


def keep_in_cache(folder: Path, cache: Path, commit: str, branch: str | None = "main") -> None:
    """Lay a model into a hub cache as the hub library does."""
    repository = cache / "models--owner--model"
    shutil.copytree(folder, repository / "snapshots" / commit)
    if branch:
        (repository / "refs").mkdir(exist_ok=True)
        (repository / "refs" / branch).write_text(commit)


def check_and_load(reranker: Any) -> None:
    reranker.check()
    reranker.fingerprint()
    reranker.load()


def score(reranker: Any) -> float:
    (scores,) = reranker.rerank([CandidateList("q", "cat", ["a"], ["the cat sat"])])
    return float(scores[0])


def test_a_cached_model_runs_without_a_network(tmp_path: Path, offline: None) -> None:
    folder = tiny_models.bert_cross_encoder(tmp_path / "model")
    keep_in_cache(folder, tmp_path / "cache", COMMIT)
    reranker = rerankers.build("cross-encoder", "owner/model")
    reranker.check()
    assert reranker.fingerprint()["revision"] == COMMIT
    reranker.load()
    local = rerankers.build("cross-encoder", str(folder))
    local.load()
    assert score(reranker) == score(local)
    assert reranker.describe().identity["revision"] == COMMIT
    assert reranker.describe().facts["source"] == "owner/model"


def test_a_pinned_commit_is_not_answered_by_another_one(tmp_path: Path, offline: None) -> None:
    keep_in_cache(tiny_models.bert_cross_encoder(tmp_path / "model"), tmp_path / "cache", COMMIT)
    with pytest.raises(Unavailable, match="no model hub"):
        rerankers.build("cross-encoder", {"model": "owner/model", "revision": PINNED}).check()
    assert hub.commit("owner/model", None) == COMMIT


@pytest.mark.parametrize("lost", ["model.safetensors", "tokenizer*", "config.json"])
def test_half_a_model_in_the_cache_is_none(tmp_path: Path, offline: None, lost: str) -> None:
    folder = tiny_models.bert_cross_encoder(tmp_path / "model")
    for path in folder.glob(lost):
        path.unlink()
    keep_in_cache(folder, tmp_path / "cache", COMMIT)
    with pytest.raises(Unavailable) as caught:
        rerankers.build("cross-encoder", "owner/model").check()
    assert caught.value.reason == "no model hub"
    assert "http://127.0.0.1:9 does not answer" in caught.value.fix


def test_offline_mode_is_respected(
    tmp_path: Path, served: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(Unavailable, match="HF_HUB_OFFLINE is set"):
        rerankers.build("cross-encoder", "owner/model").check()
    assert served.paths == []


def test_the_hub_is_asked_once_and_not_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(
        ("127.0.0.1", 0)
    ) as silent:  # takes connections and never says a word
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setattr(hub, "PROBE_SECONDS", 0.3)
        for model in ("owner/one", "owner/two"):
            with pytest.raises(Unavailable, match="does not answer"):
                rerankers.build("cross-encoder", model).check()
        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):  # no second connection was made
            silent.accept()


def test_a_model_is_fetched_at_the_commit_that_the_branch_names(
    tmp_path: Path, served: FakeHub
) -> None:
    served.models["owner/model"] = tiny_models.bert_cross_encoder(tmp_path / "model")
    reranker = rerankers.build("cross-encoder", "owner/model")
    reranker.check()
    assert reranker.fingerprint()["revision"] == COMMIT
    reranker.load()
    assert reranker.describe().identity["revision"] == COMMIT
    files = [path for path in served.paths if "/resolve/" in path]
    assert files
    assert all(f"/resolve/{COMMIT}/" in path for path in files)
    seen = len(served.paths)
    again = rerankers.build("cross-encoder", {"model": "owner/model", "revision": COMMIT})
    again.check()
    again.load()
    assert score(again) == score(reranker)
    assert len(served.paths) == seen, "the second load comes from the cache"


@pytest.mark.parametrize(
    ("model", "revision", "refuse", "error", "message"),
    [
        (
            "owner/nothing",
            None,
            {},
            RerankerError,
            "owner/nothing: no such model on the hub, or a private one",
        ),
        ("owner/model", "v9", {}, RerankerError, "owner/model: the hub has no revision 'v9' of it"),
        (
            "owner/model",
            None,
            {"/owner/model/resolve": (403, "GatedRepo")},
            Unavailable,
            "gated model. accept the terms of owner/model",
        ),
        ("owner/bare", None, {}, RerankerError, r"owner/bare: no weights in it"),
        ("owner/model", None, {"/api": (500, "")}, RerankerError, "owner/model: "),
    ],
)
def test_what_the_hub_refuses_is_one_line(
    tmp_path: Path,
    served: FakeHub,
    model: str,
    revision: str | None,
    refuse: Any,
    error: type[Exception],
    message: str,
) -> None:
    served.models["owner/model"] = tiny_models.bert_cross_encoder(tmp_path / "model")
    served.models["owner/bare"] = tiny_models.bert_cross_encoder(tmp_path / "bare")
    (tmp_path / "bare" / "model.safetensors").unlink()
    served.refuse = refuse
    reranker = rerankers.build("cross-encoder", {"model": model, "revision": revision})
    with pytest.raises(error, match=message) as caught:
        check_and_load(reranker)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("spec", ["./nowhere", "nowhere", "a/b/c", "/no/such/folder"])
def test_what_is_neither_folder_nor_hub_id(spec: str, offline: None) -> None:
    with pytest.raises(Unavailable, match="no such model folder"):
        rerankers.build("bi-encoder", spec).check()


def test_a_file_is_not_a_model_folder(tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"")
    with pytest.raises(RerankerError, match="give the model's folder"):
        rerankers.build("bi-encoder", "weights.safetensors", base_dir=tmp_path).check()
