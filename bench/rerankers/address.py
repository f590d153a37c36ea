"""Where a server is: its address in parts, and whether anybody listens there."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from bench.errors import RerankerError, Unavailable

THIS_MACHINE = ("127.0.0.1", "localhost", "::1")
_LOCAL_ANSWER_S = 2.0


def is_address(url: str) -> bool:
    """Whether a URL names a host, and a port where it names one."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def require_listener(base_url: str | None) -> None:
    """Raise Unavailable when nothing listens at an address of this machine: told at once, not after the retries of every query. Another
    machine is not asked: it may be slow to answer, and a connection to it is not for a check to make."""
    host = urlsplit(base_url or "").hostname
    if base_url and host in THIS_MACHINE:
        try:
            socket.create_connection((host, _port(base_url)), timeout=_LOCAL_ANSWER_S).close()
        except OSError:
            raise Unavailable(nobody_at(base_url), "start the server, or mend base_url") from None


def _port(url: str) -> int:
    """Raises RerankerError; an address may hold a password, so that it is not shown."""
    try:
        return urlsplit(url).port or (443 if url.startswith("https:") else 80)
    except ValueError:
        raise RerankerError("the port in base_url is not a number") from None


def nobody_at(url: str) -> str:
    return f"nothing listens at {urlsplit(url).hostname}:{_port(url)}"
