"""Every option of every stage says what it decides, and keys change by that and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from bench import datasets, rerankers, retrieval
from bench.catalogue import entries
from bench.core.options import StageOptions, deciding, decision, option
from bench.rerankers.options import ModelOptions, RerankerOptions
from bench.suite.json_schema import schema


def models() -> dict[str, type[BaseModel]]:
    """Return stage -> the model of its options, over all tables."""
    return {
        **{name: rerankers.options_for(name) for name in (*rerankers.TABLE, *entries.load())},
        **{name: retrieval.options_for(name) for name in retrieval.TABLE},
        "dataset": datasets.options_for("embedded:everyday"),
    }


@pytest.mark.parametrize(("name", "model"), models().items())
def test_every_option_says_what_it_decides(name: str, model: type[BaseModel]) -> None:
    assert issubclass(model, StageOptions), f"{name}: its options are not checked"
    properties = model.model_json_schema()["properties"]
    for key in model.model_fields:
        assert properties[key]["decides"] == decision(model, key).decides


def test_an_option_of_ours_that_declares_nothing_fails_at_import() -> None:
    with pytest.raises(TypeError, match=r"bench\.rerankers\.new\.NewOptions: the option 'depth'"):
        type(
            "NewOptions",
            (ModelOptions,),
            {"__module__": "bench.rerankers.new", "__annotations__": {"depth": int}, "depth": 3},
        )


def test_an_undeclared_option_of_an_outsider_decides_scores() -> None:
    class TheirOptions(RerankerOptions):
        by: int = 1
        shown: bool = option(False, decides="nothing")

    assert deciding(TheirOptions(by=2), "scores") == {"by": 2}
    assert decision(TheirOptions, "by").default == 1
    inherited = {"name": None, "optional": False, "trained_on": None}
    assert deciding(TheirOptions(), "nothing") == {**inherited, "shown": False}


@pytest.mark.parametrize("wrong", [{"decides": "score"}, {"decides": "scores", "place": "here"}])
def test_an_unknown_decision_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="scores, speed, nothing"):
        option(1, **wrong)


def test_the_schema_for_editors_shows_what_each_option_decides() -> None:
    definitions = schema()["$defs"]
    options = definitions["cross_encoder.CrossEncoderOptions"]["properties"]
    assert options["dtype"]["decides"] == "scores"
    assert options["batch_size"]["decides"] == "speed"
    assert options["name"]["decides"] == "nothing"
