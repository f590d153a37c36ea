"""bfloat16 for an encoder's large products alone: those of its linear layers with the states of all
tokens, and of attention.

They take nearly all of the time. What is rounded between them costs the order of documents: the
sums that go through all layers, and the last layer, after which nothing evens an error out. That
layer is computed for the first token alone and takes next to no time in float32. So embeddings,
sums, norms, the last layer and the head stay in float32. On MiniLM-L6 Kendall's tau to float32 is
.994 in torch, and .983 where all of it is in bfloat16.
"""

from __future__ import annotations

from typing import Any

from bench.models.encoders import is_plain, layers_of

KINDS = ("bert", "camembert", "electra", "roberta", "xlm-roberta")
"""transformers' names of the networks that may have these layers."""
LARGE_PRODUCTS = "large products"
"""What is in bfloat16, as cache keys and exports say it."""


def loading_dtype(dtype: str, device: str, kind: str) -> str:
    """Return the number format to load a network of a kind in: float32 where its large products
    alone are to be rounded, which is done on a CPU.
    """
    if dtype == "bfloat16" and device == "cpu" and kind in KINDS:
        return "float32"
    return dtype


def round_large_products(network: Any) -> bool:
    """Have a network in float32 that keeps its first token only multiply in bfloat16 in all layers
    but the last. Returns whether it does: not where its attention is not BERT's.
    """
    layers = layers_of(network)
    if not layers or not all(is_plain(layer.attention.self) for layer in layers):
        return False
    for layer in layers[:-1]:
        for module in (layer.attention.self, layer.intermediate):
            module.bfloat16().register_forward_pre_hook(_round_inputs, with_kwargs=True)
        # what these read is rounded already, and their sums with the states are not
        layer.attention.output.dense.bfloat16()
        layer.output.dense.bfloat16()
    return True


def _round_inputs(
    module: Any, inputs: tuple[Any, ...], options: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return a module's inputs, states and a mask of numbers in bfloat16."""
    named = {name: _rounded(value) for name, value in options.items()}
    return tuple(map(_rounded, inputs)), named


def _rounded(value: Any) -> Any:
    import torch

    if torch.is_tensor(value) and value.is_floating_point():
        return value.bfloat16()
    return value
