"""Long texts are cut before they are tokenised, and no score knows of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench import rerankers
from bench.contract.request import CandidateList
from bench.models import clip, tiny
from bench.models.clip import Clip
from bench.models.tiny import quiet
from bench.models.token_ids import token_counts
from tests.support import tiny_models

LIMIT = 24
NO_CUT = 1 << 40
"""Characters per token at which no text is long."""
JUDGE = ["judge {query}", " text {document}", " answer"]
BACKENDS: dict[str, tuple[Callable[[Path], Path], dict[str, Any]]] = {
    "cross-encoder": (tiny_models.bert_cross_encoder, {}),
    "bi-encoder": (tiny_models.bi_encoder, {}),
    "late-interaction": (tiny.late_interaction, {}),
    "monot5": (tiny_models.t5, {}),
    "llm": (tiny_models.qwen3, {"template": JUDGE, "token_true": "yes", "token_false": "no"}),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def tokenizers(folder: Path) -> dict[str, Any]:
    """WordPiece, a sentencepiece unigram, bytes, and the published one where it is installed."""
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    with quiet():
        found = {
            "wordpiece": tiny_models.bert_tokenizer(),
            "unigram": AutoTokenizer.from_pretrained(
                tiny_models.xlmr_cross_encoder(folder / "xlmr")
            ),
            "bytes": AutoTokenizer.from_pretrained(tiny_models.qwen3(folder / "qwen")),
            "t5": tiny_models.t5_tokenizer(),
        }
    try:
        from bench.models.weights import MODELS

        core = Tokenizer.from_file(str(MODELS["all-MiniLM-L6-v2"].folder() / "tokenizer.json"))
    except Exception:
        return found
    core.no_truncation()
    return {**found, "published": PreTrainedTokenizerFast(tokenizer_object=core)}


words = st.sampled_from(
    [
        "the",
        "cat",
        "sat",
        "on",
        "Straße",
        "naïve",
        "e\u0301te\u0301",
        "東京都",
        "हिन्दी",
        "🙂",
        "a" * 130,
        "x-y_z",
        "3.14",
        "¿qué?",
    ]
)
spaces = st.sampled_from([" ", "  ", "\n", "\t", "\u3000", "", " " * 300])
texts = st.builds(
    lambda parts, times: "".join(word + space for word, space in parts) * times,
    st.lists(st.tuples(words, spaces), min_size=1, max_size=12),
    st.sampled_from([1, 20, 200]),
)


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(text=texts)
def test_the_tokens_that_a_model_reads_are_those_of_the_whole_text(
    tokenizers: dict[str, Any], text: str
) -> None:
    for name, tokenizer in tokenizers.items():

        def read(text: str, tokenizer: Any = tokenizer) -> list[int]:
            ids: list[int] = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
            return ids

        short = Clip(tokenizer, LIMIT)(text)
        assert text.startswith(short)
        assert read(short)[:LIMIT] == read(text)[:LIMIT], name
        assert (len(read(short)) > LIMIT) == (len(read(text)) > LIMIT), (
            f"{name}: whether it is cut is the same"
        )


def test_a_long_text_is_cut_and_others_are_left_alone(tokenizers: dict[str, Any]) -> None:
    cut = Clip(tokenizers["wordpiece"], LIMIT)
    prose = "the cat sat on the mat " * 100_000
    assert len(cut(prose)) <= LIMIT * clip.CHARACTERS_PER_TOKEN + clip.SPARE_CHARACTERS
    assert cut(prose).endswith((" the", " cat", " sat", " on", " mat")), "between two words"
    assert cut("the cat " * 20) == "the cat " * 20
    blank = "the cat" + " " * 100_000 + "sat"
    assert cut(blank) == blank, "few tokens in many characters: all of it is read"
    assert Clip(tokenizers["wordpiece"], None)(prose) == prose, "no limit, no cut"
    tokenizers["wordpiece"].truncation_side = "left"
    try:
        assert Clip(tokenizers["wordpiece"], LIMIT)(prose) == prose, (
            "a model that reads the end is given the end"
        )
    finally:
        tokenizers["wordpiece"].truncation_side = "right"


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_scores_and_counts_are_the_same_with_and_without_the_cut(
    backend: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build, options = BACKENDS[backend]
    model = build(folder / backend)
    rng = random.Random(7)
    docs = [
        " ".join(rng.choices(tiny.WORDS, k=rng.choice([3, 40, 900])))
        + ("東京" * 400 if i % 5 == 0 else "")
        for i in range(12)
    ]
    requests = [CandidateList("q", "hot tea", [str(i) for i in range(12)], docs)]
    if backend != "llm":  # whose long queries are shortened by their characters
        requests.append(CandidateList("long", docs[0] * 9, ["a", "b"], docs[:2]))

    def outcome(characters: int) -> tuple[Sequence[Any], Any]:
        monkeypatch.setattr(clip, "CHARACTERS_PER_TOKEN", characters)
        reranker: Any = rerankers.build(backend, {"model": str(model), "max_length": 48, **options})
        reranker.load()
        prefixes: list[str] = []

        def counts(tokenizer: Any, texts: Sequence[str]) -> list[int]:
            prefixes.extend(texts)
            return token_counts(tokenizer, texts)

        monkeypatch.setattr(clip, "token_counts", counts)
        scores = reranker.rerank(requests)
        assert bool(prefixes) == (characters < NO_CUT), "the cut is at work, or it is not"
        return scores, reranker.meter.take()

    cut, whole = outcome(8), outcome(NO_CUT)
    for mine, theirs in zip(cut[0], whole[0], strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert cut[1] == whole[1]
    assert cut[1].truncated > 0
