"""What the parts of a suite are called in tables and file names."""

from __future__ import annotations

from bench import rerankers
from bench.retrieval.options import run_name
from bench.suite.part import Part


def display_name(part: Part) -> str:
    """What a part is called in tables and file names: its `name` option, else the model or path it
    points at, else its own name.
    """
    options = part.options if isinstance(part.options, dict) else {}
    if options.get("name"):
        return str(options["name"])
    target = (
        options.get("model")
        or options.get("path")
        or (part.options if isinstance(part.options, str) else "")
    )
    if target and part.name in (*rerankers.TABLE, "run"):
        return _tail(str(target))
    return _tail(part.name) if part.name.startswith(("embedded:", "files:", "irds:")) else part.name


def _tail(path: str) -> str:
    name = path.rstrip("/").replace("\\", "/").split(":", 1)[-1]
    name = name if path.startswith("irds:") else name.split("/")[-1]
    return run_name(name) or path
