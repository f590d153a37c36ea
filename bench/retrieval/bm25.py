"""BM25 over the whole collection: the first stage that needs nothing but the texts.

Scores by bm25s (Lù 2024), eager sparse scoring of the variants that Kamphuis et al. (ECIR 2020) compare; stems by PyStemmer. Every
parameter is explicit and recorded, since libraries differ in their defaults. A query's repeated terms count as often as they occur.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

from bench.contract.candidates import Candidates, QueryCandidates
from bench.core.cache_dir import cache_dir
from bench.core.words import unserved_script
from bench.datasets.base import Dataset, content_hash
from bench.retrieval.options import BM25Options


class BM25:
    """The best documents by BM25; equal scores are ordered by doc_id, descending. Documents that score 0 are no candidates."""

    Options: ClassVar[type[BM25Options]] = BM25Options

    def __init__(self, options: BM25Options, base_dir: Path) -> None:
        self.options = options

    @property
    def name(self) -> str:
        """`bm25`, and what was set to other than its default."""
        changed = self.options.model_dump(exclude_defaults=True, exclude={"name", "depth"})
        parameters = ", ".join(f"{key}={value}" for key, value in changed.items())
        return self.options.name or (f"bm25({parameters})" if parameters else "bm25")

    def check(self, dataset: Dataset | None, depth: int) -> None:
        """Raise SuiteError for an unknown stemmer or stop word list."""
        from bench.retrieval.bm25_index import Analyzer

        Analyzer(self.options)

    def retrieve(self, dataset: Dataset, query_ids: Sequence[str], depth: int) -> Candidates:
        """Up to `depth` candidates for each query. Raises SuiteError for an unknown stemmer or stop word list.

        The index is kept in the cache folder, unless the dataset has no `corpus_hash` to know it by.
        """
        from bench.retrieval.bm25_index import Analyzer, build_index, cached_index

        source = self._source(dataset)
        analyzer = Analyzer(self.options)
        warnings: tuple[str, ...] = ()
        if source["corpus_hash"] is None:
            index = build_index(dataset, self.options, analyzer)
        else:
            folder = cache_dir("bm25", content_hash([(json.dumps(source, sort_keys=True),)]))
            index, warnings = cached_index(folder, dataset, self.options, analyzer)
        found: dict[str, QueryCandidates] = {}
        for query_id in query_ids:
            doc_ids, scores = index.search(analyzer.tokens(dataset.queries[query_id]), depth)
            found[query_id] = QueryCandidates(doc_ids, scores)
        empty = sum(not candidates.doc_ids for candidates in found.values())
        warnings = (*warnings, *self._script_note(dataset.queries[query_id] for query_id in query_ids))
        if empty:
            warnings = (*warnings, f"queries that share no term with any document, and get no candidates: {empty}")
        return Candidates(found, depth, source, warnings)

    def _script_note(self, queries: Iterable[str]) -> Iterator[str]:
        """Yield what to know where the stemmer cannot read the queries' script: their words are compared as they are."""
        stemmer = self.options.stemmer
        if stemmer is None:
            return
        unserved = unserved_script(stemmer, queries)
        if unserved is not None:
            script, others = unserved
            advice = " or ".join([*others, "null"])
            yield f"most letters of the queries are {script.title()}, which the stemmer '{stemmer}' cannot read: set stemmer to {advice}"

    def _source(self, dataset: Dataset) -> dict[str, Any]:
        """Everything that decides the index: what is recorded is what the cache is keyed by."""
        return {
            "first_stage": "bm25",
            **self.options.model_dump(mode="json", exclude={"name", "depth"}),
            "normal_form": "NFC",
            "unicode": unicodedata.unidata_version,
            "document": dataset.template,
            "corpus_hash": dataset.identity.get("corpus_hash"),
            "bm25s": version("bm25s"),
            "PyStemmer": version("PyStemmer"),
        }
