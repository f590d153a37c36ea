"""What rerankers share that ask a language model about one pair at a time: a prompt, one step, the
logits of the tokens that answer.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bench.contract.request import Usage
from bench.contract.stage import Description
from bench.models import batches, sentence_transformer
from bench.rerankers.base import PointwiseReranker
from bench.rerankers.local.base import LocalReranker

if TYPE_CHECKING:
    from bench.contract.request import Scores


class PromptedReranker(LocalReranker, PointwiseReranker):
    """Scores a pair by the logit of one token, less that of another where there is one: raw,
    unbounded.

    `load()` sets `_model`, the `_writer` that makes token ids of pairs, and what
    `describe()` tells.
    """

    _writer: Any
    _describe_as: Description

    def describe(self) -> Description:
        self._loaded()
        return replace(self._describe_as, facts={**self._describe_as.facts, **self.limit.facts()})

    def score(self, pairs: Sequence[tuple[str, str]]) -> Scores:
        import numpy as np

        self._loaded()
        if not pairs:
            return np.empty(0, dtype=np.float64)
        with sentence_transformer.torch_settings(self.options):
            with self.meter.span("tokenise"):
                inputs, truncated, cut_queries = self._writer.write(self._clip.pairs(pairs))
            self.meter.count(Usage(pairs=len(pairs), truncated=truncated, cut_queries=cut_queries))
            lengths = np.fromiter(map(len, inputs), dtype=np.int64, count=len(inputs))
            parts = batches.run(
                lengths, self.limit, lambda rows: self._forward([inputs[i] for i in rows])
            )
            with self.meter.span("copy"):
                answers = batches.in_order(parts, batches.on_host)
        scores: Scores = answers[:, 0] - answers[:, 1:].sum(axis=1)
        return scores

    @abstractmethod
    def _forward(self, inputs: list[list[int]]) -> Any:
        """Return the answers' logits for one batch, its longest input first, on the device. Shape:
        (len(inputs), answers). Counts the tokens.
        """
