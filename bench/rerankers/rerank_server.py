"""Any server with a POST /rerank: hosted (Jina) or one's own (vLLM, Infinity, Text Embeddings Inference), spoken to over plain HTTP.

There is no agreed protocol, but two shapes cover the field:
`cohere`  {model, query, documents, top_n} -> {results: [{index, relevance_score}], usage: {total_tokens}}
          https://api.jina.ai/redoc, https://docs.vllm.ai (Re-rank API), https://github.com/michaelfeil/infinity
`tei`     {query, texts, raw_scores, truncate} -> [{index, score}]
          https://huggingface.github.io/text-embeddings-inference; at most 32 texts unless the server has another --max-client-batch-size
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field

from bench.errors import RerankerError, Unavailable
from bench.rerankers.answer import Answer
from bench.rerankers.base import Description, Request
from bench.rerankers.http import HttpOptions, HttpReranker, json_of
from bench.rerankers.options import RerankerOptions

_DOCUMENTS_PER_REQUEST = {"cohere": 1000, "tei": 32}


class RerankServerOptions(HttpOptions):
    base_url: str = Field(pattern=r"^https?://[^/]", description="address of the server, up to /rerank; https://api.jina.ai/v1")
    shape: Literal["cohere", "tei"] = Field("cohere", description="cohere for Jina, vLLM and Infinity; tei for Text Embeddings Inference")
    documents_per_request: int | None = Field(None, ge=1, description="documents in one HTTP request; 32 for tei and 1000 otherwise")
    listwise: bool = Field(False, description="the model scores a document beside the others, so that a shorter list gives other scores")


class RerankServerReranker(HttpReranker):
    """Scores are the server's: raw ones from `tei`, mostly between 0 and 1 from the others. `model` is a mere label for `tei`."""

    Options: ClassVar[type[RerankerOptions]] = RerankServerOptions
    service = "rerank-server"
    options: RerankServerOptions

    def __init__(self, options: RerankServerOptions, device: str = "cpu") -> None:
        super().__init__(options, device)
        self.documents_per_call = options.documents_per_request or _DOCUMENTS_PER_REQUEST[options.shape]
        self.pointwise = not options.listwise
        self._served: dict[str, Any] | None = None

    def load(self) -> None:
        super().load()
        if self.options.shape == "tei" and self._served is None:
            self._served = self._info()

    def describe(self) -> Description:
        """With what a `tei` server says that it serves: its model's name, commit and number format."""
        plain = super().describe()
        return Description(plain.backend, plain.identity | (self._served or {}), plain.facts)

    def settings(self) -> dict[str, Any]:
        return {"shape": self.options.shape, "listwise": self.options.listwise, "path": urlsplit(self.options.base_url).path.rstrip("/")}

    def _answer(self, request: Request, start: int, scores: Any) -> None:
        if self.options.listwise and len(request.docs) > self.documents_per_call:
            limit = f"{len(request.docs)} documents in requests of {self.documents_per_call}"
            raise RerankerError(f"{self.service}: {limit}: a listwise model's scores cannot be merged; lower the depth")
        super()._answer(request, start, scores)

    def ask(self, query: str, documents: Sequence[str]) -> Answer:
        return self._read(self._post("/rerank", self._body(query, list(documents))))

    def _info(self) -> dict[str, Any]:
        """The server's GET /info, as far as it has one. Raises Unavailable when nobody answers."""
        import httpx

        try:
            response = self._client.get(self.options.base_url.rstrip("/") + "/info")
        except (httpx.TransportError, httpx.InvalidURL) as error:
            where = urlsplit(self.options.base_url).hostname
            raise Unavailable(f"no answer from {where} ({type(error).__name__})", "start the server, or mend base_url") from None
        info = json_of(response) if response.status_code == 200 else None
        names = ("model_id", "model_sha", "model_dtype", "version")
        return {f"served_{name}": info[name] for name in names if name in info} if isinstance(info, dict) else {}

    def _body(self, query: str, documents: list[str]) -> dict[str, Any]:
        if self.options.shape == "tei":
            return {"query": query, "texts": documents, "raw_scores": True, "truncate": True}
        return {"model": self.options.model, "query": query, "documents": documents, "top_n": len(documents)}

    def _read(self, response: Any) -> Answer:
        data, tei = json_of(response), self.options.shape == "tei"
        if data is None:
            raise RerankerError(f"{self.service}: the answer is not JSON; is base_url the address up to /rerank?")
        results = data if tei else data.get("results") if isinstance(data, dict) else None
        if not isinstance(results, list) or not all(isinstance(item, dict) for item in results):
            raise RerankerError(f"{self.service}: the answer has no list of results; is shape: {self.options.shape} right?")
        name = "score" if tei else "relevance_score"
        tokens = response.headers.get("x-compute-tokens") if tei else (data.get("usage") or {}).get("total_tokens")
        units = None if tei else ((data.get("meta") or {}).get("billed_units") or {}).get("search_units")
        return Answer([(item.get("index"), item.get(name)) for item in results], float(units or 0), int(tokens or 0))
