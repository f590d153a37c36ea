"""A service's no, read from its status and its words: what kind it is, whether asking again may
help, and when.
"""

from __future__ import annotations

import contextlib
import email.utils
import math
import re
import time
from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple

from bench.core.errors import causes
from bench.core.json_file import json_value


class Kind(Enum):
    """What a service means by a refusal."""

    KEY = "the key is refused"
    FORBIDDEN = "the key may not use it"
    QUOTA = "what was paid for is used up"
    MODEL = "there is no such model, or no longer"
    ADDRESS = "the address is not one of a rerank service"
    UNREADABLE = "the answer cannot be used"
    RATE = "too many requests in a short time"
    OVERLOADED = "the server has more work than it can do"
    TOO_LARGE = "too much for one request: fewer documents may be taken"
    TOO_LONG = "one query and document are too long for the model"
    REQUEST = "this request is refused, another may be answered"
    PASSING = "a fault that may pass"
    INCOMPARABLE = "the scores of one request cannot be merged with those of another"


HINTS = {
    Kind.RATE: "set requests_per_minute or lower concurrency, and run again to go on from what "
    "was answered",
    Kind.OVERLOADED: "the server has more to do than it can; lower concurrency",
    Kind.TOO_LARGE: "lower documents_per_request",
    Kind.TOO_LONG: "let the server cut long texts: vLLM does with body: {truncate_prompt_tokens: "
    "N}",
    Kind.INCOMPARABLE: "raise documents_per_request or lower the depth, so that a list is one "
    "request; comparable: true where the scores are known to be comparable",
}
"""What a user can do about it."""


ASKED_AGAIN = (Kind.PASSING, Kind.RATE, Kind.OVERLOADED)


class Sign(NamedTuple):
    """How a kind is known: by one of these statuses, and by words, where the status alone does not
    tell.
    """

    kind: Kind
    statuses: frozenset[int]
    words: str = ""


_PASSING = frozenset({408, 409, 425, *range(500, 600)})
SIGNS = (
    Sign(Kind.KEY, frozenset({401, 407, 498})),
    Sign(
        Kind.KEY,
        frozenset({400, 403}),
        r"(invalid|incorrect|wrong|malformed|expired|missing) (api|access|auth\w*)[ _-]?(key|token)"
        r"|(api|access)[ _-]?(key|token)\b.{0,30}\b(invalid|not valid|incorrect|expired|missing)",
    ),
    Sign(Kind.QUOTA, frozenset({402})),
    Sign(
        Kind.QUOTA,
        frozenset({400, 403, 429}),
        r"insufficient[ _](quota|credit|balance|funds)|exceeded your (current|monthly) "
        r"(quota|limit)"
        r"|out of credits?|credit balance|billing|per month|a month|/ ?month|monthly",
    ),
    Sign(Kind.FORBIDDEN, frozenset({403})),
    Sign(Kind.MODEL, frozenset({404, 410})),
    Sign(
        Kind.MODEL,
        frozenset({400, 422}),
        r"(unknown|unsupported|invalid|no such) model\b"
        r"|\bmodel\b.{0,80}\b(was removed|removed on|deprecated|decommissioned|retired|shut ?down"
        r"|no longer|not found|does ?n[o']t exist|not supported|unsupported|is not available)",
    ),
    Sign(Kind.ADDRESS, frozenset({405, 501, *range(300, 400)})),
    Sign(
        Kind.TOO_LONG,
        frozenset({400, 413, 422}),
        r"maximum context length|max(imum)? model len(gth)?|context (length|window|size)"
        r"|longer than the (maximum|model)",
    ),
    Sign(Kind.TOO_LARGE, frozenset({413})),
    Sign(
        Kind.TOO_LARGE,
        frozenset({400, 422}),
        r"max(imum)?( allowed)?( number of)? (tokens|documents|texts|inputs|items|batch size)"
        r"|batch size|too many (tokens|documents|texts|inputs|items)|too large"
        r"|(documents|texts|inputs|input|batch|tokens)\b.{0,60}\b(exceeds?|at most|more than)"
        r"|at most \d+ (documents|texts|inputs|items|tokens)",
    ),
    Sign(
        Kind.OVERLOADED,
        frozenset({429, 503, 529}),
        r"overloaded|over capacity|no capacity|queue (is )?full|too busy|is busy",
    ),
    Sign(Kind.RATE, frozenset({429})),
    Sign(Kind.PASSING, _PASSING),
)
"""The first that fits counts."""


class Refusal(Exception):
    """A request that was not answered. `status` is the HTTP status, None when there was no response
    at all; `refused` is true where the machine answered that nothing listens there. `retry_after`
    are the seconds that the service asks to wait, by a header or in words.
    """

    def __init__(
        self,
        reason: str,
        status: int | None = None,
        retry_after: float | None = None,
        *,
        refused: bool = False,
        kind: Kind | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.refused = refused
        self.kind = kind or kind_of(status, reason)
        self.retry_after = retry_after
        if self.kind is Kind.RATE and retry_after is None:
            self.retry_after = wait_named_in(reason)

    @classmethod
    def unconnected(cls, error: BaseException) -> Refusal:
        """Return the refusal of a connection that there was not, or that broke.

        Clients wrap the system's error, and ours, so that its kind is looked for in its causes.
        """
        refused = False
        for cause in causes(error):
            if isinstance(cause, Refusal):
                return cause
            refused = refused or isinstance(cause, ConnectionRefusedError)
        return cls(f"connection failed ({type(error).__name__})", refused=refused)

    @property
    def may_pass(self) -> bool:
        """Whether asking again may help."""
        return self.kind in ASKED_AGAIN


def kind_of(status: int | None, reason: str) -> Kind:
    """Return what a refusal with this HTTP status and text means."""
    if status is None:
        return Kind.PASSING
    for sign in SIGNS:
        if status in sign.statuses and re.search(sign.words, reason, re.IGNORECASE):
            return sign.kind
    return Kind.REQUEST


def unreadable(problem: str) -> Refusal:
    """Return the refusal of an answer that no request to this address would better."""
    return Refusal(problem, kind=Kind.UNREADABLE)


def reason_in(body: Any) -> str:
    """Return what the body of an error says, in the places where services put it; a body may be
    text, JSON or what was read from it.
    """
    if isinstance(body, bytes):
        body = body.decode("utf-8", "replace")
    if isinstance(body, str):
        with contextlib.suppress(ValueError):
            body = json_value(body)
    while isinstance(body, Mapping):
        texts = [body[name] for name in ("message", "detail", "error") if body.get(name)]
        body = next(iter(texts), None)
    return str(body or "no reason given")


def retry_after(headers: Mapping[str, str] | None) -> float | None:
    """Return the seconds that a Retry-After header asks for, as a number or as a date (RFC 9110,
    section 10.2.3); None without a usable one.
    """
    by_name = {name.lower(): text for name, text in (headers or {}).items()}
    value = by_name.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    if not math.isfinite(seconds):
        return None
    return max(0.0, seconds)


_UNIT = r"(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?)\b"
_AGAIN = re.compile(
    rf"(?:try again|retry|wait)\D{{0,30}}?(?:(\d+)m)?(\d+(?:\.\d+)?) ?{_UNIT}", re.IGNORECASE
)
_WINDOW = re.compile(rf"(?:per|/|an?|every|in) ?(\d+)? ?{_UNIT}|\b[rt]pm\b", re.IGNORECASE)
_WINDOW_MARGIN_S = 1.0
MINUTE_S = 60.0


def wait_named_in(reason: str) -> float | None:
    """Return the seconds that the words of a rate limit ask to wait: "try again in 20s", or, from
    "10 calls / minute", the whole window. None where they name no time."""
    again = _AGAIN.search(reason)
    if again:
        minutes, number, unit = again.groups()
        return MINUTE_S * int(minutes or 0) + float(number) * _seconds(unit)
    window = _WINDOW.search(reason)
    if not window:
        return None
    number, unit = window.groups()
    if unit is None:
        return MINUTE_S + _WINDOW_MARGIN_S
    return float(number or 1) * _seconds(unit) + _WINDOW_MARGIN_S


def _seconds(unit: str) -> float:
    if unit.lower().startswith(("ms", "milli")):
        return 0.001
    if unit.lower().startswith("m"):
        return MINUTE_S
    return 1.0
