"""The HTTP client of every hosted reranker, those with an SDK included: one that no server can hold
for ever or fill with its answer.

httpx bounds each read, so that a server that sends a byte now and then holds a request for ever; it
follows a compressed answer to whatever size it unpacks to; SDKs follow redirects, with the texts
and the key. Here a request has one deadline for all of it, an answer one size, and a redirect is an
answer that is refused.
"""

from __future__ import annotations

import json
import os
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from bench.core.errors import RerankerError
from bench.rerankers.remote.address import THIS_MACHINE, in_url, redacted_url
from bench.rerankers.remote.refusal import Kind, Refusal, unreadable

MAX_ANSWER_BYTES = 64 << 20
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""The variables of the environment by which httpx takes other certificates than its own."""
_BY_US = ("content-encoding", "content-length", "transfer-encoding")
"""Headers of an answer that do not hold for it once it is read and unpacked."""


def connect(
    timeout_s: float,
    connections: int,
    headers: Mapping[str, str] | None = None,
    auth: tuple[str, str] | None = None,
    body: Mapping[str, object] | None = None,
) -> Any:
    """Return an httpx.Client whose requests end within `timeout_s`, whatever the server does.

    `body` holds further fields of every JSON body that is posted; None takes one away. Raises
    RerankerError where the proxies of the environment cannot be used.
    """
    import httpx

    mounts = {f"all://{in_url(host)}": None for host in THIS_MACHINE}
    limits = httpx.Limits(
        max_connections=None, max_keepalive_connections=connections, keepalive_expiry=60
    )
    try:
        client = _client_class()(
            timeout=timeout_s,
            headers={"Accept-Encoding": "gzip", **(headers or {})},
            auth=auth,
            limits=limits,
            mounts=mounts,
            verify=_certificates(*(os.environ.get(name) for name in CERTIFICATES)),
        )
    except (OSError, ValueError, ImportError, httpx.InvalidURL):
        # its words may hold a part of a password
        raise RerankerError(
            "the proxy or certificates that the environment names cannot be used; mend "
            "HTTP_PROXY, HTTPS_PROXY, ALL_PROXY or SSL_CERT_FILE"
        ) from None
    client.bound(timeout_s, body or {})
    return client


@cache
def _certificates(file: str | None, folder: str | None) -> Any:
    """Return httpx's own SSL context of these values of the environment: a client that makes its
    own reads some hundred certificates.
    """
    import httpx

    return httpx.create_ssl_context()


@cache
def _client_class() -> Any:
    """Return the class: made late, since httpx takes a while to import."""
    import httpx

    class BoundedClient(httpx.Client):
        def bound(self, timeout_s: float, body: Mapping[str, object]) -> None:
            self._timeout_s, self._body = timeout_s, body
            self._clock = threading.local()
            # httpx offers no public way to the network below its connections; the tests pin this.
            for transport in (self._transport, *self._mounts.values()):
                pool = getattr(transport, "_pool", None)
                if pool is not None:
                    pool._network_backend = _backend(pool._network_backend, self._left)

        def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
            """Send a request and read the whole answer. Raises Refusal for a redirect, and for an
            answer that is too large or cannot be unpacked; httpx.TimeoutException at the deadline.
            """
            self._clock.deadline = time.monotonic() + self._timeout_s
            try:
                response = super().send(
                    self._with_body(request),
                    **{**options, "stream": True, "follow_redirects": False},
                )
                try:
                    if "location" in response.headers and 300 <= response.status_code < 400:
                        raise _moved(response)
                    content = _read(response)
                finally:
                    response.close()
            finally:
                self._clock.deadline = None
            headers = [
                item for item in response.headers.multi_items() if item[0].lower() not in _BY_US
            ]
            return httpx.Response(
                response.status_code, headers=headers, content=content, request=request
            )

        def _left(self) -> float | None:
            """Return the seconds until the deadline of this thread's request; None where there is
            no request.
            """
            deadline = getattr(self._clock, "deadline", None)
            if deadline is None:
                return None
            return float(deadline - time.monotonic())

        def _with_body(self, request: httpx.Request) -> httpx.Request:
            if not self._body or request.method != "POST":
                return request
            fields = {**json.loads(request.content), **self._body}
            content = json.dumps(
                {name: value for name, value in fields.items() if value is not None}
            ).encode()
            headers = [
                item
                for item in request.headers.multi_items()
                if item[0].lower() != "content-length"
            ]
            return httpx.Request(
                request.method,
                request.url,
                headers=headers,
                content=content,
                extensions=request.extensions,
            )

    return BoundedClient


def _moved(response: Any) -> Refusal:
    target = redacted_url(str(response.headers["location"]))
    text = (
        f"it redirects to {target}, where no text or key is sent; set base_url to it if that "
        "is right"
    )
    return Refusal(text, response.status_code, kind=Kind.ADDRESS)


def _read(response: Any) -> bytes:
    """Return an answer, unpacked. Raises Refusal where it is too large or not what it says."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    unpack = _unpacker(encoding)
    parts: list[bytes] = []
    room = MAX_ANSWER_BYTES
    for chunk in response.iter_raw():
        try:
            part = unpack(chunk, room + 1)
        except zlib.error:
            raise unreadable(f"the answer says that it is {encoding}, and is not") from None
        room -= len(part)
        if room < 0:
            raise unreadable(f"the answer is larger than {MAX_ANSWER_BYTES >> 20} MiB")
        parts.append(part)
    return b"".join(parts)


def _unpacker(encoding: str) -> Callable[[bytes, int], bytes]:
    """Return a function (packed bytes, limit of the bytes to return) -> bytes."""
    if encoding in ("", "identity"):
        return lambda chunk, limit: chunk
    if encoding in ("gzip", "x-gzip", "deflate"):
        # 32: gzip and zlib headers are both read.
        return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress
    raise unreadable(f"the answer is packed as {encoding[:20]}, which was not asked for")


def _backend(backend: Any, left: Callable[[], float | None]) -> Any:
    """Return a network backend of httpcore whose waits end when nothing is `left`."""
    import httpcore

    def within(timeout: float | None, late: type[Exception]) -> float | None:
        seconds = left()
        if seconds is None:
            return timeout
        if seconds <= 0:
            raise late
        if timeout is None:
            return seconds
        return min(timeout, seconds)

    class Stream(httpcore.NetworkStream):
        def __init__(self, stream: Any) -> None:
            self._stream = stream

        def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
            received: bytes = self._stream.read(max_bytes, within(timeout, httpcore.ReadTimeout))
            return received

        def write(self, buffer: bytes, timeout: float | None = None) -> None:
            self._stream.write(buffer, within(timeout, httpcore.WriteTimeout))

        def close(self) -> None:
            self._stream.close()

        def start_tls(
            self, ssl_context: Any, server_hostname: Any = None, timeout: float | None = None
        ) -> Any:
            seconds = within(timeout, httpcore.ConnectTimeout)
            return Stream(self._stream.start_tls(ssl_context, server_hostname, seconds))

        def get_extra_info(self, info: str) -> Any:
            return self._stream.get_extra_info(info)

    class Backend(httpcore.NetworkBackend):
        def connect_tcp(
            self,
            host: str,
            port: int,
            timeout: float | None = None,
            local_address: Any = None,
            socket_options: Any = None,
        ) -> Any:
            seconds = within(timeout, httpcore.ConnectTimeout)
            return Stream(backend.connect_tcp(host, port, seconds, local_address, socket_options))

    return Backend()
