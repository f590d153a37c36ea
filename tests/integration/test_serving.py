"""`serve`: a reranker of ours behind a real HTTP server, asked by our own clients and by hand; its
scores are those in process.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bench
from bench import rerankers
from bench.comparison.parity import within_run
from bench.contract.request import CandidateList, Failure
from bench.contract.stage import Description
from bench.core.errors import BenchError, RerankerError, Unavailable
from bench.models import tiny
from bench.rerankers.base import BaseReranker
from bench.rerankers.options import RerankerOptions
from bench.serving import hosted, server
from bench.serving.limits import Limits
from tests.support.agreement import close, tolerance
from tests.support.paths import ROOT

MODEL = "tiny:bert-cross-encoder"
DOCS = ["the cat sat", "hot tea and fish", "cold river", "", "how long does it rain", "the cat sat"]
CLIENTS = {
    "cohere": {"backend": "cohere"},
    "voyage": {"backend": "voyage", "path": "/v1"},
    "mixedbread": {"backend": "mixedbread"},
    "rerank-server": {"backend": "rerank-server"},
    "tei": {"backend": "rerank-server", "shape": "tei"},
}


@contextmanager
def serving(
    name: str = "cross-encoder",
    *,
    host_names: Sequence[str] = (),
    limits: Limits | None = None,
    aliases: Sequence[str] = (),
    scale: hosted.Scale = "raw",
    **options: Any,
) -> Iterator[server.RerankServer]:
    reranker = hosted.build(name, options, "cpu", limits=limits, aliases=aliases, scale=scale)
    with server.RerankServer(reranker, "127.0.0.1", 0, names=host_names) as running:
        reranker.load()
        running.start()
        yield running


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[server.RerankServer]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RERANK_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        with serving(model=MODEL, batch_size=4) as running:
            yield running


def ask(
    url: str,
    path: str,
    body: Any = None,
    method: str = "POST",
    headers: dict[str, str] | None = None,
) -> tuple[int, Any, Any]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    connection.request(method, path, body=data, headers=headers or {})
    response = connection.getresponse()
    status, told, found = response.status, response.headers, json.loads(response.read())
    connection.close()
    return status, found, told


def test_an_address_that_is_none_and_a_method_that_is_not_served(
    served: server.RerankServer,
) -> None:
    host, _, port = served.url.removeprefix("http://").partition(":")
    for head in (
        "GET http://[bad/rerank HTTP/1.1",
        "POST http://[bad/rerank HTTP/1.1\r\nContent-Length: 2",
    ):
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(f"{head}\r\nHost: localhost\r\n\r\n{{}}".encode())
            answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 400 "), answer
        assert b"the address cannot be read" in answer
    status, _, headers = ask(served.url, "/rerank", method="GET")
    assert (status, headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("client", sorted(CLIENTS))
def test_our_clients_get_the_scores_that_the_model_gives_in_process(
    served: server.RerankServer, client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("CO_API_KEY", "VOYAGE_API_KEY", "MXBAI_API_KEY"):
        monkeypatch.setenv(key, "unused")
    options = dict(CLIENTS[client])
    backend, path = options.pop("backend"), options.pop("path", "")
    theirs: Any = rerankers.build(
        backend, {"model": MODEL, "base_url": served.url + path, **options}
    )
    theirs.load()
    docs = [doc for doc in DOCS if doc.strip()]  # our clients send no blank one
    (scores,) = theirs.rerank(
        [CandidateList("q", "hot tea", [str(i) for i in range(len(docs))], docs)]
    )
    ours = bench.reranker("cross-encoder", model=MODEL, device="cpu").score("hot tea", docs)
    assert isinstance(scores, np.ndarray)
    close(scores, ours)
    assert np.ptp(scores) > 0.1
    assert scores.min() < 0, "raw logits, not squashed into 0 to 1"
    assert (
        client == "cohere" or theirs.meter.take().tokens > 0
    )  # Cohere's shape bills searches, and tells no tokens
    assert theirs.describe().facts["random_weights"] is True
    theirs.close()


def test_the_best_results_come_first_and_with_their_texts_where_asked(
    served: server.RerankServer,
) -> None:
    common = {"query": "hot tea", "model": MODEL}
    _, cohere, _ = ask(
        served.url,
        "/v2/rerank",
        {**common, "documents": DOCS, "top_n": 2, "return_documents": True},
    )
    _, voyage, _ = ask(
        served.url,
        "/v1/rerank",
        {**common, "documents": [{"text": doc} for doc in DOCS], "top_k": 2},
    )
    _, mixedbread, _ = ask(
        served.url, "/v1/reranking", {**common, "input": DOCS, "top_k": 2, "return_input": True}
    )
    _, tei, told = ask(
        served.url, "/rerank", {"query": "hot tea", "texts": DOCS, "raw_scores": True}
    )
    scores = [item["score"] for item in tei]
    assert scores == sorted(scores, reverse=True)
    assert len(tei) == len(DOCS)
    assert (
        int(told["x-compute-tokens"])
        == cohere["usage"]["total_tokens"]
        == voyage["usage"]["total_tokens"]
        > len(DOCS)
    )
    best = [(item["index"], item["score"]) for item in tei[:2]]
    assert [(item["index"], item["relevance_score"]) for item in cohere["results"]] == best
    assert [(item["index"], item["relevance_score"]) for item in voyage["data"]] == best
    assert [(item["index"], item["score"]) for item in mixedbread["data"]] == best
    assert cohere["results"][0]["document"] == {"text": DOCS[best[0][0]]}
    assert mixedbread["data"][0]["input"] == DOCS[best[0][0]]
    assert "document" not in voyage["data"][0]
    same = [item["index"] for item in tei if DOCS[item["index"]] == "the cat sat"]
    assert same == [0, 5], "equal scores keep the order given"


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/rerank", b"{", 400, "the body is not JSON"),
        ("/rerank", b"[" * 100_000, 400, "the body is not JSON"),
        ("/rerank", b"\xff\xfe", 400, "the body is not JSON"),
        ("/rerank", [], 400, "a JSON object"),
        ("/rerank", {"documents": ["a"]}, 400, "'query' must be a text"),
        ("/rerank", {"query": "q"}, 400, "'documents' must be a list"),
        ("/rerank", {"query": "q", "texts": []}, 400, "'texts' must be a list of at least one"),
        (
            "/rerank",
            {"query": "q", "documents": ["a", 3]},
            400,
            "each of 'documents' must be a text",
        ),
        (
            "/rerank",
            {"query": "q", "documents": ["a"], "top_n": 0},
            400,
            "'top_n' must be a whole number",
        ),
        (
            "/rerank",
            {"query": "q", "documents": ["a"], "top_k": True},
            400,
            "'top_k' must be a whole number",
        ),
        (
            "/rerank",
            {"query": "q", "documents": ["a"], "max_tokens_per_doc": 5},
            400,
            "'max_tokens_per_doc' is not supported",
        ),
        (
            "/rerank",
            {"query": "q", "documents": ["a"] * (Limits().documents + 1)},
            413,
            "1,001 documents; at most 1,000",
        ),
        (
            "/rerank",
            {"query": "q", "documents": ["a"], "model": "gpt"},
            404,
            f"no model 'gpt' here; served: {MODEL}",
        ),
        ("/embed", {"query": "q", "documents": ["a"]}, 404, "POST goes to /rerank"),
    ],
)
def test_what_cannot_be_answered_is_told_in_one_line_of_json(
    served: server.RerankServer, path: str, body: Any, status: int, message: str
) -> None:
    got, told, _ = ask(served.url, path, body)
    assert (got, told["error"]["code"]) == (status, status)
    assert message in told["error"]["message"]
    assert "/chat" not in told["error"]["message"], "it writes no text"
    assert ask(served.url, "/health", method="GET")[:2] == (200, {"status": "ok"})
    got, told, _ = ask(served.url, "/none", method="GET")
    assert (got, told["error"]["message"].endswith("/v1/reranking")) == (404, True)


def test_a_body_is_limited_and_its_length_must_be_told(served: server.RerankServer) -> None:
    status, told, headers = ask(
        served.url, "/rerank", headers={"Content-Length": str(Limits().body_bytes + 1)}
    )
    assert (status, headers["Connection"]) == (413, "close")
    assert "at most 16,777,216" in told["error"]["message"]
    assert ask(served.url, "/rerank", headers={"Content-Length": "-3"})[0] == 411
    assert ask(served.url, "/rerank", headers={"Content-Length": "9" * 5000})[0] == 411
    assert ask(served.url, "/rerank", headers={"Transfer-Encoding": "chunked"})[0] == 411
    assert ask(served.url, "/", method="GET")[0] == 404
    status, told, _ = ask(served.url, "/rerank", method="DELETE")
    assert (status, "DELETE" in told["error"]["message"]) == (501, True)


def test_a_client_that_leaves_in_the_middle_disturbs_nobody(served: server.RerankServer) -> None:
    with socket.create_connection(("127.0.0.1", int(served.url.rpartition(":")[2]))) as rude:
        rude.sendall(
            b'POST /rerank HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{"query": "q"'
        )
    assert ask(served.url, "/rerank", {"query": "hot tea", "texts": DOCS})[0] == 200


def test_nothing_is_scored_for_a_client_that_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    reranker = hosted.build("word-overlap", {}, "cpu")
    asked: list[str] = []
    started, released = threading.Event(), threading.Event()
    answer = reranker._reranker.rerank  # type: ignore[attr-defined]

    def rerank(requests: Any) -> Any:
        asked.append(requests[0].query)
        started.set()
        released.wait(30)
        return answer(requests)

    monkeypatch.setattr(reranker._reranker, "rerank", rerank)
    with server.RerankServer(reranker, "127.0.0.1", 0) as running, ThreadPoolExecutor(1) as pool:
        reranker.load()
        running.start()
        first = pool.submit(ask, running.url, "/rerank", {"query": "first", "texts": DOCS})
        assert started.wait(30)
        body = json.dumps({"query": "second", "texts": DOCS}).encode()
        head = f"POST /rerank HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", int(running.url.rpartition(":")[2]))) as rude:
            rude.sendall(head.encode() + body)
        released.set()
        assert first.result(30)[0] == 200
        assert ask(running.url, "/rerank", {"query": "third", "texts": DOCS})[0] == 200
    assert asked == ["first", "third"]


def test_info_says_what_loaded(served: server.RerankServer) -> None:
    _, info, _ = ask(served.url, "/info", method="GET")
    assert (info["model_id"], info["model_dtype"], info["max_input_length"]) == (
        MODEL,
        "float32",
        512,
    )
    assert info["model_sha"].startswith("sha256:")
    assert info["description"]["facts"]["random_weights"] is True
    assert info["description"]["backend"] == "cross-encoder"


def test_many_connections_share_one_model_and_each_gets_its_own_answer(
    served: server.RerankServer,
) -> None:
    ours = bench.reranker("cross-encoder", model=MODEL, device="cpu")
    queries = ["hot tea", "cold river", "the cat", "how long", "money bank", "moon"]
    wanted = {query: ours.score(query, DOCS) for query in queries}
    got: dict[tuple[str, int], Any] = {}

    def client(number: int) -> None:
        connection = http.client.HTTPConnection(served.url.removeprefix("http://"), timeout=30)
        for query in queries:
            connection.request("POST", "/rerank", json.dumps({"query": query, "texts": DOCS}))
            got[query, number] = json.loads(connection.getresponse().read())
        connection.close()

    threads = [threading.Thread(target=client, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 48
    for (query, _), results in got.items():
        close(
            [item["score"] for item in sorted(results, key=lambda one: one["index"])], wanted[query]
        )


@pytest.fixture(scope="module")
def chatting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[server.RerankServer]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RERANK_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        with serving("listwise", model="tiny:chat") as running:
            yield running


def test_a_language_model_says_what_it_says_to_transformers(chatting: server.RerankServer) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    messages = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "rank [1] the cat [2] hot tea"},
    ]
    body = {"model": "tiny:chat", "messages": messages, "temperature": 0.0, "max_tokens": 12}
    status, told, _ = ask(chatting.url, "/v1/chat/completions", body)
    assert status == 200
    folder = tiny.folder("tiny:chat")
    with tiny.quiet():
        tokenizer, network = (
            AutoTokenizer.from_pretrained(folder),
            AutoModelForCausalLM.from_pretrained(folder),
        )
    inputs = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    written = network.generate(**inputs, max_new_tokens=12, do_sample=False)[
        0, inputs["input_ids"].shape[1] :
    ]
    assert told["choices"][0]["message"]["content"] == tokenizer.decode(
        written, skip_special_tokens=True
    )
    assert (told["usage"]["prompt_tokens"], told["choices"][0]["finish_reason"]) == (
        inputs["input_ids"].shape[1],
        "length",
    )
    assert told["usage"]["completion_tokens"] == 12


def test_our_listwise_client_and_the_model_in_process_agree(chatting: server.RerankServer) -> None:
    options = {"model": "tiny:chat", "window": 3, "stride": 1}
    theirs: Any = rerankers.build("listwise-server", {**options, "base_url": f"{chatting.url}/v1"})
    theirs.load()
    request = CandidateList("q", "hot tea", [str(i) for i in range(len(DOCS))], DOCS)
    ours: Any = rerankers.build("listwise", options)
    ours.load()
    np.testing.assert_array_equal(theirs.rerank([request])[0], ours.rerank([request])[0])
    assert theirs.meter.take().tokens == ours.meter.take().tokens > 0
    theirs.close()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stream": True}, "'stream' can only be false here"),
        ({"temperature": 0.7}, "'temperature' can only be 0 here"),
        ({"messages": []}, "'messages' must be a list of at least one object"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "both texts"),
        ({"max_tokens": "9"}, "'max_tokens' must be a whole number"),
        ({"max_tokens": 40_000}, "an answer of 40000 are more than its 32768"),
    ],
)
def test_a_conversation_that_cannot_be_continued(
    chatting: server.RerankServer, change: dict[str, Any], message: str
) -> None:
    status, told, _ = ask(
        chatting.url,
        "/v1/chat/completions",
        {"messages": [{"role": "user", "content": "hi"}], **change},
    )
    assert (status, message in told["error"]["message"]) == (400, True), told


def test_a_cross_encoder_cannot_be_talked_to(served: server.RerankServer) -> None:
    status, told, _ = ask(
        served.url, "/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}]}
    )
    assert (status, told["error"]["message"]) == (
        404,
        f"{MODEL} writes no text; serve a listwise reranker",
    )


class OddReranker(BaseReranker):
    """Does what its query says."""

    Options = RerankerOptions
    placement = "none"
    inside = threading.Semaphore(0)
    go_on = threading.Event()

    def fingerprint(self) -> dict[str, Any]:
        return {}

    def describe(self) -> Description:
        return Description("odd", {"odd": True})

    def rerank(self, requests: Any) -> list[Any]:
        (query,) = [request.query for request in requests]
        if query == "crash":
            raise ZeroDivisionError("secret path /home/x")
        if query == "disk":
            raise OSError(5, "Input/output error")
        if query == "slow":
            OddReranker.inside.release()
            OddReranker.go_on.wait(20)
        if query == "fail":
            return [Failure("timed out upstream")]
        return [np.full(len(requests[0].docs), np.nan if query == "nan" else 1.0)]


def test_a_model_that_fails_answers_and_lives_on() -> None:
    crashes: list[str] = []
    reranker = hosted.build("tests.integration.test_serving:OddReranker", {}, "cpu")
    with server.RerankServer(reranker, "127.0.0.1", 0, crashes.append) as running:
        reranker.load()
        running.start()
        body = {"documents": ["a", "b"]}
        told = {
            query: ask(running.url, "/rerank", {**body, "query": query})
            for query in ("crash", "disk", "nan", "fail", "fine")
        }
    assert told["crash"][0] == 500
    assert "secret" not in str(told["crash"][1])
    assert told["disk"][0] == 500
    assert crashes == [
        "/rerank: ZeroDivisionError: secret path /home/x",
        "/rerank: OSError: [Errno 5] Input/output error",
    ]
    assert (told["nan"][0], "not finite" in str(told["nan"][1])) == (500, True)
    assert (told["fail"][0], told["fail"][1]["error"]["message"]) == (502, "timed out upstream")
    assert told["fine"][0] == 200


def test_stopping_lets_the_request_in_hand_finish() -> None:
    reranker = hosted.build("tests.integration.test_serving:OddReranker", {}, "cpu")
    running = server.RerankServer(reranker, "127.0.0.1", 0)
    reranker.load()
    running.start()
    idle = socket.create_connection(("127.0.0.1", int(running.url.rpartition(":")[2])))
    got: list[Any] = []
    client = threading.Thread(
        target=lambda: got.append(
            ask(running.url, "/rerank", {"query": "slow", "documents": ["a"]})
        )
    )
    client.start()
    assert OddReranker.inside.acquire(timeout=20)
    stopper = threading.Thread(target=running.stop)
    stopper.start()
    OddReranker.go_on.set()
    stopper.join(20)
    client.join(20)
    idle.close()
    assert not stopper.is_alive()
    assert got[0][0] == 200
    with pytest.raises(ConnectionError):
        ask(running.url, "/health", method="GET")


def test_what_cannot_be_served_is_told() -> None:
    for name in ("oracle", "run-file"):
        with pytest.raises(RerankerError, match=f"{name}: scores by judgments or by query ids"):
            hosted.build(name, {"path": "x.run"} if name == "run-file" else {}, "cpu")
    with pytest.raises(Unavailable, match="no such model folder"):
        hosted.build("cross-encoder", {"model": "./nowhere"}, "cpu")
    with serving("word-overlap") as running:
        port = int(running.url.rpartition(":")[2])
        assert (
            ask(
                running.url,
                "/rerank",
                {"query": "hot tea", "documents": DOCS, "model": "word-overlap"},
            )[0]
            == 200
        )
        with pytest.raises(
            BenchError,
            match=f"127.0.0.1:{port} cannot be used: Address already in use; choose another --port",
        ):
            server.RerankServer(hosted.build("word-overlap", {}, "cpu"), "127.0.0.1", port)


@contextmanager
def process(*arguments: str, **environment: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`rerank-bench serve` as a user starts it: its address and the process."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, "-m", "bench", "serve", *arguments, "--port", "0", "--device", "cpu"]
    with subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        line = running.stdout.readline()
        match = re.search(r"http://127\.0\.0\.1:\d+", line)
        try:
            assert match, line + (
                running.stderr.read() if running.stderr and running.poll() is not None else ""
            )
            yield match.group(), running
        finally:
            running.terminate()


def test_a_run_through_a_server_ranks_as_in_process_and_parity_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recipe of docs/rerankers.md: one suite with both rows, over the embedded collection."""
    with serving(model=MODEL, max_length=128) as running:
        url = running.url
        suite = {
            "name": "server-parity",
            "datasets": [{"embedded:everyday": {"queries": 12}}],
            "rerankers": [
                {"cross-encoder": {"model": MODEL, "max_length": 128, "name": "in-process"}},
                {"rerank-server": {"model": MODEL, "base_url": url, "name": "served"}},
                {
                    "rerank-server": {
                        "model": MODEL,
                        "base_url": url,
                        "shape": "tei",
                        "name": "served-tei",
                    }
                },
            ],
            "depth": 40,
            "latency": None,
        }
        run = bench.run(suite, out=tmp_path / "out", device="cpu")
    for name in ("served", "served-tei"):
        (found,) = within_run(run, name, "in-process")
        assert found.drift.queries == 12
        scores = [
            score for ranked in run.ranking(found.new.trial.id).values() for score in ranked.scores
        ]
        assert found.drift.max_difference <= tolerance(scores)
        assert (found.drift.tau, found.drift.overlap) == (1.0, 1.0)
        assert [list(ranked.doc_ids) for ranked in run.ranking(found.new.trial.id).values()] == [
            list(ranked.doc_ids) for ranked in run.ranking(found.baseline.trial.id).values()
        ]
    from bench.cli.main import main

    monkeypatch.setattr(
        sys, "argv", ["rerank-bench", "parity", str(run.folder), "served", "in-process"]
    )
    with pytest.raises(SystemExit):
        main()
    assert re.search(
        r"max \|score difference\| \S+, mean tau 1\.0000, mean top-10 overlap 1\.000",
        capsys.readouterr().out,
    )


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        (
            "/rerank",
            {"query": "x" * 101, "documents": ["a"]},
            413,
            "'query' has a text of 101 characters; at most 100",
        ),
        (
            "/rerank",
            {"query": "q", "texts": ["a", "x" * 101]},
            413,
            "'texts' has a text of 101 characters",
        ),
        ("/rerank", {"query": "q", "documents": ["a"] * 7}, 413, "7 documents; at most 6"),
        (
            "/rerank",
            {"query": "q", "documents": ["a" * 99] * 6},
            413,
            "about 156 tokens in 6 pairs; at most 150 in a request",
        ),
        (
            "/rerank",
            {"query": "q", "documents": ["a"], "pad": "x" * 5000},
            413,
            "bytes; at most 4,096 in a request",
        ),
        (
            "/rerank",
            b'{"query": "\\ud800", "documents": ["a"]}',
            400,
            "'query' holds half a character",
        ),
        (
            "/rerank",
            b'{"query": "q", "documents": ["\\udfff"]}',
            400,
            "'documents' holds half a character",
        ),
        ("/rerank", b'{"query": "q", "documents": ["a"], "model": "\\ud800"}', 404, "no model"),
        (
            "/rerank",
            {"query": "q", "documents": ["a"], "model": ["m"]},
            400,
            "'model' must be a text",
        ),
        (
            "/rerank",
            {"query": "q", "documents": ["a"], "return_documents": "yes"},
            400,
            "'return_documents' must be true or false",
        ),
        ("/rerank", {"query": ["q"], "documents": ["a"]}, 400, "'query' must be a text"),
        ("/rerank", {"query": "q", "documents": {"a": 1}}, 400, "'documents' must be a list"),
        (
            "/rerank",
            {"query": "q", "documents": [["a"]]},
            400,
            "each of 'documents' must be a text",
        ),
        (
            "/rerank",
            b'{"query": "q", "documents": ["a"], "top_n": 1e999}',
            400,
            "'top_n' must be a whole number",
        ),
        (
            "/rerank",
            b'{"query": "q", "documents": ["a"], "top_n": NaN}',
            400,
            "'top_n' must be a whole number",
        ),
        ("/rerank", b'{"query": ' + b"[" * 2000 + b"]" * 2000 + b"}", 400, ""),
        ("/rerank", b"", 400, "the body is not JSON"),
        (
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": "x" * 101}]},
            413,
            "'messages' has a text of 101",
        ),
    ],
)
def test_what_is_too_much_or_no_text_is_refused(
    path: str, body: Any, status: int, message: str
) -> None:
    limits = Limits(body_bytes=4096, documents=6, characters=100, tokens=150)
    with serving("word-overlap", limits=limits) as running:
        got, told, _ = ask(running.url, path, body)
        assert (got, told["error"]["code"]) == (status, status), told
        assert message in told["error"]["message"]
        assert "\n" not in told["error"]["message"]
        assert ask(running.url, "/rerank", {"query": "q", "documents": ["a q"]})[0] == 200


def test_a_body_that_is_too_large_is_refused_while_it_is_still_being_sent() -> None:
    with serving("word-overlap", limits=Limits(body_bytes=2**20)) as running:
        status, told, headers = ask(
            running.url, "/rerank", {"query": "fox " * 2**22, "documents": ["a"]}
        )
        assert (status, headers["Connection"]) == (413, "close")
        assert "at most 1,048,576 in a request" in told["error"]["message"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost:8787"}, 200),
        ({"Host": "LOCALHOST."}, 200),
        ({"Host": "[::1]:8787"}, 200),
        ({"Host": "192.168.0.9"}, 200),
        ({"Host": "box.local:9"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example:8787"}, 403),
        ({"Host": "localhost@evil.example"}, 403),
        ({"Host": "["}, 403),
        ({"Host": ""}, 403),
        ({"Origin": "http://127.0.0.1:8787"}, 200),
        ({"Origin": "http://[::1]"}, 200),
        ({"Origin": "http://box.local:3000"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://203.0.113.5"}, 403),
        ({"Origin": "http://[2001:db8::5]:80"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_a_web_page_under_another_name_is_not_answered(
    headers: dict[str, str], status: int
) -> None:
    with serving("word-overlap", host_names=["Box.local"]) as running:
        assert (
            ask(running.url, "/rerank", {"query": "q", "texts": ["a"]}, headers=headers)[0]
            == status
        )
        assert ask(running.url, "/info", method="GET", headers=headers)[0] == status
    with serving("word-overlap", host_names=["*"]) as running:
        assert (
            ask(running.url, "/rerank", {"query": "q", "texts": ["a"]}, headers=headers)[0] == 200
        )


def test_names_and_scale_are_as_asked() -> None:
    with serving(aliases=["rerank-v3.5", "theirs"], scale="sigmoid", model=MODEL) as running:
        assert [
            model["id"] for model in ask(running.url, "/v1/models", method="GET")[1]["data"]
        ] == [MODEL, "rerank-v3.5", "theirs"]
        assert (
            ask(running.url, "/v1/models", method="GET")[1]
            == ask(running.url, "/models", method="GET")[1]
        )
        assert ask(running.url, "/info", method="GET")[1]["scores"] == "sigmoid"
        _, told, _ = ask(
            running.url, "/rerank", {"query": "hot tea", "documents": DOCS, "model": "theirs"}
        )
        assert told["model"] == "theirs"
        assert (
            ask(running.url, "/rerank", {"query": "hot tea", "documents": DOCS, "model": "other"})[
                0
            ]
            == 404
        )
    raw = bench.reranker("cross-encoder", model=MODEL, device="cpu").score("hot tea", DOCS)
    squashed = {item["index"]: item["relevance_score"] for item in told["results"]}
    ours = 1 / (1 + np.exp(-raw))  # nowhere steeper than 1/4
    assert [squashed[i] for i in range(len(DOCS))] == pytest.approx(ours, abs=tolerance(raw) / 4)


def test_clients_that_send_slowly_or_stop_hold_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "REQUEST_S", 0.5)
    with serving("word-overlap") as running:
        address = ("127.0.0.1", int(running.url.rpartition(":")[2]))
        head = b"POST /rerank HTTP/1.1\r\nHost: localhost\r\n"
        openings = [
            b"",
            b"P",
            head,
            head + b"Content-Length: 40\r\n\r\n",
            head + b'Content-Length: 40\r\n\r\n{"query',
        ]
        with contextlib.ExitStack() as stack:
            clients = [
                stack.enter_context(socket.create_connection(address, timeout=10)) for _ in openings
            ]
            for client, opening in zip(clients, openings, strict=True):
                client.sendall(opening)
            assert ask(running.url, "/rerank", {"query": "q", "texts": ["a"]})[0] == 200
            answers = [client.recv(65_536) for client in clients[1:]]
        assert answers[:2] == [b"", b""], "no request yet: the connection is closed"
        assert all(answer.startswith(b"HTTP/1.1 408 ") for answer in answers[2:])


@pytest.mark.parametrize("extra", ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"])
def test_a_request_whose_length_can_be_read_in_two_ways_is_refused(
    served: server.RerankServer, extra: str
) -> None:
    with socket.create_connection(
        ("127.0.0.1", int(served.url.rpartition(":")[2])), timeout=10
    ) as client:
        head = "POST /rerank HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2"
        client.sendall(f"{head}\r\n{extra}\r\n{{}}".encode())
        assert client.recv(65_536).startswith(b"HTTP/1.1 411 ")


@pytest.mark.parametrize(
    "body_header", ["Content-Length: {length}", "Transfer-Encoding: chunked", "Content-Length: x"]
)
def test_the_body_of_a_get_is_not_answered_as_a_request(
    served: server.RerankServer, body_header: str
) -> None:
    hidden = "GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n"
    head = f"GET /health HTTP/1.1\r\nHost: localhost\r\n{body_header}\r\n\r\n"
    answer = answer_of(served, head.format(length=len(hidden)) + hidden)
    assert answer.startswith("HTTP/1.1 200 ")
    assert answer.count("HTTP/1.1") == 1
    assert "Connection: close" in answer


@pytest.mark.parametrize("header", ["Host", "Origin"])
def test_a_header_that_could_be_read_in_two_ways_is_refused(
    served: server.RerankServer, header: str
) -> None:
    twice = f"{header}: http://localhost\r\n{header}: http://127.0.0.1\r\n"
    answer = answer_of(served, f"GET /health HTTP/1.1\r\nConnection: close\r\n{twice}\r\n")
    assert answer.startswith("HTTP/1.1 400 ")
    assert f"one {header} header is needed, not 2" in answer


def answer_of(running: server.RerankServer, request: str) -> str:
    """Return all that the server sends until it closes the connection."""
    address = ("127.0.0.1", int(running.url.rpartition(":")[2]))
    with socket.create_connection(address, timeout=10) as client:
        client.sendall(request.encode())
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65_536), b"")).decode()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"texts": ["a"], "raw_scores": False}, "'raw_scores' cannot be false here"),
        ({"texts": ["a"], "raw_scores": 1}, "'raw_scores' must be true or false"),
        ({"texts": ["a"], "truncate": False}, "'truncate' can only be true here"),
        ({"documents": ["a"], "truncation": False}, "'truncation' can only be true here"),
        ({"texts": ["a"], "documents": ["b"]}, "'documents' and 'texts' are both given"),
        ({"texts": ["a"], "top_n": 1}, "'top_n' does not go with 'texts', 'return_text'"),
        ({"documents": ["a"], "top_n": 1, "top_k": 1}, "'top_n' does not go with 'documents'"),
        (b'{"query": "q", "texts": ["a"], "texts": ["b"]}', "'texts' is given twice"),
    ],
)
def test_a_field_that_asks_for_another_answer_is_refused(
    served: server.RerankServer, body: Any, message: str
) -> None:
    content = body if isinstance(body, bytes) else {"query": "q", **body}
    status, answer, _ = ask(served.url, "/rerank", content)
    assert status == 400
    assert message in answer["error"]["message"]


def test_more_requests_than_can_wait_are_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_REQUESTS", 1)
    OddReranker.go_on.clear()
    with serving("tests.integration.test_serving:OddReranker") as running:
        waiting = threading.Thread(
            target=ask, args=(running.url, "/rerank", {"query": "slow", "documents": ["a"]})
        )
        waiting.start()
        assert OddReranker.inside.acquire(timeout=20)
        status, told, headers = ask(running.url, "/rerank", {"query": "fine", "documents": ["a"]})
        health = ask(running.url, "/health", method="GET")[0]
        OddReranker.go_on.set()
        waiting.join(20)
        assert (status, headers["Retry-After"], health) == (503, "1", 200)
        assert (
            told["error"]["message"]
            == "too many requests are waiting already (1): send this one again in a moment"
        )
        # The first client has its answer a moment before its place in the queue is free again.
        statuses = (
            ask(running.url, "/rerank", {"query": "fine", "documents": ["a"]})[0]
            for _ in range(1000)
        )
        assert next((status for status in statuses if status != 503), 503) == 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(number: signal.Signals) -> None:
    with process("word-overlap") as (url, running):
        idle = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])))
        running.send_signal(number)
        assert running.wait(120) == 0
        idle.close()
        assert running.stdout is not None
        assert running.stdout.read().endswith("stopping\n")
        assert running.stderr is not None
        assert running.stderr.read() == ""


class SlowToLoad(OddReranker):
    """Takes longer to load than anybody waits."""

    def load(self) -> None:
        print("loading", flush=True)  # noqa: T201
        time.sleep(60)


def test_a_signal_ends_it_while_the_model_loads() -> None:
    command = [
        sys.executable,
        "-m",
        "bench",
        "serve",
        "tests.integration.test_serving:SlowToLoad",
        "--port",
        "0",
        "--device",
        "cpu",
    ]
    root = ROOT
    with subprocess.Popen(
        command,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline() == "loading\n"
            running.send_signal(signal.SIGINT)
            assert running.wait(120) == 130
            assert running.stderr is not None
            assert running.stderr.read() == "stopped before the model was loaded\n"
        finally:
            running.kill()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nonsense",), "unknown reranker 'nonsense'"),
        (("cross-encoder", "-o", "model"), "--option model: write KEY=VALUE"),
        (
            ("cross-encoder", "-o", "model=tiny:bert", "-o", "batch_size=none"),
            "option 'batch_size'",
        ),
        (("cross-encoder", "-o", "model=tiny:bert-cross"), "did you mean 'bert-cross-encoder'?"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    arguments: tuple[str, ...],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from bench.cli.main import main

    monkeypatch.setattr(sys, "argv", ["rerank-bench", "serve", "--device", "cpu", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    assert told in capsys.readouterr().err


def test_options_are_read_as_in_a_suite() -> None:
    from bench.cli.arguments import options_of

    given = (
        "batch_size=8",
        "prompt=query: ",
        "revision=null",
        "normalize=false",
        "model=tiny:colbert",
        "x={a",
        "y=a=b",
    )
    assert options_of(given) == {
        "batch_size": 8,
        "prompt": "query: ",
        "revision": None,
        "normalize": False,
        "model": "tiny:colbert",
        "x": "{a",
        "y": "a=b",
    }
