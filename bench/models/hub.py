"""The model hub: what its local cache holds, whether it can be reached, and its errors in one
line.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path, PurePosixPath

from bench.core.errors import BenchError, RerankerError, Unavailable, causes, first_line
from bench.core.json_file import read_json
from bench.core.paths import files_below

PROBE_SECONDS = 3.0
_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_WANTED = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja", "*.py"]
_UNWANTED = ["onnx/*", "openvino/*", "*.fp16.*"]
_TOKENIZERS = ("tokenizer.json", "vocab.*", "*.model", "*.tiktoken", "merges.txt")
_PICKLED = re.compile(r"pytorch_model(-\d+-of-\d+)?\.bin")
_SAFE = re.compile(r"model(-\d+-of-\d+)?\.safetensors")
"""Weights that the libraries load in the place of pickled ones; others, such as an adapter's, leave
these as they are.
"""


def is_id(spec: str) -> bool:
    """Return whether a text has the form of a hub id: owner/name."""
    return _ID.fullmatch(spec) is not None


def check(model: str, revision: str | None) -> None:
    """Raise Unavailable when the model is neither in the local cache nor to be had from the hub
    now.
    """
    if cached(model, revision) is not None:
        return
    problem = unreachable()
    if problem:
        raise Unavailable("no model hub", f"{model} is not in the local cache and {problem}")


def cached(model: str, revision: str | None) -> Path | None:
    """Return the folder of a complete copy (configuration, weights, tokenizer) in the local cache,
    named by its commit, or None.
    """
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(
        model, "config.json", cache_dir=cache_folder(), revision=revision or "main"
    )
    if not isinstance(path, str):
        return None
    folder = Path(path).parent
    if not _has_weights(folder) or not has_tokenizer(folder):
        return None
    return folder


def snapshot(folder: Path) -> Path | None:
    """Return the copy of a model that a folder of the hub's cache (models--OWNER--NAME) holds: that
    of the branch main, else its only one. None for any other folder.

    Raises RerankerError where there is none, or several and none of main.
    """
    copies = folder / "snapshots"
    if not copies.is_dir() or (folder / "config.json").is_file():
        return None
    main = folder / "refs" / "main"
    if main.is_file():
        named = copies / main.read_text(encoding="utf-8").strip()
        if named.is_dir():
            return named
    commits = sorted(path for path in copies.iterdir() if path.is_dir())
    if len(commits) == 1:
        return commits[0]
    if not commits:
        raise RerankerError(f"{folder}: a folder of the hub's cache that holds no model")
    raise RerankerError(
        f"{folder}: {len(commits)} commits of a model; give one of them, such as "
        f"snapshots/{commits[0].name}"
    )


def has_tokenizer(folder: Path) -> bool:
    """Return whether a model's folder holds a tokenizer: at its top, or in a folder of one of its
    modules.
    """
    return any(any(map(path.match, _TOKENIZERS)) for path in files_below(folder))


def is_pickled(name: str) -> bool:
    """Return whether a file name is that of pickled weights, or of a part of them."""
    return _PICKLED.fullmatch(name) is not None


def pickled_weights(paths: Iterable[str]) -> list[str]:
    """Return those of a model's files (paths below its folder) that hold pickled weights and are
    the ones that load: there are none in safetensors next to them.
    """
    files = [PurePosixPath(path) for path in paths]
    safe = {path.parent for path in files if _SAFE.fullmatch(path.name)}
    return [str(path) for path in files if is_pickled(path.name) and path.parent not in safe]


def _has_weights(folder: Path) -> bool:
    """Return whether there are weights, and every part that an index of them names."""
    files = list(files_below(folder))
    for index in files:
        if not (index.name.startswith("model.") and index.name.endswith(".index.json")):
            continue
        with contextlib.suppress(ValueError, OSError, AttributeError, TypeError):
            content = read_json(index)
            parts = set(content.get("weight_map", {}).values())
            if not all((index.parent / part).is_file() for part in parts):
                return False
    return any(path.suffix == ".safetensors" or is_pickled(path.name) for path in files)


def is_stored(model: str, revision: str | None) -> bool:
    """Return whether the local cache seems to hold the model, by the names of folders alone: no
    library is imported, `cached` looks closely.
    """
    home = os.environ.get("HF_HOME") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface"
    )
    folder = Path(
        cache_folder() or os.environ.get("HF_HUB_CACHE") or os.path.join(home, "hub")
    ).expanduser()
    snapshots = folder / f"models--{model.replace('/', '--')}" / "snapshots"
    return (snapshots / (revision or "")).is_dir()


def fetch(model: str, revision: str | None) -> Path:
    """Return the folder of the model at the commit behind `revision`, downloaded when the cache
    lacks it. Raises RerankerError or Unavailable.

    The libraries are given this folder and never the id: by id, transformers asks the hub for
    adapters even where it is to stay local, and waits out its retries where there is no network.
    """
    exact = commit(model, revision)
    folder = cached(model, exact)
    if folder is not None:
        return folder
    from huggingface_hub import HfApi, constants, snapshot_download
    from huggingface_hub.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    had_bars = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        files = HfApi(endpoint=constants.ENDPOINT).list_repo_files(model, revision=exact)
        # pickled weights take as long as all else together: they are fetched only where there are
        # no others
        wanted = [*_WANTED, *map(glob.escape, pickled_weights(files))]
        path = snapshot_download(
            model,
            revision=exact,
            cache_dir=cache_folder(),
            allow_patterns=wanted,
            ignore_patterns=_UNWANTED,
        )
        return Path(path)
    except Exception as error:  # whatever the hub library or its HTTP client raises
        raise explain(error, model, revision) from error
    finally:
        if had_bars:
            enable_progress_bars()


def cache_folder() -> str | None:
    """Return the cache that sentence-transformers uses too; None is the hub library's own."""
    return os.environ.get("SENTENCE_TRANSFORMERS_HOME")


@lru_cache(maxsize=256)
def commit(model: str, revision: str | None) -> str:
    """Return the commit behind a revision: itself, else the local cache's, else the hub's. Raises
    RerankerError or Unavailable.
    """
    if revision and _COMMIT.fullmatch(revision):
        return revision
    folder = cached(model, revision)
    if folder is not None:
        return folder.name
    from huggingface_hub import HfApi, constants

    try:
        info = HfApi(endpoint=constants.ENDPOINT).model_info(model, revision=revision, timeout=10)
    except Exception as error:  # whatever the hub library or its HTTP client raises
        raise explain(error, model, revision) from error
    return str(info.sha)


def unreachable() -> str | None:
    """Return why the hub cannot be reached, or None. It is asked once per process, for at most
    three seconds.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    if not _answers(constants.ENDPOINT):
        return f"{constants.ENDPOINT} does not answer"
    return None


@lru_cache(maxsize=8)
def _answers(url: str) -> bool:
    """Return whether anything answers HTTP there. In a thread, because the time-out of a socket
    does not cover name resolution.
    """
    answers: list[bool] = []

    def ask() -> None:
        request = urllib.request.Request(url, method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=PROBE_SECONDS):
                answers.append(True)
        except urllib.error.HTTPError:
            answers.append(True)  # an error page is an answer
        except (OSError, ValueError):
            answers.append(False)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS + 0.5)
    return answers == [True]


def explain(
    error: BaseException, model: str, revision: str | None, place: str | None = None
) -> BenchError:
    """Return what went wrong while weights were fetched or read, in one line, without the `place`
    where they lie.
    """
    for cause in reversed(causes(error)):
        name = type(cause).__name__
        if isinstance(cause, BenchError):
            return cause
        if name == "UnpicklingError":
            return RerankerError(
                f"{model}: its pickled weights hold more than tensors, or are damaged: reading "
                "such a file can run code; have them saved "
                "as safetensors"
            )
        if name == "GatedRepoError":
            return Unavailable(
                "gated model", f"accept the terms of {model} on the hub, then export HF_TOKEN=..."
            )
        if name == "RevisionNotFoundError":
            return RerankerError(f"{model}: the hub has no revision '{revision}' of it")
        if name == "RepositoryNotFoundError":
            return RerankerError(
                f"{model}: no such model on the hub, or a private one (then export HF_TOKEN=...)"
            )
        if name in (
            "LocalEntryNotFoundError",
            "OfflineModeIsEnabled",
            "ConnectError",
            "ConnectTimeout",
            "ReadTimeout",
            "ConnectionError",
        ):
            return Unavailable("no model hub", f"{model} is not in the local cache")
    text = first_line(error)
    if place:
        text = text.replace(f"{place}/", "").replace(place, model)
    return RerankerError(f"{model}: {text}")
