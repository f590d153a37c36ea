"""What a server says that it serves, asked before its cached scores are used: the address alone
does not tell, once it was restarted.

Text Embeddings Inference and `rerank-bench serve` answer GET /info; vLLM, SGLang, Infinity,
llama.cpp and Ollama answer GET /v1/models or /models, and vLLM GET /version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from bench.core.digest import digest_of
from bench.rerankers.remote.address import without_user
from bench.rerankers.remote.answer import json_of
from bench.rerankers.remote.refusal import Refusal

Report = dict[str, str | int | float]
"""What a server says that it serves: `served_...` -> value, as an identity holds it."""
INFO = ("model_id", "model_sha", "model_dtype", "max_input_length", "version")
MODEL = ("id", "root", "parent", "max_model_len", "backend")
"""Of an entry of /v1/models. `created` is the time of the request in some servers: no identity."""
_LONGEST = 200
_NO_SUCH_PAGE = (404, 405, 501)


class NotTold(Exception):
    """A server would not say now what it serves: it is starting, too busy, or wants another key."""


def served(client: Any, base_url: str, model: str) -> Report | None:
    """Return what a server reports; empty where it reports nothing, None where it does not answer
    at all. Raises NotTold where it refuses to say.
    """
    import httpx

    root = without_user(base_url)
    for version in ("/v1", "/v2"):
        root = root.removesuffix(version)
    try:
        info = _get(client, f"{root}/info")
        if isinstance(info, Mapping) and info.get("model_id"):
            return _report(info, INFO) | _description(info.get("description"))
        for path in ("/v1/models", "/models"):
            entry = _entry(_get(client, f"{root}{path}"), model)
            if entry:
                version_of = _get(client, f"{root}/version")
                return _report(entry, MODEL) | _report(version_of, ("version",))
    except (httpx.TransportError, httpx.InvalidURL, Refusal):
        return None
    return {}


def _get(client: Any, url: str) -> Any:
    """Return the JSON at an address; None where there is no such page. Raises httpx.TransportError,
    and NotTold for any other answer.
    """
    response = client.get(url)
    if response.status_code in _NO_SUCH_PAGE:
        return None
    if response.status_code != 200:
        raise NotTold(f"GET {urlsplit(url).path}: HTTP {response.status_code}")
    return json_of(response)


def _entry(models: object, model: str) -> Mapping[str, object] | None:
    """Return the entry of the model that is asked for, else the only one: a gateway lists hundreds,
    and a new one among them changes nothing here.
    """
    data = _member(models, "data")
    if not isinstance(data, list):
        return None
    entries = [entry for entry in data if isinstance(entry, Mapping)]
    for entry in entries:
        if entry.get("id") == model:
            return entry
    if len(entries) != 1:
        return None
    return entries[0]


def _report(answer: object, names: tuple[str, ...]) -> Report:
    """Return the plain values of an answer. A path on the server's machine is shown by its last
    part, and known by a digest of all of it: two runs of a training have a `checkpoint-500` each.
    """
    report: Report = {}
    for name in names:
        value = _member(answer, name)
        if isinstance(value, str):
            text = value
            if value.startswith("/"):
                text = value.rstrip("/").rpartition("/")[2]
            report[f"served_{name}"] = text[:_LONGEST]
            if text[:_LONGEST] != value:
                data = value.encode("utf-8", "backslashreplace")
                report[f"served_{name}_digest"] = hashlib.sha256(data).hexdigest()[:16]
        elif isinstance(value, int | float):
            report[f"served_{name}"] = value
    return report


def _description(description: object) -> Report:
    """Return a digest of what one of our own servers loaded: options that decide scores are in
    it.
    """
    identity = _member(description, "identity")
    if not identity:
        return {}
    return {"served_identity": digest_of(identity)[:16]}


def _member(data: object, name: str) -> object:
    """Return a member of a JSON object; None where it has none, and of anything else."""
    if not isinstance(data, Mapping):
        return None
    return data.get(name)
