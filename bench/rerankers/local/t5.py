"""What monoT5 and RankT5 share: one prompt per pair, one decoder step, and the logits of the tokens
that answer.

Both rank with a T5 that reads query and document in one text and writes a token. The document alone
is shortened to fit, so that the query and the end of the prompt stay: an input that lost its
"Relevant:" is not one that the model was trained on.
"""

from __future__ import annotations

from abc import abstractmethod
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from pydantic import field_validator

from bench.contract.identity import Identity
from bench.contract.request import Usage
from bench.contract.stage import Description
from bench.core.errors import Unavailable
from bench.core.options import option
from bench.models import batches, checkpoint, networks, sentence_transformer
from bench.models.clip import Clip
from bench.models.networks import LIBRARIES
from bench.rerankers.local.pairs import DOCUMENT_SHARE
from bench.rerankers.local.prompted import PromptedReranker
from bench.rerankers.local.t5_prompt import Prompt, Writer
from bench.rerankers.options import PairOptions

TRAINED_LENGTH = 512
"""Tokens that T5, mT5 and both methods were trained at; their positions are relative, so that the
weights name no limit.
"""


class T5Options(PairOptions):
    prompt: str = option(
        decides="scores",
        description="the model's input; must hold {query} and, after it, {document}",
    )

    @field_validator("prompt")
    @classmethod
    def _has_both(cls, prompt: str) -> str:
        Prompt.parse(prompt)
        return prompt


class T5Reranker(PromptedReranker):
    """Scores a pair by the first decoder step's logit of one token, less that of another where
    there is one: raw, unbounded.
    """

    backend: ClassVar[str]
    options: T5Options

    @abstractmethod
    def answers(self) -> dict[str, str]:
        """Option name -> piece of the vocabulary: the token that speaks for the document, then the
        one against it, if any.
        """

    def also_loaded(self, ids: list[int]) -> dict[str, list[int]]:
        """Return what else decides scores, by the ids of the tokens that answer."""
        return {}

    def identity(self) -> Identity:
        return sentence_transformer.identity(
            self.backend,
            self.options,
            self.weights.checkpoint(),
            self.device,
            LIBRARIES,
            {"document_share": DOCUMENT_SHARE, **self.answers()},
        )

    def load(self) -> None:
        if self._model is not None:
            return
        import torch

        options = self.options
        self.limit = batches.Limit.of(options.batch_size, options.token_budget, self.device)
        checkpoint.refuse_other_than_t5(self.weights, options, self.backend)
        _require_sentencepiece(self.weights.fetch())
        tokenizer = networks.tokenizer(options, self.weights)
        ids = networks.answer_ids(tokenizer.get_vocab(), self.answers(), options.model)
        own = tokenizer.model_max_length
        if own >= networks.NO_LIMIT:
            own = TRAINED_LENGTH
        limit = options.max_length or own
        self._writer = Writer(tokenizer, Prompt.parse(options.prompt), limit, options.model)
        self._clip = Clip(tokenizer, limit)
        network = networks.load("AutoModelForSeq2SeqLM", options, self.weights).to(self.device)
        checkpoint.refuse_other_tokenizer(network, tokenizer, options.model)
        self._describe_as = self._description(network, ids)
        start = network.config.decoder_start_token_id
        if start is None:
            start = tokenizer.pad_token_id
        self._start = torch.tensor([[start]], device=self.device)
        self._padding = int(tokenizer.pad_token_id)
        self._model = networks.answering_only(network, ids)

    def _forward(self, inputs: list[list[int]]) -> Any:
        import torch

        lengths = torch.tensor([len(row) for row in inputs])
        width = int(lengths[0])
        with self.meter.span("copy"):
            ids = torch.tensor(
                [row + [self._padding] * (width - len(row)) for row in inputs], device=self.device
            )
            mask = (torch.arange(width) < lengths[:, None]).long().to(self.device)
        with self.meter.span("forward"), torch.inference_mode():
            start = self._start.expand(len(inputs), 1)
            step = self._model(
                input_ids=ids, attention_mask=mask, decoder_input_ids=start, use_cache=False
            )
        self.meter.count(Usage(tokens=int(lengths.sum()), slots=ids.numel()))
        return step.logits[:, 0]

    def _description(self, network: Any, ids: list[int]) -> Description:
        answers = {
            name: {"piece": piece, "id": i}
            for (name, piece), i in zip(self.answers().items(), ids, strict=True)
        }
        identity = self.identity().loaded(
            sentence_transformer.number_formats(network),
            {
                "max_length": self._writer.limit,
                "prompt": self.options.prompt,
                **answers,
                "truncation": "document",
                **self.also_loaded(ids),
            },
        )
        return Description(
            self.backend,
            identity.own_fields(),
            sentence_transformer.facts(network, self.options, self.weights),
        )


def _require_sentencepiece(folder: Path) -> None:
    """Raise Unavailable for an old checkpoint whose tokenizer needs packages that are not here;
    transformers names a wrong one.
    """
    if (folder / "spiece.model").is_file() and not (folder / "tokenizer.json").is_file():
        missing = [
            package
            for package, module in (("sentencepiece", "sentencepiece"), ("protobuf", "google"))
            if find_spec(module) is None
        ]
        if missing:
            raise Unavailable(
                f"{missing[0]} not installed",
                f"pip install {' '.join(missing)}: {folder.name} has no tokenizer.json",
            )
