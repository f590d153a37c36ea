"""`trained: recipe.yaml` in a suite: trained once, never reused for another recipe or collection,
in pipelines as any reranker, and in several shares of the training queries.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

import bench
from bench import datasets, rerankers, retrieval
from bench.core.cache_dir import cache_dir
from bench.core.errors import DataError, SuiteError
from bench.core.note import Code
from bench.core.progress import Observer
from bench.datasets.judged_queries import measured
from bench.datasets.leaks import Seen
from bench.discover.validation import validate
from bench.models import seen_queries
from bench.records.run import Run
from bench.suite import suite as suites
from bench.suite.naming import display_name
from bench.training import kept
from bench.training import recipe as recipes
from bench.training.fractions import subset
from tests.support import made_training
from tests.support.paths import ROOT

pytestmark = pytest.mark.usefixtures("without_reports")

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
    (status,) = [one for one in run.info.trials if one.trial.reranker == "tiny-trained"]
    assert status.status == "failed"
    assert "would say beforehand what the suite asks" in str(status.reason)
    (own,) = [row for row in validate(suites.load(path)).rows if "--tiny-trained" in row.trial]
    assert own.outcome == "failed"
    assert "would say beforehand what the suite asks" in own.reason


@pytest.mark.usefixtures("_cache")
def test_a_model_folder_is_compared_with_what_it_was_trained_on(
    curve: Run, folder: Path, tmp_path: Path
) -> None:
    """As a cross-encoder, as an adapter and as a first stage; one that no longer says it is
    noted.
    """
    recipe = recipes.load(yaml.safe_load(RECIPE))
    model = kept.trained_model(recipe, 1.0, cache_dir("trained"), "cpu", Observer()).folder
    untold = tmp_path / "untold"
    shutil.copytree(model, untold)
    (untold / seen_queries.FILE).unlink()
    rows = [
        {"cross-encoder": {"name": "seen", "model": str(model)}},
        {"cascade": ["word-overlap", {"cross-encoder": {"model": str(model)}}]},
        {"cross-encoder": {"name": "untold", "model": str(untold)}},
    ]
    train = [{"embedded:everyday-train": {"queries": 6}}]
    path = suite(tmp_path, rows, datasets=train)
    run = bench.run(path, out=tmp_path / "out", device="cpu")
    by_name = {status.trial.reranker: status for status in run.info.trials}
    (cascade,) = [own for name, own in by_name.items() if name.startswith("word-overlap >")]
    for status in (by_name["seen"], cascade):
        assert status.status == "failed"
        assert "2 queries of training would say beforehand what the suite asks" in str(
            status.reason
        )
        assert "same query: '" in str(status.reason)
    assert uncompared(run) == {"untold"}
    outcomes = {row.trial.split("--")[2]: row for row in validate(suites.load(path)).rows}
    assert "would say beforehand" in outcomes["seen"].reason
    assert outcomes["untold"].outcome == "runs"
    other = bench.run(suite(tmp_path, rows[:1], name="other"), out=tmp_path / "out", device="cpu")
    assert statuses(other)["seen"] == "done"
    assert not uncompared(other)


def uncompared(run: Run) -> set[str]:
    """Return the rows that say that nobody knows what their model has seen."""
    coded = ((row.name, about.code) for row in run.rows for about in row.notes)
    return {name for name, code in coded if code == Code.UNCOMPARED}


def test_an_adapter_and_an_encoder_are_compared_too(tmp_path: Path) -> None:
    """By their folders alone: nothing is loaded."""
    dataset = datasets.load("embedded:everyday-train", {"queries": 6}, Path())
    seen_queries.write(Seen(measured(dataset)[:1]), tmp_path)
    adapter = {"model": "tiny:bert-cross-encoder", "adapter": str(tmp_path)}
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / name).touch()
    refused = pytest.raises(DataError, match="1 query of training would say beforehand")
    with refused:
        rerankers.build("cross-encoder", adapter).check_over(dataset)
    hybrid = {"of": ["bm25", {"dense": {"model": str(tmp_path)}}]}
    with refused:
        retrieval.build("hybrid", hybrid, Path()).check_over(dataset)
    retrieval.build("hybrid", hybrid, Path()).check_over(replace(dataset, is_measured=False))


def test_a_suite_reads_the_recipe_and_names_its_line(tmp_path: Path) -> None:
    path = suite(tmp_path, ["word-overlap", {"trained": {"recipe": "absent.yaml"}}])
    with pytest.raises(SuiteError, match=r"suite.yaml:\d+: .*absent.yaml: cannot be read"):
        suites.load(path)


def test_what_is_wrong_with_a_recipes_data_is_named_with_its_line(tmp_path: Path) -> None:
    """Before the run, where a suite is validated, as by `rerank-bench train`."""
    path = suite(tmp_path, [{"trained": {"recipe": "recipe.yaml"}}, "word-overlap"])
    written = RECIPE.replace("embedded:everyday-train", "embedded:everyday-trian")
    assert written != RECIPE
    (tmp_path / "recipe.yaml").write_text(written)
    (own,) = [row for row in validate(suites.load(path)).rows if "--tiny-trained" in row.trial]
    assert own.outcome == "failed"
    assert re.search(r"recipe\.yaml:\d+: data\.0: .*did you mean 'everyday-train'", own.reason)


def test_a_row_without_a_name_has_that_of_its_recipe(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    rows = [
        {"trained": "recipe.yaml"},
        {"trained": {"recipe": "recipe.yaml", "fraction": 0}},
        {"trained": {"recipe": "recipe.yaml", "fraction": 0.5}},
        {"trained": {"recipe": "recipe.yaml", "fraction": 1, "name": "own"}},
    ]
    loaded = suites.load(suite(tmp_path, rows))
    assert [display_name(part) for part in loaded.rerankers] == [
        "tiny-trained",
        "tiny-trained, untuned",
        "tiny-trained, 50 %",
        "own",
    ]


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
