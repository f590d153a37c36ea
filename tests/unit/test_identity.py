"""What decides a stage's scores, read back from the flat fields of records of any version."""

from __future__ import annotations

from typing import Any

import pytest

from bench.contract.identity import Arithmetic, Checkpoint, Identity, Service, is_library
from bench.records.keys import make_key, system_key
from bench.records.run import Run
from tests.support.paths import ROOT

RUNS = [ROOT / "tests" / "data" / "run-v1", ROOT / "results" / "baselines" / "regression"]


@pytest.mark.parametrize("folder", RUNS, ids=lambda folder: folder.name)
def test_records_of_before_have_the_key_that_they_were_written_with(folder: Any) -> None:
    run = Run(folder)
    assert run.records
    for record in run.records.values():
        assert record.system == record.keys["system"]


FIELDS: list[dict[str, Any]] = [
    {"backend": "first-stage", "order": "first stage"},
    {"backend": None},
    {"backend": "bi-encoder", "model": "local", "revision": "sha256:0", "dtype": "float32"},
    {"backend": "cohere", "model": "m", "host": "api.cohere.com", "max_tokens_per_doc": None},
    {"backend": "x", "model": ["m"], "revision": 3, "dtype": 16, "runtime": {}, "compile": "yes"},
    {"backend": "x", "versions": {"theirs": "1.0"}, "engine": {"torch": "2", "size": {"n": 1}}},
    {"backend": "x", "model": "m", "host": None, "address": "http://[::1]:9/v1", "served_id": 3},
    {"backend": "x", "adapter": "sha256:1", "versions": {}, "dtype": "", "group": 128},
]


@pytest.mark.parametrize("fields", FIELDS)
def test_fields_survive_being_read(fields: dict[str, Any]) -> None:
    assert Identity.read(fields).fields() == fields
    assert system_key(Identity.read(fields)) == make_key(fields)


def test_flat_fields_become_types() -> None:
    weights = Identity.read(
        {
            "backend": "cross-encoder",
            "model": "owner/model",
            "revision": "abc",
            "dtype": "bfloat16+float32",
            "runtime": "onnx",
            "torch": "2.1",
            "nested": {"libraries": {"theirs": "1"}, "window": 3},
        }
    )
    assert weights.source == Checkpoint("owner/model", "abc")
    assert weights.arithmetic == Arithmetic(("bfloat16", "float32"), runtime="onnx")
    assert weights.settings == {"nested": {"window": 3}}
    assert weights.libraries == {"torch": "2.1", "nested": {"libraries": {"theirs": "1"}}}
    fields = {"model": "m", "host": "here", "address": "http://here:8080/v1", "served_model_id": 1}
    server = Identity.read({"backend": "rerank-server", **fields})
    assert server.source == Service(
        "m", "here", address="http://here:8080/v1", served={"served_model_id": 1}
    )
    assert server.source.authority == "here:8080"
    assert Service("m", "api.cohere.com").authority == "api.cohere.com"


def test_what_records_of_before_keep_among_their_facts_is_read_too() -> None:
    fields = {"backend": "cross-encoder", "model": "m", "revision": "r"}
    before = Identity.read(fields, {"compiled": True, "trust_remote_code": True})
    now = {**fields, "compile": True, "trust_remote_code": True}
    assert before == Identity.read(now, {"compiled": True, "trust_remote_code": True})
    assert Identity.read(fields, {"compiled": False, "trust_remote_code": False}).fields() == fields


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("torch", True),
        ("machine.libraries.anything", True),
        ("versions.theirs", True),
        ("served_version", False),
        ("revision", False),
        ("max_length", False),
    ],
)
def test_a_library_is_known_by_its_name(name: str, expected: bool) -> None:
    assert is_library(name) == expected
