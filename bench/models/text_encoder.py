"""Queries and documents through a sentence-transformers encoder, each on its own: what the
bi-encoder as a reranker and the first stages that search embeddings share.

Method: Reimers and Gurevych, "Sentence-BERT" (2019).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from bench.contract.meter import Meter
from bench.models import checkpoint, lengths, sentence_transformer
from bench.models.batches import Limit, fitting
from bench.models.clip import Clip
from bench.models.options import PromptOptions
from bench.models.weights import Weights


class Encoded(NamedTuple):
    """Embeddings of distinct texts, for each text the row that holds its embedding, and the texts
    that were cut. None where there was no text.
    """

    embeddings: Any
    rows: list[int]
    cut: frozenset[str]


class TextEncoder:
    """A model that has loaded. `meter` gives the meter of the run at work, `limit` is what a
    forward pass may hold. Every distinct text of a call is encoded once.

    `more` are arguments of the library's `encode`: what becomes of the embeddings.
    """

    def __init__(
        self,
        kind: str,
        options: PromptOptions,
        weights: Weights,
        device: str,
        limit: Limit,
        meter: Callable[[], Meter],
        **more: Any,
    ) -> None:
        """Raises RerankerError or Unavailable, in one line."""
        self._options, self._limit, self._meter, self._more = options, limit, meter, more
        self._cut: set[str] = set()
        model = sentence_transformer.load(kind, options, weights, device)
        checkpoint.refuse_other_tokenizer(model.transformers_model, model.tokenizer, options.model)
        lengths.limit_length(model, options.max_length, options.model)
        lengths.count_tokens(model, meter, self._cut.update)
        self._clip = Clip(model.tokenizer, lengths.length_limit(model))
        self.model = model

    def queries(self, texts: Sequence[str]) -> Encoded:
        """Encode texts as queries."""
        return self._encode(self.model.encode_query, texts, self._options.query_prompt)

    def documents(self, texts: Sequence[str]) -> Encoded:
        """Encode texts as documents."""
        return self._encode(self.model.encode_document, texts, self._options.document_prompt)

    def _encode(self, encode: Any, texts: Sequence[str], prompt: str | None) -> Encoded:
        clipped = self._clip.texts(texts)
        row = {text: i for i, text in enumerate(dict.fromkeys(clipped))}
        if not row:
            return Encoded(None, [], frozenset())
        self._cut.clear()

        def embed(batch_size: int) -> Any:
            return encode(
                list(row),
                batch_size=batch_size,
                prompt=prompt,
                show_progress_bar=False,
                **self._more,
            )

        with sentence_transformer.torch_settings(self._options), self._meter().span("forward"):
            embeddings = fitting(self._limit, embed)
        pairs = zip(texts, clipped, strict=True)
        cut = frozenset(text for text, short in pairs if short in self._cut)
        return Encoded(embeddings, [row[text] for text in clipped], cut)
