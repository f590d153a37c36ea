"""Text pairs to token ids: once, without padding, the document shortened to fit, and the query
where it would starve the document.

The tokenizer's own core is called, which skips what a classifier does not need (character offsets,
tensors): a quarter of the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.models import packing
from bench.models.token_ids import token_counts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Batch = dict[str, NDArray[np.int64]]
    Sequences = Sequence[Sequence[int]]

Pair = tuple[str, str]

DOCUMENT_SHARE = 4
"""One part in four of a pair's tokens is the document's, or as much as it has: a longer query is
cut.

Without it, a query just below the limit leaves one token of every document, and documents that
begin alike tie.
"""


def document_tokens(room: int, query: int, document: int) -> int:
    """Return how many of its tokens a document keeps where `room` is for it and its query.

    The query keeps the rest. All are counts of tokens. A pair that fits is kept as it is.
    """
    return min(document, max(room - query, room // DOCUMENT_SHARE))


def with_room_for_documents(
    tokenizer: Any, pairs: Sequence[Pair], room: int
) -> tuple[list[Pair], int]:
    """Return the pairs with their long queries shortened, and how many were: for what a library
    tokenises and cuts from the end.

    `room` is what a query and its document may have, in tokens.
    """
    queries = sorted({query for query, _ in pairs})
    docs = [doc for _, doc in pairs]
    of_query = dict(zip(queries, token_counts(tokenizer, queries), strict=True))
    fitted, cut_queries = [], 0
    for (query, doc), length in zip(pairs, token_counts(tokenizer, docs), strict=True):
        share = room - document_tokens(room, of_query[query], length)
        short, tokens = query, of_query[query]
        while tokens > share:
            short = short[: len(short) * share // tokens]
            (tokens,) = token_counts(tokenizer, [short])
        cut_queries += short is not query
        fitted.append((short, doc))
    return fitted, cut_queries


@dataclass(frozen=True)
class Encoded:
    """Tokenised pairs. `lengths` are in tokens; of the pairs, `truncated` were cut, and
    `cut_queries` lost a part of their query too.
    """

    ids: Sequences
    types: Sequences | None
    lengths: NDArray[np.int64]
    truncated: int
    cut_queries: int


class _Tokens(NamedTuple):
    """One pair: token ids, which of its two texts each belongs to, and whether tokens were cut off,
    also from the query.
    """

    ids: Sequence[int]
    types: Sequence[int]
    cut: bool
    query_cut: bool = False


class PairTokeniser:
    """`limit` is the maximum length in tokens, None for no limit; `prompt` comes before every
    query.
    """

    def __init__(self, tokenizer: Any, limit: int | None, prompt: str = "") -> None:
        self._tokenizer = tokenizer
        # tokenizers written in Python have none
        self._core: Any = getattr(tokenizer, "backend_tokenizer", None)
        self.limit, self.prompt = limit, prompt
        self._typed = "token_type_ids" in tokenizer.model_input_names

    def encode(self, pairs: Sequence[Pair]) -> Encoded:
        """Return every pair, in order. A query that would leave its document less than its share is
        cut too.
        """
        import numpy as np

        texts = [(f"{self.prompt}{query}", doc) for query, doc in pairs]
        long_queries = self._long_queries({query for query, _ in texts})
        is_long = [query in long_queries for query, _ in texts]
        plain = [text for text, long in zip(texts, is_long, strict=True) if not long]
        shared = [text for text, long in zip(texts, is_long, strict=True) if long]
        encoded = {False: iter(self._encode(plain)), True: iter(self._encode_shared(shared))}
        tokens = [next(encoded[long]) for long in is_long]
        ids = [pair.ids for pair in tokens]
        types = None
        if self._typed:
            types = [pair.types for pair in tokens]
        lengths = np.fromiter(map(len, ids), dtype=np.int64, count=len(ids))
        truncated = sum(pair.cut for pair in tokens)
        return Encoded(ids, types, lengths, truncated, sum(pair.query_cut for pair in tokens))

    def made(self, lengths: NDArray[np.int64]) -> Encoded:
        """Return pairs of these lengths, in tokens, that no text was cut into: what is in them
        decides no speed.
        """
        token = self._tokenizer.unk_token_id or 0
        ids = [[token] * length for length in lengths.tolist()]
        types = None
        if self._typed:
            types = [[0] * len(row) for row in ids]
        return Encoded(ids, types, lengths, truncated=0, cut_queries=0)

    def batch(self, encoded: Encoded, rows: NDArray[np.int64]) -> Batch:
        """Return the inputs for these rows, padded to the longest. Shapes: (len(rows), width)."""
        import numpy as np

        tokenizer = self._tokenizer
        lengths = encoded.lengths[rows, None]
        place = np.arange(int(lengths.max()))
        if tokenizer.padding_side == "left":
            real = place >= len(place) - lengths
        else:
            real = place < lengths
        batch = {
            "input_ids": _filled(encoded.ids, rows, real, tokenizer.pad_token_id),
            "attention_mask": real.astype(np.int64),
        }
        if encoded.types is not None:
            batch["token_type_ids"] = _filled(
                encoded.types, rows, real, tokenizer.pad_token_type_id
            )
        return batch

    def packed(self, encoded: Encoded, rows: NDArray[np.int64], first_position: int) -> Batch:
        """Return the inputs for these rows end to end, without padding."""
        types = None
        if encoded.types is not None:
            types = _end_to_end(encoded.types, rows)
        ids = _end_to_end(encoded.ids, rows)
        return packing.pack(encoded.lengths[rows], ids, types, first_position)

    def _encode(self, texts: list[Pair]) -> list[_Tokens]:
        """Return the tokens of pairs that lose tokens of the document alone."""
        if not texts:
            return []
        if self._core is None:
            encoded = self._tokenizer(
                [query for query, _ in texts],
                [doc for _, doc in texts],
                truncation="only_second" if self.limit else False,
                max_length=self.limit,
                return_token_type_ids=True,
                verbose=False,
            )
            rows = zip(encoded["input_ids"], encoded["token_type_ids"], strict=True)
            return [
                _Tokens(ids, types, bool(self.limit) and len(ids) >= (self.limit or 0))
                for ids, types in rows
            ]
        self._core.no_padding()
        if self.limit is None:
            self._core.no_truncation()
        else:
            side = self._tokenizer.truncation_side
            self._core.enable_truncation(self.limit, strategy="only_second", direction=side)
        encodings = self._core.encode_batch_fast(texts)
        return [_Tokens(pair.ids, pair.type_ids, bool(pair.overflowing)) for pair in encodings]

    def _encode_shared(self, texts: list[Pair]) -> list[_Tokens]:
        """Return the tokens of pairs whose query is so long that the document needs its share."""
        if self._core is None:
            short, _ = with_room_for_documents(self._tokenizer, texts, self._room)
            was_cut = [
                before is not after for (before, _), (after, _) in zip(texts, short, strict=True)
            ]
            encoded = self._encode(short)
            return [
                pair._replace(cut=pair.cut or cut, query_cut=cut)
                for pair, cut in zip(encoded, was_cut, strict=True)
            ]
        self._core.no_padding()
        self._core.no_truncation()
        return [self._shared(query, doc) for query, doc in texts]

    def _shared(self, query: str, doc: str) -> _Tokens:
        side = self._tokenizer.truncation_side
        parts = [self._core.encode(text, add_special_tokens=False) for text in (query, doc)]
        lengths = [len(part.ids) for part in parts]
        of_document = document_tokens(self._room, *lengths)
        of_query = min(lengths[0], self._room - of_document)
        query_cut = lengths[0] > of_query
        parts[0].truncate(of_query, direction=side)
        parts[1].truncate(of_document, direction=side)
        pair = self._core.post_process(*parts)
        return _Tokens(pair.ids, pair.type_ids, query_cut or lengths[1] > of_document, query_cut)

    @property
    def _room(self) -> int:
        """Tokens of a query and a document together, without the special ones."""
        return (self.limit or 0) - int(self._tokenizer.num_special_tokens_to_add(pair=True))

    def _long_queries(self, queries: set[str]) -> set[str]:
        """Return the queries that leave less than a document's share of the room."""
        if self.limit is None:
            return set()
        share = self._room - self._room // DOCUMENT_SHARE
        texts = sorted(queries)
        return {
            text
            for text, length in zip(texts, token_counts(self._tokenizer, texts), strict=True)
            if length > share
        }


def _filled(
    sequences: Sequences, rows: NDArray[np.int64], real: NDArray[np.bool_], padding: int
) -> NDArray[np.int64]:
    """Return the sequences of these rows, put where `real` is true, and padding elsewhere."""
    import numpy as np

    array = np.full(real.shape, padding, dtype=np.int64)
    array[real] = _end_to_end(sequences, rows)
    return array


def _end_to_end(sequences: Sequences, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the numbers of these rows' sequences, one after the other."""
    import numpy as np

    return np.fromiter(chain.from_iterable(sequences[row] for row in rows.tolist()), dtype=np.int64)
