"""What a suite may say about a hosted reranker. Imports nothing heavier than pydantic."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from bench.catalogue.price import Price
from bench.rerankers.options import RerankerOptions
from bench.rerankers.remote.address import is_address

ADDRESS = r"^https?://[^/?#]+[^?#]*$"


class ApiOptions(RerankerOptions):
    """What every hosted reranker takes."""

    model: str = Field(min_length=1, description="the service's name of the model")
    base_url: str | None = Field(
        None, pattern=ADDRESS, description="address of the service, where it is not the usual one"
    )
    body: dict[str, Any] = Field(
        default_factory=dict,
        description="further fields of the HTTP request, none of them secret; null takes one of "
        "ours away",
    )
    timeout_s: float = Field(
        30.0,
        gt=0,
        description="seconds before a request is given up, however slowly its answer comes",
    )
    retries: int = Field(
        3, ge=0, description="further attempts after a time-out, a server error or a rate limit"
    )
    backoff_s: float = Field(
        1.0,
        ge=0,
        description="wait before the first retry, doubled each time; Retry-After goes first",
    )
    concurrency: int = Field(1, ge=1, le=256, description="HTTP requests in flight at once")
    requests_per_minute: float | None = Field(
        None, gt=0, description="HTTP requests a minute, evenly spread; no limit when absent"
    )
    tokens_per_minute: float | None = Field(
        None, gt=0, description="tokens a minute, as the service counts them; no limit when absent"
    )
    price: Price | None = Field(
        None,
        description="what the service charges, in place of the catalogue's: {usd: 2, per: 1000 "
        "searches}",
    )

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is not None and not is_address(value):
            raise ValueError("not an address such as https://api.example.com/v1")
        return value


class SplitOptions(ApiOptions):
    """What those take that score documents one by one, so that a list may be sent in parts."""

    documents_per_request: int | None = Field(
        None,
        ge=1,
        description="documents in one HTTP request; as many as the service takes when absent, "
        "fewer where it says too large",
    )
