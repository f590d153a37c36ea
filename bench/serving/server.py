"""The HTTP side: requests in, JSON out, nothing but the standard library."""

from __future__ import annotations

import io
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from bench.core.counting import counted
from bench.core.errors import BenchError
from bench.rerankers.remote.address import in_url
from bench.serving.chat import Conversation
from bench.serving.hosted import Hosted
from bench.serving.hosts import AllowedHosts
from bench.serving.problem import ClientGone, Problem
from bench.serving.reading import BLOCK, TimedReader, is_closed, linger
from bench.serving.search import Search, written
from bench.serving.shapes import Body, shape_of

_LONGEST_LENGTH = 18
"""Digits of a Content-Length that is a number at all."""
IDLE_S = 300.0
"""Seconds after which a connection that asks nothing is dropped."""
REQUEST_S = 60.0
"""Seconds in which a request must have come, and in which a client must take its answer."""
LINGER_S = 10.0
"""Seconds for which a refused client that is still sending is listened to, so that it gets to read
why.
"""
DRAIN_S = 30.0
"""Seconds that requests in hand have to finish when the server is to stop."""
MAX_CONNECTIONS = 512
MAX_REQUESTS = 256
"""Requests that wait for the model or are at work; further ones are refused for now."""
BODIES = 4
"""The bodies of those requests may take as much memory as this many of the largest that one may
have.
"""
CHAT_PATHS = ("/chat/completions", "/v1/chat/completions")
SEARCH_PATHS = ("/search", "/v1/search")
PAGES: Mapping[str, Callable[[Hosted], Any]] = {
    "/info": lambda hosted: hosted.info(),
    "/v1/models": lambda hosted: hosted.models(),
    "/models": lambda hosted: hosted.models(),
    "/health": lambda hosted: {"status": "ok"},
}
RERANK_PATHS = ("/rerank", "/v1/rerank", "/v2/rerank", "/reranking", "/v1/reranking")
POSTS = (*RERANK_PATHS, *SEARCH_PATHS, *CHAT_PATHS)


def posts_of(hosted: Hosted) -> list[str]:
    """Return the paths at which a model answers."""
    posts: list[str] = []
    if hosted.searches:
        posts += SEARCH_PATHS
    if not hosted.why_not_documents:
        posts += RERANK_PATHS
    if hosted.talks:
        posts += CHAT_PATHS
    return posts


class RerankServer:
    """Holds its port from the start, answers from `start()` on; until then connections wait.

    `names` are host names that it is called by, next to localhost and numeric addresses. Raises
    BenchError when the address cannot be had. `on_crash` gets what went wrong inside, in one
    line.
    """

    def __init__(
        self,
        hosted: Hosted,
        host: str,
        port: int,
        on_crash: Callable[[str], None] = lambda line: None,
        names: Sequence[str] = (),
    ) -> None:
        family = _Http
        if ":" in host:
            family = _Http6
        try:
            self._http = family((host, port), _Handler)
        except (OSError, OverflowError) as error:
            raise BenchError(
                f"{host}:{port} cannot be used: {getattr(error, 'strerror', None) or error}; "
                "choose another --port"
            ) from error
        self._http.hosted, self._http.on_crash = hosted, on_crash
        self._http.hosts = AllowedHosts(host, names)
        self._http.in_hand = _InHand(MAX_REQUESTS, BODIES * hosted.limits.body_bytes)
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self.url = f"http://{in_url(host)}:{self._http.server_port}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> bool:
        """Take no further request, let those in hand finish, close. Returns whether they did.
        Idempotent.
        """
        finished = True
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
            finished = self._http.in_hand.drain(DRAIN_S)
        self._http.server_close()
        self._http.hosted.close(wait=finished)
        return finished

    def __enter__(self) -> RerankServer:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()


class _InHand:
    """The requests being answered: their number, and the bytes of their bodies."""

    def __init__(self, limit: int, byte_limit: int) -> None:
        self.closed = False
        self._limit, self._byte_limit = limit, byte_limit
        self._count = self._bytes = 0
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, size: int = 0) -> Iterator[None]:
        """Count one request with a body of this many bytes. Raises Problem when that would be too
        many or too much, or the server stops.
        """
        with self._changed:
            if self.closed:
                raise Problem(503, "the server is stopping")
            is_full = self._count >= self._limit or self._bytes + size > self._byte_limit
            if size and is_full:
                raise Problem(
                    503,
                    f"too many requests are waiting already ({self._count}): send this one again "
                    "in a moment",
                )
            self._count += 1
            self._bytes += size
        try:
            yield
        finally:
            with self._changed:
                self._count -= 1
                self._bytes -= size
                self._changed.notify_all()

    def drain(self, seconds: float) -> bool:
        """Take no more, and wait for those in hand, at most this long. Returns whether all are
        answered.
        """
        with self._changed:
            self.closed = True
            return self._changed.wait_for(lambda: self._count == 0, timeout=seconds)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a client's idle connection would hold the server until it times out
    request_queue_size = 128
    hosted: Hosted
    hosts: AllowedHosts
    in_hand: _InHand
    on_crash: Callable[[str], None]

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._connections = threading.Semaphore(MAX_CONNECTIONS)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Return whether there is a thread to spare for the connection; it is closed otherwise."""
        return self._connections.acquire(blocking=False)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Http6(_Http):
    address_family = socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    server: _Http
    protocol_version = "HTTP/1.1"
    server_version = "rerank-bench"
    disable_nagle_algorithm = (
        True  # with the two below, an answer is one packet at once and not two, 40 ms apart
    )
    wbufsize = -1

    def setup(self) -> None:
        super().setup()
        self._reader = TimedReader(self.connection, IDLE_S)
        self.rfile.close()
        self.rfile = io.BufferedReader(self._reader, BLOCK)

    def handle(self) -> None:
        super().handle()
        if self._is_unread:
            linger(self.connection, LINGER_S)

    def handle_one_request(self) -> None:
        self._is_unread = False
        self._reader.expect_within(None)
        try:
            self.close_connection = not self.rfile.peek(1)  # type: ignore[attr-defined]
        except OSError:
            self.close_connection = True
        if not self.close_connection:
            self._reader.expect_within(REQUEST_S)
            super().handle_one_request()

    def do_GET(self) -> None:
        self._guarded(self._look_up)

    def do_POST(self) -> None:
        self._guarded(self._post)

    def _look_up(self) -> None:
        self._is_unread = self._has_body()
        self._check_site()
        path = self._path()
        if path in POSTS:
            raise Problem(405, f"{path} is answered by POST")
        if path not in PAGES:
            posts = ", ".join(posts_of(self.server.hosted))
            raise Problem(404, f"there is GET {', '.join(PAGES)}, and POST {posts}")
        self._send(200, PAGES[path](self.server.hosted))

    def _post(self) -> None:
        """The request is in hand from when it is read until its answer is sent."""
        data = self._body()
        with self.server.in_hand.hold(len(data)):
            self._guarded(lambda: self._send(200, *self._answered(_object(data))))

    def _answered(self, body: Body) -> tuple[Any, int]:
        """Return what to send, and the tokens that the model read."""
        path, hosted = self._path(), self.server.hosted
        if path in CHAT_PATHS:
            conversation = Conversation.read(body, hosted.limits)
            text, usage = hosted.talk(conversation, self._is_gone)
            model = conversation.model or hosted.names[0]
            return conversation.write(text, usage, model), usage.tokens
        if path in SEARCH_PATHS:
            search = Search.read(body, hosted.limits)
            hits, tokens = hosted.search(search, self._is_gone)
            return written(hits, tokens, search.model or hosted.names[0]), tokens
        if path not in RERANK_PATHS:
            raise Problem(404, f"POST goes to {', '.join(posts_of(hosted))}")
        shape = shape_of(body)
        question = shape.read(body, hosted.limits)
        scores, tokens = hosted.scores(question, self._is_gone)
        model = question.model or hosted.names[0]
        return shape.write(question, scores.tolist(), tokens, model), tokens

    def _is_gone(self) -> bool:
        """Return whether the client has closed the connection. Asked by the model's thread while
        this one waits for it.
        """
        return is_closed(self.connection)

    def _path(self) -> str:
        """Return the path of the request's address. Raises Problem for what is no address."""
        try:
            return urlsplit(self.path).path.rstrip("/")
        except ValueError as error:
            raise Problem(400, f"the address cannot be read: {error}") from None

    def _has_body(self) -> bool:
        """Return whether a body follows the headers: unread, it would pass for the next request."""
        lengths = self.headers.get_all("Content-Length", [])
        return "Transfer-Encoding" in self.headers or any(length != "0" for length in lengths)

    def _check_site(self) -> None:
        """Raise Problem for a request of another site's page."""
        hosts, origins = (self.headers.get_all(name, []) for name in ("Host", "Origin"))
        self.server.hosts.check(hosts, origins, self.connection.getsockname()[0])

    def _body(self) -> bytes:
        """Return the request's bytes. Raises Problem; a body left unread closes the connection
        behind it.
        """
        self._is_unread = True
        self._check_site()
        lengths = set(self.headers.get_all("Content-Length", []))
        limit = self.server.hosted.limits.body_bytes
        if self.headers.get("Transfer-Encoding") or len(lengths) != 1:
            raise Problem(411, "one Content-Length is needed, and no Transfer-Encoding")
        (length,) = lengths
        if not length.isascii() or not length.isdigit() or len(length) > _LONGEST_LENGTH:
            raise Problem(411, "a Content-Length must be a number of bytes")
        if int(length) > limit:
            raise Problem(413, f"{counted(int(length), 'byte')}; at most {limit:,} in a request")
        try:
            data = self.rfile.read(int(length))
        except TimeoutError:
            raise Problem(408, f"the request did not come within {REQUEST_S:.0f} s") from None
        except OSError as error:
            raise ClientGone from error
        if len(data) < int(length):
            raise ClientGone
        self._is_unread = False
        return data

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Problem as problem:
            self._refuse(problem)
        except ClientGone:
            self.close_connection = True
        except CancelledError:
            self._refuse(Problem(503, "the server is stopping"))
        except Exception as error:
            self.server.on_crash(f"{self.path}: {type(error).__name__}: {error}")
            self._refuse(Problem(500, f"internal error ({type(error).__name__})"))

    def _refuse(self, problem: Problem) -> None:
        with suppress(ClientGone):
            self._send(
                problem.status, {"error": {"message": problem.message, "code": problem.status}}
            )

    def _send(self, status: int, data: Any, tokens: int = 0) -> None:
        body = json.dumps(data, allow_nan=False).encode()
        self.close_connection = self.close_connection or self._is_unread
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if tokens:
            self.send_header("x-compute-tokens", str(tokens))
        if status == 405:
            self.send_header("Allow", "POST")
        if status == 503:
            self.send_header("Retry-After", "1")
        if self.close_connection:
            self.send_header("Connection", "close")
        try:
            self.connection.settimeout(REQUEST_S)
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()
        except OSError as error:
            self.close_connection = True
            raise ClientGone from error

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What is no HTTP, or a method that is not known here: answered as everything else is."""
        self._is_unread = True
        self._refuse(Problem(int(code), message or "this is not understood"))

    def log_message(self, format: str, *args: Any) -> None:
        """One line a request would be the slowest part of a request."""


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return a JSON object. Raises Problem for a name that it has twice: it could be read in two
    ways.
    """
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Problem(400, f"'{twice}' is given twice: keep one of the two")
    return members


def _object(data: bytes) -> Body:
    """Return a request's JSON object. Raises Problem."""
    try:
        body = json.loads(data, object_pairs_hook=_members)
    except (ValueError, RecursionError):
        raise Problem(400, "the body is not JSON") from None
    if not isinstance(body, dict):
        raise Problem(400, "the body must be a JSON object")
    return body
