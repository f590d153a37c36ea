"""Pairs end to end, without padding, have the scores of padded ones."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from bench import rerankers
from bench.contract.request import CandidateList
from bench.core.errors import BenchError, SuiteError, Unavailable
from bench.models import packed_encoder, packing
from bench.models.packed_encoder import PackedEncoder, attend
from bench.models.packing import Segments, VariableLength
from tests.support.agreement import close
from tests.support.bert_networks import CLASSES, network_of

QUERY = "how does the rain run"
DOCS = ["the cat", "", "money in the bank " * 20, "hot", "fish and tea " * 4, "rain " * 57]
REQUEST = CandidateList("q", QUERY, [f"d{number}" for number in range(len(DOCS))], DOCS)
KINDS = ("tiny:bert-cross-encoder", "tiny:xlmr-cross-encoder")
BOUNDS = torch.tensor([0, 4, 6], dtype=torch.int32)
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
    ids, types = np.array([5, 6, 7, 8, 9, 10]), np.array([0, 0, 1, 0, 0, 1])
    batch = packing.pack(np.array([3, 1, 2]), ids, types, 2)
    assert batch["input_ids"].tolist() == [[5, 6, 7, 8, 9, 10]]
    assert batch["position_ids"].tolist() == [[2, 3, 4, 2, 2, 3]]
    assert batch["token_type_ids"].tolist() == [[0, 0, 1, 0, 0, 1]]
    assert batch["starts"].tolist() == [0, 3, 4, 6]
    inputs = packing.placed(batch, "cpu")
    assert inputs[packing.SEGMENTS].longest == 3
    assert "starts" not in inputs


@pytest.mark.parametrize("asking", [Segments(BOUNDS, 4), Segments(BOUNDS, 4).of_first_tokens()])
def test_attention_does_not_cross_the_borders(asking: Segments) -> None:
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(6, 2, 4, generator=generator) for _ in range(3))
    own = [range(start, end) for start, end in pairwise(asking.starts.tolist())]
    attended = attend(query, key, value, asking, Segments(BOUNDS, 4))
    assert len(attended) == sum(map(len, own))
    for tokens, (start, end) in zip(own, pairwise(BOUNDS.tolist()), strict=True):
        for token in tokens:
            for head in range(2):
                logits = key[start:end, head] @ query[token, head] / 2
                expected = torch.softmax(logits, dim=0) @ value[start:end, head]
                torch.testing.assert_close(attended[token, head], expected)


@pytest.mark.parametrize("kind", CLASSES)
def test_a_packed_encoder_is_the_library_s_own_over_padded_rows(kind: str) -> None:
    """Every network of BERT's layout, and their weights are where they were."""
    network = network_of(kind, "sdpa", spread=0.8)
    ids = [[2, 7, 9, 11, 3], [2, 8, 3], [2, 5, 6, 3]]
    first = packing.first_position(network)
    padding = network.config.pad_token_id or 0
    padded = torch.tensor([row + [padding] * (5 - len(row)) for row in ids])
    mask = torch.tensor([[number < len(row) for number in range(5)] for row in ids]).long()
    weights = {name: weight.clone() for name, weight in network.state_dict().items()}
    assert packed_encoder.fits(network)
    with torch.inference_mode():
        expected = network(input_ids=padded, attention_mask=mask).logits
        PackedEncoder(network)
        flat = np.concatenate(ids).astype(np.int64)
        batch = packing.pack(np.array([5, 3, 4]), flat, None, first)
        inputs = packing.placed(batch, "cpu")
        logits = packing.through(lambda tensors: network(**tensors), inputs).logits
        again = network(input_ids=padded, attention_mask=mask).logits
    assert expected.std() > 0.01
    close(logits.numpy(), expected.numpy())
    # what is not packed goes the library's own way
    assert torch.equal(again, expected)
    after = network.state_dict()
    assert all(torch.equal(after[name], weight) for name, weight in weights.items())
    assert after.keys() == weights.keys()


def test_a_packed_encoder_keeps_no_weight_twice() -> None:
    network = network_of("Bert", "sdpa", spread=0.8)
    PackedEncoder(network)
    attention = network.base_model.encoder.layer[0].attention.self
    parts = (attention.query.weight, attention.key.weight, attention.value.weight)
    assert len({part.untyped_storage().data_ptr() for part in parts}) == 1
    assert all(part.requires_grad for part in parts), "what is trained stays so"


def test_a_layer_that_is_not_as_trained_does_not_fit() -> None:
    def outside(network: Any) -> Any:
        return network.base_model.encoder.layer[0].output

    adapted, normed = (network_of("Bert", "sdpa", spread=0.8) for _ in range(2))
    outside(adapted).dense = torch.nn.Sequential(outside(adapted).dense)
    outside(normed).LayerNorm = torch.nn.RMSNorm(outside(normed).LayerNorm.normalized_shape)
    decoder = network_of("Bert", "sdpa", is_decoder=True, spread=0.8)
    for network in (adapted, normed, decoder):
        assert not packed_encoder.fits(network)


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
        assert reranker.describe().facts["attention"] == (attention or "sdpa")
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
