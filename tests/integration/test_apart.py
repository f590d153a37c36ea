"""A cross-encoder that begins as its bi-encoder: without attention between the two texts it is that
bi-encoder, to the last digits; trained, it is an adapter that the same head reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import rerankers
from bench.core.errors import RerankerError
from bench.models import apart
from tests.support import made_training

BASE = "tiny:bert-bi-encoder"
PAIRS = [
    ("how long is the river", "the river is cold and the river is long"),
    ("cat", "a dog sat on a mat in the sun"),
    ("what does a cat eat in the sun", "dog"),
]


def cross_encoder(model: str = BASE, **options: Any) -> Any:
    return rerankers.build("cross-encoder", {"model": model, **options}, "cpu", Path())


def scores(reranker: Any, pairs: Sequence[tuple[str, str]] = PAIRS) -> list[float]:
    """Return the score of each pair, all in one batch."""
    reranker.load()
    try:
        return [float(score) for score in reranker.score(pairs)]
    finally:
        reranker.close()


def test_without_attention_between_the_texts_it_is_the_bi_encoder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from sentence_transformers import SentenceTransformer

    from bench.models.weights import Weights

    monkeypatch.setattr(apart, "DAMPING", -1e9)
    encoder = SentenceTransformer(str(Weights(BASE).folder()), device="cpu")
    queries, documents = (encoder.encode(list(texts)) for texts in zip(*PAIRS, strict=True))
    lengths = np.linalg.norm(queries, axis=1) * np.linalg.norm(documents, axis=1)
    expected = apart.SCALE * (queries * documents).sum(axis=1) / lengths
    assert scores(cross_encoder(head="cosine")) == pytest.approx(expected.tolist(), abs=1e-4)


def test_a_pair_reads_its_two_texts_together_and_nothing_of_its_batch() -> None:
    together = scores(cross_encoder(head="cosine"))
    alone = [scores(cross_encoder(head="cosine"), [pair])[0] for pair in PAIRS]
    assert together == pytest.approx(alone, abs=1e-4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(apart, "DAMPING", 0.0)
        undamped = scores(cross_encoder(head="cosine"))
    assert np.abs(np.subtract(undamped, together)).max() > 1e-4


def test_the_head_is_part_of_the_identity() -> None:
    plain, cosine = cross_encoder(), cross_encoder(head="cosine")
    assert plain.identity().fingerprint() != cosine.identity().fingerprint()
    assert (
        cross_encoder(head="classifier").identity().fingerprint() == plain.identity().fingerprint()
    )


def test_a_reranker_that_never_loaded_can_be_closed() -> None:
    reranker = cross_encoder(head="cosine")
    reranker.close()
    reranker.close()


def test_other_networks_are_refused() -> None:
    with pytest.raises(RerankerError, match="for networks of kind bert"):
        cross_encoder("tiny:xlmr-cross-encoder", head="cosine").load()


def test_a_trained_adapter_is_read_by_the_same_head_alone(tmp_path: Path) -> None:
    before = scores(cross_encoder(head="cosine"))
    made_training.trained(
        tmp_path / "adapter",
        base=BASE,
        head="cosine",
        loss="listnet",
        lora={"rank": 2, "merge": False},
        rate=0.01,
        warmup=0,
        checks=1,
    )
    after = scores(cross_encoder(head="cosine", adapter=str(tmp_path / "adapter")))
    assert np.abs(np.subtract(after, before)).max() > 1e-3
    with pytest.raises(RerankerError, match="has no classification head"):
        cross_encoder(adapter=str(tmp_path / "adapter")).load()
