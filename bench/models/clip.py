"""Long texts, cut before they are tokenised: a document of 8 MB costs what its first pages cost.

A model reads `limit` tokens of a text. The tokenizers in use decide about a word by that word and
its neighbours, so that a prefix which has some more than `limit` tokens begins with the same
`limit` tokens as the whole. Whether a prefix has them is counted, not guessed: where it has not (a
page of blanks, one endless word), a longer one is tried, and at last the whole.

A query is cut in the same way. Where a prompt shortens a query by characters (`llm`, chat
templates), one that is itself longer than this may end a few words elsewhere than the whole query
would have.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.models.token_ids import token_counts

CHARACTERS_PER_TOKEN = 8
"""A text of at most this number of characters per token of the limit is left alone. English has
some 4.5.
"""
SPARE_CHARACTERS = 1024
"""As many are left alone under the shortest limit."""
SPARE_TOKENS = 128
"""By how many tokens a prefix must be too long: those next to the cut may differ from the whole
text's. WordPiece takes a word of more than 100 letters for one unknown token, and its beginning for
up to 100.
"""
GROWTH = 4
"""The next prefix is this many times as long."""


class Clip:
    """Cuts what a tokenizer would cut off in any case. `limit` is in tokens, None for a model
    without one.
    """

    def __init__(self, tokenizer: Any, limit: int | None) -> None:
        self._tokenizer = tokenizer
        self._limit = limit
        if getattr(tokenizer, "truncation_side", "right") != "right":
            # what it cuts off at the beginning no prefix shows
            self._limit = None

    def __call__(self, text: str) -> str:
        """Return the text, or a prefix of it of which the model reads the same tokens."""
        if self._limit is None:
            return text
        size = self._limit * CHARACTERS_PER_TOKEN + SPARE_CHARACTERS
        while len(text) > size:
            prefix = _up_to_a_space(text, size)
            (tokens,) = token_counts(self._tokenizer, [prefix])
            if tokens >= self._limit + SPARE_TOKENS:
                return prefix
            size *= GROWTH
        return text

    def texts(self, texts: Sequence[str]) -> list[str]:
        """Return every text, cut, in order."""
        return [self(text) for text in texts]

    def pairs(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return pairs with both texts cut; a query that many pairs share is cut once."""
        queries = {query: self(query) for query in dict.fromkeys(query for query, _ in pairs)}
        return [(queries[query], self(doc)) for query, doc in pairs]


def _up_to_a_space(text: str, size: int) -> str:
    """Return the first `size` characters, or as many fewer as end them between two words, where a
    space is near.
    """
    for end in range(size, size - size // GROWTH, -1):
        if text[end - 1].isspace():
            return text[: end - 1]
    return text[:size]
