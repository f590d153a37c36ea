"""What a known reranker needs to run, and whether it is here: told by looking, without importing,
loading or asking anybody.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from bench import rerankers
from bench.catalogue import entries
from bench.catalogue.entries import Entry
from bench.rerankers.loading import hub
from bench.rerankers.loading.weights import MODELS, PACKAGED, Weights

GPU_FROM = 1_000_000_000
"""Parameters from which a GPU is advised: on a CPU a query with a hundred candidates takes
minutes.
"""
LOCAL = ("torch", "sentence_transformers")


@dataclass(frozen=True)
class Needs:
    """What to have: `asked` in a few words each (an extra of `pip install 'rerank-bench[...]'`, the
    model hub, a key), and `here` in one: "ready", "fetch" (only the weights are missing; nobody
    asked the hub), or the first thing that is missing.
    """

    asked: tuple[str, ...]
    here: str


def needs(name: str) -> Needs:
    """The needs of an entry of the catalogue."""
    entry, reranker = entries.load()[name], _built(name)
    weights = reranker.weights
    found = _remote(reranker) if weights is None else _local(entry, weights)
    missing = next((problem for _, problem in found if problem), "")
    asked = tuple(told for told, _ in found)
    return Needs(asked, missing or "ready")


def keys() -> list[str]:
    """The environment variables that hold keys for entries of the catalogue, in its order."""
    found = (_built(name).key_variable for name in entries.load())
    return list(dict.fromkeys(key for key in found if key))


def _local(entry: Entry, weights: Weights) -> list[tuple[str, str]]:
    found = [("local", _missing(LOCAL))]
    if weights.spec.startswith(PACKAGED):
        package = MODELS[weights.spec.removeprefix(PACKAGED)].package
        found = [("demo", _missing((*LOCAL, package)))]
    else:
        found.append(("hub", "" if hub.is_stored(weights.spec, weights.revision) else "fetch"))
    if entry.facts.needs_code:
        found.append(("code", ""))
    if (entry.facts.parameters or 0) >= GPU_FROM:
        found.append(("GPU", ""))
    return found


def _remote(reranker: Any) -> list[tuple[str, str]]:
    key = reranker.key_variable
    found = [("api", _missing((reranker.package,)))]
    return [*found, (key, "" if os.environ.get(key) else f"no {key}")] if key else found


def _missing(packages: tuple[str, ...]) -> str:
    return next((f"no {package}" for package in packages if find_spec(package) is None), "")


def _built(name: str) -> Any:
    return rerankers.build(name)


def by_backend() -> Iterator[tuple[str, list[str]]]:
    """Each backend that the catalogue names, with its entries, in the order of the backends'
    table.
    """
    for backend in rerankers.TABLE:
        if names := [name for name, entry in entries.load().items() if entry.backend == backend]:
            yield backend, names
