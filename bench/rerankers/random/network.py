"""Networks as their makers shaped them, with random numbers for weights: what they cost can be
measured, what they say means nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench.catalogue.entries import Architecture
from bench.core.errors import RerankerError
from bench.models import networks, packed_encoder, packing
from bench.models.packed_encoder import PackedEncoder
from bench.rerankers.local.first_token import (
    attend_from_first_token_only,
    keep_first_token_only,
)
from bench.rerankers.local.rounded_products import loading_dtype, round_large_products

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Lengths = NDArray[np.int64]
    Inputs = dict[str, Any]

KINDS: Mapping[str, str] = {
    "classify": "AutoModelForSequenceClassification",
    "answer": "AutoModelForCausalLM",
    "text-to-text": "AutoModelForSeq2SeqLM",
    "list": "AutoModelForCausalLM",
}
"""Task -> transformers' class."""
SPREAD = 0.02
"""Standard deviation of the weights, as most of these networks were initialised: activations stay
of ordinary size, and finite.
"""
ORDINARY = 100
"""The first id of a made-up token: the ones below it are special in most vocabularies."""
_PRIME = 7919
"""Neighbouring made-up tokens differ."""
_ROW = 1009
"""Sequences differ, and have the same tokens padded and packed."""
_BLOCK = 1 << 20


class RandomNetwork:
    """Reads made-up tokens: how many is all that decides its time. `first_token_only` says whether
    a classifier's last layer is computed for the first token alone, as it is for the trained model.
    """

    def __init__(
        self,
        architecture: Architecture,
        dtype: str,
        device: str,
        attention: str | None,
        *,
        is_packed: bool = False,
    ) -> None:
        import torch

        loading = dtype
        if architecture.task == "classify" and not is_packed:
            loading = loading_dtype(dtype, device, architecture.type)
        network = build(architecture, loading, device, attention)
        if architecture.task == "text-to-text":
            network = networks.answering_only(network, [ORDINARY, ORDINARY + 1])
        self.network, self.task, self.device = network, architecture.task, device
        self.is_packed = False
        self.first_token_only = self.task == "classify" and self._keep_first_token()
        if self.first_token_only and loading == "float32":
            attend_from_first_token_only(network)
        if loading != dtype and not (self.first_token_only and round_large_products(network)):
            network.to(getattr(torch, dtype))
        if is_packed:
            if not (self.first_token_only and packed_encoder.fits(network)):
                raise RerankerError(f"{architecture.type}: {packing.UNFIT}")
            PackedEncoder(network)
            self.is_packed = True

    def inputs(self, lengths: Lengths) -> Inputs:
        """Return tokens of these lengths, the longest first, on the device: padded, or end to end
        where the network is packed. Shapes: (len(lengths), lengths[0]) or (1, their sum).
        """
        import numpy as np

        if self.is_packed:
            return self._packed(lengths)
        width, config = int(lengths[0]), self.network.config
        place = np.arange(width)
        if self.task in ("answer", "list"):
            # a language model writes on at the right end: padding is on the left
            real = place >= width - lengths[:, None]
        else:
            real = place < lengths[:, None]
        rows = np.arange(len(lengths))[:, None]
        tokens = self._tokens(rows, place)
        arrays = {
            "input_ids": np.where(real, tokens, config.pad_token_id or 0),
            "attention_mask": real.astype(np.int64),
        }
        return packing.placed(arrays, self.device)

    def logits(self, inputs: Inputs) -> Any:
        """Return one number per input. Shape: (rows,)."""
        import torch

        rows = len(inputs["input_ids"])
        with torch.inference_mode():
            if self.task == "text-to-text":
                start = torch.zeros((rows, 1), dtype=torch.long, device=self.device)
                step = self.network(**inputs, decoder_input_ids=start, use_cache=False).logits[:, 0]
                return step[:, 0] - step[:, 1]
            if self.task == "answer":
                output = self.network(**inputs, use_cache=False, logits_to_keep=1)
                step = output.logits[:, -1, :2].float()
                return step[:, 0] - step[:, 1]
            output = packing.through(lambda tensors: self.network(**tensors), inputs)
            return output.logits.reshape(-1).float()

    def write(self, inputs: Inputs, tokens: int) -> None:
        """Read the inputs and write this number of tokens after each, greedily."""
        import torch
        from transformers import GenerationConfig

        how = GenerationConfig(
            do_sample=False, max_new_tokens=tokens, pad_token_id=0, eos_token_id=None
        )
        with torch.inference_mode():
            self.network.generate(**inputs, generation_config=how)

    def _packed(self, lengths: Lengths) -> Inputs:
        import numpy as np

        places = packing.places(lengths)
        ids = self._tokens(np.repeat(np.arange(len(lengths)), lengths), places)
        batch = packing.pack(lengths, ids, None, packing.first_position(self.network))
        return packing.placed(batch, self.device)

    def _tokens(self, row: Lengths | int, place: Lengths) -> Lengths:
        """Return the made-up tokens at these places of a sequence. Shapes as they broadcast."""
        number = row * _ROW + place
        return ORDINARY + number * _PRIME % (int(self.network.config.vocab_size) - ORDINARY)

    def _keep_first_token(self) -> bool:
        """Take the shorter way where the logits stay the same."""
        import numpy as np
        import torch

        probe = self.inputs(np.array([24, 9]))
        expected = self.logits(probe)
        handle = keep_first_token_only(self.network)
        if handle is None:
            return False
        try:
            if torch.allclose(self.logits(probe), expected, rtol=1e-2, atol=1e-3):
                return True
        except (RuntimeError, IndexError, ValueError):  # a head that wants what is left out
            pass
        handle.remove()
        return False


def build(architecture: Architecture, dtype: str, device: str, attention: str | None = None) -> Any:
    """Return the network on its device, in evaluation mode. Takes as long as writing its memory
    does: nothing is drawn parameter by parameter.
    """
    import torch
    from transformers.initialization import no_init_weights

    number = getattr(torch, dtype)
    with torch.device(device), no_init_weights():
        network = _empty(architecture, dtype=number, attn_implementation=attention)
    network.tie_weights()  # part of what was left out: initialisation
    generator = torch.Generator().manual_seed(0)
    block = torch.randn(_BLOCK, generator=generator).mul_(SPREAD).to(device, number)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.dim() == 1:
                # a normalisation's scale, or a bias
                parameter.fill_(float(name.endswith("weight")))
                continue
            flat = parameter.view(-1)
            for start in range(0, flat.numel(), _BLOCK):
                part = flat[start : start + _BLOCK]
                part.copy_(block[: part.numel()])
    return network.eval()


def count_parameters(architecture: Architecture) -> int:
    """Return how many weights the network has, without making them."""
    import torch

    with torch.device("meta"):
        return sum(parameter.numel() for parameter in _empty(architecture).parameters())


def _empty(architecture: Architecture, **how: Any) -> Any:
    import transformers

    settings = dict(architecture.config)
    if architecture.task == "classify":
        settings["num_labels"] = 1
    config = transformers.AutoConfig.for_model(architecture.type, **settings)
    return getattr(transformers, KINDS[architecture.task]).from_config(config, **how)
