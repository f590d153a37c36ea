"""Any sentence-transformers CrossEncoder as a reranker: raw logits, the query kept whole, no score
from a head that was never trained.

Method: Nogueira and Cho, "Passage Re-ranking with BERT" (2019), as sentence-transformers implements
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import field_validator

from bench.contract.identity import Checkpoint, Identity
from bench.contract.request import Usage
from bench.contract.requirement import Package, Requirement
from bench.contract.stage import Description
from bench.core.errors import RerankerError
from bench.core.note import Code, note
from bench.core.options import option
from bench.models import (
    adapter,
    apart,
    checkpoint,
    headers,
    labels,
    lengths,
    seen_queries,
    sentence_transformer,
)
from bench.models.batches import fitting
from bench.models.clip import Clip
from bench.models.weights import Adapter, Weights, adapter_folder, folder_hash, versions
from bench.rerankers.base import PointwiseReranker
from bench.rerankers.local import runtimes, settling
from bench.rerankers.local.base import LocalReranker, ModelFiles
from bench.rerankers.local.pairs import DOCUMENT_SHARE, with_room_for_documents
from bench.rerankers.local.rounded_products import LARGE_PRODUCTS, loading_dtype
from bench.rerankers.local.workers import ForWorkers
from bench.rerankers.options import ModelOptions, RuntimeOptions

if TYPE_CHECKING:
    from bench.contract.request import Scores
    from bench.rerankers.local.pair_scorer import PairScorer


class CrossEncoderOptions(RuntimeOptions):
    adapter: str | None = option(
        None,
        decides="scores",
        place="elsewhere",
        description="folder of a PEFT adapter with a classification head, or packaged:NAME",
    )
    head: Literal["classifier", "cosine"] = option(
        "classifier",
        decides="scores",
        added=True,
        description="cosine: of a bi-encoder's weights, a cross-encoder that begins as that "
        "bi-encoder; query and document are read next to each other, with some attention between "
        "them, and scored by the cosine of their means",
    )
    prompt: str | None = option(
        None,
        decides="scores",
        description="text put before the query; the model's own prompt when absent",
    )
    instruction: str | None = option(
        None,
        min_length=1,
        decides="scores",
        place="elsewhere",
        description="what a language model that says yes or no is to judge by; the model's "
        "own when absent",
    )
    label: int | str | None = option(
        None,
        decides="scores",
        added=True,
        description="of a head with several labels, the one that means relevant, by number (from "
        "0) or name: the score is its log-odds, "
        "for two labels its logit less the other's; found by its name where absent (relevant, "
        "yes, true)",
    )

    @field_validator("label", mode="before")
    @classmethod
    def _is_no_boolean(cls, label: Any) -> Any:
        if isinstance(label, bool):
            raise ValueError('is a number or a name; put a name such as "yes" in quotes')
        return label


class CrossEncoderReranker(LocalReranker, PointwiseReranker):
    """Scores a (query, document) pair by the one raw logit of a sequence classifier, by the
    log-odds of one of several labels, or by a causal model's yes/no logits.

    A long pair loses tokens of the document; a query that would leave the document less than its
    share is cut, too, and counted.
    """

    Options: ClassVar[type[ModelOptions]] = CrossEncoderOptions
    options: CrossEncoderOptions
    _scorer: PairScorer | None = None

    @property
    def adapter(self) -> str | None:
        return self.options.adapter

    def requirements(self) -> Sequence[Requirement]:
        requirements = [
            *runtimes.requirements(self.options.runtime, self.device),
            *super().requirements(),
        ]
        if self.options.adapter:
            requirements += [Package("peft", self.weights.extra), Adapter(self.options.adapter)]
        if self.options.workers not in (None, 1):
            requirements.append(ForWorkers(self.device))
        return requirements

    def _check_files(self, files: ModelFiles) -> None:
        super()._check_files(files)
        options = self.options
        has_head = bool(options.adapter or options.head == "cosine")
        if files.config is None or has_head or options.trust_remote_code:
            return
        names = headers.label_names(files.config)
        if names is not None and len(names) > 1:
            labels.position(names, self.options.label, self.options.model)
        if not headers.is_modular(files.folder):
            headers.refuse_without_head(self.options.model, files.config, files.shapes)

    def identity(self) -> Identity:
        more = {"document_share": DOCUMENT_SHARE, "prompt": self._own_prompt()}
        if self.options.dtype == "bfloat16" and self.device == "cpu":
            more["rounded"] = LARGE_PRODUCTS
        return sentence_transformer.identity(
            "cross-encoder",
            self.options,
            self._checkpoint(),
            self.device,
            (*self._libraries(), *runtimes.packages(self.options.runtime)),
            more,
        )

    def load(self) -> None:
        if self._model is not None:
            return
        import torch

        options, model = self.options, self._load_torch()
        self._label = labels.as_one_score(model, options.label, options.model)
        checkpoint.refuse_other_tokenizer(model.transformers_model, model.tokenizer, options.model)
        checkpoint.refuse_unread(
            model, options.model, prompt=options.prompt, instruction=options.instruction
        )
        lengths.limit_length(model, options.max_length, options.model)
        self._clip = Clip(model.tokenizer, lengths.length_limit(model))
        prompt = self._own_prompt()
        if prompt is None:
            prompt = model.prompts.get(model.default_prompt_name) or ""
        self._prompt = prompt
        source = {
            **self._checkpoint().fields(),
            "max_length": lengths.length_limit(model),
            **self._label,
        }
        with sentence_transformer.torch_settings(options):
            self._scorer = settling.build(model, options, self.device, source)
        if self._scorer:
            self.limit = self._scorer.limit
            self._scorer.tokeniser.prompt = self._prompt
        elif options.runtime != "torch":
            raise RerankerError(
                f"{options.model}: {options.runtime} runs classifiers of plain text pairs only; "
                "this model needs runtime torch"
            )
        elif options.is_tuned or options.workers not in (None, 1):
            raise RerankerError(
                f"{options.model}: workers and auto serve classifiers of plain text pairs only; "
                "leave workers out, and give token_budget a number"
            )
        else:
            model.to(getattr(torch, options.dtype))
            lengths.count_tokens(model, lambda: self.meter)
        self._describe_as = self._description(model)
        self._model = model
        if options.runtime != "torch":
            # an exported model's torch weights are let go
            self._model = self._scorer

    def describe(self) -> Description:
        self._loaded()
        description = self._describe_as
        return replace(description, facts={**description.facts, **self.limit.facts()})

    def score(self, pairs: Sequence[tuple[str, str]]) -> Scores:
        model = self._loaded()
        self.meter.count(Usage(pairs=len(pairs)))
        pairs = self._clip.pairs(pairs)
        with sentence_transformer.torch_settings(self.options):
            if self._scorer:
                return self._scorer.score(pairs, self.meter)
            return self._by_library(pairs, model)

    def close(self) -> None:
        if self._scorer:
            self._scorer.workers.close()
        self._scorer = None
        super().close()

    def _load_torch(self) -> Any:
        """Return the model as sentence-transformers loads it, its adapter merged. Raises
        RerankerError for one that would score nonsense.
        """
        import torch

        options = self.options
        if options.runtime != "torch":
            # attention written out makes the fastest exported graph
            options = options.model_copy(update={"dtype": "float32", "attention": "eager"})
        checkpoint.refuse_configuration(self.weights, options)
        kind = checkpoint.configuration(self.weights, options).model_type
        dtype = loading_dtype(options.dtype, self.device, kind)
        raw = torch.nn.Identity()
        if not options.adapter and options.head == "classifier":
            model = sentence_transformer.load(
                "CrossEncoder", options, self.weights, self.device, dtype, activation_fn=raw
            )
            checkpoint.refuse_model(model, self.weights, options)
            return model
        model = sentence_transformer.load(
            "CrossEncoder",
            options,
            self.weights,
            self.device,
            dtype="float32",
            num_labels=1,
            activation_fn=raw,
        )
        complete(model, options, self.weights)
        return model.to(getattr(torch, dtype))

    def _description(self, model: Any) -> Description:
        settings = {
            "max_length": lengths.length_limit(model),
            "prompt": self._prompt or None,
            "truncation": "library",
            **self._label,
        }
        facts = sentence_transformer.facts(model, self.options, self.weights)
        if self.adapter:
            untold = seen_queries.notes_of([adapter_folder(self.adapter)])
            facts["warnings"] += [about.to_dict() for about in untold]
        facts["last_layer"] = "all"
        if self._scorer is None:
            formats = sentence_transformer.number_formats(model)
            identity = self.identity().loaded(
                formats, settings, libraries=versions(*self._libraries())
            )
            return Description("cross-encoder", identity.own_fields(), facts)
        runtime = self._scorer.runtime
        settings["truncation"] = "only_second"
        libraries = versions(*self._libraries(), *runtime.packages)
        identity = self.identity().loaded(
            runtime.formats(), settings, group=runtime.group, libraries=libraries
        )
        facts |= {**runtime.facts(), "workers": self._scorer.workers.number}
        if self._scorer.choice is not None:
            facts |= self._scorer.choice.facts()
        if self._scorer.first_token_only:
            facts["last_layer"] = "first token"
        arithmetic = identity.arithmetic
        if self.options.dtype not in arithmetic.formats:
            warning = note(Code.OTHER_FORMAT, wanted=self.options.dtype, loaded=arithmetic.dtype)
            facts["warnings"] = [*facts["warnings"], warning.to_dict()]
        return Description("cross-encoder", identity.own_fields(), facts)

    def _checkpoint(self) -> Checkpoint:
        adapter = self.options.adapter
        if not adapter:
            return self.weights.checkpoint()
        return self.weights.checkpoint(f"sha256:{folder_hash(adapter_folder(adapter))}")

    def _libraries(self) -> tuple[str, ...]:
        if not self.options.adapter:
            return sentence_transformer.LIBRARIES
        return (*sentence_transformer.LIBRARIES, "peft")

    def _own_prompt(self) -> str | None:
        """Return the options' text before a query, or the system message of a chat about it."""
        return self.options.instruction or self.options.prompt

    def _by_library(self, pairs: Sequence[tuple[str, str]], model: Any) -> Scores:
        """Return the scores of sentence-transformers, for models whose inputs it writes with a chat
        template or packs by rules of its own.
        """
        import numpy as np

        texts = list(pairs)
        limit = lengths.length_limit(model)
        if "message" in model[0].modality_config and limit is not None:
            around = model.preprocess([("", "")], prompt=self._own_prompt())["input_ids"].shape[1]
            texts, cut_queries = with_room_for_documents(model.tokenizer, texts, limit - around)
            self.meter.count(Usage(cut_queries=cut_queries))

        def predict(batch_size: int) -> Any:
            return model.predict(
                texts, prompt=self._own_prompt(), batch_size=batch_size, show_progress_bar=False
            )

        with self.meter.span("forward"):
            return np.asarray(fitting(self.limit, predict), dtype=np.float64).reshape(-1)


def complete(model: Any, options: CrossEncoderOptions, weights: Weights) -> None:
    """Give a loaded CrossEncoder with one label the head and the adapter of its options."""
    untrained: set[str] = set()
    if options.head == "cosine":
        apart.read_apart(model, options.model)
    else:
        untrained = checkpoint.untrained(model, weights, options)
    if options.adapter:
        adapter.merge(model, adapter_folder(options.adapter), untrained)
