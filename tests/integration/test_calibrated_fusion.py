"""`norm: calibrated` in fuse, blend and hybrid, and what it is worth next to z-scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pytest
import yaml

import bench
from bench import datasets, rerankers, retrieval
from bench.calibration.maps import ScoreMap
from bench.calibration.platt import Platt
from bench.contract.candidates import QueryCandidates
from bench.core.errors import BenchError, CalibrationError, SuiteError
from bench.core.note import Code
from bench.meaning.calibrated_fusions import calibrated_fusions
from bench.quality.expression import measure_of
from bench.ranking.fusion import normalised
from bench.ranking.order import rank
from bench.records.run import Run
from bench.reports.sections.calibrated_fusions import fusions
from bench.reports.view import View
from bench.rerankers.base import Description, PointwiseReranker
from bench.runner import loop
from bench.suite import suite as suites
from tests.support.made_maps import CURVE, STEPS, identity_of, map_file


class Brief(PointwiseReranker):
    """Short documents first."""

    def fingerprint(self) -> dict[str, Any]:
        return {"backend": "brief"}

    def describe(self) -> Description:
        return Description("brief", {"v": 1})

    def score(self, pairs: Any) -> Any:
        return np.array([-float(len(doc)) / 100 for _, doc in pairs])


BRIEF = f"{__name__}:Brief"
BM25 = Platt(score=0.3, intercept=-3.0)
LENGTHS = Platt(score=2.0, intercept=1.0)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("maps")
    map_file(folder / "words.json", CURVE)
    map_file(folder / "steps.json", STEPS)
    map_file(folder / "brief.json", LENGTHS, identity=identity_of(BRIEF), reranker="brief")
    map_file(
        folder / "bm25.json",
        BM25,
        reranker="first-stage",
        first_stage="bm25",
        identity="f" * 16,
    )
    return folder


def fuse(**more: Any) -> dict[str, Any]:
    maps = ["words.json", "brief.json"]
    both = {"of": ["word-overlap", {BRIEF: {"name": "brief"}}], "by": "weighted", "maps": maps}
    return {**both, "norm": "calibrated", **more}


BLEND = {"of": "word-overlap", "norm": "calibrated", "maps": ["words.json", "bm25.json"]}


@pytest.fixture(scope="module")
def run(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("out")
    tuned = {**fuse(weights="tuned", folds=2), "name": "tuned"}
    entries = ["word-overlap", {BRIEF: {"name": "brief"}}, {"fuse": {**fuse(weights=[0.8, 0.2])}}]
    text = {
        "name": "fused",
        "datasets": [{"embedded:everyday": {"queries": 15}}],
        "rerankers": [*entries, {"blend": {**BLEND, "weight": 0.6}}, {"fuse": tuned}],
        "depth": 15,
        "latency": None,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RERANK_BENCH_CACHE", str(out / "cache"))
        suite = suites.parse(yaml.safe_dump(text), str(files / "suite.yaml"), files)
        return loop.run(suite, out=out, time_it=False)


def trial(run: Run, reranker: str) -> str:
    return next(name for name, record in run.records.items() if record.trial.reranker == reranker)


def by_id(answer: QueryCandidates) -> dict[str, float]:
    return dict(zip(answer.doc_ids, answer.scores, strict=True))


@pytest.mark.parametrize(
    ("name", "parts", "maps", "weights"),
    [
        ("fuse", ("word-overlap", "brief"), (CURVE, LENGTHS), (0.8, 0.2)),
        ("blend", ("word-overlap", "first-stage"), (CURVE, BM25), (0.6, 0.4)),
    ],
)
def test_probabilities_are_added_up(
    run: Run, name: str, parts: Any, maps: tuple[ScoreMap, ...], weights: tuple[float, ...]
) -> None:
    lists = [run.scores_of(trial(run, part)) for part in parts]
    for query_id, answer in run.scores_of(trial(run, name)).items():
        sums = dict.fromkeys(answer.doc_ids, 0.0)
        for own, score_map, weight in zip(lists, maps, weights, strict=True):
            for doc_id, score in by_id(own[query_id]).items():
                sums[doc_id] += weight * score_map.probabilities(np.array([score]))[0]
        assert by_id(answer) == pytest.approx(sums, abs=1e-9)


def test_a_fusion_of_maps_that_read_a_score_alone_serves_every_depth(run: Run) -> None:
    assert run.records[trial(run, "fuse")].pointwise is True
    assert run.records[trial(run, "tuned")].pointwise is False


def test_the_report_has_the_same_fusion_of_z_scores(run: Run) -> None:
    comparisons = {each.record.trial.reranker: each for each in calibrated_fusions(run)}
    assert set(comparisons) == {"fuse", "blend", "tuned"}
    assert comparisons["tuned"].problem == "its weights are tuned on calibrated scores"
    own = comparisons["fuse"]
    ours, theirs = (run.scores_of(trial(run, part)) for part in ("word-overlap", "brief"))
    judged = run.judgments
    qrels = [ir_measures.Qrel(*row) for row in judged[["query", "document", "grade"]].values]
    ranked: list[ir_measures.ScoredDoc] = []
    for query_id, answer in ours.items():
        other = by_id(theirs[query_id])
        sums = 0.8 * normalised(answer.scores, "z-score")
        sums = sums + 0.2 * normalised([other[doc_id] for doc_id in answer.doc_ids], "z-score")
        order = rank(answer.doc_ids, sums)
        places = range(len(order.doc_ids), 0, -1)
        for doc_id, place in zip(order.doc_ids, places, strict=True):
            ranked.append(ir_measures.ScoredDoc(query_id, doc_id, float(place)))
    measure = measure_of("nDCG@10")
    expected = ir_measures.calc_aggregate([measure], qrels, ranked)[measure]
    assert own.z_score == pytest.approx(expected)
    assert own.difference is not None
    mean = run.records[trial(run, "fuse")].quality["nDCG@10"].mean
    assert own.calibrated == pytest.approx(mean)
    assert own.difference.mean == pytest.approx(mean - expected)
    section = fusions(View(run))
    assert section is not None
    assert len(section.blocks[0].rows) == 3  # type: ignore[union-attr]


def test_a_composition_takes_it_as_a_row_alone(run: Run, tmp_path: Path) -> None:
    chosen = bench.compose(run, ["bm25 > fuse"])
    assert len(chosen) == 1
    path = tmp_path / "pipelines.yaml"
    path.write_text(
        "pipelines:\n  - name: x\n    stages:\n      - bm25\n"
        "      - blend: {name: y, of: word-overlap, norm: calibrated, maps: [a, b]}\n"
    )
    with pytest.raises(BenchError, match="composed as a row of the run alone"):
        bench.compose(run, file=path)


def test_the_maps_are_part_of_the_identity(files: Path) -> None:
    def identity(**more: Any) -> dict[str, Any]:
        return dict(rerankers.build("fuse", fuse(**more), base_dir=files).describe().identity)

    assert identity() != identity(maps=["steps.json", "brief.json"])
    plain = rerankers.build("fuse", {"of": ["word-overlap", BRIEF]})
    assert "maps" not in plain.describe().identity


def test_a_map_of_another_part_is_refused_or_noted(files: Path) -> None:
    swapped = fuse(maps=["brief.json", "words.json"])
    with pytest.raises(CalibrationError, match="fitted on scores of brief"):
        rerankers.build("fuse", swapped, base_dir=files).load()
    noted = rerankers.build("fuse", {**swapped, "other": "note"}, base_dir=files)
    noted.load()
    codes = [warning["code"] for warning in noted.describe().facts["warnings"]]
    assert codes == [Code.OTHER_MAP, Code.OTHER_MAP]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (fuse(maps=None), "norm: calibrated needs maps"),
        (fuse(maps=["words.json"]), "1 maps for 2 parts"),
        (fuse(norm="z-score"), "maps belongs to 'norm: calibrated'"),
        ({"of": ["word-overlap", BRIEF], "other": "note"}, "other belongs to 'norm: calibrated'"),
        ({"of": ["word-overlap", BRIEF], "norm": "calibrated", "maps": ["a", "b"]}, "by: weighted"),
    ],
)
def test_what_the_options_refuse(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(SuiteError, match=problem):
        rerankers.build("fuse", options)


def test_a_hybrid_adds_probabilities(files: Path) -> None:
    dataset = datasets.load("embedded:everyday", {"queries": 5}, Path(), 42)
    queries = list(dataset.queries)[:3]
    options: dict[str, Any] = {
        "of": ["bm25", {"bm25": {"k1": 2.0, "name": "b"}}],
        "by": "weighted",
        "norm": "calibrated",
        "maps": ["bm25.json", "bm25.json"],
    }
    with pytest.raises(CalibrationError, match=r"first-stage over bm25, and the part is .* b:"):
        retrieval.build("hybrid", options, files).check(None, 10)
    stage = retrieval.build("hybrid", {**options, "other": "note"}, files)
    parts = [
        retrieval.build("bm25", own, files).retrieve(dataset, queries, 10)
        for own in ({}, {"k1": 2.0})
    ]
    candidates = stage.retrieve(dataset, queries, 10)
    assert [about.code for about in candidates.warnings] == [Code.OTHER_MAP]
    for query_id in queries:
        sums: dict[str, float] = {}
        rows = [by_id(part.by_query[query_id]) for part in parts]
        probabilities = [
            {doc: float(BM25.probabilities(np.array([score]))[0]) for doc, score in row.items()}
            for row in rows
        ]
        for row in probabilities:
            for doc_id in {doc for own in rows for doc in own}:
                sums[doc_id] = sums.get(doc_id, 0.0) + row.get(doc_id, min(row.values()))
        best = rank(list(sums), list(sums.values()))
        assert candidates.by_query[query_id].doc_ids == best.doc_ids[:10]
    assert candidates.source["maps"] == stage.retrieve(dataset, queries, 5).source["maps"]


def test_judgments_that_the_maps_were_fitted_on_are_noted(run: Run, tmp_path: Path) -> None:
    hashes = dict(run.records[trial(run, "fuse")].dataset)
    words = map_file(tmp_path / "words.json", CURVE, dataset="everyday", dataset_hashes=hashes)
    bm25 = map_file(
        tmp_path / "bm25.json", BM25, reranker="first-stage", first_stage="bm25", identity="f" * 16
    )
    of = ["bm25", {"bm25": {"name": "other", "k1": 2}}]
    searches = {"of": of, "by": "weighted", "norm": "calibrated", "other": "note"}
    suite = {
        "name": "same",
        "datasets": [{"embedded:everyday": {"queries": 15}}],
        "first_stages": ["bm25", {"hybrid": {**searches, "maps": [str(words), str(bm25)]}}],
        "rerankers": [{"blend": {**BLEND, "maps": [str(words), str(bm25)]}}],
        "depth": 15,
        "latency": None,
    }
    same = loop.run(suites.load(suite), out=tmp_path, time_it=False)
    record = same.records[trial(same, "blend")]
    facts: Any = record.description["facts"]
    codes = [about["code"] for about in facts["warnings"]]
    assert codes == [Code.FUSION_OF_THESE_QUERIES]
    assert Code.FUSION_OF_THESE_QUERIES in {about.code for about in same.info.warnings}
