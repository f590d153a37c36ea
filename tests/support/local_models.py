"""Tiny models of every kind in one folder, and their scores for one query."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import rerankers
from bench.contract.request import CandidateList
from bench.core.errors import RerankerError
from tests.support import tiny_models

QUERY = "how long does it rain"
DOCS = [
    "the sun and the moon",
    "hot tea",
    "",
    "cold river bank in the rain",
    "a dog sat on the mat " * 3,
]


def write_models(folder: Path) -> Path:
    """Write cross, three, encoder, bi, prompted, modular, xlmr, t5, judge, plain, chat, lora and
    headless.
    """
    tiny_models.bert_cross_encoder(folder / "cross")
    tiny_models.bert_cross_encoder(folder / "three", num_labels=3)
    tiny_models.bert_encoder(folder / "encoder")
    tiny_models.bi_encoder(folder / "bi")
    tiny_models.bi_encoder(folder / "prompted", prompts={"query": "what ", "document": "the "})
    tiny_models.modular_cross_encoder(folder / "modular")
    tiny_models.xlmr_cross_encoder(folder / "xlmr")
    tiny_models.t5(folder / "t5")
    tiny_models.qwen3(folder / "judge")
    tiny_models.qwen3(folder / "plain", chat_template=None)
    tiny_models.qwen3(
        folder / "chat",
        chat_template="{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}",
    )
    tiny_models.lora_adapter(folder / "lora", folder / "encoder")
    tiny_models.lora_adapter(folder / "headless", folder / "encoder", with_head=False)
    return folder


def loaded(models: Path, backend: str, model: str, **options: Any) -> Any:
    reranker = rerankers.build(backend, {"model": model, **options}, base_dir=models)
    reranker.check()
    reranker.load()
    return reranker


def needs_loading(reranker: Any) -> None:
    """Check that a reranker refuses to score before it is loaded and after it is closed."""
    with pytest.raises(RerankerError, match="load\\(\\) comes before"):
        scores_of(reranker)
    reranker.load()
    reranker.close()
    with pytest.raises(RerankerError, match="load\\(\\) comes before"):
        reranker.describe()


def encodes_once(reranker: Any) -> None:
    """Check that documents that many queries share cost the tokens of one query."""
    scores_of(reranker)
    single = reranker.meter.take()
    lists = [CandidateList(str(i), QUERY, ["a"] * len(DOCS), DOCS) for i in range(7)]
    scores = reranker.rerank(lists)
    usage = reranker.meter.take()
    assert usage.tokens == single.tokens
    assert usage.pairs == 7 * len(DOCS)
    np.testing.assert_array_equal(scores[0], scores[6])


def scores_of(reranker: Any, query: str = QUERY, docs: list[str] = DOCS) -> np.ndarray:
    (scores,) = reranker.rerank(
        [CandidateList("q", query, [f"d{i}" for i in range(len(docs))], docs)]
    )
    return np.asarray(scores)
