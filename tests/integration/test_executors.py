"""Executors: wherever scores are computed they are the same, a worker that dies costs what it was
at, and one from outside is a file and a line.
"""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

import bench
from bench import rerankers
from bench.cli.main import cli
from bench.contract.recipe import Recipe
from bench.contract.request import CandidateList
from bench.contract.scored import Scored
from bench.core import plugins
from bench.core.errors import RerankerError, SuiteError
from bench.core.note import Code
from bench.records.run import Run
from bench.scoring import executors
from bench.scoring.engine import score
from bench.scoring.executors.base import Executor
from bench.scoring.job import Answer
from bench.suite.json_schema import schema
from bench.suite.suite import load
from tests.support.command import bench as command
from tests.support.made_requests import requests
from tests.support.notes import noted
from tests.support.paths import ROOT
from tests.support.processes import is_running, wait_for

FAKE = "tests.support.fakes:HashReranker"
MODEL = {"model": "tiny:bert-cross-encoder", "threads": 1, "max_length": 32}
TWO = {"processes": {"workers": 2, "threads": 1}}
MORTAL = "tests.support.fakes:MortalReranker"


def suite(collection: Path, *entries: Any, **more: Any) -> dict[str, Any]:
    return {
        "name": "placed",
        "datasets": [f"files:{collection}"],
        "rerankers": list(entries) or [{FAKE: {"name": "fake"}}],
        "measures": ["nDCG@10", "R@2"],
        "devices": ["cpu"],
        "depth": 4,
        "chunk_pairs": 4,
        "latency": None,
        **more,
    }


def scored(
    name: str, options: dict[str, Any], lists: list[CandidateList], *, entry: Any = "here"
) -> Scored:
    """Return the scores of a reranker by an executor, from an empty cache."""
    executor = executors.build(entry) if isinstance(entry, str) else executors.build(*entry)
    reranker = rerankers.build(name, options)
    recipe = Recipe(name, options, str(Path.cwd()))
    return score(reranker, lists, chunk_pairs=8, fresh=True, executor=executor, recipe=recipe)


def assert_same(one: Scored, other: Scored) -> None:
    assert list(one.scores) == list(other.scores)
    for query_id, values in one.scores.items():
        assert np.array_equal(values, other.scores[query_id])
    assert one.usage == other.usage
    assert one.description["identity"] == other.description["identity"]


def rankings(run: Run) -> dict[str, list[str]]:
    """Return the lines of each ranking."""
    lines = {}
    for path in sorted((run.folder / "rankings").glob("*.run.gz")):
        lines[path.name] = gzip.decompress(path.read_bytes()).decode().splitlines()
    return lines


@pytest.mark.parametrize(
    ("name", "options", "workers"),
    [
        pytest.param(FAKE, {}, 2, id="fake"),
        # one worker: each imports the libraries for seconds
        pytest.param("cross-encoder", MODEL, 1, id="model", marks=pytest.mark.slow),
    ],
)
def test_scores_are_those_of_this_process_bit_for_bit(
    name: str, options: dict[str, Any], workers: int
) -> None:
    lists = requests(9, docs=4)
    theirs = scored(name, options, lists, entry=("processes", {"workers": workers, "threads": 1}))
    assert_same(scored(name, options, lists), theirs)
    assert theirs.executor == "processes"


def test_texts_that_occur_twice_are_scored_once_as_in_one_process() -> None:
    lists = requests(6, docs=4)
    for i, request in enumerate(requests(6, docs=4)):
        lists.append(CandidateList(f"again{i}", request.query, request.doc_ids, request.docs))
    ours = scored(FAKE, {}, lists)
    theirs = scored(FAKE, {}, lists, entry=("processes", {"workers": 3}))
    assert (ours.computed_queries, ours.cached_queries) == (6, 6)
    assert (theirs.computed_queries, theirs.cached_queries) == (6, 6)
    assert_same(ours, theirs)


def test_a_run_and_its_pipelines_measure_the_same(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = ["bm25", {FAKE: {"salt": "a", "keep": 3}}, "word-overlap"]
    settings = suite(collection, pipelines=[{"name": "cascade", "stages": stages}])
    ours = bench.run(settings, out=tmp_path / "here")
    monkeypatch.setenv("RERANK_BENCH_CACHE", str(tmp_path / "another cache"))
    theirs = bench.run({**settings, "executor": TWO}, out=tmp_path / "processes")
    assert rankings(ours) == rankings(theirs)
    assert list(ours.per_query["value"]) == list(theirs.per_query["value"])
    for trial, record in ours.records.items():
        assert theirs.records[trial].quality == record.quality
        assert theirs.records[trial].scores == record.scores
        assert theirs.records[trial].keys == record.keys
    by_name = {record.trial.reranker: record.executor for record in theirs.records.values()}
    assert (by_name["fake"], by_name["cascade"]) == ("processes", "processes")
    assert by_name["first-stage"] == by_name["oracle"] == "", "an order that is given needs nobody"
    assert {record.executor for record in ours.records.values()} == {""}
    assert "scored by" in (theirs.folder / "report.html").read_text(encoding="utf-8")
    assert dict(theirs.info.resolved)["executor"] == TWO
    assert "executor" not in ours.info.resolved


def test_a_worker_that_is_killed_costs_what_it_was_at(tmp_path: Path) -> None:
    lists = requests(8, docs=4)
    options = {"folder": str(tmp_path), "dies_at": "query 3"}
    theirs = scored(MORTAL, options, lists, entry=("processes", {"workers": 2}))
    assert (tmp_path / "died").exists()
    assert noted(theirs.notes, Code.WORKER_DIED).text == "was killed by SIGKILL"
    assert_same(scored(FAKE, {}, lists), theirs)


def test_work_that_kills_every_worker_fails_its_trial_and_keeps_what_was_finished(
    tmp_path: Path,
) -> None:
    lists = requests(8, docs=4)
    options = {"folder": str(tmp_path), "dies_at": "query 7", "again": True}
    with pytest.raises(RerankerError, match=r"two workers .* killed by SIGKILL"):
        scored(MORTAL, options, lists, entry=("processes", {"workers": 1}))
    again = score(rerankers.build(MORTAL, options), lists[:6], chunk_pairs=8)
    assert (again.cached_queries, again.computed_queries) == (6, 0)


ODD = """
import os
from tests.support.fakes import HashReranker


class Exits(HashReranker):
    def score(self, pairs):
        os.write(2, b"the licence ran out\\n")
        os._exit(3)


class Interrupts(HashReranker):
    def score(self, pairs):
        raise KeyboardInterrupt("enough")


class Writes(HashReranker):
    def score(self, pairs):
        for number in range(3, 20):
            try:
                os.write(number, b"garbage\\n")
            except OSError:
                pass
        return super().score(pairs)


class Forks(HashReranker):
    def score(self, pairs):
        os.fork()
        return super().score(pairs)
"""
UNREADABLE = (
    "executor 'processes': a worker's answer could not be read: 'garbage'. Does odd_reranker"
)
OTHERS = "executor 'processes': a worker's answer could not be read: it is that of other queries"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "Exits",
            "two workers ended over the same work; the second ended with code 3: the licence",
        ),
        ("Interrupts", "the second was killed by SIGINT: KeyboardInterrupt: enough"),
        ("Writes", UNREADABLE),
        ("Forks", OTHERS),
    ],
)
def test_what_is_known_of_a_workers_end_is_said_and_nothing_of_memory(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "odd_reranker.py").write_text(ODD)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "odd_reranker", raising=False)
    with pytest.raises(RerankerError) as error:
        scored(f"odd_reranker:{name}", {}, requests(8, docs=4), entry=("processes", {"workers": 1}))
    assert message in str(error.value)
    assert "memory" not in str(error.value)


STARTS = """
import os
import subprocess
import sys

from tests.support.fakes import MortalReranker


class Starts(MortalReranker):
    def score(self, pairs):
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        with open(f"{self.options.folder}/{process.pid}.started", "w"):
            pass
        return super().score(pairs)
"""


@pytest.mark.parametrize("dies_at", ["", "query 0"])
def test_what_a_reranker_has_started_ends_with_its_worker(
    dies_at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "starting_reranker.py").write_text(STARTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "starting_reranker", raising=False)
    options = {"folder": str(tmp_path), "dies_at": dies_at}
    entry = ("processes", {"workers": 1})
    scored("starting_reranker:Starts", options, requests(2), entry=entry)
    pids = [int(path.stem) for path in tmp_path.glob("*.started")]
    assert len(pids) == 1 + bool(dies_at)
    assert wait_for(lambda: not any(map(is_running, pids)))


def test_no_worker_outlives_an_interrupt(tmp_path: Path) -> None:
    lists = requests(12, docs=4)
    options = {"folder": str(tmp_path), "delay_ms": 20}
    executor = executors.build("processes", {"workers": 2})

    def interrupt(pairs: int) -> None:
        if pairs:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(
            rerankers.build(MORTAL, options),
            lists,
            chunk_pairs=8,
            on_progress=interrupt,
            executor=executor,
            recipe=Recipe(MORTAL, options, str(tmp_path)),
        )
    pids = [int(path.stem) for path in tmp_path.glob("*.pid")]
    assert pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    again = score(rerankers.build(MORTAL, options), lists, chunk_pairs=8)
    assert again.cached_queries >= 2, "the chunk that was finished is in the cache"


def test_code_that_raises_in_a_worker_reads_as_if_it_had_raised_here(
    collection: Path, tmp_path: Path
) -> None:
    entry = {FAKE: {"name": "fake", "crash": "paper jam"}}
    reasons: list[str | None] = []
    for executor in ("here", TWO):
        done = bench.run(
            suite(collection, entry, executor=executor), out=tmp_path / str(len(reasons))
        )
        (status,) = [line for line in done.info.trials if line.trial.reranker == "fake"]
        assert status.status == "failed"
        reasons.append(status.reason)
        (errors,) = (done.folder / "errors").iterdir()
        assert "raise RuntimeError(self.options.crash)" in errors.read_text()
    assert reasons[0] == reasons[1]


def test_an_object_that_was_handed_over_is_scored_here(collection: Path, tmp_path: Path) -> None:
    class Longest:
        def score(self, pairs: Any) -> list[float]:
            return [float(len(document)) for _, document in pairs]

    done = bench.run(suite(collection, Longest(), executor="processes"), out=tmp_path)
    (record,) = [one for one in done.records.values() if one.trial.kind == "reranker"]
    assert record.executor == ""


def test_a_request_to_end_keeps_what_is_finished_and_leaves_no_lock(
    collection: Path, tmp_path: Path
) -> None:
    entry = {MORTAL: {"name": "slow", "folder": str(tmp_path), "delay_ms": 150}}
    path = tmp_path / "suite.yaml"
    path.write_text(yaml.safe_dump(suite(collection, entry, executor=TWO)))
    cache = Path(os.environ["RERANK_BENCH_CACHE"])
    places = os.pathsep.join([str(ROOT), str(tmp_path)])
    environment = {**os.environ, "PYTHONPATH": places}
    process = subprocess.Popen(
        [sys.executable, "-m", "bench", "run", str(path), "--quiet"], cwd=tmp_path, env=environment
    )
    while not list(cache.glob("scores/*/*.npz")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    again = command("run", str(path), "--quiet", cwd=tmp_path, PYTHONPATH=places)
    assert again.returncode == 0, again.stderr
    assert "came from the cache" in again.stdout


FILE = """
from bench.core.options import option
from bench.scoring.executors.base import Executor, ExecutorOptions


class BackwardsOptions(ExecutorOptions):
    batch: int = option(2, decides="nothing", ge=1, description="chunks that are taken at once")


class Backwards(Executor):
    Options = BackwardsOptions
    meaning = "the last of a few chunks first"

    def run(self, reranker, recipe, jobs):
        reranker.load()
        waiting = []
        for job in jobs:
            waiting.append(job)
            if len(waiting) == self.options.batch:
                while waiting:
                    job = waiting.pop()
                    yield job, job.answered_by(reranker)
        while waiting:
            job = waiting.pop()
            yield job, job.answered_by(reranker)
"""
OUTSIDE = "backwards_executor:Backwards"


@pytest.fixture
def backwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of an outsider's executor, from one file and one line in the table."""
    (tmp_path / "backwards_executor.py").write_text(FILE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "backwards_executor", raising=False)
    monkeypatch.setattr(plugins, "_FOLDERS", [])
    monkeypatch.setitem(executors.EXECUTORS, "backwards", OUTSIDE)
    return "backwards"


def test_one_from_outside_is_a_file_and_a_line(
    backwards: str, collection: Path, tmp_path: Path
) -> None:
    listed = CliRunner().invoke(cli, ["list", "executors"]).output
    (line,) = [line for line in listed.splitlines() if line.startswith(backwards)]
    assert "the last of a few chunks first" in line
    assert "batch" in line
    settings = suite(collection, executor={backwards: {"batch": 3}})
    path = tmp_path / "suite.yaml"
    path.write_text(yaml.safe_dump(settings))
    validated = CliRunner().invoke(cli, ["validate", str(path)])
    assert validated.exit_code == 0, validated.output
    assert f"executor {backwards}, the last of a few chunks first" in validated.output
    assert backwards in str(schema()["properties"]["executor"])
    plain = bench.run(suite(collection), out=tmp_path / "here")
    done = bench.run(settings, out=tmp_path / "out", fresh=True)
    assert rankings(done) == rankings(plain)
    (record,) = [one for one in done.records.values() if one.trial.kind == "reranker"]
    assert record.executor == backwards
    assert backwards in (done.folder / "report.html").read_text(encoding="utf-8")


def test_a_suite_names_the_class_itself(backwards: str, collection: Path, tmp_path: Path) -> None:
    done = bench.run(suite(collection, executor=OUTSIDE), out=tmp_path)
    assert dict(done.info.resolved)["executor"] == OUTSIDE


def _half(reranker: Any, jobs: Any) -> Any:
    for place, job in enumerate(jobs):
        if place % 2 == 0:
            yield job, job.answered_by(reranker)


def _early(reranker: Any, jobs: Any) -> Any:
    job = next(jobs)
    yield job, job.answered_by(reranker)


def _twice(reranker: Any, jobs: Any) -> Any:
    for job in jobs:
        answer = job.answered_by(reranker)
        yield job, answer
        yield job, answer


def _swapped(reranker: Any, jobs: Any) -> Any:
    waiting = list(jobs)
    for job, other in zip(waiting, reversed(waiting), strict=True):
        yield job, other.answered_by(reranker)


def _unknown(reranker: Any, jobs: Any) -> Any:
    for job in jobs:
        yield replace(job), job.answered_by(reranker)


def _none(reranker: Any, jobs: Any) -> Any:
    for job in jobs:
        yield job, None


def _bare(reranker: Any, jobs: Any) -> Any:
    yield from jobs


def _no_iterator(reranker: Any, jobs: Any) -> Any:
    return None


def _no_numbers(reranker: Any, jobs: Any) -> Any:
    for job in jobs:
        yield job, Answer([np.full(len(request.docs), np.nan) for request in job.requests])


def _short(reranker: Any, jobs: Any) -> Any:
    for job in jobs:
        yield job, Answer([np.zeros(2) for _ in job.requests])


def _few(reranker: Any, jobs: Any) -> Any:
    for job in jobs:
        yield job, Answer([])


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (_half, "run() took 3 jobs and answered 2"),
        (_early, "run() ended after 1 job, and there were more to take"),
        (_twice, "run() answered the job of query 'q0' twice"),
        (_swapped, "the job of query 'q0' got the answer of query 'q4'"),
        (_unknown, "run() answered a value of type Job, which is no job that it took"),
        (_none, "the answer to a job is None; it is an Answer"),
        (_bare, "run() yielded a value of type Job; it yields (job, answer)"),
        (_no_iterator, "run() returned None; it yields (job, answer)"),
        (_no_numbers, "query 'q0': the score of document 'd0' is not finite"),
        (_short, "query 'q0': scores of shape (2,) for 4 documents"),
        (_few, "run() answered 0 of 2 requests"),
    ],
)
def test_an_executor_that_breaks_its_contract_fails_the_trial_and_keeps_nothing_wrong(
    run: Any, message: str
) -> None:
    class Broken(Executor):
        def run(self, reranker: Any, recipe: Any, jobs: Any) -> Any:
            return run(reranker, jobs)

    lists = requests(6, docs=4)
    executor = Broken("broken", Broken.Options())
    with pytest.raises(RerankerError) as error:
        score(rerankers.build(FAKE, {}), lists, chunk_pairs=8, executor=executor)
    assert str(error.value) == f"executor 'broken': {message}"
    again = score(rerankers.build(FAKE, {}), lists, chunk_pairs=8)
    fresh = score(rerankers.build(FAKE, {}), lists, chunk_pairs=8, fresh=True)
    assert_same(fresh, again)


def test_an_executor_that_leaves_jobs_out_fails_one_trial_of_its_group(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_executor.py").write_text(
        FILE.replace("        while waiting:\n            job = waiting.pop()", "        if False:")
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    done = bench.run(
        suite(collection, chunk_pairs=100, executor="half_executor:Backwards"), out=tmp_path
    )
    by_name = {line.trial.reranker: line for line in done.info.trials}
    assert by_name["first-stage"].status == by_name["oracle"].status == "done"
    assert by_name["fake"].status == "failed"
    assert str(by_name["fake"].reason).startswith("executor 'half_executor:Backwards': run() took")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("proceses", "unknown executor 'proceses': did you mean 'processes'"),
        ({"processes": {"workers": 0}}, r"executor\.processes\.workers: .*greater than or equal"),
        ({"processes": {"worker": 2}}, "unknown key: did you mean 'workers'"),
        (FAKE, "needs to be a subclass"),
    ],
)
def test_an_executor_that_cannot_be_is_refused(entry: Any, message: str, collection: Path) -> None:
    with pytest.raises(SuiteError, match=message):
        load(suite(collection, executor=entry))


class Unfinished(Executor):
    """Has no `run`."""


def test_an_executor_that_cannot_be_made_is_named() -> None:
    name = f"{__name__}:Unfinished"
    with pytest.raises(SuiteError, match=f"executor '{name}' cannot be made: TypeError"):
        executors.build(name)
