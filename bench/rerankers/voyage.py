"""Voyage AI's hosted rerankers, by POST /v1/rerank through the voyageai SDK.

Reference: https://docs.voyageai.com/reference/reranker-api (1,000 documents and 600,000 tokens a request; the query
counts once per document). The SDK keeps one connection per thread, renews it every three minutes, and offers no way to close it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import Field

from bench.errors import RerankerError
from bench.plugins import require
from bench.rerankers.answer import Answer
from bench.rerankers.api import ApiOptions, ApiReranker
from bench.rerankers.options import RerankerOptions
from bench.rerankers.refusal import Refusal, reason_in, retry_after


class VoyageOptions(ApiOptions):
    truncation: bool = Field(True, description="let the service cut texts that are too long; otherwise they fail")


class VoyageReranker(ApiReranker):
    """Scores are the service's relevance scores, between 0 and 1. `base_url` includes the version, as in https://api.voyageai.com/v1."""

    Options: ClassVar[type[RerankerOptions]] = VoyageOptions
    service = "voyage"
    package = "voyageai"
    key_variable = "VOYAGE_API_KEY"
    address = "https://api.voyageai.com/v1"
    options: VoyageOptions

    def connect(self, key: str) -> Any:
        return require("voyageai", "api").Client(
            key, max_retries=0, timeout=self.options.timeout_s, base_url=(self._base_url() or self.address or "").rstrip("/")
        )

    def settings(self) -> dict[str, Any]:
        return {"truncation": self.options.truncation}

    def ask(self, query: str, documents: Sequence[str]) -> Answer:
        options, errors = self.options, require("voyageai.error", "api")
        try:
            found = self._client.rerank(query, list(documents), options.model, top_k=len(documents), truncation=options.truncation)
        except errors.Timeout:
            raise Refusal(f"no answer within {options.timeout_s:g} s") from None
        except errors.APIConnectionError as error:
            raise Refusal.unconnected(error.__cause__ or error) from None
        except errors.VoyageError as error:
            raise _refusal(error) from None
        return Answer([(item.index, item.relevance_score) for item in found.results], tokens=int(found.total_tokens))


def _refusal(error: Any) -> Refusal:
    status = error.http_status
    if status is not None and 200 <= status < 300:
        raise RerankerError("voyage: the answer is not JSON; is base_url the address of a Voyage API?") from None
    return Refusal(reason_in(error.json_body or error.http_body), status, retry_after(error.headers))
