"""Text pairs to token ids: once, without padding, the document alone shortened to fit.

The tokenizer's own core is called, which skips what a classifier does not need (character offsets, tensors): a quarter of the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Batch = dict[str, NDArray[np.int64]]
    Sequences = Sequence[Sequence[int]]

Pair = tuple[str, str]


@dataclass(frozen=True)
class Encoded:
    """Tokenised pairs. `lengths` are in tokens; of the pairs, `truncated` were cut, and `cut_queries` lost a part of their query too."""

    ids: Sequences
    types: Sequences | None
    lengths: NDArray[np.int64]
    truncated: int
    cut_queries: int


class _Tokens(NamedTuple):
    """One pair: token ids, which of its two texts each belongs to, and whether tokens were cut off."""

    ids: Sequence[int]
    types: Sequence[int]
    cut: bool


class PairTokeniser:
    """`limit` is the maximum length in tokens, None for no limit; `prompt` stands before every query."""

    def __init__(self, tokenizer: Any, limit: int | None, prompt: str = "") -> None:
        self._tokenizer = tokenizer
        self._core = getattr(tokenizer, "backend_tokenizer", None)  # tokenizers written in Python have none
        self.limit, self.prompt = limit, prompt
        self._typed = "token_type_ids" in tokenizer.model_input_names

    def encode(self, pairs: Sequence[Pair]) -> Encoded:
        """Every pair, in order. A query that leaves its document no room is cut as well: shortening documents would not do."""
        import numpy as np

        texts = [(f"{self.prompt}{query}", doc) for query, doc in pairs]
        too_long = self._queries_without_room({query for query, _ in texts})
        is_cut = [query in too_long for query, _ in texts]
        whole = iter(self._encode([text for text, cut in zip(texts, is_cut, strict=True) if not cut], "only_second"))
        shortened = iter(self._encode([text for text, cut in zip(texts, is_cut, strict=True) if cut], "longest_first"))
        found = [next(shortened if cut else whole) for cut in is_cut]
        ids = [one.ids for one in found]
        types = [one.types for one in found] if self._typed else None
        lengths = np.fromiter(map(len, ids), dtype=np.int64, count=len(ids))
        return Encoded(ids, types, lengths, sum(one.cut for one in found), sum(is_cut))

    def batch(self, encoded: Encoded, rows: NDArray[np.int64]) -> Batch:
        """The model's inputs for these rows, padded to the longest. Shapes: (len(rows), width)."""
        import numpy as np

        tokenizer = self._tokenizer
        lengths = encoded.lengths[rows, None]
        place = np.arange(int(lengths.max()))
        real = place >= len(place) - lengths if tokenizer.padding_side == "left" else place < lengths
        batch = {"input_ids": _filled(encoded.ids, rows, real, tokenizer.pad_token_id), "attention_mask": real.astype(np.int64)}
        if encoded.types is not None:
            batch["token_type_ids"] = _filled(encoded.types, rows, real, tokenizer.pad_token_type_id)
        return batch

    def _encode(self, texts: list[Pair], strategy: str) -> list[_Tokens]:
        if not texts:
            return []
        if self._core is None:
            how = {
                "truncation": strategy if self.limit else False,
                "max_length": self.limit,
                "return_token_type_ids": True,
                "verbose": False,
            }
            made = self._tokenizer([query for query, _ in texts], [doc for _, doc in texts], **how)
            every = zip(made["input_ids"], made["token_type_ids"], strict=True)
            return [_Tokens(ids, types, bool(self.limit) and len(ids) >= (self.limit or 0)) for ids, types in every]
        self._core.no_padding()
        if self.limit is None:
            self._core.no_truncation()
        else:
            self._core.enable_truncation(self.limit, strategy=strategy, direction=self._tokenizer.truncation_side)
        return [_Tokens(one.ids, one.type_ids, bool(one.overflowing)) for one in self._core.encode_batch_fast(texts)]

    def _queries_without_room(self, queries: set[str]) -> set[str]:
        """The queries after which not one token of a document fits."""
        if self.limit is None:
            return set()
        room = self.limit - self._tokenizer.num_special_tokens_to_add(pair=True)
        texts = sorted(queries)
        encoded = self._tokenizer(texts, add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
        return {text for text, tokens in zip(texts, encoded, strict=True) if len(tokens) >= room}


def _filled(sequences: Sequences, rows: NDArray[np.int64], real: NDArray[np.bool_], padding: int) -> NDArray[np.int64]:
    """The sequences of these rows, put where `real` is true, and padding elsewhere."""
    import numpy as np

    array = np.full(real.shape, padding, dtype=np.int64)
    array[real] = np.concatenate([sequences[i] for i in rows.tolist()])
    return array
