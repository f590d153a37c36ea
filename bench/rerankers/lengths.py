"""How long a model's inputs may be, and how long they were: counted from what the library tokenises anyway, never a second time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from bench.errors import RerankerError
from bench.rerankers.base import Usage, no_span

_NO_LIMIT = 1 << 30


def limit_length(model: Any, asked: int | None, spec: str) -> None:
    """Set the maximum length, which must fit the table of learned positions. Raises RerankerError when what was asked for does not."""
    limit = min((found for module in model.modules() if (found := _positions(module)) is not None), default=None)
    if limit is not None and asked is not None and asked > limit:
        raise RerankerError(f"{spec}: max_length {asked} is more than the {limit} positions that the model has")
    lengths = [length for length in (limit, asked or length_limit(model)) if length is not None]
    if lengths:
        model.max_seq_length = min(lengths)


def length_limit(model: Any) -> int | None:
    """The tokens that an input is cut to, or None where there is no limit (a tokenizer then names a number beyond all sense)."""
    length = model.max_seq_length
    return int(length) if length is not None and length < _NO_LIMIT else None


def _positions(module: Any) -> int | None:
    """How many tokens a table of learned positions holds. RoBERTa's kind starts counting after the padding index."""
    import torch

    table = getattr(module, "position_embeddings", None)
    if not isinstance(table, torch.nn.Embedding):
        return None
    return int(table.num_embeddings) - (0 if table.padding_idx is None else table.padding_idx + 1)


def count_tokens(model: Any, add: Callable[[Usage], None], span: Callable[[str], AbstractContextManager[None]] = no_span) -> None:
    """Have every batch that the model tokenises counted, and its making marked as a span. Looks at what the library made anyway: nothing is
    tokenised twice."""
    preprocess = model.preprocess

    def counted(inputs: Any, *args: Any, **kwargs: Any) -> Any:
        with span("tokenise"):
            features = preprocess(inputs, *args, **kwargs)
        add(_usage(features, length_limit(model)))
        return features

    model.preprocess = counted


def _usage(features: Any, max_length: int | None) -> Usage:
    mask = features.get("attention_mask")
    if mask is None:  # sequences put end to end, without padding
        total = features["input_ids"].numel() if "input_ids" in features else 0
        return Usage(tokens=total, slots=total)
    lengths = mask.sum(dim=1)
    full = (lengths >= max_length).nonzero().flatten().tolist() if max_length else []
    encodings = getattr(features, "encodings", None)
    if encodings is not None:  # a text that fits exactly is full, but not cut
        full = [i for i in full if encodings[i].overflowing]
    return Usage(tokens=int(lengths.sum()), slots=mask.numel(), truncated=len(full))
