"""Cohere's hosted rerankers, by POST /v2/rerank through the cohere SDK.

Reference: https://docs.cohere.com/reference/rerank (documents per request, billed search units, max_tokens_per_doc).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, ClassVar
from urllib.parse import urlsplit

from pydantic import Field

from bench.errors import RerankerError, Unavailable
from bench.rerankers.api import Answer, ApiOptions, ApiReranker, Refusal, retry_after
from bench.rerankers.base import Description
from bench.rerankers.options import RerankerOptions
from bench.rerankers.weights import versions

_USUAL_HOST = "api.cohere.com"


class CohereOptions(ApiOptions):
    max_tokens_per_doc: int | None = Field(None, ge=1, description="longer documents are cut by the service; its default when absent")


class CohereReranker(ApiReranker):
    """Scores are the service's relevance scores, between 0 and 1."""

    Options: ClassVar[type[RerankerOptions]] = CohereOptions
    service = "cohere"
    key_variable = "CO_API_KEY"
    options: CohereOptions

    def __init__(self, options: CohereOptions, device: str = "cpu") -> None:
        super().__init__(options, device)
        self._client: Any = None

    def check(self) -> None:
        if find_spec("cohere") is None:
            raise Unavailable("cohere not installed", "pip install 'rerank-bench[api]'")
        super().check()

    def fingerprint(self) -> dict[str, Any]:
        return {"backend": "cohere", **self._identity()}

    def load(self) -> None:
        if self._client is None:
            import cohere

            self.check()
            self._client = cohere.ClientV2(
                os.environ[self.key_variable], base_url=self._base_url(), timeout=self.options.timeout_s, max_retries=0
            )

    def describe(self) -> Description:
        options = self.options
        facts = {"timeout_s": options.timeout_s, "retries": options.retries, "concurrency": 1, "sdk": versions("cohere")["cohere"]}
        return Description("cohere", self._identity(), facts)

    def ask(self, query: str, documents: Sequence[str]) -> Answer:
        import httpx
        from cohere.core.api_error import ApiError
        from cohere.core.parse_error import ParsingError

        if self._client is None:
            raise RerankerError("cohere: load() comes before rerank()")
        more = {} if self.options.max_tokens_per_doc is None else {"max_tokens_per_doc": self.options.max_tokens_per_doc}
        try:
            response = self._client.rerank(model=self.options.model, query=query, documents=list(documents), top_n=len(documents), **more)
        except ApiError as error:
            raise _refusal(error) from None
        except httpx.TimeoutException:
            raise Refusal(f"no answer within {self.options.timeout_s:g} s") from None
        except httpx.TransportError as error:
            raise Refusal(f"connection failed ({type(error).__name__})") from None
        except (ParsingError, TypeError, ValueError, AttributeError, KeyError) as error:  # the SDK reads answers without checking them
            raise RerankerError(f"cohere: the answer cannot be read ({type(error).__name__})") from None
        return _read(response)

    def close(self) -> None:
        if self._client is not None:
            self._client.__exit__(None, None, None)
            self._client = None

    def _base_url(self) -> str | None:
        return self.options.base_url or os.environ.get("CO_API_URL")

    def _identity(self) -> dict[str, Any]:
        address = urlsplit(self._base_url() or f"https://{_USUAL_HOST}")
        return {"model": self.options.model, "max_tokens_per_doc": self.options.max_tokens_per_doc, "host": address.hostname}


def _refusal(error: Any) -> Refusal:
    status = error.status_code
    if status is not None and 200 <= status < 300:
        raise RerankerError("cohere: the answer is not JSON; is base_url the address of a Cohere API?") from None
    body = error.body
    message = body.get("message") if isinstance(body, dict) else body
    return Refusal(str(message or "no reason given"), status, retry_after(error.headers))


def _read(response: Any) -> Answer:
    results = getattr(response, "results", None)
    if not isinstance(results, list):
        raise RerankerError("cohere: the answer has no list of results")
    billed = getattr(getattr(response, "meta", None), "billed_units", None)
    units, tokens = getattr(billed, "search_units", None), getattr(billed, "input_tokens", None)
    scores = [(getattr(item, "index", None), getattr(item, "relevance_score", None)) for item in results]
    return Answer(scores, float(units or 0), int(tokens or 0))
