"""The entries of a suite, those among their options included: a stage may be made of others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import BaseModel

from bench import datasets, rerankers, retrieval
from bench.contract.part import Part
from bench.core.errors import SuiteError
from bench.core.options import Keys, Kind, StageOptions, as_mapping
from bench.suite import references
from bench.suite.cascade_entry import cascade_of, keys_of_stage
from bench.suite.pipeline_entry import without_keep


class Placed(NamedTuple):
    """An entry, which list of a suite it could be in, and where it is. `is_nested` says that it is
    among the options of another one.
    """

    kind: Kind
    part: Part
    keys: Keys
    is_nested: bool = False


def options_for(kind: Kind, name: str) -> type[BaseModel]:
    """Return the model of an entry's options. Raises SuiteError for an unknown name."""
    if kind == "datasets":
        return datasets.options_for(name)
    if kind == "first_stages":
        return retrieval.options_for(name)
    return rerankers.options_for(name)


def inside(placed: Placed) -> Iterator[Placed]:
    """Yield the entries among the options of a valid one, and those among theirs."""
    model = options_for(placed.kind, placed.part.name)
    if not issubclass(model, StageOptions) or not model.holds:
        return
    options = as_mapping(model, placed.part.options)
    for option, kind in model.holds.items():
        value: Any = options.get(option)
        if value is None:
            continue
        keys = (*placed.keys, option)
        if isinstance(value, list | tuple):
            numbered = [((*keys, number), entry) for number, entry in enumerate(value)]
        else:
            numbered = [(keys, value)]
        for place, entry in numbered:
            part = Part.model_validate(entry)
            inner = Placed(kind, part, (*place, part.name), is_nested=True)
            yield inner
            # what is wrong with the entry is said of the entry, before anything inside it
            yield from inside(inner)


def stages_of(cascade: Placed) -> Iterator[Placed]:
    """Yield the stages of a valid cascade, and the entries among their options."""
    for place, stage in enumerate(cascade_of(cascade.part).stages):
        keys = keys_of_stage(cascade.part, cascade.keys, place)
        placed = Placed("rerankers", without_keep(stage), keys)
        yield placed
        yield from inside(placed)


def refuse_misuse(placed: Placed) -> None:
    """Raise SuiteError for an entry that cannot be where it is: a reference, or a part of another
    one that may be left out.
    """
    if placed.kind != "rerankers":
        return
    if rerankers.only_shortens(placed.part.name):
        raise SuiteError(
            f"'{placed.part.name}' orders nothing, it shortens what the next stage gets: it "
            "belongs among the stages of a pipeline"
        )
    if not placed.is_nested:
        references.refuse_reranker(placed.part)
        return
    if rerankers.is_reference(placed.part.name):
        raise SuiteError(
            f"'{placed.part.name}' is a reference and no stage: remove it; 'blend' takes the "
            "scores of the stage before in"
        )
    options = placed.part.options
    if isinstance(options, dict) and options.get("optional"):
        raise SuiteError("optional: it belongs to the row: a part cannot be left out alone")
