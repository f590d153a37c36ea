"""The card of a trained model: it parses, and says what is known and what is not."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from huggingface_hub import ModelCard

from bench.contract.part import Part
from bench.core.progress import Observer
from bench.quality.statistics import Difference, Estimate
from bench.training.card import card, shown_points, spark, write_card
from bench.training.checkpoints import CurvePoint
from bench.training.comparison import Comparing
from bench.training.fit import Fitted
from bench.training.portions import Portions
from bench.training.split import Split
from bench.training.train import _write_recipe
from tests.support import made_training

CURVE = [CurvePoint(10, 1.5, 0.5), CurvePoint(20, 1.0, 0.625), CurvePoint(30, 0.75, 0.6)]
VERSIONS = {"torch": "2.13.0"}


class MadeGain(NamedTuple):
    measure: str
    base: str
    rows: dict[str, Estimate]
    difference: Difference


def fitted(folder: Path = Path("model")) -> Fitted:
    return Fitted(folder, "key", CURVE, 40, 12, 10, 40, 125.0, "cpu", "float32", VERSIONS)


def gain(low: float) -> MadeGain:
    rows = {"untuned": Estimate(0.5, 0.4, 0.6, 20), "trained": Estimate(0.6, 0.5, 0.7, 20)}
    return MadeGain("nDCG@10", "untuned", rows, Difference(0.1, low, 0.15, 0.0004, 12, 5, 3))


def test_the_hub_can_read_it(tmp_path: Path) -> None:
    recipe = made_training.recipe(base="minilm-bi-encoder", test=0.2)
    path = write_card(recipe, made_training.data().facts, fitted(tmp_path), gain(0.05))
    parsed = ModelCard.load(path)
    assert parsed.data.pipeline_tag == "text-ranking"
    assert parsed.data.base_model == "sentence-transformers/all-MiniLM-L6-v2"
    assert parsed.data.license == "apache-2.0"
    assert parsed.data.language == ["en"]
    (result,) = parsed.data.eval_results
    assert result.metric_value == 0.6
    assert result.dataset_type == "embedded:everyday-train"


def test_it_says_what_was_trained_and_what_it_gains() -> None:
    recipe = made_training.recipe(test=0.2, lora={"rank": 4}, description="For tests.")
    text = card(recipe, made_training.data().facts, fitted(), gain(0.05))
    assert "For tests." in text
    assert "| loss | binary-cross-entropy |" in text
    assert "| trained | LoRA, rank 4, alpha 8, merged |" in text
    assert "| steps | 30 of 40, the weights of step 20 |" in text
    assert "| pairs | 40: 10 positive, 30 hard, 0 random negatives |" in text
    assert "| machine | cpu, float32, 2 min |" in text
    assert "| 20 | 1.0000 | 0.6250 (kept) |" in text
    assert "Loss `█▃▁`, dev nDCG@10 `▁█▇`" in text
    expected = "Trained less untuned: +0.1000 [+0.050, +0.150] (p <.001), paired over 20 queries: "
    assert expected + "12 rise, 5 stay, 3 fall." in text
    assert "no gain is shown" not in text


def test_a_gain_within_its_interval_is_none() -> None:
    recipe = made_training.recipe(test=0.2)
    text = card(recipe, made_training.data().facts, fitted(), gain(-0.01))
    assert "The interval contains 0: no gain is shown." in text


def test_without_test_queries_nothing_is_claimed() -> None:
    text = card(made_training.recipe(), made_training.data().facts, fitted())
    assert "Not measured: what this training brought is not known." in text
    assert "model-index" not in text


@pytest.mark.parametrize("count", [1, 5, 12, 100])
def test_a_long_curve_is_shown_with_its_best_and_its_end(count: int) -> None:
    curve = [CurvePoint(step, 1.0, 0.5) for step in range(count)]
    shown = shown_points(curve, curve[count // 2])
    assert {curve[0], curve[count // 2], curve[-1]} <= set(shown)
    assert len(shown) <= 12
    assert shown == sorted(shown)


def test_bars_of_a_flat_curve_are_flat() -> None:
    assert spark([0.5, 0.5]) == "▁▁"


def test_neither_secrets_nor_folders_of_this_machine_are_on_it(tmp_path: Path) -> None:
    (tmp_path / "tickets").mkdir()
    address = "https://user:pass-word-1@host.example/v1"
    recipe = made_training.recipe(
        data=f"files:{tmp_path}/tickets",
        test=0.2,
        loss="margin-mse",
        teacher={"listwise-server": {"model": "m", "base_url": address}},
    )
    text = card(recipe, made_training.data().facts, fitted(), gain(0.05))
    assert str(tmp_path) not in text
    assert "files:tickets" in text
    assert "pass-word-1" not in text
    _write_recipe(recipe, tmp_path)
    assert "pass-word-1" not in (tmp_path / "recipe.yaml").read_text()
    stages = ["bm25", {"listwise-server": {"model": "m", "base_url": address}}]
    mined = made_training.recipe(negatives={"from": stages}, test="embedded:everyday")
    comparing = Comparing(tmp_path, "cpu", Observer())
    nothing = Split(Portions([]), [], [], [])
    suite = comparing.suite(mined, nothing, [Part("word-overlap", {"name": "trained"})])
    assert suite.pipelines[0].stages[1].options["base_url"] == address
    assert "pass-word-1" not in (tmp_path / "comparison.yaml").read_text()
