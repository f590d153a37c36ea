"""What a suite may say about first stages that search embeddings. Imports nothing heavier than
pydantic.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import model_validator

from bench.catalogue import entries
from bench.core.options import option
from bench.models.options import PromptOptions
from bench.retrieval.options import FirstStageOptions


class EncodedOptions(PromptOptions, FirstStageOptions):
    """A first stage that searches embeddings of the documents."""

    max_length: int | None = option(
        None,
        ge=8,
        decides="scores",
        description="tokens of a text; the model's own limit when absent",
    )
    batch_size: int | None = option(
        None, ge=1, decides="speed", description="texts per forward pass; 32 when absent"
    )


class DenseOptions(EncodedOptions):
    """Vectors of a sentence-transformers encoder."""

    model: str = option(
        min_length=1,
        decides="scores",
        place="elsewhere",
        description="hub id, local folder, a bi-encoder of the catalogue, packaged:NAME, or "
        "tiny:KIND for random weights",
    )
    similarity: Literal["cosine", "dot"] = option(
        "cosine",
        decides="scores",
        description="what a document scores: dot has the vectors as they are",
    )
    dimensions: int | None = option(
        None,
        ge=1,
        decides="scores",
        description="the first dimensions of each vector alone (matryoshka); all when absent",
    )
    index: Literal["exact", "faiss-hnsw", "faiss-ivf"] = option(
        "exact",
        decides="scores",
        description="what finds the best vectors; those of faiss are approximate, and their "
        "recall against the exact search is measured",
    )
    effort: int | None = option(
        None,
        ge=1,
        decides="scores",
        description="of an approximate search: efSearch of faiss-hnsw, nprobe of faiss-ivf; twice "
        "the depth, or an eighth of the lists, when absent",
    )

    @model_validator(mode="before")
    @classmethod
    def _with_those_of_the_catalogue(cls, values: Any) -> Any:
        """Have the options of a catalogue's entry as defaults where the model is its name."""
        model = values.get("model") if isinstance(values, Mapping) else None
        entry = entries.load().get(model) if isinstance(model, str) else None
        if entry is None:
            return values
        if entry.backend != "bi-encoder":
            raise ValueError(
                f"'{model}' is a reranker ({entry.backend}), and encodes no single text: name a "
                "sentence-transformers encoder"
            )
        known = {name: value for name, value in entry.options.items() if name in cls.model_fields}
        return {**known, **values, "model": known["model"]}


class MiniLMOptions(DenseOptions):
    """The encoder that a PyPI package brings along: no model hub is needed."""

    model: str = option(
        "packaged:all-MiniLM-L6-v2",
        min_length=1,
        decides="scores",
        place="elsewhere",
        description="the encoder",
    )


class SparseOptions(EncodedOptions):
    """Weighted terms of a sentence-transformers SparseEncoder, such as SPLADE."""
