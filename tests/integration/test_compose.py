"""Pipelines composed from the stored scores of a run have the values of real runs of the same
pipelines, to the last bit.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

import bench
from bench.composition.entries import chain_of, entries
from bench.composition.grammar import read
from bench.composition.grid import grid
from bench.composition.own import own_pipelines
from bench.composition.steps import NotStored
from bench.composition.stored import stored
from bench.core.errors import BenchError, RecordError
from bench.records.run import Run
from bench.reports import composed as report
from bench.suite.pipeline_entry import PipelineEntry
from tests.support.command import bench as command

pytestmark = pytest.mark.usefixtures("without_reports")

HASH = "tests.support.fakes:HashReranker"
ROWS: list[Any] = [
    {HASH: {"name": "red", "salt": "r"}},
    {HASH: {"name": "blue", "salt": "b"}},
    "word-overlap",
]
RED, BLUE, WORDS = ROWS


def keep(entry: Any, number: int) -> Any:
    """Return an entry of a suite that hands on this many documents."""
    if isinstance(entry, str):
        return {entry: {"keep": number}}
    ((name, options),) = entry.items()
    return {name: {**options, "keep": number}}


def first(depth: int) -> Any:
    return {"bm25": {"keep": depth}}


PIPELINES: dict[str, list[Any]] = {
    "a": [first(30), RED],
    "b": [first(10), RED],
    "c": [first(30), keep(RED, 10), BLUE],
    "d": [first(20), keep(WORDS, 7), RED],
    "e": [first(30), keep(RED, 20), keep(BLUE, 5), WORDS],
    "f": [first(30), keep(BLUE, 3), keep(WORDS, 2)],
    "rrf": [first(30), {"fuse": {"of": [RED, WORDS]}}],
    "sum": [
        first(20),
        {"fuse": {"of": [RED, BLUE, WORDS], "by": "weighted", "weights": [0.2, 0.3, 0.5]}},
    ],
    "min-max": [
        first(30),
        keep(RED, 15),
        {"fuse": {"of": [BLUE, WORDS], "by": "weighted", "norm": "min-max", "keep": 9}},
    ],
    "blend": [first(30), {"blend": {"of": WORDS, "weight": 0.7}}],
    "late blend": [
        first(30),
        keep(WORDS, 12),
        {"blend": {"of": RED, "weight": 0.4, "norm": "min-max", "keep": 6}},
        BLUE,
    ],
    "cut": [first(30), keep(RED, 20), {"cut": {"keep": 8}}, BLUE],
    "unsure": [first(30), keep({"skip": {"of": RED, "when": {"margin_below": 1.5}}}, 12), BLUE],
    "low": [first(30), WORDS, {"skip": {"of": RED, "when": {"top_below": 0.6}}}],
    "half": [first(30), {"skip": {"of": RED, "when": {"margin_quantile": 0.5}}}],
    "third": [
        first(20),
        keep(BLUE, 9),
        {"skip": {"of": RED, "when": {"top_quantile": 0.3}, "folds": 3, "seed": 7}},
    ],
    "within": [first(30), WORDS, {"cut": {"within": 0.3, "keep": 12}}, keep(RED, 5), BLUE],
    "above": [
        first(30),
        {"cut": {"min_score": 4.0, "within": 6.0}},
        {"blend": {"of": RED, "weight": 0.4}},
        {"fuse": {"of": [BLUE, WORDS], "by": "weighted", "weights": [0.3, 0.7]}},
        {"cut": {"name": "again", "within": 1.0}},
        {"fuse": {"name": "ranks", "of": [BLUE, RED], "k": 10}},
    ],
}
LINES = {
    "a": "bm25:30 > red",
    "b": "bm25:10 > red",
    "c": "bm25:30 > red:10 > blue",
    "d": "bm25:20 > word-overlap:7 > red",
    "e": "bm25:30 > red:20 > blue:5 > word-overlap",
    "f": "bm25:30 > blue:3 > word-overlap:2",
    "rrf": "bm25:30 > rrf(red, word-overlap)",
    "sum": "bm25:20 > z-score(red 0.2, blue 0.3, word-overlap 0.5)",
    "min-max": "bm25:30 > red:15 > min-max(blue, word-overlap):9",
    "blend": "bm25:30 > blend(word-overlap 0.7)",
    "late blend": "bm25:30 > word-overlap:12 > blend(red 0.4, min-max):6 > blue",
    "cut": "bm25:30 > red:20 > cut:8 > blue",
    "unsure": "bm25:30 > skip(red margin_below 1.5):12 > blue",
    "low": "bm25:30 > word-overlap > skip(red top_below 0.6)",
    "half": "bm25:30 > skip(red margin_quantile 0.5)",
    "third": "bm25:20 > blue:9 > skip(red top_quantile 0.3 folds 3 seed 7)",
    "within": "bm25:30 > word-overlap > cut(within 0.3):12 > red:5 > blue",
    "above": "bm25:30 > cut(min_score 4, within 6) > blend(red 0.4) > "
    "z-score(blue 0.3, word-overlap 0.7) > cut(within 1) > rrf(blue, red, k 10)",
}
"""The pipelines as a line names them."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("compose")
    suite = {
        "name": "composed",
        "datasets": [{"embedded:everyday": {"queries": 20}}],
        "rerankers": ROWS,
        "pipelines": [{"name": name, "stages": stages} for name, stages in PIPELINES.items()],
        "measures": ["nDCG@10", "R@20", "AP", "Rprec"],
        "depth": 30,
        "devices": "cpu",
        "latency": None,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RERANK_BENCH_CACHE", str(folder / "cache"))
        return bench.run(suite, out=folder / "results")


@pytest.mark.parametrize("name", PIPELINES)
def test_a_composed_pipeline_has_the_values_of_a_real_run(
    finished: Run, tmp_path: Path, name: str
) -> None:
    (dataset,) = stored(finished)
    file = tmp_path / "pipelines.yaml"
    stages = PIPELINES[name]
    file.write_text(yaml.safe_dump({"pipelines": [{"name": name, "stages": stages}]}))
    (entry,) = entries(file)
    chain = chain_of(entry, dataset)
    assert str(chain) == LINES[name]
    assert read(LINES[name], dataset) == chain
    values = dataset.measuring.values(chain)
    (trial,) = [row.trial for row in finished.rows if row.trial.reranker == name]
    for measure, own in values.items():
        recorded = finished.values(trial.id, measure)
        assert own.tolist() == [recorded[query_id] for query_id in dataset.query_ids]
    assert len(values) == 5


def test_the_stored_scores_give_the_values_of_the_run_itself(finished: Run) -> None:
    (dataset,) = stored(finished)
    dataset.verify()


def test_the_pipelines_of_the_run_are_among_those_of_the_grid(finished: Run) -> None:
    (dataset,) = stored(finished)
    assert {str(chain) for chain in own_pipelines(finished, dataset)} == set(LINES.values())
    (composition,) = bench.compose(finished, tuned=False)
    names = {pipeline.name for pipeline in composition.pipelines}
    assert names >= set(LINES.values())


def test_rules_by_scores_leave_something_out(finished: Run) -> None:
    """Otherwise these pipelines would be others, and equal for no reason."""
    (dataset,) = stored(finished)
    for name in ("unsure", "low", "half", "third", "within", "above"):
        chain = read(LINES[name], dataset)
        dataset.measuring.values(chain)
        shares = [
            share
            for prefix, by_query in dataset.measuring.shares.items()
            if prefix.steps == chain.steps[: len(prefix.steps)]
            for share in by_query.values()
        ]
        assert min(shares) < max(shares), name


def test_named_pipelines_are_composed_alone(finished: Run) -> None:
    (composition,) = bench.compose(finished, ["bm25:30 > red:10 > blue", "bm25:10 > red"])
    names = [pipeline.name for pipeline in composition.pipelines]
    assert sorted(names) == ["bm25:10 > red", "bm25:30 > red:10 > blue"]
    qualities = [pipeline.quality for pipeline in composition.pipelines]
    assert qualities == sorted(qualities, reverse=True)
    best = {row.trial.reranker: row.quality["nDCG@10"].mean for row in finished.rows}
    assert {pipeline.name: pipeline.quality for pipeline in composition.pipelines} == {
        "bm25:10 > red": best["b"],
        "bm25:30 > red:10 > blue": best["c"],
    }


def test_a_grid_holds_cascades_fusions_and_tuned_blends(finished: Run) -> None:
    compositions = bench.compose(finished)
    frame = compositions.to_frame()
    assert len(frame) == len(set(frame["pipeline"]))
    assert {"bm25:30", "bm25:20 > red", "bm25:30 > red:10 > blue"} <= set(frame["pipeline"])
    assert "bm25:10 > rrf(red, blue)" in set(frame["pipeline"])
    tuned = frame[frame["tuned_on"].notna()]
    assert len(tuned) == 9, "three rows, each over three depths"
    assert set(tuned["tuned_on"]) == {10}, "half of the queries"
    (composition,) = compositions
    assert composition.front
    for pipeline in composition.front:
        better = [
            other
            for other in composition.pipelines
            if other.quality >= pipeline.quality and other.pairs < pipeline.pairs
        ]
        assert better == []
    assert "tuned on 10, reported on 10" in compositions._repr_html_()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("bm26:30 > red", "no first stage 'bm26'"),
        ("bm25:30 > green", "no row 'green'"),
        ("bm25:31 > red", "retrieved 30 documents per query, not 31"),
        ("bm25:10 > red:20", "gets 10 documents and cannot hand on 20"),
        ("bm25 > > red", "a stage is empty"),
        ("bm25:30 > rrf(red)", "two rows or more"),
        ("bm25:30 > blend(red 2)", "the share from 0 to 1"),
        ("bm25:30 > skip(red margin_quantile 1.5)", "'when.margin_quantile': input should be less"),
        (
            "bm25:30 > skip(red margin_quantile 0)",
            "'when.margin_quantile': input should be greater",
        ),
        ("bm25:30 > skip(red margin_below 1 folds)", "'folds' has no number after it"),
        ("bm25:30 > red > cut(within -1)", "'within': input should be greater than or equal to 0"),
    ],
)
def test_what_cannot_be_composed_is_named(finished: Run, text: str, problem: str) -> None:
    with pytest.raises(BenchError, match=re.escape(problem)):
        bench.compose(finished, [text])


def test_a_line_is_read_as_it_is_written(finished: Run) -> None:
    (dataset,) = stored(finished)
    for text in (
        "bm25:30 > red:10 > cut:5 > blue",
        "bm25:20 > rrf(red, blue)",
        "bm25:20 > z-score(red 0.25, blue 0.75):5 > word-overlap",
        "bm25:30 > blend(red 0.7)",
    ):
        assert str(read(text, dataset)) == text


def test_a_file_names_pipelines_as_a_suite_does(finished: Run, tmp_path: Path) -> None:
    file = tmp_path / "pipelines.yaml"
    stages = [{"bm25": {"keep": 20}}, {"word-overlap": {"keep": 7}}, RED]
    file.write_text(yaml.safe_dump({"pipelines": [{"name": "d", "stages": stages}]}))
    (composition,) = bench.compose(finished, file=file)
    (pipeline,) = composition.pipelines
    assert str(pipeline.chain) == LINES["d"]
    file.write_text("pipelines:\n  - name: d\n    stages: [bm25, nothing]\n")
    with pytest.raises(BenchError, match="'d', nothing: the run has no row of that name"):
        bench.compose(finished, file=file)


def test_the_command_prints_writes_and_filters(finished: Run, tmp_path: Path) -> None:
    folder = str(finished.folder)
    table = command("compose", folder, "--frontier", "--format", "csv", cwd=tmp_path)
    header, *lines = table.stdout.splitlines()
    assert "pipeline" in header
    assert lines
    options = ("--format", "json", "--out", "all.json", "--plot", "front.svg")
    assert command("compose", folder, *options, cwd=tmp_path).returncode == 0
    assert json.loads((tmp_path / "all.json").read_text())[0]["pipelines"]
    assert "svg" in (tmp_path / "front.svg").read_text()
    fast = command("compose", folder, "--p95-ms", "1", cwd=tmp_path)
    assert fast.returncode == 1, "nothing was timed, so that nothing is known to fit"


def test_judgments_that_are_missing_are_seen(finished: Run, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished.folder, folder)
    for path in (folder / "judgments").glob("*.parquet"):
        rows = pq.read_table(path)
        pq.write_table(rows.slice(0, rows.num_rows // 2), path)
    with pytest.raises(RecordError, match="is not what its scores and judgments give"):
        bench.compose(bench.load(folder))


def test_first_stages_of_one_dataset_are_joined(tmp_path: Path) -> None:
    """A row scores the documents of both, so that hybrids of them have the values of real runs."""
    flat = {"bm25": {"name": "flat", "k1": 0.1, "b": 0.0}}
    both = {"of": ["bm25", flat]}
    suite: dict[str, Any] = {
        "name": "joined",
        "datasets": [{"embedded:everyday": {"queries": 12}}],
        "first_stages": ["bm25", flat],
        "rerankers": [RED, BLUE, {"cascade": {"name": "row", "stages": [keep(RED, 5), BLUE]}}],
        "pipelines": [
            {"name": "deep", "stages": [{"hybrid": {**both, "keep": 15}}, RED]},
            {
                "name": "flatter",
                "stages": [{"hybrid": {**both, "retrieve": 15, "keep": 8}}, keep(RED, 5), BLUE],
            },
            {"name": "narrow", "stages": [{"hybrid": {**both, "name": "h", "keep": 8}}, RED]},
            {
                "name": "weighted",
                "stages": [
                    {
                        "hybrid": {
                            **both,
                            "by": "weighted",
                            "weights": [0.3, 0.7],
                            "keep": 15,
                            "name": "w",
                        }
                    },
                    {"skip": {"of": RED, "when": {"margin_below": 0.1}}},
                ],
            },
            {
                "name": "ranks",
                "stages": [
                    {"hybrid": {**both, "weights": [1, 3], "k": 10, "keep": 15, "name": "r"}},
                    BLUE,
                ],
            },
        ],
        "depth": 15,
        "devices": "cpu",
        "latency": None,
    }
    run = bench.run(suite, out=tmp_path)
    (dataset,) = stored(run)
    assert set(dataset.first_stages) >= {"bm25", "flat", "hybrid(bm25, flat)"}
    dataset.verify()
    lines = {
        "deep": "hybrid(bm25, flat):15 > red",
        "flatter": "hybrid(bm25, flat):8 > red:5 > blue",
        "narrow": "hybrid(bm25, flat, 8 each):8 > red",
        "weighted": "z-score(bm25 0.3, flat 0.7):15 > skip(red margin_below 0.1)",
        "ranks": "hybrid(bm25 1, flat 3, k 10):15 > blue",
    }
    named = {entry["name"]: entry for entry in suite["pipelines"]}
    own = {str(chain) for chain in own_pipelines(run, dataset)}
    rows = {"bm25:15 > red:5 > blue", "flat:15 > red:5 > blue"}
    # what a run has retrieved has the run's own name
    firsts = {"hybrid:15 > red", "hybrid:8 > red:5 > blue", "h:8 > red", "r:15 > blue"}
    assert own == {*rows, *firsts, "w:15 > skip(red margin_below 0.1)"}
    for name, line in lines.items():
        (trial,) = [row.trial for row in run.rows if row.trial.reranker == name]
        chain = read(line, dataset)
        assert str(chain) == line
        # by its options, and not by the name of a first stage of the run
        named[name]["stages"][0]["hybrid"].pop("name", None)
        assert chain_of(PipelineEntry.model_validate(named[name]), dataset) == chain
        values = dataset.measuring.values(chain)["nDCG@10"]
        recorded = run.values(trial.id, "nDCG@10")
        assert values.tolist() == [recorded[query_id] for query_id in dataset.query_ids]


LISTS: dict[str, Any] = {
    "name": "lists",
    "datasets": [{"embedded:everyday": {"queries": 12}}],
    "first_stages": ["bm25", {"bm25": {"name": "b2", "k1": 2}}],
    "rerankers": [
        "ltr",
        {"fuse": {"name": "fused", "of": [RED, WORDS]}},
        {"blend": {"name": "mixed", "of": RED, "weight": 0.7}},
        {"skip": {"name": "skipped", "of": RED, "when": {"margin_quantile": 0.5}}},
        RED,
        WORDS,
    ],
    "depth": 15,
    "devices": "cpu",
    "latency": None,
}


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run over two first stages, with rows whose scores depend on their list."""
    return bench.run(LISTS, out=tmp_path_factory.mktemp("lists"))


@pytest.mark.parametrize("name", ["ltr", "fused", "mixed", "skipped"])
def test_a_row_that_depends_on_its_list_is_usable_over_each_list_that_it_ran_over(
    lists: Run, name: str
) -> None:
    (composition,) = bench.compose(lists, tuned=False)
    composed = {pipeline.name: pipeline for pipeline in composition.pipelines}
    own = {text for text in composed if name in text}
    assert own == {f"bm25:15 > {name}", f"b2:15 > {name}"}
    for row in lists.rows:
        if row.trial.reranker == name:
            values = composed[f"{row.trial.first_stage}:15 > {name}"].values["nDCG@10"]
            assert values.tolist() == list(lists.values(row.trial.id, "nDCG@10").values())
    for text in (f"bm25:10 > {name}", f"hybrid(bm25, b2):15 > {name}", f"b2:15 > red > {name}"):
        with pytest.raises(BenchError, match="depends on its list: it ran over bm25:15 and b2:15"):
            bench.compose(lists, [text])
    (fusion,) = bench.compose(lists, [f"b2:15 > rrf({name}, red)"])
    assert len(fusion.pipelines) == 1


def test_a_row_without_scores_of_its_candidates_is_left_out_with_the_reason(lists: Run) -> None:
    (dataset,) = stored(lists)
    (trial,) = [each for each in dataset.groups[1].trials if each.name == "ltr"]
    query_id = next(iter(trial.lists))
    short = {**trial.lists, query_id: trial.lists[query_id].first(3)}
    cut = replace(trial, lists=short)
    others = tuple(cut if each is trial else each for each in dataset.groups[1].trials)
    dataset.groups = [dataset.groups[0], replace(dataset.groups[1], trials=others)]
    dataset.verify()
    assert dataset.left_out == {"ltr": "ltr has not scored all that it would get"}
    assert not [chain for chain in grid(dataset) if "ltr" in chain.rows]
    with pytest.raises(NotStored, match="its own candidates"):
        dataset.measuring.values(read("bm25:15 > ltr", dataset))


def test_weighted_hybrids_are_tuned_on_one_half_of_the_queries_for_the_other(lists: Run) -> None:
    """By a brute force over the shares, each composed as a line of its own."""
    (composition,) = bench.compose(lists)
    tuned = {
        str(pipeline.chain): pipeline
        for pipeline in composition.pipelines
        if pipeline.tuning is not None
        and pipeline.chain.first.startswith("z-score(")
        and "blend" not in str(pipeline.chain)
    }
    hybrid = "z-score(bm25, b2):15"
    assert set(tuned) == {hybrid, f"{hybrid} > red", f"{hybrid} > word-overlap"}
    (dataset,) = stored(lists)
    for line, pipeline in tuned.items():
        assert pipeline.tuning is not None
        rest = line.removeprefix(hybrid)
        by_share = [
            dataset.measuring.values(
                read(f"z-score(bm25 {share / 10:g}, b2 {1 - share / 10:g}):15{rest}", dataset)
            )["nDCG@10"]
            for share in range(11)
        ]
        half = np.array(pipeline.tuning.half_of)
        for number in (0, 1):
            means = [values[half != number].mean() for values in by_share]
            best = int(np.argmax(means))
            assert pipeline.tuning.shares[number] == best / 10
            own = pipeline.values["nDCG@10"][half == number]
            assert own.tolist() == by_share[best][half == number].tolist()
        own_weights = [f"{share:g}" for share in pipeline.tuning.shares]
        others = [f"{1 - share:g}" for share in pipeline.tuning.shares]
        first_words = " or ".join(dict.fromkeys(own_weights))
        second_words = " or ".join(dict.fromkeys(others))
        assert pipeline.name == f"z-score(bm25 {first_words}, b2 {second_words}):15{rest}"
    places = [(each.pairs, each.quality) for each in composition.front]
    assert len(set(places)) == len(places)
    for pairs, quality in places:
        assert max(each.quality for each in composition.pipelines if each.pairs <= pairs) == quality
    untuned = bench.compose(lists, tuned=False)
    assert all(pipeline.tuning is None for pipeline in untuned[0].pipelines)


def assert_all_names_are_read(run: Run) -> set[str]:
    """Check that every name that a run's grid prints, given back, is the same pipeline with the
    same values; return the names.
    """
    (composition,) = bench.compose(run)
    names = [row["pipeline"] for row in report.flat(composition)]
    shown = report.table(composition, composition.pipelines).rows
    assert names == [row.name for row in shown]
    assert len(names) == len(set(names))
    (again,) = bench.compose(run, names)
    by_name = {pipeline.name: pipeline for pipeline in again.pipelines}
    assert set(by_name) == set(names)
    for pipeline in composition.pipelines:
        for measure, values in pipeline.values.items():
            assert values.tolist() == by_name[pipeline.name].values[measure].tolist()
    return set(names)


def test_every_name_of_a_grid_is_read_as_the_same_pipeline(finished: Run, lists: Run) -> None:
    names = assert_all_names_are_read(finished) | assert_all_names_are_read(lists)
    for kind in ("blend(", "skip(", "cut(", "rrf(", "z-score(", "min-max(", "hybrid(", " or "):
        assert any(kind in name for name in names), kind


NAMES = ["a, b", "x > y", "m:20", 'so "so"', "red (cpu)", "a 2", "50 each", "a", "k 7", "e margin_"]


def test_names_and_numbers_of_any_kind_are_read_as_they_are_written(tmp_path: Path) -> None:
    """Also names that hold what a line is made of, and numbers of many digits."""
    rows = [{HASH: {"name": name, "salt": name}} for name in NAMES]
    second = {"bm25": {"name": "b2, k1:2", "k1": 2}}
    weights = [1 / 3, 0.00001, *range(2, len(NAMES))]
    fused = {"of": rows, "by": "weighted", "weights": weights}
    stages: dict[str, list[Any]] = {
        "weights": [first(9), {"fuse": fused}],
        "equal": [first(9), {"fuse": {"of": rows[:3], "weights": [1, 1, 1], "k": 123456.75}}],
        "blend": [first(8), {"blend": {"of": rows[0], "weight": 0.1234567}}],
        "skip": [first(7), {"skip": {"of": rows[1], "when": {"top_below": 1.23456789}}}],
        "cut": [first(9), rows[3], {"cut": {"min_score": -1e-7, "within": 0.12345678}}, rows[2]],
        "hybrid": [
            {"hybrid": {"of": ["bm25", second], "weights": [2, 0.1234567], "keep": 5}},
            rows[4],
        ],
    }
    suite = {
        "name": "names",
        "datasets": [{"embedded:everyday": {"queries": 6}}],
        "first_stages": ["bm25", second],
        "rerankers": rows,
        "pipelines": [{"name": name, "stages": own} for name, own in stages.items()],
        "depth": 9,
        "devices": "cpu",
        "latency": None,
    }
    names = assert_all_names_are_read(bench.run(suite, out=tmp_path))
    assert 'bm25:9 > "a, b"' in names
    assert "bm25:9 > red (cpu)" in names
    assert 'bm25:8 > blend("a, b" 0.1234567)' in names


def test_a_first_stage_that_the_run_has_retrieved_is_composed_once(tmp_path: Path) -> None:
    """A hybrid that pipelines begin with is the same as one of two first stages of the run."""
    flat = {"bm25": {"name": "flat", "k1": 0.1, "b": 0.0}}
    hybrid = {"of": ["bm25", flat]}
    suite = {
        "name": "once",
        "datasets": [{"embedded:everyday": {"queries": 12}}],
        "first_stages": ["bm25", flat],
        "rerankers": [RED, BLUE],
        "pipelines": [
            {"name": "same", "stages": [{"hybrid": {**hybrid, "keep": 12}}, RED]},
            {
                "name": "first",
                "stages": [{"hybrid": {**hybrid, "name": "h", "retrieve": 12, "keep": 10}}, BLUE],
            },
        ],
        "depth": 12,
        "devices": "cpu",
        "latency": None,
    }
    run = bench.run(suite, out=tmp_path)
    (composition,) = bench.compose(run, tuned=False)
    names = {pipeline.name for pipeline in composition.pipelines}
    assert {"hybrid:12 > red", "hybrid:10 > red", "hybrid:10 > blue"} <= names
    assert not [name for name in names if name.startswith(("hybrid(", "h:"))]
    # a line may still name it by what it is of
    (named,) = bench.compose(run, ["hybrid(bm25, flat):12 > red"])
    own = {pipeline.name: pipeline.quality for pipeline in composition.pipelines}
    assert named.pipelines[0].quality == own["hybrid:12 > red"]
