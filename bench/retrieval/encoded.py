"""What first stages share that search embeddings of the documents: the encoder, the store of what
it made of the collection, and queries that are encoded in the call that searches.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Protocol

from bench.contract.candidates import Candidates, QueryCandidates, Source
from bench.contract.identity import Fields
from bench.contract.index_facts import Entries, IndexFacts
from bench.contract.meter import Meter
from bench.contract.recipe import Recipe
from bench.contract.requirement import Requirement
from bench.core.cache_dir import cache_dir
from bench.core.errors import RerankerError
from bench.core.note import Code, Note, Notes, note
from bench.core.plugins import name_of
from bench.datasets.base import Dataset, content_hash
from bench.datasets.leaks import refuse_measured
from bench.models import headers, seen_queries, sentence_transformer, tiny
from bench.models.batches import LIBRARY_PAIRS, Limit
from bench.models.text_encoder import Encoded, TextEncoder
from bench.models.weights import Weights
from bench.retrieval.base import BaseFirstStage
from bench.retrieval.encoded_options import EncodedOptions
from bench.retrieval.own_document import add_short_lists
from bench.retrieval.vectors import Block, Elsewhere, Embedding, Extra, Join, Store

ENCODE = "encode"
"""What the span of the query's encoding is called."""
SEARCH = "search"
"""What the span of the search is called."""
QUERY_ONLY = ("query_prompt",)
"""Fields of the source that decide no document's embedding."""


class Searcher(Protocol):
    """An index of embeddings."""

    @property
    def extra(self) -> Extra:
        """What it takes next to the store."""

    def search(self, queries: Any, depth: int) -> list[QueryCandidates]:
        """Return the best documents of each query."""


@dataclass(frozen=True)
class Opened:
    """The store of one collection, what searches it, and how the candidates are made."""

    dataset: Dataset
    source: Source
    encoder: TextEncoder
    store: Store
    searcher: Searcher
    built: IndexFacts
    notes: tuple[Note, ...]


class EncodedFirstStage(BaseFirstStage):
    """Documents are encoded once per collection and encoder; equal scores are ordered by doc_id,
    descending.
    """

    backend: ClassVar[str]
    library_class: ClassVar[str]
    entries: ClassVar[Entries]
    query_only: ClassVar[tuple[str, ...]] = QUERY_ONLY

    options: EncodedOptions

    def __init__(self, options: EncodedOptions, base_dir: Path) -> None:
        path = base_dir / options.model
        if not Path(options.model).is_absolute() and path.exists():
            options = options.model_copy(update={"model": str(path.resolve())})
        super().__init__(options, base_dir)
        self.weights = Weights(options.model, options.revision)
        self.limit = Limit(pairs=options.batch_size or LIBRARY_PAIRS)
        self._opened: Opened | None = None
        self._alone: TextEncoder | None = None
        """The encoder without a collection."""

    def requirements(self) -> Sequence[Requirement]:
        return sentence_transformer.requirements(self.options, self.weights, self.device)

    def spans(self) -> list[str]:
        return [ENCODE, SEARCH]

    def check(self, dataset: Dataset | None, depth: int) -> Candidates | None:
        """Raise Unavailable for what is missing, RerankerError for files that cannot be used."""
        super().check(dataset, depth)
        folder = self.weights.unnamed_folder()
        if folder is not None:
            config = headers.config(self.options.model, folder)
            if config is not None and not self.options.trust_remote_code:
                headers.refuse_unknown_kind(self.options.model, config)
        return None

    def check_over(self, dataset: Dataset) -> None:
        """Raise DataError where a recipe has trained the encoder on what is measured."""
        for seen in seen_queries.seen_by(self.weights):
            refuse_measured(seen, dataset)

    def load(self, dataset: Dataset) -> None:
        """Load the encoder, and open the store or make it."""
        self._open(dataset)

    def retrieve(self, dataset: Dataset, query_ids: Sequence[str], depth: int) -> Candidates:
        opened = self._open(dataset)
        texts = [dataset.queries[query_id] for query_id in query_ids]
        rankings: list[QueryCandidates] = []
        built = opened.built
        notes: list[Note] = []
        if texts:
            queries = self._queries(opened, texts)
            rankings = opened.searcher.search(queries, depth)
            built, notes = self._measured(opened, queries, rankings, depth)
        by_query = dict(zip(query_ids, rankings, strict=True))
        counted = Notes()
        if tiny.is_tiny(self.options.model):
            counted.add(Code.RANDOM_WEIGHTS, 1)
        add_short_lists(counted, rankings, dataset, depth, self.backend)
        warnings = (*opened.notes, *notes, *counted.all())
        return Candidates(by_query, depth, opened.source, warnings, built)

    def search(self, dataset: Dataset, query_id: str, depth: int) -> QueryCandidates:
        opened = self._open(dataset)
        with self.meter.span(ENCODE):
            queries = self._queries(opened, [dataset.queries[query_id]])
        with self.meter.span(SEARCH):
            (ranking,) = opened.searcher.search(queries, depth)
        return ranking

    def close(self) -> None:
        if self._opened is not None:
            self._opened.store.close()
            self._opened = None
            sentence_transformer.free(self.device)

    @abstractmethod
    def _join(self) -> Join:
        """Return what puts the parts of a store together."""

    @abstractmethod
    def _block(self, encoded: Encoded) -> Block:
        """Return the embeddings of documents as the store holds them."""

    @abstractmethod
    def _query_block(self, encoded: Encoded) -> Any:
        """Return the embeddings of queries as the search takes them, a row per text."""

    @abstractmethod
    def _searcher(self, store: Store, source: Source) -> Searcher:
        """Return what searches a store."""

    def _encoder_options(self) -> dict[str, Any]:
        """Return further arguments of the library's `encode`."""
        return {}

    def _measured(
        self,
        opened: Opened,
        queries: Any,
        rankings: Sequence[QueryCandidates],
        depth: int,
    ) -> tuple[IndexFacts, list[Note]]:
        """Return the facts of the index, and what is known of it by these queries, one or more,
        which are encoded.
        """
        return opened.built, []

    def _queries(self, opened: Opened, texts: Sequence[str]) -> Any:
        return self._query_block(opened.encoder.queries(texts))

    def _open(self, dataset: Dataset) -> Opened:
        """Return the store of a collection: the one at hand, else that of the cache, else a new
        one.
        """
        if self._opened is not None and self._opened.dataset is dataset:
            return self._opened
        self.close()
        encoder = self._encoder()
        source = self._source(dataset)
        store, notes = self._store(dataset, encoder, source)
        if store.cut:
            distinct = len(set(store.rows.tolist()))
            notes.append(note(Code.CUT_DOCUMENTS, store.cut, distinct))
        searcher = self._searcher(store, source)
        built = self._facts(store, searcher)
        self._opened = Opened(dataset, source, encoder, store, searcher, built, tuple(notes))
        return self._opened

    def _encoder(self) -> TextEncoder:
        """Return the encoder, loaded. Its work is one span: nobody reads its own meter."""
        unread = Meter()
        return TextEncoder(
            self.library_class,
            self.options,
            self.weights,
            self.device,
            self.limit,
            lambda: unread,
            **self._encoder_options(),
        )

    def _store(
        self, dataset: Dataset, encoder: TextEncoder, source: Source
    ) -> tuple[Store, list[Note]]:
        def encode(texts: Sequence[str]) -> tuple[Block, int]:
            return self._documents(encoder, texts)

        label = f"encoding with {self.weights.label}"
        embedding = Embedding(
            dataset, encode, self._join(), label, self.observer, elsewhere=self._elsewhere()
        )
        return embedding.store(self._folder(source))

    def _documents(self, encoder: TextEncoder, texts: Sequence[str]) -> tuple[Block, int]:
        """Return the embeddings of documents, and how many of these could be read in part only."""
        encoded = encoder.documents(texts)
        return self._block(encoded), len(encoded.cut)

    def _elsewhere(self) -> Elsewhere | None:
        """Return what has texts encoded by others; None where this process encodes them."""
        if self.encoder is None:
            return None
        options = self.options.model_dump(mode="json", exclude_unset=True)
        recipe = Recipe(name_of(type(self)), options, str(self.base_dir), self.device)
        return partial(self.encoder.encode, recipe, self._decided_by())

    def load_encoder(self) -> Fields:
        self._alone = self._encoder()
        return self._decided_by()

    def encode_into(self, texts: Sequence[str], folder: Path) -> int:
        if self._alone is None:
            raise RerankerError("the encoder has not loaded")
        block, cut = self._documents(self._alone, texts)
        block.save(folder)
        return cut

    def _facts(self, store: Store, searcher: Searcher) -> IndexFacts:
        return IndexFacts(
            kind=self.entries,
            documents=len(store.doc_ids),
            entries=store.entries,
            bytes=store.bytes + searcher.extra.bytes,
            seconds=store.seconds + searcher.extra.seconds,
            opened=store.opened and searcher.extra.opened,
        )

    def _folder(self, source: Source) -> Path | None:
        """Return the folder of the cache for what decides the documents' embeddings; None where the
        collection has no hash to know it by.
        """
        if source["corpus_hash"] is None:
            return None
        fields = {name: value for name, value in source.items() if name not in self.query_only}
        return cache_dir("vectors", content_hash([(json.dumps(fields, sort_keys=True),)]))

    def _source(self, dataset: Dataset) -> Source:
        """Return everything that decides the candidates: what is recorded is what the cache is
        keyed by.
        """
        fields = {name: value for name, value in self._decided_by().items() if name != "backend"}
        return {
            "first_stage": self.backend,
            **fields,
            "document": dataset.template,
            "corpus_hash": dataset.identity.get("corpus_hash"),
        }

    def _decided_by(self) -> Fields:
        """Return what decides the embedding of a text."""
        identity = sentence_transformer.identity(
            self.backend, self.options, self.weights.checkpoint(), self.device
        )
        return identity.fingerprint()
