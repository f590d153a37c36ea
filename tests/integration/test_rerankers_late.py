"""Late interaction against MaxSim worked out by hand, one text at a time; word overlap against its
definition.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench import rerankers
from bench.contract.request import CandidateList
from bench.core.errors import RerankerError, SuiteError
from bench.ranking.order import rank
from bench.rerankers.local import late_interaction
from bench.rerankers.reference import word_overlap
from tests.support import local_models, tiny_late, tiny_models
from tests.support.agreement import BFLOAT16, agree, close

QUERY = "how long does rain run"
DOCS = [
    "the cat sat, the dog sat.",
    "rain!",
    "",
    "hot tea and fish on the cold river bank " * 5,
    "how long does it rain",
    "money, money, money.",
]
EXPANSION = {"strategy": "fixed", "attend": False, "length": 12}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("late")
    tiny_late.late_interaction(folder / "plain")
    prompts = {"query": "what ", "document": "the "}
    limits: dict[str, Any] = {"document_length": 24, "query_expansion": EXPANSION}
    tiny_late.late_interaction(
        folder / "colbert", prompts=prompts, skipped=tiny_late.SKIPPED, **limits
    )
    tiny_late.pylate(folder / "pylate")
    tiny_late.pylate(folder / "pylate-old", kind=None)
    tiny_late.stanford(folder / "stanford")
    return folder


def loaded(models: Path, model: str, **options: Any) -> Any:
    reranker: Any = rerankers.build(
        "late-interaction", {"model": model, **options}, base_dir=models
    )
    reranker.load()
    return reranker


def scores_of(reranker: Any, docs: list[str] = DOCS, query: str = QUERY) -> Any:
    return local_models.scores_of(reranker, query, docs)


def vectors(
    folder: Path, text: str, limit: int, *, expand: bool = False, skipped: tuple[str, ...] = ()
) -> Any:
    """The unit vectors of one text's tokens, without a batch and without padding, from the bare
    encoder and the projection.
    """
    from safetensors.torch import load_file
    from transformers import AutoModel, AutoTokenizer

    base = folder.with_name(f"{folder.name}-base")
    with tiny_models.quiet():
        network, tokenizer = (
            AutoModel.from_pretrained(base).eval(),
            AutoTokenizer.from_pretrained(base),
        )
    ids = tokenizer(text, truncation=True, max_length=limit)["input_ids"]
    seen = len(ids)
    ids = ids + [tokenizer.mask_token_id] * (limit - seen if expand else 0)
    mask = torch.tensor([[1] * seen + [0] * (len(ids) - seen)])
    with torch.inference_mode():
        hidden = network(input_ids=torch.tensor([ids]), attention_mask=mask).last_hidden_state[0]
    projected = (
        hidden.numpy()
        @ load_file(next(folder.glob("*Dense")) / "model.safetensors")["linear.weight"].numpy().T
    )
    kept = [
        i
        for i, token in enumerate(ids)
        if token not in tokenizer.convert_tokens_to_ids(list(skipped))
    ]
    return [vector / np.linalg.norm(vector) for vector in projected[kept]]


def brute_force(query: Any, document: Any) -> float:
    return float(sum(max(float(q @ d) for d in document) for q in query))


@pytest.mark.parametrize("batch_size", [1, 4, 32])
def test_plain_scores_are_maxsim(models: Path, batch_size: int, record_property: Any) -> None:
    query = vectors(models / "plain", QUERY, 64)
    expected = [brute_force(query, vectors(models / "plain", doc, 64)) for doc in DOCS]
    agree(scores_of(loaded(models, "plain", batch_size=batch_size)), expected, record_property)


@pytest.mark.parametrize("batch_size", [1, 32])
def test_prompts_expansion_limits_and_skipped_words_are_the_models_own(
    models: Path, batch_size: int
) -> None:
    query = vectors(models / "colbert", "what " + QUERY, 12, expand=True)
    assert len(query) == 12
    skipped = tuple(tiny_late.SKIPPED)
    expected = [
        brute_force(query, vectors(models / "colbert", "the " + doc, 24, skipped=skipped))
        for doc in DOCS
    ]
    reranker = loaded(models, "colbert", batch_size=batch_size)
    close(scores_of(reranker), expected)
    identity = reranker.describe().identity
    assert (identity["query_prompt"], identity["document_prompt"]) == ("what ", "the ")
    assert (identity["max_length"], identity["query_length"]) == (24, 12)
    assert identity["skipped_words"] == sorted(tiny_late.SKIPPED)


def test_given_prompts_stand_above_the_models_own(models: Path) -> None:
    bare = loaded(models, "colbert", query_prompt="", document_prompt="")
    query = vectors(models / "colbert", QUERY, 12, expand=True)
    skipped = tuple(tiny_late.SKIPPED)
    expected = [
        brute_force(query, vectors(models / "colbert", doc, 24, skipped=skipped)) for doc in DOCS
    ]
    close(scores_of(bare), expected)
    assert bare.describe().identity["query_prompt"] is None


def test_scores_do_not_depend_on_the_company(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reranker = loaded(models, "colbert")
    together = scores_of(reranker)
    alone = [scores_of(reranker, [doc])[0] for doc in DOCS]
    close(together, alone)
    many = [
        CandidateList(str(i), query, ["a"] * len(DOCS), DOCS[::step])
        for i, (query, step) in enumerate([(QUERY, 1), ("cat", -1), (QUERY, 1)])
    ]
    whole = reranker.rerank(many)
    monkeypatch.setattr(late_interaction, "BLOCK", 2)
    for one, other in zip(whole, reranker.rerank(many), strict=True):
        close(one, other)
    close(whole[0], together)


def test_a_document_that_many_queries_share_is_encoded_once(models: Path) -> None:
    reranker = loaded(models, "plain")
    scores_of(reranker)
    once = reranker.meter.take()
    many = reranker.rerank(
        [CandidateList(str(i), QUERY, ["a"] * len(DOCS), DOCS) for i in range(7)]
    )
    usage = reranker.meter.take()
    assert usage.tokens == once.tokens
    assert usage.pairs == 7 * len(DOCS)
    np.testing.assert_array_equal(many[0], many[6])


def test_real_tokens_and_cut_texts_are_counted(models: Path) -> None:
    reranker = loaded(models, "colbert")
    fits, cut = (
        "cat " * 21,
        "cat " * 22,
    )  # 24 tokens with the prompt's word and the two marks, and one more
    scores_of(reranker, [fits, cut], "cat")
    usage = reranker.meter.take()
    assert (usage.truncated, usage.cut_queries) == (1, 0)
    assert usage.tokens == (2 + 2) + 24 + 24
    scores_of(reranker, ["cat"], "cat " * 40)
    usage = reranker.meter.take()
    assert (usage.truncated, usage.cut_queries) == (1, 1)


def test_every_pair_of_a_cut_text_is_a_cut_pair(models: Path) -> None:
    """A long document that three queries share is encoded once, and cut for each of them; a long
    query is cut for all its documents.
    """
    reranker = loaded(models, "colbert")
    long, short = "cat " * 60, "cat"
    requests = [
        CandidateList(str(i), query, ["a", "b"], [long, short])
        for i, query in enumerate(["tea", "rain", "fish", "tea " * 40])
    ]
    reranker.rerank(requests)
    usage = reranker.meter.take()
    assert (usage.pairs, usage.truncated, usage.cut_queries) == (8, 3 + 2, 2)
    reranker.rerank([CandidateList("q", "tea", ["b"], [short])])
    assert reranker.meter.take().truncated == 0


def test_a_maximum_length_holds_for_documents(models: Path) -> None:
    shorter, longer = (
        loaded(models, "colbert", max_length=8),
        loaded(models, "colbert", max_length=48),
    )
    assert (
        shorter.describe().identity["max_length"],
        longer.describe().identity["max_length"],
    ) == (8, 48)
    # Sums in another order differ by 1e-5; a document that is cut differs by more.
    assert scores_of(shorter)[3] != pytest.approx(scores_of(longer)[3], abs=1e-3)
    with pytest.raises(RerankerError, match="max_length 65 is more than the 64 positions"):
        loaded(models, "plain", max_length=65)


@pytest.mark.parametrize("model", ["pylate", "pylate-old", "stanford"])
def test_checkpoints_of_pylate_and_of_stanford_bring_their_settings(
    models: Path, model: str
) -> None:
    reranker = loaded(models, model)
    identity = reranker.describe().identity
    assert (identity["query_prompt"], identity["document_prompt"]) == ("how ", "what ")
    assert (identity["max_length"], identity["query_length"]) == (24, 8)
    assert identity["query_expansion"]["strategy"] == "fixed"
    assert identity["skipped_words"] == ([] if model == "stanford" else sorted(tiny_late.SKIPPED))
    np.testing.assert_array_equal(
        scores_of(loaded(models, model)), scores_of(reranker)
    )  # no random projection


@pytest.mark.parametrize("kind", ["bi_encoder", "bert_encoder", "bert_cross_encoder"])
def test_what_would_get_a_random_projection_is_refused(tmp_path: Path, kind: str) -> None:
    folder = getattr(tiny_models, kind)(tmp_path / "other")
    with pytest.raises(
        RerankerError,
        match=r"other: no late-interaction checkpoint.* use bi-encoder or cross-encoder",
    ) as caught:
        rerankers.build("late-interaction", str(folder)).load()
    assert "\n" not in str(caught.value)


def test_a_broken_configuration_is_told_in_one_line(tmp_path: Path) -> None:
    folder = tiny_models.bert_encoder(tmp_path / "broken")
    (folder / "modules.json").write_text("{")
    with pytest.raises(RerankerError, match="JSONDecodeError"):
        rerankers.build("late-interaction", str(folder)).load()


def test_half_precision_scores_stay_near(models: Path) -> None:
    full, half = loaded(models, "plain"), loaded(models, "plain", dtype="bfloat16")
    assert half.describe().identity["dtype"] == "bfloat16"
    close(scores_of(half), scores_of(full), BFLOAT16)


def test_the_key_of_the_cache_knows_the_options(models: Path) -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"max_length": 16},
        {"query_prompt": "x "},
        {"document_prompt": ""},
        {"dtype": "bfloat16"},
    ]
    built = [
        rerankers.build("late-interaction", {"model": "plain", **change}, base_dir=models)
        for change in changes
    ]
    keys = [json.dumps(one.fingerprint(), sort_keys=True) for one in built]
    assert len(set(keys)) == len(changes)


def test_nothing_is_scored_before_loading(models: Path) -> None:
    with pytest.raises(RerankerError, match=r"load\(\) comes before"):
        scores_of(rerankers.build("late-interaction", "plain", base_dir=models))


# --- word overlap


def test_word_overlap_is_the_share_of_distinct_query_words() -> None:
    reranker: Any = rerankers.build("word-overlap")
    docs = ["The CAT sat on the cat", "catalogue", "", "dog, cat!", "cat_dog"]
    (scores,) = reranker.rerank([CandidateList("q", "cat Dog cat?", list("abcde"), docs)])
    assert scores.tolist() == [0.5, 0.0, 0.0, 1.0, 0.0]
    assert (reranker.placement, reranker.pointwise, reranker.fingerprint()) == ("none", True, {})
    with pytest.raises(SuiteError, match="unknown key"):
        rerankers.build("word-overlap", {"model": "x"})


def test_ties_of_word_overlap_fall_to_the_tie_rule() -> None:
    reranker: Any = rerankers.build("word-overlap")
    (scores,) = reranker.rerank(
        [CandidateList("q", "tea", ["d1", "d3", "d2"], ["tea", "hot tea", "fish"])]
    )
    ranking = rank(["d1", "d3", "d2"], scores)
    assert (ranking.doc_ids, ranking.ties) == (("d3", "d1", "d2"), 2)


@given(st.text(), st.text())
def test_word_overlap_holds_for_any_text(query: str, document: str) -> None:
    reranker: Any = rerankers.build("word-overlap")
    pairs = [(query, document), (query, f"{document} {query}"), (f"{query} {query}", document)]
    share, of_itself, of_twice = reranker.score(pairs).tolist()
    assert 0.0 <= share <= 1.0
    assert of_itself == (1.0 if word_overlap.words(query) else 0.0)
    assert of_twice == share
