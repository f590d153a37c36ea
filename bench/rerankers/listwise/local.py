"""A listwise reranker on this machine: a causal language model of transformers writes each window's
order, greedily.

The windows of one query follow one another; those of different queries are written in one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract.identity import Identity
from bench.contract.request import CandidateList, Usage
from bench.contract.stage import Description
from bench.core.errors import RerankerError
from bench.core.options import option
from bench.models import batches, checkpoint, networks, sentence_transformer
from bench.models.clip import Clip
from bench.models.quiet import quiet
from bench.models.token_ids import token_ids
from bench.rerankers.listwise import permutation
from bench.rerankers.listwise.fitting import Fitter
from bench.rerankers.listwise.sliding_window import ListwiseOptions, Sorting, expected_usage
from bench.rerankers.local import chat
from bench.rerankers.local.base import LocalReranker
from bench.rerankers.options import ModelOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.contract.request import Outcome


Answer = tuple[str, Usage]


class LocalListwiseOptions(ListwiseOptions, ModelOptions):
    max_length: int | None = option(
        None,
        ge=8,
        decides="scores",
        description="tokens of a prompt and its answer together; the model's own limit when absent",
    )
    batch_size: int = option(
        4,
        ge=1,
        decides="speed",
        description="windows (of different queries) that are written at once",
    )


class ListwiseReranker(LocalReranker):
    """Scores are the places in the final order. An answer that names no passage leaves its window
    as it was, and counts as repaired.
    """

    Options: ClassVar[type[ModelOptions]] = LocalListwiseOptions
    pointwise = False
    talks = True
    options: LocalListwiseOptions

    def identity(self) -> Identity:
        return sentence_transformer.identity(
            "listwise", self.options, self.weights.checkpoint(), self.device, networks.LIBRARIES
        )

    def load(self) -> None:
        if self._model is not None:
            return
        options = self.options
        checkpoint.refuse_other_than_causal(self.weights, options, "listwise")
        tokenizer = networks.tokenizer(options, self.weights)
        chat.require_template(tokenizer, options.model)
        network = networks.load("AutoModelForCausalLM", options, self.weights)
        checkpoint.refuse_other_tokenizer(network, tokenizer, options.model)
        limit = networks.length_limit(network, tokenizer, options)
        self._fitter = Fitter(tokenizer, options, limit)
        self._clip = Clip(tokenizer, limit)
        self._tokenizer = tokenizer
        network.generation_config = _greedy(network, tokenizer)
        self._model = network.to(self.device)

    def expected_usage(
        self, requests: Sequence[CandidateList], tokens: Callable[[str], int]
    ) -> Usage:
        return expected_usage(requests, self.options, tokens)

    def describe(self) -> Description:
        network = self._loaded()
        identity = self.identity().loaded(
            sentence_transformer.number_formats(network),
            {
                **self.options.sorting(),
                "max_length": self._fitter.limit,
                "decoding": "greedy",
            },
        )
        return Description(
            "listwise",
            identity.own_fields(),
            {
                **sentence_transformer.facts(network, self.options, self.weights),
                **self.limit.facts(),
            },
        )

    def rerank(self, requests: Sequence[CandidateList]) -> list[Outcome]:
        self._loaded()
        clipped = [replace(request, query=self._clip(request.query)) for request in requests]
        sortings = [Sorting(request, self.options) for request in clipped]
        while waiting := [sorting for sorting in sortings if sorting.window]:
            self._step(waiting)
        for sorting in sortings:
            cut = Usage(
                pairs=len(sorting.passages),
                truncated=len(sorting.cut),
                cut_queries=int(sorting.query_was_cut),
            )
            self.meter.count(cut, sorting.query_id)
        return [sorting.scores() for sorting in sortings]

    def continue_chat(
        self, messages: Sequence[dict[str, str]], max_tokens: int
    ) -> tuple[str, Usage]:
        """Return what the model says next in a conversation, of at most `max_tokens`, and what
        that used.

        Raises RerankerError where the template refuses the messages, or these and the answer do not
        fit into the context.
        """
        import numpy as np

        self._loaded()
        model, limit = self.options.model, self._fitter.limit
        (prompt,) = token_ids(self._tokenizer, [chat.render(self._tokenizer, messages, model)])
        if limit is not None and len(prompt) + max_tokens > limit:
            raise RerankerError(
                f"{model}: {len(prompt)} tokens and an answer of {max_tokens} are more than its "
                f"{limit}"
            )
        with sentence_transformer.torch_settings(self.options):
            [(_, [(answer, usage)])] = batches.run(
                np.array([len(prompt)]), self.limit, lambda _: self._write([prompt], [max_tokens])
            )
        return answer, usage

    def _step(self, sortings: Sequence[Sorting]) -> None:
        """Move the window of each of these queries on by one."""
        import numpy as np

        with self.meter.span("tokenise"):
            prompts = [self._fitter.prompt(sorting) for sorting in sortings]
        tokens = np.fromiter(map(len, prompts), dtype=np.int64, count=len(prompts))

        def write(rows: NDArray[np.int64]) -> list[Answer]:
            return self._write(
                [prompts[i] for i in rows],
                [self._fitter.answer_tokens(len(sortings[i].window)) for i in rows],
            )

        with sentence_transformer.torch_settings(self.options):
            written = batches.run(tokens, self.limit, write)
        for rows, answers in written:
            for i, (answer, usage) in zip(rows, answers, strict=True):
                order, repaired = permutation.read(answer, len(sortings[i].window))
                self.meter.count(usage + Usage(repairs=int(repaired)), sortings[i].query_id)
                sortings[i].take(order)

    def _write(self, prompts: list[list[int]], room: list[int]) -> list[Answer]:
        """Return what the model answers to each prompt (token ids, the longest first), in at most
        as many tokens as there is room for, with what that used.
        """
        import torch

        config, width = self._model.generation_config, len(prompts[0])
        with self.meter.span("copy"):
            ids = torch.tensor(
                [[config.pad_token_id] * (width - len(row)) + row for row in prompts],
                device=self.device,
            )
            mask = torch.tensor(
                [[0] * (width - len(row)) + [1] * len(row) for row in prompts], device=self.device
            )
        with self.meter.span("forward"), quiet(), torch.inference_mode():
            written = self._model.generate(ids, attention_mask=mask, max_new_tokens=max(room))[
                :, width:
            ].tolist()
        ends = set(config.eos_token_id)
        answers: list[Answer] = []
        for prompt, row, max_tokens in zip(prompts, written, room, strict=True):
            tokens = _until(ends, row[:max_tokens])
            text = self._tokenizer.decode(tokens, skip_special_tokens=True)
            usage = Usage(tokens=len(prompt), calls=1, slots=width, tokens_out=len(tokens))
            answers.append((text, usage))
        return answers


def _until(ends: set[int], tokens: list[int]) -> list[int]:
    """Return the tokens before the first that ends an answer."""
    return tokens[: next((i for i, token in enumerate(tokens) if token in ends), None)]


def _greedy(network: Any, tokenizer: Any) -> Any:
    """Return how the model writes: always the likeliest token, without the penalties and
    temperatures that its makers recommend for talking.
    """
    from transformers import GenerationConfig

    ends = {tokenizer.eos_token_id}
    own = getattr(network.generation_config, "eos_token_id", None)
    if isinstance(own, list):
        ends.update(own)
    else:
        ends.add(own)
    ends.discard(None)
    padding = tokenizer.pad_token_id
    if padding is None:
        padding = min(ends, default=0)
    return GenerationConfig(do_sample=False, eos_token_id=sorted(ends), pad_token_id=padding)
