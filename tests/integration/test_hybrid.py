"""Several first stages as one: by reciprocal ranks, by weighted scores, with weights that are given
or chosen on other queries.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ir_measures
import pytest
from ir_measures import nDCG

import bench
from bench import datasets, retrieval
from bench.contract.candidates import Candidates, QueryCandidates
from bench.core.errors import DataError, SuiteError
from bench.core.note import Code
from bench.datasets.base import Dataset
from bench.datasets.folds import folds
from bench.ranking.fusion import rrf, weighted
from bench.ranking.tuning import grid
from bench.reports.sections import stages
from bench.reports.view import View
from bench.retrieval.base import BaseFirstStage
from bench.retrieval.own_document import candidates_of
from bench.suite import suite
from tests.support.made_collections import write_collection

PLAIN = {"bm25": {"name": "plain", "stemmer": None, "stopwords": None, "k1": 2.0}}
TUNED = {"of": ["bm25", PLAIN], "weights": "tuned", "folds": 3}
HERE = "tests.integration.test_hybrid"


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return datasets.load("embedded:everyday", None, Path(), 42)


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("RERANK_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))


def built(options: Mapping[str, Any], base_dir: Path = Path()) -> BaseFirstStage:
    return retrieval.build("hybrid", options, base_dir)


def lists_of(dataset: Dataset, depth: int) -> list[Candidates]:
    """The candidates of both parts, each alone."""
    query_ids = list(dataset.queries)
    parts: Sequence[tuple[str, Any]] = (("bm25", None), ("bm25", PLAIN["bm25"]))
    return [
        retrieval.build(name, options, Path()).retrieve(dataset, query_ids, depth)
        for name, options in parts
    ]


@pytest.mark.parametrize(
    ("options", "fuse"),
    [
        ({"k": 10}, lambda lists: rrf(lists, None, 10)),
        ({"weights": [1, 3]}, lambda lists: rrf(lists, [1, 3])),
        ({"by": "weighted"}, lambda lists: weighted(lists, None, "z-score")),
        (
            {"by": "weighted", "norm": "min-max", "weights": [0.2, 0.8]},
            lambda lists: weighted(lists, [0.2, 0.8], "min-max"),
        ),
    ],
)
def test_a_hybrid_is_the_fusion_of_its_parts(
    dataset: Dataset, options: Mapping[str, Any], fuse: Any
) -> None:
    stage = built({"of": ["bm25", PLAIN], **options})
    candidates = stage.retrieve(dataset, list(dataset.queries), 15)
    lists = lists_of(dataset, 15)
    for query_id in dataset.queries:
        expected = fuse([each.by_query[query_id] for each in lists]).first(15)
        assert candidates.by_query[query_id] == expected
        assert stage.search(dataset, query_id, 15) == expected


def test_parts_give_more_where_that_is_asked_for(dataset: Dataset) -> None:
    candidates = built({"of": ["bm25", PLAIN], "retrieve": 40}).retrieve(
        dataset, list(dataset.queries), 5
    )
    lists = lists_of(dataset, 40)
    for query_id in dataset.queries:
        expected = rrf([each.by_query[query_id] for each in lists]).first(5)
        assert candidates.by_query[query_id] == expected


def test_hybrids_are_parts_of_hybrids(dataset: Dataset) -> None:
    inner = {"hybrid": {"of": ["bm25", PLAIN], "name": "inner"}}
    other = {"bm25": {"name": "other", "b": 0.9}}
    candidates = built({"of": [inner, other]}).retrieve(dataset, list(dataset.queries), 12)
    inside = built({"of": ["bm25", PLAIN]}).retrieve(dataset, list(dataset.queries), 12)
    alone = retrieval.build("bm25", {"b": 0.9}, Path()).retrieve(dataset, list(dataset.queries), 12)
    for query_id in dataset.queries:
        lists = [inside.by_query[query_id], alone.by_query[query_id]]
        assert candidates.by_query[query_id] == rrf(lists).first(12)
    assert json.dumps(candidates.source["parts"]).count('"first_stage"') == 4


def plain_best(
    dataset: Dataset, lists: Sequence[Candidates], query_ids: Sequence[str]
) -> set[tuple[float, ...]]:
    """Every combination of weights that is best by ir_measures, over these queries."""
    qrels = {query_id: dict(dataset.qrels[query_id]) for query_id in query_ids}
    means: dict[tuple[float, ...], float] = {}
    for weights in grid(len(lists)):
        run: dict[str, dict[str, float]] = {}
        for query_id in query_ids:
            fused = rrf([each.by_query[query_id] for each in lists], weights)
            # strictly falling: the tie rule has spoken
            run[query_id] = {doc_id: float(-place) for place, doc_id in enumerate(fused.doc_ids)}
        means[weights] = ir_measures.calc_aggregate([nDCG @ 10], qrels, run)[nDCG @ 10]
    best = max(means.values())
    return {weights for weights, mean in means.items() if mean >= best - 1e-9}


def test_tuned_weights_are_the_best_on_the_other_folds(dataset: Dataset) -> None:
    candidates = built(TUNED).retrieve(dataset, list(dataset.queries), 20)
    chosen: Any = candidates.source["fused_with"]
    fold_of = folds(dataset.queries, 3, 42)
    lists = lists_of(dataset, 100)
    for fold, weights in enumerate(chosen["by_fold"]):
        others = [query_id for query_id in dataset.queries if fold_of[query_id] != fold]
        assert tuple(weights) in plain_best(dataset, lists, others)
    assert tuple(chosen["overall"]) in plain_best(dataset, lists, list(dataset.queries))
    for query_id in dataset.queries:
        parts = [each.by_query[query_id].first(20) for each in lists]
        expected = rrf(parts, chosen["by_fold"][fold_of[query_id]]).first(20)
        assert candidates.by_query[query_id] == expected
    (about,) = candidates.warnings
    assert about.code is Code.TUNED_WEIGHTS


def test_a_querys_own_judgments_do_not_choose_its_weights(dataset: Dataset) -> None:
    """Those of one fold turned upside down: its own weights stay, and others move."""
    fold_of = folds(dataset.queries, 3, 42)
    turned = {
        query_id: {doc_id: 3 - grade for doc_id, grade in grades.items()}
        if fold_of[query_id] == 0
        else grades
        for query_id, grades in dataset.qrels.items()
    }
    query_ids = list(dataset.queries)
    before: Any = built(TUNED).retrieve(dataset, query_ids, 20)
    after: Any = built(TUNED).retrieve(replace(dataset, qrels=turned), query_ids, 20)
    chosen, other = before.source["fused_with"], after.source["fused_with"]
    assert chosen["by_fold"][0] == other["by_fold"][0]
    assert chosen["by_fold"][1:] != other["by_fold"][1:]


def test_weights_are_chosen_once_and_kept_for_what_decided_them(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    query_ids = list(dataset.queries)
    first = built(TUNED).retrieve(dataset, query_ids, 20)
    chosen: list[object] = []

    def choose(*arguments: object) -> None:
        chosen.append(arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr("bench.retrieval.hybrid.cross_fitted", choose)
    again = built(TUNED)
    assert again.retrieve(dataset, query_ids, 20).source == first.source
    again.load(dataset)
    entry = again.search(dataset, query_ids[0], 20)
    assert entry == first.by_query[query_ids[0]]
    assert not chosen
    graded = {**dataset.qrels, query_ids[0]: {"x": 1}}
    for options, data in (
        ({**TUNED, "seed": 1}, dataset),
        ({**TUNED, "k": 1}, dataset),
        ({**TUNED, "of": [PLAIN, "bm25"]}, dataset),
        (TUNED, replace(dataset, qrels=graded)),
        (TUNED, replace(dataset, template="{text}")),
    ):
        with pytest.raises(KeyboardInterrupt):
            built(options).load(data)


def test_weights_may_be_chosen_on_another_dataset(dataset: Dataset, tmp_path: Path) -> None:
    write_collection(tmp_path / "train")
    options = {"of": ["bm25", PLAIN], "weights": "tuned", "train": "files:train"}
    training = datasets.load("files:train", None, tmp_path, 42)
    candidates = built(options, tmp_path).retrieve(dataset, list(dataset.queries), 20)
    chosen: Any = candidates.source["fused_with"]
    judged = [query_id for query_id in training.queries if query_id in training.qrels]
    assert set(chosen) == {"overall"}
    assert tuple(chosen["overall"]) in plain_best(training, lists_of(training, 100), judged)
    with pytest.raises(DataError, match=r"files:train: .* also measured in .*'q1'"):
        built(options, tmp_path).retrieve(training, ["q1"], 20)
    with pytest.raises(DataError, match="also measured"):
        built(options, tmp_path).check(training, 20)


def test_a_querys_own_document_is_in_no_list(tmp_path: Path) -> None:
    write_collection(tmp_path / "own")
    loaded = datasets.load("files:own", None, tmp_path, 42)
    queries = {"d00": "apple banana number0", "d01": "banana cherry"}
    data = replace(loaded, queries=queries, qrels={"d00": {"d04": 1}, "d01": {"d05": 1}})
    data = replace(data, skip_own=True)
    stage = built({"of": ["bm25", PLAIN]})
    candidates = candidates_of(stage, data, list(queries), 4)
    parts = [candidates_of(part, data, list(queries), 5) for _, part in stage.parts]
    for query_id in queries:
        entry = candidates.by_query[query_id]
        assert query_id not in entry.doc_ids
        # ranks count without it
        assert entry == rrf([each.by_query[query_id] for each in parts]).first(4)


def test_a_run_shows_the_parts_of_the_search(tmp_path: Path) -> None:
    run = bench.run(
        {
            "name": "parts",
            "datasets": ["embedded:everyday"],
            "pipelines": [
                {
                    "name": "mine",
                    "stages": [
                        {"hybrid": {**TUNED, "keep": 10}},
                        {"tests.integration.test_pipelines:Shortest": {"name": "short"}},
                    ],
                }
            ],
            "latency": {"queries": 3, "rounds": 1, "warmup_max": 0, "span_queries": 3},
            "measures": ["nDCG@10"],
            "devices": ["cpu"],
        },
        out=tmp_path,
    )
    assert {status.status for status in run.info.trials} == {"done"}
    record = next(record for record in run.records.values() if record.stages)
    search = record.stages[0]
    assert search.spans == ["hybrid: bm25", "hybrid: plain", "hybrid: fuse"]
    spans = run.latency[run.latency["trial"] == record.trial.id]
    assert {"hybrid", *search.spans, "short"} <= set(spans["span"])
    section = stages.stages(View(run))
    assert section is not None
    candidates: Any = record.candidates
    assert len(candidates["fused_with"]["by_fold"]) == 3


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ({"of": ["bm25"]}, r"s.yaml:6: first_stages.0.hybrid.of: needs at least 2"),
        (
            {"of": ["bm25", {"bm52": {"k1": 1}}]},
            r"s.yaml:8: first_stages.0.hybrid.of.1.bm52: unknown first stage 'bm52': did you",
        ),
        (
            {"of": ["bm25", {"bm25": {"name": "other", "kk": 1}}]},
            r"s.yaml:10: first_stages.0.hybrid.of.1.bm25.kk: unknown key: did you mean",
        ),
        ({"of": ["bm25", {"run": "none.run"}]}, r"hybrid.of.1.run: there is no none.run"),
        ({"of": ["bm25", "bm25"]}, "two parts are named 'bm25'"),
        ({"of": ["bm25", PLAIN], "weights": [1]}, "1 weights for 2 parts"),
        ({"of": ["bm25", PLAIN], "weights": "tune"}, "'tuned', or a number per part"),
        ({"of": ["bm25", PLAIN], "weights": [0, 0]}, "one of them above 0"),
        ({"of": ["bm25", PLAIN], "norm": "z-score"}, "norm belongs to 'by: weighted'"),
        ({"of": ["bm25", PLAIN], "folds": 3}, "folds belongs to 'weights: tuned'"),
        ({"of": ["bm25", PLAIN], "train": "files:x"}, "train belongs to"),
        ({"of": ["bm25", {"bm25": {"name": "b", "depth": 3}}]}, "depth is of the whole"),
        ({"of": ["bm25", "minilm-l6"]}, "'minilm-l6' is a reranker: it belongs under rerankers"),
        (
            {"of": ["bm25", PLAIN], "weights": "tuned", "train": "files:nowhere"},
            r"first_stages.0.hybrid.train.files:nowhere: there is no nowhere",
        ),
    ],
)
def test_what_cannot_be_names_the_key(
    tmp_path: Path, stage: Mapping[str, Any], message: str
) -> None:
    import yaml

    file = tmp_path / "s.yaml"
    data = {"name": "s", "datasets": ["embedded:everyday"], "first_stages": [{"hybrid": stage}]}
    file.write_text(
        yaml.safe_dump({**data, "rerankers": ["word-overlap"]}, sort_keys=False), encoding="utf-8"
    )
    with pytest.raises(SuiteError, match=message):
        suite.load(file)


def test_too_few_queries_for_the_folds_are_an_error_of_validate(tmp_path: Path) -> None:
    write_collection(tmp_path / "few")
    training = datasets.load("files:few", None, tmp_path, 42)
    options = {"of": ["bm25", PLAIN], "weights": "tuned", "folds": 50}
    with pytest.raises(DataError, match="cannot be parted into 50 folds"):
        built(options, tmp_path).check(training, 20)


class Unhashed(BaseFirstStage):
    """An outsider's first stage whose source does not say what decides its candidates."""

    def retrieve(self, dataset: Dataset, query_ids: Sequence[str], depth: int) -> Candidates:
        doc_ids = tuple(sorted(dataset.documents.ids())[:depth])
        ranking = QueryCandidates(doc_ids, tuple(float(-place) for place in range(len(doc_ids))))
        return Candidates(dict.fromkeys(query_ids, ranking), depth, {"first_stage": "mine"})


def test_weights_of_an_outsiders_parts_are_not_kept(dataset: Dataset) -> None:
    stage = built({**TUNED, "of": ["bm25", f"{HERE}:Unhashed"]})
    stage.load(dataset)
    assert not stage.source_decides
    import os

    assert not (Path(os.environ["RERANK_BENCH_CACHE"]) / "fusion-weights").exists()
