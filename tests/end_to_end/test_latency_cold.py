"""Cold starts: real processes that load a reranker and answer one query."""

from __future__ import annotations

import builtins
import importlib
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import bench
from bench import rerankers
from bench.contract.request import CandidateList
from bench.core.errors import BenchError
from bench.core.note import Code, Note
from bench.latency import child, fresh_process, timed_pass
from bench.latency.columns import P50
from bench.latency.fresh_process import ask
from bench.latency.lane import Lane
from bench.latency.sample import Condition
from bench.latency.scenarios import cold as latency_cold
from bench.latency.summary import parts, summarise
from bench.latency.timed_pass import LatencyPlan, LatencyResult, Recipe, Target, measure
from tests.support.fake_clock import FakeClock
from tests.support.fake_cohere import serve
from tests.support.fakes import FakeOptions, HashReranker
from tests.support.made_requests import requests
from tests.support.notes import noted
from tests.support.processes import is_running, wait_for

CLOCK = FakeClock()
PARTS = ["start", "import", "load", "first query"]
FAKE = "tests.support.fakes:HashReranker"


def started(
    options: dict[str, Any] | None = None, name: str = FAKE, device: str = "cpu", **more: Any
) -> LatencyResult:
    target = Target("t", device, HashReranker(FakeOptions()), Recipe(name, options, ".", device))
    return measure(
        [target],
        requests(3, docs=2),
        LatencyPlan(**{"scenarios": ("cold",), "cold_runs": 2, **more}),
    )


def test_each_run_is_a_process_of_its_own_whose_parts_add_up(tmp_path: Path) -> None:
    log = tmp_path / "log"
    result = started({"log": str(log)})
    rows = pd.DataFrame(result.samples)
    table = rows.pivot(index="round", columns="span", values="nanoseconds")
    assert list(table.index) == [0, 1]
    assert (table["total"] == table[PARTS].sum(axis=1)).all()
    assert (table > 0).all().all()
    assert set(rows["scenario"]) == {"cold"}
    assert log.read_text() == ".." * 2, "each process scored the two documents once"
    facts = result.facts["t"]["cold"]
    assert (facts["runs"], facts["failed"]) == (2, 0)
    assert facts["peak_rss_bytes"] > 10 << 20


class WorkingReranker(HashReranker):
    """Loads for 70 ms and answers in 200 ms, on the clock of this module."""

    def load(self) -> None:
        CLOCK.work(70)

    def rerank(self, asked: Sequence[CandidateList]) -> list[Any]:
        CLOCK.work(200)
        return super().rerank(asked)


def test_each_part_holds_its_own_work() -> None:
    """The process began 30 ms after it was started."""
    CLOCK.now = 30_000_000
    [request] = requests(1)
    task = {
        "recipe": asdict(Recipe("tests.end_to_end.test_latency_cold:WorkingReranker", None, ".")),
        "device": "cpu",
        "request": asdict(request),
        "started": 0,
    }
    answer = child.cold(task, CLOCK.now_ns, began=CLOCK.now)
    milliseconds = {span: value / 1e6 for span, value in answer["nanoseconds"].items()}
    assert milliseconds == {"total": 300, "start": 30, "import": 0, "load": 70, "first query": 200}


def test_a_summary_tells_the_median_and_the_range_of_processes() -> None:
    rows = [
        timed_pass.Sample("t", "cold", i, "q1", 5, None, ms * 1_000_000)
        for i, ms in enumerate((700, 500, 900))
    ]
    found = summarise(pd.DataFrame(rows))["t", Condition("cold")]
    assert (found.p50_ms, found.of(P50).low, found.of(P50).high) == (700, 500, 900)
    assert (found.p95_ms, found.per_pair_ms, found.pairs_per_s) == (None, None, None)


def test_a_model_is_imported_loaded_and_asked() -> None:
    """Real weights through the real loading code; where the time goes is told, whatever it is."""
    result = started(
        {"model": "tiny:bert-cross-encoder", "name": "tiny"}, name="cross-encoder", cold_runs=1
    )
    assert result.facts["t"]["cold"]["failed"] == 0, result.facts["t"]["notes"]
    found = parts(pd.DataFrame(result.samples))["t", Condition("cold")]
    assert list(found) == PARTS
    assert {row.tokens for row in result.samples} != {None}
    assert noted(result.facts["t"]["notes"], Code.PAGE_CACHE).where == "cold"


def test_a_key_reaches_the_process_by_its_environment_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tasks: list[Any] = []
    monkeypatch.setenv("MY_KEY", "secret-0123")

    def recording(task: Any, limit: float) -> Any:
        tasks.append(task)
        return ask(task, limit)

    monkeypatch.setattr(latency_cold, "ask", recording)
    with serve() as server:
        options = {"base_url": server.url, "model": "m", "api_key_env": "MY_KEY"}
        result = started(options, name="rerank-server", device="-", cold_runs=1)
        assert server.keys == ["Bearer secret-0123"]
    assert "secret-0123" not in repr((tasks, result.samples, result.facts))


def test_a_process_that_fails_is_counted_and_said() -> None:
    result = started({"crash": "no weights"})
    assert result.samples == []
    assert result.facts["t"]["cold"]["failed"] == 2
    expected = Note(Code.COLD_FAILED, 2, 2, "RuntimeError: no weights", "cold")
    assert noted(result.facts["t"]["notes"], Code.COLD_FAILED) == expected


def test_a_process_that_takes_too_long_is_given_up() -> None:
    result = started({"delay_ms": 60_000.0}, cold_runs=1, time_limit_s=1.0)
    note = noted(result.facts["t"]["notes"], Code.COLD_FAILED)
    assert "no answer from a fresh process within 1 s" in note.text


class LeavingReranker(HashReranker):
    """Leaves a process running, whose number it writes down."""

    def score(self, pairs: Sequence[tuple[str, str]]) -> Any:
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path(str(self.options.log)).write_text(str(process.pid))
        return super().score(pairs)


def test_what_a_process_leaves_running_is_not_waited_for_and_ends(tmp_path: Path) -> None:
    log = tmp_path / "pid"
    name = "tests.end_to_end.test_latency_cold:LeavingReranker"
    result = started({"log": str(log)}, name=name, cold_runs=1, time_limit_s=60.0)
    assert result.facts["t"]["cold"]["failed"] == 0
    pid = int(log.read_text().strip("."))
    assert wait_for(lambda: not is_running(pid))


def test_without_a_recipe_there_is_no_cold_start() -> None:
    target = Target("t", "cpu", HashReranker(FakeOptions()))
    result = measure([target], requests(3), LatencyPlan(scenarios=("cold",), cold_runs=1))
    note = noted(result.facts["t"]["notes"], Code.COLD_FAILED)
    assert "nothing says how to build it" in note.text


def test_what_goes_wrong_in_the_process_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(BenchError, match=r"^KeyError: 'task'$"):
        ask({}, 60)
    monkeypatch.setattr(fresh_process, "CHILD", "bench.nothing")
    with pytest.raises(BenchError, match=r"ended with code 1: .*No module named bench.nothing"):
        ask({}, 60)


@pytest.mark.parametrize(
    ("read", "state"), [([0, 1000], "warm"), ([0, 90 << 20], "cold"), ([None], None)]
)
def test_the_state_of_the_page_cache_is_read_from_what_came_from_the_disk(
    read: list[int | None], state: str | None
) -> None:
    target = Target("t", "cpu", HashReranker(FakeOptions()))
    lane = Lane(target, LatencyPlan(), requests(1), FakeClock())
    cold = latency_cold.Cold("cold", latency_cold.ColdOptions(), lane)
    for size in read:
        cold.answers.append(
            {
                "nanoseconds": {},
                "usage": {},
                "read_bytes": size,
                "peak_rss_bytes": 5,
                "gpu_memory": {},
            }
        )
    assert cold.facts()["cold"]["page_cache"] == state
    assert noted(cold.notes(), Code.PAGE_CACHE).names["state"] == (state or "unknown")


def test_imports_are_timed_once_however_they_nest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = f"import {__name__} as test\ntest.CLOCK.work(20)\n"
    (tmp_path / "outer_module.py").write_text(f"import inner_module\n{work}")
    (tmp_path / "inner_module.py").write_text(work)
    monkeypatch.syspath_prepend(str(tmp_path))
    plain = builtins.__import__, importlib.import_module
    with child.ImportClock(CLOCK.now_ns).running() as imports:
        CLOCK.work(5)
        importlib.import_module("outer_module")
    assert imports.nanoseconds == 40_000_000
    assert (builtins.__import__, importlib.import_module) == plain


def test_a_suite_s_reranker_is_built_alike_in_the_run_and_in_the_process() -> None:
    recipe = Recipe(FAKE, {"salt": "x"}, ".")
    ours = rerankers.build(recipe.name, recipe.options, "cpu", Path(recipe.base_dir))
    assert ours.fingerprint() == {"backend": "fake", "salt": "x"}


def test_a_pipeline_and_its_first_stage_start_in_a_process_of_their_own(
    collection: Path, tmp_path: Path
) -> None:
    stages = [{"bm25": {"keep": 4}}, {"word-overlap": {"keep": 2}}, FAKE]
    asked = {
        "name": "started",
        "datasets": [f"files:{collection}"],
        "pipelines": [{"name": "cascade", "stages": stages}],
        "devices": ["cpu"],
        "latency": {"scenarios": ["cold"], "cold_runs": 1, "queries": 2, "first_stages": True},
    }
    run = bench.run(asked, out=tmp_path)
    for name in ("first-stage", "cascade"):
        (record,) = [one for one in run.records.values() if one.trial.reranker == name]
        facts = (record.latency or {})["cold"]
        assert (facts["runs"], facts["failed"]) == (1, 0), record.latency
        rows = run.latency[run.latency["trial"] == record.trial.id]
        spans = rows.set_index("span")["nanoseconds"]
        assert spans["total"] == spans[PARTS].sum()
