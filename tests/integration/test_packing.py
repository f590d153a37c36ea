"""Pairs end to end, without padding, have the scores of padded ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from bench import rerankers
from bench.contract.request import CandidateList
from bench.core.errors import BenchError, SuiteError, Unavailable
from bench.models import packing
from bench.models.packing import Segments, VariableLength

QUERY = "how does the rain run"
DOCS = ["the cat", "", "money in the bank " * 20, "hot", "fish and tea " * 4, "rain " * 57]
REQUEST = CandidateList("q", QUERY, [f"d{number}" for number in range(len(DOCS))], DOCS)
KINDS = ("tiny:bert-cross-encoder", "tiny:xlmr-cross-encoder")
ROUNDED = {"bfloat16": 0.15, "float16": 0.02}
"""Of the spread of scores, with products rounded to 8 and 11 bits: padded batches of the same
networks differ from float32 by .06 and .005 of it.
"""


def scores_of(model: str, *, device: str = "cpu", **options: Any) -> tuple[np.ndarray, Any]:
    reranker: Any = rerankers.build("cross-encoder", {"model": model, **options}, device)
    reranker.load()
    [scores] = reranker.rerank([REQUEST])
    usage = reranker.meter.take()
    reranker.close()
    return np.asarray(scores), usage


@pytest.fixture
def without_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU the sequences' attention is computed one after the other: the same numbers."""
    monkeypatch.setattr(VariableLength, "require", lambda self: None)


@pytest.mark.parametrize("model", KINDS)
@pytest.mark.parametrize("options", [{}, {"token_budget": 70}, {"batch_size": 1}], ids=str)
@pytest.mark.usefixtures("without_a_card")
def test_packed_scores_equal_padded_ones(model: str, options: dict[str, int]) -> None:
    more: dict[str, Any] = dict(options)
    padded, usage = scores_of(model, **more)
    packed, packed_usage = scores_of(model, attention="packed", **more)
    assert np.ptp(padded) > 0
    np.testing.assert_allclose(packed, padded, rtol=0, atol=1e-5 * np.ptp(padded))
    assert packed_usage.tokens == packed_usage.slots == usage.tokens
    assert usage.slots >= usage.tokens


@pytest.mark.usefixtures("without_a_card")
def test_a_pair_scores_the_same_whatever_it_is_packed_with() -> None:
    model = KINDS[0]
    together, _ = scores_of(model, attention="packed")
    alone, _ = scores_of(model, attention="packed", batch_size=1)
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5 * np.ptp(alone))


def test_a_packed_row_begins_each_sequence_anew() -> None:
    batch = packing.pack([[5, 6, 7], [8], [9, 10]], [[0, 0, 1], [0], [0, 1]], 2)
    assert batch["input_ids"].tolist() == [[5, 6, 7, 8, 9, 10]]
    assert batch["position_ids"].tolist() == [[2, 3, 4, 2, 2, 3]]
    assert batch["token_type_ids"].tolist() == [[0, 0, 1, 0, 0, 1]]
    assert batch["starts"].tolist() == [0, 3, 4, 6]
    inputs = packing.placed(batch, "cpu")
    assert inputs[packing.SEGMENTS].longest == 3
    assert "starts" not in inputs


def test_attention_does_not_cross_the_borders() -> None:
    generator = torch.Generator().manual_seed(0)
    states = [torch.randn(1, 2, 6, 4, generator=generator) for _ in range(3)]
    segments = Segments(torch.tensor([0, 4, 6]), 4)
    query, key, value = states
    with packing.within(segments):
        packed, _ = packing._attention(None, query, key, value, None)
    for start, end in ((0, 4), (4, 6)):
        parts = [part[:, :, start:end] for part in states]
        expected = torch.softmax(parts[0] @ parts[1].transpose(-1, -2) / 2, dim=-1) @ parts[2]
        torch.testing.assert_close(packed[:, start:end], expected.transpose(1, 2))


def test_it_is_refused_where_it_cannot_run() -> None:
    with pytest.raises(Unavailable, match="CUDA"):
        VariableLength("cpu", "bfloat16").require()
    with pytest.raises(Unavailable, match="bfloat16 or float16"):
        VariableLength("cuda", "float32").require()
    reranker = rerankers.build("cross-encoder", {"model": KINDS[0], "attention": "packed"})
    with pytest.raises(Unavailable, match="CUDA"):
        reranker.check()
    options = {"model": KINDS[0], "attention": "packed", "compile": True}
    with pytest.raises(SuiteError, match="compile"):
        rerankers.build("cross-encoder", options)
    with pytest.raises(SuiteError):
        rerankers.build("bi-encoder", {"model": "tiny:bert-bi-encoder", "attention": "packed"})


@pytest.mark.usefixtures("without_a_card")
def test_a_network_of_another_layout_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.rerankers.local import settling

    monkeypatch.setattr(settling, "keep_first_token_only", lambda network: None)
    with pytest.raises(BenchError, match="BERT's layout"):
        scores_of(KINDS[0], attention="packed")


@pytest.mark.usefixtures("without_a_card")
def test_a_network_without_weights_is_packed_too() -> None:
    # of like lengths: the made-up tokens are of a row of a batch, and these are one batch
    request = CandidateList("q", QUERY, ["a", "b", "c"], ["tea", "cold river bank", "moon " * 3])
    scores, slots = {}, {}
    for attention in (None, "packed"):
        options = {"weights": "random", "attention": attention}
        reranker: Any = rerankers.build("tinybert-l2", options, "cpu")
        reranker.load()
        [outcome] = reranker.rerank([request])
        scores[attention] = np.asarray(outcome)
        usage = reranker.meter.take()
        slots[attention] = usage.slots
        assert usage.slots >= usage.tokens
        reranker.close()
    assert np.ptp(scores[None]) > 0
    np.testing.assert_allclose(scores["packed"], scores[None], rtol=1e-4, atol=1e-5)
    assert slots["packed"] == usage.tokens < slots[None]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("model", KINDS)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_packed_scores_on_a_gpu_equal_the_cpus(model: str, dtype: str) -> None:
    expected, _ = scores_of(model)
    packed, usage = scores_of(model, device="cuda", dtype=dtype, attention="packed")
    assert usage.slots == usage.tokens
    assert np.abs(packed - expected).max() < ROUNDED[dtype] * np.ptp(expected)
