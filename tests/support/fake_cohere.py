"""A real HTTP server that answers POST /v2/rerank as Cohere does, or fails in a way that a test
scripts.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.http_server import Handler, listening

Answer = tuple[int, dict[str, str], bytes]


def relevance(query: str, document: str) -> float:
    """A score between 0 and 1 that depends on nothing but the pair."""
    return zlib.crc32(f"{query}\0{document}".encode()) / 2**32


def rerank_body(request: dict[str, Any]) -> dict[str, Any]:
    """What the real service answers: results by falling relevance, and the search units it
    bills.
    """
    scores = [relevance(request["query"], document) for document in request["documents"]]
    ranked = sorted(range(len(scores)), key=lambda i: -scores[i])[
        : request.get("top_n", len(scores))
    ]
    results = [{"index": i, "relevance_score": scores[i]} for i in ranked]
    units = -(-len(scores) // 100)
    return {"id": "x", "results": results, "meta": {"billed_units": {"search_units": units}}}


def good(request: dict[str, Any]) -> Answer:
    return reply(200, rerank_body(request))


def good_voyage(request: dict[str, Any]) -> Answer:
    """POST {base}/rerank of Voyage: `data` and the tokens that it bills."""
    results = rerank_body(request | {"top_n": request["top_k"]})["results"]
    return reply(
        200,
        {
            "object": "list",
            "data": results,
            "model": request["model"],
            "usage": {"total_tokens": 10 * len(results)},
        },
    )


def good_mixedbread(request: dict[str, Any]) -> Answer:
    """POST /v1/reranking of Mixedbread: `score`, and `input` for the documents."""
    body = rerank_body(
        {"query": request["query"], "documents": request["input"], "top_n": request["top_k"]}
    )["results"]
    data = [
        {"index": item["index"], "score": item["relevance_score"], "object": "rank_result"}
        for item in body
    ]
    usage = {"prompt_tokens": 10 * len(data), "total_tokens": 10 * len(data)}
    return reply(
        200,
        {
            "object": "list",
            "model": request["model"],
            "data": data,
            "usage": usage,
            "top_k": len(data),
            "return_input": False,
        },
    )


def good_jina(request: dict[str, Any]) -> Answer:
    """POST /rerank of Jina, vLLM and Infinity: Cohere's results, and tokens."""
    results = rerank_body(request)["results"]
    return reply(
        200,
        {
            "model": request["model"],
            "results": results,
            "usage": {"total_tokens": 10 * len(results)},
        },
    )


def good_tei(request: dict[str, Any]) -> Answer:
    """POST /rerank of Text Embeddings Inference: a bare list, tokens in a header, 32 texts at
    most.
    """
    if len(request["texts"]) > 32:
        return reply(
            422, {"error": "batch size > maximum allowed batch size 32", "error_type": "Validation"}
        )
    body = rerank_body({"query": request["query"], "documents": request["texts"]})["results"]
    data = [{"index": item["index"], "score": item["relevance_score"]} for item in body]
    return reply(200, data, x_compute_tokens=str(10 * len(data)))


def reply(status: int, body: Any, **headers: str) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return status, {name.replace("_", "-"): value for name, value in headers.items()}, data


class FakeCohere:
    """`script` holds what to do with the coming requests, in order; once it is empty every request
    is answered well.
    """

    def __init__(self) -> None:
        self.url = ""
        self.start_over()

    def start_over(self, always: Callable[[dict[str, Any]], Answer | None] = good) -> None:
        """Forget every request and script, and answer all that comes with `always`."""
        self.script: list[Callable[[dict[str, Any]], Answer | None]] = []
        self.always = always
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.connections: set[int] = set()
        self.paths: list[str] = []
        self.info: dict[str, Any] | None = None
        self.pages: dict[str, Any] = {}
        self.page_status = 404

    def answer(self, request: dict[str, Any]) -> Answer | None:
        self.requests.append(request)
        return (self.script.pop(0) if self.script else self.always)(request)


def slow(seconds: float) -> Callable[[dict[str, Any]], Answer]:
    def answer(request: dict[str, Any]) -> Answer:
        time.sleep(seconds)
        return good(request)

    return answer


def cut(request: dict[str, Any]) -> None:
    """Close the connection without an answer."""


@contextmanager
def serve() -> Iterator[FakeCohere]:
    """The server, on a free port of this machine."""
    fake = FakeCohere()

    class Scripted(Handler):
        def do_GET(self) -> None:  # noqa: N802
            page = fake.info if self.path == "/info" else fake.pages.get(self.path)
            self.respond(reply(fake.page_status, {}) if page is None else reply(200, page))

        def do_POST(self) -> None:  # noqa: N802
            fake.paths.append(self.path)
            fake.connections.add(self.client_address[1])
            fake.keys.append(self.headers.get("Authorization", ""))
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = fake.answer(request)
            if answer is None:
                self.close_connection = True
                return
            self.respond(answer)

        def respond(self, answer: Answer) -> None:
            status, headers, data = answer
            self.send(status, data, {"Content-Type": "application/json", **headers})

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except ConnectionError:  # the client gave up waiting
                self.close_connection = True

    with listening(Scripted) as fake.url:
        yield fake
