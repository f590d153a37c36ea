"""Loading a model through transformers alone: whole, tensors and no code, nothing drawn at random;
and the logits of a few tokens only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.core.errors import RerankerError
from bench.models import headers, sentence_transformer
from bench.models.options import NetworkOptions
from bench.models.quiet import quiet
from bench.models.weights import Weights

LIBRARIES = ("transformers", "torch")
NO_LIMIT = 1 << 30
"""A tokenizer without a limit names a number beyond all sense: this or more."""


def tokenizer(options: NetworkOptions, weights: Weights) -> Any:
    """Return the checkpoint's own tokenizer."""
    from transformers import AutoTokenizer

    with quiet(), sentence_transformer.explained(weights):
        return AutoTokenizer.from_pretrained(
            weights.fetch(), local_files_only=True, trust_remote_code=options.trust_remote_code
        )


def load(kind: str, options: NetworkOptions, weights: Weights) -> Any:
    """Return the network on the CPU, in evaluation mode; `kind` is one of transformers' classes,
    such as AutoModelForCausalLM.

    Raises RerankerError where weights are missing, which would be drawn at random.
    """
    import torch
    import transformers

    with quiet(), sentence_transformer.explained(weights):
        network, report = getattr(transformers, kind).from_pretrained(
            weights.fetch(),
            dtype=getattr(torch, options.dtype),
            attn_implementation=options.attention_implementation,
            trust_remote_code=options.trust_remote_code,
            local_files_only=True,
            weights_only=True,
            output_loading_info=True,
        )
    missing = sorted(report["missing_keys"])
    if missing:
        raise RerankerError(
            f"{options.model}: {missing[0]} is not in the weights: not a whole model, it would "
            "score at random"
        )
    return network.eval()


def length_limit(network: Any, tokenizer: Any, options: NetworkOptions) -> int | None:
    """Return the tokens that the network takes at once: what the options say, else what network and
    tokenizer name; None where neither does.

    Raises RerankerError when what was asked for is more than the network's positions.
    """
    positions = getattr(network.config.get_text_config(), "max_position_embeddings", None)
    headers.refuse_longer(options.model, options.max_length, positions)
    named = [
        length
        for length in (positions, tokenizer.model_max_length)
        if length is not None and length < NO_LIMIT
    ]
    return options.max_length or min(named, default=None)


def answer_ids(vocabulary: Mapping[str, int], answers: Mapping[str, str], model: str) -> list[int]:
    """Return the ids of the tokens that a model answers with; `answers` is option name -> piece of
    the vocabulary.

    Raises RerankerError for a piece that the vocabulary lacks, and for two options that name the
    same one.
    """
    for option, piece in answers.items():
        if piece not in vocabulary:
            raise RerankerError(
                f"{model}: its vocabulary has no token '{piece}'; set {option} to the one it "
                "answers with"
            )
    ids = [int(vocabulary[piece]) for piece in answers.values()]
    if len(set(ids)) < len(ids):
        raise RerankerError(f"{model}: {' and '.join(answers)} are the same token")
    return ids


def answering_only(network: Any, ids: Sequence[int]) -> Any:
    """Return the network with an output layer for these tokens alone, in float32.

    The logits are the same, without the rest of the vocabulary (250,112 in mT5), and without the
    ties that a logit rounded to bfloat16 brings.
    """
    import torch

    full, wanted = network.get_output_embeddings(), list(ids)
    bias = getattr(full, "bias", None)
    head = torch.nn.Linear(
        full.in_features, len(wanted), bias=bias is not None, device=full.weight.device
    )
    with torch.no_grad():
        head.weight.copy_(full.weight[wanted])
        if bias is not None:
            head.bias.copy_(bias[wanted])
    head.register_forward_pre_hook(lambda _, inputs: (inputs[0].float(),))
    network.set_output_embeddings(head)
    return network.eval()
