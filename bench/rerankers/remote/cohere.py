"""Cohere's hosted rerankers, by POST /v2/rerank through the cohere SDK.

Reference: https://docs.cohere.com/reference/rerank (documents per request, billed search units,
max_tokens_per_doc).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from bench.contract.request import CandidateList, Usage
from bench.core.errors import RerankerError
from bench.core.options import option
from bench.rerankers.options import RerankerOptions
from bench.rerankers.remote.answer import Answer, amount, count
from bench.rerankers.remote.client import ApiReranker
from bench.rerankers.remote.options import SplitOptions
from bench.rerankers.remote.refusal import Refusal, reason_in, retry_after

LONGEST_DOCUMENT = 4096
"""Tokens of a document that the service reads unless max_tokens_per_doc says otherwise."""


class CohereOptions(SplitOptions):
    max_tokens_per_doc: int | None = option(
        None,
        ge=1,
        decides="scores",
        description="longer documents are cut by the service; its default when absent",
    )


class CohereReranker(ApiReranker):
    """Scores are the service's relevance scores, between 0 and 1."""

    Options: ClassVar[type[RerankerOptions]] = CohereOptions
    service = package = "cohere"
    key_variable = "CO_API_KEY"
    address, address_variable = "https://api.cohere.com", "CO_API_URL"
    options: CohereOptions

    def connect(self, key: str, http: Any) -> Any:
        import cohere

        return cohere.ClientV2(
            key,
            base_url=self._url(),
            timeout=self.options.timeout_s,
            max_retries=0,
            httpx_client=http,
        )

    def expected_usage(
        self, requests: Sequence[CandidateList], tokens: Callable[[str], int]
    ) -> Usage:
        longest = self.options.max_tokens_per_doc or LONGEST_DOCUMENT
        return super().expected_usage(requests, lambda text: min(tokens(text), longest))

    def ask(self, query: str, documents: Sequence[str]) -> Answer:
        import httpx
        from cohere.core.api_error import ApiError
        from cohere.core.parse_error import ParsingError

        options: dict[str, int] = {}
        if self.options.max_tokens_per_doc is not None:
            options["max_tokens_per_doc"] = self.options.max_tokens_per_doc
        try:
            response = self._client.rerank(
                model=self.options.model,
                query=query,
                documents=list(documents),
                top_n=len(documents),
                **options,
            )
        except ApiError as error:
            raise _refusal(error) from None
        except httpx.TimeoutException:
            raise Refusal(f"no answer within {self.options.timeout_s:g} s") from None
        except httpx.TransportError as error:
            raise Refusal.unconnected(error) from None
        except ParsingError as error:
            raise RerankerError(
                f"cohere: the answer cannot be read ({type(error).__name__})"
            ) from None
        return _read(response)


def _refusal(error: Any) -> Refusal:
    status = error.status_code
    if status is not None and 200 <= status < 300:
        raise RerankerError(
            "cohere: the answer is not JSON; is base_url the address of a Cohere API?"
        ) from None
    if status is None:
        return Refusal.unconnected(error)
    return Refusal(reason_in(error.body), status, retry_after(error.headers))


def _read(response: Any) -> Answer:
    results = getattr(response, "results", None)
    if not isinstance(results, list):
        raise RerankerError("cohere: the answer has no list of results")
    billed = getattr(getattr(response, "meta", None), "billed_units", None)
    units = getattr(billed, "search_units", None)
    tokens = getattr(billed, "input_tokens", None)
    scores = [
        (getattr(item, "index", None), getattr(item, "relevance_score", None)) for item in results
    ]
    return Answer(scores, amount(units), count(tokens))
