"""`serve`, a process of its own, asked by the vendors' own clients: they get the order that the
model gives in process.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

import bench
from bench.contract.request import Usage
from tests.support.agreement import close
from tests.support.fakes import HashReranker
from tests.support.paths import ROOT

NAME = "tests.end_to_end.test_serving_clients:Counting"
ALIAS = "rerank-v3.5"
QUERY = "hot tea"
DOCS = [
    "the cat sat",
    "hot tea and fish",
    "cold river",
    "how long does it rain",
    "a moon over the bank",
    "tea",
]

Order = list[tuple[int, float]]


class Counting(HashReranker):
    """Has no weights to load, and counts tokens as a model does."""

    def score(self, pairs: Sequence[tuple[str, str]]) -> Any:
        words = [len(f"{query} {doc}".split()) for query, doc in pairs]
        self.meter.count(Usage(pairs=len(pairs), tokens=sum(words)))
        return super().score(pairs)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server as a user starts it, under a hosted model's name too."""
    command = [
        sys.executable,
        "-m",
        "bench",
        "serve",
        NAME,
        "--alias",
        ALIAS,
    ]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "RERANK_BENCH_CACHE": str(tmp_path_factory.mktemp("cache")),
    }
    with subprocess.Popen(
        [*command, "--port", "0", "--device", "cpu"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            assert running.stdout is not None
            address = re.search(r"http://127\.0\.0\.1:\d+", running.stdout.readline())
            assert address is not None
            yield address.group()
        finally:
            running.terminate()


@pytest.fixture(scope="module")
def in_process() -> Order:
    """(index, score), best first."""
    return bench.reranker(NAME, device="cpu").rerank(QUERY, DOCS)


def by_cohere(url: str) -> Order:
    cohere = pytest.importorskip("cohere")
    with cohere.ClientV2("unused", base_url=url, timeout=30) as client:
        answer = client.rerank(model=ALIAS, query=QUERY, documents=DOCS, top_n=len(DOCS))
    return [(result.index, result.relevance_score) for result in answer.results]


def by_cohere_v1(url: str) -> Order:
    cohere = pytest.importorskip("cohere")
    with cohere.Client("unused", base_url=url, timeout=30) as client:
        answer = client.rerank(model=ALIAS, query=QUERY, documents=DOCS, return_documents=True)
    assert [result.document.text for result in answer.results] == [
        DOCS[result.index] for result in answer.results
    ]
    return [(result.index, result.relevance_score) for result in answer.results]


def by_voyage(url: str) -> Order:
    voyageai = pytest.importorskip("voyageai")
    client = voyageai.Client("unused", base_url=f"{url}/v1", max_retries=0, timeout=30)
    answer = client.rerank(QUERY, DOCS, model=ALIAS, top_k=len(DOCS))
    # The package keeps its connection for the thread's next call, and offers no way to end it.
    sys.modules["voyageai.api_resources.api_requestor"]._thread_context.session.close()
    assert answer.total_tokens > len(DOCS)
    assert [result.document for result in answer.results] == [
        DOCS[result.index] for result in answer.results
    ]
    return [(result.index, result.relevance_score) for result in answer.results]


def by_mixedbread(url: str) -> Order:
    mixedbread = pytest.importorskip("mixedbread")
    with mixedbread.Mixedbread(api_key="unused", base_url=url, max_retries=0, timeout=30) as client:
        answer = client.rerank(model=ALIAS, query=QUERY, input=DOCS, top_k=len(DOCS))
    return [(result.index, result.score) for result in answer.data]


def by_httpx(url: str) -> Order:
    httpx = pytest.importorskip("httpx")
    with httpx.Client(base_url=url, timeout=30) as client:
        answer = (
            client.post("/v1/rerank", json={"model": ALIAS, "query": QUERY, "documents": DOCS})
            .raise_for_status()
            .json()
        )
        assert answer["model"] == ALIAS
        assert ALIAS in [
            model["id"] for model in client.get("/v1/models").raise_for_status().json()["data"]
        ]
        too_much = client.post("/v1/rerank", content=b"x" * (17 * 2**20))
        assert (too_much.status_code, "at most" in too_much.json()["error"]["message"]) == (
            413,
            True,
        )
    return [(result["index"], result["relevance_score"]) for result in answer["results"]]


CLIENTS: dict[str, Callable[[str], Any]] = {
    "cohere": by_cohere,
    "cohere v1": by_cohere_v1,
    "voyageai": by_voyage,
    "mixedbread": by_mixedbread,
    "httpx": by_httpx,
}


@pytest.mark.parametrize("client", sorted(CLIENTS))
@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::pydantic.warnings.PydanticDeprecatedSince20"
)
def test_a_vendors_client_gets_the_order_that_the_model_gives_in_process(
    url: str, in_process: Order, client: str
) -> None:
    served = CLIENTS[client](url)
    assert [index for index, _ in served] == [index for index, _ in in_process]
    close([score for _, score in served], [score for _, score in in_process])
    assert len({score for _, score in served}) == len(DOCS)
