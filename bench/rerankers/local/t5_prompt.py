"""A pair as the token ids that a T5 reads, never longer than its limit, the query and the end of
the prompt kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.core.errors import RerankerError
from bench.models.token_ids import token_ids
from bench.rerankers.local.pairs import document_tokens

_FORM = re.compile(r"(?P<before>.*)\{query\}(?P<between>.*)\{document\}(?P<after>.*)", re.DOTALL)


@dataclass(frozen=True)
class Prompt:
    """A template in three pieces: what comes before the query, between query and document, and
    after the document.
    """

    before: str
    between: str
    after: str

    @classmethod
    def parse(cls, template: str) -> Prompt:
        """Raises ValueError unless {query} and {document} are in it once each, in this order."""
        match = _FORM.fullmatch(template)
        if match is None or template.count("{query}") != 1 or template.count("{document}") != 1:
            raise ValueError("must hold {query} once and, after it, {document} once")
        return cls(**match.groupdict())


class Writer:
    """Fills a prompt and tokenises it. An input that fits is exactly what the tokenizer makes of
    the whole text.

    One that does not fit loses tokens from the end of its document. A query that would leave the
    document less than its share is cut, too, and counted.
    """

    def __init__(self, tokenizer: Any, prompt: Prompt, limit: int, model: str) -> None:
        """Raises RerankerError when the prompt alone fills the `limit` (tokens, those that end the
        prompt included).
        """
        self.limit = limit
        self._tokenizer = tokenizer
        self._prompt = prompt
        (self._tail,) = self._ids([prompt.after], ends=True)
        self._room = limit - len(self._tail)
        (fixed,) = self._ids([f"{prompt.before} {prompt.between}"])
        self._fixed = len(fixed)
        if self._room < self._fixed + 2:
            raise RerankerError(
                f"{model}: max_length {limit} leaves a query and a document no room next to the "
                "prompt"
            )

    def write(self, pairs: Sequence[tuple[str, str]]) -> tuple[list[list[int]], int, int]:
        """Return the token ids of each pair, how many pairs were cut, and in how many of them the
        query was cut too.
        """
        before, between, after = self._prompt.before, self._prompt.between, self._prompt.after
        inputs = self._ids(
            [f"{before}{query}{between}{doc}{after}" for query, doc in pairs], ends=True
        )
        long = [i for i, ids in enumerate(inputs) if len(ids) > self.limit]
        queries = sorted({pairs[i][0] for i in long})
        heads = dict(
            zip(queries, self._ids([f"{before}{query}{between}" for query in queries]), strict=True)
        )
        cut_queries = 0
        for i in long:
            query, doc = pairs[i]
            used = len(heads[query])
            share = self._document_tokens(used, len(inputs[i]) - used - len(self._tail))
            if used + share <= self._room:
                inputs[i] = inputs[i][: self._room] + self._tail
            else:
                inputs[i] = self._shared(query, doc, share)
                cut_queries += 1
        return inputs, len(long), cut_queries

    def _document_tokens(self, used: int, document: int) -> int:
        """Return how many of its tokens a document keeps; `used` counts the prompt's before it and
        the query's.
        """
        room = self._room - self._fixed
        return document_tokens(room, used - self._fixed, document)

    def _shared(self, query: str, doc: str, share: int) -> list[int]:
        head, rest, between = self._ids(
            [f"{self._prompt.before}{query}", f"{self._prompt.between}{doc}", self._prompt.between]
        )
        rest = rest[: len(between) + share]
        return head[: self._room - len(rest)] + rest + self._tail

    def _ids(self, texts: list[str], *, ends: bool = False) -> list[list[int]]:
        """Return the token ids of texts; `ends` adds the token that ends an input."""
        return token_ids(self._tokenizer, texts, special_tokens=ends)
