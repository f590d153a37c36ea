"""Any sentence-transformers CrossEncoder as a reranker: raw logits, the query kept whole, no score from a head that was never trained.

Method: Nogueira and Cho, "Passage Re-ranking with BERT" (2019), as sentence-transformers implements it.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bench.errors import Unavailable
from bench.rerankers import checkpoint, lengths, sbert
from bench.rerankers.base import Description, PointwiseReranker, Usage
from bench.rerankers.local import LocalReranker
from bench.rerankers.options import ModelOptions
from bench.rerankers.weights import adapter_folder, folder_hash, versions

if TYPE_CHECKING:
    from bench.rerankers.base import Scores


class CrossEncoderOptions(ModelOptions):
    adapter: str | None = Field(None, description="folder of a PEFT adapter with a classification head, or packaged:NAME")
    prompt: str | None = Field(None, description="text put before the query; the model's own prompt when absent")


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
        return {"backend": "cross-encoder", "prompt": self.options.prompt, **settings, **self._adapter_identity()}

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
        lengths.limit_length(model, options.max_length, options.model)
        lengths.count_tokens(model, self._count)
        self._model = model

    def describe(self) -> Description:
        model = self._loaded()
        identity = {**sbert.identity(model, self.weights), **self._adapter_identity(), "prompt": self._prompt() or None}
        identity["truncation"] = "only_second" if _keeps_query(model) else "library"
        return Description("cross-encoder", identity, sbert.facts(model, self.options, self.weights))

    def score(self, pairs: Sequence[tuple[str, str]]) -> Scores:
        import numpy as np

        model = self._loaded()
        self.usage += Usage(pairs=len(pairs))
        if not _keeps_query(model):
            return self._predict(pairs)
        too_long = self._queries_without_room({query for query, _ in pairs})
        if not too_long:
            return self._predict(pairs, "only_second")
        scores = np.empty(len(pairs), dtype=np.float64)
        is_cut = np.fromiter((query in too_long for query, _ in pairs), dtype=bool, count=len(pairs))
        for part, truncation in ((np.flatnonzero(~is_cut), "only_second"), (np.flatnonzero(is_cut), "longest_first")):
            if part.size:
                scores[part] = self._predict([pairs[i] for i in part.tolist()], truncation)
        self.usage += Usage(cut_queries=int(is_cut.sum()))
        return scores

    def _adapter_identity(self) -> dict[str, Any]:
        if not self.options.adapter:
            return {}
        return {"adapter": f"sha256:{folder_hash(adapter_folder(self.options.adapter))}", **versions("peft")}

    def _prompt(self) -> str:
        model = self._loaded()
        asked = self.options.prompt
        return (model.prompts.get(model.default_prompt_name) or "") if asked is None else asked

    def _queries_without_room(self, queries: set[str]) -> set[str]:
        """The queries after which not one token of a document fits: `only_second` cannot shorten such a pair."""
        model = self._model
        tokenizer, limit = model.tokenizer, lengths.length_limit(model)
        if limit is None:
            return set()
        room = limit - tokenizer.num_special_tokens_to_add(pair=True)
        texts, prompt = sorted(queries), self._prompt()
        encoded = tokenizer([f"{prompt}{text}" for text in texts], add_special_tokens=False, truncation=False, verbose=False)
        return {text for text, tokens in zip(texts, encoded["input_ids"], strict=True) if len(tokens) >= room}

    def _predict(self, pairs: Sequence[tuple[str, str]], truncation: str | None = None) -> Scores:
        import numpy as np

        how = {"processing_kwargs": {"text": {"truncation": truncation}}} if truncation else {}
        with sbert.explained_memory(self.options):
            scores = self._model.predict(
                list(pairs), prompt=self.options.prompt, batch_size=self.options.batch_size, show_progress_bar=False, **how
            )
        return np.asarray(scores, dtype=np.float64)


def _keeps_query(model: Any) -> bool:
    """Whether pairs reach the tokenizer as two texts, their truncation ours to choose: chat templates and authors' settings stay."""
    settings = model[0].processing_kwargs.get("text", {})
    return "message" not in model[0].modality_config and "truncation" not in settings
