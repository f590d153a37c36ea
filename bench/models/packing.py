"""Sequences end to end in one row, without padding, attention staying within each.

A batch of texts of many lengths is padded to the longest: on MS MARCO's passages a third and more
of what an accelerator multiplies is padding, and the mask that hides it is read in every layer.
Kernels of variable length need neither. Source: Krell et al., "Efficient Sequence Packing without
Cross-contamination" (arXiv 2107.02027); Dao, "FlashAttention-2" (arXiv 2307.08691);
`torch.nn.attention.varlen`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.contract.requirement import Requirement
from bench.core.errors import Unavailable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Tokens = NDArray[np.int64]
    Batch = dict[str, Tokens]

STARTS = "starts"
"""The array of a batch that says where each sequence begins, and where the last one ends."""
SEGMENTS = "segments"
"""The same among inputs on a device, as `Segments`."""
UNFIT = (
    "attention packed serves encoders of BERT's layout whose classifier reads the first token "
    "alone; leave attention out"
)
DTYPES = ("bfloat16", "float16")


@dataclass(frozen=True)
class Segments:
    """Where the sequences of a packed row begin, the end of the last one with them, on the device;
    and the longest one's tokens.
    """

    starts: Any
    longest: int

    def of_first_tokens(self) -> Segments:
        """Return the same of a row that holds the first token of each sequence alone."""
        import torch

        starts = self.starts
        return Segments(torch.arange(len(starts), dtype=starts.dtype, device=starts.device), 1)


_SEGMENTS: ContextVar[Segments | None] = ContextVar("segments", default=None)


@dataclass(frozen=True)
class VariableLength(Requirement):
    """A device and a torch that have attention of variable length."""

    device: str
    dtype: str

    def require(self) -> None:
        if not self.device.startswith("cuda"):
            raise Unavailable("attention packed needs a CUDA device", "leave attention out")
        if self.dtype not in DTYPES:
            raise Unavailable(
                f"attention packed computes in {' or '.join(DTYPES)}, not in {self.dtype}",
                "set dtype: bfloat16, or leave attention out",
            )
        try:
            from torch.nn.attention import varlen  # noqa: F401
        except ImportError as error:
            raise Unavailable(
                "this torch has no attention of variable length", "pip install 'torch>=2.10'"
            ) from error


def pack(lengths: Tokens, ids: Tokens, types: Tokens | None, first_position: int) -> Batch:
    """Return the inputs of one packed row from the tokens of all sequences, end to end. Shapes: (1,
    tokens); `starts`: (sequences + 1,).
    """
    import numpy as np

    starts = np.concatenate([[0], np.cumsum(lengths)])
    batch = {
        "input_ids": ids[None],
        "position_ids": places(lengths)[None] + first_position,
        STARTS: starts,
    }
    if types is not None:
        batch["token_type_ids"] = types[None]
    return batch


def places(lengths: Tokens) -> Tokens:
    """Return each token's place in its sequence, of sequences end to end. Shape: (tokens,)."""
    import numpy as np

    starts = np.cumsum(lengths) - lengths
    return np.arange(int(lengths.sum())) - np.repeat(starts, lengths)


def placed(batch: Batch, device: str) -> dict[str, Any]:
    """Return a batch's arrays as tensors on the device, and the starts of a packed one as
    `Segments`.
    """
    import torch

    on_gpu = device.startswith("cuda")
    inputs: dict[str, Any] = {}
    for name, array in batch.items():
        tensor = torch.from_numpy(array)
        if name == STARTS:
            tensor = tensor.int()
        if on_gpu:
            # from pinned memory, the copy does not wait for the work before it
            tensor = tensor.pin_memory()
        inputs[name] = tensor.to(device, non_blocking=on_gpu)
    if STARTS in batch:
        longest = int((batch[STARTS][1:] - batch[STARTS][:-1]).max())
        inputs[SEGMENTS] = Segments(inputs.pop(STARTS), longest)
    return inputs


def through(network: Callable[[dict[str, Any]], Any], inputs: Mapping[str, Any]) -> Any:
    """Return what a network makes of inputs, packed ones or padded ones."""
    tensors = {name: tensor for name, tensor in inputs.items() if name != SEGMENTS}
    with within(inputs.get(SEGMENTS)):
        return network(tensors)


@contextmanager
def within(segments: Segments | None) -> Iterator[None]:
    """Have attention stay within these sequences; None: rows are sequences, as elsewhere."""
    token = _SEGMENTS.set(segments)
    try:
        yield
    finally:
        _SEGMENTS.reset(token)


def current() -> Segments | None:
    """Return the sequences that attention stays within now; None where rows are sequences. A
    compiled model is never packed, and its compiler would break the network apart at each look at a
    context variable.
    """
    import torch

    if torch.compiler.is_compiling():
        return None
    return _SEGMENTS.get()


def first_position(network: Any) -> int:
    """Return the number of a sequence's first position: RoBERTa and its kin count from the padding
    on.
    """
    embeddings = network.base_model.embeddings
    # members of other people's networks: only some of them have it
    if hasattr(embeddings, "create_position_ids_from_input_ids"):
        return int(embeddings.padding_idx) + 1
    return 0
