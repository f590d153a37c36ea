"""What monoT5 and RankT5 share: one prompt per pair, one decoder step, and the logits of the tokens that answer.

Both rank with a T5 that reads query and document in one text and writes a token. The document alone is shortened to fit, so that the query
and the end of the prompt stay: an input that lost its "Relevant:" is not one that the model was trained on.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, field_validator

from bench.errors import RerankerError, Unavailable
from bench.rerankers import checkpoint, sbert
from bench.rerankers.base import Description, PointwiseReranker, Usage
from bench.rerankers.local import LocalReranker
from bench.rerankers.options import ModelOptions
from bench.rerankers.t5_prompt import Prompt, Writer
from bench.rerankers.weights import Weights, versions

if TYPE_CHECKING:
    from bench.rerankers.base import Scores

LIBRARIES = ("transformers", "torch")
TRAINED_LENGTH = 512
"""Tokens that T5, mT5 and both methods were trained at; their positions are relative, so that the weights name no limit."""
_NO_LIMIT = 1 << 30


class T5Options(ModelOptions):
    prompt: str = Field(description="the model's input; must hold {query} and, after it, {document}")

    @field_validator("prompt")
    @classmethod
    def _has_both(cls, prompt: str) -> str:
        Prompt.parse(prompt)
        return prompt


class T5Reranker(LocalReranker, PointwiseReranker):
    """Scores a pair by the first decoder step's logit of one token, less that of another where there is one: raw, unbounded."""

    backend: ClassVar[str]
    options: T5Options

    @abstractmethod
    def answers(self) -> dict[str, str]:
        """Option name -> piece of the vocabulary: the token that speaks for the document, then the one against it, if any."""

    def fingerprint(self) -> dict[str, Any]:
        settings = sbert.settings(self.options, self.weights, self.device, LIBRARIES)
        return {"backend": self.backend, "prompt": self.options.prompt, **self.answers(), **settings}

    def load(self) -> None:
        if self._model is not None:
            return
        import torch
        from transformers import AutoTokenizer

        options, folder = self.options, self.weights.fetch()
        checkpoint.refuse_other_than_t5(self.weights, options, self.backend)
        _require_sentencepiece(folder)
        with sbert.quiet(), sbert.explained(self.weights):
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=options.trust_remote_code)
        ids = self._ids(tokenizer)
        own = tokenizer.model_max_length
        limit = options.max_length or (own if own < _NO_LIMIT else TRAINED_LENGTH)
        self._writer = Writer(tokenizer, Prompt.parse(options.prompt), limit, options.model)
        network = _network(options, self.weights).to(self.device)
        self._describe_as = self._description(network, ids)
        start = network.config.decoder_start_token_id
        self._start = torch.tensor([[tokenizer.pad_token_id if start is None else start]], device=self.device)
        self._padding = int(tokenizer.pad_token_id)
        self._model = _answering_only(network, ids)

    def describe(self) -> Description:
        self._loaded()
        return self._describe_as

    def score(self, pairs: Sequence[tuple[str, str]]) -> Scores:
        import numpy as np

        self._loaded()
        inputs, truncated, cut_queries = self._writer.write(pairs)
        self.usage += Usage(pairs=len(pairs), truncated=truncated, cut_queries=cut_queries)
        scores = np.empty(len(pairs), dtype=np.float64)
        order = sorted(range(len(pairs)), key=lambda i: -len(inputs[i]))  # the longest first: what does not fit fails at once
        with sbert.explained_memory(self.options):
            for start in range(0, len(order), self.options.batch_size):
                rows = order[start : start + self.options.batch_size]
                scores[rows] = self._forward([inputs[i] for i in rows])
        return scores

    def _forward(self, inputs: list[list[int]]) -> Scores:
        """Scores of one batch, its longest input first. Shape: (len(inputs),)."""
        import torch

        lengths = torch.tensor([len(row) for row in inputs])
        width = int(lengths[0])
        ids = torch.tensor([row + [self._padding] * (width - len(row)) for row in inputs], device=self.device)
        mask = (torch.arange(width) < lengths[:, None]).long().to(self.device)
        self.usage += Usage(tokens=int(lengths.sum()), slots=ids.numel())
        with torch.inference_mode():
            start = self._start.expand(len(inputs), 1)
            step = self._model(input_ids=ids, attention_mask=mask, decoder_input_ids=start, use_cache=False)
            answers = step.logits[:, 0].double()
            scores: Scores = (answers[:, 0] - answers[:, 1:].sum(dim=1)).cpu().numpy()
        return scores

    def _ids(self, tokenizer: Any) -> list[int]:
        vocabulary = tokenizer.get_vocab()
        for option, piece in self.answers().items():
            if piece not in vocabulary:
                raise RerankerError(f"{self.options.model}: its vocabulary has no token '{piece}'; set {option} to the one it answers with")
        ids = [int(vocabulary[piece]) for piece in self.answers().values()]
        if len(set(ids)) < len(ids):
            raise RerankerError(f"{self.options.model}: {' and '.join(self.answers())} are the same token")
        return ids

    def _description(self, network: Any, ids: list[int]) -> Description:
        identity = {
            **self.weights.identity(),
            "dtype": sbert.number_format(network),
            "max_length": self._writer.limit,
            "prompt": self.options.prompt,
            **{option: {"piece": piece, "id": i} for (option, piece), i in zip(self.answers().items(), ids, strict=True)},
            "truncation": "document",
            **versions(*LIBRARIES),
        }
        return Description(self.backend, identity, sbert.facts(network, self.options, self.weights))


def _require_sentencepiece(folder: Path) -> None:
    """Raise Unavailable for an old checkpoint whose tokenizer needs packages that are not here; transformers names a wrong one."""
    if (folder / "spiece.model").is_file() and not (folder / "tokenizer.json").is_file():
        missing = [package for package, module in (("sentencepiece", "sentencepiece"), ("protobuf", "google")) if find_spec(module) is None]
        if missing:
            raise Unavailable(f"{missing[0]} not installed", f"pip install {' '.join(missing)}: {folder.name} has no tokenizer.json")


def _network(options: ModelOptions, weights: Weights) -> Any:
    """The whole T5 on the CPU, from safetensors only. Raises RerankerError where weights are missing, which would be drawn at random."""
    import torch
    from transformers import AutoModelForSeq2SeqLM

    with sbert.quiet(), sbert.explained(weights):
        network, report = AutoModelForSeq2SeqLM.from_pretrained(
            weights.fetch(),
            dtype=getattr(torch, options.dtype),
            attn_implementation=options.attention,
            trust_remote_code=options.trust_remote_code,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
        )
    missing = sorted(report["missing_keys"])
    if missing:
        raise RerankerError(f"{options.model}: {missing[0]} is not in the weights: not a whole T5, it would score at random")
    return network


def _answering_only(network: Any, ids: list[int]) -> Any:
    """The network with an output layer for these tokens alone, in float32: the same logits, without the rest of the vocabulary (250,112 in
    mT5), and without the ties that a logit rounded to bfloat16 brings."""
    import torch

    full = network.get_output_embeddings()
    head = torch.nn.Linear(full.in_features, len(ids), bias=False, device=full.weight.device)
    with torch.no_grad():
        head.weight.copy_(full.weight[ids])
    head.register_forward_pre_hook(lambda _, inputs: (inputs[0].float(),))
    network.set_output_embeddings(head)
    return network.eval()
