"""Voyage, Mixedbread and any server with a POST /rerank, against real HTTP servers that fail in
every way the real ones do.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest

from bench import rerankers
from bench.catalogue import entries
from bench.contract.request import Failure, Usage
from bench.core.errors import RerankerError, SuiteError, Unavailable
from bench.rerankers.remote import pacing
from bench.rerankers.remote.pacing import Pace
from tests.support.fake_cohere import (
    FakeCohere,
    cut,
    good,
    good_jina,
    good_mixedbread,
    good_tei,
    good_voyage,
    reply,
    serve,
)
from tests.support.remote_clients import DOCS, KEY, Client, ask, clients, expected, query, refusal
from tests.support.waits import Seconds, Waits

BACKENDS: dict[str, tuple[str, str, dict[str, Any], Callable[..., Any]]] = {
    "voyage": ("voyage", "VOYAGE_API_KEY", {"model": "rerank-2.5"}, good_voyage),
    "mixedbread": (
        "mixedbread",
        "MXBAI_API_KEY",
        {"model": "mixedbread-ai/mxbai-rerank-base-v2"},
        good_mixedbread,
    ),
    "jina": (
        "rerank-server",
        "JINA_API_KEY",
        {"model": "jina-reranker-m0", "api_key_env": "JINA_API_KEY"},
        good_jina,
    ),
    "tei": (
        "rerank-server",
        "TEI_KEY",
        {"model": "bge", "api_key_env": "TEI_KEY", "shape": "tei"},
        good_tei,
    ),
}


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, FakeCohere]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(serve()) for name in BACKENDS}


@pytest.fixture(params=sorted(BACKENDS))
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, (_, variable, _, _) in BACKENDS.items():
        monkeypatch.setenv(variable, KEY if name == request.param else "another key")
    monkeypatch.delenv("MIXEDBREAD_BASE_URL", raising=False)
    return str(request.param)


@pytest.fixture
def server(servers: dict[str, FakeCohere], backend: str) -> FakeCohere:
    fake = servers[backend]
    fake.start_over(BACKENDS[backend][3])
    return fake


@pytest.fixture
def client(server: FakeCohere, backend: str) -> Iterator[Client]:
    name, _, own, _ = BACKENDS[backend]
    with clients(name, base_url=server.url, **own) as make:
        yield make


def change(
    backend: str, edit: Callable[[list[dict[str, Any]], str], Any]
) -> Callable[[dict[str, Any]], Any]:
    """A server that answers well, but for an edit of its list of results; `edit` is told the name
    of the score.
    """

    def answer(request: dict[str, Any]) -> Any:
        status, headers, data = BACKENDS[backend][3](request)
        body = json.loads(data)
        score = {"mixedbread": "score", "tei": "score"}.get(backend, "relevance_score")
        if backend == "tei":
            return reply(status, edit(body, score), **headers)
        name = "results" if backend == "jina" else "data"
        return reply(status, {**body, name: edit(body[name], score)}, **headers)

    return answer


def test_scores_come_back_in_the_order_of_the_documents(
    backend: str, server: FakeCohere, client: Client
) -> None:
    reranker = client()
    np.testing.assert_array_equal(ask(reranker), expected())
    sent: dict[str, Any] = {"model": reranker.options.model, "query": "a query"}
    assert server.requests == [
        {
            "voyage": {**sent, "documents": DOCS, "top_k": 7, "truncation": True},
            "mixedbread": {**sent, "input": DOCS, "top_k": 7, "return_input": False},
            "jina": {**sent, "documents": DOCS, "top_n": 7, "return_documents": False},
            "tei": {"query": "a query", "texts": DOCS, "raw_scores": True, "truncate": True},
        }[backend]
    ]
    assert server.paths == ["/v1/reranking" if backend == "mixedbread" else "/rerank"]
    assert server.keys == [f"Bearer {KEY}"]
    assert reranker.meter.take() == Usage(pairs=7, calls=1, tokens=70)


def test_one_connection_serves_many_requests(server: FakeCohere, client: Client) -> None:
    client().rerank([query(["tea"], str(i)) for i in range(5)])
    assert len(server.requests) == 5
    assert len(server.connections) == 1


def test_more_documents_than_a_request_may_hold_are_split_and_merged(
    backend: str, server: FakeCohere, client: Client
) -> None:
    docs = [f"document {i}" for i in range(70 if backend == "tei" else 2300)]
    reranker = client(comparable=True)
    np.testing.assert_array_equal(ask(reranker, docs), expected(docs))
    sizes = [
        len(sent.get("documents") or sent.get("input") or sent.get("texts") or ())
        for sent in server.requests
    ]
    assert sizes == ([32, 32, 6] if backend == "tei" else [1000, 1000, 300])
    assert reranker.meter.take() == Usage(pairs=len(docs), calls=3, tokens=10 * len(docs))


def test_without_a_key_the_row_is_unavailable(
    backend: str, monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    variable = BACKENDS[backend][1]
    monkeypatch.delenv(variable)
    with pytest.raises(Unavailable) as caught:
        client()
    assert (caught.value.reason, caught.value.fix) == (f"no {variable}", f"export {variable}=...")


def test_load_comes_first(backend: str, server: FakeCohere) -> None:
    name, _, own, _ = BACKENDS[backend]
    with pytest.raises(RerankerError, match=r"load\(\) comes before rerank\(\)"):
        ask(rerankers.build(name, {"base_url": server.url, **own}))


FATAL = {
    "wrong key": (
        [lambda _: reply(401, {"detail": f"invalid api key {KEY}"})],
        r"the key in \w+ was refused \(HTTP 401: invalid api",
    ),
    "forbidden": (
        [lambda _: reply(403, {"detail": "no"})],
        r"the key in \w+ may not use it \(HTTP 403: no\)",
    ),
    "no such model": (
        [lambda _: reply(404, {"detail": "model not found"})],
        r"no such model '[\w./-]+', or a wrong base_url \(HTTP",
    ),
    "wrong address": ([lambda _: reply(404, b"<html>")], "or a wrong base_url"),
    "quota": ([lambda _: reply(402, {"error": {"message": "pay"}})], "over quota"),
    "rate limit for ever": (
        [lambda _: reply(429, {"detail": "slow down"})] * 3,
        r"over quota or rate limit \(HTTP 429: slow down\)",
    ),
    "wait too long": (
        [lambda _: reply(429, {"detail": "month is over"}, Retry_After="86400")],
        "over quota or rate limit",
    ),
    "not JSON": ([lambda _: reply(200, b"<html>hello</html>")], "not JSON|cannot be read"),
    "text for JSON": (
        [lambda _: reply(200, b"hello", Content_Type="text/plain")],
        "not JSON|cannot be read|no list of results",
    ),
    "no results": ([lambda _: reply(200, {"id": "x"})], "no list of results|cannot be read"),
    "text for results": (
        [lambda _: reply(200, {"results": "none", "data": "none"})],
        "no list of results|cannot be read",
    ),
    "numbers": ([lambda _: reply(200, [1, 2])], "no list of results|cannot be read"),
    "a number": ([lambda _: reply(200, b"3")], "no list of results|cannot be read"),
}
BROKEN: dict[str, tuple[Callable[[list[dict[str, Any]], str], Any], str]] = {
    "too few": (lambda found, _: found[:-1], "the answer has 6 scores for 7 documents"),
    "none": (lambda found, _: [], "the answer has 0 scores for 7 documents"),
    "twice": (lambda found, _: [*found[:-1], found[0]], r"scores document \d twice"),
    "too many": (
        lambda found, _: [*found, found[0] | {"index": 7}],
        r"scores document 7 of 7|cannot be read \(IndexError\)",
    ),
    "negative index": (
        lambda found, _: [*found[:-1], found[0] | {"index": -1}],
        "scores document -1 of 7",
    ),
    "text for an index": (
        lambda found, _: [*found[:-1], found[0] | {"index": "3rd"}],
        r"scores document '3rd' of 7|cannot be read",
    ),
    "no index": (
        lambda found, name: [*found[:-1], {name: 0.5}],
        "scores document None of 7|cannot be read",
    ),
    "NaN": (lambda found, name: [*found[:-1], found[-1] | {name: float("nan")}], "the score nan"),
    "infinite": (
        lambda found, name: [*found[:-1], found[-1] | {name: float("-inf")}],
        "the score -inf",
    ),
    "text": (lambda found, name: [*found[:-1], found[-1] | {name: "high"}], "the score 'high'"),
    "no score": (
        lambda found, name: [*found[:-1], {"index": found[-1]["index"]}],
        "the score None|cannot be read",
    ),
}


@pytest.mark.parametrize("case", sorted(FATAL))
def test_what_no_further_request_could_survive_ends_the_trial_in_one_line(
    backend: str, server: FakeCohere, case: str, client: Client
) -> None:
    server.script, message = list(FATAL[case][0]), FATAL[case][1]
    reranker = client()
    assert refusal(reranker, message).startswith(f"{BACKENDS[backend][0]}: ")
    assert server.script == [], "asked as often as scripted"
    assert reranker.meter.take().calls == len(FATAL[case][0])


@pytest.mark.parametrize("case", sorted(BROKEN))
def test_a_broken_answer_is_never_scored(
    backend: str, server: FakeCohere, case: str, client: Client
) -> None:
    edit, message = BROKEN[case]
    server.always = change(backend, edit)
    with pytest.raises(RerankerError, match=message):
        ask(client())


FAULTS: dict[str, Any] = {
    "500": lambda _: reply(500, {"detail": "oops"}),
    "503 as HTML": lambda _: reply(503, b"<html>"),
    "429 at once": lambda _: reply(429, {"detail": "slow"}, Retry_After="0"),
    "429 without a wish": lambda _: reply(429, {"detail": "slow"}),
    "cut connection": cut,
}


@pytest.mark.parametrize("case", sorted(FAULTS))
def test_a_passing_fault_is_retried_and_counted(
    server: FakeCohere, case: str, client: Client
) -> None:
    server.script = [FAULTS[case]]
    reranker = client()
    np.testing.assert_array_equal(ask(reranker), expected())
    assert reranker.meter.take() == Usage(pairs=7, calls=2, retries=1, tokens=70)


@pytest.mark.parametrize(
    ("fault", "reason", "calls"),
    [
        (FAULTS["500"], "HTTP 500: oops", 3),
        (
            lambda _: reply(400, {"detail": f"bad\n document for {KEY}"}),
            "HTTP 400: bad document for ***",
            1,
        ),
        (
            lambda _: reply(422, {"detail": [{"msg": "too long"}]}),
            "HTTP 422: [{'msg': 'too long'}]",
            1,
        ),
        (cut, "connection failed", 3),
    ],
    ids=["500 always", "400", "422", "cut always"],
)
def test_a_request_that_keeps_failing_fails_its_own_query_only(
    server: FakeCohere, fault: Any, reason: str, calls: int, client: Client
) -> None:
    server.script = [fault] * calls
    reranker = client()
    bad, fine = reranker.rerank([query(["tea"], "a"), query(["tea"], "b")])
    assert isinstance(bad, Failure)
    assert bad.reason.partition(" (")[0] == reason
    np.testing.assert_array_equal(fine, expected(["tea"]))
    assert reranker.meter.take().calls == calls + 1


@pytest.mark.parametrize("backend", ["tei"], indirect=True)
def test_the_rest_of_a_failed_query_is_not_asked_for(server: FakeCohere, client: Client) -> None:
    server.script = [lambda _: reply(400, {"error": "odd text"})]
    long, short = client().rerank(
        [query([f"document {i}" for i in range(90)], "a"), query(["tea"], "b")]
    )
    assert long == Failure("HTTP 400: odd text")
    np.testing.assert_array_equal(short, expected(["tea"]))
    assert [len(sent["texts"]) for sent in server.requests] == [32, 1]


def test_a_slow_answer_is_given_up_and_tried_again(
    backend: str, server: FakeCohere, client: Client
) -> None:
    def slow(request: dict[str, Any]) -> Any:
        time.sleep(0.5)
        return BACKENDS[backend][3](request)

    server.script = [slow]
    np.testing.assert_array_equal(ask(client(timeout_s=0.2)), expected())
    server.script = [slow] * 2
    assert ask(client(timeout_s=0.2, retries=1)) == Failure("no answer within 0.2 s")


def test_nobody_listens(client: Client) -> None:
    with pytest.raises(Unavailable, match=r"nothing listens at 127\.0\.0\.1:9\. start the server"):
        client(base_url="http://127.0.0.1:9")
    with pytest.raises(SuiteError, match="'base_url': not an address such as") as caught:
        client(base_url="http://user:secret@127.0.0.1:x9")
    assert "secret" not in str(caught.value)


def test_a_server_that_goes_away_ends_the_trial_in_one_line(backend: str, client: Client) -> None:
    with serve() as gone:
        reranker = client(base_url=gone.url, retries=1)
        address = gone.url.removeprefix("http://")
    with pytest.raises(RerankerError, match=f"nothing listens at {address}$"):
        ask(reranker)
    assert reranker.meter.take().retries == 1, "it may be about to start again"


@pytest.mark.parametrize("backend", ["jina", "mixedbread", "voyage"], indirect=True)
def test_the_servers_wish_to_wait_goes_before_our_backoff(
    server: FakeCohere, client: Client
) -> None:
    server.script = [lambda _: reply(429, {"detail": "slow"}, Retry_After="0.3")]
    reranker = client(backoff_s=50)
    reranker._stop = waits = Waits()
    ask(reranker)
    assert waits.seconds == [0.3]


# --- several requests at once


class Crowd:
    """Counts how many requests are being answered at once."""

    def __init__(self, answer: Callable[[dict[str, Any]], Any]) -> None:
        self.answer, self.now, self.most, self.lock = answer, 0, 0, threading.Lock()

    def __call__(self, request: dict[str, Any]) -> Any:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.03)
        with self.lock:
            self.now -= 1
        return self.answer(request)


@pytest.mark.parametrize("concurrency", [1, 4])
def test_as_many_requests_are_in_flight_as_allowed(
    backend: str, server: FakeCohere, concurrency: int, client: Client
) -> None:
    server.always = crowd = Crowd(BACKENDS[backend][3])
    reranker = client(concurrency=concurrency)
    requests = [query([f"document {i}", "tea"], str(i)) for i in range(6)]
    for _ in range(2):
        for one, outcome in zip(requests, reranker.rerank(requests), strict=True):
            np.testing.assert_array_equal(outcome, expected(list(one.docs)))
    assert crowd.most == concurrency
    assert len(server.connections) <= concurrency, "connections outlive a call of rerank"
    assert reranker.meter.take() == Usage(pairs=24, calls=12, tokens=240)
    assert reranker.describe().facts["concurrency"] == concurrency


@pytest.mark.parametrize("backend", ["jina", "voyage"], indirect=True)
def test_parts_of_one_request_may_be_in_flight_together(
    backend: str, server: FakeCohere, client: Client
) -> None:
    docs = [f"document {i}" for i in range(100 if backend == "tei" else 3500)]
    server.always = crowd = Crowd(BACKENDS[backend][3])
    np.testing.assert_array_equal(ask(client(concurrency=4), docs), expected(docs))
    assert crowd.most >= 2


def test_a_wrong_key_stops_everything_in_flight_and_to_come(
    server: FakeCohere, client: Client
) -> None:
    server.always = lambda _: reply(401, {"detail": "no"})
    reranker = client(concurrency=2)
    with pytest.raises(RerankerError, match="refused"):
        reranker.rerank([query(["tea"], str(i)) for i in range(50)])
    assert len(server.requests) <= 6
    assert reranker.meter.take().calls == len(server.requests)


@pytest.mark.parametrize("backend", ["jina", "voyage"], indirect=True)
def test_a_fatal_answer_wakes_those_that_wait(
    backend: str, server: FakeCohere, client: Client
) -> None:
    def answer(request: dict[str, Any]) -> Any:
        return (
            reply(401, {"detail": "no"})
            if "coffee" in json.dumps(request)
            else reply(503, {"detail": "later"}, Retry_After="30")
        )

    class Interrupted(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            is_set = super().wait(timeout)
            assert is_set or not timeout, "a wait of 30 s was waited to its end"
            return is_set

    server.always = answer
    reranker = client(concurrency=2)
    reranker._stop = Interrupted()
    with pytest.raises(RerankerError, match="refused"):
        reranker.rerank([query(["tea"]), query(["coffee"])])
    server.always = BACKENDS[backend][3]
    np.testing.assert_array_equal(ask(reranker), expected())


# --- limits per minute


@pytest.mark.parametrize("backend", ["jina"], indirect=True)
def test_requests_are_spread_over_the_minute(
    server: FakeCohere, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "time", Seconds())  # which stands still
    reranker = client(requests_per_minute=600, concurrency=3)
    reranker._stop = waits = Waits()
    reranker.rerank([query(["tea"], str(i)) for i in range(4)])
    assert sorted(waits.seconds) == pytest.approx([0.1, 0.2, 0.3])
    assert len(server.requests) == 4


@pytest.mark.parametrize("backend", ["jina"], indirect=True)
def test_what_the_limits_owe_is_paid_between_timed_calls(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Seconds()
    monkeypatch.setattr(pacing, "time", clock)
    reranker = client(tokens_per_minute=10_000)  # 70 tokens take 0.42 s
    reranker._stop = waits = Waits(clock)
    for calls in range(3):
        ask(reranker)
        assert len(waits.seconds) == calls, "no call waits"
        reranker.pause()
    assert waits.seconds == pytest.approx([0.42] * 3)


def test_a_pace_saves_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Seconds()
    monkeypatch.setattr(pacing, "time", clock)
    pace = Pace(600, None)
    clock.now += 0.15
    assert [pace.book() for _ in range(3)] == pytest.approx([0.0, 0.1, 0.2])
    assert pace.owed() == pytest.approx(0.3)
    assert [Pace(None, None).book() for _ in range(3)] == [0.0] * 3
    tokens = Pace(None, 60_000)
    tokens.charge(500)
    assert tokens.book() == pytest.approx(0.5)


# --- what identifies a model


def test_what_identifies_a_hosted_model(backend: str, server: FakeCohere, client: Client) -> None:
    reranker = client(base_url=server.url.replace("127.0.0.1", "user:password@127.0.0.1"))
    description = reranker.describe()
    own: dict[str, dict[str, Any]] = {
        "voyage": {"truncation": True},
        "mixedbread": {},
        "jina": {"shape": "cohere", "listwise": False, "path": ""},
        "tei": {"shape": "tei", "listwise": False, "path": ""},
    }
    where = {"host": "127.0.0.1", "address": server.url, "served_model_id": None}
    assert description.identity == {"model": reranker.options.model, **where, **own[backend]}
    assert reranker.fingerprint() == {"backend": BACKENDS[backend][0], **description.identity}
    assert "password" not in json.dumps(description.to_dict())
    assert description.facts["sdk"]


@pytest.mark.parametrize("backend", ["tei"], indirect=True)
def test_a_tei_server_says_what_it_serves(server: FakeCohere, client: Client) -> None:
    server.info = {
        "model_id": "BAAI/bge-reranker-base",
        "model_sha": "abc",
        "model_dtype": "float16",
        "version": "1.8",
        "docker_label": None,
    }
    identity = client().describe().identity
    assert identity["served_model_id"] == "BAAI/bge-reranker-base"
    assert identity["served_model_sha"] == "abc"
    assert "served_docker_label" not in identity


@pytest.mark.parametrize("backend", ["mixedbread"], indirect=True)
def test_the_address_may_come_from_the_environment(
    server: FakeCohere, monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    monkeypatch.setenv("MIXEDBREAD_BASE_URL", server.url)
    np.testing.assert_array_equal(ask(client(base_url=None)), expected())


def test_the_usual_addresses() -> None:
    assert rerankers.build("voyage", "rerank-2.5").fingerprint()["host"] == "api.voyageai.com"
    assert rerankers.build("mixedbread", "x").fingerprint()["host"] == "api.mixedbread.com"
    for name, entry in entries.load().items():
        if entry.backend == "rerank-server":
            assert rerankers.build(name).fingerprint()["host"] == "api.jina.ai"


# --- only the plain server


@pytest.mark.parametrize("backend", ["jina", "tei"], indirect=True)
def test_a_server_of_ones_own_needs_no_key(server: FakeCohere, client: Client) -> None:
    reranker = client(api_key_env=None)
    np.testing.assert_array_equal(ask(reranker), expected())
    assert server.keys == [""]
    server.script = [lambda _: reply(401, {"detail": "who are you"})]
    with pytest.raises(RerankerError, match="a request without a key was refused"):
        ask(reranker)


@pytest.mark.parametrize("backend", ["jina"], indirect=True)
def test_search_units_of_a_cohere_shaped_server_are_billed(
    server: FakeCohere, client: Client
) -> None:
    server.always = good
    reranker = client(base_url=server.url + "/v2/")
    np.testing.assert_array_equal(ask(reranker), expected())
    assert server.paths == ["/v2/rerank"]
    assert reranker.describe().identity["path"] == "/v2"
    assert reranker.meter.take() == Usage(pairs=7, calls=1, billed_units=1.0)


@pytest.mark.parametrize("backend", ["jina"], indirect=True)
def test_a_listwise_models_scores_are_never_merged(client: Client) -> None:
    reranker = client(listwise=True, documents_per_request=7)
    assert not reranker.pointwise
    assert client().pointwise
    np.testing.assert_array_equal(ask(reranker), expected())
    with pytest.raises(
        RerankerError,
        match="8 documents in requests of 7: a listwise model's scores cannot be merged",
    ):
        ask(reranker, [*DOCS, "tea"])


@pytest.mark.parametrize("backend", ["tei"], indirect=True)
def test_a_request_beyond_the_servers_batch_is_halved(server: FakeCohere, client: Client) -> None:
    docs = [f"document {i}" for i in range(40)]
    reranker = client(documents_per_request=40, comparable=True)
    np.testing.assert_array_equal(ask(reranker, docs), expected(docs))
    assert [len(sent["texts"]) for sent in server.requests] == [40, 20, 20]
    assert reranker.meter.take() == Usage(pairs=40, calls=3, tokens=400, split_requests=1)


@pytest.mark.parametrize("backend", ["tei"], indirect=True)
def test_the_wrong_shape_is_named(server: FakeCohere, client: Client) -> None:
    server.always = lambda request: reply(200, {"object": "error"})
    with pytest.raises(RerankerError, match="no list of results; is shape: tei right"):
        ask(client())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "x"}, "'base_url'"),
        ({"model": "x", "base_url": "localhost:8080"}, "'base_url': string should match"),
        (
            {"model": "x", "base_url": "http://a", "shape": "vllm"},
            "'shape': input should be 'cohere' or 'tei'",
        ),
        (
            {"model": "x", "base_url": "http://a", "api_key_env": "sk-1234"},
            "api_key_env is the name of an environment variable",
        ),
        ({"model": "x", "base_url": "http://a", "concurrency": 0}, "'concurrency': "),
    ],
)
def test_wrong_options_are_told_in_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SuiteError) as caught:
        rerankers.build("rerank-server", options)
    assert message in str(caught.value)
    assert "sk-1234" not in str(caught.value)
