"""Baselines: small, whole, without secrets, found by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import bench
from bench.cli.main import cli
from bench.core.errors import BenchError, RecordError, SuiteError
from bench.gate import check
from bench.records import baselines
from bench.records.run import Run
from bench.reports import verdict as page
from bench.reports.renderers import render
from bench.suite.suite import load
from tests.support.made_collections import write_collection
from tests.support.made_runs import made_run

FAKE = {"tests.support.fakes:HashReranker": {"name": "fake"}}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("finished")
    suite = {
        "name": "tiny",
        "datasets": [f"files:{write_collection(folder / 'tiny')}"],
        "rerankers": [FAKE],
        "latency": {"queries": 3, "rounds": 1},
    }
    return bench.run(suite, out=folder / "results")


@pytest.fixture
def run(finished: Run, tmp_path: Path) -> Run:
    """A copy of one finished run, that a test may write to."""
    folder = tmp_path / "results" / "tiny" / finished.folder.name
    return Run(Path(shutil.copytree(finished.folder, folder)))


def test_a_baseline_is_a_small_run_that_checks_like_the_whole_one(run: Run, tmp_path: Path) -> None:
    path = baselines.save(run, folder=tmp_path / "kept")
    assert path == tmp_path / "kept" / "tiny"
    stored = Run(path)
    assert sorted(stored.records) == sorted(run.records)
    assert stored.per_query.equals(run.per_query)
    assert {one.name: one.outcome for one in check(run, stored).gates} == {
        "quality nDCG@10": "pass",
        "drift": "pass",
    }
    assert baselines.size(path) < 100_000
    names = {str(one.relative_to(path)).split("/")[0] for one in path.rglob("*") if one.is_file()}
    assert names == {"run.json", "records", "rankings", "per_query"}
    assert stored.latency.empty
    assert all(
        "speed" not in record.keys and record.latency is None for record in stored.records.values()
    )
    assert stored.to_frame()["status"].tolist() == run.to_frame()["status"].tolist()


def test_timings_are_kept_when_asked_for(run: Run, tmp_path: Path) -> None:
    stored = Run(baselines.save(run, "timed", tmp_path / "kept", latency=True))
    assert not stored.latency.empty
    assert set(stored.latency["span"]) == {"total"}
    fake = next(record for record in stored.records.values() if record.trial.reranker == "fake")
    assert "speed" in fake.keys


def test_nothing_of_this_machine_or_its_owner_is_kept(run: Run, tmp_path: Path) -> None:
    folder = baselines.save(run, folder=tmp_path / "kept")
    assert run.info.command
    assert Run(folder).info.command == ""
    assert set(Run(folder).info.environment) <= {"cpu", "gpu", "os", "python", "libraries"}


def test_a_name_that_is_taken_is_not_overwritten_unless_asked(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    first = baselines.save(run, "base", folder)
    other = made_run(tmp_path, {"a": [0.5, 0.6]})
    with pytest.raises(BenchError, match="is there already: give another --name, or --replace it"):
        baselines.save(other, "base", folder)
    assert Run(first).info.id == run.info.id
    assert Run(baselines.save(other, "base", folder, replace=True)).info.id == other.info.id
    assert [path.name for path in folder.iterdir()] == ["base"]


@pytest.mark.parametrize("name", ["../up", ".hidden", "a b", "a/b"])
def test_a_name_is_a_plain_file_name(run: Run, tmp_path: Path, name: str) -> None:
    with pytest.raises(BenchError, match="--name"):
        baselines.save(run, name, tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_a_save_that_fails_leaves_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise BenchError(f"{path}: cannot be written: No space left on device")

    old = baselines.save(run, "base", tmp_path / "kept")
    monkeypatch.setattr(baselines, "write_atomically", full)
    with pytest.raises(BenchError, match="No space left"):
        baselines.save(run, "base", tmp_path / "kept", replace=True)
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["base"]
    assert Run(old).info.id == run.info.id


def test_an_unfinished_run_is_no_baseline(run: Run, tmp_path: Path) -> None:
    path = run.folder / "run.json"
    path.write_text(
        path.read_text().replace(
            '"status": "done",\n "version"', '"status": "running",\n "version"'
        )
    )
    assert Run(run.folder).info.status == "running"
    with pytest.raises(RecordError, match="not finished"):
        baselines.save(Run(run.folder), "base", tmp_path / "kept")


def test_a_word_finds_a_run(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # the runs of the working folder are known names as well: here are none
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    folder = tmp_path / "kept"
    baselines.save(run, "base", folder)
    assert baselines.find(str(run.folder), folder).info.id == run.info.id
    assert baselines.find("base", folder).folder == folder / "base"
    newer = made_run(tmp_path / "many", {"a": [0.5]}, name="newer").folder
    old = made_run(tmp_path / "many", {"a": [0.5]}, name="old").folder / "run.json"
    old.write_text(old.read_text().replace("2026-01-01", "2025-01-01"))
    assert baselines.find(str(newer.parent), folder).folder == newer
    with pytest.raises(
        RecordError,
        match=r"bace: neither a run folder nor a baseline in .*kept \(did you mean 'base'",
    ):
        baselines.find("bace", folder)
    with pytest.raises(RecordError, match="rerank-bench baseline save RUN"):
        baselines.find("base", tmp_path / "none")
    with pytest.raises(RecordError, match="no run here"):
        baselines.find(str(tmp_path), folder)


def test_every_command_that_takes_a_run_takes_latest_and_a_folder_of_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecordError, match="latest: no finished run under results"):
        baselines.find("latest")
    times: dict[str, Any] = {
        "milliseconds": {"a": [1.0, 2.0]},
        "record": {"a": {"latency": {"notes": []}}},
    }
    order = {"q0": [("d1", 2.0), ("d2", 1.0)]}
    rankings = {"a": order, "first-stage": order}
    values = {"first-stage": [0.2, 0.4], "a": [0.5, 0.6]}
    old, new = (
        made_run(Path("results"), values, name=name, rankings=rankings, **times)
        for name in ("old", "new")
    )
    made = (old.folder / "run.json").read_text().replace("2026-01-01", "2025-01-01")
    (old.folder / "run.json").write_text(made)
    baselines.save(old, "base")
    unfinished = (
        (new.folder / "run.json")
        .read_text()
        .replace('"status": "done",\n "version"', '"status": "running",\n "version"')
    )
    unfinished = unfinished.replace('"started": "2026', '"started": "2027')
    (tmp_path / "results" / "made" / "running").mkdir()
    (tmp_path / "results" / "made" / "running" / "run.json").write_text(unfinished)
    for word in ("latest", "results/made", str(new.folder)):
        assert baselines.find(word).info.id == new.info.id
        for arguments in (
            ["report", word],
            ["show", "run", word],
            ["plot", word, "--kind", "per-query"],
            ["export", word, "--format", "csv"],
            ["budget", word, "--p95-ms", "100"],
            ["compare", word],
            ["compare", word, "base"],
            ["parity", word, "base"],
            ["check", word, "--baseline", "base"],
            ["leaderboard", word],
            ["baseline", "save", word, "--name", "again", "--replace"],
        ):
            done = CliRunner().invoke(cli, arguments)
            if arguments[0] == "check" and word != str(new.folder):
                assert isinstance(done.exception, RecordError)
                assert str(done.exception).startswith(
                    "results/made/running: this newest run is not finished"
                )
                assert str(done.exception).endswith(f"of an older one: {new.folder}")
                continue
            if arguments[0] in ("report", "compare", "export"):
                assert ("note: results/made/running: this newest run" in done.output) == (
                    word != str(new.folder)
                )
            assert not isinstance(done.exception, Exception), (arguments, done.exception)
    assert bench.load("latest").info.id == new.info.id


def test_the_commands(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Any:
        return CliRunner().invoke(cli, arguments)

    assert "no baselines there" in str(call("baseline", "list").exception)
    saved = call("baseline", "save", "results/tiny")
    assert saved.exit_code == 0, saved.output
    assert saved.output.startswith("results/baselines/tiny: ")
    listed = call("baseline", "list").output
    assert listed.startswith("tiny ")
    assert listed.rstrip().endswith("suite tiny: fake")
    own = call("check", "results/tiny", "--baseline", "tiny").exception
    assert isinstance(own, RecordError)
    assert "this is the baseline's own run" in str(own)
    info = json.loads((run.folder / "run.json").read_text())
    (run.folder / "run.json").write_text(json.dumps(info | {"id": "another"}))
    checked = call("check", "results/tiny", "--baseline", "tiny")
    assert "pass: tiny" in checked.output
    assert "already" in str(call("baseline", "save", "results/tiny").exception)


@pytest.mark.parametrize("name", ["latest", "Latest", "baselines"])
def test_no_baseline_and_no_suite_has_a_name_that_means_something_else(
    run: Run, tmp_path: Path, name: str
) -> None:
    with pytest.raises(BenchError, match="RUN means something else by that word"):
        baselines.save(run, name, tmp_path / "kept")
    with pytest.raises(SuiteError, match="give the suite another name"):
        load({"name": name, "datasets": ["everyday"], "rerankers": ["word-overlap"]})


def test_a_run_that_failed_as_a_whole_is_not_what_a_folder_of_runs_means(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    good = made_run(Path("results"), {"a": [0.5]}, name="good")
    bad = made_run(Path("results"), {}, failed=["a"], name="bad")
    path = bad.folder / "run.json"
    later = json.loads(path.read_text()) | {"started": "2027-01-01", "finished": "2027-01-01"}
    path.write_text(json.dumps(later))
    sentences: list[str] = []
    assert baselines.find("latest", on_unfinished=sentences.append).info.id == good.info.id
    assert [text.partition(": run its suite")[0] for text in sentences] == [
        f"{bad.folder}: no trial of this newest run finished"
    ]
    with pytest.raises(RecordError, match="did you mean 'results/made'"):
        baselines.find("results/mad")


def test_a_folder_of_unfinished_runs_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = made_run(Path("results"), {"a": [0.5]}, name="begun").folder / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"status": "running"}))
    with pytest.raises(RecordError, match=r"^results/made: none .*: results/made/\S+-begun$"):
        baselines.find("results/made")


def test_a_newest_run_that_cannot_be_read_is_not_passed_over_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    good = made_run(Path("results"), {"a": [0.5]}, name="20260101T000000Z-aaaaaa")
    for name, is_named in (("20250101T000000Z-aaaaaa", False), ("20270101T000000Z-aaaaaa", True)):
        path = good.folder.parent / name / "run.json"
        path.parent.mkdir()
        path.write_text("{")
        sentences: list[str] = []
        found = baselines.find("results/made", on_unfinished=sentences.append)
        assert found.info.id == good.info.id
        assert [text.partition(": run its suite")[0] for text in sentences] == [
            f"{path.parent}: run.json of this newest run cannot be read"
        ] * is_named


def test_the_newest_run_is_the_one_that_finished_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, started, finished in (
        ("long", "2026-01-01", "2026-01-09"),
        ("short", "2026-01-02", "2026-01-03"),
    ):
        path = made_run(Path("results"), {"a": [0.5]}, name=name).folder / "run.json"
        path.write_text(
            json.dumps(json.loads(path.read_text()) | {"started": started, "finished": finished})
        )
    assert baselines.find("latest").info.suite_hash == "long"


def test_a_replaced_baseline_behind_a_link_stays_behind_it(run: Run, tmp_path: Path) -> None:
    real = baselines.save(run, "real", tmp_path / "elsewhere")
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "linked").symlink_to(real)
    (real / "old.txt").write_text("of the baseline before")
    baselines.save(run, "linked", tmp_path / "kept", replace=True)
    assert (tmp_path / "kept" / "linked").is_symlink()
    assert not (real / "old.txt").exists()
    assert Run(real).info.id == run.info.id


def test_what_failed_and_has_no_baseline_is_in_every_output(tmp_path: Path) -> None:
    ranking = {"a": {f"q{i}": [("d1", 2.0), ("d2", 1.0)] for i in range(2)}}
    old = made_run(tmp_path, {"a": [0.5, 0.6]}, name="old", rankings=ranking)
    new = made_run(tmp_path, {"a": [0.5, 0.6]}, name="new", rankings=ranking, failed=["added"])
    verdict = check(new, old)
    outputs = (
        render(page.terminal(verdict), "table"),
        *(render(page.document(verdict), form) for form in ("markdown", "json", "junit", "github")),
    )
    assert all("added failed (no reason given)" in output for output in outputs)


def test_why_nothing_is_comparable_is_said_once_and_names_the_gates_file(tmp_path: Path) -> None:
    old = made_run(tmp_path, {"a": [0.5, 0.6]}, name="old")
    new = made_run(tmp_path, {"a": [0.5, 0.6]}, name="new", quality={"candidates": "other"})
    reasons = [gate.remark for gate in check(new, old).gates]
    assert "`across: [FIELD]` in the gates file" in reasons[0]
    assert reasons[1:] == ["for the same reason"]
