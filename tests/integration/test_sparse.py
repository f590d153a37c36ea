"""Learned sparse retrieval against a brute force written here: SPLADE, and an encoder that needs no
inference for queries.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import datasets, retrieval
from bench.contract.candidates import Candidates
from bench.core.cache_dir import cache_dir
from bench.core.progress import Observer
from bench.datasets.base import Dataset
from bench.models import tiny
from bench.retrieval.sparse_index import SparseIndex, join
from bench.retrieval.vectors import Embedding
from tests.support import tiny_models

TEXTS = {
    "d1": "the cat sat on the mat",
    "d2": "a dog and the cat",
    "d3": "hot tea and cold fish",
    "d4": "the cat sat on the mat",
    "d5": "rain on the river bank",
    "d6": "why does money run",
}
QUERIES = {"q1": "cat mat", "q2": "hot fish", "q3": "river"}


@pytest.fixture(autouse=True)
def _cache(own_cache_and_no_keys: None) -> None:
    """A cache of its own."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sparse")
    tiny_models.splade(folder / "splade")
    inference_free(folder / "inference-free")
    return folder


def inference_free(folder: Path) -> Path:
    """An encoder whose queries are weights of their tokens, looked up in a table."""
    import torch
    from sentence_transformers import SparseEncoder
    from sentence_transformers.sparse_encoder.modules import (
        MLMTransformer,
        Router,
        SparseStaticEmbedding,
        SpladePooling,
    )

    base = folder.with_name(f"{folder.name}-masked")
    tiny_models.splade(base)
    with tiny_models.quiet():
        torch.manual_seed(0)
        documents = MLMTransformer(str(base.with_name(f"{base.name}-base")))
        size = len(documents.tokenizer)
        queries = SparseStaticEmbedding(
            tokenizer=documents.tokenizer, weight=torch.rand(size), frozen=True
        )
        router = Router.for_query_document([queries], [documents, SpladePooling("max")])
        SparseEncoder(modules=[router], device="cpu").save_pretrained(
            str(folder), create_model_card=False
        )
    return folder


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    folder = tmp_path / "collection"
    folder.mkdir()
    docs = [{"doc_id": name, "text": text} for name, text in TEXTS.items()]
    (folder / "docs.jsonl").write_text("".join(json.dumps(doc) + "\n" for doc in docs))
    lines = [f"{name}\t{text}\n" for name, text in QUERIES.items()]
    (folder / "queries.tsv").write_text("".join(lines))
    (folder / "qrels.txt").write_text("q1 0 d1 1\nq2 0 d3 1\nq3 0 d5 1\n")
    return datasets.load(f"files:{folder}", {}, folder)


def retrieved(dataset: Dataset, options: dict[str, Any], depth: int = 4) -> Candidates:
    stage = retrieval.build("sparse", options, Path())
    try:
        return stage.retrieve(dataset, list(QUERIES), depth)
    finally:
        stage.close()


@pytest.mark.parametrize("kind", ["splade", "inference-free"])
def test_sparse_equals_a_brute_force_over_all_terms(
    dataset: Dataset, models: Path, kind: str
) -> None:
    from sentence_transformers import SparseEncoder

    candidates = retrieved(dataset, {"model": str(models / kind)})
    model = SparseEncoder(str(models / kind), device="cpu")
    documents = model.encode_document(list(TEXTS.values()), convert_to_sparse_tensor=False)
    queries = model.encode_query(list(QUERIES.values()), convert_to_sparse_tensor=False)
    for query_id, query in zip(QUERIES, queries.double().tolist(), strict=True):
        scored = []
        for doc_id, weights in zip(TEXTS, documents.double().tolist(), strict=True):
            score = sum(left * right for left, right in zip(weights, query, strict=True))
            scored.append((score, doc_id))
        best = [(doc_id, score) for score, doc_id in sorted(scored, reverse=True) if score > 0][:4]
        ranking = candidates.by_query[query_id]
        assert ranking.doc_ids == tuple(doc_id for doc_id, _ in best)
        assert ranking.scores == pytest.approx([score for _, score in best], rel=1e-4)
    assert candidates.built is not None
    texts = list(dict.fromkeys(TEXTS.values()))
    distinct = model.encode_document(texts, convert_to_sparse_tensor=False)
    assert candidates.built.kind == "postings"
    assert candidates.built.entries == int((distinct != 0).sum())


def test_a_search_of_one_query_is_that_of_all_and_the_postings_are_opened_again(
    dataset: Dataset, models: Path
) -> None:
    options = {"model": str(models / "splade")}
    together = retrieved(dataset, options)
    stage = retrieval.build("sparse", options, Path())
    for query_id in QUERIES:
        ranking = stage.search(dataset, query_id, 4)
        assert ranking.doc_ids == together.by_query[query_id].doc_ids
        assert ranking.scores == pytest.approx(together.by_query[query_id].scores, rel=1e-5)
    stage.close()
    again = retrieved(dataset, options)
    assert again.built is not None
    assert again.built.opened
    assert again.by_query == together.by_query
    assert len(list(cache_dir("vectors").glob("*/store"))) == 1
    other = retrieved(dataset, {**options, "document_prompt": "the "})
    assert other.built is not None
    assert not other.built.opened


def test_postings_of_several_parts_are_those_of_one(
    dataset: Dataset, models: Path, tmp_path: Path
) -> None:
    """Parts are matrices of documents and terms; together they are a matrix of terms and
    documents.
    """
    from scipy import sparse

    from bench.retrieval.sparse_index import SparseBlock

    rng = np.random.default_rng(0)
    weights = {text: rng.integers(0, 3, 7).astype(np.float32) for text in TEXTS.values()}

    def encode(texts: Any) -> tuple[SparseBlock, int]:
        return SparseBlock(sparse.csr_matrix([weights[text] for text in texts])), 0

    rankings = []
    for chunk in (1, 2, 100):
        embedding = Embedding(dataset, encode, join, "encoding", Observer(), chunk)
        store, _ = embedding.store(tmp_path / f"of-{chunk}")
        query = sparse.csr_matrix([[1, 0, 2, 0, 1, 0, 0]], dtype=np.float32)
        rankings += SparseIndex(store).search(query, 3)
    expected = [(float(row @ [1, 0, 2, 0, 1, 0, 0]), name) for name, row in named(weights)]
    best = sorted((pair for pair in expected if pair[0] > 0), reverse=True)[:3]
    for ranking in rankings:
        assert list(zip(ranking.scores, ranking.doc_ids, strict=True)) == best


def named(weights: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(name, weights[text]) for name, text in TEXTS.items()]


def test_a_sparse_encoder_with_random_weights_is_at_hand(dataset: Dataset) -> None:
    candidates = retrieved(dataset, {"model": "tiny:splade"})
    assert all(ranking.doc_ids for ranking in candidates.by_query.values())
    assert tiny.known("tiny:splade") == "splade"
