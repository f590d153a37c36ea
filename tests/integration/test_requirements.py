"""What a stage needs to run is named by its `requirements()`: planning, lists and the stage itself
read the same ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from bench.core.errors import RerankerError, Unavailable
from bench.rerankers.base import Key, Package, Requirement
from bench.suite.planning import plan
from bench.suite.suite import load
from tests.support.fakes import HashReranker

HERE = "tests.integration.test_requirements"
VARIABLE = "KEY_OF_NO_SERVICE"


class Needing(HashReranker):
    """Needs a package that is here and a key."""

    def requirements(self) -> Sequence[Requirement]:
        return (Package("numpy"), Key(VARIABLE))


class NeedingBareStage:
    """The same, as a class that inherits nothing of ours."""

    def __init__(self, options: Any, device: str = "cpu") -> None: ...

    def requirements(self) -> Sequence[Requirement]:
        return (Package("no_such_package_here"),)

    def fingerprint(self) -> dict[str, Any]:
        return {}

    def rerank(self, requests: Sequence[Any]) -> list[Any]:
        raise AssertionError("it cannot run")


def test_planning_skips_an_optional_row_and_says_what_it_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    suite: dict[str, Any] = {
        "name": "needs",
        "datasets": ["embedded:everyday"],
        "devices": ["cpu"],
        "rerankers": [
            {f"{HERE}:Needing": {"optional": True}},
            {f"{HERE}:NeedingBareStage": {"optional": True}},
            "word-overlap",
        ],
    }
    (group,) = plan(load(suite))
    reasons = {row.trial.reranker: row.status.reason for row in group.planned if row.status.reason}
    assert reasons == {
        f"{HERE}:Needing": f"no {VARIABLE}",
        f"{HERE}:NeedingBareStage": "no-such-package-here not installed",
    }
    suite["rerankers"] = [f"{HERE}:Needing"]
    with pytest.raises(Unavailable, match=f"export {VARIABLE}="):
        plan(load(suite))
    monkeypatch.setenv(VARIABLE, "a key")
    (group,) = plan(load(suite))
    assert not [row for row in group.planned if row.status.reason]


def test_a_pipeline_needs_what_its_stages_need() -> None:
    stages = ["bm25", f"{HERE}:Needing", f"{HERE}:NeedingBareStage"]
    suite: dict[str, Any] = {
        "name": "needs",
        "datasets": ["embedded:everyday"],
        "devices": ["cpu"],
        "pipelines": [{"name": "three", "stages": stages}],
    }
    pipelines = [row.pipeline for group in plan(load(suite), lenient=True) for row in group.planned]
    (pipeline,) = [pipeline for pipeline in pipelines if pipeline is not None]
    assert list(pipeline.requirements()) == [
        Package("numpy"),
        Key(VARIABLE),
        Package("no_such_package_here"),
    ]


def test_a_requirement_says_at_a_glance_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "secret\n")
    key = Key(VARIABLE)
    assert (key.value, key.missing(), key.title) == ("secret", "", VARIABLE)
    monkeypatch.setenv(VARIABLE, "s\u00e9cret")
    with pytest.raises(RerankerError, match="no header can have"):
        key.require()
    package = Package("no_such_package_here", "local")
    assert (package.missing(), package.title) == ("no no-such-package-here", "local")
    with pytest.raises(Unavailable) as caught:
        package.require()
    assert caught.value.fix == "pip install 'rerank-bench[local]'"
