"""What was paid for is kept: a hosted reranker's answers reach the cache every few requests, and a
request to end is a clean end.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import rerankers
from bench.cli.main import INTERRUPTED
from bench.contract.request import CandidateList
from bench.core.errors import RerankerError
from bench.scoring.cache import ScoreCache
from bench.scoring.engine import score
from tests.support.fake_cohere import FakeCohere, good_jina, reply, serve
from tests.support.forked import Forked
from tests.support.made_collections import QUERIES, write_common_things

Build = Callable[..., Any]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCohere]:
    monkeypatch.setenv("RERANK_BENCH_CACHE", str(tmp_path / "cache"))
    with serve() as fake:
        fake.always = good_jina
        yield fake


def requests(count: int = QUERIES) -> list[CandidateList]:
    return [
        CandidateList(f"q{i}", f"query {i}", ["a", "b"], [f"tea {i}", f"coffee {i}"])
        for i in range(count)
    ]


@pytest.fixture
def build(server: FakeCohere) -> Iterator[Build]:
    clients: list[Any] = []

    def make(**options: Any) -> Any:
        clients.append(
            rerankers.build(
                "rerank-server", {"model": "m", "base_url": server.url, "retries": 0, **options}
            )
        )
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def files(client: Any) -> int:
    return len(list(ScoreCache(client.fingerprint()).folder.glob("*.npz")))


@pytest.mark.parametrize("concurrency", [1, 3])
def test_answers_are_on_disk_while_the_chunk_is_still_asked_for(
    server: FakeCohere, build: Build, concurrency: int
) -> None:
    client = build(concurrency=concurrency)
    at_hand: list[int] = []

    def answer(request: dict[str, Any]) -> Any:
        at_hand.append(files(client))
        return good_jina(request)

    server.always = answer
    scored = score(client, requests(), chunk_pairs=1000)
    assert max(at_hand) >= 4, "24 answers, kept every four or so"
    assert files(client) == 1, "the file of the finished chunk takes the place of theirs"
    again = score(build(), requests(), chunk_pairs=1000)
    assert (again.cached_queries, again.usage, len(server.requests)) == (
        QUERIES,
        scored.usage,
        QUERIES,
    )
    assert again.usage_by_query == scored.usage_by_query
    for query_id, values in scored.scores.items():
        np.testing.assert_array_equal(values, again.scores[query_id])


def test_a_service_that_dies_leaves_every_answer_and_its_cost(
    server: FakeCohere, build: Build
) -> None:
    server.script = [good_jina] * 10 + [lambda _: reply(401, {"detail": "the key has expired"})]
    with pytest.raises(RerankerError, match="expired"):
        score(build(), requests(), chunk_pairs=1000)
    scored = score(build(), requests(), chunk_pairs=1000)
    assert (scored.cached_queries, scored.computed_queries) == (10, QUERIES - 10)
    assert len(server.requests) == QUERIES + 1
    assert scored.usage["tokens"] == QUERIES * 20
    assert scored.usage["calls"] == QUERIES + 1, "the refused request was one, too"


SIGNALS = [
    (signal.SIGTERM, 1, 143, 1),
    (signal.SIGHUP, 4, 129, 0),
    (signal.SIGKILL, 1, -signal.SIGKILL, 5),
]


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
@pytest.mark.parametrize(("number", "concurrency", "code", "twice"), SIGNALS)
def test_a_stopped_run_pays_only_for_what_was_not_answered(
    server: FakeCohere,
    tmp_path: Path,
    number: signal.Signals,
    concurrency: int,
    code: int,
    twice: int,
) -> None:
    write_common_things(tmp_path)
    suite = {
        "name": "paid",
        "datasets": ["files:data"],
        "rerankers": [
            {
                "rerank-server": {
                    "name": "ours",
                    "model": "m",
                    "base_url": server.url,
                    "concurrency": concurrency,
                }
            }
        ],
        "latency": None,
        "devices": "cpu",
    }
    (tmp_path / "suite.yaml").write_text(json.dumps(suite))

    stopped = threading.Event()

    def answer(request: dict[str, Any]) -> Any:
        """Answer half of the queries, and no more before the signal."""
        time.sleep(0.05)
        if len(server.requests) > QUERIES // 2:
            stopped.wait(60)
        return good_jina(request)

    server.always = answer
    process = start(tmp_path)
    deadline = time.monotonic() + 60
    while (
        len(server.requests) < QUERIES // 2
        and process.poll() is None
        and time.monotonic() < deadline
    ):
        time.sleep(0.005)
    process.send_signal(number)
    stopped.set()
    assert process.wait(60) == code
    errors = (tmp_path / "errors.txt").read_text()
    if number != signal.SIGKILL:
        assert INTERRUPTED in errors
        assert "Traceback" not in errors
    first = len(server.requests)
    assert first < QUERIES, "it was stopped in the midst"
    again = start(tmp_path)
    assert again.wait(60) == 0, (tmp_path / "errors.txt").read_text()
    assert len(server.requests) <= QUERIES + twice


def start(folder: Path) -> Forked:
    environment = {"RERANK_BENCH_CACHE": os.environ["RERANK_BENCH_CACHE"]}
    arguments = ["run", "suite.yaml", "--quiet"]
    return Forked(arguments, folder, environment, folder / "errors.txt")
