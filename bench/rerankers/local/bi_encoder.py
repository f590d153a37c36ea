"""A SentenceTransformer as a reranker: the cosine between the embeddings of query and document,
each encoded on its own.

The yardstick for what a cross-encoder adds. Method: Reimers and Gurevych, "Sentence-BERT" (2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from bench.contract.request import CandidateList
from bench.contract.stage import Description
from bench.core.options import option
from bench.models import checkpoint, sentence_transformer
from bench.rerankers.local import lengths
from bench.rerankers.local.batches import fitting
from bench.rerankers.local.clip import Clip
from bench.rerankers.local.encoder import EncoderReranker
from bench.rerankers.options import EncoderOptions, ModelOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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

    def load(self) -> None:
        if self._model is None:
            model = sentence_transformer.load(
                "SentenceTransformer", self.options, self.weights, self.device
            )
            checkpoint.refuse_other_tokenizer(
                model.transformers_model, model.tokenizer, self.options.model
            )
            lengths.limit_length(model, self.options.max_length, self.options.model)
            lengths.count_tokens(model, lambda: self.meter, self._cut.update)
            self._clip = Clip(model.tokenizer, lengths.length_limit(model))
            self._model = model

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

        model, options = self._loaded(), self.options
        texts: list[str] = []
        for request in requests:
            texts += request.docs
        with sentence_transformer.torch_settings(options):
            queries = self._encode(
                model.encode_query, [request.query for request in requests], options.query_prompt
            )
            documents = self._encode(model.encode_document, texts, options.document_prompt)
        self.meter.count(lengths.pairs_of(requests, queries.cut, documents.cut))
        outcomes: list[Outcome] = []
        start = 0
        for row, request in zip(queries.rows, requests, strict=True):
            rows = documents.rows[start : start + len(request.docs)]
            start += len(request.docs)
            if rows:
                scores = documents.embeddings[rows] @ queries.embeddings[row]
                outcomes.append(np.asarray(scores, dtype=np.float64))
            else:
                outcomes.append(np.empty(0, dtype=np.float64))
        return outcomes

    def _encode(self, encode: Any, texts: Sequence[str], prompt: str | None) -> _Encoded:
        import numpy as np

        clipped = self._clip.texts(texts)
        row = {text: i for i, text in enumerate(dict.fromkeys(clipped))}
        if not row:
            return _Encoded(np.empty((0, 0), dtype=np.float32), [], frozenset())
        self._cut.clear()

        def embed(batch_size: int) -> Any:
            return encode(
                list(row),
                batch_size=batch_size,
                prompt=prompt,
                show_progress_bar=False,
                convert_to_numpy=True,
                normalize_embeddings=self.options.normalize,
            )

        with self.meter.span("forward"):
            embeddings = fitting(self.limit, embed)
        return _Encoded(
            np.asarray(embeddings, dtype=np.float32),
            [row[text] for text in clipped],
            self._texts_cut(texts, clipped),
        )


class _Encoded(NamedTuple):
    """Embeddings of distinct texts, for each text the row that holds its embedding, and the texts
    that were cut.
    """

    embeddings: NDArray[np.float32]
    rows: list[int]
    cut: frozenset[str]
