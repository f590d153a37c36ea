"""Texts as token ids, whole: nothing is cut off, and nothing is added unless it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def token_ids(
    tokenizer: Any, texts: Sequence[str], *, special_tokens: bool = False
) -> list[list[int]]:
    """Return the token ids of each text, with the tokens around an input where these are wanted."""
    if not texts:
        return []
    encoded = tokenizer(
        list(texts),
        add_special_tokens=special_tokens,
        truncation=False,
        return_attention_mask=False,
        verbose=False,
    )
    ids: list[list[int]] = encoded["input_ids"]
    return ids


def token_counts(tokenizer: Any, texts: Sequence[str]) -> list[int]:
    """Return how many tokens each text has, without special ones."""
    return [len(ids) for ids in token_ids(tokenizer, texts)]
