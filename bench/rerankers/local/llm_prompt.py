"""What a yes/no language model reads: the published inputs piece by piece, and the pieces of a pair
as token ids within a limit.

`qwen3-reranker`  Zhang et al., "Qwen3 Embedding" (2025, arXiv:2506.05176);
https://huggingface.co/Qwen/Qwen3-Reranker-0.6B `bge-gemma`
https://huggingface.co/BAAI/bge-reranker-v2-gemma; FlagEmbedding,
inference/reranker/decoder_only/base.py `chat`            any model that follows instructions, in
its own chat template: the relevance generation of Liang et al., "Holistic
                  Evaluation of Language Models" (2022, arXiv:2211.09110), without their examples
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from bench.core.errors import RerankerError
from bench.models.token_ids import token_ids
from bench.rerankers.local.chat import harmless, render, require_template
from bench.rerankers.local.pairs import document_tokens

QUERY, DOCUMENT, INSTRUCTION = "{query}", "{document}", "{instruction}"
_PLACE = re.compile(f"{re.escape(QUERY)}|{re.escape(INSTRUCTION)}")


@dataclass(frozen=True)
class Template:
    """`pieces` are tokenised one by one and put end to end. One of them ends with the document, of
    which what is too much can be cut off there. `no` is None where the score is the logit of `yes`
    alone.
    """

    pieces: tuple[str, ...]
    instruction: str
    yes: str
    no: str | None


TEMPLATES: Mapping[str, Template] = {
    "qwen3-reranker": Template(
        (
            "<|im_start|>system\nJudge whether the Document meets the requirements based on the "
            "Query and the Instruct provided. Note that "
            'the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n',
            "<Instruct>: {instruction}\n<Query>: {query}\n<Document>: {document}",
            "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
        ),
        instruction="Given a web search query, retrieve relevant passages that answer the query",
        yes="yes",
        no="no",
    ),
    "bge-gemma": Template(
        ("A: {query}", "\n", "B: {document}", "\n", "{instruction}"),
        instruction="Given a query A and a passage B, determine whether the passage contains an "
        "answer to the query by providing a "
        "prediction of either 'Yes' or 'No'.",
        yes="Yes",
        no=None,
    ),
    "chat": Template(
        (
            "{instruction}\n\nPassage: {document}",
            "\nQuery: {query}\nDoes the passage answer the query?",
        ),
        instruction="Given a passage and a query, predict whether the passage includes an answer "
        "to the query by producing either `Yes` or "
        "`No`.",
        yes="Yes",
        no="No",
    ),
}


def check(pieces: Sequence[str]) -> None:
    """Raise ValueError for pieces that no pair could be written with."""
    text = "".join(pieces)
    if text.count(QUERY) != 1 or text.count(DOCUMENT) != 1:
        raise ValueError("its pieces must hold {query} once and {document} once")
    if not any(piece.endswith(DOCUMENT) for piece in pieces):
        raise ValueError(
            "the piece with {document} must end with it, so that a long document is cut and what "
            "follows it is not"
        )


def in_chat(tokenizer: Any, pieces: Sequence[str], model: str) -> tuple[str, ...]:
    """Return the pieces as one message in the model's chat template. Raises RerankerError for a
    model without a usable one.
    """
    require_template(tokenizer, model)
    text = render(tokenizer, [{"role": "user", "content": "".join(pieces)}], model)
    head, _, tail = text.partition(DOCUMENT)
    return head + DOCUMENT, tail


class Writer:
    """Writes pairs as token ids, never more than `limit`; None is no limit.

    A pair that does not fit loses tokens from the end of its document. A query that would leave the
    document less than its share is cut, too, and counted. Tokens such as <|im_end|> within a query
    or a document are taken apart.
    """

    def __init__(
        self,
        tokenizer: Any,
        pieces: Sequence[str],
        instruction: str,
        limit: int | None,
        model: str,
        *,
        is_chat: bool = False,
    ) -> None:
        """`is_chat` says that the pieces are the whole of the input, with the token that begins
        one. Raises RerankerError when the template alone fills the limit.
        """
        self.limit = limit
        self._tokenizer = tokenizer
        self._harmless = harmless(tokenizer)
        self._instruction = instruction
        at = next(i for i, piece in enumerate(pieces) if piece.endswith(DOCUMENT))
        self._before, self._after = pieces[:at], pieces[at + 1 :]
        self._head = pieces[at].removesuffix(DOCUMENT)
        self._start: list[int] = []
        if not is_chat:
            self._start = _start(tokenizer)
        if limit is not None and sum(map(len, self._around(""))) + 2 > limit:
            raise RerankerError(
                f"{model}: max_length {limit} leaves a query and a document no room next to the "
                "template"
            )

    def write(self, pairs: Sequence[tuple[str, str]]) -> tuple[list[list[int]], int, int]:
        """Return the token ids of each pair, how many pairs were cut, and in how many of them the
        query was cut too.
        """
        queries = {query: self._harmless(query) for query in sorted({query for query, _ in pairs})}
        around = {query: self._around(text) for query, text in queries.items()}
        docs = [self._harmless(doc) for _, doc in pairs]
        bodies = self._ids(
            [
                self._filled(self._head, queries[query]) + doc
                for (query, _), doc in zip(pairs, docs, strict=True)
            ]
        )
        inputs: list[list[int]] = []
        truncated = cut_queries = 0
        for (query, _), doc, body in zip(pairs, docs, bodies, strict=True):
            before, head, after = around[query]
            if self.limit is not None and len(before) + len(body) + len(after) > self.limit:
                truncated += 1
                used = len(before) + len(head) + len(after)
                share = self._document_tokens(used, len(body) - len(head), queries[query])
                if used + share > self.limit:
                    cut_queries += 1
                    before, body, after = self._with_short_query(queries[query], share, doc)
                body = body[: self.limit - len(before) - len(after)]
            inputs.append(before + body + after)
        return inputs, truncated, cut_queries

    def _around(self, query: str) -> tuple[list[int], list[int], list[int]]:
        """Return the token ids before the document's piece, of that piece without a document, and
        after it.
        """
        before = self._ids([self._filled(piece, query) for piece in self._before])
        (head,) = self._ids([self._filled(self._head, query)])
        after = self._ids([self._filled(piece, query) for piece in self._after])
        return [*self._start, *chain.from_iterable(before)], head, list(chain.from_iterable(after))

    def _document_tokens(self, used: int, document: int, query: str) -> int:
        """Return how many of its tokens a document keeps; `used` counts all others of the input,
        the query's among them.
        """
        (length,) = map(len, self._ids([query]))
        return document_tokens((self.limit or 0) - (used - length), length, document)

    def _with_short_query(
        self, query: str, share: int, doc: str
    ) -> tuple[list[int], list[int], list[int]]:
        """Return the three parts of an input, with the document, whose query leaves room for
        `share` tokens of it.
        """
        room = (self.limit or 0) - share
        short = query
        while sum(map(len, self._around(short))) > room and short:
            (length,) = map(len, self._ids([short]))
            excess = sum(map(len, self._around(short))) - room
            short = short[: max(0, len(short) * (length - excess) // max(length, 1))]
        before, _, after = self._around(short)
        (body,) = self._ids([self._filled(self._head, short) + doc])
        return before, body, after

    def _filled(self, piece: str, query: str) -> str:
        """Return a piece with query and instruction in their places, at once: what these texts hold
        is no place.
        """
        values = {QUERY: query, INSTRUCTION: self._instruction}
        return _PLACE.sub(lambda match: values[match.group()], piece)

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        return token_ids(self._tokenizer, texts)


def _start(tokenizer: Any) -> list[int]:
    """Return the token that the tokenizer puts before every text, if any."""
    ids: list[int] = tokenizer("a", return_attention_mask=False)["input_ids"]
    return [token for token in ids[:1] if token == tokenizer.bos_token_id]
