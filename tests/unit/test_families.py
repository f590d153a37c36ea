"""Which collections are of the family of a training set, and what the catalogue knows of models."""

from __future__ import annotations

import pytest

from bench import rerankers
from bench.catalogue import entries
from bench.datasets.families import MEMBERS, TRANSLATED, families_of

BGE_M3 = (
    *("msmarco", "nq", "hotpotqa", "triviaqa", "squad", "dureader", "mmarco"),
    *("t2ranking", "mrtydi", "miracl", "mldr"),
)
"""The data set that BGE-M3 was trained on."""


@pytest.mark.parametrize(
    ("dataset_id", "families"),
    [
        ("irds:beir/nq", {"nq"}),
        ("irds:dpr-w100/natural-questions/dev", {"nq"}),
        ("irds:msmarco-passage/trec-dl-2019/judged", {"msmarco", "mmarco"}),
        ("irds:mmarco/v2/de/dev/small", {"msmarco", "mmarco"}),
        ("files:data/trec-dl19", {"msmarco", "mmarco"}),
        ("files:xquad-r#en", {"squad"}),
        ("embedded:everyday", {"everyday"}),
        ("irds:beir/fever/test", {"fever"}),
        ("irds:beir/climate-fever", set()),
        ("irds:beir/scifact/test", set()),
        ("files:nqx", set()),
    ],
)
def test_a_collection_belongs_to_families_by_its_name(dataset_id: str, families: set[str]) -> None:
    assert set(families_of(dataset_id)) == families


def test_the_catalogue_names_known_families_only() -> None:
    named: set[str] = set()
    for entry in entries.load().values():
        if entry.facts.trained_on is not None:
            assert entry.facts.trained_on.collections
            named |= set(entry.facts.trained_on.collections)
    assert named <= set(MEMBERS)
    assert {*TRANSLATED, *TRANSLATED.values()} <= set(MEMBERS)


@pytest.mark.parametrize(
    ("name", "collections"),
    [
        ("minilm-l6", ("msmarco",)),
        ("colbertv2", ("msmarco",)),
        (
            "ettin-150m",
            ("msmarco", "hotpotqa", "triviaqa", "nq", "squad", "fiqa", "fever", "quora"),
        ),
        (
            "bge-reranker-large",
            ("msmarco", "nq", "hotpotqa", "mmarco", "dureader", "t2ranking", "mrtydi"),
        ),
        ("cohere-rerank-v3.5", None),
        ("jina-reranker-v2", None),
        ("jina-reranker-v3-hosted", BGE_M3),
        ("bge-reranker-v2-m3", BGE_M3),
    ],
)
def test_a_model_is_known_whatever_a_suite_calls_it(
    name: str, collections: tuple[str, ...] | None
) -> None:
    model = rerankers.build(name).model_name
    assert model is not None
    assert entries.trained_on(model) == collections


def test_an_adapter_has_seen_more_than_its_model() -> None:
    adapter = entries.load()["minilm-cross-encoder"].options["adapter"]
    model = "packaged:all-MiniLM-L6-v2"
    assert "everyday" in (entries.trained_on(model, adapter) or ())
    assert "everyday" not in (entries.trained_on(model) or ())
    assert entries.trained_on(model, "packaged:another") is None
