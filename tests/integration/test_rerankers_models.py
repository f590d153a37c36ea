"""The local models score what the libraries score, keep the query whole, and refuse what would
score nonsense.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench import rerankers
from bench.contract.request import CandidateList
from bench.core.errors import RerankerError, SuiteError
from bench.core.note import Code
from tests.support import tiny_models
from tests.support.agreement import ACCELERATOR, BFLOAT16, FLOAT16, UNITS, agree, close
from tests.support.local_models import DOCS, QUERY, loaded, needs_loading, scores_of, write_models

LONG = "the cold river bank and the moon " * 40


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_models(tmp_path_factory.mktemp("models"))


def logits(
    folder: Path, query: str, docs: list[str], truncation: str = "only_second"
) -> np.ndarray:
    """The classifier's raw outputs by transformers alone, pair by pair."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    with tiny_models.quiet(), torch.inference_mode():
        network, tokenizer = (
            AutoModelForSequenceClassification.from_pretrained(folder).eval(),
            AutoTokenizer.from_pretrained(folder),
        )
        pairs = [
            tokenizer(
                [query],
                [doc],
                truncation=truncation,
                max_length=tiny_models.MAX_LENGTH,
                return_tensors="pt",
            )
            for doc in docs
        ]
        return np.array([network(**pair).logits.item() for pair in pairs])


def predicted(folder: Path, query: str, docs: list[str]) -> np.ndarray:
    """What a bare CrossEncoder says with its own settings, but without its sigmoid."""
    from sentence_transformers import CrossEncoder

    with tiny_models.quiet():
        model = CrossEncoder(
            str(folder), activation_fn=torch.nn.Identity(), device="cpu", local_files_only=True
        )
        return np.asarray(
            model.predict([(query, doc) for doc in docs], show_progress_bar=False), dtype=np.float64
        )


# --- cross-encoders


@pytest.mark.parametrize("kind", ["cross", "xlmr"])
def test_scores_are_the_raw_logits_of_transformers(
    models: Path, kind: str, record_property: Any
) -> None:
    docs = [*DOCS, LONG]
    scores = scores_of(loaded(models, "cross-encoder", kind), docs=docs)
    agree(scores, logits(models / kind, QUERY, docs), record_property)
    assert scores.min() < 0 or scores.max() > 1, "a sigmoid would hide here"


@pytest.mark.parametrize("kind", ["cross", "xlmr", "modular", "judge"])
def test_scores_equal_plain_predict_where_no_query_is_cut(
    models: Path, kind: str, record_property: Any
) -> None:
    agree(
        scores_of(loaded(models, "cross-encoder", kind)),
        predicted(models / kind, QUERY, DOCS),
        record_property,
    )


def test_a_causal_rerankers_scores_are_yes_less_no_by_transformers_alone(
    models: Path, record_property: Any
) -> None:
    """Qwen3-Reranker's way: the chat template around query and document, then the next token's
    logits.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with tiny_models.quiet():
        tokenizer, network = (
            AutoTokenizer.from_pretrained(models / "judge"),
            AutoModelForCausalLM.from_pretrained(models / "judge").eval(),
        )
    yes, no = tokenizer.convert_tokens_to_ids(["yes", "no"])
    expected = []
    for doc in DOCS:
        said = [{"role": "query", "content": QUERY}, {"role": "document", "content": doc}]
        text = tokenizer.apply_chat_template(said, tokenize=False)
        with torch.inference_mode():
            last = network(**tokenizer(text, return_tensors="pt", add_special_tokens=False)).logits[
                0, -1
            ]
        expected.append(float(last[yes] - last[no]))
    scores = scores_of(loaded(models, "cross-encoder", "judge"))
    agree(scores, expected, record_property)
    assert np.ptp(scores) > 0.1


def test_a_long_query_is_kept_whole(models: Path) -> None:
    query = " ".join(["rain", "moon", "tea"] * 15)
    reranker = loaded(models, "cross-encoder", "cross")
    scores = scores_of(reranker, query, [LONG, "sun"])
    close(scores, logits(models / "cross", query, [LONG, "sun"]))
    assert abs(scores[0] - predicted(models / "cross", query, [LONG])[0]) > 1e-3, (
        "the library cuts this query; the test needs it to"
    )
    usage = reranker.meter.take()
    assert (usage.truncated, usage.cut_queries) == (1, 0)


def shared_logits(folder: Path, query: str, doc: str) -> float:
    """The raw output for a query cut to three quarters of the room, or to what the document leaves:
    by transformers alone.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    with tiny_models.quiet(), torch.inference_mode():
        network, tokenizer = (
            AutoModelForSequenceClassification.from_pretrained(folder).eval(),
            AutoTokenizer.from_pretrained(folder),
        )
        parts = [
            tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
            for text in (query, doc)
        ]
        room = tiny_models.MAX_LENGTH - 3
        kept = min(len(parts[1]), max(room // 4, room - len(parts[0])))
        cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
        first, second = [cls, *parts[0][: room - kept], sep], [*parts[1][:kept], sep]
        types = torch.tensor([[0] * len(first) + [1] * len(second)])
        return float(network(input_ids=torch.tensor([first + second]), token_type_ids=types).logits)


@pytest.mark.parametrize("words", [46, 47, 60, 61, 62, 300])
def test_a_long_query_leaves_every_document_its_share(models: Path, words: int) -> None:
    """A quarter of the room is 15 of 61 tokens: documents that begin alike stay apart however long
    the query is.
    """
    query = " ".join(
        ["rain", "moon", "tea"] * 100 if words == 300 else (["rain", "moon", "tea"] * 30)[:words]
    )
    docs = ["the sun and the moon", "the sun and the cat", LONG, ""]
    reranker = loaded_once(models, "cross")
    reranker.meter.take()
    scores = scores_of(reranker, query, docs)
    close(scores, [shared_logits(models / "cross", query, doc) for doc in docs])
    assert len(set(scores.round(4))) == len(docs)
    needed = [5, 5, 15, 0]
    usage = reranker.meter.take()
    assert usage.cut_queries == sum(words + tokens > 61 for tokens in needed)
    assert usage.truncated == usage.cut_queries + (words + 15 <= 61)


def test_a_query_that_is_cut_is_noted(collection: Path, tmp_path: Path) -> None:
    import bench
    from bench.records.rows import rows

    (collection / "queries.tsv").write_text("q1\tapple " + "cherry " * 100 + "\n")
    tiny_models.bert_cross_encoder(tmp_path / "ours")
    row = {"cross-encoder": {"model": str(tmp_path / "ours"), "name": "ours"}}
    suite = {
        "name": "long",
        "datasets": [f"files:{collection}"],
        "rerankers": [row],
        "depth": 4,
        "latency": None,
    }
    [ours] = [
        row
        for row in rows(bench.run(suite, out=tmp_path / "results", device="cpu"))
        if row.trial.reranker == "ours"
    ]
    assert Code.CUT_QUERIES in {note.code for note in ours.notes}


def test_a_chat_template_leaves_every_document_its_share(models: Path) -> None:
    reranker = loaded(models, "cross-encoder", "judge")
    scores = scores_of(reranker, "rain moon tea " * 60, ["cat sat", "cold bank", LONG])
    assert len(set(scores)) == 3
    assert reranker.meter.take().cut_queries == 3


@pytest.mark.parametrize("words", range(tiny_models.MAX_LENGTH - 6, tiny_models.MAX_LENGTH + 2))
@pytest.mark.parametrize("kind", ["cross", "xlmr"])
def test_every_query_length_around_the_limit_is_scored(models: Path, kind: str, words: int) -> None:
    assert np.isfinite(
        scores_of(loaded_once(models, kind), " ".join(["rain"] * words), ["", "tea", LONG])
    ).all()


_LOADED: dict[str, Any] = {}


def loaded_once(models: Path, kind: str) -> Any:
    if kind not in _LOADED:
        _LOADED[kind] = loaded(models, "cross-encoder", kind)
    return _LOADED[kind]


def test_tokens_are_counted_as_the_tokenizer_counts_them(models: Path) -> None:
    from transformers import AutoTokenizer

    docs = [*DOCS, LONG]
    reranker = loaded(models, "cross-encoder", "cross", batch_size=2)
    scores_of(reranker, docs=docs)
    usage = reranker.meter.take()
    encoded = AutoTokenizer.from_pretrained(models / "cross")(
        [QUERY] * 6, docs, truncation="only_second", max_length=tiny_models.MAX_LENGTH
    )
    assert usage.tokens == sum(len(ids) for ids in encoded["input_ids"])
    assert usage.slots > usage.tokens
    assert (usage.pairs, usage.truncated) == (6, 1)


def test_every_pair_of_a_text_that_a_bi_encoder_cuts_is_a_cut_pair(models: Path) -> None:
    """A long document that three queries share is encoded once, and cut for each of them; a long
    query is cut for all its documents.
    """
    reranker = loaded(models, "bi-encoder", "bi")
    requests = [
        CandidateList(str(i), query, ["a", "b"], [LONG, "tea"])
        for i, query in enumerate([QUERY, "rain", "fish", LONG])
    ]
    reranker.rerank(requests)
    usage = reranker.meter.take()
    assert (usage.pairs, usage.truncated, usage.cut_queries) == (8, 3 + 2, 2)
    once = reranker.rerank([CandidateList("q", QUERY, ["b"], ["tea"])])
    assert reranker.meter.take().truncated == 0
    assert once[0].shape == (1,)


def test_a_pair_that_fits_exactly_is_not_counted_as_cut(models: Path) -> None:
    room = (
        tiny_models.MAX_LENGTH - 3 - len(["how", "long", "does", "it", "rain"]) - 1
    )  # "it" is not in the vocabulary: two pieces
    reranker = loaded(models, "cross-encoder", "cross")
    scores_of(reranker, docs=[" ".join(["tea"] * room)])
    assert reranker.meter.take().truncated == 0
    scores_of(reranker, docs=[" ".join(["tea"] * (room + 1))])
    usage = reranker.meter.take()
    assert (usage.tokens, usage.truncated) == (tiny_models.MAX_LENGTH, 1)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_what_loaded_is_read_back(models: Path, dtype: str) -> None:
    reranker = loaded(
        models,
        "cross-encoder",
        "cross",
        dtype=dtype,
        max_length=32,
        attention="eager",
        batch_size=4,
    )
    description = reranker.describe()
    formats = {"bfloat16": "bfloat16+float32"}
    assert description.identity["dtype"] == formats.get(dtype, dtype)
    assert description.identity["max_length"] == 32
    assert description.identity["revision"] == reranker.fingerprint()["revision"]
    expected = {
        "class": "BertForSequenceClassification",
        "attention": "eager",
        "device": "cpu",
        "batch_size": 4,
        "model_type": "bert",
    }
    assert expected.items() <= description.facts.items()
    assert (
        description.facts["parameters"]
        == sum(p.numel() for p in reranker._model.parameters())
        > 20_000
    )
    assert str(models) not in str(description), "a record does not show where somebody's files lie"
    exact = scores_of(loaded(models, "cross-encoder", "cross"))
    close(
        scores_of(reranker),
        exact,
        {"float32": UNITS, "bfloat16": BFLOAT16, "float16": FLOAT16}[dtype],
    )


def test_a_prompt_stands_before_the_query(models: Path) -> None:
    reranker = loaded(models, "cross-encoder", "cross", prompt="what is ")
    close(scores_of(reranker), logits(models / "cross", f"what is {QUERY}", DOCS))
    assert reranker.describe().identity["prompt"] == "what is "


def test_two_loads_give_the_same_scores_and_the_fingerprint_follows_the_weights(
    models: Path, tmp_path: Path
) -> None:
    first, second = (
        loaded(models, "cross-encoder", "cross"),
        loaded(models, "cross-encoder", "cross"),
    )
    np.testing.assert_array_equal(scores_of(first), scores_of(second))
    tiny_models.bert_cross_encoder(tmp_path / "same")
    tiny_models.bert_cross_encoder(tmp_path / "other", seed=1)
    same, other = (
        rerankers.build("cross-encoder", str(tmp_path / name)).fingerprint()
        for name in ("same", "other")
    )
    assert same == first.fingerprint()
    assert other != first.fingerprint()
    assert (
        rerankers.build(
            "cross-encoder", {"model": "cross", "dtype": "float16"}, base_dir=models
        ).fingerprint()
        != first.fingerprint()
    )


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("encoder", r"no trained classification head in its weights"),
        ("bi", "no trained classification head"),
        (
            "three",
            r"3 labels \(0: LABEL_0, 1: LABEL_1, 2: LABEL_2\); .* as option 'label: 2' or by name",
        ),
        ("t5", "needs a monot5 or rankt5 backend"),
        ("plain", "causal language model without a chat template"),
        ("chat", "chat template of .* cannot carry a 'query'/'document' pair"),
        ("lora", "a PEFT adapter; give its base as 'model'"),
        ("packaged:nothing", "there is no packaged model 'nothing'"),
    ],
)
def test_checkpoints_that_would_score_nonsense_are_refused_in_one_line(
    models: Path, model: str, message: str
) -> None:
    with pytest.raises(RerankerError, match=message) as caught:
        loaded(models, "cross-encoder", model)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Heads with several labels: named for relevance, and for what follows from what."""
    folder = tmp_path_factory.mktemp("labelled")
    names = {
        "named": {0: "not_relevant", 1: "Relevant"},
        "turned": {0: "yes", 1: "no"},
        "bare": {0: "LABEL_0", 1: "LABEL_1"},
    }
    names["entails"] = {0: "contradiction", 1: "entailment", 2: "neutral"}
    for name, labels in names.items():
        tiny_models.bert_cross_encoder(folder / name, num_labels=len(labels), id2label=labels)
    return folder


def several_logits(folder: Path, docs: list[str]) -> np.ndarray:
    """The classifier's raw outputs by transformers alone. Shape: (documents, labels)."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    with tiny_models.quiet(), torch.inference_mode():
        network, tokenizer = (
            AutoModelForSequenceClassification.from_pretrained(folder).eval(),
            AutoTokenizer.from_pretrained(folder),
        )
        pairs = [tokenizer([QUERY], [doc], return_tensors="pt") for doc in docs]
        return np.array([network(**pair).logits[0].tolist() for pair in pairs])


@pytest.mark.parametrize(
    ("model", "label", "position"),
    [
        ("named", None, 1),
        ("turned", None, 0),
        ("bare", 1, 1),
        ("bare", 0, 0),
        ("named", "NOT_RELEVANT", 0),
        ("entails", "entailment", 1),
    ],
)
def test_of_several_labels_the_score_is_the_log_odds_of_one(
    labelled: Path, model: str, label: Any, position: int
) -> None:
    reranker = loaded(labelled, "cross-encoder", model, label=label)
    logits_ = several_logits(labelled / model, DOCS)
    others = np.delete(logits_, position, axis=1)
    close(scores_of(reranker), logits_[:, position] - np.log(np.exp(others).sum(axis=1)))
    assert reranker.describe().identity["label"] in (
        f"LABEL_{position}",
        "Relevant",
        "yes",
        "not_relevant",
        "entailment",
    )


def test_another_label_is_another_system(labelled: Path) -> None:
    first, second = (loaded(labelled, "cross-encoder", "bare", label=label) for label in (0, 1))
    assert first.fingerprint() != second.fingerprint()
    close(scores_of(first), -scores_of(second))


@pytest.mark.parametrize(
    ("model", "label", "message"),
    [
        (
            "bare",
            None,
            r"2 labels \(0: LABEL_0, 1: LABEL_1\).* say which label means relevant, as option "
            r"'label: 1'",
        ),
        ("bare", 2, "option 'label': there is no label 2; it has 0: LABEL_0, 1: LABEL_1"),
        ("named", "yes", "there is no label 'yes'"),
        ("entails", None, "3 labels"),
    ],
)
def test_a_label_that_is_not_known_is_one_line(
    labelled: Path, model: str, label: Any, message: str
) -> None:
    with pytest.raises(RerankerError, match=message) as caught:
        loaded(labelled, "cross-encoder", model, label=label)
    assert "\n" not in str(caught.value)


def test_a_label_where_there_is_one_score_is_refused(models: Path) -> None:
    with pytest.raises(RerankerError, match="has one label, which is its score; leave 'label' out"):
        loaded(models, "cross-encoder", "cross", label=0)
    with pytest.raises(SuiteError, match="option 'label': is a number or a name; put a name"):
        loaded(models, "cross-encoder", "cross", label=True)


def test_more_positions_than_the_model_has_are_refused(models: Path) -> None:
    for kind in ("cross", "xlmr"):
        with pytest.raises(
            RerankerError,
            match=f"max_length 65 is more than the {tiny_models.MAX_LENGTH} positions",
        ):
            loaded(models, "cross-encoder", kind, max_length=tiny_models.MAX_LENGTH + 1)


def test_a_tokenizer_without_a_limit_is_held_to_the_positions(models: Path, tmp_path: Path) -> None:
    for kind, build in (
        ("cross", tiny_models.bert_cross_encoder),
        ("xlmr", tiny_models.xlmr_cross_encoder),
    ):
        folder = build(tmp_path / kind)
        tiny_models.edit_json(folder / "tokenizer_config.json", model_max_length=10**30)
        scores = scores_of(loaded(tmp_path, "cross-encoder", kind), docs=[LONG])
        close(scores, logits(models / kind, QUERY, [LONG]))


def test_rerank_before_load_is_an_error_and_close_frees(models: Path) -> None:
    needs_loading(rerankers.build("cross-encoder", "cross", base_dir=models))


def test_the_libraries_stay_silent(models: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for backend, model in (("cross-encoder", "cross"), ("bi-encoder", "bi")):
        scores_of(loaded(models, backend, model))
    with pytest.raises(RerankerError):
        loaded(models, "cross-encoder", "encoder")
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(
    ("backend", "model"),
    [("cross-encoder", "cross"), ("cross-encoder", "modular"), ("bi-encoder", "bi")],
)
def test_scores_on_a_gpu_agree_with_the_cpus(models: Path, backend: str, model: str) -> None:
    reranker = rerankers.build(backend, model, "cuda", models)
    reranker.check()
    reranker.load()
    close(scores_of(reranker), scores_of(loaded(models, backend, model)), ACCELERATOR)
    assert reranker.describe().facts["device"] == "cuda:0"
    assert reranker.fingerprint()["device"] == "cuda"
