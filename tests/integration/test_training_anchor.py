"""Labels that are grades and a teacher's scores together."""

from __future__ import annotations

from typing import Any

import pytest

from bench.core.progress import Observer
from bench.training import recipe, split
from bench.training.building import build, forecast
from bench.training.lists import TrainingData
from bench.training.mining import Miner
from bench.training.teaching import Lesson, Teacher

FIELDS = {
    "name": "anchored",
    "base": "tiny:bert-cross-encoder",
    "data": {"embedded:everyday-train": {"queries": 12}},
    "depth": 20,
    "negatives": {"from": "bm25", "per_query": 3, "easy": 0.34},
    "loss": "listnet",
}


def training_data(**fields: Any) -> tuple[TrainingData, TrainingData, dict[str, dict[str, float]]]:
    """Return the data of a recipe, the same of plain grades, and the teacher's scores."""
    taught = recipe.load({**FIELDS, "teacher": "word-overlap", **fields})
    plain = recipe.load(FIELDS)
    portions = split.split(taught, Observer())
    miner = Miner(taught, "cpu", Observer())
    assert taught.teacher is not None
    teacher = Teacher(taught, taught.teacher, "cpu", Observer())
    bill = forecast(taught, portions, miner, teacher).bill
    data = build(taught, portions, miner, teacher, Observer())
    queries = {query.name: query for query in portions.portions.train}
    lessons = [Lesson(queries[row.query_id], row.doc_ids) for row in data.train]
    scores = teacher.scores(portions.datasets[0], lessons)
    assert bill is not None
    assert bill.pairs == sum(len(row.doc_ids) for row in data.train)
    return data, build(plain, portions, miner, None, Observer()), scores


@pytest.mark.parametrize(("anchor", "sharpness"), [(0.5, 1), (4.0, 2.5)])
def test_each_label_is_the_grade_plus_the_weighted_score(anchor: float, sharpness: float) -> None:
    data, plain, scores = training_data(anchor=anchor, sharpness=sharpness)
    assert len(data.train) == len(plain.train) >= 8
    scored = [scores[row.query_id][doc_id] for row in data.train for doc_id in row.doc_ids]
    assert len(set(scored)) > 3
    for row, graded in zip(data.train, plain.train, strict=True):
        assert row.doc_ids == graded.doc_ids
        expected = [
            sharpness * (grade + anchor * scores[row.query_id][doc_id])
            for grade, doc_id in zip(graded.labels, row.doc_ids, strict=True)
        ]
        assert row.labels == pytest.approx(expected, abs=1e-12)
    assert [row.labels for row in data.dev] == [row.labels for row in plain.dev]
