"""The shapes of `/rerank` in the field, as data: where each puts documents and scores. Read and
written here, sent by `server`.

`cohere`      {model, query, documents, top_n, return_documents} -> {results: [{index,
relevance_score}]}; also Jina, vLLM, Infinity
              https://docs.cohere.com/reference/rerank, https://api.jina.ai/redoc
`tei`         {query, texts, return_text, raw_scores} -> [{index, score}];
https://huggingface.github.io/text-embeddings-inference `voyage`      {model, query, documents,
top_k, return_documents} -> {data: [{index, relevance_score}]}
              https://docs.voyageai.com/reference/reranker-api
`mixedbread`  {model, query, input, top_k, return_input} -> {data: [{index, score}]}
              https://www.mixedbread.com/api-reference/endpoints/reranking/rerank-documents
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.core.counting import counted
from bench.serving.limits import Limits
from bench.serving.problem import Problem

_UNKNOWN_HERE = (
    "max_tokens_per_doc",
    "max_chunks_per_doc",
    "rank_fields",
    "truncate_prompt_tokens",
    "instruction",
)
"""What would change the scores: refused, because ignoring it would give others than were asked
for.
"""
Body = Mapping[str, object]
"""The JSON object of a request."""
_ONLY: Mapping[str, object] = {
    "truncate": True,
    "truncation": True,
    "truncation_direction": "Right",
}
"""What would change them but for this value: a text that is too long for the model is cut at its
end.
"""
_DOCUMENTS = ("texts", "documents", "input")
_OF_ONE_SHAPE = ("top_n", "top_k", "return_documents", "return_text", "return_input")
"""What decides which results there are and what they hold, in one shape or another."""


@dataclass(frozen=True)
class Question:
    """What a request asks: the `best` results (all when None), with their texts where `echo`.

    `raw` says whether scores are asked for as the reranker's own or squashed; None leaves it to the
    server.
    """

    query: str
    documents: list[str]
    best: int | None
    echo: bool
    model: str | None
    raw: bool | None = None


@dataclass(frozen=True)
class Shape:
    """The names that a protocol gives to the parts of a question and of an answer. `results` is
    None for a bare list.
    """

    documents: str
    best: str | None
    echo: str
    score: str
    text: str
    results: str | None
    nested_text: bool = False
    extras: Mapping[str, object] = field(default_factory=dict)

    def read(self, body: Body, limits: Limits) -> Question:
        """Raises Problem naming the field that cannot be used."""
        unknown = [name for name in _UNKNOWN_HERE if body.get(name) is not None]
        if unknown:
            raise Problem(400, f"'{unknown[0]}' is not supported here")
        self._refuse_other_answers(body)
        query, documents = body.get("query"), body.get(self.documents)
        if not isinstance(query, str):
            raise Problem(400, "'query' must be a text")
        if not isinstance(documents, list) or not documents:
            raise Problem(400, f"'{self.documents}' must be a list of at least one text")
        if len(documents) > limits.documents:
            raise Problem(
                413,
                f"{counted(len(documents), 'document')}; at most {limits.documents:,} in a request",
            )
        best = self._best(body)
        echo, raw = truth(body, self.echo), truth(body, "raw_scores")
        texts = [self._text(document) for document in documents]
        limits.check_texts([query], "query")
        limits.check_texts(texts, self.documents)
        return Question(query, texts, best, bool(echo), model_of(body), raw)

    def write(self, question: Question, scores: Sequence[float], tokens: int, model: str) -> Any:
        """Return the answer as the protocol writes it: by falling score, equal ones in the order of
        the request. Scores are passed on unchanged.
        """
        ranked = sorted(range(len(scores)), key=lambda i: -scores[i])[: question.best]
        results: list[dict[str, object]] = []
        for i in ranked:
            result: dict[str, object] = {"index": i, self.score: float(scores[i])}
            if question.echo:
                result[self.text] = self._echoed(question.documents[i])
            results.append(result)
        if self.results is None:
            return results
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"model": model, self.results: results, "usage": usage, **self.extras}

    def _best(self, body: Body) -> int | None:
        """Return how many results are wanted, None for all. Raises Problem."""
        if self.best is None:
            return None
        return whole_number(body, self.best)

    def _refuse_other_answers(self, body: Body) -> None:
        """Raise Problem for a field that asks for another answer than this shape has."""
        for name, value in _ONLY.items():
            if body.get(name) not in (None, value):
                raise Problem(400, f"'{name}' can only be {json.dumps(value)} here")
        for name in _DOCUMENTS:
            if name != self.documents and body.get(name) is not None:
                raise Problem(400, f"'{name}' and '{self.documents}' are both given: keep one")
        for name in _OF_ONE_SHAPE:
            if name not in (self.best, self.echo) and body.get(name) not in (None, False):
                raise Problem(400, f"'{name}' does not go with {self._own_fields()}")

    def _own_fields(self) -> str:
        fields = (self.documents, self.best, self.echo)
        return ", ".join(f"'{name}'" for name in fields if name)

    def _text(self, document: Any) -> str:
        text = document
        if isinstance(document, Mapping):
            text = document.get("text")
        if not isinstance(text, str):
            raise Problem(
                400, f"each of '{self.documents}' must be a text, or an object with a 'text'"
            )
        return text

    def _echoed(self, text: str) -> str | dict[str, str]:
        if self.nested_text:
            return {"text": text}
        return text


COHERE = Shape(
    "documents",
    "top_n",
    "return_documents",
    "relevance_score",
    "document",
    "results",
    nested_text=True,
)
TEI = Shape("texts", None, "return_text", "score", "text", None)
VOYAGE = Shape(
    "documents",
    "top_k",
    "return_documents",
    "relevance_score",
    "document",
    "data",
    extras={"object": "list"},
)
MIXEDBREAD = Shape(
    "input", "top_k", "return_input", "score", "input", "data", extras={"object": "list"}
)


def model_of(body: Body) -> str | None:
    """Return the model that a request names, if any. Raises Problem."""
    model = body.get("model")
    if model is not None and not isinstance(model, str):
        raise Problem(400, "'model' must be a text")
    return model


def shape_of(body: Body) -> Shape:
    """Return the shape that a request's own fields are of."""
    if body.get("texts") is not None:
        return TEI
    if body.get("input") is not None:
        return MIXEDBREAD
    if body.get("top_k") is not None:
        return VOYAGE
    return COHERE


def whole_number(body: Body, name: str) -> int | None:
    """Return the number above 0 of a field, None where it is not given. Raises Problem."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise Problem(400, f"'{name}' must be a whole number above 0")
    return value


def truth(body: Body, name: str) -> bool | None:
    """Return what a field says, None where it is not given. Raises Problem."""
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise Problem(400, f"'{name}' must be true or false")
    return value
