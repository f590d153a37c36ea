"""Actors of Ray: the same scores as in this process, and an actor or a machine that is lost costs
the chunk that it was at. One simulated cluster of two machines serves the module.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from bench import datasets, rerankers, retrieval
from bench.cli.console import open_console, open_observer
from bench.contract.recipe import Recipe
from bench.contract.request import CandidateList
from bench.contract.scored import Scored
from bench.core.errors import ExecutorError, RerankerError, Unavailable
from bench.core.note import Code
from bench.core.outsiders import OutsiderError
from bench.core.progress import watching
from bench.models.weights import file_hash
from bench.reports.progress import QuietObserver
from bench.retrieval.vectors import CHUNK
from bench.scoring import chunk_file, executors
from bench.scoring.engine import score
from bench.scoring.executors import ray_room, ray_session
from bench.scoring.executors.base import Executor
from bench.training import recipe as recipes
from bench.training.train import train
from tests.support import tiny_models
from tests.support.made_requests import requests
from tests.support.notes import noted
from tests.support.paths import ROOT
from tests.support.processes import commands_with, heed_interrupts, is_running, wait_for

pytest.importorskip("ray", reason="needs the extra [ray]")

FAKE = "tests.support.fakes:HashReranker"
OWN = """
import os, signal, time
from bench.core.options import option
from words_of_actors import SALT
from tests.support.fakes import HashReranker, MortalOptions, MortalReranker


class OwnOptions(MortalOptions):
    machine: int = option(0, decides="nothing")


class Own(MortalReranker):
    Options = OwnOptions

    def score(self, pairs):
        if self.options.machine and os.getppid() == self.options.machine:
            # the process that all actors of a machine end with
            os.kill(self.options.machine, signal.SIGKILL)
            time.sleep(60)
        return super().score(pairs)

    def _one(self, query, doc):
        return super()._one(query + SALT, doc)


class Once(MortalReranker):
    def score(self, pairs):
        died = os.path.join(self.options.folder, "died")
        if not os.path.exists(died):
            open(died, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().score(pairs)


class Elsewhere(HashReranker):
    def fingerprint(self):
        return {"backend": "fake", "process": os.getpid()}
"""
"""A reranker of a user, whose module imports another one next to it."""


class Other:
    """Somebody else's work on the cluster."""

    def work(self) -> int:
        return 1


class Simulated:
    """Two machines on this one. The actors of `machine` end with this process; by `sockets`, which
    are files, the processes of a machine find Ray's service there.
    """

    def __init__(self) -> None:
        utils: Any = importlib.import_module("ray.cluster_utils")
        settings = {"object_store_memory": 100 << 20, "include_dashboard": False}
        # a lost machine counts as lost after a second
        config = {"health_check_period_ms": 300, "health_check_failure_threshold": 3}
        self._cluster = utils.Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 1,
                "_system_config": config,
                **settings,
            },
        )
        node = self._cluster.add_node(num_cpus=1, **settings)
        self.machine = node.all_processes["raylet"][0].process.pid
        self.sockets = [self._cluster.head_node.raylet_socket_name, node.raylet_socket_name]
        self.address = f"ray://{self._cluster.address}"

    def close(self) -> None:
        self._cluster.shutdown()


@pytest.fixture
def folder() -> Iterator[str]:
    """A folder whose name is short: the paths of sockets are in it."""
    with tempfile.TemporaryDirectory(prefix="rb-", dir="/tmp") as name:
        yield name


@contextmanager
def started_cluster() -> Iterator[Simulated]:
    # as short as `folder`
    folder = tempfile.mkdtemp(prefix="rb-", dir="/tmp")
    (Path(folder) / "ray").mkdir()
    environment = {
        "PYTHONPATH": str(ROOT),
        "RAY_TMPDIR": folder,
        "TMPDIR": folder,
        **ray_session.LOCAL,
        **ray_session.QUIET,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        simulated = Simulated()
        yield simulated
        simulated.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Simulated]:
    with started_cluster() as simulated:
        yield simulated


@pytest.fixture(scope="module")
def executor(cluster: Simulated) -> Iterator[Executor]:
    """An executor that stays connected."""
    options = {"address": cluster.address, "workers": 2, "threads": 1}
    built = executors.build("ray", options)
    built.check()
    yield built
    built.close()


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a user's reranker: its files are on no path of the actors."""
    (tmp_path / "reranker_of_actors.py").write_text(OWN)
    (tmp_path / "words_of_actors.py").write_text("SALT = ' own'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "reranker_of_actors:Own"
    for module in ("reranker_of_actors", "words_of_actors"):
        sys.modules.pop(module, None)


def write_collection(folder: Path) -> None:
    """Write nine queries, with nine documents each."""
    docs = [json.dumps({"doc_id": f"d{i}", "text": f"cat {i}"}) for i in range(9)]
    (folder / "docs.jsonl").write_text("\n".join(docs))
    (folder / "queries.tsv").write_text("".join(f"q{i}\ta cat {i}\n" for i in range(9)))
    (folder / "qrels.txt").write_text("".join(f"q{i} 0 d1 1\n" for i in range(9)))


def write_suite(folder: Path, *entries: dict[str, Any], **more: Any) -> None:
    suite = {
        "name": "on-actors",
        "datasets": [f"files:{folder}"],
        "rerankers": list(entries),
        "devices": ["cpu"],
        "chunk_pairs": 9,
        **more,
    }
    (folder / "suite.yaml").write_text(yaml.safe_dump(suite))


def started(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Return a command at work in a folder, with a cache of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "bench", *arguments],
        cwd=folder,
        env={**os.environ, "RERANK_BENCH_CACHE": str(folder / "cache")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
    )


def scored(
    name: str,
    options: Mapping[str, Any],
    lists: list[CandidateList],
    executor: Executor | None = None,
    **more: Any,
) -> Scored:
    """Return the scores of a reranker, from an empty cache; in this process without an executor."""
    return score(
        rerankers.build(name, options),
        lists,
        chunk_pairs=8,
        fresh=True,
        executor=executor or executors.build("here"),
        # as on a machine that has not the folder of the suite
        recipe=Recipe(name, options, "/nonexistent"),
        **more,
    )


def assert_same(one: Scored, other: Scored) -> None:
    assert list(one.scores) == list(other.scores)
    for query_id, values in one.scores.items():
        assert np.array_equal(values, other.scores[query_id])
    assert one.usage == other.usage
    assert one.failures == other.failures
    assert one.description["identity"] == other.description["identity"]


def test_the_class_of_a_user_scores_on_actors_as_in_this_process(
    own: str, executor: Executor, tmp_path: Path
) -> None:
    lists = requests(12, docs=4)
    options = {"folder": str(tmp_path), "delay_ms": 5}
    theirs = scored(own, options, lists, executor)
    pids = {int(path.stem) for path in tmp_path.glob("*.pid")}
    assert os.getpid() not in pids
    assert pids
    assert_same(scored(own, options, lists), theirs)
    assert (theirs.executor, theirs.notes) == ("ray", [])
    assert theirs.computed_queries == 12


def test_what_inherits_nothing_travels_also_as_a_part_of_another(
    executor: Executor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in {
        "one/class_of_actors.py": "from lengths_of_actors import length\n\n\n"
        "class Plain:\n    def __init__(self, weight):\n        self.weight = weight\n\n"
        "    def score(self, pairs):\n"
        "        return [self.weight * length(doc) for _, doc in pairs]\n",
        "one/lengths_of_actors.py": "length = len\n",
        "two/function_of_actors.py": "def last(_, docs):\n    return [ord(d[-1]) for d in docs]\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    for folder in ("one", "two"):
        monkeypatch.syspath_prepend(str(tmp_path / folder))
    plain = {"class_of_actors:Plain": {"weight": 2}}
    lists = requests(4, docs=4)
    options = {"of": [plain, "function_of_actors:last"], "by": "rrf"}
    theirs = scored("fuse", options, lists, executor)
    assert (theirs.failures, theirs.executor) == ({}, "ray")
    assert_same(scored("fuse", options, lists), theirs)


def test_an_actor_that_is_killed_costs_what_it_was_at(
    own: str, executor: Executor, tmp_path: Path
) -> None:
    lists = requests(12, docs=4)
    options = {"folder": str(tmp_path), "dies_at": "query 3"}
    theirs = scored(own, options, lists, executor)
    assert (tmp_path / "died").exists()
    assert noted(theirs.notes, Code.WORKER_DIED).text == "ended without an answer"
    assert_same(scored(own, options, lists), theirs)


@pytest.mark.slow
def test_a_chunk_that_ends_three_actors_is_a_failure_of_its_lists(
    own: str, executor: Executor, tmp_path: Path
) -> None:
    lists = requests(8, docs=4)
    options = {"folder": str(tmp_path), "dies_at": "query 4", "again": True}
    theirs = scored(own, options, lists, executor)
    assert list(theirs.failures) == ["q4", "q5"]
    assert set(theirs.failures.values()) == {"3 actors ended without an answer over these lists"}
    assert list(theirs.scores) == ["q0", "q1", "q2", "q3", "q6", "q7"]
    harmless = rerankers.build(own, {"folder": str(tmp_path)})
    again = score(harmless, lists, chunk_pairs=8)
    assert (again.cached_queries, again.computed_queries) == (6, 2), "no failure is cached"


def test_what_an_actor_loads_is_what_this_process_has(own: str, executor: Executor) -> None:
    name = own.replace("Own", "Elsewhere")
    with pytest.raises(RerankerError, match=r"loads something else .*process: \d+ here, \d+ there"):
        scored(name, {}, requests(2), executor)


def test_what_a_machine_lacks_is_said_to_be_lacked_there(
    executor: Executor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path that leads nowhere for the actors, whose working folder is another one."""
    monkeypatch.chdir(tmp_path)
    tiny_models.classifier(tmp_path / "model", "Bert")
    with pytest.raises(RerankerError, match=r"^no such model folder.* of an actor"):
        scored("cross-encoder", {"model": "model"}, requests(2), executor)


def test_code_that_raises_on_an_actor_reads_as_if_it_had_raised_here(executor: Executor) -> None:
    with pytest.raises(OutsiderError) as error:
        scored(FAKE, {"crash": "paper jam"}, requests(2), executor)
    assert str(error.value) == "RuntimeError: paper jam"
    assert "raise RuntimeError(self.options.crash)" in str(error.value.cause)


def test_a_cluster_that_has_no_machine_so_large_is_an_error_that_names_the_key(
    cluster: Simulated,
) -> None:
    options = {"address": cluster.address, "workers": 1, "cpus": 64, "patience": 0.5}
    words = r"cpus: 64.* no autoscaler .* had at most 1 CPU\. Low"
    with (
        closing(executors.build("ray", options)) as small,
        pytest.raises(ExecutorError, match=words),
    ):
        scored(FAKE, {}, requests(2), small)


@pytest.mark.slow
@pytest.mark.slow
def test_a_machine_that_is_none_of_the_cluster_is_one_line() -> None:
    """Ray itself ends the process, with a trace of its own."""
    with started_cluster() as cluster:
        executor = executors.build("ray", {"address": cluster.address})
        executor.check()
        for path in cluster.sockets:
            Path(path).unlink()
        with pytest.raises(Unavailable, match=r"^this machine is none of the Ray cluster at ray:"):
            executor.check()


def test_a_run_without_room_on_any_machine_ends_with_one_line(
    own: str, cluster: Simulated, tmp_path: Path
) -> None:
    write_collection(tmp_path)
    actors = {"address": cluster.address, "cpus": 64, "patience": 1}
    entries = [{own: {"name": name, "folder": str(tmp_path)}} for name in ("own", "other")]
    write_suite(tmp_path, *entries, executor={"ray": actors}, latency=None)
    process = started(tmp_path, "run", "suite.yaml", "--quiet")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert errors.startswith("rerank-bench: no machine of the cluster has room for an actor of ")
    assert errors.count("\n") == 1, "the rows to come have no room, either"


def test_quiet_work_says_that_it_waits_for_room_and_when_it_has_it(
    own: str,
    executor: Executor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    scored(FAKE, {}, requests(2), executor)
    monkeypatch.setattr(ray_room, "SAY_SECONDS", 0.5)
    ray: Any = importlib.import_module("ray")
    others = [ray.remote(Other).options(num_cpus=1).remote() for _ in range(2)]
    ray.get([other.work.remote() for other in others])

    class Freeing(QuietObserver):
        def waits(self, text: str) -> None:
            super().waits(text)
            while others:
                ray.kill(others.pop())

    with watching(Freeing(open_console(stderr=True))):
        scored(own, {"folder": str(tmp_path)}, requests(4), executor)
    waits, *placed = capsys.readouterr().err.splitlines()
    assert waits == (
        "ray: no actor has a place: each takes 1 CPU, and the cluster has 2 CPUs on 2 machines, "
        "of which 0 CPUs are free. Waiting, at most 600 s (patience)"
    )
    assert placed
    assert all("a place, after" in line for line in placed)
    assert isinstance(open_observer(quiet=True), QuietObserver)


@pytest.mark.slow
def test_no_actor_outlives_an_interrupt(own: str, executor: Executor, tmp_path: Path) -> None:
    lists = requests(12, docs=4)
    options = {"folder": str(tmp_path), "delay_ms": 20}

    def interrupt(pairs: int) -> None:
        if pairs:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scored(own, options, lists, executor, on_progress=interrupt)
    pids = [int(path.stem) for path in tmp_path.glob("*.pid")]
    assert pids
    assert wait_for(lambda: not any(map(is_running, pids)))


@pytest.mark.slow
def test_a_collection_is_encoded_on_actors_to_the_same_vectors(
    cluster: Simulated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # one actor, of two chunks: each imports the libraries for seconds
    options = {"address": cluster.address, "workers": 1, "threads": 1}
    executor = executors.build("ray", options)
    tiny_models.bi_encoder(tmp_path / "encoder")
    texts = {f"d{number}": f"the cat of {number}" for number in range(CHUNK + 9)}
    lines = [json.dumps({"doc_id": name, "text": text}) for name, text in texts.items()]
    (tmp_path / "docs.jsonl").write_text("\n".join(lines))
    (tmp_path / "queries.tsv").write_text("q1\ta cat\n")
    (tmp_path / "qrels.txt").write_text("q1 0 d1 1\n")
    dense = {"dense": {"model": "encoder", "threads": 1}}
    rows: list[Any] = []
    for place in (None, executor.encoder()):
        monkeypatch.setenv("RERANK_BENCH_CACHE", str(tmp_path / f"cache {len(rows)}"))
        dataset = datasets.load(f"files:{tmp_path}", {}, tmp_path)
        # also as a part of another first stage
        stage = retrieval.build("hybrid", {"of": ["bm25", dense]}, tmp_path)
        stage.encode_with(place)
        candidates = stage.retrieve(dataset, ["q1"], 5)
        (path,) = (tmp_path / f"cache {len(rows)}").rglob("store/vectors.npy")
        rows.append((np.load(path), candidates.by_query))
        stage.close()
    executor.close()
    assert np.array_equal(rows[0][0], rows[1][0])
    assert rows[0][1] == rows[1][1]


@pytest.mark.slow
def test_a_teacher_whose_actor_is_killed_teaches_the_same_weights(
    own: str,
    executor: Executor,
    cluster: Simulated,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = recipes.load(
        {
            "name": "taught",
            "base": "tiny:bert-cross-encoder",
            "data": {"embedded:everyday-train": {"queries": 12}},
            "dev": 0.25,
            "leaks": "drop",
            "epochs": 1,
            "checks": 1,
            "length": 32,
            "depth": 8,
            "dtype": "float32",
            "teacher": {own.replace("Own", "Once"): {"folder": str(tmp_path)}},
            "negatives": {"from": "bm25", "per_query": 3, "below": 0.9},
        }
    )
    weights = []
    # on the actors first: nothing dies after that
    for place in (cluster.address, None):
        monkeypatch.setenv("RERANK_BENCH_CACHE", str(tmp_path / f"cache {place is None}"))
        trained = train(recipe, tmp_path / f"out {place is None}", device="cpu", on=place)
        weights.append(file_hash(trained.model / "model.safetensors"))
    pids = {int(path.stem) for path in tmp_path.glob("*.pid")}
    assert (tmp_path / "died").exists()
    assert len(pids - {os.getpid()}) == 1, "another actor took the place of the one that was killed"
    assert weights[0] == weights[1]


@pytest.mark.slow
def test_ctrl_c_of_a_run_ends_its_actors_and_keeps_what_was_scored(
    own: str, cluster: Simulated, tmp_path: Path
) -> None:
    write_collection(tmp_path)
    entry = {own: {"name": "own", "folder": str(tmp_path), "delay_ms": 400}}
    write_suite(tmp_path, entry, latency=None)
    process = started(tmp_path, "run", "suite.yaml", "--quiet", "--on", cluster.address)
    assert wait_for(lambda: bool(list(tmp_path.glob("cache/scores/*/*.npz"))))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT, errors
    assert "rerank-bench: interrupted" in errors
    assert "Traceback" not in errors
    pids = [int(path.stem) for path in tmp_path.glob("*.pid")]
    assert pids
    assert wait_for(lambda: not any(map(is_running, pids)))


@pytest.mark.slow
def test_a_ray_that_a_run_has_started_leaves_nothing(own: str, folder: str, tmp_path: Path) -> None:
    write_collection(tmp_path)
    entry = {own: {"name": "own", "folder": str(tmp_path)}}
    write_suite(tmp_path, entry, latency={"queries": 1, "rounds": 1})
    (tmp_path / "home").mkdir()
    environment = {**os.environ, "HOME": str(tmp_path / "home"), "TMPDIR": folder}
    environment["RERANK_BENCH_CACHE"] = str(tmp_path / "cache")
    for name in (*ray_session.LOCAL, *ray_session.QUIET, "RAY_TMPDIR"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-m", "bench", "run", "suite.yaml", "--quiet", "--on", "ray"],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "raylet" not in done.stdout + done.stderr
    assert list((tmp_path / "home").glob(".ray*")) == []
    assert list(Path(folder).glob("rb-*")) == []
    assert wait_for(lambda: not any(map(is_running, commands_with(folder))))


@pytest.mark.slow
def test_a_run_that_is_killed_while_ray_starts_leaves_nothing(
    own: str, folder: str, tmp_path: Path
) -> None:
    write_collection(tmp_path)
    write_suite(tmp_path, {own: {"name": "own", "folder": str(tmp_path)}}, latency=None)
    environment = {**os.environ, "TMPDIR": folder, "PYTHONPATH": str(ROOT)}
    environment["RERANK_BENCH_CACHE"] = str(tmp_path / "cache")
    process = subprocess.Popen(
        [sys.executable, "-m", "bench", "run", "suite.yaml", "--quiet", "--on", "ray"],
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    assert wait_for(lambda: "gcs_server" in " ".join(commands_with(folder).values()))
    assert list(Path(folder).glob("rb-*"))
    process.kill()
    process.wait()
    assert wait_for(lambda: not any(map(is_running, commands_with(folder))))
    assert list(Path(folder).glob("rb-*")) == []


def test_a_machine_that_is_lost_costs_what_its_actors_were_at(
    own: str,
    executor: Executor,
    cluster: Simulated,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Last: the cluster has one machine after it."""
    lists = requests(24, docs=4)
    options = {"folder": str(tmp_path), "machine": cluster.machine, "delay_ms": 10}
    monkeypatch.setenv("RERANK_BENCH_CACHE", str(tmp_path / "cache"))
    theirs = scored(own, options, lists, executor)
    assert noted(theirs.notes, Code.WORKER_DIED).text == "was lost with its machine"
    keys: list[str] = []
    for path in (tmp_path / "cache").rglob("*.npz"):
        keys += chunk_file.decode(path.read_bytes()).scores
    assert len(keys) == len(set(keys)) == 24, "nothing is lost, and nothing twice in the cache"
    assert_same(scored(own, {**options, "machine": 0}, lists), theirs)
    assert theirs.computed_queries == 24
