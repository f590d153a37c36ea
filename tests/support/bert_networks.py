"""Small networks of BERT's layout with random weights, of each class whose attention is BERT's."""

from __future__ import annotations

from typing import Any

import torch

from bench.models.encoders import PLAIN

CLASSES = tuple(name.removesuffix("SelfAttention") for name in PLAIN)
WORDS = 60


def network_of(kind: str, attention: str, *, spread: float, **sizes: Any) -> Any:
    """Return a classifier whose weights, biases among them, have this standard deviation."""
    import transformers

    config = getattr(transformers, f"{kind}Config")(
        vocab_size=WORDS,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=16,
        pad_token_id=0,
        num_labels=1,
        attn_implementation=attention,
        **sizes,
    )
    torch.manual_seed(3)
    network = getattr(transformers, f"{kind}ForSequenceClassification")(config).eval()
    for weights in network.parameters():
        torch.nn.init.normal_(weights, std=spread)
    return network
