"""Ray before it starts: what is missing or unreachable is one line in bounded time, and the cluster
of the docs is one to Ray.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from bench import rerankers
from bench.cli.main import cli
from bench.contract.recipe import Recipe
from bench.core.errors import BenchError, SuiteError, Unavailable
from bench.scoring import executors
from bench.scoring.executors import ray_session
from bench.suite.suite import Suite, load
from tests.support.paths import ROOT

SUITE = {"name": "s", "datasets": ["embedded:everyday"], "rerankers": ["word-overlap"]}


@pytest.fixture
def path(tmp_path: Path) -> str:
    """The file of a suite."""
    file = tmp_path / "suite.yaml"
    file.write_text(yaml.safe_dump(SUITE))
    return str(file)


@pytest.fixture
def port() -> Iterator[int]:
    """A port at which something listens that is no cluster."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def line_of(*arguments: str) -> str:
    """Return what a run that cannot start says."""
    result = CliRunner().invoke(cli, ["run", *arguments])
    assert isinstance(result.exception, BenchError)
    assert result.exception.exit_code == 2
    return str(result.exception)


def test_without_ray_a_run_says_how_to_install_it(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_session, "find_spec", lambda name: None)
    assert line_of(path, "--on", "ray") == "ray not installed. pip install 'rerank-bench[ray]'"


@pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra [ray]")
def test_a_cluster_that_does_not_answer_is_one_line(
    path: str, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = server.getsockname()[1]
    line = line_of(path, "--on", f"ray://127.0.0.1:{closed}")
    assert line.startswith(f"no Ray cluster answers at ray://127.0.0.1:{closed}: ")
    assert "\n" not in line
    for address in ("ray://head", "ray://127.0.0.1:port"):
        with pytest.raises(Unavailable, match=r"no Ray cluster answers at .*: it names no port"):
            executors.build("ray", {"address": address}).check()
    monkeypatch.setattr(ray_session, "SECONDS_TO_ANSWER", 0.5)
    with pytest.raises(Unavailable, match=rf"no Ray cluster answers at 127\.0\.0\.1:{port}\. The"):
        executors.build("ray", {"address": f"127.0.0.1:{port}"}).check()


@pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra [ray]")
def test_whatever_keeps_ray_from_starting_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray raises a bare Exception where a machine is too busy to start it in time."""

    class Slow:
        def is_initialized(self) -> bool:
            return False

        def init(self, **options: object) -> None:
            raise Exception("The current node timed out during startup.\nAnd more.")

        def shutdown(self) -> None:
            pass

    monkeypatch.setattr(ray_session, "_imported", Slow)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    session = ray_session.Session(None, 1)
    with pytest.raises(Unavailable, match=r"^Ray did not start: The current node .* startup\.$"):
        session.connected()


@pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra [ray]")
def test_a_second_interrupt_does_not_reach_ray_while_it_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Interrupted:
        has_ended = False

        def is_initialized(self) -> bool:
            return False

        def init(self, **options: object) -> None:
            pass

        def shutdown(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            self.has_ended = True

    ray = Interrupted()
    monkeypatch.setattr(ray_session, "_imported", lambda: ray)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    handler = signal.getsignal(signal.SIGINT)
    session = ray_session.Session(None, 1)
    session.connected()
    session.close()
    assert ray.has_ended
    assert signal.getsignal(signal.SIGINT) is handler


def test_an_address_in_the_place_of_a_name_is_that_of_ray() -> None:
    placed = load({**SUITE, "executor": "ray://head:6379"})
    assert _entry(placed) == {"ray": {"address": "ray://head:6379"}}
    assert _entry(load(SUITE).with_executor("ray://head:1")) == {"ray": {"address": "ray://head:1"}}
    assert _entry(load(SUITE).with_executor("processes")) == "processes"
    suite = load({**SUITE, "executor": {"ray": {"address": "here:1", "threads": 2}}})
    moved = suite.with_executor("ray://head:1")
    assert _entry(moved) == {"ray": {"address": "ray://head:1", "threads": 2}}
    assert _entry(suite.with_executor("ray")) == _entry(suite)
    assert _entry(suite.with_executor("processes")) == "processes"
    with pytest.raises(SuiteError, match="option 'address': unknown key"):
        load(SUITE).with_executor("processes://head:1")
    with pytest.raises(SuiteError, match="is written ray://head:6379"):
        load(SUITE).with_executor("head:6379")
    with pytest.raises(SuiteError, match="executor 'rai://head:1'"):
        load(SUITE).with_executor("rai://head:1")


def _entry(suite: Suite) -> object:
    return suite.executor.to_entry()


@pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra [ray]")
def test_the_cluster_of_the_docs_is_one_to_ray() -> None:
    spec = find_spec("ray")
    assert spec is not None
    assert spec.origin is not None
    schema = Path(spec.origin).parent / "autoscaler" / "ray-schema.json"
    cluster = yaml.safe_load((ROOT / "docs" / "cluster.yaml").read_text())
    jsonschema.validate(cluster, json.loads(schema.read_text()))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**cluster, "workers": 3}, json.loads(schema.read_text()))


@pytest.mark.parametrize(
    ("name", "options", "serves"),
    [
        ("cross-encoder", {"model": "tiny:bert-cross-encoder"}, True),
        # its limits per minute hold in one process
        ("cohere", {"model": "rerank-v3.5", "requests_per_minute": 10}, False),
    ],
)
def test_actors_do_the_work_of_devices_alone(
    name: str, options: dict[str, object], serves: bool
) -> None:
    reranker = rerankers.build(name, options)
    recipe = Recipe(name, options, "/suites")
    assert executors.build("ray").serves(reranker, recipe) == serves
    assert not executors.build("ray").serves(reranker, None)
