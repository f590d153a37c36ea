"""Tiny models of every kind in one folder, and their scores for one query."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench import rerankers
from bench.contract.request import CandidateList
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


def scores_of(reranker: Any, query: str = QUERY, docs: list[str] = DOCS) -> np.ndarray:
    (scores,) = reranker.rerank(
        [CandidateList("q", query, [f"d{i}" for i in range(len(docs))], docs)]
    )
    return np.asarray(scores)
