"""The last layer for the first token alone: a classifier reads no other, so that nearly all of that
layer's work need not be done.

Exact: in an encoder's last layer, everything after attention is computed token by token, and the
attention of one token needs no key and no value of the others. With the weights W of a head's keys,
the first token's query q and a token's states x, q . (W x) = (q W) . x; and the weighted sum of the
values is the values' weights times the weighted sum of states. So one product per pair takes the
place of two per token. A key's bias adds the same to all scores of a pair, which their softmax
takes out again. Of BERT's six layers in MiniLM-L6 it saves a sixth of all multiplications.
"""

from __future__ import annotations

from typing import Any

from bench.models.encoders import is_plain, layers_of


def keep_first_token_only(network: Any) -> Any:
    """Have an encoder of BERT's layout (BERT, RoBERTa, XLM-R, Electra, DeBERTa) go on with the
    first token after its last attention.

    Returns a handle whose `remove()` undoes it, or None for another layout. Whether the head reads
    the first token only is for the caller to try: scores differ where it does not.
    """
    output = getattr(_last_attention(network), "output", None)
    if output is None:
        return None
    return output.register_forward_pre_hook(
        lambda _, inputs: tuple(states[:, :1] for states in inputs)
    )


def attend_from_first_token_only(network: Any) -> FirstAttention | None:
    """Have a network that keeps its first token only compute the last attention of that token
    alone, in float32 on a CPU. Returns a handle whose `remove()` undoes it, or None where the
    attention is not BERT's.

    For a last layer in float32: in fewer bits these products round in other places than the trained
    ones.
    """
    attention = getattr(_last_attention(network), "self", None)
    return FirstAttention(attention) if is_plain(attention) else None


def _last_attention(network: Any) -> Any:
    layers = layers_of(network)
    return getattr(layers[-1], "attention", None) if layers else None


class FirstAttention:
    """Stands in for the `forward` of an attention module: that of the first token, by the states
    themselves. Other devices and masks of a kernel's own go the module's own way.
    """

    def __init__(self, module: Any) -> None:
        self._module = module
        self._forward = module.forward
        module.forward = self

    def remove(self) -> None:
        """Have the module compute the attention of all tokens again."""
        # the method of its class shows again
        del self._module.forward

    def __call__(self, hidden_states: Any, attention_mask: Any = None, **options: Any) -> Any:
        """Return the attention of each row's first token, and None in place of its weights. Shapes:
        (rows, tokens, size) and (rows or 1, 1, tokens or 1, tokens) in, (rows, 1, size) out.
        """
        is_known = attention_mask is None or attention_mask.dim() == 4
        if hidden_states.device.type != "cpu" or not is_known:
            return self._forward(hidden_states, attention_mask=attention_mask, **options)
        return self._first(hidden_states, attention_mask), None

    def _first(self, states: Any, mask: Any) -> Any:
        from torch.nn.functional import scaled_dot_product_attention

        module = self._module
        size = module.attention_head_size
        heads = (module.num_attention_heads, size)
        key = module.key.weight.unflatten(0, heads)
        value = module.value.weight.unflatten(0, heads)
        query = module.query(states[:, 0]).unflatten(-1, heads).transpose(0, 1)
        # each head asks the same states: as one more place of a single head
        places = (query @ key).transpose(0, 1).unsqueeze(1)
        seen = states.unsqueeze(1)
        first_row = None if mask is None else mask[:, :, :1]
        mixture = scaled_dot_product_attention(
            places, seen, seen, attn_mask=first_row, scale=size**-0.5
        )
        values = (mixture.squeeze(1).transpose(0, 1) @ value.transpose(1, 2)).transpose(0, 1)
        return (values.flatten(1) + module.value.bias).unsqueeze(1)
