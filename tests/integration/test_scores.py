"""A run keeps the scores that its stages gave, bit for bit, whatever its rankings make of them."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import bench
from bench.contract.candidates import Candidates, QueryCandidates
from bench.core.errors import RecordError
from bench.datasets.base import Dataset
from bench.ranking.trec import write_run
from bench.records.run import Run
from bench.records.scores import TOGETHER, read_scores, score_writer
from bench.rerankers.base import Description, PointwiseReranker
from bench.retrieval.base import BaseFirstStage

pytestmark = pytest.mark.usefixtures("without_reports")

HERE = "tests.integration.test_scores"
STRANGE = (0.1 + 0.2, -0.0, 0.0, 5e-324, 1.7976931348623157e308, 1.0, np.nextafter(1.0, 2.0), -1e-9)
"""Numbers that single precision, text or a careless copy would change."""


class Strange(PointwiseReranker):
    """Gives numbers of many sizes, some of them tied, by the length of a text."""

    def fingerprint(self) -> dict[str, Any]:
        return {}

    def describe(self) -> Description:
        return Description("strange", {})

    def score(self, pairs: Sequence[tuple[str, str]]) -> Any:
        return np.array([STRANGE[len(document) % len(STRANGE)] for _, document in pairs])


class Rising(BaseFirstStage):
    """Its scores contradict its order."""

    def retrieve(self, dataset: Dataset, query_ids: Sequence[str], depth: int) -> Candidates:
        names = tuple(sorted(name for name, _ in dataset.documents))[:depth]
        scores = tuple(0.1 * place for place in range(len(names)))
        ranking = QueryCandidates(names, scores)
        return Candidates(dict.fromkeys(query_ids, ranking), depth, {"first_stage": "rising"})


def suite(collection: Path, **more: Any) -> dict[str, Any]:
    return {
        "name": "tiny",
        "datasets": [f"files:{collection}"],
        "first_stages": [{f"{HERE}:Rising": {"name": "rising"}}],
        "rerankers": [{f"{HERE}:Strange": {"name": "strange"}}],
        "latency": None,
        "depth": 6,
        **more,
    }


def bits(scores: Any) -> list[bytes]:
    return [np.float64(score).tobytes() for score in scores]


def test_every_row_has_the_scores_that_its_stage_gave_bit_for_bit(
    collection: Path, tmp_path: Path
) -> None:
    stages = [
        {f"{HERE}:Rising": {"keep": 5}},
        {f"{HERE}:Strange": {"name": "strange", "keep": 3}},
        {f"{HERE}:Strange": {"name": "again"}},
    ]
    pipelines = [
        {"name": "cascade", "stages": stages},
        {"name": "first-stage alone", "stages": stages[:1]},
    ]
    run = bench.run(suite(collection, pipelines=pipelines), out=tmp_path)
    text_of = run.documents.set_index("document")["text"]
    for trial in run.records:
        scores = run.scores_of(trial)
        assert scores, trial
        for own in scores.values():
            if "first-stage" in trial:
                assert bits(own.scores) == bits(0.1 * place for place in range(len(own.scores)))
            elif not trial.endswith("oracle"):
                given = [STRANGE[len(text_of[name]) % len(STRANGE)] for name in own.doc_ids]
                assert bits(own.scores) == bits(given)
    [cascade] = [run.scores_of(trial) for trial in run.records if "cascade" in trial]
    assert {len(own.doc_ids) for own in cascade.values()} == {3}


def test_scores_are_in_the_order_of_the_ranking(collection: Path, tmp_path: Path) -> None:
    run = bench.run(suite(collection), out=tmp_path)
    for trial in run.records:
        scores = run.scores_of(trial)
        for query_id, ranking in run.ranking(trial).items():
            assert scores[query_id].doc_ids == ranking.doc_ids
    table = run.scores
    assert list(table.columns) == ["trial", "query", "doc_id", "score"]
    assert len(table) == sum(record.counts.pairs for record in run.records.values())
    assert {str(kind) for kind in table.dtypes[:3]} == {"category"}


def test_a_run_file_has_its_own_scores_of_the_candidates_that_it_lists(
    collection: Path, tmp_path: Path
) -> None:
    path = tmp_path / "given.run"
    listed = [("d02", 1e30), ("d00", 7.25)]
    write_run(path, dict.fromkeys(("q1", "q2", "q3", "q4", "q5"), listed), "given")
    rerankers = [{"run-file": {"path": str(path), "name": "given"}}]
    run = bench.run(suite(collection, rerankers=rerankers), out=tmp_path / "out")
    [trial] = [trial for trial in run.records if "given" in trial]
    for own in run.scores_of(trial).values():
        assert list(zip(own.doc_ids, own.scores, strict=True)) == listed


def test_scores_are_left_out_where_the_suite_says_so_and_in_older_runs(
    collection: Path, tmp_path: Path
) -> None:
    run = bench.run(suite(collection, store_scores=False), out=tmp_path / "without")
    assert not (run.folder / "scores").exists()
    kept = bench.run(suite(collection), out=tmp_path / "with")
    assert not kept.scores.empty
    shutil.rmtree(kept.folder / "scores")
    for without in (run, Run(kept.folder)):
        assert without.scores.empty
        assert all(not without.scores_of(trial) for trial in without.records)


def test_a_trial_that_fails_leaves_no_scores(collection: Path, tmp_path: Path) -> None:
    rerankers = ["tests.support.fakes:HashReranker", f"{HERE}:Broken"]
    run = bench.run(suite(collection, rerankers=rerankers), out=tmp_path)
    names = {path.stem for path in (run.folder / "scores").iterdir()}
    assert names == set(run.records)


class Broken(Strange):
    def own_scores(self, request: Any, answer: Any) -> Any:
        if request.query_id != "q1":
            raise ValueError("broken")
        return answer


def test_scores_are_written_in_stretches(tmp_path: Path) -> None:
    size, count = 999, 2 * TOGETHER // 999 + 3
    given = {
        f"q{number}": QueryCandidates(
            tuple(f"d{number * 7 + place}" for place in range(size)),
            tuple(float(number) / (place + 1) for place in range(size)),
        )
        for number in range(count)
    }
    with score_writer(tmp_path, "t") as write:
        for query_id, scores in given.items():
            write(query_id, scores)
    with pq.ParquetFile(tmp_path / "scores" / "t.parquet") as file:
        assert file.num_row_groups == 3
        assert file.metadata.num_rows == size * count
    back = read_scores(tmp_path, "t")
    assert list(back) == list(given)
    assert all(back[query_id] == scores for query_id, scores in given.items())


@pytest.mark.parametrize(
    ("column", "cells", "message"),
    [
        ("score", [float("nan"), 1.0], "column 'score' holds cells that are no numbers"),
        ("doc_id", ["d1", None], "column 'doc_id' holds cells that are no text"),
        ("doc_id", [1, 2], "column 'doc_id' holds cells that are no text"),
        ("doc_id", ["d1", "d1"], "holds a document of a query twice"),
        ("query", None, "column 'query' is missing"),
    ],
)
def test_scores_from_elsewhere_are_checked(
    column: str, cells: Any, message: str, tmp_path: Path
) -> None:
    rows = {"trial": ["t"] * 2, "query": ["q"] * 2, "doc_id": ["d1", "d2"], "score": [2.0, 1.0]}
    path = tmp_path / "scores" / "t.parquet"
    path.parent.mkdir()
    pd.DataFrame(rows).to_parquet(path)
    assert read_scores(tmp_path, "t") == {"q": QueryCandidates(("d1", "d2"), (2.0, 1.0))}
    for kind in ("object", "category"):
        changed: dict[str, Any] = {name: cells for name, cells in rows.items() if name != column}
        if cells is not None:
            changed[column] = cells
        table = pd.DataFrame(changed)
        if kind == "category" and column in table and column != "score":
            table[column] = table[column].astype("category")
        table.to_parquet(path)
        with pytest.raises(RecordError, match=message):
            read_scores(tmp_path, "t")


def test_a_changed_byte_of_the_scores_is_never_another_number(
    collection: Path, tmp_path: Path
) -> None:
    run = bench.run(suite(collection), out=tmp_path)
    trial = next(name for name in run.records if "strange" in name)
    path = next((run.folder / "scores").glob(f"{trial}*"))
    data = path.read_bytes()
    expected = run.scores_of(trial)
    refused = 0
    for place in random.Random(3).sample(range(len(data)), 120):
        changed = bytearray(data)
        changed[place] ^= 1 << (place % 8)
        path.write_bytes(changed)
        try:
            scores = bench.load(run.folder).scores_of(trial)
        except RecordError:
            refused += 1
        else:
            assert scores == expected
    assert refused > 20
