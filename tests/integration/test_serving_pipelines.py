"""`serve` with a suite: a pipeline behind a real HTTP server searches its collection and gives what
a run of the same pipeline gives.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

import bench
from bench.cli.serving import announced
from bench.core.errors import RerankerError, SuiteError
from bench.records.run import Run
from bench.serving.hosted_pipeline import HostedPipeline, described_suite, of_suite
from bench.serving.search import Search
from bench.serving.server import RerankServer
from bench.suite import suite as suites

MODEL = {"model": "tiny:bert-cross-encoder", "name": "tiny"}
SUITE: dict[str, Any] = {
    "name": "served",
    "datasets": ["embedded:everyday"],
    "first_stages": ["bm25"],
    "rerankers": [{"cross-encoder": MODEL}],
    "pipelines": [
        {
            "name": "three",
            "stages": [
                {"bm25": {"keep": 30}},
                {"word-overlap": {"keep": 10}},
                {"cross-encoder": {**MODEL, "keep": 5}},
            ],
        }
    ],
    "measures": ["nDCG@10"],
    "depth": 30,
    "latency": None,
    "devices": ["cpu"],
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("RERANK_BENCH_CACHE", str(folder))
        yield folder


def hosted(name: str | None = "three", suite: dict[str, Any] = SUITE) -> HostedPipeline:
    return of_suite(suites.load(suite), name, "cpu")


@pytest.fixture(scope="module")
def client(cache: Path) -> Iterator[httpx.Client]:
    pipeline = hosted()
    with RerankServer(pipeline, "127.0.0.1", 0) as running:
        pipeline.load()
        running.start()
        with httpx.Client(base_url=running.url, timeout=60) as client:
            yield client


def test_a_search_gives_what_a_run_of_the_pipeline_gives(
    client: httpx.Client, tmp_path: Path
) -> None:
    few = [{"embedded:everyday": {"queries": 5}}]
    run = bench.run({**SUITE, "datasets": few}, out=tmp_path, device="cpu")
    trial = next(name for name in run.records if "three" in name)
    ranking = run.ranking(trial)
    scores = run.scores[run.scores["trial"] == trial].set_index(["query", "doc_id"])["score"]
    texts = dict(zip(run.queries["query"], run.queries["text"], strict=True))
    for query_id in texts:
        answer = client.post("/search", json={"query": texts[query_id]}).json()
        doc_ids = [result["id"] for result in answer["results"]]
        assert doc_ids == list(ranking[query_id].doc_ids[:5])
        for result in answer["results"]:
            # a batch of another size decides the last bits
            assert result["score"] == pytest.approx(
                scores[query_id, result["id"]], rel=1e-4, abs=1e-5
            )


def test_a_search_says_what_was_asked_for(client: httpx.Client) -> None:
    body = {"query": "how long do I boil an egg", "top_k": 2, "return_documents": True}
    answer = client.post("/v1/search", json={**body, "model": "three"}).json()
    assert len(answer["results"]) == 2
    assert answer["model"] == "three"
    first, second = answer["results"]
    assert first["score"] >= second["score"]
    assert all(result["document"]["text"] for result in answer["results"])
    assert answer["usage"]["total_tokens"] > 0
    plain = client.post("/search", json={"query": body["query"]}).json()
    assert [result["id"] for result in plain["results"][:2]] == [first["id"], second["id"]]
    assert "document" not in plain["results"][0]
    assert client.post("/search", json={"query": "xyzzy qwrtp"}).json()["results"] == []


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 400, "'query' must be a text"),
        ({"query": "egg", "top_k": 0}, 400, "'top_k' must be a whole number above 0"),
        ({"query": "egg", "documents": ["a"]}, 400, "'documents' is not a field of a search"),
        ({"query": "egg", "return_documents": 1}, 400, "'return_documents' must be true or false"),
        ({"query": "egg", "model": "two"}, 404, "no model 'two' here"),
        ({"query": "e" * (2**20 + 1)}, 413, "at most"),
        ({"query": "egg " * 2**15}, 413, "at most 65,536 are searched for"),
    ],
)
def test_a_search_that_cannot_be_answered_is_refused(
    client: httpx.Client, body: dict[str, Any], status: int, words: str
) -> None:
    answer = client.post("/search", json=body)
    assert answer.status_code == status
    assert words in answer.json()["error"]["message"]


def test_documents_of_a_request_go_through_every_stage_but_the_search(client: httpx.Client) -> None:
    docs = [f"water number {number} boils" for number in range(12)]
    docs[3] = "boil an egg for eight minutes"
    body = {"query": "boil an egg", "documents": docs}
    results = client.post("/rerank", json=body).json()["results"]
    assert sorted(result["index"] for result in results) == list(range(12))
    kept = [result["index"] for result in results[:5]]
    scores = bench.reranker("cross-encoder", model=MODEL["model"], device="cpu").score(
        "boil an egg", [docs[number] for number in kept]
    )
    assert 3 in kept, "the stage before has the only document with all words first"
    for result, score in zip(results, scores, strict=False):
        assert result["relevance_score"] == pytest.approx(float(score), rel=1e-4, abs=1e-5)
    falling = [result["relevance_score"] for result in results]
    assert falling == sorted(falling, reverse=True)


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ([{"bm25": {"keep": 5}}], "no stage of it reads documents: POST /search"),
        (
            ["bm25", {"blend": {"of": "word-overlap", "weight": 0.5}}],
            "'blend' reads the scores of the search, which documents of a request do not have",
        ),
        (
            ["bm25", {"ltr": {}}, "word-overlap"],
            "'ltr' looks documents up in the collection, where documents of a request are not",
        ),
    ],
)
def test_rerank_is_refused_where_stages_need_what_a_request_does_not_have(
    stages: list[Any], words: str, cache: Path
) -> None:
    suite = {**SUITE, "rerankers": [], "pipelines": [{"name": "p", "stages": stages}]}
    pipeline = hosted("p", suite)
    paths, reason = announced(pipeline)
    assert paths.startswith("POST /search, /v1/search; GET ")
    assert reason == f"no POST /rerank: {pipeline.why_not_documents}"
    with RerankServer(pipeline, "127.0.0.1", 0) as running:
        pipeline.load()
        running.start()
        body = {"query": "boil an egg", "documents": ["an egg", "a hat"]}
        answer = httpx.post(f"{running.url}/rerank", json=body, timeout=60)
        assert answer.status_code == 400
        assert words in answer.json()["error"]["message"]
        answer = httpx.post(f"{running.url}/search", json={"query": "boil an egg"}, timeout=60)
        assert answer.json()["results"]


@pytest.mark.parametrize(
    ("stages", "name"),
    [
        (
            [
                "bm25",
                {"fuse": {"of": ["word-overlap", {"cross-encoder": MODEL}], "weights": "tuned"}},
            ],
            "fuse",
        ),
        (["bm25", {"skip": {"of": "word-overlap", "when": {"margin_quantile": 0.5}}}], "skip"),
        (["bm25", {"cut": {"keep": 20}}, "ltr"], "ltr"),
    ],
)
def test_a_stage_that_learns_in_a_run_is_refused_at_the_start(
    stages: list[Any], name: str, cache: Path
) -> None:
    suite = {**SUITE, "rerankers": [], "pipelines": [{"name": "p", "stages": stages}]}
    pipeline = hosted("p", suite)
    with pytest.raises(RerankerError, match=f"'{name}' learns from the lists of a run"):
        pipeline.load()
    pipeline.close()


def test_the_page_of_what_is_served_names_collection_and_stages(client: httpx.Client) -> None:
    info = client.get("/info").json()
    assert info["stages"] == ["bm25", "word-overlap", "tiny"]
    assert [line.split(";")[0] for line in announced(hosted())] == [
        "POST /search, /v1/search, /rerank, /v1/rerank, /v2/rerank, /reranking, /v1/reranking"
    ]
    assert (info["depth"], info["documents"]) == (30, 320)
    assert info["dataset"]["corpus_hash"]
    assert client.get("/search").status_code == 405


def test_a_row_of_first_stage_and_reranker_is_a_pipeline_of_two(cache: Path) -> None:
    assert hosted("everyday > bm25 > tiny").names == ("tiny",)
    pipeline = hosted("bm25 > tiny")
    with RerankServer(pipeline, "127.0.0.1", 0) as running:
        pipeline.load()
        running.start()
        answer = httpx.post(f"{running.url}/search", json={"query": "boil an egg"}, timeout=60)
        assert 1 < len(answer.json()["results"]) <= 30


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        (None, {}, "has 2 rows to serve: choose one with --pipeline: everyday > bm25 > tiny, "),
        ("thre", {}, "has no row 'thre': did you mean 'three'"),
        ("tiny", {"first_stages": ["bm25", {"bm25": {"name": "b2", "k1": 2}}]}, "2 times"),
        (
            "o",
            {"rerankers": [{"run-file": {"path": "o.run", "name": "o"}}]},
            "cannot answer a new one",
        ),
    ],
)
def test_what_cannot_be_served_is_named(
    name: str | None, changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    (tmp_path / "o.run").write_text("q1 Q0 d1 1 1.0 o\n")
    path = tmp_path / "s.yaml"
    path.write_text(yaml.safe_dump({**SUITE, **changes}))
    with pytest.raises(SuiteError, match=re.escape(words)):
        of_suite(described_suite(str(path)), name, "cpu")


def test_a_description_in_json_holds_its_suite(tmp_path: Path) -> None:
    path = tmp_path / "winner.json"
    only = {**SUITE, "rerankers": [], "description": "thé 😀"}
    path.write_text(json.dumps({"suite": only, "p95_ms": 100}))
    suite = described_suite(str(path))
    assert suite.description == "thé 😀"
    path.write_text("[1]")
    with pytest.raises(SuiteError, match="holds no suite"):
        described_suite(str(path))
    path.write_text("{")
    with pytest.raises(SuiteError, match="cannot be read"):
        described_suite(str(path))


def test_the_command_serves_a_suite_until_it_is_told_to_stop(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "winner.json"
    # stages without weights: a process of its own would import torch for seconds
    stages = [{"bm25": {"keep": 30}}, {"word-overlap": {"keep": 10}}]
    suite = {**SUITE, "rerankers": [], "pipelines": [{"name": "two", "stages": stages}]}
    path.write_text(json.dumps({"suite": suite}))
    command = [sys.executable, "-m", "bench", "serve", str(path), "--port", "0", "--device", "cpu"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        url = line.split(" at ")[-1].strip()
        assert line.startswith("serving two (pipeline on cpu) at http://127.0.0.1:")
        assert "POST /search" in process.stdout.readline()
        answer = httpx.post(f"{url}/search", json={"query": "boil an egg", "top_k": 1}, timeout=60)
        assert len(answer.json()["results"]) == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0


WORDS: dict[str, Any] = {"word-overlap": {"name": "words"}}
LEARNING: dict[str, Any] = {
    "name": "learning",
    "datasets": [{"embedded:everyday": {"queries": 15}}],
    "rerankers": [
        {"blend": {"name": "mixed", "of": WORDS, "weight": "tuned", "folds": 2}},
        {
            "cascade": {
                "name": "unsure",
                "stages": [
                    {"ltr": {"keep": 6}},
                    {"skip": {"of": WORDS, "when": {"margin_quantile": 0.5}, "folds": 2}},
                ],
            }
        },
    ],
    "measures": ["nDCG@10"],
    "depth": 10,
    "latency": None,
    "devices": ["cpu"],
}


@pytest.fixture(scope="module")
def learned(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return bench.run(LEARNING, out=tmp_path_factory.mktemp("learned"), device="cpu")


def test_what_a_run_learned_serves_its_rows(learned: Run) -> None:
    suite = suites.load(LEARNING)
    query = Search("how long do I boil an egg", 3, True, None)
    for name in ("mixed", "unsure"):
        row = of_suite(suite, name, "cpu", learned=learned)
        row.load()
        try:
            hits, _ = row.search(query)
            options = [step.reranker.options for step in row.stages]
        finally:
            row.close()
        assert len(hits) == 3
        (record,) = [own for own in learned.records.values() if own.trial.reranker == name]
        facts: Any = record.description["facts"]
        if name == "mixed":
            assert options[-1].weight == facts["weights"]["overall"][0]
        else:
            thresholds = facts["stages"][1]["thresholds"]
            assert options[-1].when.margin_below == thresholds["overall"]
            assert Path(options[0].load).parent == learned.folder / "models"


def test_a_run_of_something_else_has_learned_nothing_for_a_row(learned: Run) -> None:
    with pytest.raises(RerankerError, match="give the run by --learned"):
        of_suite(suites.load(LEARNING), "mixed", "cpu").load()
    other = {**LEARNING, "rerankers": [{"blend": {"name": "mixed", "of": WORDS, "weight": 0.5}}]}
    with pytest.raises(SuiteError, match="its row 'mixed' has other options than the suite's"):
        of_suite(suites.load(other), None, "cpu", learned=learned)
    fewer = {**LEARNING, "datasets": [{"embedded:everyday": {"queries": 14}}]}
    with pytest.raises(SuiteError, match="it was run over other data"):
        of_suite(suites.load(fewer), "mixed", "cpu", learned=learned)
    deeper = {**LEARNING, "depth": 11}
    with pytest.raises(SuiteError, match="no row 'mixed' over everyday, bm25, depth 11"):
        of_suite(suites.load(deeper), "mixed", "cpu", learned=learned)
