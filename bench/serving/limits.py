"""What one request may ask for, so that none takes the memory or the time of all others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.core.counting import counted
from bench.serving.problem import Problem

_CHARACTERS_PER_TOKEN = 4
"""A rule of thumb for English; tokens are estimated, since counting them is the work that is
bounded.
"""


@dataclass(frozen=True)
class Limits:
    """`characters` are of one text; `tokens` of all pairs of a request, each cut to the model's own
    length, estimated from characters; `searched` are the characters of a query to search for, each
    word of which is looked up in the whole collection.
    """

    body_bytes: int = 16 * 2**20
    documents: int = 1000
    characters: int = 2**20
    tokens: int = 2**19
    searched: int = 2**16

    def check_texts(self, texts: Sequence[str], name: str) -> None:
        """Raises Problem for a text that is too long, or that no tokenizer can read."""
        for text in texts:
            if len(text) > self.characters:
                raise Problem(
                    413,
                    f"'{name}' has a text of {counted(len(text), 'character')}; at most "
                    f"{self.characters:,}",
                )
            if not text.isascii():
                _check_unicode(text, name)

    def check_searched(self, query: str) -> None:
        """Raises Problem for a query that is too long to search for."""
        if len(query) > self.searched:
            raise Problem(
                413,
                f"'query' has {counted(len(query), 'character')}; at most {self.searched:,} are "
                "searched for",
            )

    def check_pairs(self, query: str, documents: Sequence[str], max_length: int | None) -> None:
        """Raises Problem for pairs that hold too many tokens together. `max_length` is what the
        model cuts a pair to, if it does.
        """
        longest = math.inf if max_length is None else max_length
        lengths = (
            1 + (len(query) + len(document)) // _CHARACTERS_PER_TOKEN for document in documents
        )
        tokens = int(sum(min(length, longest) for length in lengths))
        if tokens > self.tokens:
            size = f"about {counted(tokens, 'token')} in {counted(len(documents), 'pair')}"
            raise Problem(
                413, f"{size}; at most {self.tokens:,} in a request: send fewer documents"
            )


def _check_unicode(text: str, name: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Problem(
            400, f"'{name}' holds half a character (a lone surrogate) at place {error.start}"
        ) from None
