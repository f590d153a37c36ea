"""monoT5 and RankT5 score what transformers alone scores, whatever the batch, and never lose the
query or the end of the prompt.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bench import rerankers
from bench.core.errors import RerankerError, SuiteError, Unavailable
from bench.models.tiny import WORDS
from bench.rerankers.local.monot5 import MonoT5Options
from bench.rerankers.local.t5_prompt import Prompt, Writer
from tests.support import local_models, tiny_models
from tests.support.agreement import ACCELERATOR, BFLOAT16, agree, close
from tests.support.local_models import QUERY

LIMIT = tiny_models.MAX_LENGTH
LONG = "the cold river bank and the moon " * 40
DOCS = [
    *local_models.DOCS,
    LONG,
    "moon " + LONG,
    "fish",
]
PROMPTS = {
    "monot5": "Query: {query} Document: {document} Relevant:",
    "rankt5": "Query: {query} Document: {document}",
}


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Models this small are slower on more threads, by far where other processes want the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tiny models: t5, mt5, bare (T5Model), encoder (T5EncoderModel), classifier, bert,
    cross, judge, untied.
    """
    folder = tmp_path_factory.mktemp("t5")
    tiny_models.t5(folder / "t5")
    tiny_models.t5(folder / "mt5", kind="MT5", seed=1)
    tiny_models.t5(folder / "bare", head="Model")
    tiny_models.t5(folder / "encoder", head="EncoderModel")
    tiny_models.t5(folder / "classifier", head="ForSequenceClassification")
    tiny_models.bert_encoder(folder / "bert")
    tiny_models.bert_cross_encoder(folder / "cross")
    tiny_models.qwen3(folder / "judge")
    return folder


def loaded(models: Path, backend: str, model: str = "t5", **options: Any) -> Any:
    return local_models.loaded(models, backend, model, **options)


def scores_of(reranker: Any, query: str = QUERY, docs: list[str] = DOCS) -> np.ndarray:
    return local_models.scores_of(reranker, query, docs)


@lru_cache
def parts(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    with tiny_models.quiet():
        return AutoTokenizer.from_pretrained(folder), AutoModelForSeq2SeqLM.from_pretrained(
            folder
        ).eval()


def shortened(tokenizer: Any, template: str, query: str, doc: str, limit: int = LIMIT) -> str:
    """The prompt with as many words of the document as fit: every word of the tests' long documents
    is one token.
    """
    words = doc.split()
    text = template.format(query=query, document=doc)
    while len(tokenizer(text, verbose=False)["input_ids"]) > limit:
        words = words[:-1]
        text = template.format(query=query, document=" ".join(words))
    return text


def reference(
    folder: Path, backend: str, query: str, docs: list[str], tokens: tuple[str, ...] = ()
) -> np.ndarray:
    """Scores by transformers alone, one pair at a time, without padding: what the two papers
    describe.
    """
    tokenizer, network = parts(folder)
    pieces = tokens or (("▁true", "▁false") if backend == "monot5" else ("<extra_id_10>",))
    ids = tokenizer.convert_tokens_to_ids(list(pieces))
    scores = []
    for doc in docs:
        inputs = tokenizer(shortened(tokenizer, PROMPTS[backend], query, doc), return_tensors="pt")
        with torch.inference_mode():
            logits = network(**inputs, decoder_input_ids=torch.tensor([[0]])).logits[0, 0, ids]
        scores.append(float(logits[0] - logits[1]) if len(ids) == 2 else float(logits[0]))
    return np.array(scores)


@pytest.mark.parametrize("kind", ["t5", "mt5", "bare"])
@pytest.mark.parametrize("backend", sorted(PROMPTS))
def test_scores_are_those_of_transformers_alone(
    models: Path, backend: str, kind: str, record_property: Any
) -> None:
    scores = scores_of(loaded(models, backend, kind))
    agree(scores, reference(models / kind, backend, QUERY, DOCS), record_property)
    assert np.ptp(scores) > 0.1, "the scores should differ, or the test could not fail"


def test_the_log_softmax_of_the_paper_orders_documents_the_same(models: Path) -> None:
    tokenizer, network = parts(models / "t5")
    ids = tokenizer.convert_tokens_to_ids(["▁true", "▁false"])
    texts = [shortened(tokenizer, PROMPTS["monot5"], QUERY, doc) for doc in DOCS]
    with torch.inference_mode():
        answers = [
            network(
                **tokenizer(text, return_tensors="pt"), decoder_input_ids=torch.tensor([[0]])
            ).logits[0, 0, ids]
            for text in texts
        ]
    published = torch.log_softmax(torch.stack(answers), dim=1)[:, 0].double().numpy()
    scores = scores_of(loaded(models, "monot5"))
    close(-np.log1p(np.exp(-scores)), published)


@pytest.mark.parametrize("batch_size", range(1, len(DOCS) + 2))
@pytest.mark.parametrize("backend", sorted(PROMPTS))
def test_scores_do_not_depend_on_the_batch(models: Path, backend: str, batch_size: int) -> None:
    alone = [scores_of(_once(models, backend), docs=[doc])[0] for doc in DOCS]
    close(scores_of(loaded(models, backend, batch_size=batch_size)), alone)


_LOADED: dict[str, Any] = {}


def _once(models: Path, backend: str) -> Any:
    if backend not in _LOADED:
        _LOADED[backend] = loaded(models, backend)
    return _LOADED[backend]


@pytest.mark.parametrize("tokens", [("no", "yes"), ("▁no", "▁yes"), ("cat", "▁")])
def test_the_answering_tokens_are_options(models: Path, tokens: tuple[str, str]) -> None:
    false, true = tokens
    reranker = loaded(models, "monot5", "mt5", token_true=true, token_false=false)
    pieces = tuple(f"▁{word.removeprefix('▁')}" for word in (true, false))
    close(scores_of(reranker), reference(models / "mt5", "monot5", QUERY, DOCS, pieces))
    assert reranker.describe().identity["token_true"]["piece"] == pieces[0]
    assert reranker.fingerprint() != loaded(models, "monot5", "mt5").fingerprint()


def test_an_untied_output_layer_is_the_one_that_answers(models: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tiny_models.t5(tmp_path / "untied", kind="MT5", seed=1)
    held = load_file(folder / "model.safetensors")
    held["lm_head.weight"] = torch.randn(
        held["shared.weight"].shape, generator=torch.Generator().manual_seed(3)
    )
    save_file(held, folder / "model.safetensors", metadata={"format": "pt"})
    tiny_models.edit_json(folder / "config.json", tie_word_embeddings=False)
    scores = scores_of(loaded(tmp_path, "monot5", "untied"))
    close(scores, reference(folder, "monot5", QUERY, DOCS))
    assert abs(scores - reference(models / "mt5", "monot5", QUERY, DOCS)).max() > 0.1


# --- what the model reads


_TOKENIZER = lru_cache(tiny_models.t5_tokenizer)
words = st.lists(
    st.sampled_from(
        ["cat", "rain", "moon", "tea", "xyzzy", "é", "</s>", "{document}", "<extra_id_3>", "\0"]
    ),
    max_size=90,
)


@settings(max_examples=150, deadline=None)
@given(
    words.map(" ".join), words.map(" ".join), st.integers(12, 80), st.sampled_from(sorted(PROMPTS))
)
def test_an_input_keeps_the_query_and_the_end_of_the_prompt(
    query: str, doc: str, limit: int, backend: str
) -> None:
    tokenizer = _TOKENIZER()
    prompt = Prompt.parse(PROMPTS[backend])
    (ids,), truncated, cut_queries = Writer(tokenizer, prompt, limit, "m").write([(query, doc)])
    whole = tokenizer(f"Query: {query} Document: {doc}{prompt.after}", verbose=False)["input_ids"]
    tail = tokenizer(prompt.after)["input_ids"]
    head = tokenizer(f"Query: {query} Document:", add_special_tokens=False, verbose=False)[
        "input_ids"
    ]
    assert len(ids) == min(len(whole), limit)
    assert ids[-len(tail) :] == tail
    assert truncated == (len(whole) > limit)
    if not truncated:
        assert ids == whole
        return
    fixed = len(
        tokenizer("Query:  Document:", add_special_tokens=False, verbose=False)["input_ids"]
    )
    share = min(len(whole) - len(head) - len(tail), (limit - len(tail) - fixed) // 4)
    if len(head) + share <= limit - len(tail):
        assert ids[: -len(tail)] == whole[: limit - len(tail)]
        assert ids[: len(head)] == head
        assert cut_queries == 0
    else:
        assert cut_queries == 1
        assert tokenizer.convert_tokens_to_ids("▁Document") in ids
        assert ids[-len(tail) - share : -len(tail)] == whole[len(head) :][:share]


def test_a_query_without_room_for_a_document_is_cut_counted_and_still_tells_documents_apart(
    models: Path,
) -> None:
    reranker = loaded(models, "monot5")
    scores = scores_of(reranker, LONG, ["tea", "fish", LONG])
    usage = reranker.meter.take()
    assert (usage.pairs, usage.truncated, usage.cut_queries) == (3, 3, 3)
    assert usage.tokens <= 3 * LIMIT
    assert len(set(scores)) == 3


@pytest.mark.parametrize("backend", sorted(PROMPTS))
def test_tokens_padding_and_cut_pairs_are_counted(models: Path, backend: str) -> None:
    tokenizer, _ = parts(models / "t5")
    reranker = loaded(models, backend, batch_size=3)
    scores_of(reranker)
    usage = reranker.meter.take()
    lengths = sorted(
        (
            len(tokenizer(shortened(tokenizer, PROMPTS[backend], QUERY, doc))["input_ids"])
            for doc in DOCS
        ),
        reverse=True,
    )
    batches = [lengths[i : i + 3] for i in range(0, len(lengths), 3)]
    assert (usage.pairs, usage.truncated, usage.cut_queries) == (len(DOCS), 2, 0)
    assert usage.tokens == sum(lengths)
    assert usage.slots == sum(max(batch) * len(batch) for batch in batches), (
        "batches are sorted by token count"
    )
    assert reranker.meter.take().tokens == 0


def test_a_pair_that_fits_exactly_is_not_counted_as_cut(models: Path) -> None:
    tokenizer, _ = parts(models / "t5")
    room = LIMIT - len(tokenizer(PROMPTS["monot5"].format(query=QUERY, document=""))["input_ids"])
    for words_, cut in ((room, 0), (room + 1, 1)):
        reranker = _once(models, "monot5")
        reranker.meter.take()
        scores_of(reranker, docs=[" ".join(["tea"] * words_)])
        usage = reranker.meter.take()
        assert (usage.tokens, usage.truncated) == (LIMIT, cut)


def test_the_prompt_is_an_option(models: Path) -> None:
    prompt = "long: {query} how: {document} tea"
    tokenizer, network = parts(models / "t5")
    inputs = tokenizer("long: cat how: dog tea", return_tensors="pt")
    ids = tokenizer.convert_tokens_to_ids(["▁true", "▁false"])
    with torch.inference_mode():
        logits = network(**inputs, decoder_input_ids=torch.tensor([[0]])).logits[0, 0, ids]
    close(
        scores_of(loaded(models, "monot5", prompt=prompt), "cat", ["dog"]),
        [float(logits[0] - logits[1])],
    )


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "{query}",
        "{document} {query}",
        "{query} {document} {query}",
        "{query} {document} {document}",
    ],
)
def test_a_prompt_that_cannot_be_filled_is_refused(prompt: str) -> None:
    with pytest.raises(ValidationError, match="once and, after it"):
        MonoT5Options(model="m", prompt=prompt)
    with pytest.raises(SuiteError, match=r"'monot5': .*must hold \{query\} once"):
        rerankers.build("monot5", {"model": "m", "prompt": prompt})


# --- what loaded


def test_the_length_is_the_options_then_the_tokenizers_then_that_of_training(
    models: Path, tmp_path: Path
) -> None:
    tiny_models.t5(tmp_path / "open", max_length=10**30)
    assert loaded(models, "monot5").describe().identity["max_length"] == LIMIT
    assert loaded(models, "monot5", max_length=1000).describe().identity["max_length"] == 1000, (
        "relative positions: no limit"
    )
    assert loaded(tmp_path, "monot5", "open").describe().identity["max_length"] == 512
    with pytest.raises(RerankerError, match="max_length 8 leaves a query and a document no room"):
        loaded(models, "monot5", max_length=8)


@pytest.mark.parametrize("backend", sorted(PROMPTS))
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_loaded_is_read_back(models: Path, backend: str, dtype: str) -> None:
    reranker = loaded(models, backend, dtype=dtype, attention="eager", batch_size=4)
    description, fingerprint = reranker.describe(), reranker.fingerprint()
    assert description.backend == fingerprint["backend"] == backend
    assert description.identity["dtype"] == dtype
    assert description.identity["prompt"] == fingerprint["prompt"] == PROMPTS[backend]
    assert description.identity["revision"] == fingerprint["revision"]
    expected = {
        "class": "T5ForConditionalGeneration",
        "attention": "eager",
        "device": "cpu",
        "batch_size": 4,
        "model_type": "t5",
    }
    assert expected.items() <= description.facts.items()
    assert description.facts["parameters"] == sum(
        p.numel() for p in parts(models / "t5")[1].parameters()
    )
    assert str(models) not in str(description), "a record does not show where somebody's files lie"
    scores, exact = scores_of(reranker), scores_of(_once(models, backend))
    if dtype == "float32":
        close(scores, exact)
    else:
        assert np.corrcoef(scores, exact)[0, 1] > 0.98


def test_scores_in_bfloat16_tie_less_than_logits_rounded_to_it(models: Path) -> None:
    from transformers import AutoModelForSeq2SeqLM

    tokenizer, _ = parts(models / "t5")
    docs = [f"{a} {b}" for a in WORDS[:12] for b in WORDS[:12]]
    inputs = tokenizer(
        [PROMPTS["rankt5"].format(query=QUERY, document=doc) for doc in docs],
        return_tensors="pt",
        padding=True,
    )
    with tiny_models.quiet(), torch.inference_mode():
        network = AutoModelForSeq2SeqLM.from_pretrained(models / "t5", dtype=torch.bfloat16).eval()
        logits = network(
            **inputs, decoder_input_ids=torch.zeros(len(docs), 1, dtype=torch.long)
        ).logits
    rounded = logits[:, 0, tokenizer.convert_tokens_to_ids("<extra_id_10>")].double().numpy()
    scores = scores_of(loaded(models, "rankt5", dtype="bfloat16", batch_size=len(docs)), docs=docs)
    close(scores, rounded, BFLOAT16)
    assert len(set(scores)) > 1.2 * len(set(rounded))


@pytest.mark.parametrize("backend", sorted(PROMPTS))
@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("cross", "BertForSequenceClassification is not a T5 .* needs the cross-encoder backend"),
        ("judge", "Qwen3ForCausalLM is not a T5 .* needs the cross-encoder backend"),
        ("classifier", "T5ForSequenceClassification is not .* needs the cross-encoder backend"),
        ("bert", "BertModel is not a T5 .* needs the bi-encoder backend"),
        ("encoder", "T5EncoderModel is not .* needs the bi-encoder backend"),
    ],
)
def test_other_checkpoints_are_refused_with_the_right_backend(
    models: Path, backend: str, model: str, message: str
) -> None:
    with pytest.raises(RerankerError, match=message) as caught:
        loaded(models, backend, model)
    assert "\n" not in str(caught.value)


def test_the_cross_encoder_names_these_backends(models: Path) -> None:
    for model in ("t5", "mt5", "bare"):
        with pytest.raises(
            RerankerError, match=r"text-to-text checkpoint .* monot5 or rankt5 backend"
        ):
            loaded(models, "cross-encoder", model)


def test_a_checkpoint_that_lacks_weights_is_refused(models: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tiny_models.t5(tmp_path / "half")
    held = {
        name: weight
        for name, weight in load_file(folder / "model.safetensors").items()
        if not name.startswith("decoder.block.1")
    }
    save_file(held, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        RerankerError, match=r"decoder.block.1.* is not in the weights: not a whole model"
    ):
        loaded(tmp_path, "monot5", "half")


@pytest.mark.skipif(find_spec("sentencepiece") is not None, reason="sentencepiece is installed")
def test_an_old_tokenizer_names_the_packages_that_it_needs(tmp_path: Path) -> None:
    folder = tiny_models.t5(tmp_path / "old")
    (folder / "tokenizer.json").rename(folder / "spiece.model")
    with pytest.raises(
        Unavailable, match=r"sentencepiece not installed\. pip install sentencepiece"
    ):
        loaded(tmp_path, "monot5", "old")


def test_tokens_that_the_vocabulary_lacks_are_refused(models: Path) -> None:
    with pytest.raises(RerankerError, match="no token '▁wahr'; set token_true"):
        loaded(models, "monot5", token_true="wahr")
    with pytest.raises(RerankerError, match="no token '<extra_id_100>'; set token"):
        loaded(models, "rankt5", token="<extra_id_100>")
    with pytest.raises(RerankerError, match="token_true and token_false are the same token"):
        loaded(models, "monot5", token_true="no", token_false="▁no")


def test_rerank_before_load_is_an_error_and_close_frees(models: Path) -> None:
    local_models.needs_loading(rerankers.build("rankt5", "t5", base_dir=models))


def test_the_libraries_stay_silent(models: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for backend in PROMPTS:
        scores_of(loaded(models, backend))
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("backend", sorted(PROMPTS))
def test_scores_on_a_gpu_agree_with_the_cpus(models: Path, backend: str) -> None:
    reranker = rerankers.build(backend, "t5", "cuda", models)
    reranker.check()
    reranker.load()
    close(scores_of(reranker), scores_of(loaded(models, backend)), ACCELERATOR)
    assert reranker.describe().facts["device"] == "cuda:0"
