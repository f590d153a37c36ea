"""What an entry of the catalogue needs to run, and whether it is here, as far as a glance can tell:
nothing is loaded, and nobody is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench import rerankers
from bench.catalogue import entries

GPU_FROM = 1_000_000_000
"""Parameters from which a GPU is advised: on a CPU a query with a hundred candidates takes
minutes.
"""


@dataclass(frozen=True)
class Needs:
    """What to have: `titles` in a few words each (an extra of `pip install 'rerank-bench[...]'`,
    the model hub, a key), and `state` in one: "ready", "fetch" (only the weights are missing;
    nobody asked the hub), or the first thing that is missing.
    """

    titles: tuple[str, ...]
    state: str
    is_remote: bool = False


def needs(name: str) -> Needs:
    """Return the needs of an entry of the catalogue."""
    reranker = rerankers.build(name)
    facts = entries.load()[name].facts
    requirements = reranker.requirements()
    titles = [requirement.title for requirement in requirements]
    if facts.needs_code:
        titles.append("code")
    if (facts.parameters or 0) >= GPU_FROM:
        titles.append("GPU")
    missing = [requirement.missing() for requirement in requirements]
    state = next(filter(None, missing), "ready")
    return Needs(tuple(dict.fromkeys(filter(None, titles))), state, reranker.placement == "remote")


def keys() -> list[str]:
    """Return the environment variables that hold keys for the catalogue's entries, in order."""
    variables: dict[str, None] = {}
    for name in entries.load():
        for requirement in rerankers.build(name).requirements():
            if requirement.variable:
                variables[requirement.variable] = None
    return list(variables)


def by_backend() -> Iterator[tuple[str, list[str]]]:
    """Yield each backend that the catalogue names, with its entries, in the order of the backends'
    table.
    """
    for backend in rerankers.TABLE:
        if names := [name for name, entry in entries.load().items() if entry.backend == backend]:
            yield backend, names
