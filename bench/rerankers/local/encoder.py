"""What rerankers share that encode query and document each on their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from bench.contract.identity import Identity
from bench.models import sentence_transformer
from bench.rerankers.local.base import LocalReranker
from bench.rerankers.options import EncoderOptions


class EncoderReranker(LocalReranker):
    """`_cut` holds the texts that the model's latest call cut, as they were handed to it."""

    backend: ClassVar[str]
    options: EncoderOptions

    def __init__(self, options: EncoderOptions, device: str = "cpu") -> None:
        super().__init__(options, device)
        self._cut: set[str] = set()

    def identity(self) -> Identity:
        return sentence_transformer.identity(
            self.backend, self.options, self.weights.checkpoint(), self.device
        )

    def _texts_cut(self, texts: Sequence[str], clipped: Sequence[str]) -> frozenset[str]:
        """Return those of the texts that the latest call cut; `clipped` are what it was handed."""
        pairs = zip(texts, clipped, strict=True)
        return frozenset(text for text, short in pairs if short in self._cut)
