"""The JSON Schema of suite files, generated from the models that validate them, for editors that
complete and check YAML.
"""

from __future__ import annotations

import json
from typing import Any, get_args

from pydantic import BaseModel

from bench import datasets, rerankers, retrieval
from bench.catalogue import entries
from bench.core.options import Kind, StageOptions
from bench.latency import scenarios
from bench.latency.scenarios import SCENARIOS
from bench.scoring.executors import DEFAULT, EXECUTORS, class_of
from bench.suite.cascade_entry import CASCADE, CascadeOptions
from bench.suite.pipeline_entry import KEEP, KEEP_SCHEMA
from bench.suite.suite import Suite

Schema = dict[str, Any]
"""A JSON Schema, or a part of one."""

OUTSIDER = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"
STAGE_ENTRY = "stages.entry"
STAGE: Schema = {"$ref": f"#/$defs/{STAGE_ENTRY}"}
DATASET = r"^(embedded|files|irds|custom):.+"


def schema() -> Schema:
    """Return the schema as plain data (JSON Schema 2020-12)."""
    built = Suite.model_json_schema()
    definitions: Schema = built.setdefault("$defs", {})
    properties: Schema = built["properties"]
    define_entries(definitions)
    properties["first_stages"]["default"] = ["bm25"]
    for kind in get_args(Kind):
        properties[kind]["items"] = entry(kind)
    by_name = {name: options_schema(class_of(name).Options, definitions) for name in EXECUTORS}
    executor = _entry(by_name, {OUTSIDER: {"type": "object"}})
    properties["executor"] |= {**executor, "default": DEFAULT}
    properties["executor"].pop("$ref", None)
    definitions["LatencyPlan"] = _latency_plan(definitions["LatencyPlan"], definitions)
    definitions["PipelineEntry"]["properties"]["stages"]["items"] = STAGE
    definitions.pop("Part", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **built,
        "title": "rerank-bench suite",
    }


def define_entries(definitions: Schema) -> None:
    """Add what an entry of each list may be to the definitions of a schema, and a pipeline's
    stage.
    """
    dataset = options_schema(datasets.options_for("embedded:everyday"), definitions)
    definitions[_entry_of("datasets")] = _entry({}, {DATASET: dataset})
    first_stages = {
        name: options_schema(retrieval.options_for(name), definitions)
        for name in sorted(retrieval.TABLE)
    }
    definitions[_entry_of("first_stages")] = _entry(first_stages, {OUTSIDER: {"type": "object"}})
    known_rerankers = {
        name: options_schema(rerankers.options_for(name), definitions)
        for name in sorted((*rerankers.TABLE, *entries.load()))
    }
    definitions[_entry_of("rerankers")] = _entry(known_rerankers, {OUTSIDER: {"type": "object"}})
    definitions[_entry_of("rerankers")]["anyOf"][-1]["properties"][CASCADE] = _cascade(definitions)
    definitions[STAGE_ENTRY] = _stages(definitions)


def entry(kind: Kind) -> Schema:
    """Return the schema of an entry of one of the lists, which `define_entries` defines."""
    return {"$ref": f"#/$defs/{_entry_of(kind)}"}


def schema_text() -> str:
    """Return the schema as the file that is shipped next to the suites."""
    return json.dumps(schema(), indent=1, sort_keys=True) + "\n"


def _entry_of(kind: Kind) -> str:
    """Return the name of the definition of an entry of one of the lists."""
    return f"{kind}.entry"


def _with_entries(schema: Any, kind: Kind) -> Any:
    """Return the schema of an option that holds entries, with what an entry of this kind may be."""
    if isinstance(schema, dict):
        if schema.get("$ref") == "#/$defs/Part":
            return entry(kind)
        return {name: _with_entries(value, kind) for name, value in schema.items()}
    if isinstance(schema, list):
        return [_with_entries(value, kind) for value in schema]
    return schema


def _latency_plan(built: Schema, definitions: Schema) -> Schema:
    """Return the schema of the timed pass with the options of the table's scenarios among its keys.
    An entry of its scenarios gives those of an outsider's class.
    """
    properties = dict(built["properties"])
    by_name = {}
    for name in SCENARIOS:
        model = scenarios.class_of(name).Options
        by_name[name] = options_schema(model, definitions)
        properties |= definitions[_definition_name(model)].get("properties", {})
    items = _entry(by_name, {OUTSIDER: {"type": "object"}})
    properties["scenarios"] = {**properties["scenarios"], "items": items}
    return {**built, "properties": properties, "additionalProperties": False}


def _stages(definitions: Schema) -> Schema:
    """Return the schema of a pipeline's stage: a first stage or a reranker, with what it hands
    on.
    """
    by_name: Schema = {}
    for name in retrieval.TABLE:
        by_name[name] = _with_keep(retrieval.options_for(name), definitions)
    for name in (*rerankers.TABLE, *entries.load()):
        by_name[name] = _with_keep(rerankers.options_for(name), definitions)
    return _entry(dict(sorted(by_name.items())), {OUTSIDER: {"type": "object"}})


def _cascade(definitions: Schema) -> Schema:
    """Return the schema of a cascade among the rerankers: its stages, or its options with them."""
    definition = CascadeOptions.model_json_schema(ref_template="#/$defs/{model}")
    definition.pop("$defs", None)
    stages = {"type": "array", "minItems": 1, "items": STAGE}
    definition["properties"]["stages"] |= stages
    definitions[CascadeOptions.__name__] = definition
    return {"anyOf": [stages, {"$ref": f"#/$defs/{CascadeOptions.__name__}"}]}


def _with_keep(model: type[BaseModel], definitions: Schema) -> Schema:
    """Return the schema of the options of a pipeline's stage: its own, and `keep`."""
    choices = options_schema(model, definitions)["anyOf"]
    name = choices[0]["$ref"].removeprefix("#/$defs/")
    stage = f"{name}.stage"
    if stage not in definitions:
        own = definitions[name]
        references = {
            option: {"$ref": f"#/$defs/{name}/properties/{option}"}
            for option in own.get("properties", {})
        }
        properties = {**references, KEEP: KEEP_SCHEMA}
        if "optional" in properties:
            # what may be left out is the pipeline
            properties["optional"] = {"const": False, "type": "boolean"}
        definitions[stage] = {**own, "properties": properties}
    return {"anyOf": [{"$ref": f"#/$defs/{stage}"}, *choices[1:]]}


def _entry(by_name: Schema, patterns: Schema) -> Schema:
    """Return the schema of an entry of a list: a name, or one name with its options."""
    plain: list[Schema] = []
    if by_name:
        plain.append({"enum": list(by_name)})
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


def options_schema(model: type[BaseModel], definitions: Schema) -> Schema:
    """Return a reference to the options' schema; a bare value is the one required option, and
    nothing is none.
    """
    name = _definition_name(model)
    if name not in definitions:
        definition = model.model_json_schema(ref_template="#/$defs/{model}")
        definitions.update(definition.pop("$defs", {}))
        definitions[name] = definition
        if issubclass(model, StageOptions):
            for option, kind in model.holds.items():
                properties = definition["properties"]
                properties[option] = _with_entries(properties[option], kind)
    choices: list[Schema] = [{"$ref": f"#/$defs/{name}"}, {"type": "null"}]
    if len(definitions[name].get("required", [])) == 1:
        choices.append({"type": "string"})
    return {"anyOf": choices}


def _definition_name(model: type[BaseModel]) -> str:
    return f"{model.__module__.rpartition('.')[2]}.{model.__name__}"
