"""BM25 over the whole collection: the first stage that needs nothing but the texts.

Scores by bm25s (Lù 2024), eager sparse scoring of the variants that Kamphuis et al. (ECIR 2020)
compare; stems by PyStemmer. Every parameter is explicit and recorded, since libraries differ in
their defaults. A query's repeated terms count as often as they occur.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from bench.contract.candidates import Candidates, QueryCandidates, Source
from bench.core.cache_dir import cache_dir
from bench.core.errors import DataError
from bench.core.note import Code, Note, Notes, note
from bench.core.options import at_default, deciding, decision
from bench.core.printable import quoted
from bench.core.version import version_of
from bench.core.words import unserved_script
from bench.datasets.base import Dataset, content_hash
from bench.retrieval.base import BaseFirstStage
from bench.retrieval.languages import LATIN, SPOKEN, codes_of
from bench.retrieval.options import BM25Options
from bench.retrieval.own_document import add_short_lists

if TYPE_CHECKING:
    from bench.retrieval.bm25_index import Analyzer, Index


@dataclass(frozen=True)
class Opened:
    """The index of one collection, and what it was made of."""

    dataset: Dataset
    source: Source
    analyzer: Analyzer
    index: Index
    warnings: tuple[Note, ...]


class BM25(BaseFirstStage):
    """The best documents by BM25; equal scores are ordered by doc_id, descending. Documents that
    score 0 are no candidates.
    """

    meaning = "words in common, weighted by how rare they are"
    Options: ClassVar[type[BM25Options]] = BM25Options

    def __init__(self, options: BM25Options, base_dir: Path) -> None:
        super().__init__(options, base_dir)
        self._opened: Opened | None = None

    @property
    def name(self) -> str:
        """`bm25`, and the options that are neither at their default nor set by another one."""
        changed = [f"{key}={value}" for key, value in self.options.changed().items()]
        if self.options.name:
            return str(self.options.name)
        if not changed:
            return "bm25"
        return f"bm25({', '.join(changed)})"

    def check(self, dataset: Dataset | None, depth: int) -> None:
        """Raise SuiteError for an unknown stemmer or stop word list, DataError where no judged
        query has a token.
        """
        from bench.retrieval.bm25_index import Analyzer

        analyzer = Analyzer(self.options)
        if dataset is None or any(
            analyzer.tokens(dataset.queries[query_id]) for query_id in dataset.qrels
        ):
            return
        pattern = ""
        if "token_pattern" in self.options.changed():
            pattern = f" {self.options.token_pattern!r}"
        raise DataError(
            f"{dataset.id}: no judged query has a token under the token pattern{pattern}; the "
            f"first is {quoted(next(iter(dataset.qrels)))}"
        )

    def load(self, dataset: Dataset) -> None:
        """Open the index, or build it. Raises SuiteError for an unknown stemmer or stop word list.

        The index is kept in the cache folder, unless the dataset has no `corpus_hash` to know it
        by.
        """
        self.index_of(dataset)

    def search(self, dataset: Dataset, query_id: str, depth: int) -> QueryCandidates:
        opened = self.index_of(dataset)
        tokens = opened.analyzer.tokens(dataset.queries[query_id])
        return QueryCandidates(*opened.index.search(tokens, depth))

    def retrieve(self, dataset: Dataset, query_ids: Sequence[str], depth: int) -> Candidates:
        """Return up to `depth` candidates for each query.

        Raises SuiteError for an unknown stemmer or stop word list.
        """
        opened = self.index_of(dataset)
        by_query: dict[str, QueryCandidates] = {}
        wordless = 0
        for query_id in query_ids:
            tokens = opened.analyzer.tokens(dataset.queries[query_id])
            wordless += not tokens
            by_query[query_id] = QueryCandidates(*opened.index.search(tokens, depth))
        empty = sum(not candidates.doc_ids for candidates in by_query.values()) - wordless
        notes = Notes()
        notes.add(Code.NO_TOKEN, wordless)
        notes.add(Code.NO_MATCH, empty)
        add_short_lists(notes, by_query.values(), dataset, depth, "bm25")
        script_notes = self._script_note(dataset.queries[query_id] for query_id in query_ids)
        warnings = (*opened.warnings, *script_notes, *notes.all())
        return Candidates(by_query, depth, opened.source, warnings, opened.index.facts)

    def close(self) -> None:
        self._opened = None

    def index_of(self, dataset: Dataset) -> Opened:
        """Return the index of a collection: the one at hand, else that of the cache, else a new
        one.
        """
        from bench.retrieval.bm25_index import Analyzer, build_index, cached_index

        if self._opened is not None and self._opened.dataset is dataset:
            return self._opened
        source = self._source(dataset)
        analyzer = Analyzer(self.options)
        warnings: tuple[Note, ...] = ()
        if source["corpus_hash"] is None:
            index = build_index(dataset, self.options, analyzer)
        else:
            folder = cache_dir("bm25", content_hash([(json.dumps(source, sort_keys=True),)]))
            index, warnings = cached_index(folder, dataset, self.options, analyzer)
        self._opened = Opened(dataset, source, analyzer, index, warnings)
        return self._opened

    def _script_note(self, queries: Iterable[str]) -> Iterator[Note]:
        """Yield what to know where the stemmer cannot read the queries' script: their words are
        compared as they are.
        """
        stemmer = self.options.stemmer
        if stemmer is None:
            return
        unserved = unserved_script(stemmer, queries)
        if unserved is not None:
            script, others = unserved
            codes = codes_of(script)
            if script == LATIN:
                others = [language.name for language in SPOKEN]
                # what sets the stemmer is what to change
                if self.options.language is None:
                    codes = []
            advice = " or ".join([*others, "null"])
            languages = " or ".join(codes)
            yield note(
                Code.OTHER_SCRIPT,
                script=script.title(),
                stemmer=stemmer,
                others=advice,
                languages=languages,
            )

    def _source(self, dataset: Dataset) -> Source:
        """Return everything that decides the index: what is recorded is what the cache is keyed
        by.
        """
        usual = at_default(self.options)
        # an index from before an option existed stays the same
        names = {
            name
            for name in deciding(self.options, "scores")
            if not (name in usual and decision(BM25Options, name).added)
        }
        settings = self.options.model_dump(mode="json", include=names)
        return {
            "first_stage": "bm25",
            **settings,
            "normal_form": "NFC",
            "unicode": unicodedata.unidata_version,
            "document": dataset.template,
            "corpus_hash": dataset.identity.get("corpus_hash"),
            "bm25s": version_of("bm25s"),
            "PyStemmer": version_of("PyStemmer"),
        }
