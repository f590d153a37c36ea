"""Changing an option changes the keys that it declares, and no other: over every option of every
stage. What nobody declares would let one row take another one's cached scores, or compare times
that were taken in two ways.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from huggingface_hub import constants

from bench import datasets, rerankers, retrieval
from bench.catalogue import entries
from bench.contract.candidates import Candidates
from bench.contract.identity import Identity
from bench.core.digest import digest_of
from bench.core.options import Decides, decision, option
from bench.models import hub, tiny
from bench.records.keys import (
    identity_of,
    make_key,
    quality_key,
    speed_key,
    speed_settings,
    system_key,
)
from bench.rerankers.base import Description, PointwiseReranker
from bench.rerankers.description import described, identified
from bench.rerankers.local import settling
from bench.rerankers.local.bi_encoder import BiEncoderReranker
from bench.rerankers.local.runtimes import Setup, export
from bench.rerankers.options import RerankerOptions
from bench.retrieval.own_document import candidates_of
from bench.runner.record import candidates_fields
from tests.support import fake_cohere, tiny_late, tiny_models
from tests.support.made_maps import CURVE, STEPS, map_file
from tests.support.paths import ROOT

OLD, NEW = "a" * 40, "b" * 40
"""Two commits of each model of the hub."""
SYSTEM_TEMPLATE = (
    "judge by {{ messages[0].content if messages[0].role == 'system' else 'nothing' }}: "
    "{{ (messages | selectattr('role', 'eq', 'query') | first).content }} text: "
    "{{ (messages | selectattr('role', 'eq', 'document') | first).content }} answer:"
)
EXAMPLES: Mapping[str, Any] = {
    "adapter": "lora-2",
    "api_key_env": "VOYAGE_API_KEY",
    "body": {"top": 1},
    "document": "{text}",
    "grades": {0: 0, 1: 2, 2: 3},
    "language": "de",
    "max_length": 48,
    "min_relevance": 2,
    "only": "some.txt",
    "own_document": "drop",
    "pipeline": f"{__name__}:other_pipeline",
    "price": {"usd": 2, "per": "1000 searches"},
    "qrels": "others/fewer.txt",
    "queries": 1,
    "trained_on": ["msmarco"],
    "revision": NEW,
    "stemmer": "german",
    "stopwords": ["fruit"],
    "token": "▁cat",
    "token_false": "dog",
    "token_pattern": "[a-z]+",
    "token_true": "cat",
}
"""Another valid value, where the type of an option does not say one."""
OWN_EXAMPLES: Mapping[tuple[str, str], Any] = {
    ("ltr", "bm25"): {"k1": 2},
    ("ltr", "encoder"): "word-overlap",
    ("ltr", "features"): ["before"],
    ("ltr", "fields"): ["price"],
    ("ltr", "first_stages"): ["bm25"],
    ("ltr", "functions"): [f"{__name__}:other_pipeline"],
    ("ltr", "load"): "model.json",
    ("ltr", "text_fields"): ["text"],
    ("ltr", "train"): "embedded:everyday-train",
    ("llm", "max_length"): 900,
    ("listwise", "max_length"): 8000,
    ("llm", "template"): "qwen3-reranker",
    ("monot5", "prompt"): "Q: {query} D: {document}",
    ("rankt5", "prompt"): "Q: {query} D: {document}",
    ("fuse", "of"): ["word-overlap", {"word-overlap": {"name": "other"}}],
    ("fuse", "weights"): [1, 2],
    ("blend", "of"): "word-overlap",
    ("blend", "weight"): 0.25,
    ("fuse", "maps"): ["curve.json", "curve.json"],
    ("blend", "maps"): ["curve.json", "curve.json"],
    ("fuse", "norm"): "min-max",
    ("trained", "recipe"): "other-recipe.yaml",
    ("trained", "fractions"): [0.5, 1],
    ("calibrated", "of"): "word-overlap",
    ("calibrated", "map"): "curve.json",
    ("calibrated", "group"): "en",
    ("skip", "of"): "word-overlap",
    ("skip", "when"): {"top_below": 1},
}
CROSS = {"cross-encoder": {"model": "owner/cross-encoder", "revision": OLD}}
BI = {"bi-encoder": {"model": "owner/bi-encoder", "revision": OLD}}
COMPOSED: Mapping[str, Mapping[str, Any]] = {
    "fuse": {"of": [CROSS, BI]},
    "blend": {"of": CROSS},
    "calibrated": {"of": "word-overlap", "map": "steps.json"},
    "skip": {"of": CROSS, "when": {"margin_below": 1}},
    "cut": {},
}
"""Rerankers that are made of others."""
CALIBRATED: Mapping[str, Any] = {
    "by": "weighted",
    "norm": "calibrated",
    "maps": ["steps.json"] * 2,
    "other": "note",
}
WORDS: Mapping[str, Any] = {"of": ["word-overlap", {"word-overlap": {"name": "b"}}]}
CALIBRATED_BY_THEIR_OWN = {**CALIBRATED, **WORDS, "other": "refuse"}
BASES: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("cross-encoder", "adapter"): {"model": "encoder", "revision": None, "adapter": "lora-1"},
    ("cross-encoder", "instruction"): {"model": "judge", "revision": None},
    ("cross-encoder", "label"): {"model": "three", "revision": None, "label": 0},
    ("calibrated", "of"): {"of": CROSS, "other": "note"},
    ("fuse", "norm"): {"by": "weighted"},
    ("fuse", "maps"): CALIBRATED,
    ("fuse", "other"): CALIBRATED_BY_THEIR_OWN,
    ("blend", "maps"): {"norm": "calibrated", "maps": ["steps.json"] * 2, "other": "note"},
    ("blend", "other"): {"of": "word-overlap", "norm": "calibrated", "maps": ["steps.json"] * 2},
    ("fuse", "folds"): {"weights": "tuned"},
    ("fuse", "seed"): {"weights": "tuned"},
    ("blend", "folds"): {"weight": "tuned"},
    ("blend", "seed"): {"weight": "tuned"},
    ("skip", "folds"): {"when": {"margin_quantile": 0.5}},
    ("skip", "seed"): {"when": {"margin_quantile": 0.5}},
}
"""What an option is changed from, where the usual one has no use for it."""
TUNED = {"weights": "tuned", "folds": 2}
FIRST_STAGE_BASES: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("hybrid", "norm"): {"by": "weighted"},
    ("hybrid", "folds"): {"weights": "tuned", "folds": 2},
    ("hybrid", "seed"): TUNED,
    ("hybrid", "maps"): CALIBRATED,
    ("hybrid", "other"): {
        **CALIBRATED,
        "of": ["bm25", {"bm25": {"name": "b", "k1": 2}}],
        "maps": ["of-bm25.json", "of-b.json"],
        "other": "refuse",
    },
    ("hybrid", "train"): {
        "weights": "tuned",
        "of": ["bm25", {"bm25": {"name": "b", "k1": 2}}],
        "train": "files:more",
    },
}
FIRST_STAGE_EXAMPLES: Mapping[tuple[str, str], Any] = {
    ("hybrid", "of"): ["bm25", {"run": "two.run"}],
    ("hybrid", "weights"): [1, 2],
    ("hybrid", "train"): "files:others",
    ("hybrid", "by"): "weighted",
    ("hybrid", "maps"): ["curve.json"] * 2,
    ("hybrid", "other"): "note",
}
ELSEWHERE = ("weights",)
"""`weights: random` is a class of its own, which the catalogue builds: see the test below."""


@dataclass(frozen=True)
class Keys:
    fingerprint: str
    system: str
    speed: str

    def changed(self, other: Keys) -> set[str]:
        return {name for name, value in vars(self).items() if vars(other)[name] != value}


@dataclass
class Place:
    """Models, servers and files that options can name."""

    folder: Path
    options: dict[str, dict[str, Any]]
    others: dict[tuple[str, str], Any] = field(default_factory=dict)

    def keys(self, name: str, options: Mapping[str, Any]) -> Keys:
        reranker = rerankers.build(name, options, base_dir=self.folder)
        reranker.bind({"q": {"d1": 1}}, Candidates({}, 10, {}))
        fingerprint = identified(reranker)
        reranker.load()
        try:
            description = described(reranker)
        finally:
            reranker.close()
        system = system_key(identity_of(description))
        settings = speed_settings(reranker.options, description["facts"])
        speed = speed_key(make_key({}), system, {}, {}, settings)
        return Keys(digest_of(fingerprint) if fingerprint else "", system.hash, speed.hash)


@pytest.fixture(autouse=True)
def _keys(own_cache_and_no_keys: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("CO_API_KEY", "VOYAGE_API_KEY", "MXBAI_API_KEY"):
        monkeypatch.setenv(variable, "key")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("place")
    for name in ("one.run", "two.run"):
        (folder / name).write_text(f"q Q0 d1 1 9 {name}\n")
    (folder / "model.json").write_text("{}")
    recipe = (ROOT / "suites" / "recipes" / "tiny.yaml").read_text(encoding="utf-8")
    (folder / "recipe.yaml").write_text(recipe)
    (folder / "other-recipe.yaml").write_text(f"{recipe}seed: 7\n")
    map_file(folder / "steps.json", groups={"en": CURVE})
    map_file(folder / "curve.json", CURVE)
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("SENTENCE_TRANSFORMERS_HOME", str(folder / "hub"))
        patch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
        patch.setattr(torch._dynamo.config, "disable", True)  # `compile` without a compiler
        patch.setattr(export, "_export", write_graph)
        patch.setattr(settling, "_distance", lambda scorer, expected: 0.0)
        hub.commit.cache_clear()
        urls = [stack.enter_context(fake_cohere.serve()).url for _ in range(2)]
        api = {"model": "m", "base_url": urls[0]}
        usual: dict[str, dict[str, Any]] = {
            "first-stage": {},
            "oracle": {},
            "ltr": {},
            "trained": {"recipe": "recipe.yaml"},
            "word-overlap": {},
            "run-file": {"path": "one.run"},
            **dict.fromkeys(("cohere", "voyage", "mixedbread", "rerank-server"), api),
            "listwise-server": api,
            **{name: {"model": f"owner/{name}", "revision": OLD} for name in _models(folder)},
        }
        usual |= {name: dict(options) for name, options in COMPOSED.items()}
        usual["llm"] |= {"token_true": "yes", "token_false": "no"}
        made = Place(folder, usual, {("run-file", "path"): "two.run"})
        for name, options in usual.items():
            if "base_url" in options:
                made.others[name, "base_url"] = urls[1]
            elif "revision" in options:
                made.others[name, "model"] = f"owner/{name}-2"
        yield made
        hub.commit.cache_clear()


def write_graph(setup: Setup, path: Path) -> None:
    """Write a graph with the inputs and the output of an exported network, which takes seconds to
    make: no key depends on the scores, which are others.
    """
    onnx = pytest.importorskip("onnx")
    make, kinds = onnx.helper, onnx.TensorProto
    first, *_ = setup.example
    nodes = [
        make.make_node("Cast", [first], ["numbers"], to=kinds.FLOAT),
        make.make_node("ReduceMean", ["numbers"], ["scores"], axes=[1]),
    ]
    inputs = [
        make.make_tensor_value_info(name, kinds.INT64, ["rows", "tokens"]) for name in setup.example
    ]
    output = make.make_tensor_value_info("scores", kinds.FLOAT, ["rows", 1])
    graph = make.make_graph(nodes, "graph", inputs, [output])
    edition = make.make_opsetid("", 13)
    onnx.save(make.make_model(graph, opset_imports=[edition], ir_version=8), path)


def _models(folder: Path) -> list[str]:
    """Write the models, two of each backend with two commits into a cache of the hub."""
    tiny_models.bert_encoder(folder / "encoder")
    for seed in (1, 2):
        tiny_models.lora_adapter(folder / f"lora-{seed}", folder / "encoder", seed=seed)
    tiny.qwen3(folder / "judge", chat_template=SYSTEM_TEMPLATE)
    tiny_models.bert_cross_encoder(folder / "three", num_labels=3)
    models = {
        "cross-encoder": tiny_models.bert_cross_encoder(folder / "made-cross"),
        "bi-encoder": tiny_models.bi_encoder(folder / "made-bi"),
        "late-interaction": tiny_late.late_interaction(folder / "made-late"),
        "monot5": tiny_models.t5(folder / "made-t5"),
        "rankt5": tiny_models.t5(folder / "made-rankt5"),
        "llm": tiny.chat(folder / "made-llm"),
        "listwise": tiny_models.terse_chat(folder / "made-chat"),
    }
    sparse = {"sparse": tiny_models.splade(folder / "made-sparse")}
    for name, path in {**models, **sparse}.items():
        for model in (name, f"{name}-2"):
            snapshots = folder / "hub" / f"models--owner--{model}" / "snapshots"
            for commit in (OLD, NEW):
                shutil.copytree(path, snapshots / commit)
    return list(models)


def another(schema: Mapping[str, Any], value: Any) -> Any:
    """Return a value of the schema that is not `value`."""
    for choice in schema.get("anyOf", [schema]):
        least = max(choice.get("minimum", 1), choice.get("exclusiveMinimum", 1))
        if "enum" in choice:
            return next(member for member in choice["enum"] if member != value)
        if choice.get("type") == "boolean":
            return not value
        if choice.get("type") in ("integer", "number"):
            if "maximum" in choice and value is not None and value + 1 > choice["maximum"]:
                return value / 2
            return least + 2 if value is None else value + 1
        if choice.get("type") == "string":
            return "other" if value is None else f"{value}-other"
    raise AssertionError(f"{schema} needs an example in the table")


def expected(declared: Decides, before: Keys) -> set[str]:
    if declared == "nothing":
        return set()
    if declared == "speed":
        return {"speed"}
    # what is never cached has no fingerprint
    return {"system", "speed", *(["fingerprint"] if before.fingerprint else [])}


def wrong_keys(place: Place, name: str) -> list[str]:
    """Return a line per option that changes other keys than it declares."""
    model = rerankers.options_for(name)
    properties = model.model_json_schema()["properties"]
    lines = []
    known: dict[str, Keys] = {}
    for key in model.model_fields:
        if key in ELSEWHERE:
            continue
        base = {**place.options[name], **BASES.get((name, key), {})}
        text = json.dumps(base)
        if text not in known:
            known[text] = place.keys(name, base)
        before = known[text]
        value = dict(model.model_validate(base))[key]
        if (name, key) in place.others:
            changed = place.others[name, key]
        elif (name, key) in OWN_EXAMPLES:
            changed = OWN_EXAMPLES[name, key]
        else:
            changed = EXAMPLES[key] if key in EXAMPLES else another(properties[key], value)
        after = place.keys(name, {**base, key: changed})
        declared = decision(model, key).decides
        if before.changed(after) != expected(declared, before):
            lines.append(f"{key} decides {declared} and changes {sorted(before.changed(after))}")
    return lines


@pytest.mark.parametrize("name", sorted(rerankers.TABLE))
def test_an_option_of_a_reranker_changes_the_keys_that_it_declares(place: Place, name: str) -> None:
    assert wrong_keys(place, name) == []


def test_random_weights_are_another_system(place: Place) -> None:
    base = {"model": "owner/cross-encoder", "revision": OLD}
    published = place.keys("minilm-l6", base)
    random = place.keys("minilm-l6", {**base, "weights": "random"})
    assert published.changed(random) == {"fingerprint", "system", "speed"}
    assert entries.load()["minilm-l6"].backend == "cross-encoder"


class ForgetfulOptions(RerankerOptions):
    by: int = 1
    size: int = option(8, decides="speed")
    log: str | None = option(None, decides="nothing")


class Forgetful(PointwiseReranker):
    """An outsider's class that leaves its options out of what it says of itself."""

    Options: ClassVar[type[RerankerOptions]] = ForgetfulOptions

    def fingerprint(self) -> dict[str, Any]:
        return {"backend": "forgetful"}

    def describe(self) -> Description:
        return Description("forgetful", {})

    def score(self, pairs: Any) -> Any:
        return np.zeros(len(pairs))


def test_an_option_that_an_outsider_forgets_decides_all_the_same(place: Place) -> None:
    name = f"{__name__}:Forgetful"
    before = place.keys(name, {})
    assert before.changed(place.keys(name, {"by": 2})) == {"fingerprint", "system", "speed"}
    assert before.changed(place.keys(name, {"size": 9})) == {"speed"}
    assert before.changed(place.keys(name, {"log": "x"})) == set()


def test_the_test_sees_an_option_that_a_backend_of_ours_forgets(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = BiEncoderReranker.identity

    def forgetful(self: BiEncoderReranker) -> Identity:
        identity = whole(self)
        unread = {name: value for name, value in identity.unread.items() if name != "normalize"}
        return replace(identity, settings={}, unread=unread)

    monkeypatch.setattr(BiEncoderReranker, "identity", forgetful)
    lines = wrong_keys(place, "bi-encoder")
    assert any(line.startswith("normalize decides scores and changes") for line in lines)


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fruit, with a document that has a query's id and not its text, and three grades."""
    folder = tmp_path_factory.mktemp("fruit")
    texts = {"d1": "an apple", "d2": "apples and a pear 7", "d3": "a pear", "q2": "pears of fruit"}
    docs = [{"doc_id": name, "title": "fruit", "text": text} for name, text in texts.items()]
    (folder / "docs.jsonl").write_text("".join(json.dumps(doc) + "\n" for doc in docs))
    (folder / "queries.tsv").write_text("q1\tapple fruit\nq2\tpear fruit 7\nq3\tan apple\n")
    (folder / "qrels.txt").write_text(
        "q1 0 d1 2\nq1 0 d2 1\nq1 0 d3 0\nq2 0 d3 2\nq2 0 d1 1\nq3 0 d1 1\n"
    )
    (folder / "one.run").write_text("q1 Q0 d1 1 9 x\nq2 Q0 d3 1 9 x\n")
    for name, score_map in (("steps.json", STEPS), ("curve.json", CURVE)):
        map_file(folder / name, score_map)
    for name in ("bm25", "b"):
        map_file(folder / f"of-{name}.json", reranker="first-stage", first_stage=name)
    (folder / "two.run").write_text("q1 Q0 d2 1 9 x\nq2 Q0 d3 1 9 x\n")
    for number, name in enumerate(("more", "others")):
        other = folder / name
        other.mkdir()
        for file in ("docs.jsonl", "qrels.txt"):
            shutil.copy(folder / file, other)
        (other / "queries.tsv").write_text(f"q1\tred apple {number}\nq2\tyellow pear\n")
        (other / "fewer.txt").write_text("q1 0 d2 2\nq2 0 d3 1\n")
    (folder / "some.txt").write_text("q1\nq3\n")
    return folder


def retrieved_key(collection: Path, dataset: Any, name: str, options: Mapping[str, Any]) -> str:
    """Return a digest of the quality key of what a first stage retrieves, and of what it says."""
    loaded = datasets.load(f"files:{collection}", dataset, collection)
    scored = [("q1", "d1", 2.0), ("q1", "d2", 1.0)]
    data = replace(loaded, extras={"scoreddocs": lambda: iter(scored)})
    stage = retrieval.build(name, options, collection)
    candidates = candidates_of(stage, data, list(data.queries), options.get("depth", 3))
    quality = quality_key(
        data.identity, candidates.hash, candidates.depth, data.template, data.min_relevance, ""
    )
    return digest_of([quality.fields, candidates_fields(candidates)])


@pytest.mark.parametrize("name", sorted(retrieval.TABLE))
def test_an_option_of_a_first_stage_changes_the_candidates_it_declares(
    collection: Path, place: Place, name: str
) -> None:
    encoders = {"dense": "bi-encoder", "minilm-dense": "bi-encoder", "sparse": "sparse"}
    if name in encoders:
        pytest.importorskip("faiss")
    base: Mapping[str, Mapping[str, Any]] = {
        "run": {"path": "one.run"},
        "pyterrier": {"pipeline": f"{__name__}:pipeline"},
        "hybrid": {"of": ["bm25", {"run": "one.run"}]},
        **{key: {"model": f"owner/{model}", "revision": OLD} for key, model in encoders.items()},
    }
    if name == "pyterrier":
        pytest.importorskip("pyterrier")
    usual: Mapping[str, Any] = base.get(name, {})
    model = retrieval.options_for(name)
    properties = model.model_json_schema()["properties"]
    for key in model.model_fields:
        own = {**usual, **FIRST_STAGE_BASES.get((name, key), {})}
        before = retrieved_key(collection, {}, name, own)
        value = dict(model.model_validate(own))[key]
        if (name, key) in FIRST_STAGE_EXAMPLES:
            other = FIRST_STAGE_EXAMPLES[name, key]
        else:
            other = EXAMPLES[key] if key in EXAMPLES else another(properties[key], value)
        changed = {**own, key: "two.run" if key == "path" else other}
        if key == "model":
            changed = {**own, key: f"{own[key]}-2"}
        if key == "depth":
            changed = {**own, key: 1}
        declared = decision(model, key).decides
        has_changed = retrieved_key(collection, {}, name, changed) != before
        assert has_changed == (declared == "scores"), key


def test_an_option_of_a_dataset_changes_the_quality_key_that_it_declares(collection: Path) -> None:
    model = datasets.options_for("files:x")
    properties = model.model_json_schema()["properties"]
    before = retrieved_key(collection, {}, "bm25", {})
    for key in model.model_fields:
        value = EXAMPLES[key] if key in EXAMPLES else another(properties[key], None)
        has_changed = retrieved_key(collection, {key: value}, "bm25", {}) != before
        assert has_changed == (decision(model, key).decides == "scores"), key


def __getattr__(name: str) -> Any:
    """Two PyTerrier pipelines, made where PyTerrier is installed."""
    if name not in ("pipeline", "other_pipeline"):
        raise AttributeError(name)
    import pandas as pd
    import pyterrier as pt

    doc = "d1" if name == "pipeline" else "d2"
    rows = [("q1", "apple fruit", doc, 2.0), ("q2", "pear fruit 7", "d3", 1.0)]
    return pt.Transformer.from_df(pd.DataFrame(rows, columns=["qid", "query", "docno", "score"]))
