"""An encoder of BERT's layout over a packed row, by few and large operations.

A fast card finishes a small network's operations sooner than Python starts them. So the products of
queries, keys and values are one, and transformers' modules, each a call of its own with hooks to
look for, are left out: a layer takes the host half as long (benchmarks/packed.py). In the last
layer the first token of each sequence alone asks, and goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from bench.models import packing
from bench.models.encoders import are_linear, is_plain, layers_of
from bench.models.packing import Segments


def fits(network: Any) -> bool:
    """Return whether a network has an encoder whose layers are BERT's, as they were trained."""
    return bool(layers := layers_of(network)) and all(map(_is_known, layers))


class PackedEncoder:
    """Stands in for the `forward` of a network's encoder where a row holds several sequences,
    within `packing.within`; other rows go the encoder's own way.

    For a network that is on its device and in its number format, and whose head reads the first
    token alone.
    """

    def __init__(self, network: Any) -> None:
        encoder = network.base_model.encoder
        self._layers = [_Layer(module) for module in encoder.layer]
        self._forward = encoder.forward
        encoder.forward = self

    def __call__(self, hidden_states: Any, *arguments: Any, **options: Any) -> Any:
        """Return the states of each sequence's first token. Shapes: (1, tokens, size) in,
        (sequences, 1, size) out.
        """
        segments = packing.current()
        if segments is None:
            return self._forward(hidden_states, *arguments, **options)
        from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

        states = self.run(hidden_states[0], segments)
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=states[:, None])

    def run(self, states: Any, segments: Segments) -> Any:
        """Return the same as plain tensors. Shapes: (tokens, size) in, (sequences, size) out."""
        for layer in self._layers[:-1]:
            states = layer.every_token(states, segments)
        return self._layers[-1].first_tokens(states, segments)


class _Layer:
    """One layer's operations, with its weights. The projections' own weights become parts of the
    joined ones, so that nothing is kept twice.
    """

    def __init__(self, module: Any) -> None:
        attention = module.attention.self
        self._heads = (3, attention.num_attention_heads, attention.attention_head_size)
        self._project = _joined([attention.query, attention.key, attention.value])
        self._mix = _linear(module.attention.output.dense)
        self._norm = _norm(module.attention.output.LayerNorm)
        self._widen = _linear(module.intermediate.dense)
        self._activate = module.intermediate.intermediate_act_fn
        self._narrow = _linear(module.output.dense)
        self._last_norm = _norm(module.output.LayerNorm)

    def every_token(self, states: Any, segments: Segments) -> Any:
        """Return the states of all tokens after this layer. Shapes: (tokens, size)."""
        query, key, value = self._projections(states)
        attended = attend(query, key, value, segments, segments)
        return self._after(attended, states)

    def first_tokens(self, states: Any, segments: Segments) -> Any:
        """Return the states of each sequence's first token after this layer. Shapes: (tokens, size)
        in, (sequences, size) out.
        """
        query, key, value = self._projections(states)
        places = segments.starts[:-1]
        asking = query.index_select(0, places)
        attended = attend(asking, key, value, segments.of_first_tokens(), segments)
        return self._after(attended, states.index_select(0, places))

    def _projections(self, states: Any) -> Sequence[Any]:
        """Return queries, keys and values. Shapes: (tokens, size) in, (tokens, heads, size)."""
        projected = self._project(states).unflatten(-1, self._heads)
        parts: Sequence[Any] = projected.unbind(1)
        return parts

    def _after(self, attended: Any, states: Any) -> Any:
        states = self._norm(self._mix(attended.flatten(1)) + states)
        return self._last_norm(self._narrow(self._activate(self._widen(states))) + states)


def attend(query: Any, key: Any, value: Any, of_queries: Segments, of_keys: Segments) -> Any:
    """Return what the tokens of each sequence get from those of the same one. Shapes: (tokens,
    heads, size).
    """
    if query.is_cuda:
        from torch.nn.attention.varlen import varlen_attn

        bounds = (of_queries.starts, of_keys.starts, of_queries.longest, of_keys.longest)
        return varlen_attn(query, key, value, *bounds)
    return _one_by_one(query, key, value, of_queries, of_keys)


def _one_by_one(query: Any, key: Any, value: Any, of_queries: Segments, of_keys: Segments) -> Any:
    """Return attention within each sequence, one after the other: the same numbers without a kernel
    for it.
    """
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    parts = []
    for own, seen in zip(_ranges(of_queries), _ranges(of_keys), strict=True):
        heads = [part.transpose(0, 1)[None] for part in (query[own], key[seen], value[seen])]
        parts.append(scaled_dot_product_attention(*heads)[0].transpose(0, 1))
    return torch.cat(parts)


def _ranges(segments: Segments) -> list[slice]:
    """Return each sequence's tokens."""
    return [slice(start, end) for start, end in pairwise(segments.starts.tolist())]


def _is_known(layer: Any) -> bool:
    outputs = (layer.attention.output, layer.output)
    norms = [type(output.LayerNorm).__name__ for output in outputs]
    linear = are_linear(layer.intermediate.dense, *(output.dense for output in outputs))
    return is_plain(layer.attention.self) and linear and set(norms) == {"LayerNorm"}


def _joined(modules: Sequence[Any]) -> Callable[[Any], Any]:
    """Return one product in the place of several of the same states, one after the other in what it
    returns.
    """
    import torch

    with torch.no_grad():
        weight = torch.cat([module.weight for module in modules])
        bias = torch.cat([module.bias for module in modules])
    parts = zip(modules, weight.chunk(len(modules)), bias.chunk(len(modules)), strict=True)
    for module, own_weight, own_bias in parts:
        module.weight.data, module.bias.data = own_weight, own_bias
    return partial(torch.nn.functional.linear, weight=weight, bias=bias)


def _linear(module: Any) -> Callable[[Any], Any]:
    from torch.nn.functional import linear

    return partial(linear, weight=module.weight, bias=module.bias)


def _norm(module: Any) -> Callable[[Any], Any]:
    from torch.nn.functional import layer_norm

    shape = module.normalized_shape
    return partial(
        layer_norm,
        normalized_shape=shape,
        weight=module.weight,
        bias=module.bias,
        eps=module.eps,
    )
