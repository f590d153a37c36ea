"""What the parts of a suite are called in tables and file names."""

from __future__ import annotations

from bench import rerankers
from bench.contract.part import Part
from bench.retrieval.options import run_name
from bench.suite.cascade_entry import cascade_of, is_cascade
from bench.suite.pipeline_entry import without_keep


def display_name(part: Part) -> str:
    """Return what a part is called in tables and file names: its `name` option, else the model or
    path that it names, else its own name; a cascade without a name by its stages.
    """
    if is_cascade(part):
        cascade = cascade_of(part)
        names = [display_name(without_keep(stage)) for stage in cascade.stages]
        return cascade.name or " > ".join(names)
    target: object = None
    if isinstance(part.options, str):
        target = part.options
    elif isinstance(part.options, dict):
        if part.options.get("name"):
            return str(part.options["name"])
        target = part.options.get("model") or part.options.get("path")
        target = target or part.options.get("recipe")
    if target and part.name in (*rerankers.TABLE, "run", "dense", "sparse"):
        return _tail(str(target))
    if part.name.startswith(("embedded:", "files:", "irds:")):
        return _tail(part.name)
    return part.name


def _tail(path: str) -> str:
    """Return the last part of a path, without the endings of a run; of an ir_datasets id, all of
    it.
    """
    name = path.rstrip("/").replace("\\", "/").split(":", 1)[-1]
    if not path.startswith("irds:"):
        name = name.split("/")[-1]
    return run_name(name) or path
