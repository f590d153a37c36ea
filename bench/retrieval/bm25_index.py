"""The BM25 index: tokens, building, keeping on disk, searching. Imports bm25s and PyStemmer, so
only bm25.retrieve imports it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bench.contract.index_facts import IndexFacts
from bench.core import words
from bench.core.errors import DataError, SuiteError, nearest
from bench.core.kept_folder import folder_size, is_intact, keep
from bench.core.note import Code, Note, note
from bench.datasets.base import Dataset, render
from bench.retrieval.best import best_places
from bench.retrieval.build_times import keep_seconds, seconds_of
from bench.retrieval.options import BM25Options

DOC_IDS = "doc_ids.json"


class Analyzer:
    """Text to tokens, the same for documents and queries: lower case and NFC, cut by the pattern,
    drop stop words, stem.
    """

    def __init__(self, options: BM25Options) -> None:
        """Raises SuiteError for a stemmer or a stop word list that does not exist."""
        self._cut = words.compiled(options.token_pattern).findall
        self._stop = frozenset(map(words.normal, _stopwords(options.stopwords)))
        self._stem = _stemmer(options.stemmer)
        self._known: dict[str, str] = {}

    def tokens(self, text: str) -> list[str]:
        return [
            self._stemmed(word)
            for word in self._cut(words.normal(text))
            if word and word not in self._stop
        ]

    def _stemmed(self, word: str) -> str:
        if self._stem is None:
            return word
        stem = self._known.get(word)
        if stem is None:
            stem = self._stem(word)
            self._known[word] = stem
        return stem


class Index:
    """A bm25s index whose documents stand in ascending order of their ids, so that a position says
    how a tie is broken.
    """

    def __init__(
        self,
        scorer: Any,
        doc_ids: Sequence[str],
        seconds: float | None,
        folder: Path | None = None,
    ) -> None:
        """`seconds` are what building took; `folder` is where it was opened from."""
        self.scorer = scorer
        self.doc_ids = doc_ids
        self.seconds = seconds
        self.folder = folder
        """Where it is kept."""
        self._opened = folder is not None

    @property
    def facts(self) -> IndexFacts:
        """What the index took to build, and takes on disk, or in memory where it is not kept."""
        arrays = [self.scorer.scores[name] for name in ("data", "indices", "indptr")]
        size = sum(array.nbytes for array in arrays)
        if self.folder is not None:
            size = folder_size(self.folder)
        return IndexFacts(
            kind="postings",
            documents=len(self.doc_ids),
            entries=len(arrays[0]),
            bytes=size,
            seconds=self.seconds,
            opened=self._opened,
        )

    def search(
        self, tokens: Sequence[str], depth: int
    ) -> tuple[tuple[str, ...], tuple[float, ...]]:
        """Return the ids and scores of the best `depth` documents: score descending, then doc_id
        descending.
        """
        vocabulary = self.scorer.vocab_dict
        known = [vocabulary[token] for token in tokens if token in vocabulary]
        if not known:
            return (), ()
        scores = self.scorer.get_scores_from_ids(known)
        best = best_places(scores, depth)
        return tuple(self.doc_ids[i] for i in best), tuple(scores[best].tolist())


def cached_index(
    folder: Path, dataset: Dataset, options: BM25Options, analyzer: Analyzer
) -> tuple[Index, tuple[Note, ...]]:
    """Return the index of a folder, memory-mapped, or a new one, which is then written there. A
    damaged one is built again.

    Where the cache cannot be read or written, the index serves from memory and a warning says so.
    """
    index: Index | None = None
    try:
        if (index := _open(folder)) is not None:
            return index, ()
        index = build_index(dataset, options, analyzer)
        keep(folder, partial(_save, index))
        index.folder = folder
        if index.seconds is not None:
            keep_seconds(folder, index.seconds)
    except OSError as error:
        index = build_index(dataset, options, analyzer) if index is None else index
        return index, (note(Code.INDEX_NOT_KEPT, text=error.strerror or str(error)),)
    return index, ()


def _why_no_token(dataset: Dataset, options: BM25Options) -> str:
    """Return what is wrong with a collection without a token: its columns, or how it is cut."""
    fields = next((fields for _, fields in dataset.documents), {})
    text = render(dataset.template, fields)
    if text and "token_pattern" in options.model_fields_set:
        return f"no document has a token under the token pattern {options.token_pattern!r}"
    if text:
        return f"no document has a word of two letters, such as {text!r:.40}"
    return (
        f"documents have no text by the template '{dataset.template}': their fields are "
        f"{', '.join(fields) or 'none'}: name some with the dataset's option document, such as "
        "document: '{title} {body}'"
    )


def build_index(dataset: Dataset, options: BM25Options, analyzer: Analyzer) -> Index:
    """Index every document as the template renders it. Raises DataError when no document has a
    token.
    """
    import bm25s

    begin = time.perf_counter()
    vocabulary: dict[str, int] = {}
    rows: dict[str, list[int]] = {}
    for doc_id, fields in dataset.documents:
        tokens = analyzer.tokens(render(dataset.template, fields))
        rows[doc_id] = [vocabulary.setdefault(token, len(vocabulary)) for token in tokens]
    if not vocabulary:
        raise DataError(f"{dataset.id}: {_why_no_token(dataset, options)}")
    doc_ids = sorted(rows)
    scorer = bm25s.BM25(k1=options.k1, b=options.b, method=options.method)
    scorer.index(
        ([rows[doc_id] for doc_id in doc_ids], vocabulary),
        create_empty_token=False,
        show_progress=False,
    )
    return Index(scorer, doc_ids, time.perf_counter() - begin)


def _open(folder: Path) -> Index | None:
    """Return the index of a folder, None where it is not as it was written.

    Raises OSError where it cannot be read.
    """
    import bm25s

    if not is_intact(folder):
        return None
    try:
        doc_ids = json.loads((folder / DOC_IDS).read_text(encoding="utf-8"))
        scorer = bm25s.BM25.load(folder, mmap=True)
        return Index(scorer, doc_ids, seconds_of(folder), folder)
    except (ValueError, KeyError, AttributeError, TypeError):
        return None


def _save(index: Index, folder: Path) -> None:
    index.scorer.save(folder, corpus=None)
    (folder / DOC_IDS).write_text(json.dumps(list(index.doc_ids)), encoding="utf-8")


def _stopwords(option: str | tuple[str, ...] | None) -> Sequence[str]:
    """Return the words of an option: a list of them, or those of a language."""
    from bm25s.tokenization import Tokenizer

    if isinstance(option, tuple):
        return option
    try:
        words: Sequence[str] = Tokenizer(stopwords=option).stopwords
    except ValueError as error:
        raise SuiteError(
            f"bm25: bm25s has no stop words for '{option}': name another language, list the "
            "words, or null"
        ) from error
    return words


def _stemmer(language: str | None) -> Any:
    import Stemmer

    if language is None:
        return None
    if language not in Stemmer.algorithms():
        raise SuiteError(
            f"bm25: there is no stemmer '{language}': {nearest(language, Stemmer.algorithms())}"
        )
    return Stemmer.Stemmer(language).stemWord
