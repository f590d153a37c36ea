"""`trained: recipe.yaml` in a suite: trained once, never reused for another recipe or collection,
in pipelines as any reranker, and in several shares of the training queries.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

import bench
from bench.core.cache_dir import cache_dir
from bench.core.errors import SuiteError
from bench.core.progress import Observer
from bench.discover.validation import validate
from bench.records.run import Run
from bench.suite import suite as suites
from bench.training import kept
from bench.training import recipe as recipes
from bench.training.fractions import subset
from tests.support import made_training
from tests.support.paths import ROOT

RECIPE = (ROOT / "suites" / "recipes" / "tiny.yaml").read_text(encoding="utf-8")


def suite(folder: Path, rerankers: list[Any], **fields: Any) -> Path:
    """Write a suite of a few queries next to its recipe."""
    (folder / "recipe.yaml").write_text(RECIPE)
    entries = {
        "name": "trained",
        "datasets": [{"embedded:everyday": {"queries": 6}}],
        "rerankers": rerankers,
        "depth": 5,
        "latency": None,
        **fields,
    }
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump(entries))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a cache of its own."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RERANK_BENCH_CACHE", str(folder / "cache"))
        yield folder


@pytest.fixture(scope="module")
def curve(folder: Path) -> Run:
    """A run with a learning curve, and a pipeline with the same model."""
    rows = [
        {"trained": {"recipe": "recipe.yaml", "fractions": [0.5, 1]}},
        {"cascade": [{"trained": {"recipe": "recipe.yaml", "keep": 3}}, "word-overlap"]},
    ]
    return bench.run(suite(folder, rows), out=folder / "out", device="cpu")


@pytest.fixture
def _cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANK_BENCH_CACHE", str(folder / "cache"))


def statuses(run: Run) -> dict[str, str]:
    return {status.trial.reranker: status.status for status in run.info.trials}


def test_each_share_is_a_row_after_the_untuned_base(curve: Run) -> None:
    assert set(statuses(curve).values()) == {"done"}
    names = [name for name in statuses(curve) if name.startswith("tiny-trained")]
    assert names == ["tiny-trained, untuned", "tiny-trained, 50 %", "tiny-trained, 100 %"]
    trained = {
        record.trial.reranker: record.description["facts"]["training"]
        for record in curve.records.values()
        if record.trial.reranker in names
    }
    queries = [trained[name]["queries"] for name in names]
    assert queries == [0, 8, 16]


def test_all_rows_of_one_training_have_its_model(curve: Run, folder: Path) -> None:
    """A share of all queries and the stage of the cascade are one training."""
    assert len(list((folder / "cache" / "trained").glob("*/training.log"))) == 2


@pytest.mark.usefixtures("_cache")
def test_a_second_run_trains_nothing(
    curve: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "fit", None)
    path = suite(folder, [{"trained": {"recipe": "recipe.yaml", "name": "again"}}])
    run = bench.run(path, out=folder / "again", device="cpu")
    assert statuses(run)["again"] == "done"
    by_name = {record.trial.reranker: record for record in curve.records.values()}
    (record,) = [one for one in run.records.values() if one.trial.reranker == "again"]
    assert record.quality == by_name["tiny-trained, 100 %"].quality


@pytest.mark.usefixtures("_cache")
def test_another_recipe_or_collection_is_another_training(curve: Run, folder: Path) -> None:
    def key(**fields: Any) -> str:
        recipe = recipes.load({**yaml.safe_load(RECIPE), **fields})
        return kept.trained_model(recipe, 1.0, cache_dir("trained"), "cpu", Observer()).key

    first = key()
    assert key(name="other", description="other", fractions=[0.5]) == first
    assert key(rate=1e-4) != first
    assert key(data={"embedded:everyday-train": {"queries": 19}}) != first


@pytest.mark.usefixtures("_cache")
def test_a_damaged_model_is_trained_anew(curve: Run) -> None:
    recipe = recipes.load(yaml.safe_load(RECIPE))
    model = kept.trained_model(recipe, 1.0, cache_dir("trained"), "cpu", Observer())
    weights = model.folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    again = kept.trained_model(recipe, 1.0, cache_dir("trained"), "cpu", Observer())
    assert again.key == model.key
    assert (again.folder / "model.safetensors").read_bytes() == whole


def test_measured_queries_are_not_trained_on(tmp_path: Path) -> None:
    path = suite(
        tmp_path,
        [{"trained": {"recipe": "recipe.yaml"}}, "word-overlap"],
        datasets=[{"embedded:everyday-train": {"queries": 6}}],
    )
    run = bench.run(path, out=tmp_path / "out", device="cpu")
    (status,) = [one for one in run.info.trials if one.trial.reranker == "recipe"]
    assert status.status == "failed"
    assert "would say beforehand what the suite asks" in str(status.reason)
    (own,) = [row for row in validate(suites.load(path)).rows if "--recipe" in row.trial]
    assert own.outcome == "failed"
    assert "would say beforehand what the suite asks" in own.reason


def test_a_suite_reads_the_recipe_and_names_its_line(tmp_path: Path) -> None:
    path = suite(tmp_path, ["word-overlap", {"trained": {"recipe": "absent.yaml"}}])
    with pytest.raises(SuiteError, match=r"suite.yaml:\d+: .*absent.yaml: cannot be read"):
        suites.load(path)


def test_rows_that_were_written_out_keep_their_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{"trained": {"recipe": "recipe.yaml", "fractions": [1]}}, "word-overlap"]
    loaded = suites.load(suite(tmp_path, rows))
    names = [part.name for part in loaded.rerankers]
    assert names == ["trained", "trained", "word-overlap"]
    place = str(loaded.problem(("rerankers", 2, "word-overlap"), "x"))
    assert "rerankers.1.word-overlap" in place
    assert suites.load(loaded.resolved() | {"name": "again"}).rerankers == loaded.rerankers


def test_larger_shares_hold_the_smaller_ones() -> None:
    data = made_training.data(20)
    shares = [
        {row.query_id for row in subset(data, share, 7).train} for share in (0.1, 0.25, 0.5, 1.0)
    ]
    assert [len(share) for share in shares] == [2, 5, 10, 20]
    assert all(small < large for small, large in pairwise(shares))
    other = {row.query_id for row in subset(data, 0.5, 8).train}
    assert other != shares[2]
