"""What is not a name serves as a reranker: an object or a class that scores pairs, a function, a
PyTerrier transformer, a loaded CrossEncoder, in `bench.run({...})` and in a suite; each is timed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import bench
from bench.core.errors import BenchError
from bench.core.note import Code, Note, read_notes

pytestmark = pytest.mark.usefixtures("without_reports")

HERE = "tests.integration.test_handed_objects"
TIMED = {
    "scenarios": ["single", "cold"],
    "cold_runs": 1,
    "queries": 2,
    "rounds": 1,
    "warmup_max": 0,
    "span_queries": 0,
}


class Shortest:
    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        return [-self.factor * len(document) for _, document in pairs]


class Predicting:
    def predict(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        return [float(len(document)) for _, document in pairs]


class Reversing:
    """As a PyTerrier transformer: it turns the order that it gets, and drops the last document."""

    def transform(self, frame: Any) -> Any:
        kept = frame[frame["rank"] < frame.groupby("qid")["rank"].transform("max")]
        return kept.assign(score=kept["rank"])[["qid", "docno", "score"]]


def longest(query: str, docs: list[str]) -> list[int]:
    return [len(doc) for doc in docs]


reversing = Reversing()


def asked(rerankers: Any, **more: Any) -> dict[str, Any]:
    return {
        "name": "handed",
        "datasets": ["embedded:everyday"],
        "rerankers": rerankers,
        "depth": 10,
        "devices": ["cpu"],
        "latency": TIMED,
        "store_texts": False,
        **more,
    }


def test_objects_serve_where_a_name_does(tmp_path: Path) -> None:
    objects = [Shortest(), Predicting(), longest, Shortest, {"turned": reversing}]
    run = bench.run(asked(objects), out=tmp_path)
    values = {r.trial.reranker: r.quality["nDCG@10"].mean for r in run.records.values()}
    names = {"handed:Shortest", "handed:Predicting", "handed:longest", "handed:Shortest_2"}
    assert {*values} == {"first-stage", "oracle", "turned", *names}
    assert values["handed:Shortest"] == values["handed:Shortest_2"]
    assert values["handed:Predicting"] == values["handed:longest"]
    timed = run.latency[run.latency["scenario"] == "single"]
    assert timed["trial"].nunique() == len(objects)
    notes: list[Note] = []
    for record in run.records.values():
        if record.latency:
            notes += read_notes(record.latency["notes"])
    assert {note.text for note in notes if note.code == Code.COLD_FAILED} == {
        "nothing says how to build it in another process"
    }


def test_a_mapping_names_them_and_a_pipeline_has_them_as_stages(tmp_path: Path) -> None:
    model = Shortest(2.0)
    pipeline = {"name": "mine", "stages": ["bm25", {"word-overlap": {"keep": 5}}, model]}
    suite = asked({"short": model, "long": longest}, pipelines=[pipeline], latency=None)
    run = bench.run(suite, out=tmp_path)
    assert {"short", "long", "mine"} <= {r.trial.reranker for r in run.records.values()}
    (record,) = [r for r in run.records.values() if r.stages]
    assert [stage.name for stage in record.stages] == ["bm25", "word-overlap", "handed:Shortest"]


def test_a_transformer_is_named_in_a_suite(tmp_path: Path) -> None:
    run = bench.run(asked([f"{HERE}:reversing"], latency=None), out=tmp_path)
    (record,) = [r for r in run.records.values() if r.trial.kind == "reranker"]
    assert record.description["backend"] == "pyterrier"
    assert record.quality["nDCG@10"].mean < 0.9
    reranker = bench.reranker(reversing, device="cpu")
    scores = reranker.score("q", ["a", "b", "c"])
    assert scores.argsort().tolist() == [2, 0, 1], "what it drops comes after all others"


def test_a_loaded_cross_encoder_serves(tmp_path: Path) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers")
    from bench.models import tiny

    folder = tiny.bert_cross_encoder(tmp_path / "model")
    model = sentence_transformers.CrossEncoder(str(folder), device="cpu")
    run = bench.run(asked([{"theirs": model}], depth=3), out=tmp_path)
    (record,) = [r for r in run.records.values() if r.trial.reranker == "theirs"]
    assert record.latency is not None


def test_what_serves_as_nothing_is_refused() -> None:
    with pytest.raises(BenchError, match="is not a class with a method score"):
        bench.run(asked([object()]))
