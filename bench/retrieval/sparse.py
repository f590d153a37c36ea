"""Learned sparse retrieval: terms and their weights by one encoder, such as SPLADE or one that
needs no inference for queries.

A document scores the sum of its weights times the query's, over the terms that both have. Method:
Formal et al., "SPLADE" (SIGIR 2021); through sentence-transformers' SparseEncoder.
"""

from __future__ import annotations

from typing import Any, ClassVar

from bench.contract.candidates import Source
from bench.models.text_encoder import Encoded
from bench.retrieval.encoded import EncodedFirstStage
from bench.retrieval.encoded_options import SparseOptions
from bench.retrieval.sparse_index import SparseBlock, SparseIndex, join
from bench.retrieval.vectors import Join, Store


class Sparse(EncodedFirstStage):
    """The best documents by the product of sparse vectors; those that score 0 are no candidates."""

    meaning = "a learned sparse encoder, such as SPLADE"
    Options: ClassVar[type[SparseOptions]] = SparseOptions
    backend = "sparse"
    library_class = "SparseEncoder"
    entries = "postings"

    options: SparseOptions

    def _encoder_options(self) -> dict[str, Any]:
        return {"convert_to_tensor": True, "convert_to_sparse_tensor": True, "save_to_cpu": True}

    def _join(self) -> Join:
        return join

    def _block(self, encoded: Encoded) -> SparseBlock:
        return SparseBlock.of(encoded)

    def _query_block(self, encoded: Encoded) -> Any:
        return self._block(encoded).matrix

    def _searcher(self, store: Store, source: Source) -> SparseIndex:
        return SparseIndex(store)
