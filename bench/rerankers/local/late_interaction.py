"""A multi-vector encoder (ColBERT and its kind) as a reranker: one embedding a token, query and
document each encoded on its own.

Score, MaxSim: for every query token the largest dot product with any document token, summed over
the query's tokens. Method: Khattab and Zaharia, "ColBERT: Efficient and Effective Passage Search
via Contextualized Late Interaction over BERT" (2020), arXiv:2004.12832.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract.request import CandidateList
from bench.contract.stage import Description
from bench.core.errors import RerankerError
from bench.core.json_file import read_json
from bench.core.options import option
from bench.models import checkpoint, lengths, sentence_transformer
from bench.models.batches import fitting
from bench.models.clip import Clip
from bench.models.weights import Weights
from bench.rerankers.local.encoder import EncoderReranker
from bench.rerankers.options import EncoderOptions, ModelOptions

if TYPE_CHECKING:
    from bench.contract.request import Outcome

BLOCK = 1024
"""Documents whose token embeddings are held at once; those of 512 tokens and 128 dimensions take
256 MiB.
"""


class LateInteractionOptions(EncoderOptions):
    max_length: int | None = option(
        None,
        ge=8,
        decides="scores",
        description="tokens of a document, and of a query where the model has no limit for them; "
        "the model's own when absent",
    )


class LateInteractionReranker(EncoderReranker):
    """Encodes every distinct document of a call once, however many queries share it, and keeps one
    block of embeddings at a time.
    """

    Options: ClassVar[type[ModelOptions]] = LateInteractionOptions
    backend = "late-interaction"
    options: LateInteractionOptions

    def load(self) -> None:
        if self._model is None:
            refuse_other_kinds(self.weights)
            model = sentence_transformer.load(
                "MultiVectorEncoder", self.options, self.weights, self.device
            )
            checkpoint.refuse_other_tokenizer(
                model.transformers_model, model.tokenizer, self.options.model
            )
            limit_documents(model, self.options)
            self._count_tokens(model)
            self._clip = Clip(model.tokenizer, _longest_text(model))
            self._model = model

    def describe(self) -> Description:
        model, options, network = self._loaded(), self.options, self._loaded()[0]
        skipped: set[str] = set()
        for module in model:
            skipped.update(getattr(module, "skiplist_words", ()))
        identity = self.identity().loaded(
            sentence_transformer.number_formats(model),
            {
                "max_length": network.document_length,
                "query_length": _query_limit(model),
                "query_expansion": network.query_expansion and dict(network.query_expansion),
                "skipped_words": sorted(skipped),
                **sentence_transformer.prompts(model, options),
            },
        )
        modules = [type(module).__name__ for module in model]
        return Description(
            self.backend,
            identity.own_fields(),
            {
                **sentence_transformer.facts(model, options, self.weights),
                **self.limit.facts(),
                "modules": modules,
                "dimensions": model.get_embedding_dimension(),
            },
        )

    def rerank(self, requests: Sequence[CandidateList]) -> list[Outcome]:
        import numpy as np
        from sentence_transformers.util import maxsim

        model, options = self._loaded(), self.options
        texts = list(dict.fromkeys(request.query for request in requests))
        outcomes: list[Outcome] = [
            np.empty(len(request.docs), dtype=np.float64) for request in requests
        ]
        with sentence_transformer.torch_settings(options):
            embedded, cut_queries = self._encode(model.encode_query, texts, options.query_prompt)
            queries = dict(zip(texts, embedded, strict=True))
            cut_documents: set[str] = set()
            documents: dict[str, None] = {}
            for request in requests:
                documents |= dict.fromkeys(request.docs)
            for block in blocks(list(documents)):
                embedded, cut = self._encode(model.encode_document, block, options.document_prompt)
                embeddings = dict(zip(block, embedded, strict=True))
                cut_documents |= cut
                for request, scores in zip(requests, outcomes, strict=True):
                    here = [i for i, doc in enumerate(request.docs) if doc in embeddings]
                    if here:
                        tokens = [embeddings[request.docs[i]] for i in here]
                        similarities = maxsim([queries[request.query]], tokens)
                        scores[here] = similarities[0].cpu().numpy()  # type: ignore[index]
        self.meter.count(lengths.pairs_of(requests, cut_queries, cut_documents))
        return outcomes

    def _encode(
        self, encode: Any, texts: Sequence[str], prompt: str | None
    ) -> tuple[list[Any], frozenset[str]]:
        """Return one tensor (tokens, dimensions) per text, in float32 on the model's device, and
        the texts that were cut.
        """
        if not texts:
            return [], frozenset()
        self._cut.clear()
        clipped = self._clip.texts(texts)

        def embed(batch_size: int) -> Any:
            return encode(clipped, prompt=prompt, batch_size=batch_size, show_progress_bar=False)

        with self.meter.span("forward"):
            embeddings = fitting(self.limit, embed)
        tensors = [embedding.float() for embedding in embeddings]
        return tensors, self._texts_cut(texts, clipped)

    def _count_tokens(self, model: Any) -> None:
        """Have every batch counted. Queries and documents have limits of their own, which a count
        by the model's one limit would miss.
        """
        preprocess = model.preprocess

        def counted(inputs: Any, *args: Any, **kwargs: Any) -> Any:
            with self.meter.span("tokenise"):
                features = preprocess(inputs, *args, **kwargs)
            limit = model[0].document_length
            if kwargs.get("task") == "query":
                limit = _query_limit(model)
            self.meter.count(lengths.tokens_of(features))
            self._cut.update(inputs[i] for i in lengths.cut_rows(features, limit))
            return features

        model.preprocess = counted


def blocks(texts: list[str]) -> Iterator[list[str]]:
    """Yield the texts in blocks of at most BLOCK."""
    for start in range(0, len(texts), BLOCK):
        yield texts[start : start + BLOCK]


def _longest_text(model: Any) -> int | None:
    """Return the tokens of the longest text that the model reads whole; None without a limit."""
    document, query = model[0].document_length, _query_limit(model)
    if document is None or query is None:
        return None
    return int(max(document, query))


def limit_documents(model: Any, options: ModelOptions) -> None:
    """Set the tokens of a document: what was asked for, else what the model was trained with,
    within its table of positions.
    """
    if not hasattr(model[0], "document_length"):
        raise RerankerError(
            f"{options.model}: starts with a {type(model[0]).__name__}; only one encoder for "
            "queries and documents is known"
        )
    lengths.limit_length(model, options.max_length, options.model)
    limits = (options.max_length or model[0].document_length, lengths.length_limit(model))
    model[0].document_length = min(
        (length for length in limits if length is not None), default=None
    )


def refuse_other_kinds(weights: Weights) -> None:
    """Raise RerankerError for a checkpoint without a projection of tokens: the library would give
    it a random one and score on.
    """
    if not has_projection(weights):
        fix = "use bi-encoder or cross-encoder"
        raise RerankerError(
            f"{weights.label}: no late-interaction checkpoint, it has no projection of tokens; "
            f"{fix}"
        )


def has_projection(weights: Weights) -> bool:
    """Return whether a checkpoint has a projection of tokens.

    Late-interaction checkpoints come as saved by sentence-transformers, by PyLate (whose older ones
    name no kind, but hold a Dense and no Pooling), by Stanford's ColBERT, or as one of
    transformers' own "ForRetrieval" classes.
    """
    folder = weights.fetch()
    with sentence_transformer.explained(weights):
        kind = _json(folder / "config_sentence_transformers.json", {}).get("model_type")
        modules = [
            str(module["type"]).rpartition(".")[2] for module in _json(folder / "modules.json", [])
        ]
        names = _json(folder / "config.json", {}).get("architectures") or []
    projects = "Dense" in modules and "Pooling" not in modules
    native = any(name == "HF_ColBERT" or name.endswith("ForRetrieval") for name in names)
    return native or projects or kind in ("MultiVectorEncoder", "ColBERT")


def _json(path: Path, absent: Any) -> Any:
    if not path.is_file():
        return absent
    return read_json(path)


def _query_limit(model: Any) -> int | None:
    """Return the tokens of a query: the width that expansion fills up to, where that is fixed, else
    the model's limit for queries.
    """
    network = model[0]
    expansion = network.query_expansion
    if expansion and expansion["strategy"] == "fixed":
        return int(expansion["length"])
    return network.query_length or lengths.length_limit(model)
