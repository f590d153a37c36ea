"""Mixedbread's hosted rerankers, by POST /v1/reranking through the mixedbread SDK.

Reference: https://www.mixedbread.com/api-reference/endpoints/reranking/rerank-documents (at most
1,000 documents a request).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from bench.core.errors import RerankerError
from bench.core.plugins import require
from bench.rerankers.options import RerankerOptions
from bench.rerankers.remote.answer import Answer, count
from bench.rerankers.remote.client import ApiReranker
from bench.rerankers.remote.options import SplitOptions
from bench.rerankers.remote.refusal import Refusal, reason_in, retry_after


class MixedbreadReranker(ApiReranker):
    """Scores are the service's, as they come."""

    Options: ClassVar[type[RerankerOptions]] = SplitOptions
    service = package = "mixedbread"
    key_variable = "MXBAI_API_KEY"
    address, address_variable = "https://api.mixedbread.com", "MIXEDBREAD_BASE_URL"

    def connect(self, key: str, http: Any) -> Any:
        sdk = require("mixedbread", "api")
        return sdk.Mixedbread(
            api_key=key,
            base_url=self._url(),
            timeout=self.options.timeout_s,
            max_retries=0,
            http_client=http,
        )

    def ask(self, query: str, documents: Sequence[str]) -> Answer:
        sdk = require("mixedbread", "api")
        try:
            response = self._client.rerank(
                model=self.options.model,
                query=query,
                input=list(documents),
                top_k=len(documents),
                return_input=False,
            )
        except sdk.APITimeoutError:
            raise Refusal(f"no answer within {self.options.timeout_s:g} s") from None
        except sdk.APIConnectionError as error:
            raise Refusal.unconnected(error.__cause__ or error) from None
        except sdk.APIStatusError as error:
            raise Refusal(
                reason_in(error.body), error.status_code, retry_after(error.response.headers)
            ) from None
        results = getattr(response, "data", None)
        if not isinstance(results, list):
            raise RerankerError("mixedbread: the answer has no list of results")
        tokens = getattr(getattr(response, "usage", None), "total_tokens", None)
        scores = [(getattr(item, "index", None), getattr(item, "score", None)) for item in results]
        return Answer(scores, tokens=count(tokens))
