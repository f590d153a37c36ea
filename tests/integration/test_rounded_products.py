"""bfloat16 on a CPU: the large products of all layers but the last, and float32 elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench import rerankers
from bench.contract.request import CandidateList
from bench.rerankers.local.first_token import (
    attend_from_first_token_only,
    keep_first_token_only,
)
from bench.rerankers.local.rounded_products import KINDS, loading_dtype, round_large_products
from tests.support import local_models, tiny_models
from tests.support.agreement import BFLOAT16, close
from tests.support.bert_networks import CLASSES, WORDS, network_of
from tests.support.local_models import QUERY

SPREAD = 0.3
IDS = torch.randint(4, WORDS, (24, 9), generator=torch.Generator().manual_seed(0))
MASK = (torch.arange(9) < torch.arange(24)[:, None] % 6 + 4).long()


def logits(network: Any) -> Any:
    with torch.inference_mode():
        output = network(input_ids=IDS, attention_mask=MASK).logits.reshape(-1)
    return output.float().numpy()


def formats_of(network: Any) -> dict[str, set[torch.dtype]]:
    """Return the number formats of products in all layers but the last, and of everything else."""
    layers = network.base_model.encoder.layer
    early: set[torch.dtype] = set()
    own = set()
    for layer in layers[:-1]:
        for name, module in layer.named_modules():
            if isinstance(module, torch.nn.Linear):
                early |= {weights.dtype for weights in module.parameters()}
                own |= {id(weights) for weights in module.parameters()}
            else:
                assert "dense" not in name
    rest = {weights.dtype for weights in network.parameters() if id(weights) not in own}
    return {"products": early, "rest": rest}


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("kind", CLASSES)
def test_products_are_rounded_and_the_rest_is_not(kind: str, attention: str) -> None:
    network = network_of(kind, attention, spread=SPREAD)
    exact = logits(network)
    wholly = logits(network_of(kind, attention, spread=SPREAD).bfloat16())
    assert keep_first_token_only(network) is not None
    assert attend_from_first_token_only(network) is not None
    assert round_large_products(network)
    assert formats_of(network) == {"products": {torch.bfloat16}, "rest": {torch.float32}}
    rounded = logits(network)
    assert close(rounded, exact, BFLOAT16) > 0
    error, of_wholly = (np.square(scores - exact).mean() for scores in (rounded, wholly))
    assert error < of_wholly


def test_another_attention_is_left_alone() -> None:
    for network in (
        network_of("DebertaV2", "eager", spread=SPREAD),
        network_of("Bert", "sdpa", is_decoder=True, spread=SPREAD),
    ):
        assert not round_large_products(network)
        assert {weights.dtype for weights in network.parameters()} == {torch.float32}


def test_only_what_may_be_rounded_is_loaded_in_float32() -> None:
    assert {loading_dtype("bfloat16", "cpu", kind) for kind in KINDS} == {"float32"}
    assert loading_dtype("bfloat16", "cuda", "bert") == "bfloat16"
    assert loading_dtype("bfloat16", "cpu", "qwen3") == "bfloat16"
    assert loading_dtype("float16", "cpu", "bert") == "float16"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    tiny_models.bert_cross_encoder(folder / "bert")
    tiny_models.modular_cross_encoder(folder / "modular")
    return folder


def loaded(folder: Path, **options: Any) -> Any:
    reranker: Any = rerankers.build("cross-encoder", {"model": str(folder), **options})
    reranker.check()
    reranker.load()
    return reranker


@pytest.mark.parametrize(
    ("kind", "head", "formats"),
    [
        ("bert", "classifier", "bfloat16+float32"),
        ("modular", "classifier", "bfloat16+float32"),
        ("bert", "cosine", "bfloat16"),
    ],
)
def test_a_record_says_what_was_rounded(models: Path, kind: str, head: str, formats: str) -> None:
    """A head that reads more than the first token keeps its whole last layer, and is rounded as a
    whole.
    """
    plain = loaded(models / kind, head=head)
    reranker = loaded(models / kind, head=head, dtype="bfloat16")
    description = reranker.describe()
    assert description.identity["dtype"] == formats
    assert description.facts["warnings"] == []
    assert reranker.fingerprint()["rounded"] == "large products"
    assert "rounded" not in plain.fingerprint()
    docs = local_models.DOCS
    request = CandidateList("q", QUERY, [f"d{i}" for i in range(len(docs))], docs)
    close(reranker.rerank([request])[0], plain.rerank([request])[0], BFLOAT16)


def test_openvino_computes_the_products_in_bfloat16(
    models: Path, shared_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exported once a session: test_runtimes.py has the same network."""
    for package in ("onnx", "onnxscript", "onnxruntime", "openvino"):
        pytest.importorskip(package, reason="needs the openvino extra")
    monkeypatch.setenv("RERANK_BENCH_CACHE", str(shared_folder / "exports"))
    plain = loaded(models / "bert")
    reranker = loaded(models / "bert", runtime="openvino", dtype="bfloat16")
    assert reranker.describe().identity["dtype"] == "bfloat16+float32"
    docs = local_models.DOCS
    request = CandidateList("q", QUERY, [f"d{i}" for i in range(len(docs))], docs)
    exact = plain.rerank([request])[0]
    assert close(reranker.rerank([request])[0], exact, BFLOAT16) > 0
