"""Windows as the token ids that a model reads, made to fit into its context: the longest passages
give way first.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from bench.core.errors import RerankerError
from bench.models.token_ids import token_counts, token_ids
from bench.rerankers.listwise import prompts
from bench.rerankers.listwise.sliding_window import ListwiseOptions, Sorting
from bench.rerankers.local import chat

_LEAST = 4
"""Tokens that every passage of a window must have room for."""
_QUERY_SHARE = 8
"""A query takes at most this part of the context where the whole does not fit; the prompts repeat
it.
"""


class Fitter:
    """Writes prompts of at most `limit` tokens, the answer included; None is no limit."""

    def __init__(self, tokenizer: Any, options: Any, limit: int | None) -> None:
        """Raises RerankerError when a full window would have no room, or the chat template refuses
        the conversation.
        """
        self.limit = limit
        self._tokenizer = tokenizer
        self._options: ListwiseOptions = options
        self._model: str = options.model
        self._harmless = chat.harmless(tokenizer)
        self.answer_tokens = cache(self._answer_tokens)
        fixed = len(self._ids("", [""] * options.window)) + self.answer_tokens(options.window)
        if (
            limit is not None
            and fixed + options.window * _LEAST + 2 * limit // _QUERY_SHARE > limit
        ):
            raise RerankerError(
                f"{self._model}: {limit} tokens have no room for {options.window} passages "
                "next to the prompt; lower window"
            )

    def prompt(self, sorting: Sorting) -> list[int]:
        """Return the prompt of the query's present window; note in `sorting` what was cut."""
        window = sorting.window
        query = self._harmless(sorting.query)
        passages = [self._harmless(sorting.passages[position]) for position in window]
        ids = self._ids(query, passages)
        if self.limit is None:
            return ids
        allowed = self.limit - self.answer_tokens(len(window))
        if len(ids) > allowed:
            query, sorting.query_was_cut = self._short_query(query)
            ids = self._ids(query, passages)
        while len(ids) > allowed:
            shorter = self._shorter(passages, len(ids) - allowed)
            if shorter == passages:
                raise RerankerError(
                    f"{self._model}: a prompt of {len(ids)} tokens cannot be cut to {allowed}"
                )
            sorting.cut |= {
                position
                for position, old, new in zip(window, passages, shorter, strict=True)
                if old != new
            }
            passages = shorter
            ids = self._ids(query, passages)
        return ids

    def _answer_tokens(self, passages: int) -> int:
        """Return the tokens of an order of this number of passages and of the answer's end."""
        order = " > ".join(f"[{number}]" for number in range(1, passages + 1))
        return self._count([order])[0] + 1

    def _short_query(self, query: str) -> tuple[str, bool]:
        """Return the query within its share of the context, and whether it was cut for that."""
        (length,) = self._count([query])
        share = (self.limit or 0) // _QUERY_SHARE
        return _first_tokens(query, length, share), length > share

    def _shorter(self, passages: Sequence[str], excess: int) -> list[str]:
        """Return the passages without about this many tokens: the longest are cut down to a common
        length, in proportion to their characters.
        """
        lengths = self._count(passages)
        limit = level(lengths, sum(lengths) - excess)
        return [
            _first_tokens(text, length, limit)
            for text, length in zip(passages, lengths, strict=True)
        ]

    def _ids(self, query: str, passages: Sequence[str]) -> list[int]:
        messages = prompts.messages(self._options.prompt, query, passages, self._options.system)
        prompt = chat.render(self._tokenizer, messages, self._model)
        (ids,) = token_ids(self._tokenizer, [prompt])
        return ids

    def _count(self, texts: Sequence[str]) -> list[int]:
        return token_counts(self._tokenizer, texts)


def _first_tokens(text: str, length: int, limit: int) -> str:
    """Return about the first `limit` of a text's `length` tokens, in proportion to characters."""
    if length <= limit:
        return text
    return text[: len(text) * limit // length]


def level(lengths: Sequence[int], total: int) -> int:
    """Return the largest common limit at which these lengths sum up to at most `total`; 0 where
    even that is too much.
    """
    left = total
    for place, length in enumerate(sorted(lengths)):
        share = left // (len(lengths) - place)
        if length > share:
            return max(0, share)
        left -= length
    return max(lengths, default=0)
