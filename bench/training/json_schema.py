"""The JSON Schema of training recipes, generated from the models that validate them."""

from __future__ import annotations

import json
from typing import Any

from bench.learning.options import LtrOptions
from bench.suite.json_schema import STAGE, Schema, define_entries, entry, options_schema
from bench.training.recipe import Recipe


def schema() -> Schema:
    """Return the schema as plain data (JSON Schema 2020-12)."""
    built = Recipe.model_json_schema()
    definitions: Schema = built.setdefault("$defs", {})
    define_entries(definitions)
    portion = definitions["Portion"]
    portion["properties"]["dataset"] = _or_null(entry("datasets"), portion, "dataset")
    definitions["Portion"] = {"anyOf": [portion, {"type": "number"}, entry("datasets")]}
    negatives = definitions["Negatives"]["properties"]
    negatives["from"] |= {"anyOf": [STAGE, _list_of(STAGE)], "default": ["bm25"]}
    del negatives["from"]["items"], negatives["from"]["type"], negatives["from"]["minItems"]
    definitions["Lora"] = {"anyOf": [definitions["Lora"], {"type": "integer"}]}
    properties: Schema = built["properties"]
    dataset = entry("datasets")
    properties["data"] = {
        "description": properties["data"]["description"],
        "anyOf": [dataset, _list_of(dataset)],
    }
    properties["teacher"] = _or_null(entry("rerankers"), built, "teacher")
    properties["ltr"] |= {"anyOf": options_schema(LtrOptions, definitions)["anyOf"]}
    definitions.pop("Part", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **built,
        "title": "rerank-bench recipe",
    }


def schema_text() -> str:
    """Return the schema as the file that is shipped next to the suites."""
    return json.dumps(schema(), indent=1, sort_keys=True) + "\n"


def _list_of(items: Schema) -> Schema:
    return {"type": "array", "minItems": 1, "items": items}


def _or_null(value: Schema, model: Schema, name: str) -> dict[str, Any]:
    return {**model["properties"][name], "anyOf": [value, {"type": "null"}]}
