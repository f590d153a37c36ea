"""Learned stages without a collection: features standardised within a query, models that recover a
planted rule, files that reload to the last bit, trees of XGBoost walked, importances.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.core.errors import RerankerError, SuiteError
from bench.core.options import validated
from bench.learning.features.lexical import smallest_window
from bench.learning.features.scores import ranks, z_scores
from bench.learning.gain import graded
from bench.learning.importance import importances
from bench.learning.matrix import Example, standardised
from bench.learning.models import xgboost
from bench.learning.models.base import Lesson, Trainer
from bench.learning.models.lightgbm import LightGBMTrainer
from bench.learning.models.linear import LinearTrainer
from bench.learning.options import LtrOptions

PLANTED = np.array([2.0, -1.0, 0.0])
NAMES = ("good", "bad", "noise")


def lessons(count: int = 60, size: int = 30, seed: int = 7) -> list[Lesson]:
    """Return queries whose relevant documents are those that a linear rule puts first."""
    generator = np.random.default_rng(seed)
    rows: list[Lesson] = []
    for number in range(count):
        matrix = generator.normal(size=(size, 3)) * [1.0, 5.0, 100.0] + [0.0, 10.0, -3.0]
        values = standardised(matrix) @ PLANTED
        grades = (values >= np.sort(values)[-4]).astype(float)
        rows.append(Lesson(f"q{number}", matrix, grades))
    return rows


def ndcg(model: Any, lesson: Lesson) -> float:
    doc_ids = [f"d{place:02}" for place in range(len(lesson.grades))]
    judgments = dict(zip(doc_ids, lesson.grades.astype(int).tolist(), strict=True))
    return graded(doc_ids, judgments).ndcg(model.scores(lesson.matrix))


def test_a_linear_model_recovers_a_planted_rule() -> None:
    model = LinearTrainer(LtrOptions(l2=1e-4)).fitted(NAMES, lessons())
    weights = np.array(list(model.weights().values()))
    direction = weights / np.linalg.norm(weights)
    assert direction @ PLANTED / np.linalg.norm(PLANTED) > 0.999
    assert np.mean([ndcg(model, lesson) for lesson in lessons(seed=8)]) > 0.99


def test_trees_learn_a_planted_rule() -> None:
    pytest.importorskip("lightgbm", reason="the extra [ltr] is not installed")
    model = LightGBMTrainer(LtrOptions(model="lightgbm", trees=60)).fitted(NAMES, lessons())
    assert np.mean([ndcg(model, lesson) for lesson in lessons(seed=8)]) > 0.9
    gains = model.weights()
    assert gains["good"] > gains["bad"] > gains["noise"]


@pytest.mark.parametrize("kind", [LinearTrainer, LightGBMTrainer])
def test_a_model_reloads_to_the_last_bit_and_is_fitted_alike_twice(kind: type[Trainer]) -> None:
    if kind is LightGBMTrainer:
        pytest.importorskip("lightgbm", reason="the extra [ltr] is not installed")
    trainer = kind(LtrOptions(trees=20))
    model, again = trainer.fitted(NAMES, lessons()), trainer.fitted(NAMES, lessons())
    assert model.to_text() == again.to_text()
    reloaded = trainer.read(model.to_text())
    assert reloaded.features == NAMES
    for lesson in lessons(seed=9):
        scores = model.scores(lesson.matrix)
        assert np.array_equal(reloaded.scores(lesson.matrix), scores)
        assert np.array_equal(reloaded.scores_of_many([lesson.matrix])[0], scores)
    assert reloaded.to_text() == model.to_text()


def test_a_linear_model_is_the_minimum_of_its_loss() -> None:
    """The loss written out pair by pair: no step away from the weights makes it smaller."""
    few = lessons(count=6, size=8)
    penalty = 0.01
    options = LtrOptions(l2=penalty * len(few))
    weights = np.array(list(LinearTrainer(options).fitted(NAMES, few).weights().values()))

    def loss(values: NDArray[np.float64]) -> float:
        total = 0.0
        for lesson in few:
            scores = standardised(lesson.matrix) @ values
            losses = [
                np.log1p(np.exp(scores[worse] - scores[better]))
                for better in np.flatnonzero(lesson.grades == 1)
                for worse in np.flatnonzero(lesson.grades == 0)
            ]
            total += float(np.mean(losses)) / len(few)
        return total + penalty / 2 * float(values @ values)

    best = loss(weights)
    for step in np.vstack([np.eye(3), -np.eye(3)]) * 1e-3:
        assert loss(weights + step) > best


def test_a_query_without_two_grades_teaches_nothing() -> None:
    flat = [Lesson("q", np.ones((4, 3)), np.zeros(4))]
    with pytest.raises(RerankerError, match="nothing to learn"):
        LinearTrainer(LtrOptions()).fitted(NAMES, flat)


def test_features_are_standardised_within_the_query() -> None:
    matrix = np.array([[1.0, 5.0, np.nan, 0.1], [3.0, 5.0, 2.0, 0.1], [5.0, 5.0, 4.0, 0.1]])
    values = standardised(matrix)
    step = np.sqrt(1.5)
    assert np.allclose(values[:, 0], [-step, 0.0, step])
    assert not values[:, 1].any()
    assert values[:, 2].tolist() == [0.0, -1.0, 1.0]
    assert not values[:, 3].any()
    assert np.allclose(standardised(matrix * 1e9 + 7.0), standardised(matrix + 0.0), atol=1e-6)


def test_what_is_said_twice_is_one_feature_of_a_linear_model() -> None:
    scores = np.array([3.0, 1.0, 7.0])
    columns = [scores, scores - 7.0, z_scores(scores), np.full(3, 2.0), -scores]
    trainer = LinearTrainer(LtrOptions())
    assert trainer.useful([np.column_stack(columns)]) == [0, 4]


def test_ranks_and_scores_of_what_a_stage_did_not_return_are_unknown() -> None:
    scores = np.array([0.5, np.nan, 0.9, 0.5])
    assert ranks(scores).tolist()[:1] == [2.0]
    assert np.isnan(ranks(scores)[1])
    assert ranks(scores)[[2, 3]].tolist() == [1.0, 3.0]
    assert np.isnan(z_scores(scores)[1])
    assert abs(np.nansum(z_scores(scores))) < 1e-12


@pytest.mark.parametrize(
    ("words", "length"),
    [("a..b.a..b", 3), ("ab", 2), ("a...c..b..ac.b", 4), ("b..a", 4)],
)
def test_the_smallest_window_is_that_of_every_pair_of_places(words: str, length: int) -> None:
    numbers = {"a": 1, "b": 2, "c": 3}
    places = [(place, numbers[word]) for place, word in enumerate(words) if word != "."]
    count = len(set(words) - {"."})
    windows = [
        end - start + 1
        for start in range(len(words))
        for end in range(start, len(words))
        if len(set(words[start : end + 1]) - {"."}) == count
    ]
    assert smallest_window(places, count) == min(windows) == length


def test_permuting_what_a_model_reads_costs_and_what_it_does_not_read_costs_nothing() -> None:
    few = lessons(count=30)
    model = LinearTrainer(LtrOptions()).read(
        json.dumps({"format": "rerank-bench linear", "features": NAMES, "weights": [2.0, -1.0, 0]})
    )
    examples: list[Example] = []
    judged = {}
    for lesson in few:
        doc_ids = tuple(f"d{place:02}" for place in range(len(lesson.grades)))
        grades = dict(zip(doc_ids, lesson.grades.astype(int).tolist(), strict=True))
        examples.append(Example(lesson.query_id, doc_ids, lesson.matrix, {}))
        judged[lesson.query_id] = graded(doc_ids, grades)
    serving = {lesson.query_id: model for lesson in few}
    rows = importances(serving, examples, judged, NAMES, 3)
    assert [row.feature for row in rows] == ["good", "bad", "noise"]
    falls = {row.feature: row.permutation or 0.0 for row in rows}
    assert falls["good"] > falls["bad"] > 0.05
    assert falls["noise"] == 0.0
    assert rows == importances(serving, examples, judged, NAMES, 3)


def test_the_gain_is_that_of_the_measures() -> None:
    import ir_measures

    generator = np.random.default_rng(5)
    doc_ids = [f"d{place:02}" for place in range(25)]
    for _ in range(20):
        grades = dict(zip(doc_ids, generator.integers(0, 4, 25).tolist(), strict=True))
        scores = generator.integers(0, 6, 25).astype(float)
        order = sorted(zip(scores, doc_ids, strict=True), reverse=True)
        run = {"q": {doc_id: float(-place) for place, (_, doc_id) in enumerate(order)}}
        expected = ir_measures.calc_aggregate([ir_measures.nDCG @ 10], {"q": grades}, run)
        assert graded(doc_ids, grades).ndcg(scores) == pytest.approx(
            expected[ir_measures.nDCG @ 10], abs=1e-12
        )


def tree(*nodes: Sequence[float]) -> dict[str, Any]:
    """Return a tree in XGBoost's layout from nodes (left, right, feature, condition, default)."""
    left, right, feature, condition, default = zip(*nodes, strict=True)
    return {
        "left_children": left,
        "right_children": right,
        "split_indices": feature,
        "split_conditions": condition,
        "default_left": default,
        "loss_changes": [3.0 if node[0] != -1 else 0.0 for node in nodes],
        "categories_nodes": [],
    }


def xgboost_json(*trees: dict[str, Any], names: Sequence[str] = ("a", "b")) -> str:
    booster = {"name": "gbtree", "model": {"trees": list(trees)}}
    return json.dumps({"learner": {"feature_names": names, "gradient_booster": booster}})


HAND = xgboost_json(
    tree((1, 2, 0, 0.5, 1), (-1, -1, 0, -1.0, 0), (3, 4, 1, 2.0, 0), (-1, -1, 0, 0.25, 0),
         (-1, -1, 0, 4.0, 0)),
    tree((-1, -1, 0, 0.125, 0)),
)  # fmt: skip


def test_trees_of_xgboost_are_walked_by_hand() -> None:
    """A value below the condition goes left, an equal one right, a missing one the default way."""
    model = xgboost.read(HAND)
    matrix = np.array([[0.4, 9.0], [0.5, 1.9], [0.5, 2.0], [np.nan, 5.0], [1.0, np.nan]])
    assert model.scores(matrix).tolist() == [-0.875, 0.375, 4.125, -0.875, 4.125]
    assert model.weights() == {"a": 3.0, "b": 3.0}
    assert model.features == ("a", "b")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{}", "not an XGBoost model"),
        ("nothing", "not an XGBoost model"),
        (xgboost_json(names=()), "names no features"),
        (HAND.replace("gbtree", "dart"), "booster 'dart'"),
        (xgboost_json(tree((0, 0, 0, 1.0, 0))), "out of order"),
        (xgboost_json(tree((1, 2, 0, 1.0, 0))), "out of order"),
        (xgboost_json(tree((1, 2, 5, 1.0, 0), *[(-1, -1, 0, 1.0, 0)] * 2)), "does not name"),
    ],
)
def test_what_is_no_readable_model_of_xgboost_is_refused(text: str, problem: str) -> None:
    with pytest.raises(RerankerError, match=problem):
        xgboost.read(text)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"features": ["bm52"]}, "no features 'bm52': did you mean 'bm25'"),
        ({"functions": ["mine"]}, "module:function"),
        ({"folds": 1}, "folds"),
        ({"train": "embedded:everyday-train", "load": "m.json"}, "exclude each other"),
        ({"encoder": {"a": {}, "b": {}}}, "an entry is a name"),
        ({"model": "svm"}, "model"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(SuiteError, match=problem):
        validated(LtrOptions, options, "reranker 'ltr'")
