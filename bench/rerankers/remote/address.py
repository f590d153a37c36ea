"""Where a server is: its address in parts, without the password that may be in it, and whether
anybody listens there.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit, urlunsplit

from bench.contract.requirement import Requirement
from bench.core.errors import RerankerError, Unavailable

THIS_MACHINE = ("127.0.0.1", "localhost", "::1")
_LOCAL_ANSWER_S = 2.0
_USUAL_PORTS = {"http": 80, "https": 443}


def is_address(url: str) -> bool:
    """Return whether a URL names a host, and a port where it names one."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def host_of(url: str) -> str | None:
    """Return the name of the machine; None where the address has none. Raises RerankerError for
    what is no address.
    """
    try:
        return urlsplit(url).hostname
    except ValueError:
        raise RerankerError("base_url is not an address") from None


def port_of(url: str) -> int:
    """Return the port, the scheme's own where none is named.

    Raises RerankerError; an address may hold a password, so that it is not shown.
    """
    try:
        parts = urlsplit(url)
        return parts.port or _USUAL_PORTS.get(parts.scheme.lower(), 80)
    except ValueError:
        raise RerankerError("the port in base_url is not a number") from None


def without_user(url: str) -> str:
    """Return the address without user name and password, and without a slash at its end."""
    host_of(url)
    parts = urlsplit(url)
    return urlunsplit(
        (parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), parts.query, "")
    )


def user_of(url: str) -> tuple[str, str] | None:
    """Return user name and password of an address, if it has any."""
    host_of(url)
    parts = urlsplit(url)
    if parts.username is None:
        return None
    return unquote(parts.username), unquote(parts.password or "")


def whole_address(url: str) -> str:
    """Return what tells one server from another: scheme, host, port and path."""
    parts = urlsplit(without_user(url))
    return f"{parts.scheme.lower()}://{_host_and_port(url)}{parts.path}"


def redacted_url(url: str) -> str:
    """Return an address as a message shows it: what a server sends may be anything, long and with
    secrets.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return "what is no address"
    public = parts.path
    if parts.netloc:
        public = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return public[:100] or "nowhere"


@dataclass(frozen=True)
class Listener(Requirement):
    """A server that listens at an address of this machine: its absence is known at once, not after
    the retries of every query.

    Another machine is not asked: it may be slow to answer, and a connection to it is not for a
    check to make.
    """

    base_url: str

    def require(self) -> None:
        host = host_of(self.base_url)
        if host not in THIS_MACHINE:
            return
        address = (host, port_of(self.base_url))
        try:
            socket.create_connection(address, timeout=_LOCAL_ANSWER_S).close()
        except OSError:
            reason = nobody_at(self.base_url)
            raise Unavailable(reason, "start the server, or mend base_url") from None


def nobody_at(url: str) -> str:
    """Return what to say of an address where nothing listens."""
    return f"nothing listens at {_host_and_port(url)}"


def _host_and_port(url: str) -> str:
    return f"{in_url(host_of(url) or '')}:{port_of(url)}"


def in_url(host: str) -> str:
    """Return a host as a URL has it: an address of IPv6 is in brackets."""
    return f"[{host}]" if ":" in host else host
