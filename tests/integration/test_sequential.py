"""`check --sequential`: a suite is run on a part of its queries where these suffice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

import bench
from bench.core.errors import BenchError, IncomparableError
from bench.gate import Gates, check
from bench.gate.staged import StagedCheck
from bench.records import baselines
from bench.records.run import Run
from bench.suite import suite as suites
from tests.support.command import bench as command

pytestmark = pytest.mark.usefixtures("without_reports")

QUERIES = 60
SECOND = {"name": "second"}
TWO_DATASETS = [
    {"embedded:everyday": {"queries": QUERIES}},
    {"embedded:everyday": {**SECOND, "queries": 29}},
]
GATES = "quality: {nDCG@10: 0.2}\nfailures: 0\n"


class Place(NamedTuple):
    folder: Path
    run: Run
    log: Path


def suite(log: Path, **options: Any) -> dict[str, Any]:
    fake = {"tests.support.fakes:HashReranker": {"name": "fake", "log": str(log), **options}}
    return {
        "name": "small",
        "datasets": [{"embedded:everyday": {"queries": QUERIES}}],
        "rerankers": [fake],
        "depth": 5,
        "latency": None,
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("sequential")
    log = folder / "calls"
    run = bench.run(suite(folder / "before"), out=folder / "results")
    baselines.save(run, folder=folder / "kept")
    (folder / "gates.yaml").write_text(GATES)
    return Place(folder, run, log)


def checked(place: Place, **options: Any) -> tuple[int, dict[str, Any], int]:
    """Return exit code, verdict and pairs scored of one check of the suite."""
    place.log.unlink(missing_ok=True)
    file = place.folder / "suite.yaml"
    file.write_text(yaml.safe_dump(suite(place.log, **options)))
    result = command(
        "check",
        str(file),
        "--baseline",
        str(place.folder / "kept" / "small"),
        "--gates",
        str(place.folder / "gates.yaml"),
        "--sequential",
        "--fresh",
        "--quiet",
        "--format",
        "json",
        cwd=place.folder,
    )
    assert result.stderr == ""
    pairs = len(place.log.read_text()) if place.log.is_file() else 0
    return result.returncode, json.loads(result.stdout), pairs


def test_an_unchanged_reranker_passes_on_a_part_of_the_queries(place: Place) -> None:
    code, verdict, pairs = checked(place)
    assert (code, verdict["outcome"]) == (0, "pass")
    [gate] = [gate for gate in verdict["gates"] if gate["gate"].startswith("quality")]
    numbers = gate["numbers"]
    assert numbers["certain_after"] <= numbers["queries"] < numbers["all_queries"] == QUERIES
    # each pair was scored once, over all rounds
    assert pairs == 5 * numbers["queries"]
    assert f"({numbers['queries']} of {QUERIES} queries)" in gate["found"]
    assert "difference" not in numbers
    assert not (place.folder / "results" / "small-sequential").exists()
    assert len(list((place.folder / "results" / "small").iterdir())) == 1


def test_of_a_finished_run_it_says_when_it_was_certain(place: Place, tmp_path: Path) -> None:
    run = bench.run(suite(tmp_path / "after"), out=tmp_path)
    gates = Gates(quality={"nDCG@10": 0.2})
    plain = check(run, place.run, gates)
    verdict = check(run, place.run, gates, sequential=True)
    assert [gate.outcome for gate in verdict.gates] == [gate.outcome for gate in plain.gates]
    after = verdict.gates[0].numbers["certain_after"]
    assert 10 <= after < QUERIES
    assert f"certain after {after} of {QUERIES} queries" in verdict.gates[0].remark


@pytest.mark.parametrize("gates", ["speed: 1.1", "quality: {ECE: 0.05}", "memory: {max_gib: 1}"])
def test_gates_that_a_part_of_the_queries_does_not_serve_are_refused(
    place: Place, tmp_path: Path, gates: str
) -> None:
    suite_file, gates_file = tmp_path / "suite.yaml", tmp_path / "gates.yaml"
    suite_file.write_text(yaml.safe_dump(suite(place.log)))
    gates_file.write_text(gates)
    baseline = str(place.folder / "kept" / "small")
    words = ("--baseline", baseline, "--gates", str(gates_file), "--sequential")
    result = command("check", str(suite_file), *words, cwd=tmp_path)
    assert result.returncode == 2
    assert "--sequential judges rankings query by query" in result.stderr


def test_other_queries_are_refused_before_anything_is_scored(place: Place) -> None:
    place.log.unlink(missing_ok=True)
    file = place.folder / "other.yaml"
    other = suite(place.log)
    other["datasets"] = [{"embedded:everyday": {"queries": QUERIES - 1}}]
    file.write_text(yaml.safe_dump(other))
    baseline = str(place.folder / "kept" / "small")
    result = command("check", str(file), "--baseline", baseline, "--sequential", cwd=place.folder)
    assert result.returncode == 3
    assert "dataset.queries_hash" in result.stderr
    assert not place.log.exists()


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        (
            {"datasets": [{"embedded:everyday": {"queries": QUERIES, "min_relevance": 2}}]},
            "min_rel",
        ),
        ({"first_stages": [{"bm25": {"name": "other", "k1": 0.2}}]}, "candidates"),
        ({"depth": 4}, r"candidates \(.*, depth \(5 → 4\)"),
        ({"datasets": TWO_DATASETS}, "dataset.queries_hash"),
    ],
)
def test_whatever_cannot_be_compared_is_found_before_anything_is_scored(
    tmp_path: Path, changes: dict[str, Any], fields: str
) -> None:
    """A dataset that comes second, another judge and a first stage of another name, too."""
    entry = suite(tmp_path / "before")
    if changes.get("datasets") is TWO_DATASETS:
        entry["datasets"] = [*entry["datasets"], {"embedded:everyday": {**SECOND, "queries": 30}}]
    baseline = bench.run(entry, out=tmp_path / "results")
    log = tmp_path / "calls"
    changed = suites.load({**suite(log), **changes})
    staged = StagedCheck(changed, baseline, Gates(quality={"nDCG@10": 0.2}), fresh=True)
    with pytest.raises(IncomparableError, match=fields) as caught:
        staged.verdict()
    assert str(caught.value).endswith("nothing was scored")
    assert not log.exists()


def test_a_measure_more_is_checked_and_one_that_is_gated_and_not_there_is_an_error(
    place: Place, tmp_path: Path
) -> None:
    log = tmp_path / "calls"
    gates = Gates(quality={"nDCG@10": 0.2})
    entry = {**suite(log), "measures": ["nDCG@10", "RR@10", "R@5"]}
    assert StagedCheck(suites.load(entry), place.run, gates, fresh=True).verdict().exit_code == 0
    log.unlink()
    for measures, gated, problem in (
        (["nDCG@10"], {"RR@10": 0.2}, "which the suite small does not measure: add it to"),
        (["nDCG@10", "R@5"], {"R@5": 0.2}, "its records hold no R@5"),
    ):
        entry = {**suite(log), "measures": measures}
        staged = StagedCheck(suites.load(entry), place.run, Gates(quality=gated), fresh=True)
        with pytest.raises(BenchError, match=problem):
            staged.verdict()
    assert not log.exists()


def test_a_reranker_of_the_gates_that_the_baseline_lacks_is_found_before_anything_is_scored(
    place: Place, tmp_path: Path
) -> None:
    log = tmp_path / "calls"
    entry = suite(log)
    entry["rerankers"].append({"tests.support.fakes:HashReranker": {"name": "added"}})
    own = {"added": {"quality": 0.2}}
    gates = Gates.model_validate({"quality": {"nDCG@10": 0.2}, "rerankers": own})
    with pytest.raises(IncomparableError, match="the gates name added, and the baseline"):
        StagedCheck(suites.load(entry), place.run, gates, fresh=True).verdict()
    unknown = Gates.model_validate({"quality": {"nDCG@10": 0.2}, "rerankers": {"faek": {}}})
    with pytest.raises(BenchError, match="did you mean 'fake'"):
        StagedCheck(suites.load(entry), place.run, unknown, fresh=True).verdict()
    assert not log.exists()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["suite.yaml"], "a suite is checked with --sequential"),
        (["suite.yaml", "--sequential", "--live"], "--live times two runs"),
    ],
)
def test_what_is_no_sequential_check_is_refused(
    place: Place, arguments: list[str], problem: str
) -> None:
    baseline = str(place.folder / "kept" / "small")
    result = command("check", *arguments, "--baseline", baseline, cwd=place.folder)
    assert result.returncode == 2
    assert problem in result.stderr


def test_what_failed_in_the_baseline_and_fails_again_is_no_pass(tmp_path: Path) -> None:
    entry = suite(tmp_path / "calls", crash="no memory")
    entry["rerankers"].append("word-overlap")
    before = bench.run(entry, out=tmp_path / "results")
    staged = StagedCheck(suites.load(entry), before, Gates(quality={"nDCG@10": 0.2}), fresh=True)
    verdict = staged.verdict()
    outcomes = {gate.trial.reranker: gate.outcome for gate in verdict.gates if gate.name != "drift"}
    assert outcomes == {"fake": "incomparable", "word-overlap": "pass"}
    assert verdict.exit_code == 3


def test_what_is_certain_with_all_queries_alone_gets_the_verdict_of_a_check(place: Place) -> None:
    place.log.unlink(missing_ok=True)
    gates = Gates(quality={"nDCG@10": 0.001}, drift=None)
    entry = suites.load(suite(place.log, salt="other"))
    verdict = StagedCheck(entry, place.run, gates, fresh=True).verdict()
    [gate] = verdict.gates
    assert gate.numbers["queries"] == QUERIES
    assert "difference" in gate.numbers
    assert any(note.startswith(f"{QUERIES} of {QUERIES} queries") for note in verdict.notes)
    assert len(place.log.read_text()) == 5 * QUERIES
