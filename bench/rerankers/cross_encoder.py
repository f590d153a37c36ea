"""Any sentence-transformers CrossEncoder as a reranker: raw logits, the query kept whole, no score from a head that was never trained.

Method: Nogueira and Cho, "Passage Re-ranking with BERT" (2019), as sentence-transformers implements it.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bench.errors import Unavailable
from bench.rerankers import checkpoint, lengths, pair_scorer, sbert
from bench.rerankers.base import Description, PointwiseReranker, Usage
from bench.rerankers.batches import Limit, fitting
from bench.rerankers.local import LocalReranker
from bench.rerankers.options import ModelOptions, PairOptions
from bench.rerankers.weights import adapter_folder, folder_hash, versions

if TYPE_CHECKING:
    from bench.rerankers.base import Scores


class CrossEncoderOptions(PairOptions):
    adapter: str | None = Field(None, description="folder of a PEFT adapter with a classification head, or packaged:NAME")
    prompt: str | None = Field(None, description="text put before the query; the model's own prompt when absent")
    instruction: str | None = Field(
        None, min_length=1, description="what a language model that says yes or no is told to judge by; the model's own when absent"
    )


class CrossEncoderReranker(LocalReranker, PointwiseReranker):
    """Scores a (query, document) pair by the one raw logit of a sequence classifier, or by a causal model's yes/no logits.

    A long pair loses tokens of the document only. A query that leaves the document no room is cut as the library does by default, and
    counted.
    """

    Options: ClassVar[type[ModelOptions]] = CrossEncoderOptions
    options: CrossEncoderOptions

    def check(self) -> None:
        super().check()
        if self.options.adapter:
            if find_spec("peft") is None:
                raise Unavailable("peft not installed", "pip install 'rerank-bench[local]'")
            adapter_folder(self.options.adapter)

    def fingerprint(self) -> dict[str, Any]:
        settings = sbert.settings(self.options, self.weights, self.device)
        return {"backend": "cross-encoder", "prompt": self._asked(), **settings, **self._adapter_identity()}

    def load(self) -> None:
        if self._model is not None:
            return
        import torch

        options = self.options
        checkpoint.refuse_configuration(self.weights, options)
        more: dict[str, Any] = {"activation_fn": torch.nn.Identity()}
        if options.adapter:
            from bench.rerankers.adapter import merge

            model = sbert.load("CrossEncoder", options, self.weights, self.device, dtype="float32", num_labels=1, **more)
            merge(model, adapter_folder(options.adapter), checkpoint.untrained(model, self.weights, options))
            model.to(getattr(torch, options.dtype))
        else:
            model = sbert.load("CrossEncoder", options, self.weights, self.device, **more)
            checkpoint.refuse_model(model, self.weights, options)
        checkpoint.refuse_unread(model, options.model, prompt=options.prompt, instruction=options.instruction)
        lengths.limit_length(model, options.max_length, options.model)
        self._model = model
        self._scorer = pair_scorer.build(model, self._prompt(), Limit.of(options.batch_size, options.token_budget, self.device))
        if self._scorer:
            self.limit = self._scorer.limit
        else:
            lengths.count_tokens(model, self._count, lambda name: self.span(name))

    def describe(self) -> Description:
        model = self._loaded()
        identity = {**sbert.identity(model, self.weights), **self._adapter_identity(), "prompt": self._prompt() or None}
        identity["truncation"] = "only_second" if self._scorer else "library"
        shorter = self._scorer is not None and self._scorer.first_token_only
        facts = {**sbert.facts(model, self.options, self.weights), **self.limit.facts(), "last_layer": "first token" if shorter else "all"}
        return Description("cross-encoder", identity, facts)

    def score(self, pairs: Sequence[tuple[str, str]]) -> Scores:
        model = self._loaded()
        self.usage += Usage(pairs=len(pairs))
        with sbert.threads(self.options.threads):
            if self._scorer:
                return self._scorer.score(pairs, self.span, self._count)
            return self._by_library(pairs, model)

    def _adapter_identity(self) -> dict[str, Any]:
        if not self.options.adapter:
            return {}
        return {"adapter": f"sha256:{folder_hash(adapter_folder(self.options.adapter))}", **versions("peft")}

    def _asked(self) -> str | None:
        """What stands before a query, or is the system message of a chat about it."""
        return self.options.instruction or self.options.prompt

    def _prompt(self) -> str:
        model, asked = self._loaded(), self._asked()
        return (model.prompts.get(model.default_prompt_name) or "") if asked is None else asked

    def _by_library(self, pairs: Sequence[tuple[str, str]], model: Any) -> Scores:
        """What sentence-transformers says, for models whose inputs it writes with a chat template or packs by rules of its own."""
        import numpy as np

        def predict(batch_size: int) -> Any:
            return model.predict(list(pairs), prompt=self._asked(), batch_size=batch_size, show_progress_bar=False)

        with self.span("forward"):
            return np.asarray(fitting(self.limit, predict), dtype=np.float64)
