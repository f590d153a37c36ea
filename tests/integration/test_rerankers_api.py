"""Hosted rerankers against a real HTTP server that fails in every way the real ones do."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from typing import Any

import numpy as np
import pytest

from bench import rerankers
from bench.contract.request import CandidateList, Failure, Usage
from bench.core.errors import RerankerError, Unavailable
from bench.rerankers.remote.refusal import retry_after
from tests.support.fake_cohere import (
    FakeCohere,
    cut,
    reply,
    rerank_body,
    slow,
)
from tests.support.remote_clients import DOCS, KEY, Client, ask, clients, expected, refusal
from tests.support.waits import Waits


@pytest.fixture(autouse=True)
def _fresh(server: FakeCohere, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CO_API_KEY", KEY)
    monkeypatch.delenv("CO_API_URL", raising=False)
    server.start_over()


@pytest.fixture
def client(server: FakeCohere) -> Iterator[Client]:
    with clients("cohere", model="rerank-v3.5", base_url=server.url) as make:
        yield make


def test_scores_come_back_in_the_order_of_the_documents(server: FakeCohere, client: Client) -> None:
    reranker = client(max_tokens_per_doc=99)
    np.testing.assert_array_equal(ask(reranker), expected())
    sent = {
        "model": "rerank-v3.5",
        "query": "a query",
        "documents": DOCS,
        "top_n": 7,
        "max_tokens_per_doc": 99,
    }
    assert server.requests == [sent]
    assert server.keys == [f"Bearer {KEY}"]
    assert reranker.meter.take() == Usage(pairs=7, calls=1, billed_units=1.0)


def test_one_connection_serves_many_requests(server: FakeCohere, client: Client) -> None:
    reranker = client()
    reranker.rerank([CandidateList(str(i), "a query", ["a"], ["tea"]) for i in range(5)])
    assert len(server.connections) == 1
    reranker.close()
    reranker.close()


def test_more_than_a_thousand_documents_are_split_and_merged(
    server: FakeCohere, client: Client
) -> None:
    docs = [f"document {i}" for i in range(2300)]
    reranker = client(comparable=True)
    np.testing.assert_array_equal(ask(reranker, docs), expected(docs))
    assert [len(request["documents"]) for request in server.requests] == [1000, 1000, 300]
    assert reranker.meter.take() == Usage(pairs=2300, calls=3, billed_units=23.0)


def test_the_address_may_come_from_the_environment(
    server: FakeCohere, monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    monkeypatch.setenv("CO_API_URL", server.url)
    np.testing.assert_array_equal(ask(client(base_url=None)), expected())


def test_without_a_key_the_row_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CO_API_KEY")
    with pytest.raises(Unavailable) as caught:
        rerankers.build("cohere-rerank-v3.5").check()
    assert (caught.value.reason, caught.value.fix) == ("no CO_API_KEY", "export CO_API_KEY=...")


FATAL = {
    "wrong key": (
        [lambda _: reply(401, {"message": f"invalid api token {KEY}"})],
        r"cohere: the key in CO_API_KEY was refused \(HTTP 401",
    ),
    "forbidden": ([lambda _: reply(403, {"message": "no"})], "may not use it"),
    "no such model": (
        [lambda _: reply(404, {"message": "model 'rerank-v3.5' not found"})],
        "no such model 'rerank-v3.5'",
    ),
    "quota": ([lambda _: reply(402, {"message": "pay"})], "over quota"),
    "rate limit for ever": (
        [lambda _: reply(429, {"message": "slow down"})] * 3,
        "over quota or rate limit",
    ),
    "wait too long": (
        [lambda _: reply(429, {"message": "month is over"}, Retry_After="86400")],
        "over quota or rate limit",
    ),
    "not JSON": ([lambda _: reply(200, b"<html>hello</html>")], "not JSON"),
    "no results": ([lambda _: reply(200, {"id": "x"})], "no list of results"),
    "text for results": (
        [lambda _: reply(200, {"id": "x", "results": "none"})],
        "no list of results",
    ),
    "a list": ([lambda _: reply(200, [1, 2])], "the answer cannot be read"),
}
BROKEN: dict[str, tuple[Callable[[Any], Any], str]] = {
    "too few": (lambda results: results[:-1], "the answer has 6 scores for 7 documents"),
    "twice": (lambda results: [*results[:-1], results[0]], r"scores document \d twice"),
    "too many": (
        lambda results: [*results, {"index": 7, "relevance_score": 0.5}],
        "scores document 7 of 7",
    ),
    "negative index": (
        lambda results: [*results[:-1], {"index": -1, "relevance_score": 0.5}],
        "scores document -1 of 7",
    ),
    "no index": (
        lambda results: [*results[:-1], {"relevance_score": 0.5}],
        "scores document None of 7",
    ),
    "NaN": (
        lambda results: [*results[:-1], results[-1] | {"relevance_score": float("nan")}],
        r"the score nan",
    ),
    "infinite": (
        lambda results: [*results[:-1], results[-1] | {"relevance_score": float("inf")}],
        r"the score inf",
    ),
    "text": (
        lambda results: [*results[:-1], results[-1] | {"relevance_score": "high"}],
        r"the score 'high'",
    ),
}


@pytest.mark.parametrize("case", sorted(FATAL))
def test_what_no_further_request_could_survive_ends_the_trial_in_one_line(
    server: FakeCohere, case: str, client: Callable[..., Any]
) -> None:
    server.script, message = list(FATAL[case][0]), FATAL[case][1]
    reranker = client()
    assert refusal(reranker, message)
    assert server.script == [], "asked as often as scripted"


@pytest.mark.parametrize("case", sorted(BROKEN))
def test_a_broken_answer_is_never_scored(server: FakeCohere, case: str, client: Client) -> None:
    change, message = BROKEN[case]
    server.always = lambda request: reply(
        200, {**rerank_body(request), "results": change(rerank_body(request)["results"])}
    )
    with pytest.raises(RerankerError, match=message):
        ask(client())


@pytest.mark.parametrize(
    "fault",
    [
        lambda _: reply(500, {"message": "oops"}),
        lambda _: reply(503, b"<html>"),
        lambda _: reply(429, {}, Retry_After="0"),
        cut,
    ],
    ids=["500", "503 as HTML", "429", "cut connection"],
)
def test_a_passing_fault_is_retried_and_counted(
    server: FakeCohere, fault: Any, client: Client
) -> None:
    server.script = [fault]
    reranker = client()
    np.testing.assert_array_equal(ask(reranker), expected())
    usage = reranker.meter.take()
    assert (usage.calls, usage.retries, usage.billed_units) == (2, 1, 1.0)


@pytest.mark.parametrize(
    ("fault", "reason", "calls"),
    [
        (lambda _: reply(500, {"message": "oops"}), "HTTP 500: oops", 3),
        (
            lambda _: reply(400, {"message": f"bad\n document for {KEY}"}),
            "HTTP 400: bad document for ***",
            1,
        ),
        (lambda _: reply(503, {"message": "later"}, Retry_After="3600"), "HTTP 503: later", 1),
        (cut, "connection failed (RemoteProtocolError)", 3),
    ],
    ids=["500 always", "400", "503 for an hour", "cut always"],
)
def test_a_request_that_keeps_failing_fails_its_own_query_only(
    server: FakeCohere, fault: Any, reason: str, calls: int, client: Callable[..., Any]
) -> None:
    server.script = [fault] * calls
    reranker = client()
    bad, fine = reranker.rerank(
        [
            CandidateList("a", "a query", ["d"], ["tea"]),
            CandidateList("b", "a query", ["d"], ["tea"]),
        ]
    )
    assert bad == Failure(reason)
    np.testing.assert_array_equal(fine, expected(["tea"]))
    assert reranker.meter.take().calls == calls + 1


def test_a_slow_answer_is_given_up_and_tried_again(server: FakeCohere, client: Client) -> None:
    server.script = [slow(0.6)]
    np.testing.assert_array_equal(ask(client(timeout_s=0.2)), expected())
    server.script = [slow(0.6)] * 2
    assert ask(client(timeout_s=0.2, retries=1)) == Failure("no answer within 0.2 s")


def test_nobody_listens(client: Client) -> None:
    with pytest.raises(Unavailable, match=r"nothing listens at 127\.0\.0\.1:9\. start the server"):
        client(base_url="http://127.0.0.1:9")


@pytest.mark.parametrize("header", ["0.3", "date"])
def test_the_servers_wish_to_wait_goes_before_our_backoff(
    server: FakeCohere, header: str, client: Client
) -> None:
    wish = "0.3" if header == "0.3" else formatdate(time.time() + 2, usegmt=True)
    server.script = [lambda _: reply(429, {}, Retry_After=wish)]
    reranker = client(backoff_s=50)
    reranker._stop = waits = Waits()
    ask(reranker)
    (seconds,) = waits.seconds
    assert seconds == 0.3 if header == "0.3" else 0 < seconds <= 2


def test_without_a_wish_the_wait_doubles(server: FakeCohere, client: Client) -> None:
    server.script = [lambda _: reply(429, {})] * 2
    reranker = client(backoff_s=0.1)
    reranker._stop = waits = Waits()
    np.testing.assert_array_equal(ask(reranker), expected())
    assert waits.seconds == [0.1, 0.2]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (None, None),
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"Retry-After": " 2.5 "}, 2.5),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "-4"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
    ],
)
def test_retry_after_is_read_with_care(headers: Any, seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_what_identifies_a_hosted_model(server: FakeCohere, client: Client) -> None:
    reranker = client(base_url=server.url.replace("127.0.0.1", "user:password@127.0.0.1"))
    description = reranker.describe()
    assert description.identity == {
        "model": "rerank-v3.5",
        "max_tokens_per_doc": None,
        "host": "127.0.0.1",
        "address": server.url,
        "served_model_id": None,
    }
    assert reranker.fingerprint() == {"backend": "cohere", **description.identity}
    assert "password" not in json.dumps(description.to_dict())
    assert rerankers.build("cohere", "rerank-v3.5").fingerprint()["host"] == "api.cohere.com"


@pytest.mark.parametrize("key", ["a\u00e9b", "a\nb", "a\x7fb"])
def test_a_key_that_no_header_can_have_is_named_by_its_variable_alone(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    from bench.core.errors import RerankerError

    monkeypatch.setenv("MY_KEY", key)
    reranker: Any = rerankers.build(
        "rerank-server", {"model": "m", "base_url": "http://127.0.0.1:9", "api_key_env": "MY_KEY"}
    )
    with pytest.raises(
        RerankerError, match="the key in MY_KEY holds characters no header can have"
    ) as error:
        reranker.check()
    assert key not in str(error.value)


def test_the_line_end_of_a_key_is_no_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "abc\n")
    reranker: Any = rerankers.build(
        "rerank-server", {"model": "m", "base_url": "http://127.0.0.1:9", "api_key_env": "MY_KEY"}
    )
    assert reranker._key() == "abc"
