"""The live speed gate: what it fails, what it passes, what it refuses to judge. Time is a counter
that the rerankers themselves advance.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bench
from bench import gate
from bench.comparison.pairs import Side, sides
from bench.core.options import option
from bench.gate import Gate, Gates
from bench.gate.file import SpeedGate
from bench.gate.live import LiveSpeed
from bench.records.run import Run
from bench.runner.rebuilding import rebuilt
from tests.support.command import bench as command
from tests.support.fake_clock import FakeClock
from tests.support.fakes import FakeOptions, HashReranker

pytestmark = pytest.mark.usefixtures("without_reports")

QUERIES = 24
LIMIT = SpeedGate(ratio=1.1)


class NoisyClock(FakeClock):
    """A clock whose work takes longer or shorter by chance."""

    rng = np.random.default_rng(0)

    def work_about(self, milliseconds: float, noise: float) -> None:
        self.work(milliseconds * max(0.1, self.rng.normal(1, noise)))


CLOCK = NoisyClock()


class TickingOptions(FakeOptions):
    cost: float = option(1.0, decides="speed")
    noise: float = option(0.02, decides="speed")
    slow_calls: int = option(0, decides="speed")


class TickingReranker(HashReranker):
    """Takes `cost` milliseconds a pair, `slow_calls` of its first calls ten times that, on the
    counter.
    """

    Options = TickingOptions
    calls = 0

    def rerank(self, requests: Sequence[Any]) -> list[Any]:
        pairs = sum(len(request.docs) for request in requests)
        self.calls += 1
        slow = 10 if self.calls <= self.options.slow_calls else 1
        CLOCK.work_about(self.options.cost * slow * pairs, self.options.noise)
        return super().rerank(requests)


@pytest.fixture(autouse=True)
def _counted_time() -> None:
    CLOCK.rng = np.random.default_rng(0)


_FOLDERS: dict[str, Path] = {}
"""Runs by their suites: each is made once, and a test gets a copy that it may write to."""


def made(out: Path, reranker: Any = None, **more: Any) -> Run:
    key = repr((reranker, more))
    if key not in _FOLDERS:
        kept = out.parent / f"{out.name}-kept"
        _FOLDERS[key] = fresh(kept, reranker, **more).folder
    folder = _FOLDERS[key]
    return Run(Path(shutil.copytree(folder, out / folder.parent.name / folder.name)))


def fresh(out: Path, reranker: Any = None, **more: Any) -> Run:
    suite = {
        "name": "live",
        "datasets": [{"embedded:everyday": {"queries": QUERIES}}],
        "rerankers": [reranker] if reranker else [],
        "depth": 3,
        "latency": {"queries": QUERIES, "rounds": 1, "warmup_max": 3},
        **more,
    }
    return bench.run(suite, out=out, latency=False)


def ticking(**options: Any) -> dict[str, Any]:
    return {"tests.integration.test_live:TickingReranker": {"name": "a", **options}}


def side(run: Run) -> Side:
    [found] = sides(run, references=False)
    return found


def speed(new: Run, old: Run, seed: int = 0) -> Gate | None:
    return LiveSpeed(clock=CLOCK)(side(new), side(old), LIMIT, seed)


@pytest.mark.parametrize(
    ("cost", "outcome", "measured"),
    [
        (1.0, "pass", 1),
        (0.5, "pass", 1),
        (1.1, "inconclusive", 1),
        (1.3, "fail", 2),
        (3.0, "fail", 2),
    ],
)
def test_both_sides_are_timed_in_turn(
    tmp_path: Path, cost: float, outcome: str, measured: int
) -> None:
    """A failure is measured twice; the two differ in `salt`, so that there is something to time
    where their costs are equal.
    """
    gate = speed(
        made(tmp_path, ticking(cost=cost, salt="n")), made(tmp_path, ticking(cost=1.0, salt="o"))
    )
    assert gate is not None
    assert gate.outcome == outcome
    ratios = [measurement["median"] for measurement in gate.numbers["measurements"]]
    # A median over queries whose documents, and so their times, differ a little.
    assert ratios == pytest.approx([cost] * measured, rel=0.03)
    assert gate.numbers["measurements"][0]["queries"] == QUERIES
    assert gate.measured.count("x [") == measured


def test_a_slowness_that_does_not_come_back_is_no_failure(tmp_path: Path) -> None:
    """A disturbance that falls on one side for the whole first measurement, warm-up included."""
    new, old = made(tmp_path, ticking(salt="n", slow_calls=27)), made(tmp_path, ticking(salt="o"))
    gate = speed(new, old)
    assert gate is not None
    first, second = (measurement["median"] for measurement in gate.numbers["measurements"])
    assert first > 5
    # The slowness may reach into the second measurement by a call.
    assert second == pytest.approx(1.0, rel=0.05)
    assert (gate.outcome, "a second measurement did not agree" in gate.remark) == (
        "inconclusive",
        True,
    )


def test_the_same_reranker_never_fails(tmp_path: Path) -> None:
    """A/A with noise of 5 % a call, 20 times of 20."""
    new, old = (
        made(tmp_path, ticking(salt="n", noise=0.05)),
        made(tmp_path, ticking(salt="o", noise=0.05)),
    )
    assert [found.outcome for seed in range(20) if (found := speed(new, old, seed))] == [
        "pass"
    ] * 20


def test_the_same_options_on_both_sides_are_not_timed_and_it_is_said_why(tmp_path: Path) -> None:
    new, old = made(tmp_path, ticking(cost=2.0)), made(tmp_path, ticking(cost=2.0, optional=True))
    before = CLOCK.now
    gate = speed(new, old)
    assert gate is not None
    assert (gate.outcome, gate.decides, CLOCK.now) == ("incomparable", False, before)
    assert "does not see a change of code or of a library" in gate.remark


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("rerankers", [ticking(salt="changed")], "salt differ"),
        ("rerankers", ["tests.nowhere:Gone"], "tests.nowhere"),
        (
            "rerankers",
            [{"tests.support.fakes:MissingReranker": {"name": "a"}}],
            "cannot run here: no FAKE_API_KEY",
        ),
        (
            "rerankers",
            [{"bi-encoder": {"model": "./gone", "name": "a"}}],
            "cannot run here: no such model folder",
        ),
        ("depth", 2, "are not those of its run any more"),
        ("datasets", ["files:gone"], "there is no gone"),
    ],
)
def test_what_cannot_be_rebuilt_is_incomparable_and_named(
    tmp_path: Path, key: str, value: Any, told: str
) -> None:
    new, old = made(tmp_path, ticking(salt="n")), made(tmp_path, ticking(salt="o"))
    rewritten(new, "run.json", "resolved", key, value)
    gate = speed(Run(new.folder), old)
    assert gate is not None
    assert (gate.outcome, gate.decides) == ("incomparable", True)
    assert told in gate.remark


def rewritten(run: Run, file: str, *keys: Any) -> None:
    """Set one value of a run's files: what somebody's machine has in another version."""
    path = run.folder / file
    data = json.loads(path.read_text())
    *steps, last, value = keys
    place = data
    for step in steps:
        place = place[step]
    place[last] = value
    path.write_text(json.dumps(data))


def test_versions_that_moved_on_are_told(tmp_path: Path) -> None:
    new, old = made(tmp_path, ticking(salt="n")), made(tmp_path, ticking(salt="o"))
    [name] = [path.name for path in (old.folder / "records").iterdir() if "--a" in path.name]
    fields = {**side(old).record.keys["system"].fields, "torch": "1.0.0"}
    rewritten(old, f"records/{name}", "keys", "system", "fields", fields)
    gate = speed(new, Run(old.folder))
    assert gate is not None
    assert gate.outcome == "pass"
    assert "timed with torch None on both sides" in gate.remark


def test_other_candidates_and_few_queries_are_not_judged(tmp_path: Path) -> None:
    new = made(tmp_path, ticking(salt="n", cost=9.0))
    other = made(tmp_path, ticking(salt="o"), depth=4)
    gate = speed(new, other)
    assert gate is not None
    assert (gate.outcome, "they differ in candidates" in gate.remark) == ("incomparable", True)
    few = {"datasets": [{"embedded:everyday": {"queries": 10}}]}
    gate = speed(
        made(tmp_path / "few", ticking(salt="n", cost=9.0), **few),
        made(tmp_path / "few", ticking(salt="o"), **few),
    )
    assert gate is not None
    assert gate.outcome == "inconclusive"


def test_an_order_that_is_given_is_not_timed(tmp_path: Path) -> None:
    run = made(tmp_path, "word-overlap")
    assert speed(run, run) is None
    assert [
        one.name
        for one in gate.check(run, run, Gates(speed=LIMIT), speed=LiveSpeed(clock=CLOCK)).gates
    ] == ["quality nDCG@10", "drift"]


def test_a_side_that_fails_every_call_is_incomparable(tmp_path: Path) -> None:
    run = made(tmp_path, ticking(salt="n"))
    rewritten(run, "run.json", "resolved", "rerankers", [ticking(salt="n", crash="paper jam")])
    gate = speed(Run(run.folder), made(tmp_path, ticking(salt="o")))
    assert gate is not None
    assert (
        gate.outcome,
        "no query was timed on both sides" in gate.remark,
        "paper jam" in gate.remark,
    ) == ("incomparable", True, True)


def test_paths_are_found_from_where_the_run_was_made(
    tmp_path: Path, collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "suites").mkdir()
    path = tmp_path / "suites" / "own.yaml"
    path.write_text(
        f"name: own\ndatasets: ['files:../{collection.name}']\nrerankers: "
        "['tests.support.fakes:HashReranker']\nlatency: null\n"
    )
    monkeypatch.chdir(tmp_path)
    run = bench.run(path, out="results")
    assert run.info.base_dir == "suites"
    trial = side(run).trial
    assert rebuilt(run, trial).suite.base_dir == Path("suites")
    monkeypatch.chdir(tmp_path / "suites")
    assert bench.run(path, out="here").info.base_dir == "."
    monkeypatch.chdir(collection)
    assert bench.run(path, out=tmp_path / "elsewhere").info.base_dir == "", (
        "no place of this machine stands in a record"
    )


def test_the_command(tmp_path: Path) -> None:
    """A real process and a real clock: twenty times as slow is too slow on any machine."""
    waiting = [
        {"tests.support.fakes:HashReranker": {"name": "a", "salt": salt, "delay_ms": wait}}
        for salt, wait in (("n", 10), ("o", 0.5))
    ]
    runs = [made(tmp_path, one) for one in waiting]
    done = command(
        "check",
        str(runs[0].folder),
        "--baseline",
        str(runs[1].folder),
        "--live",
        "--margin",
        "0.9",
        cwd=tmp_path,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "speed" in done.stdout
    assert "≤ 1.1x" in done.stdout
    # a bar that does not fit the terminal shortens what it says
    assert re.search(r"timing a aga.*ne, in turn", done.stderr)
