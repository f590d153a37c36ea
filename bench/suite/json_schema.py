"""The JSON Schema of suite files, generated from the models that validate them, for editors that
complete and check YAML.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from bench import datasets, rerankers, retrieval
from bench.catalogue import entries
from bench.latency import scenarios
from bench.latency.scenarios import SCENARIOS
from bench.scoring.executors import DEFAULT, EXECUTORS, class_of
from bench.suite.pipeline_entry import KEEP, KEEP_SCHEMA
from bench.suite.suite import Suite

OUTSIDER = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"
DATASET = r"^(embedded|files|irds|custom):.+"


def schema() -> dict[str, Any]:
    """The schema as plain data (JSON Schema 2020-12)."""
    built = Suite.model_json_schema()
    definitions: dict[str, Any] = built.setdefault("$defs", {})
    named: dict[str, tuple[Iterable[str], Any]] = {
        "datasets": ((), datasets.options_for),
        "first_stages": (retrieval.TABLE, retrieval.options_for),
        "rerankers": ((*rerankers.TABLE, *entries.load()), rerankers.options_for),
    }
    for key, (names, options_for) in named.items():
        by_name = {name: _options(options_for(name), definitions) for name in sorted(names)}
        patterns = (
            {DATASET: _options(options_for("embedded:everyday"), definitions)}
            if key == "datasets"
            else {OUTSIDER: {"type": "object"}}
        )
        built["properties"][key]["items"] = _entry(by_name, patterns)
        if key == "first_stages":
            built["properties"][key]["default"] = ["bm25"]
    by_name = {name: _options(class_of(name).Options, definitions) for name in EXECUTORS}
    executor = _entry(by_name, {OUTSIDER: {"type": "object"}})
    built["properties"]["executor"] |= {**executor, "default": DEFAULT}
    built["properties"]["executor"].pop("$ref", None)
    definitions["LatencyPlan"] = _latency_plan(definitions["LatencyPlan"], definitions)
    definitions["PipelineEntry"]["properties"]["stages"]["items"] = _stages(definitions)
    definitions.pop("Part", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **built,
        "title": "rerank-bench suite",
    }


def schema_text() -> str:
    """The schema as the file that is shipped beside the suites."""
    return json.dumps(schema(), indent=1, sort_keys=True) + "\n"


def _latency_plan(built: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of the timed pass with the options of the table's scenarios among its keys.
    An entry of its scenarios gives those of an outsider's class.
    """
    properties = dict(built["properties"])
    by_name = {}
    for name in SCENARIOS:
        model = scenarios.class_of(name).Options
        by_name[name] = _options(model, definitions)
        properties |= definitions[_definition_name(model)].get("properties", {})
    items = _entry(by_name, {OUTSIDER: {"type": "object"}})
    properties["scenarios"] = {**properties["scenarios"], "items": items}
    return {**built, "properties": properties, "additionalProperties": False}


def _stages(definitions: dict[str, Any]) -> dict[str, Any]:
    """An entry of a pipeline: a first stage or a reranker, with what it hands on."""
    by_name: dict[str, Any] = {}
    for name in retrieval.TABLE:
        by_name[name] = _with_keep(retrieval.options_for(name), definitions)
    for name in (*rerankers.TABLE, *entries.load()):
        by_name[name] = _with_keep(rerankers.options_for(name), definitions)
    return _entry(dict(sorted(by_name.items())), {OUTSIDER: {"type": "object"}})


def _with_keep(model: type[BaseModel], definitions: dict[str, Any]) -> dict[str, Any]:
    """The options of a stage of a pipeline: its own, and `keep`."""
    choices = _options(model, definitions)["anyOf"]
    name = choices[0]["$ref"].removeprefix("#/$defs/")
    stage = f"{name}.stage"
    if stage not in definitions:
        own = definitions[name]
        references = {
            option: {"$ref": f"#/$defs/{name}/properties/{option}"}
            for option in own.get("properties", {})
        }
        properties = {**references, KEEP: KEEP_SCHEMA}
        definitions[stage] = {**own, "properties": properties}
    return {"anyOf": [{"$ref": f"#/$defs/{stage}"}, *choices[1:]]}


def _entry(by_name: dict[str, Any], patterns: dict[str, Any]) -> dict[str, Any]:
    """An entry of a list: a name, or one name with its options."""
    plain: list[dict[str, Any]] = [{"enum": list(by_name)}] if by_name else []
    plain += [{"type": "string", "pattern": pattern} for pattern in patterns]
    mapping = {
        "type": "object",
        "properties": by_name,
        "patternProperties": patterns,
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    return {"anyOf": [*plain, mapping]}


def _options(model: type[BaseModel], definitions: dict[str, Any]) -> dict[str, Any]:
    """A reference to the options' schema; a bare value stands for the one required option, and
    nothing for none.
    """
    name = _definition_name(model)
    if name not in definitions:
        found = model.model_json_schema(ref_template="#/$defs/{model}")
        definitions.update(found.pop("$defs", {}))
        definitions[name] = found
    required = definitions[name].get("required", [])
    choices: list[dict[str, Any]] = [{"$ref": f"#/$defs/{name}"}, {"type": "null"}]
    return {"anyOf": choices if len(required) != 1 else [*choices, {"type": "string"}]}


def _definition_name(model: type[BaseModel]) -> str:
    return f"{model.__module__.rpartition('.')[2]}.{model.__name__}"
