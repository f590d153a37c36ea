"""Rows that learn in a run, as entries that learn nothing: weights and thresholds as numbers, a
model as a file.

What serves is what was learned from all judged queries of the run; its values in the run are those
of queries that what served them was not learned from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.contract.identity import Fields
from bench.contract.part import Part
from bench.ranking.options import TUNED
from bench.suite.named_options import reranker_options

LEARNS = "ltr"
"""The stage that is a model."""
OF_FOLDS = ("folds", "seed")
"""Options that decide nothing where nothing is learned."""


def settled(part: Part, facts: Mapping[str, Any], model: Path | None) -> Part:
    """Return an entry with what a run has learned of it: `facts` are those of its record, `model`
    is the file of a trained one. The entry itself, where it has learned nothing.
    """
    if part.name == LEARNS and model is not None:
        return Part(name=part.name, options=_with_model(reranker_options(part), model))
    settle = KINDS.get(part.name)
    if settle is None:
        return part
    options = reranker_options(part)
    of = options.get("of")
    parts: Sequence[Mapping[str, Any]] = facts.get("parts", ())
    entries = [of]
    if isinstance(of, list | tuple):
        entries = list(of)
    # a record without facts of the parts tells nothing of what they learned
    if len(entries) == len(parts):
        pairs = zip(entries, parts, strict=True)
        entries = [_settled_entry(entry, own) for entry, own in pairs]
        options["of"] = entries[0]
        if isinstance(of, list | tuple):
            options["of"] = entries
    own = settle(options, facts)
    if own == reranker_options(part):
        return part
    return Part(name=part.name, options=own)


def is_settled(part: Part, facts: Mapping[str, Any], model: Path | None) -> bool:
    """Return whether a row has learned something that its entry does not say."""
    is_same: bool = settled(part, facts, model) == part
    return not is_same


def _settled_entry(entry: Any, facts: Mapping[str, Any]) -> Any:
    part = Part.model_validate(entry)
    return settled(part, facts, None).to_entry()


def _with_model(options: Fields, model: Path) -> dict[str, Any]:
    """Return the options of a learned stage with its model in place of a training."""
    others = {name: value for name, value in options.items() if name != "train"}
    return {**others, "load": str(model)}


def _of_fusion(options: dict[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    if options.get("weights") == TUNED and "weights" in facts:
        options = _without_folds(options)
        options["weights"] = list(facts["weights"]["overall"])
    return options


def _of_blend(options: dict[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    if options.get("weight") == TUNED and "weights" in facts:
        options = _without_folds(options)
        options["weight"] = facts["weights"]["overall"][0]
    return options


def _of_skip(options: dict[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    rule = options.get("when", {})
    threshold = facts.get("thresholds", {}).get("overall")
    for quantile, fixed in (("margin_quantile", "margin_below"), ("top_quantile", "top_below")):
        # a margin is never below 0, and no rule says so
        is_said = threshold is not None and (threshold > 0 or fixed == "top_below")
        if quantile in rule and is_said:
            options = _without_folds(options)
            options["when"] = {fixed: threshold}
    return options


def _without_folds(options: Fields) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in OF_FOLDS}


KINDS: Mapping[str, Callable[[dict[str, Any], Mapping[str, Any]], dict[str, Any]]] = {
    "fuse": _of_fusion,
    "blend": _of_blend,
    "skip": _of_skip,
}
"""What each kind of stage learns, by the name of its entry."""
