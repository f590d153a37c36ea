"""The rerankers by name. A new one is a file in this folder and a line in the table, or an entry of
the catalogue; an outsider's own class or function (query, docs) -> scores is named
"package.module:Name" in the suite.
"""

from __future__ import annotations

import inspect
from copy import copy
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, create_model

from bench.catalogue import entries
from bench.contract.part import Part
from bench.contract.stage import Component, Reranker
from bench.core.errors import SuiteError, nearest_of_many
from bench.core.options import validated
from bench.core.paths import beside
from bench.core.plugins import resolve
from bench.core.redaction import keep_out
from bench.rerankers.base import BaseReranker
from bench.rerankers.options import shared
from bench.rerankers.outside.function import Outside, wrap
from bench.rerankers.outside.own_class import scores_pairs, wrap_own
from bench.rerankers.outside.own_stage import is_stage, wrap_stage
from bench.rerankers.outside.transformer import is_transformer, wrap_transformer

TABLE: dict[str, str] = {
    "first-stage": "bench.rerankers.reference.fixed:FirstStageReranker",
    "oracle": "bench.rerankers.reference.fixed:OracleReranker",
    "fuse": "bench.rerankers.composed.fuse:Fuse",
    "blend": "bench.rerankers.composed.blend:Blend",
    "skip": "bench.rerankers.composed.skip:Skip",
    "calibrated": "bench.rerankers.composed.calibrated:Calibrated",
    "cut": "bench.rerankers.composed.cut:Cut",
    "run-file": "bench.rerankers.reference.fixed:RunFileReranker",
    "ltr": "bench.learning.ltr:LtrReranker",
    "trained": "bench.training.row:TrainedReranker",
    "word-overlap": "bench.rerankers.reference.word_overlap:WordOverlapReranker",
    "cross-encoder": "bench.rerankers.local.cross_encoder:CrossEncoderReranker",
    "bi-encoder": "bench.rerankers.local.bi_encoder:BiEncoderReranker",
    "late-interaction": "bench.rerankers.local.late_interaction:LateInteractionReranker",
    "monot5": "bench.rerankers.local.monot5:MonoT5Reranker",
    "rankt5": "bench.rerankers.local.rankt5:RankT5Reranker",
    "llm": "bench.rerankers.local.llm:LlmReranker",
    "listwise": "bench.rerankers.listwise.local:ListwiseReranker",
    "cohere": "bench.rerankers.remote.cohere:CohereReranker",
    "voyage": "bench.rerankers.remote.voyage:VoyageReranker",
    "mixedbread": "bench.rerankers.remote.mixedbread:MixedbreadReranker",
    "rerank-server": "bench.rerankers.remote.rerank_server:RerankServerReranker",
    "listwise-server": "bench.rerankers.listwise.server:ListwiseServerReranker",
}

SEVERAL: dict[str, str] = {"trained": "bench.training.row:rows"}
"""The rerankers of which one entry may be several rows: functions from an entry and the suite's
folder to entries.
"""


def rows(part: Part, base_dir: Path) -> list[Part]:
    """Return the entries that an entry of a suite's rerankers is short for: itself, for most.
    Raises SuiteError.
    """
    target = SEVERAL.get(part.name)
    if target is None:
        return [part]
    expanded: list[Part] = resolve(target, {}, "rows of a reranker")(part, base_dir)
    return expanded


def build(
    name: str | Outside,
    options: Any = None,
    device: str = "cpu",
    base_dir: Path | None = None,
) -> Reranker:
    """Return a reranker, nothing loaded yet.

    `name` is a backend, a short name of the catalogue (whose options are the defaults),
    "package.module:Name", or a function itself; a bare value goes to the one required option;
    relative paths are looked for in `base_dir`.

    Raises SuiteError for an unknown name or option, Unavailable when an outsider's module needs
    what is not installed.
    """
    keep_out(options)
    if not isinstance(name, str):
        kind = _wrapped(name)
        return kind(validated(kind.Options, options, "a function as reranker"), device=device)
    model = options_for(name)
    valid = validated(model, options, f"reranker '{name}'")
    if shared(valid).has_random_weights:
        from bench.rerankers.random.architecture import of_entry

        return of_entry(name, valid, device)
    reranker: Reranker = _class(name)(_beside(valid, base_dir or Path()), device=device)
    if name not in TABLE and name not in entries.load() and reranker.placement == "none":
        # an outsider's does some work, wherever: it has a time, and what has one has a device
        reranker.placement = "device"
    if shared(valid).holds:
        reranker.hold(_components(name, valid, device, base_dir or Path()))
    return reranker


def _components(name: str, options: BaseModel, device: str, base_dir: Path) -> list[Component]:
    """Return the rerankers among the options of one that is made of others, built."""
    parts: list[Part] = []
    for option, kind in shared(options).holds.items():
        value: Any = dict(options)[option]
        if kind != "rerankers" or value is None:
            continue
        if isinstance(value, tuple):
            parts += value
        else:
            parts.append(value)
    components: list[Component] = []
    for part in parts:
        try:
            reranker = build(part.name, part.options, device, base_dir)
        except SuiteError as error:
            raise SuiteError(f"{name}, {part.label}: {error}") from error
        recipe = None
        if reranker.is_portable:
            recipe = part.recipe(base_dir, device)
        components.append(Component(part.label, reranker, recipe))
    return components


def options_for(name: str) -> type[BaseModel]:
    """Return the options of a reranker, without importing what it needs to run. Those of a
    catalogue entry have its values as defaults.
    """
    if ":" in name:
        # not kept: another object may have the name of one that is gone, a module a newer text
        return _options_for(name)
    return _known_options_for(name)


def is_reference(name: str) -> bool:
    """Return whether a reranker is one of the rows that every table has, also by the name of its
    class.
    """
    return _class(name).is_reference


def only_shortens(name: str) -> bool:
    """Return whether a reranker orders nothing, and has a place between other stages alone."""
    return _class(name).only_shortens


@lru_cache(maxsize=256)
def _known_options_for(name: str) -> type[BaseModel]:
    return _options_for(name)


def _options_for(name: str) -> type[BaseModel]:
    options: type[BaseModel] = _class(name).Options
    entry = entries.load().get(name)
    if entry is None or name in TABLE:
        return options
    defaults: dict[str, Any] = {}
    for key, value in entry.options.items():
        field = copy(options.model_fields[key])
        field.default = value
        defaults[key] = (field.annotation, field)
    return create_model(f"{options.__name__}_{name}", __base__=options, **defaults)


def _class(name: str) -> type[BaseReranker]:
    """Return the class of a reranker, a wrapper's where an outsider wrote it. Raises SuiteError."""
    entry = entries.load().get(name)
    if name not in TABLE and entry is None and ":" not in name:
        if "/" in name:
            raise SuiteError(
                f"unknown reranker '{name}': a model is written as 'cross-encoder: {{model: "
                f"{name}}}'"
            )
        names = sorted({*TABLE, *entries.load()})
        hint = nearest_of_many(name, names, "rerank-bench list rerankers")
        raise SuiteError(f"unknown reranker '{name}': {hint}")
    target = name
    if entry is not None and name not in TABLE:
        target = entry.backend
    candidate = resolve(target, TABLE, "reranker")
    if inspect.isclass(candidate) and issubclass(candidate, BaseReranker):
        return candidate
    if is_stage(candidate):
        return wrap_stage(candidate)
    if scores_pairs(candidate) or is_transformer(candidate):
        return _wrapped(candidate)
    if inspect.isclass(candidate) or not callable(candidate):
        raise SuiteError(
            f"reranker '{name}': {getattr(candidate, '__name__', candidate)} is not a class with a "
            "method score(pairs) or predict(pairs), nor a function (query, docs) -> scores"
        )
    return wrap(candidate)


def _wrapped(outside: Outside) -> type[BaseReranker]:
    """Return a reranker class around what an outsider wrote: a class or an object that scores
    pairs, a PyTerrier transformer, a function.
    """
    if scores_pairs(outside):
        return wrap_own(outside)
    if is_transformer(outside):
        return wrap_transformer(outside)
    return wrap(outside)


def _beside(options: BaseModel, base_dir: Path) -> BaseModel:
    """Return the options with every path that exists in the suite's folder made absolute; anything
    else stays as written.
    """
    may_be_paths = shared(options).paths
    paths: dict[str, object] = {}
    for name, value in options:
        if name not in may_be_paths:
            continue
        if isinstance(value, tuple):
            paths[name] = tuple(beside(path, base_dir) for path in value)
        elif isinstance(value, str):
            paths[name] = beside(value, base_dir)
    return options.model_copy(update=paths)
