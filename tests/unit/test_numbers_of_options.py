"""No number of a suite, a gates file or any stage's options is a boolean."""

from __future__ import annotations

import importlib
import json
import math
import pkgutil
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from pydantic import ValidationError

import bench
from bench import datasets, rerankers, retrieval
from bench.catalogue import entries
from bench.core.errors import SuiteError
from bench.core.numeric import NO_NUMBER
from bench.core.options import Options, validated
from bench.latency.plan import LatencyPlan
from bench.rerankers.options import RerankerOptions
from bench.scoring import executors


def models() -> set[type[Options]]:
    """Every model that a suite or a gates file may fill, those of all stages among them."""
    for name in (*rerankers.TABLE, *entries.load()):
        rerankers.options_for(name)
    for name in retrieval.TABLE:
        retrieval.options_for(name)
    for name in ("embedded:everyday", "files:x", "irds:x"):
        datasets.options_for(name)
    for module in pkgutil.walk_packages(bench.__path__, "bench."):
        if module.name.split(".")[1] in ("gate", "latency", "suite", "composition"):
            importlib.import_module(module.name)
    return {model for model in _below(Options) if model.__module__.startswith("bench.")}


def _below(model: type[Options]) -> Iterator[type[Options]]:
    for child in model.__subclasses__():
        yield child
        yield from _below(child)


def misplaced(schema: Mapping[str, Any]) -> Any:
    """A boolean as a value of this JSON schema has a number; None where it has none."""
    kinds = [schema, *schema.get("anyOf", ())]
    if any(kind.get("type") == "boolean" for kind in kinds):
        return None
    for kind in kinds:
        if kind.get("type") in ("integer", "number"):
            return True
        inner = kind.get("items", kind.get("additionalProperties"))
        if isinstance(inner, dict) and misplaced(inner) is not None:
            value = misplaced(inner)
            return [value] if kind["type"] == "array" else {"nDCG@10": value}
    return None


def test_no_numeric_option_takes_a_boolean() -> None:
    tried = set()
    for model in models():
        if model.__module__.startswith("bench.records"):
            continue
        for key, schema in model.model_json_schema(by_alias=False)["properties"].items():
            value = misplaced(schema)
            if value is None or key not in model.model_fields:
                continue
            tried.add((model.__name__, key))
            with pytest.raises(ValidationError) as caught:
                model.__pydantic_validator__.validate_assignment(
                    model.model_construct(), key, value
                )
            # a few say in words of their own what they take instead, one asks for a mapping
            kinds = {problem["type"] for problem in caught.value.errors()}
            assert kinds <= {"value_error", "dict_type", "model_type"}, (model, key, caught.value)
    assert {("Suite", "depth"), ("LtrOptions", "l2"), ("SweepPlan", "depths")} <= tried
    assert len(tried) > 100


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_no_option_takes_what_is_no_finite_number(value: float) -> None:
    tried = set()
    for model in models():
        for key, schema in model.model_json_schema(by_alias=False)["properties"].items():
            if schema.get("type") != "number" or key not in model.model_fields:
                continue
            tried.add((model.__name__, key))
            with pytest.raises(ValidationError):
                model.__pydantic_validator__.validate_assignment(
                    model.model_construct(), key, value
                )
    assert {("LtrOptions", "l2"), ("BM25Options", "k1")} <= tried


@pytest.mark.parametrize("entry", [{"ltr": {"l2": True}}, {"ltr": {"trees": False}}])
def test_the_line_names_the_key_and_what_yaml_reads(entry: dict[str, Any]) -> None:
    ((name, options),) = entry.items()
    with pytest.raises(SuiteError) as caught:
        validated(rerankers.options_for(name), options, f"reranker '{name}'")
    text = str(caught.value)
    assert "\n" not in text
    assert f"option '{list(options)[-1]}': {NO_NUMBER} (given: " in text


def test_scenarios_of_a_plan_take_no_booleans_either() -> None:
    with pytest.raises(ValidationError, match="should be a number"):
        LatencyPlan.model_validate({"offline_pairs": True})


def test_an_option_that_may_be_a_boolean_takes_it() -> None:
    class Either(RerankerOptions):
        cached: bool | int = 3

    assert Either(cached=True).cached is True


def test_no_option_takes_threads_that_end_the_process() -> None:
    for name in executors.EXECUTORS:
        executors.class_of(name)
    limited = set()
    for model in models():
        threads = model.model_json_schema()["properties"].get("threads")
        if threads is not None:
            assert '"maximum": 1024' in json.dumps(threads), model
            limited.add(model.__name__)
    assert {"ProcessesOptions", "RayOptions", "SweepPlan", "CrossEncoderOptions"} <= limited


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"workers": 0}, "'workers': input should be greater than or equal to 1, or 'auto'"),
        ({"token_budget": "Auto"}, "'token_budget': input should be a valid integer, unable to "),
    ],
)
def test_what_none_of_several_types_takes_is_one_problem(
    options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(SuiteError) as caught:
        validated(rerankers.options_for("cross-encoder"), {"model": "x", **options}, "it")
    text = str(caught.value)
    assert text.startswith(f"it: option {problem}")
    assert "or 'auto' (given: " in text
    assert ";" not in text


def test_a_list_that_may_be_a_word_has_what_is_wrong_inside_of_it() -> None:
    with pytest.raises(SuiteError) as caught:
        validated(retrieval.options_for("bm25"), {"stopwords": ["the", 1]}, "bm25")
    assert (
        str(caught.value) == "bm25: option 'stopwords.1': input should be a valid string (given: 1)"
    )


def test_a_word_or_a_list_is_asked_for_as_both() -> None:
    with pytest.raises(SuiteError) as caught:
        validated(retrieval.options_for("bm25"), {"stopwords": 5}, "bm25")
    assert str(caught.value) == (
        "bm25: option 'stopwords': input should be a valid string, or a list, as in [a, b] "
        "(given: 5)"
    )
