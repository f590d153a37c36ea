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
    """A request that was not answered. `status` is the HTTP status, None when there was no response at all."""

    def __init__(self, reason: str, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.retry_after = retry_after

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
