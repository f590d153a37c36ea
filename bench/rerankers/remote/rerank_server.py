"""Any server with a POST /rerank: hosted (Jina) or one's own (vLLM, Infinity, Text Embeddings
Inference), spoken to over plain HTTP.

There is no agreed protocol, but two shapes cover the field: `cohere`  {model, query, documents,
top_n} -> {results: [{index, relevance_score}], usage: {total_tokens}}
          https://api.jina.ai/redoc, https://docs.vllm.ai (Re-rank API),
          https://github.com/michaelfeil/infinity SGLang answers with a bare list of {index, score},
          others with {data: [...]}: whatever the shape, these are read
`tei`     {query, texts, raw_scores, truncate} -> [{index, score}]
          https://huggingface.github.io/text-embeddings-inference; at most 32 texts unless the
          server has another --max-client-batch-size
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from bench.contract.request import CandidateList
from bench.core.errors import RerankerError
from bench.core.options import option
from bench.rerankers.options import RerankerOptions
from bench.rerankers.remote.answer import Answer, amount, count, json_of
from bench.rerankers.remote.http import HttpOptions, HttpReranker
from bench.rerankers.remote.options import ADDRESS, SplitOptions
from bench.rerankers.remote.overlap import Part
from bench.rerankers.remote.refusal import Refusal

Fields = dict[str, object]
"""The JSON object of a request."""
_DOCUMENTS_PER_REQUEST = {"cohere": 1000, "tei": 32}


class RerankServerOptions(HttpOptions, SplitOptions):
    base_url: str = option(
        pattern=ADDRESS,
        decides="scores",
        place="elsewhere",
        description="address of the server, up to /rerank; https://api.jina.ai/v1",
    )
    shape: Literal["cohere", "tei"] = option(
        "cohere",
        decides="scores",
        description="cohere for Jina, vLLM and Infinity; tei for Text Embeddings Inference",
    )
    documents_per_request: int | None = option(
        None,
        ge=1,
        decides="speed",
        description="documents in one HTTP request; 32 for tei and 1000 otherwise",
    )
    listwise: bool = option(
        False,
        decides="scores",
        description="the model scores a document together with the others, so that a shorter list "
        "gives other scores",
    )


class RerankServerReranker(HttpReranker):
    """Scores are the server's: raw ones from `tei`, mostly between 0 and 1 from the others. `model`
    is a mere label for `tei`.
    """

    Options: ClassVar[type[RerankerOptions]] = RerankServerOptions
    service = "rerank-server"
    options: RerankServerOptions

    def __init__(self, options: RerankServerOptions, device: str = "cpu") -> None:
        super().__init__(options, device)
        self.documents_per_call = (
            options.documents_per_request or _DOCUMENTS_PER_REQUEST[options.shape]
        )
        self.pointwise = not options.listwise
        self._knows_return_documents = options.shape == "cohere"

    def _answer(self, request: CandidateList, part: Part, scores: Any) -> None:
        if self.options.listwise and len(request.docs) > self.documents_per_call:
            limit = f"{len(request.docs)} documents in requests of {self.documents_per_call}"
            raise RerankerError(
                f"{self.service}: {limit}: a listwise model's scores cannot be merged; lower the "
                "depth"
            )
        super()._answer(request, part, scores)

    def ask(self, query: str, documents: Sequence[str]) -> Answer:
        try:
            return self._read(self._post("/rerank", self._fields(query, list(documents))))
        except Refusal as refusal:
            if not self._knows_return_documents or "return_documents" not in refusal.reason:
                raise
        self._knows_return_documents = False  # a server that refuses fields that it does not know
        return self._read(self._post("/rerank", self._fields(query, list(documents))))

    def _fields(self, query: str, documents: list[str]) -> Fields:
        if self.options.shape == "tei":
            return {"query": query, "texts": documents, "raw_scores": True, "truncate": True}
        fields: Fields = {
            "model": self.options.model,
            "query": query,
            "documents": documents,
            "top_n": len(documents),
        }
        if self._knows_return_documents:
            fields["return_documents"] = False
        return fields

    def _read(self, response: Any) -> Answer:
        data = json_of(response)
        if data is None:
            raise RerankerError(
                f"{self.service}: the answer is not JSON; is base_url the address up to /rerank?"
            )
        results = _results(data)
        if results is None:
            raise RerankerError(
                f"{self.service}: the answer has no list of results; is shape: "
                f"{self.options.shape} right?"
            )
        scores = [
            (item.get("index"), item.get("relevance_score", item.get("score"))) for item in results
        ]
        units = _at(data, "meta", "billed_units", "search_units")
        tokens = response.headers.get("x-compute-tokens") or _at(data, "usage", "total_tokens")
        return Answer(scores, amount(units), count(tokens))


def _results(data: Any) -> list[Mapping[str, object]] | None:
    """Return the list of results, wherever the servers of the field put it."""
    places = [data]
    if isinstance(data, Mapping):
        places = [data.get("results"), data.get("data")]
    for place in places:
        if isinstance(place, list) and all(isinstance(item, Mapping) for item in place):
            return place
    return None


def _at(data: Any, *names: str) -> Any:
    """Return what lies under these names, one below the other; None where there is nothing."""
    for name in names:
        if not isinstance(data, Mapping):
            return None
        data = data.get(name)
    return data
