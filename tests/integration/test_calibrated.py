"""The stage `calibrated`: probabilities in the order of the scores, wherever it is used."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bench
from bench import rerankers
from bench.calibration.isotonic import Isotonic
from bench.calibration.platt import Platt
from bench.contract.request import CandidateList, Failure
from bench.core.errors import BenchError, CalibrationError, RerankerError, Unavailable
from bench.core.note import Code
from bench.discover.validation import validate
from bench.ranking.order import rank
from bench.ranking.score_maps import in_order_of, mapped
from bench.records.run import Run
from bench.rerankers.base import Description, PointwiseReranker
from bench.runner import loop
from bench.scoring.engine import score
from bench.serving import hosted
from bench.serving.hosted_pipeline import of_suite
from bench.serving.search import Search
from bench.serving.server import RerankServer
from bench.suite import suite as suites
from tests.support import command
from tests.support.made_maps import CURVE, STEPS, identity_of, map_file

DOCS = ["hot green tea", "cold tea", "a hot cup of tea leaves", "nothing", "tea"]
QUERY = "hot green tea leaves cup"


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RERANK_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("maps")
    map_file(folder / "steps.json")
    map_file(folder / "curve.json", CURVE)
    map_file(folder / "other.json", CURVE, identity="0" * 16, reranker="somebody")
    map_file(folder / "groups.json", groups={"en": CURVE, "de": STEPS})
    return folder


def suite_of(files: Path) -> dict[str, Any]:
    steps = {"of": "word-overlap", "map": str(files / "steps.json")}
    stages = [{"bm25": {"keep": 20}}, {"calibrated": {**steps, "keep": 5}}]
    return {
        "name": "calibrated",
        "datasets": [{"embedded:everyday": {"queries": 12}}],
        "rerankers": [
            "word-overlap",
            {"calibrated": {**steps, "name": "steps"}},
            {"calibrated": {"of": "word-overlap", "map": str(files / "curve.json")}},
        ],
        "pipelines": [{"name": "pipe", "stages": stages}],
        "depth": 20,
        "latency": None,
    }


@pytest.fixture(scope="module")
def run(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    suite = suites.load(suite_of(files))
    return loop.run(suite, out=tmp_path_factory.mktemp("out"), time_it=False)


def trial(run: Run, reranker: str) -> str:
    return next(name for name, record in run.records.items() if record.trial.reranker == reranker)


def test_scores_are_probabilities_in_the_order_of_the_scores(run: Run) -> None:
    plain = run.scores_of(trial(run, "word-overlap"))
    for name, score_map in (("steps", STEPS), ("calibrated", CURVE)):
        own = run.scores_of(trial(run, name))
        for query_id, answer in own.items():
            assert answer.doc_ids == plain[query_id].doc_ids
            expected = score_map.probabilities(np.array(plain[query_id].scores))
            assert answer.scores == pytest.approx(expected, abs=2e-6)
            assert 0 <= min(answer.scores) <= max(answer.scores) <= 1
        values = run.values(trial(run, name), "nDCG@10")
        assert dict(values) == dict(run.values(trial(run, "word-overlap"), "nDCG@10"))
    assert len(run.scores_of(trial(run, "pipe"))) == len(plain)


def test_the_identity_has_the_map_and_the_record_what_it_was_fitted_on(
    run: Run, files: Path
) -> None:
    one, other = (run.records[trial(run, name)] for name in ("steps", "calibrated"))
    assert one.system.hash != other.system.hash
    facts: Any = one.description["facts"]
    assert (facts["map"]["queries"], facts["map"]["kind"]) == (10, "isotonic")
    assert one.pointwise is True
    group = rerankers.build(
        "calibrated", {"of": "word-overlap", "map": str(files / "groups.json"), "group": "en"}
    )
    plain = rerankers.build("calibrated", {"of": "word-overlap", "map": str(files / "curve.json")})
    assert group.fingerprint() == plain.fingerprint()


@given(
    st.lists(st.sampled_from([-3.0, 0.1, 0.15, 0.2, 0.3, 0.6, 0.7, 9.0]), min_size=1, max_size=12)
)
def test_level_stretches_keep_the_order_and_ties_stay_ties(scores: list[float]) -> None:
    doc_ids = [f"d{number}" for number in range(len(scores))]
    probabilities = mapped(STEPS, scores)
    assert rank(doc_ids, probabilities).doc_ids == rank(doc_ids, scores).doc_ids
    assert rank(doc_ids, probabilities).ties == rank(doc_ids, scores).ties
    assert 0 <= probabilities.min() <= probabilities.max() <= 1
    assert probabilities == pytest.approx(STEPS.probabilities(np.array(scores)), abs=2e-6)
    # between queries, too: no probability depends on the rest of the list
    for score_, probability in zip(scores, probabilities, strict=True):
        assert mapped(STEPS, [score_]) == pytest.approx(probability, abs=1e-15)


def test_a_level_of_zeros_is_lifted_and_one_of_ones_lowered() -> None:
    scores = np.array([5.0, 4.0, 3.0, 2.0])
    for level in (0.0, 1.0):
        values = in_order_of(np.full(4, level), scores)
        assert all(above > below for above, below in pairwise(values))
        assert values.min() >= 0
        assert values.max() <= 1
        assert values == pytest.approx(np.full(4, level), abs=1e-15)


def test_a_map_that_reads_the_list_makes_the_stage_listwise(tmp_path: Path) -> None:
    listwise = map_file(tmp_path / "z.json", Platt(score=1.0, intercept=0.0, z=0.5))
    stage = rerankers.build("calibrated", {"of": "word-overlap", "map": str(listwise)})
    assert not stage.pointwise
    falling = map_file(tmp_path / "falling.json", Platt(score=-1.0, intercept=0.0))
    stage = rerankers.build("calibrated", {"of": "word-overlap", "map": str(falling)})
    stage.load()
    (about,) = stage.describe().facts["warnings"]
    assert about["code"] == Code.MAP_MAY_REORDER


def test_a_map_of_another_reranker_is_refused_or_noted(files: Path) -> None:
    options = {"of": "word-overlap", "map": str(files / "other.json")}
    request = CandidateList("q", QUERY, list("abcde"), DOCS)
    with pytest.raises(CalibrationError, match=r"other.json: .*somebody .*`other: note`"):
        score(rerankers.build("calibrated", options), [request], chunk_pairs=9)
    with pytest.raises(CalibrationError, match="rerank-bench calibrate"):
        rerankers.build("calibrated", options).load()
    noted = rerankers.build("calibrated", {**options, "other": "note"})
    scored = score(noted, [request], chunk_pairs=9)
    facts: Any = scored.description["facts"]
    (about,) = facts["warnings"]
    assert (about["code"], about["text"]) == (Code.OTHER_MAP, "somebody")


def test_judgments_that_the_map_was_fitted_on_are_noted(run: Run, tmp_path: Path) -> None:
    hashes = run.records[trial(run, "steps")].dataset
    path = map_file(tmp_path / "same.json", dataset_hashes=dict(hashes), dataset="everyday")
    suite = {
        "name": "same",
        "datasets": [{"embedded:everyday": {"queries": 12}}],
        "rerankers": [{"calibrated": {"of": "word-overlap", "map": str(path)}}],
        "latency": None,
    }
    same = loop.run(suites.load(suite), out=tmp_path, time_it=False)
    facts: Any = same.records[trial(same, "calibrated")].description["facts"]
    (about,) = facts["warnings"]
    assert about["code"] == Code.MAP_OF_THESE_QUERIES


def test_queries_that_the_map_was_fitted_on_are_noted_in_a_larger_sample(tmp_path: Path) -> None:
    def suite(queries: int, reranker: object) -> Any:
        datasets = [{"embedded:everyday": {"queries": queries}}]
        fields = {"name": "s", "datasets": datasets, "rerankers": [reranker], "latency": None}
        return suites.load(fields)

    small = loop.run(suite(12, "word-overlap"), out=tmp_path / "small", time_it=False)
    path = tmp_path / "small.json"
    arguments = ("calibrate", str(small.folder), "word-overlap", "--out", str(path))
    assert command.bench(*arguments, cwd=tmp_path).returncode == 0
    entry = {"calibrated": {"of": "word-overlap", "map": str(path)}}
    larger = loop.run(suite(20, entry), out=tmp_path / "larger", time_it=False)
    facts: Any = larger.records[trial(larger, "calibrated")].description["facts"]
    assert [about["code"] for about in facts["warnings"]] == [Code.MAP_OF_THESE_QUERIES]


def test_files_that_cannot_be_used_are_named(files: Path, tmp_path: Path) -> None:
    def checked(**options: Any) -> None:
        rerankers.build("calibrated", {"of": "word-overlap", **options}).check()

    with pytest.raises(Unavailable, match="rerank-bench calibrate RUN RERANKER"):
        checked(map=str(tmp_path / "none.json"))
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(RerankerError, match=r"bad.json: format: this is no calibration file"):
        checked(map=str(tmp_path / "bad.json"))
    with pytest.raises(RerankerError, match="has no map of a group 'fr'"):
        checked(map=str(files / "groups.json"), group="fr")
    with pytest.raises(RerankerError, match="it has one map for all"):
        checked(map=str(files / "steps.json"), group="fr")


def test_a_failure_stays_a_failure(files: Path) -> None:
    stage = rerankers.build("calibrated", {"of": "word-overlap", "map": str(files / "steps.json")})
    request = CandidateList("q", QUERY, list("abcde"), DOCS)
    (outcome,) = stage.combine([request], [[Failure("busy")]])
    assert outcome == Failure("word-overlap: busy")


class Sized(PointwiseReranker):
    """An outsider's."""

    def describe(self) -> Any:
        return Description("sized", {"v": 1})

    def score(self, pairs: Any) -> Any:
        return np.array([float(len(doc)) for _, doc in pairs])


def test_a_reranker_of_the_api_gives_probabilities(files: Path, tmp_path: Path) -> None:
    raw = bench.reranker("word-overlap", device="cpu")
    path = files / "steps.json"
    ours = bench.reranker("word-overlap", device="cpu", calibration=path)
    assert ours.score(QUERY, DOCS) == pytest.approx(
        STEPS.probabilities(raw.score(QUERY, DOCS)), abs=2e-6
    )
    order = [place for place, _ in ours.rerank(QUERY, DOCS)]
    assert order == [place for place, _ in raw.rerank(QUERY, DOCS)]
    with pytest.raises(CalibrationError, match="fitted on scores of somebody"):
        bench.reranker("word-overlap", device="cpu", calibration=files / "other.json")
    own = Isotonic(scores=[0.0, 40.0], probabilities=[0.0, 1.0])
    name = f"{__name__}:Sized"
    sized = map_file(tmp_path / "own.json", own, identity=identity_of(name))
    lengths = bench.reranker(name, device="cpu", calibration=sized).score("q", DOCS)
    assert lengths == pytest.approx([len(doc) / 40 for doc in DOCS], abs=2e-6)


def test_a_server_answers_with_probabilities_and_says_so(files: Path) -> None:
    model = hosted.build(
        "word-overlap", {}, "cpu", scale="probability", calibration=files / "curve.json"
    )
    with RerankServer(model, "127.0.0.1", 0) as running:
        model.load()
        running.start()
        with httpx.Client(base_url=running.url, timeout=60) as client:
            body = {"query": QUERY, "documents": DOCS}
            results = client.post("/rerank", json=body).json()["results"]
            info = client.get("/info").json()
            refused = client.post("/rerank", json={"query": QUERY, "texts": DOCS, "raw_scores": 1})
            raw = client.post("/rerank", json={"query": QUERY, "texts": DOCS, "raw_scores": True})
    raw_scores = bench.reranker("word-overlap", device="cpu").score(QUERY, DOCS)
    expected = CURVE.probabilities(np.asarray(raw_scores))
    by_place = {row["index"]: row["relevance_score"] for row in results}
    assert [by_place[place] for place in range(len(DOCS))] == pytest.approx(expected)
    assert (info["scores"], info["model_id"]) == ("probability", "word-overlap")
    assert info["description"]["facts"]["map"]["reranker"] == "word-overlap"
    assert (refused.status_code, raw.status_code) == (400, 400)


def test_a_pipeline_whose_last_stage_is_calibrated_is_served(files: Path) -> None:
    suite = suites.load(suite_of(files))
    pipeline = of_suite(suite, "pipe", "cpu", scale="probability")
    pipeline.load()
    try:
        hits, _ = pipeline.search(Search("hot tea", None, False, None))
        assert pipeline.info()["scores"] == "probability"
    finally:
        pipeline.close()
    assert len(hits) == 5
    assert all(0 <= hit.score <= 1 for hit in hits)
    with pytest.raises(BenchError, match=r"scores of .* are no probabilities"):
        of_suite(suite, "bm25 > word-overlap", "cpu", scale="probability")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["word-overlap", "--scores", "probability"], "give a file of `rerank-bench calibrate`"),
        (["word-overlap", "--calibration", "x", "--scores", "raw"], "--scores raw: a calibration"),
        (["quickstart.yaml", "--calibration", "x"], "in a suite, write its last stage as"),
        (["word-overlap", "--calibration", "none.json"], "none.json does not exist"),
    ],
)
def test_what_the_command_refuses(arguments: list[str], problem: str, tmp_path: Path) -> None:
    ended = command.bench("serve", *arguments, cwd=tmp_path)
    assert ended.returncode == 2
    assert problem in " ".join(ended.stderr.split())


@pytest.mark.parametrize(
    ("part", "fitted", "is_refused"),
    [
        ("word-overlap", {"identity": "0" * 16, "reranker": "word-overlap"}, True),
        ("word-overlap", {}, False),
        ("minilm-bi-encoder", {"reranker": "minilm-cross-encoder"}, True),
        ("minilm-bi-encoder", {"reranker": "first-stage"}, True),
        ("minilm-bi-encoder", {"reranker": "minilm-bi-encoder"}, False),
        ("minilm-bi-encoder", {"reranker": "our-own-name"}, False),
    ],
)
def test_validation_says_that_a_map_is_of_another_system_as_far_as_nothing_has_to_load(
    tmp_path: Path, part: str, fitted: Any, is_refused: bool
) -> None:
    path = map_file(tmp_path / "map.json", CURVE, **fitted)
    suite = {
        "name": "maps",
        "datasets": [{"embedded:everyday": {"queries": 3}}],
        "rerankers": [
            {"calibrated": {"of": part, "map": str(path), "name": "refused"}},
            {"calibrated": {"of": part, "map": str(path), "name": "noted", "other": "note"}},
        ],
    }
    rows = {row.trial: row for row in validate(suites.load(suite)).rows}
    [refused] = [row for name, row in rows.items() if "refused" in name]
    [noted] = [row for name, row in rows.items() if "noted" in name]
    assert noted.outcome == "runs"
    assert refused.outcome == ("failed" if is_refused else "runs")
    assert is_refused == ("is another system" in refused.reason)
