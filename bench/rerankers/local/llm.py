"""A language model that says yes or no: the logit of one token after query and document, less that
of another where there is one.

For causal models whose checkpoint does not bring sentence-transformers' settings; one that does
(Qwen3-Reranker, mxbai-rerank v2) runs as a cross-encoder. Methods: see the templates in
`llm_prompt`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import field_validator, model_validator

from bench.contract.identity import Identity
from bench.contract.request import Usage
from bench.contract.stage import Description
from bench.core.errors import RerankerError
from bench.core.options import option
from bench.models import batches, checkpoint, networks, sentence_transformer
from bench.models.clip import Clip
from bench.rerankers.local import llm_prompt
from bench.rerankers.local.llm_prompt import INSTRUCTION, TEMPLATES, Template
from bench.rerankers.local.pairs import DOCUMENT_SHARE
from bench.rerankers.local.prompted import PromptedReranker
from bench.rerankers.options import ModelOptions, PairOptions


class LlmOptions(PairOptions):
    template: str | tuple[str, ...] = option(
        "chat",
        decides="scores",
        description="qwen3-reranker, bge-gemma, chat (the model's own chat template), or a list "
        "of pieces with {instruction}, {query} and "
        "{document}, tokenised one by one",
    )
    instruction: str | None = option(
        None,
        decides="scores",
        description="what the model is to judge by; the template's own when absent",
    )
    token_true: str | None = option(
        None,
        min_length=1,
        decides="scores",
        description="the word for a relevant document; the template's when absent",
    )
    token_false: str | None = option(
        None,
        decides="scores",
        description="the word for any other; the template's when absent, none when empty",
    )

    @field_validator("template")
    @classmethod
    def _known(cls, template: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if isinstance(template, str):
            if template not in TEMPLATES:
                raise ValueError(f"must be {', '.join(TEMPLATES)} or a list of pieces")
        else:
            llm_prompt.check(template)
        return template

    @model_validator(mode="after")
    def _is_read(self) -> LlmOptions:
        if (
            self.instruction is not None
            and isinstance(self.template, tuple)
            and INSTRUCTION not in "".join(self.template)
        ):
            raise ValueError(
                f"instruction is given, but no piece of the template holds {INSTRUCTION}"
            )
        return self


class LlmReranker(PromptedReranker):
    """Scores a pair by the raw logit of `token_true` less that of `token_false`, as the next token
    after the pair.
    """

    Options: ClassVar[type[ModelOptions]] = LlmOptions
    options: LlmOptions

    def __init__(self, options: LlmOptions, device: str = "cpu") -> None:
        super().__init__(options, device)
        self._template = _template(options)

    def identity(self) -> Identity:
        return sentence_transformer.identity(
            "llm",
            self.options,
            self.weights.checkpoint(),
            self.device,
            networks.LIBRARIES,
            {"document_share": DOCUMENT_SHARE, **self._question()},
        )

    def load(self) -> None:
        if self._model is not None:
            return
        options, template = self.options, self._template
        self.limit = batches.Limit.of(options.batch_size, options.token_budget, self.device)
        checkpoint.refuse_other_than_causal(self.weights, options, "llm")
        tokenizer = networks.tokenizer(options, self.weights)
        ids = self._answer_ids(tokenizer)
        is_chat = options.template == "chat"
        pieces = template.pieces
        if is_chat:
            pieces = llm_prompt.in_chat(tokenizer, pieces, options.model)
        network = networks.load("AutoModelForCausalLM", options, self.weights)
        checkpoint.refuse_other_tokenizer(network, tokenizer, options.model)
        limit = networks.length_limit(network, tokenizer, options)
        self._clip = Clip(tokenizer, limit)
        self._writer = llm_prompt.Writer(
            tokenizer, pieces, template.instruction, limit, options.model, is_chat=is_chat
        )
        network = network.to(self.device)
        self._describe_as = self._description(network, ids, pieces)
        self._model = networks.answering_only(network, ids)

    def _forward(self, inputs: list[list[int]]) -> Any:
        """Padding is on the right, where a causal model's tokens do not look: no score depends
        on it, and it needs no mask.
        """
        import torch

        lengths = torch.tensor([len(row) for row in inputs])
        width = int(lengths[0])
        with self.meter.span("copy"):
            ids = torch.tensor(
                [row + [0] * (width - len(row)) for row in inputs], device=self.device
            )
            ends, place = (lengths - 1).unique(return_inverse=True)
            ends, place = ends.to(self.device), place.to(self.device)
        self.meter.count(Usage(tokens=int(lengths.sum()), slots=ids.numel()))
        with self.meter.span("forward"), torch.inference_mode():
            logits = self._model(input_ids=ids, use_cache=False, logits_to_keep=ends).logits
            return logits[torch.arange(len(inputs), device=self.device), place]

    def _question(self) -> dict[str, str | None]:
        """Return the instruction of the model, and the words that answer, for the identity."""
        template = self._template
        return {
            "instruction": template.instruction,
            "token_true": template.yes,
            "token_false": template.no,
        }

    def _answer_ids(self, tokenizer: Any) -> list[int]:
        """Return the ids of the tokens that answer. Raises RerankerError for a word that is not one
        token, and for two that are the same.
        """
        ids: list[int] = []
        words = {"token_true": self._template.yes, "token_false": self._template.no}
        for name, word in words.items():
            if word is None:
                continue
            tokens = tokenizer(word, add_special_tokens=False)["input_ids"]
            if len(tokens) != 1 or tokens[0] == tokenizer.unk_token_id:
                raise RerankerError(
                    f"{self.options.model}: '{word}' is no single token of its vocabulary; "
                    f"set {name} to one that is"
                )
            ids += tokens
        if len(set(ids)) < len(ids):
            raise RerankerError(
                f"{self.options.model}: token_true and token_false are the same token"
            )
        return ids

    def _description(self, network: Any, ids: list[int], pieces: Sequence[str]) -> Description:
        identity = self.identity().loaded(
            sentence_transformer.number_formats(network),
            {
                "max_length": self._writer.limit,
                "template": list(pieces),
                **self._question(),
                "token_ids": ids,
                "truncation": "document",
            },
        )
        return Description(
            "llm",
            identity.own_fields(),
            sentence_transformer.facts(network, self.options, self.weights),
        )


def _template(options: LlmOptions) -> Template:
    """Return the template that the options name or hold, with the words that they change."""
    if isinstance(options.template, str):
        template = TEMPLATES[options.template]
    else:
        template = Template(options.template, "", "yes", "no")
    if options.instruction is not None:
        template = replace(template, instruction=options.instruction)
    if options.token_true is not None:
        template = replace(template, yes=options.token_true)
    if options.token_false is not None:
        template = replace(template, no=options.token_false or None)
    return template
