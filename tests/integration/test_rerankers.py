"""Every reranker of the table keeps the same contract; names are found late and mistakes are told
in one line.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import rerankers
from bench.catalogue import entries
from bench.contract.candidates import Candidates
from bench.contract.request import CandidateList
from bench.core.errors import RerankerError, SuiteError
from bench.models import sentence_transformer, tiny
from tests.support import fake_chat, fake_cohere, tiny_late, tiny_models
from tests.support.agreement import close

KEY = "secret-key-of-the-test"
DOCS = [
    "the cat sat",
    "hot tea and fish",
    "cold river",
    "money in the bank",
    "how long does it rain",
]
LEARN = {"ltr", "trained"}
"""What learns has tests of its own (test_ltr.py, test_trained_row.py)."""
COMPOSED = {"fuse", "blend", "skip", "cut", "calibrated"}
"""And so has what is made of others or works on what the stage before gave (test_composed.py,
test_calibrated.py).
"""
ALONE = sorted(set(rerankers.TABLE) - LEARN - COMPOSED)
LOCAL = ("cross-encoder", "bi-encoder", "late-interaction", "monot5", "rankt5", "llm", "listwise")
SHORT = {"llm": 900, "listwise": 1200}
"""Tokens that are few for a backend whose prompt alone has many; 48 for the others."""
INPUTS = {"bi-encoder": 3, "late-interaction": 3, "listwise": 1}
"""What a backend reads for a query and two documents, each within its limit; 2 for the others."""
EDGES = {
    "empty document": ("how long", ["the cat", "", "moon"]),
    "empty query": ("", ["the cat", "moon"]),
    "one document": ("cat", ["the cat sat"]),
    "one thousand documents": ("tea", [f"the tea is hot {i}" for i in range(1000)]),
    "document of 50,000 words": ("river", ["the cold river bank " * 12_500, "moon"]),
    "very long query": ("how long does the rain run " * 100, ["rain", "the moon " * 100]),
    "emoji": ("😀 cat", ["😀😀 dog 😀", "👩‍👩‍👧‍👦"]),
    "right to left": ("שלום", ["مرحبا", "שלום the cat"]),
    "NUL": ("ca\0t", ["the\0dog", "\0"]),
    "duplicate documents": ("dog", ["the dog", "the dog", "cat", "the dog"]),
    "white space": (" \t", ["\n", "   "]),
}


def request(query_id: str, query: str, docs: list[str]) -> CandidateList:
    return CandidateList(query_id, query, [f"d{i}" for i in range(len(docs))], docs)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """One loaded reranker for every name of the table."""
    folder = tmp_path_factory.mktemp("rerankers")
    (folder / "published.run").write_text(
        "".join(f"{q} Q0 d{i} {i + 1} {9 - i} x\n" for q in ("q", "a", "b") for i in range(3))
    )
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for variable in ("CO_API_KEY", "VOYAGE_API_KEY", "MXBAI_API_KEY", "JINA_API_KEY"):
            patch.setenv(variable, KEY)
        server, voyage, mixedbread, talker = (
            stack.enter_context(fake_cohere.serve()) for _ in range(4)
        )
        voyage.always, mixedbread.always, talker.always = (
            fake_cohere.good_voyage,
            fake_cohere.good_mixedbread,
            fake_chat.good_chat,
        )
        options = {
            "first-stage": None,
            "oracle": None,
            "run-file": "published.run",
            "word-overlap": None,
            "cross-encoder": str(tiny_models.bert_cross_encoder(folder / "cross")),
            "bi-encoder": str(tiny_models.bi_encoder(folder / "bi")),
            "late-interaction": str(tiny_late.late_interaction(folder / "late")),
            "monot5": str(tiny_models.t5(folder / "t5")),
            "rankt5": str(tiny_models.t5(folder / "rankt5", seed=1)),
            "cohere": {"model": "rerank-v3.5", "base_url": server.url},
            "voyage": {"model": "rerank-2.5", "base_url": voyage.url},
            "mixedbread": {
                "model": "mixedbread-ai/mxbai-rerank-base-v2",
                "base_url": mixedbread.url,
            },
            "rerank-server": {
                "model": "jina-reranker-m0",
                "base_url": server.url,
                "api_key_env": "JINA_API_KEY",
                "concurrency": 3,
            },
            "llm": {
                "model": str(tiny.chat(folder / "yes-no")),
                "token_true": "yes",
                "token_false": "no",
            },
            "listwise": {"model": str(tiny_models.terse_chat(folder / "chat"))},
            "listwise-server": {
                "model": "a-chat-model",
                "base_url": talker.url,
                "api_key_env": "JINA_API_KEY",
                "concurrency": 3,
            },
        }
        assert set(options) == set(ALONE), "a new reranker needs its options here"
        loaded: dict[str, Any] = {
            name: rerankers.build(name, value, base_dir=folder) for name, value in options.items()
        }
        for reranker in loaded.values():
            reranker.check()
            if hasattr(reranker, "bind"):
                reranker.bind({"q": {"d1": 3, "d4": 1}, "a": {"d0": 1}}, Candidates({}, 10, {}))
            reranker.fingerprint()
            reranker.load()
            reranker.load()
        yield loaded
        for reranker in loaded.values():
            reranker.close()


@pytest.fixture(params=ALONE)
def reranker(request: pytest.FixtureRequest, built: dict[str, Any]) -> Any:
    return built[request.param]


@pytest.mark.parametrize("case", sorted(EDGES))
def test_one_finite_score_per_document(reranker: Any, case: str) -> None:
    query, docs = EDGES[case]
    (scores,) = reranker.rerank([request("q", query, docs)])
    assert scores.shape == (len(docs),)
    assert scores.dtype == np.float64
    assert np.isfinite(scores).all()


def test_same_scores_alone_and_in_a_batch(reranker: Any) -> None:
    requests = [
        request("q", "hot tea", DOCS),
        request("a", "the cat", [*DOCS[::-1], "moon " * 30]),
        request("b", "rain", DOCS[:2]),
    ]
    together = reranker.rerank(requests)
    for alone, scores in zip(
        [reranker.rerank([one])[0] for one in requests], together, strict=True
    ):
        close(scores, alone)


def test_order_of_candidates_does_not_matter_to_pointwise_rerankers(reranker: Any) -> None:
    # another number of its words in every document
    query = "how long does it take for hot fish tea the cat"
    (scores,) = reranker.rerank([request("q", query, DOCS)])
    (turned,) = reranker.rerank([request("q", query, DOCS[::-1])])
    if reranker.pointwise:
        close(turned, scores[::-1])
    assert len(set(scores)) == len(DOCS), "the test's scores should differ, or it could not fail"


def test_equal_documents_get_equal_scores_from_pointwise_rerankers(reranker: Any) -> None:
    if not reranker.pointwise:
        pytest.skip("a listwise reranker orders equal documents too")
    (scores,) = reranker.rerank([request("q", "dog", ["the dog", "cat", "the dog"])])
    close(scores[:1], scores[2:])


def test_no_requests_and_no_documents(reranker: Any) -> None:
    assert reranker.rerank([]) == []
    empty, full = reranker.rerank([request("q", "cat", []), request("a", "cat", DOCS)])
    assert empty.shape == (0,)
    assert full.shape == (len(DOCS),)


def test_description_is_plain_data_and_repeats(reranker: Any) -> None:
    import json

    first, second = reranker.describe().to_dict(), reranker.describe().to_dict()
    assert json.loads(json.dumps(first)) == second
    assert first["backend"] in rerankers.TABLE
    assert first["identity"]
    assert KEY not in json.dumps([first, reranker.fingerprint(), repr(reranker)])


def again(name: str, built: dict[str, Any], **options: Any) -> Any:
    """The same backend and model, loaded with other options."""
    small = {"window": 2, "stride": 1} if name == "listwise" else {}
    reranker = rerankers.build(
        name, {**built[name].options.model_dump(exclude_unset=True), **small, **options}
    )
    reranker.load()
    return reranker


def tokens_of_a_long_document(reranker: Any) -> int:
    reranker.meter.take()
    reranker.rerank([request("q", "tea", ["the cold river bank " * 400, "moon"])])
    usage = reranker.meter.take()
    assert usage.truncated == 1
    return int(usage.tokens)


IN_BFLOAT16 = {"cross-encoder": "bfloat16+float32"}
"""The number formats on a CPU, where BERT's kin keep sums and their last layer in float32."""


@pytest.mark.parametrize("name", LOCAL)
def test_what_is_described_is_what_loaded(name: str, built: dict[str, Any]) -> None:
    """Length, number format and attention, the model's own and others: read back, and true of what
    is then read.
    """
    own, short = built[name].describe(), SHORT.get(name, 48)
    assert own.identity["dtype"] == "float32"
    assert own.facts["attention"] in ("sdpa", "eager")
    assert own.identity["max_length"] > short
    changed = again(name, built, max_length=short, dtype="bfloat16", attention="eager")
    description = changed.describe()
    assert description.identity["max_length"] == short
    assert description.identity["dtype"] == IN_BFLOAT16.get(name, "bfloat16")
    assert description.facts["attention"] == "eager"
    assert 0 < tokens_of_a_long_document(changed) <= short * INPUTS.get(name, 2)
    changed.close()


@pytest.mark.parametrize("attention", [None, "sdpa", "cudnn"])
def test_cudnns_attention_is_used_only_when_asked_for(
    attention: str | None, built: dict[str, Any]
) -> None:
    """cuDNN plans its kernels anew for each shape of a batch, on the cards where torch prefers
    it; what the process had chosen is restored.
    """
    import torch

    is_enabled = torch.backends.cuda.cudnn_sdp_enabled
    reranker = again("cross-encoder", built, attention=attention)
    during: list[bool] = []
    hook = torch.nn.modules.module.register_module_forward_pre_hook(
        lambda *_: during.append(is_enabled())
    )
    before = is_enabled()
    try:
        reranker.rerank([request("q", "tea", ["the cold river bank", "moon"])])
    finally:
        hook.remove()
        reranker.close()
    assert set(during) == {attention == "cudnn"}
    assert is_enabled() == before


@pytest.mark.parametrize("name", LOCAL)
def test_float32_is_float32_whatever_the_program_around_allows(
    name: str, built: dict[str, Any]
) -> None:
    """TF32 or bfloat16 in its place would be cached as float32; what was allowed is restored."""
    import torch

    during: list[str] = []
    hook = torch.nn.modules.module.register_module_forward_pre_hook(
        lambda *_: during.append(torch.get_float32_matmul_precision())
    )
    torch.set_float32_matmul_precision("medium")
    try:
        reranker = again(name, built)
        reranker.rerank([request("q", "tea", ["the cold river bank", "moon"])])
        reranker.close()
        assert set(during) == {"highest"}
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        hook.remove()
        torch.set_float32_matmul_precision("highest")


def test_float32_is_restored_where_its_parts_were_set() -> None:
    import torch

    product = torch.backends.cuda.matmul
    before = product.fp32_precision
    product.fp32_precision = "tf32"
    try:
        with sentence_transformer.whole_float32():
            assert torch.get_float32_matmul_precision() == "highest"
            assert product.fp32_precision == "ieee"
        assert product.fp32_precision == "tf32"
    finally:
        product.fp32_precision = before


@pytest.mark.parametrize("name", LOCAL)
def test_no_more_is_described_than_the_model_has(name: str, built: dict[str, Any]) -> None:
    """T5 counts positions from one token to another and takes any length; the others have so many
    and no more.
    """
    if name in ("monot5", "rankt5"):
        assert again(name, built, max_length=100_000).describe().identity["max_length"] == 100_000
    else:
        with pytest.raises(RerankerError, match="max_length 100000 is more than the"):
            again(name, built, max_length=100_000)


def test_usage_is_taken_once(reranker: Any) -> None:
    reranker.meter.take()
    reranker.rerank([request("q", "hot tea", DOCS)])
    usage = reranker.meter.take()
    assert usage.pairs == (0 if reranker.placement == "none" else len(DOCS))
    assert reranker.meter.take().pairs == 0


def test_placement_is_one_of_three(reranker: Any) -> None:
    assert reranker.placement in {"device", "remote", "none"}


# --- names and options


def test_unknown_names_get_the_nearest_of_both_tables() -> None:
    with pytest.raises(
        SuiteError, match=r"unknown reranker 'cros-encoder': did you mean 'cross-encoder'\?"
    ):
        rerankers.build("cros-encoder")
    with pytest.raises(SuiteError, match=r"did you mean 'minilm-l6'\?"):
        rerankers.options_for("minilm-l-6")
    with pytest.raises(SuiteError, match=r"'cross-encoder: \{model: BAAI/bge-reranker-base\}'"):
        rerankers.build("BAAI/bge-reranker-base")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "cross-encoder",
            {"model": "x", "batchsize": 8},
            "option 'batchsize': unknown key: did you mean 'batch_size'",
        ),
        ("cross-encoder", None, "option 'model': is missing"),
        (
            "cross-encoder",
            {"model": "x", "batch_size": 0},
            "option 'batch_size': input should be greater",
        ),
        (
            "cross-encoder",
            {"model": "x", "dtype": "int4"},
            "option 'dtype': input should be 'float32'",
        ),
        ("first-stage", "x", "options must be a mapping"),
        ("minilm-l6", "x", "options must be a mapping"),
        ("minilm-l6", {"depth": 3}, "option 'depth': unknown key"),
    ],
)
def test_wrong_options_are_told_in_one_line(name: str, options: object, message: str) -> None:
    with pytest.raises(SuiteError) as caught:
        rerankers.build(name, options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_catalogue_entry_stands_under_the_users_options() -> None:
    plain: Any = rerankers.build("minilm-l6")
    options = {"batch_size": 8, "revision": None, "name": "mine"}
    changed: Any = rerankers.build("minilm-l6", options)
    entry = entries.load()["minilm-l6"]
    assert plain.options.model == changed.options.model == entry.options["model"]
    assert plain.options.revision == entry.options["revision"]
    assert (changed.options.batch_size, changed.options.revision, changed.options.name) == (
        8,
        None,
        "mine",
    )


def test_paths_beside_the_suite_are_found_and_other_names_left_alone(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    for name, expected in (("model", str(tmp_path / "model")), ("owner/model", "owner/model")):
        reranker: Any = rerankers.build("cross-encoder", name, base_dir=tmp_path)
        assert reranker.options.model == expected


def test_an_outsiders_class_is_named_by_its_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = """
from bench.rerankers.base import BaseReranker, Description
import numpy as np
class Shortest(BaseReranker):
    def fingerprint(self): return {}
    def describe(self): return Description("shortest", {"rule": "length"})
    def rerank(self, requests):
        return [np.array([-float(len(doc)) for doc in request.docs]) for request in requests]
thing = 3
"""
    (tmp_path / "outsider_module.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    shortest: Any = rerankers.build("outsider_module:Shortest", {"name": "short"})
    (scores,) = shortest.rerank([request("q", "cat", ["the cat", "cat"])])
    assert scores.tolist() == [-7.0, -3.0]
    with pytest.raises(
        SuiteError,
        match=r"is not a class with a method score\(pairs\) or predict\(pairs\), nor a function",
    ):
        rerankers.build("outsider_module:thing")


def test_names_options_checks_and_fingerprints_import_nothing_heavy(
    built: dict[str, Any],
) -> None:
    heavy = (
        "torch",
        "numpy",
        "transformers",
        "sentence_transformers",
        "cohere",
        "voyageai",
        "mixedbread",
        "httpx",
        "peft",
        "pandas",
    )
    code = f"""
import sys
from bench import rerankers
from bench.catalogue import entries
for name in [*rerankers.TABLE, *entries.load()]:
    rerankers.options_for(name)
for name, path in {[(name, built[name].options.model) for name in LOCAL]!r}:
    reranker = rerankers.build(name, path)
    reranker.check()
    reranker.fingerprint()
print([name for name in {heavy!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
