"""What a suite may say about a hosted reranker. Imports nothing heavier than pydantic."""

from __future__ import annotations

from typing import Any

from pydantic import field_validator

from bench.catalogue.price import Price
from bench.core.options import option
from bench.rerankers.options import RerankerOptions
from bench.rerankers.remote.address import is_address

ADDRESS = r"^https?://[^/?#]+[^?#]*$"


class ApiOptions(RerankerOptions):
    """What every hosted reranker takes."""

    model: str = option(
        min_length=1,
        decides="scores",
        place="elsewhere",
        description="the service's name of the model",
    )
    base_url: str | None = option(
        None,
        pattern=ADDRESS,
        decides="scores",
        place="elsewhere",
        description="address of the service, where it is not the usual one",
    )
    body: dict[str, Any] = option(
        default_factory=dict,
        decides="scores",
        place="elsewhere",
        description="further fields of the HTTP request, none of them secret; null takes one of "
        "ours away",
    )
    timeout_s: float = option(
        30.0,
        gt=0,
        decides="speed",
        description="seconds before a request is given up, however slowly its answer comes",
    )
    retries: int = option(
        3,
        ge=0,
        decides="speed",
        description="further attempts after a time-out, a server error or a rate limit",
    )
    backoff_s: float = option(
        1.0,
        ge=0,
        decides="speed",
        description="wait before the first retry, doubled each time; Retry-After goes first",
    )
    concurrency: int = option(
        1, ge=1, le=256, decides="speed", description="HTTP requests in flight at once"
    )
    requests_per_minute: float | None = option(
        None,
        gt=0,
        decides="speed",
        description="HTTP requests a minute, evenly spread; no limit when absent",
    )
    tokens_per_minute: float | None = option(
        None,
        gt=0,
        decides="speed",
        description="tokens a minute, as the service counts them; no limit when absent",
    )
    price: Price | None = option(
        None,
        decides="nothing",
        description="what the service charges, in place of the catalogue's: {usd: 2, per: 1000 "
        "searches}",
    )

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is not None and not is_address(value):
            raise ValueError("not an address such as https://api.example.com/v1")
        return value

    @property
    def largest_request(self) -> int | None:
        """Documents in one HTTP request; None for as many as the service takes."""
        return None

    @property
    def overlaps(self) -> bool:
        """Whether one document is asked in each request of a list that is sent in several."""
        return False


class SplitOptions(ApiOptions):
    """What those take that score documents one by one, so that a list may be sent in parts."""

    documents_per_request: int | None = option(
        None,
        ge=1,
        decides="speed",
        description="documents in one HTTP request; as many as the service takes when absent, "
        "fewer where it says too large",
    )
    comparable: bool = option(
        False,
        decides="speed",
        description="scores are known to be comparable between requests: where a list is sent in "
        "several, no document is asked twice to see whether they are",
    )

    @property
    def largest_request(self) -> int | None:
        return self.documents_per_request

    @property
    def overlaps(self) -> bool:
        return not self.comparable
