"""`/search`: a query in, the documents of the collection that a pipeline gives for it out.

{query, top_k, return_documents} -> {results: [{id, score, document: {text}}], model, usage}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.serving.limits import Limits
from bench.serving.problem import Problem
from bench.serving.shapes import Body, model_of, truth, whole_number

FIELDS = ("query", "top_k", "return_documents", "model")


@dataclass(frozen=True)
class Search:
    """What a request looks for: the `best` documents, all that the pipeline gives when None, with
    their texts where `echo`.
    """

    query: str
    best: int | None
    echo: bool
    model: str | None

    @classmethod
    def read(cls, body: Body, limits: Limits) -> Search:
        """Return a request's search. Raises Problem naming the field that cannot be used."""
        unknown = [name for name in body if name not in FIELDS]
        if unknown:
            raise Problem(400, f"'{unknown[0]}' is not a field of a search: {', '.join(FIELDS)}")
        query = body.get("query")
        if not isinstance(query, str):
            raise Problem(400, "'query' must be a text")
        limits.check_texts([query], "query")
        limits.check_searched(query)
        best = whole_number(body, "top_k")
        return cls(query, best, bool(truth(body, "return_documents")), model_of(body))


@dataclass(frozen=True)
class Hit:
    """A document that a pipeline gives, with its final score and, where asked for, its text."""

    doc_id: str
    score: float
    text: str | None = None


def written(hits: Sequence[Hit], tokens: int, model: str) -> dict[str, object]:
    """Return the answer to a search, best document first."""
    results: list[dict[str, object]] = []
    for hit in hits:
        result: dict[str, object] = {"id": hit.doc_id, "score": hit.score}
        if hit.text is not None:
            result["document"] = {"text": hit.text}
        results.append(result)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"model": model, "results": results, "usage": usage}
