"""A SentenceTransformer as a reranker: the cosine between the embeddings of query and document,
each encoded on its own.

The yardstick for what a cross-encoder adds. Method: Reimers and Gurevych, "Sentence-BERT" (2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from bench.contract.request import CandidateList
from bench.contract.stage import Description
from bench.core.options import option
from bench.models import lengths, sentence_transformer
from bench.models.text_encoder import TextEncoder
from bench.rerankers.local.encoder import EncoderReranker
from bench.rerankers.options import EncoderOptions, ModelOptions

if TYPE_CHECKING:
    from bench.contract.request import Outcome


class BiEncoderOptions(EncoderOptions):
    normalize: bool = option(
        True,
        decides="scores",
        description="cosine; false gives the dot product of the embeddings as they are",
    )


class BiEncoderReranker(EncoderReranker):
    """Encodes every distinct text of a call once, however many queries share it."""

    Options: ClassVar[type[ModelOptions]] = BiEncoderOptions
    backend = "bi-encoder"
    options: BiEncoderOptions

    def __init__(self, options: BiEncoderOptions, device: str = "cpu") -> None:
        super().__init__(options, device)
        self._encoder: TextEncoder | None = None

    def load(self) -> None:
        if self._model is None:
            self._encoder = TextEncoder(
                "SentenceTransformer",
                self.options,
                self.weights,
                self.device,
                self.limit,
                lambda: self.meter,
                convert_to_numpy=True,
                normalize_embeddings=self.options.normalize,
            )
            self._model = self._encoder.model

    def describe(self) -> Description:
        model, options = self._loaded(), self.options
        identity = self.identity().loaded(
            sentence_transformer.number_formats(model),
            {
                "max_length": lengths.length_limit(model),
                "normalize": options.normalize,
                **sentence_transformer.prompts(model, options),
            },
        )
        facts = {
            **sentence_transformer.facts(model, options, self.weights),
            **self.limit.facts(),
            "modules": [type(module).__name__ for module in model],
        }
        return Description(self.backend, identity.own_fields(), facts)

    def rerank(self, requests: Sequence[CandidateList]) -> list[Outcome]:
        import numpy as np

        encoder = self._encoder
        if encoder is None:
            raise self._not_loaded()
        texts: list[str] = []
        for request in requests:
            texts += request.docs
        queries = encoder.queries([request.query for request in requests])
        documents = encoder.documents(texts)
        self.meter.count(lengths.pairs_of(requests, queries.cut, documents.cut))
        query_vectors = np.asarray(queries.embeddings, dtype=np.float32)
        vectors = np.asarray(documents.embeddings, dtype=np.float32)
        outcomes: list[Outcome] = []
        start = 0
        for row, request in zip(queries.rows, requests, strict=True):
            rows = documents.rows[start : start + len(request.docs)]
            start += len(request.docs)
            if rows:
                scores = vectors[rows] @ query_vectors[row]
                outcomes.append(np.asarray(scores, dtype=np.float64))
            else:
                outcomes.append(np.empty(0, dtype=np.float64))
        return outcomes

    def close(self) -> None:
        self._encoder = None
        super().close()
