"""The HTTP side: requests in, JSON out, nothing but the standard library."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from bench.errors import BenchError
from bench.serving.chat import Conversation
from bench.serving.hosted import Hosted
from bench.serving.problem import Problem
from bench.serving.shapes import shape_of

MAX_BODY_BYTES = 64 * 2**20
_LONGEST_LENGTH = 18
"""Digits of a Content-Length that is a number at all."""
IDLE_S = 300.0
"""Seconds after which a connection that asks nothing, or a request that stops in its middle, is dropped."""
DRAIN_S = 30.0
"""Seconds that requests in hand have to finish when the server is told to stop."""
CHAT_PATHS = ("/chat/completions", "/v1/chat/completions")
RERANK_PATHS = ("/rerank", "/v1/rerank", "/v2/rerank", "/reranking", "/v1/reranking")


class RerankServer:
    """Holds its port from the start, answers from `start()` on; until then connections wait.

    Raises BenchError when the address cannot be had. `on_crash` is told what went wrong inside, in one line.
    """

    def __init__(self, hosted: Hosted, host: str, port: int, on_crash: Callable[[str], None] = lambda line: None) -> None:
        try:
            self._http = _Http((host, port), _Handler)
        except (OSError, OverflowError) as error:
            raise BenchError(f"{host}:{port} cannot be used: {getattr(error, 'strerror', None) or error}; choose another --port") from error
        self._http.hosted, self._http.on_crash = hosted, on_crash
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.url = f"http://{host}:{self._http.server_port}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Take no further request, let those in hand finish, close. Idempotent."""
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
            self._http.in_hand.drain(DRAIN_S)
        self._http.server_close()
        self._http.hosted.close()

    def __enter__(self) -> RerankServer:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()


class _ClientGone(Exception):
    """Nobody is there to be told anything."""


class _InHand:
    """Counts the requests being answered."""

    def __init__(self) -> None:
        self.closed = False
        self._count = 0
        self._changed = threading.Condition()

    def __enter__(self) -> None:
        with self._changed:
            self._count += 1

    def __exit__(self, *error: object) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def drain(self, seconds: float) -> None:
        """Take no more, and wait for those in hand, at most so long."""
        with self._changed:
            self.closed = True
            self._changed.wait_for(lambda: self._count == 0, timeout=seconds)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a client's idle connection would hold the server until it times out
    request_queue_size = 128
    hosted: Hosted
    on_crash: Callable[[str], None]

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self.in_hand = _InHand()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Http
    protocol_version = "HTTP/1.1"
    server_version = "rerank-bench"
    disable_nagle_algorithm = True  # with the two below, an answer is one packet at once and not two, 40 ms apart
    wbufsize = -1
    timeout = IDLE_S

    def do_GET(self) -> None:
        with self.server.in_hand:
            path = urlsplit(self.path).path.rstrip("/")
            if path == "/health":
                self._send(200, {"status": "ok"})
            elif path == "/info":
                self._guarded(lambda: (self.server.hosted.info(), 0))
            else:
                self._refuse(Problem(404, "there is GET /info and /health, and POST " + ", ".join((*RERANK_PATHS, *CHAT_PATHS))))

    def do_POST(self) -> None:
        with self.server.in_hand:
            self._guarded(self._answer)

    def _answer(self) -> tuple[Any, int]:
        """What to send, and the tokens that the model read."""
        body, path, hosted = self._body(), urlsplit(self.path).path.rstrip("/"), self.server.hosted
        if self.server.in_hand.closed:
            raise Problem(503, "the server is stopping")
        if path in CHAT_PATHS:
            conversation = Conversation.read(body)
            text, usage = hosted.talk(conversation)
            return conversation.write(text, usage, hosted.names[0]), usage.tokens
        if path not in RERANK_PATHS:
            raise Problem(404, "POST goes to " + ", ".join((*RERANK_PATHS, *CHAT_PATHS)))
        shape = shape_of(body)
        question = shape.read(body)
        scores, tokens = hosted.scores(question)
        return shape.write(question, scores.tolist(), tokens, hosted.names[0]), tokens

    def _body(self) -> dict[str, Any]:
        """The request's JSON object. Raises Problem; a body left unread closes the connection behind it."""
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or len(length) > _LONGEST_LENGTH:
            self.close_connection = True
            raise Problem(411, "a Content-Length is needed")
        if int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            raise Problem(413, f"{int(length)} bytes; at most {MAX_BODY_BYTES} in a request")
        try:
            text = self.rfile.read(int(length))
        except OSError as error:
            raise _ClientGone from error
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            raise Problem(400, "the body is not JSON") from None
        if not isinstance(data, dict):
            raise Problem(400, "the body must be a JSON object")
        return data

    def _guarded(self, answer: Callable[[], tuple[Any, int]]) -> None:
        try:
            data, tokens = answer()
        except Problem as problem:
            self._refuse(problem)
        except _ClientGone:
            self.close_connection = True
        except Exception as error:
            self.server.on_crash(f"{self.path}: {type(error).__name__}: {error}")
            self._refuse(Problem(500, f"internal error ({type(error).__name__})"))
        else:
            self._send(200, data, tokens)

    def _refuse(self, problem: Problem) -> None:
        self._send(problem.status, {"error": {"message": problem.message, "code": problem.status}})

    def _send(self, status: int, data: Any, tokens: int = 0) -> None:
        body = json.dumps(data, allow_nan=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if tokens:
            self.send_header("x-compute-tokens", str(tokens))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What is no HTTP, or a method that is not known here: told as everything else is."""
        self.close_connection = True
        self._refuse(Problem(int(code), message or "this is not understood"))

    def log_message(self, format: str, *args: Any) -> None:
        """One line a request would be the slowest part of a request."""
