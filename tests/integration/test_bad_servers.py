"""Servers that are wrong in the ways of the field: slow, endless, packed, moved, restarted,
restrictive, silent about themselves.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import pytest

from bench import rerankers
from bench.contract.request import Failure
from bench.core.errors import RerankerError
from bench.core.note import Code, Note, read_notes
from bench.core.wording import worded
from bench.rerankers.remote import connection
from bench.rerankers.remote.answer import Answer, amount, count
from bench.rerankers.remote.refusal import Kind, Refusal, kind_of, wait_named_in
from bench.scoring.engine import score
from tests.support.fake_chat import good_chat
from tests.support.fake_cohere import (
    FakeCohere,
    good,
    good_jina,
    good_mixedbread,
    good_tei,
    good_voyage,
    reply,
    serve,
)
from tests.support.remote_clients import DOCS, KEY, ask, expected, query

PASSWORD = "hunter2-and-more"
BACKENDS: dict[str, tuple[str, dict[str, Any], Callable[..., Any]]] = {
    "cohere": ("cohere", {"model": "rerank-v3.5"}, good),
    "voyage": ("voyage", {"model": "rerank-2.5"}, good_voyage),
    "mixedbread": ("mixedbread", {"model": "m"}, good_mixedbread),
    "jina": ("rerank-server", {"model": "m", "api_key_env": "JINA_API_KEY"}, good_jina),
    "tei": (
        "rerank-server",
        {"model": "m", "shape": "tei", "api_key_env": "JINA_API_KEY"},
        good_tei,
    ),
    "chat": ("listwise-server", {"model": "m", "api_key_env": "JINA_API_KEY"}, good_chat),
}
SCORED = [name for name in BACKENDS if name != "chat"]
Build = Callable[..., Any]


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("RERANK_BENCH_CACHE", str(tmp_path / "cache"))
    for name in ("CO_API_KEY", "VOYAGE_API_KEY", "MXBAI_API_KEY", "JINA_API_KEY"):
        monkeypatch.setenv(name, KEY)


@pytest.fixture(scope="module")
def running() -> Iterator[FakeCohere]:
    with serve() as fake:
        yield fake


@pytest.fixture
def server(running: FakeCohere) -> FakeCohere:
    running.start_over()
    return running


@pytest.fixture
def build(server: FakeCohere) -> Iterator[Build]:
    with ExitStack() as stack:

        def make(backend: str, url: str = "", **options: Any) -> Any:
            name, own, answer = BACKENDS[backend]
            server.always = answer
            settings = {
                "base_url": url or server.url,
                "backoff_s": 0.01,
                "retries": 0,
                "timeout_s": 5,
                **own,
                **options,
            }
            client: Any = rerankers.build(name, settings)
            stack.callback(client.close)
            client.load()
            return client

        yield make


@contextmanager
def raw(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that reads a request and then does with the connection as it likes; GET is answered
    with 404.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)
    done = threading.Event()
    connections: list[socket.socket] = []

    def one(peer: socket.socket) -> None:
        with peer:
            try:
                if peer.recv(65536).startswith(b"GET"):
                    peer.sendall(
                        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                    )
                else:
                    talk(peer)
            except OSError:
                return

    def work() -> None:
        while not done.is_set():
            try:
                peer, _ = listener.accept()
            except TimeoutError:
                continue
            connections.append(peer)
            threading.Thread(target=one, args=(peer,), daemon=True).start()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        done.set()
        thread.join()
        listener.close()


def drip_body(peer: socket.socket) -> None:
    peer.sendall(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    while True:
        peer.sendall(b"1\r\n \r\n")
        time.sleep(0.05)


def drip_head(peer: socket.socket) -> None:
    peer.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        peer.sendall(b"X: y\r\n")
        time.sleep(0.05)


@pytest.mark.parametrize("backend", sorted(BACKENDS))
@pytest.mark.parametrize("talk", [drip_body, drip_head])
def test_a_server_that_drips_is_given_up(
    build: Build, backend: str, talk: Callable[[socket.socket], None]
) -> None:
    with raw(talk) as url:
        assert ask(build(backend, url, timeout_s=0.3)) == Failure("no answer within 0.3 s")


def test_a_session_that_the_thread_has_of_others_bounds_nothing_and_stays_theirs(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a call of the vendor's own client in the same thread."""
    requests = pytest.importorskip("requests")
    requestor = pytest.importorskip("voyageai.api_resources.api_requestor")
    with requests.Session() as theirs, raw(drip_body) as url:
        monkeypatch.setattr(requestor._thread_context, "session", theirs, raising=False)
        now = time.time()
        monkeypatch.setattr(requestor._thread_context, "session_create_time", now, raising=False)
        client = build("voyage", url, timeout_s=0.3)
        assert ask(client) == Failure("no answer within 0.3 s")
        assert requestor._thread_context.session is theirs


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_an_answer_that_unpacks_to_more_than_any_answer_has_is_refused(
    build: Build, server: FakeCohere, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "MAX_ANSWER_BYTES", 1 << 20)
    bomb = gzip.compress(b'{"a": "' + b" " * (3 << 20) + b'"}')
    client = build(backend)
    server.always = lambda _: reply(200, bomb, Content_Encoding="gzip")
    with pytest.raises(RerankerError, match=r"the answer is larger than 1 MiB$"):
        ask(client)
    server.always = lambda _: reply(200, b'{"results": [' + b" " * (2 << 20))
    with pytest.raises(RerankerError, match=r"the answer is larger than 1 MiB$"):
        ask(client)


@pytest.mark.parametrize("backend", SCORED)
def test_a_packed_answer_is_unpacked(build: Build, server: FakeCohere, backend: str) -> None:
    client = build(backend)

    def packed(request: dict[str, Any]) -> Any:
        status, headers, data = BACKENDS[backend][2](request)
        return status, {**headers, "Content-Encoding": "gzip"}, gzip.compress(data)

    server.always = packed
    np.testing.assert_array_equal(ask(client), expected(DOCS))
    server.always = lambda _: reply(200, b"{}", Content_Encoding="gzip")
    with pytest.raises(RerankerError, match="says that it is gzip, and is not"):
        ask(client)
    server.always = lambda _: reply(200, b"{}", Content_Encoding="br")
    with pytest.raises(RerankerError, match="is packed as br, which was not asked for"):
        ask(client)


@pytest.mark.parametrize("backend", sorted(BACKENDS))
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_texts_and_keys_follow_no_redirect(
    build: Build, server: FakeCohere, backend: str, status: int
) -> None:
    client = build(backend)
    with serve() as other:
        target = other.url.replace("http://", f"http://me:{PASSWORD}@")
        server.always = lambda _: reply(status, b"", Location=f"{target}/rerank?key=x")
        with pytest.raises(
            RerankerError, match=f"redirects to {other.url}/rerank, where no text or key is sent"
        ) as caught:
            ask(client)
        assert other.requests == []
        assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_fields_of_a_request_are_added_and_taken_away(
    build: Build, server: FakeCohere, backend: str
) -> None:
    client = build(backend, body={"truncate_prompt_tokens": 40, "top_n": None})
    ask(client)
    assert server.requests[0]["truncate_prompt_tokens"] == 40
    assert "top_n" not in server.requests[0]
    assert client.fingerprint()["body"] == {"truncate_prompt_tokens": 40, "top_n": None}


TOO_LARGE = {
    "413": lambda: reply(413, {"message": "Payload Too Large"}),
    "voyage": lambda: reply(
        400,
        {"detail": "The max allowed tokens per submitted batch is 600. Your batch has 700 tokens."},
    ),
    "tei": lambda: reply(422, {"error": "batch size 7 > maximum allowed batch size 2"}),
    "cohere": lambda: reply(
        400, {"message": "too many documents: got 7, at most 2 documents are allowed"}
    ),
}


def texts_of(request: dict[str, Any]) -> list[Any]:
    """Return the documents of a request, in whichever shape it has."""
    texts: list[Any] = next(
        request[key] for key in ("documents", "input", "texts") if key in request
    )
    return texts


@pytest.mark.parametrize("case", sorted(TOO_LARGE))
@pytest.mark.parametrize("backend", SCORED)
def test_a_request_that_is_too_large_is_halved(
    build: Build, server: FakeCohere, backend: str, case: str
) -> None:
    client = build(backend, comparable=True)

    def small_only(request: dict[str, Any]) -> Any:
        return TOO_LARGE[case]() if len(texts_of(request)) > 2 else BACKENDS[backend][2](request)

    server.always = small_only
    np.testing.assert_array_equal(ask(client), expected(DOCS))
    usage = client.meter.take()
    assert (usage.pairs, usage.split_requests, usage.retries) == (7, 3, 0)
    server.always = lambda _: TOO_LARGE[case]()
    outcome = ask(client, ["tea"])
    assert isinstance(outcome, Failure)
    assert "lower documents_per_request" in outcome.reason


@pytest.mark.parametrize("backend", SCORED)
def test_the_size_that_was_accepted_is_remembered(
    build: Build, server: FakeCohere, backend: str
) -> None:
    sizes: list[int] = []

    def small_only(request: dict[str, Any]) -> Any:
        texts = texts_of(request)
        sizes.append(len(texts))
        return TOO_LARGE["413"]() if len(texts) > 2 else BACKENDS[backend][2](request)

    client = build(backend, comparable=True)
    server.always = small_only
    ask(client)
    sizes.clear()
    client.meter.take()
    np.testing.assert_array_equal(ask(client), expected(DOCS))
    assert sizes == [2, 2, 2, 1]
    assert client.meter.take().split_requests == 0


@pytest.mark.parametrize("backend", SCORED[:1])
def test_one_long_document_makes_no_later_request_smaller_than_one_that_was_accepted(
    build: Build, server: FakeCohere, backend: str
) -> None:
    sizes: list[int] = []

    def without_the_long_one(request: dict[str, Any]) -> Any:
        texts = texts_of(request)
        sizes.append(len(texts))
        is_long = DOCS[-1] in map(str, texts) and len(texts) > 1
        return TOO_LARGE["413"]() if is_long else BACKENDS[backend][2](request)

    client = build(backend, comparable=True)
    server.always = without_the_long_one
    np.testing.assert_array_equal(ask(client, DOCS[:-1]), expected(DOCS[:-1]))
    ask(client)
    sizes.clear()
    ask(client, DOCS[:-1])
    assert sizes == [len(DOCS) - 1]


@pytest.mark.parametrize("backend", SCORED)
def test_requests_are_as_small_as_the_suite_says(
    build: Build, server: FakeCohere, backend: str
) -> None:
    np.testing.assert_array_equal(ask(build(backend, documents_per_request=3)), expected(DOCS))
    assert len(server.requests) == 3


@pytest.mark.parametrize("backend", SCORED)
def test_documents_without_text_are_not_sent_and_stand_last(
    build: Build, server: FakeCohere, backend: str
) -> None:
    client = build(backend, documents_per_request=2)
    docs = ["", "tea", " \n\t", "coffee", "milk"]
    scores = ask(client, docs)
    np.testing.assert_array_equal(scores[[1, 3, 4]], expected(["tea", "coffee", "milk"]))
    assert scores[0] == scores[2] < min(scores[[1, 3, 4]])
    assert "" not in json.dumps(server.requests).split('"')[1::2]
    assert client.meter.take().blanks == 2
    before = len(server.requests)
    np.testing.assert_array_equal(ask(client, ["", " "]), [0, 0])
    assert len(server.requests) == before


# --- what a refusal means


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (410, "model 'x' was removed; see the list of deprecations", Kind.MODEL),
        (400, "The model `x` has been deprecated", Kind.MODEL),
        (400, "unknown model x", Kind.MODEL),
        (400, "Incorrect API key provided", Kind.KEY),
        (
            429,
            "You exceeded your current quota, please check your plan and billing details",
            Kind.QUOTA,
        ),
        (429, "trial keys are limited to 1000 API calls / month", Kind.QUOTA),
        (429, "limited to 10 API calls / minute", Kind.RATE),
        (429, "Model is overloaded", Kind.OVERLOADED),
        (503, "Model is overloaded", Kind.OVERLOADED),
        (503, "later", Kind.PASSING),
        (
            400,
            "This model's maximum context length is 512 tokens, you requested 700",
            Kind.TOO_LONG,
        ),
        (413, "anything", Kind.TOO_LARGE),
        (405, "Method Not Allowed", Kind.ADDRESS),
        (400, "odd", Kind.REQUEST),
        (None, "cut", Kind.PASSING),
    ],
)
def test_a_refusal_is_read_by_its_words_too(status: int | None, reason: str, kind: Kind) -> None:
    assert kind_of(status, reason) is kind


@pytest.mark.parametrize(
    ("reason", "seconds"),
    [
        ("limited to 10 calls / 60 s", 61),
        ("10 API calls / minute", 61),
        ("3 requests per minute", 61),
        ("on requests per min (RPM): limit 3", 61),
        ("Rate limit reached. Please try again in 20s.", 20),
        ("Please try again in 1m2.5s", 62.5),
        ("Please try again in 350ms", 0.35),
        ("slow down", None),
    ],
)
def test_the_wait_is_read_from_the_words(reason: str, seconds: float | None) -> None:
    wait = Refusal(reason, 429).retry_after
    assert wait == wait_named_in(reason)
    assert wait == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize("backend", SCORED)
def test_a_window_of_calls_is_waited_out(build: Build, server: FakeCohere, backend: str) -> None:
    client = build(backend, retries=1, backoff_s=50)
    server.script = [
        lambda _: reply(
            429, {"message": "limited to 2 calls / 200 ms", "detail": "limited to 2 calls / 200 ms"}
        )
    ]
    np.testing.assert_array_equal(ask(client), expected(DOCS))
    assert client.meter.take().retries == 1


def test_a_limit_that_stays_names_the_option_and_how_to_go_on(
    build: Build, server: FakeCohere
) -> None:
    client = build("jina")
    server.always = lambda _: reply(429, {"message": "limited to 10 API calls / minute"})
    with pytest.raises(
        RerankerError, match="set requests_per_minute or lower concurrency, and run again to go on"
    ):
        ask(client)
    server.always = lambda _: reply(
        429, {"error": "Model is overloaded", "error_type": "overloaded"}
    )
    outcome = ask(client)
    assert isinstance(outcome, Failure)
    assert "lower concurrency" in outcome.reason
    assert "quota" not in outcome.reason


def test_a_field_that_a_server_does_not_know_is_left_out(build: Build, server: FakeCohere) -> None:
    client = build("jina")

    def strict(request: dict[str, Any]) -> Any:
        if "return_documents" in request:
            return reply(422, {"detail": "return_documents: extra fields not permitted"})
        return good_jina(request)

    server.always = strict
    np.testing.assert_array_equal(ask(client), expected(DOCS))
    ask(client)
    assert len(server.requests) == 3


# --- what an answer says


SHAPES: dict[str, Callable[[list[dict[str, Any]]], Any]] = {
    "bare list": lambda found: [
        {"score": item["relevance_score"], "index": item["index"], "meta_info": None}
        for item in found
    ],
    "data": lambda found: {"object": "list", "data": found},
    "results with a score": lambda found: {
        "results": [{"index": item["index"], "score": item["relevance_score"]} for item in found]
    },
}


@pytest.mark.parametrize("shape", sorted(SHAPES))
@pytest.mark.parametrize("backend", ["jina", "tei"])
def test_the_shapes_of_the_field_are_read(
    build: Build, server: FakeCohere, backend: str, shape: str
) -> None:
    client = build(backend)

    def answer(request: dict[str, Any]) -> Any:
        texts = request.get("documents") or request["texts"]
        return reply(
            200, SHAPES[shape](json.loads(good(request | {"documents": texts})[2])["results"])
        )

    server.always = answer
    np.testing.assert_array_equal(ask(client), expected(DOCS))


NONSENSE = [
    1e30,
    -5,
    float("nan"),
    float("inf"),
    "many",
    True,
    None,
    [1],
    {"a": 1},
    10**400,
    "9" * 30,
]


@pytest.mark.parametrize("value", NONSENSE, ids=str)
def test_what_no_request_can_have_used_is_as_good_as_unsaid(
    build: Build, server: FakeCohere, value: Any
) -> None:
    assert amount(value) == count(value) == 0
    client = build("jina")

    def answer(request: dict[str, Any]) -> Any:
        body = json.loads(good_jina(request)[2])
        return reply(
            200,
            {
                **body,
                "usage": {"total_tokens": value},
                "meta": {"billed_units": {"search_units": value}},
            },
        )

    server.always = answer
    scored = score(client, [query()], chunk_pairs=100)
    np.testing.assert_array_equal(scored.scores["q"], expected(DOCS))
    assert (scored.usage["tokens"], scored.usage["billed_units"]) == (0, 0)


def test_what_a_request_can_have_used_is_counted() -> None:
    assert (amount(2.5), count(7), count("12"), amount(0)) == (2.5, 7, 12, 0)


def test_a_service_that_caps_its_answers_is_told_how() -> None:
    with pytest.raises(
        RerankerError,
        match="has 1 score for 3 documents; if it returns no more, set documents_per_request: 1",
    ):
        Answer([(0, 0.5)]).in_order(3, "x")


@pytest.mark.parametrize("proxy", [f"nonsense://me:{PASSWORD}@host", "http://me:proxy/pw@host:1"])
def test_an_environment_that_cannot_be_used_is_one_line(
    server: FakeCohere, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    client: Any = rerankers.build("rerank-server", {"model": "m", "base_url": server.url})
    with pytest.raises(
        RerankerError, match="proxy or certificates that the environment names cannot be used"
    ) as caught:
        client.load()
    assert PASSWORD not in str(caught.value)
    assert "proxy/pw" not in str(caught.value)
    assert "port" not in str(caught.value)


def test_a_score_beyond_any_float_is_refused() -> None:
    with pytest.raises(RerankerError, match="gives document 0 the score 1"):
        Answer([(0, 10**400)]).in_order(1, "x")


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_an_answer_nested_without_end_is_one_line(
    build: Build, server: FakeCohere, backend: str
) -> None:
    client = build(backend)
    server.always = lambda _: reply(200, b"[" * 200_000 + b"]" * 200_000)
    with pytest.raises(RerankerError) as caught:
        ask(client)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_texts_that_no_body_can_hold_are_sent_as_far_as_they_can_be(
    build: Build, server: FakeCohere, backend: str
) -> None:
    outcome = ask(build(backend), ["half \ud83d a pair", "nul \0 and \x1b[31m", "שלום 字"])
    assert len(outcome) == 3
    assert "half \ufffd a pair" in json.dumps(server.requests[0], ensure_ascii=False)


# --- who is asked


def test_two_servers_of_one_machine_share_no_score(build: Build, server: FakeCohere) -> None:
    with serve() as other:
        other.always = lambda request: reply(
            200,
            {
                "results": [
                    {"index": i, "relevance_score": -i} for i in range(len(request["documents"]))
                ]
            },
        )
        first = score(build("jina"), [query()], chunk_pairs=100)
        second = score(build("jina", other.url), [query()], chunk_pairs=100)
    np.testing.assert_array_equal(first.scores["q"], expected(DOCS))
    np.testing.assert_array_equal(second.scores["q"], -np.arange(7))
    assert second.cached_queries == 0


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_a_server_that_was_restarted_with_another_model_is_asked_again(
    build: Build, server: FakeCohere, backend: str
) -> None:
    server.info = {"model_id": "a", "model_sha": "1", "model_dtype": "float16"}
    score(build(backend), [query()], chunk_pairs=100)
    assert score(build(backend), [query()], chunk_pairs=100).cached_queries == 1
    server.info = {"model_id": "a", "model_sha": "2", "model_dtype": "float16"}
    scored = score(build(backend), [query()], chunk_pairs=100)
    assert (scored.cached_queries, scored.description["identity"]["served_model_sha"]) == (0, "2")
    assert "warnings" not in scored.description["facts"]


def test_what_is_served_is_found_where_each_server_says_it(
    build: Build, server: FakeCohere
) -> None:
    models = {
        "object": "list",
        "data": [
            {"id": "m", "created": 1, "root": "/srv/models/ours", "max_model_len": 512},
            {"id": "n"},
        ],
    }
    server.pages = {"/v1/models": models, "/version": {"version": "0.9"}}
    try:
        identity = build("jina", f"{server.url}/v1").describe().identity
    finally:
        server.pages = {}
    assert {name: value for name, value in identity.items() if name.startswith("served")} == {
        "served_id": "m",
        "served_root": "ours",
        "served_root_digest": hashlib.sha256(b"/srv/models/ours").hexdigest()[:16],
        "served_max_model_len": 512,
        "served_version": "0.9",
    }


def test_two_checkpoints_of_one_name_share_no_score(build: Build, server: FakeCohere) -> None:
    cached = []
    for folder in ("run1", "run1", "run2"):
        server.info = {"model_id": f"/ckpts/{folder}/checkpoint-500"}
        scored = score(build("jina"), [query()], chunk_pairs=100)
        cached.append(scored.cached_queries)
        assert scored.description["identity"]["served_model_id"] == "checkpoint-500"
        assert folder not in str(scored.description)
    assert cached == [0, 1, 0]


@pytest.mark.parametrize(
    ("status", "is_known"),
    [(404, True), (405, True), (501, True), (503, False), (401, False), (429, False)],
)
def test_a_server_that_does_not_say_now_neither_fills_nor_uses_the_cache(
    build: Build, server: FakeCohere, status: int, is_known: bool
) -> None:
    server.page_status = status
    try:
        for cached in (0, int(is_known)):
            scored = score(build("jina"), [query()], chunk_pairs=100)
            assert scored.cached_queries == cached
            assert len(scored.scores) == 1
    finally:
        server.page_status = 404
    (warning,) = read_notes(scored.description["facts"]["warnings"])
    is_unknown = warning.code == Code.SERVER_UNKNOWN and f"HTTP {status}" in warning.text
    assert is_unknown is not is_known


def test_a_server_that_changes_its_model_during_a_run_leaves_no_score(
    build: Build, server: FakeCohere
) -> None:
    def swap(request: dict[str, Any]) -> Any:
        server.info = {"model_id": "b"}
        return good_jina(request)

    server.info = {"model_id": "a"}
    server.script = [good_jina] * 5 + [swap]
    with pytest.raises(RerankerError, match="changed what it serves while it was asked"):
        score(build("jina"), [query(query_id=str(number)) for number in range(6)], chunk_pairs=1000)
    server.info = {"model_id": "a"}
    assert score(build("jina"), [query()], chunk_pairs=1000).cached_queries == 0


def test_scores_under_doubt_are_used_and_not_kept(build: Build, server: FakeCohere) -> None:
    def hide(request: dict[str, Any]) -> Any:
        server.info, server.page_status = None, 503
        return good_jina(request)

    server.info, server.script = {"model_id": "a"}, [hide]
    notes: list[Note] = []
    try:
        scored = score(build("jina"), [query()], chunk_pairs=1000, on_note=notes.append)
    finally:
        server.page_status = 404
    assert len(scored.scores) == 1
    assert "nor kept" in worded(notes[0])
    assert scored.usage["calls"] == 1
    server.info = {"model_id": "a"}
    assert score(build("jina"), [query()], chunk_pairs=1000).cached_queries == 0


def test_a_server_that_says_nothing_is_noted(build: Build) -> None:
    description = build("jina").describe()
    assert description.identity["served_model_id"] is None
    assert read_notes(description.facts["warnings"]) == (Note(Code.SERVER_SILENT),)


def test_services_at_their_own_address_are_not_asked(server: FakeCohere) -> None:
    for name in ("cohere-rerank-v3.5", "voyage-rerank-2.5", "jina-reranker-v3-hosted"):
        fingerprint = rerankers.build(name).fingerprint()
        assert "address" not in fingerprint
        assert not [field for field in fingerprint if field.startswith("served")]


def test_scores_of_a_server_that_does_not_answer_are_not_taken_from_the_cache(
    build: Build, server: FakeCohere
) -> None:
    with serve() as gone:
        gone.always = good_jina
        score(build("jina", gone.url), [query()], chunk_pairs=100)
    client: Any = rerankers.build("rerank-server", {"model": "m", "base_url": gone.url})
    assert client.fingerprint() == {}


def test_an_address_of_the_sixth_version(monkeypatch: pytest.MonkeyPatch) -> None:
    client: Any = rerankers.build("rerank-server", {"model": "m", "base_url": "http://[::1]:9/v1/"})
    with pytest.raises(Exception, match=r"nothing listens at \[::1\]:9"):
        client.check()


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for backend in SCORED:
        np.testing.assert_array_equal(ask(build(backend)), expected(DOCS))


# --- what nobody may see


@pytest.mark.parametrize("backend", sorted(BACKENDS))
@pytest.mark.parametrize("place", ["refusal", "index", "200"])
def test_what_a_server_repeats_of_our_secrets_is_not_told(
    build: Build, server: FakeCohere, backend: str, place: str
) -> None:
    url = server.url.replace("http://", f"http://me:{PASSWORD}@")
    client = build(
        backend,
        url,
        body={
            "api_key": "body-secret-1",
            "metadata": {"tenant": "t", "access_token": "body-secret-2"},
        },
    )

    def answer(request: dict[str, Any]) -> Any:
        said = (
            f"\x1b[31m{server.keys[-1]} {KEY} {PASSWORD} {request['api_key']} "
            f"{request['metadata']['access_token']} \u202e"
        )
        if place == "refusal":
            return reply(400, {"message": said, "detail": said})
        if place == "200":
            return reply(200, said.encode())
        found = [{"index": said, "score": said, "relevance_score": said}]
        choices = [{"message": {"content": said}}]
        return reply(
            200,
            {
                "results": found,
                "data": found,
                "choices": choices,
                "model": said,
                "usage": {"total_tokens": said},
            },
        )

    server.always = answer
    assert server.keys == []
    try:
        outcome = ask(client)
        told = outcome.reason if isinstance(outcome, Failure) else ""
    except RerankerError as error:
        told = str(error)
    shown = told + json.dumps([client.describe().to_dict(), client.fingerprint()])
    assert server.keys[0].startswith("Basic "), "the password was used"
    for secret in (KEY, PASSWORD, "body-secret", server.keys[0].partition(" ")[2]):
        assert secret not in shown
    assert "\x1b" not in told
    assert "\u202e" not in told
