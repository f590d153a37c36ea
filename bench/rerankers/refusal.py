"""A service's no, read from whatever it answered: why, whether asking again may help, and when."""

from __future__ import annotations

import contextlib
import email.utils
import json
import math
import time
from collections.abc import Mapping
from typing import Any


class Refusal(Exception):
    """A request that was not answered. `status` is the HTTP status, None when there was no response at all; `refused` is true where the
    machine answered that nothing listens there."""

    def __init__(self, reason: str, status: int | None = None, retry_after: float | None = None, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.retry_after = retry_after
        self.refused = refused

    @classmethod
    def unconnected(cls, error: BaseException) -> Refusal:
        """No connection, or one that broke. Clients wrap the system's error, so that its kind is looked for in what it came from."""
        cause: BaseException | None = error
        seen: set[int] = set()
        while cause is not None and id(cause) not in seen and not isinstance(cause, ConnectionRefusedError):
            seen.add(id(cause))
            cause = cause.__cause__ or cause.__context__
        return cls(f"connection failed ({type(error).__name__})", refused=isinstance(cause, ConnectionRefusedError))

    @property
    def may_pass(self) -> bool:
        """Whether asking again may help."""
        return self.status is None or self.status in (408, 409, 425, 429) or self.status >= 500


def reason_in(body: Any) -> str:
    """What the body of an error says, in the places where services put it; a body may be text, JSON or what was read from it."""
    if isinstance(body, str):
        with contextlib.suppress(ValueError):
            body = json.loads(body)
    while isinstance(body, Mapping):
        body = next((body[name] for name in ("message", "detail", "error") if body.get(name)), None)
    return str(body or "no reason given")


def retry_after(headers: Mapping[str, str] | None) -> float | None:
    """Seconds that a Retry-After header asks for, as a number or as a date (RFC 9110, section 10.2.3); None without a usable one."""
    value = {name.lower(): text for name, text in (headers or {}).items()}.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
