"""Windows as the token ids that a model reads, made to fit into its context: the longest passages
give way first.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from bench.core.errors import RerankerError
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
                "beside the prompt; lower window"
            )

    def prompt(self, sorting: Sorting) -> list[int]:
        """The prompt of the query's present window; notes in `sorting` what was cut."""
        window = sorting.window
        query, passages = (
            self._harmless(sorting.query),
            [self._harmless(sorting.passages[position]) for position in window],
        )
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
        """Tokens of an order of so many passages and of the end of the answer."""
        written = " > ".join(f"[{number}]" for number in range(1, passages + 1))
        return self._count([written])[0] + 1

    def _short_query(self, query: str) -> tuple[str, bool]:
        """The query within its share of the context, and whether it had to be cut for that."""
        (length,), most = self._count([query]), self.limit // _QUERY_SHARE  # type: ignore[operator]
        return (query, False) if length <= most else (query[: len(query) * most // length], True)

    def _shorter(self, passages: Sequence[str], excess: int) -> list[str]:
        """The passages without this many tokens, about: the longest are cut down to a common
        length, in proportion to their characters.
        """
        lengths = self._count(passages)
        most = level(lengths, sum(lengths) - excess)
        return [
            text if length <= most else text[: len(text) * most // length]
            for text, length in zip(passages, lengths, strict=True)
        ]

    def _ids(self, query: str, passages: Sequence[str]) -> list[int]:
        messages = prompts.messages(self._options.prompt, query, passages, self._options.system)
        return chat.token_ids(
            self._tokenizer, [chat.render(self._tokenizer, messages, self._model)]
        )[0]

    def _count(self, texts: Sequence[str]) -> list[int]:
        return [len(ids) for ids in chat.token_ids(self._tokenizer, texts)]


def level(lengths: Sequence[int], total: int) -> int:
    """The largest common limit at which these lengths sum up to no more than `total`; 0 where even
    that is too much.
    """
    left = total
    for taken, length in enumerate(sorted(lengths)):
        share = left // (len(lengths) - taken)
        if length > share:
            return max(0, share)
        left -= length
    return max(lengths, default=0)
