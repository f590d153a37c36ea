"""A latency scenario from outside: one file and one line, and it is listed, validated, timed,
summarised and reported as any other.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

import bench
from bench import reports
from bench.cli.main import cli
from bench.core import plugins
from bench.core.errors import SuiteError
from bench.latency import scenarios
from bench.latency.plan import LatencyPlan
from bench.latency.sample import Condition
from bench.records.rows import rows
from bench.runner.inputs import inputs
from bench.suite.json_schema import schema
from bench.suite.suite import load

FILE = """
from functools import partial

from bench.core.options import option
from bench.latency.columns import P50, Better, Column, Format, Interval
from bench.latency.scenarios.base import Moment, Scenario, ScenarioOptions, Turn

QUERIES_PER_S = Column("queries_per_s", "queries/s", "1/s", Format.RATE, Better.HIGHER)


class BurstOptions(ScenarioOptions):
    burst_size: int = option(3, decides="speed", ge=1, description="queries in one call")
    burst_label: str = option("", decides="nothing", description="a name for it")


class Burst(Scenario[BurstOptions]):
    Options = BurstOptions
    question = "how fast is a burst of queries answered?"
    meaning = "several queries in one call"
    columns = (P50, QUERIES_PER_S)
    details = (P50, QUERIES_PER_S)

    @classmethod
    def turns(cls, options, plan, queries):
        for i in range(plan.rounds):
            yield Turn(Moment.ROUNDS, i, partial(cls.time_burst, round_=i), round=i)

    def time_burst(self, round_):
        burst = self.lane.sample[: self.options.burst_size]
        nanoseconds = self.lane.call(burst)
        if nanoseconds is not None:
            self.lane.keep(self.name, round_, burst[0], nanoseconds)

    def facts(self):
        return {"burst": {"size": self.options.burst_size}}

    @classmethod
    def measure(cls, rows, seed):
        rate = Interval(1000 / rows["ms"].median())
        return {**super().measure(rows, seed), QUERIES_PER_S.key: rate}
"""
OUTSIDE = "burst_scenario:Burst"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an outsider's file, on the Python path."""
    (tmp_path / "burst_scenario.py").write_text(FILE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "burst_scenario", raising=False)
    monkeypatch.setattr(scenarios, "_OUTSIDERS", {})
    monkeypatch.setattr(plugins, "_FOLDERS", [])
    return tmp_path


@pytest.fixture
def burst(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the scenario, from the one line in the table."""
    monkeypatch.setitem(scenarios.SCENARIOS, "burst", OUTSIDE)
    return "burst"


def suite(collection: Path, **latency: Any) -> dict[str, Any]:
    return {
        "name": "bursts",
        "datasets": [f"files:{collection}"],
        "rerankers": [{"tests.support.fakes:HashReranker": {"name": "fake"}}],
        "latency": {"queries": 4, "rounds": 2, "warmup_max": 3, **latency},
    }


def test_it_is_listed(burst: str) -> None:
    # wide enough for a line each
    result = CliRunner().invoke(cli, ["list", "scenarios"], env={"COLUMNS": "300"})
    assert result.exit_code == 0
    [line] = [line for line in result.output.splitlines() if line.startswith(burst)]
    assert "how fast is a burst of queries answered?" in line
    assert "burst_size" in line
    assert [name for name in scenarios.SCENARIOS if name not in result.output] == []


def test_its_options_are_validated(burst: str, folder: Path, collection: Path) -> None:
    plan = load(suite(collection, scenarios=[burst], burst_size=2)).latency
    assert plan is not None
    assert plan.calls(10) == 3 + 2, "three warm-ups, and one call per round"
    file = folder / "suite.yaml"
    file.write_text(yaml.safe_dump(suite(collection, scenarios=[burst], burst_size=2)))
    result = CliRunner().invoke(cli, ["validate", str(file)])
    assert result.exit_code == 0, result.output
    with pytest.raises(SuiteError, match=r"latency\.burst_size: .*greater than or equal to 1"):
        load(suite(collection, scenarios=[burst], burst_size=0))
    with pytest.raises(SuiteError, match="unknown key: did you mean 'burst_size'"):
        load(suite(collection, scenarios=[burst], burst_sizes=2))
    with pytest.raises(SuiteError, match="did you mean 'burst'"):
        load(suite(collection, scenarios=["bursts"]))
    properties = schema()["$defs"]["LatencyPlan"]["properties"]
    assert properties["burst_size"]["minimum"] == 1
    assert "cold_runs" in properties


def test_it_leaves_the_speed_keys_of_other_suites_as_they_are(burst: str) -> None:
    fields = LatencyPlan().speed_fields()
    assert "burst_size" not in fields
    mine = LatencyPlan(scenarios=(burst,), burst_size=4, burst_label="x").speed_fields()
    assert mine == {**fields, "scenarios": [burst], "burst_size": 4}, (
        "what decides nothing may differ"
    )


def test_it_is_timed_summarised_and_reported(burst: str, collection: Path, tmp_path: Path) -> None:
    run = bench.run(suite(collection, scenarios=["single", burst], burst_size=2), out=tmp_path)
    samples = run.latency[run.latency["scenario"] == burst]
    assert list(samples["round"]) == [0, 1]
    record = run.records["tiny--bm25--fake--cpu"]
    assert dict(record.latency or {})["burst"] == {"size": 2}
    [row] = [row for row in rows(run) if row.latency]
    assert list(row.latency) == [Condition("single"), Condition(burst)]
    assert (row.latency[Condition(burst)].values["queries_per_s"].value or 0) > 0
    page = reports.markdown(run)
    assert " queries/s |" in page
    assert "`burst`: several queries in one call" in page
    html = (run.folder / "report.html").read_text(encoding="utf-8")
    assert "<code>burst</code>: several queries in one call" in html


@pytest.mark.parametrize("entry", [OUTSIDE, {OUTSIDE: {"burst_size": 4}}])
def test_a_suite_names_the_class_itself(
    entry: Any, folder: Path, collection: Path, tmp_path: Path
) -> None:
    run = bench.run(suite(collection, scenarios=[entry]), out=tmp_path)
    size = 3 if entry == OUTSIDE else 4
    record = run.records["tiny--bm25--fake--cpu"]
    assert dict(record.latency or {})["burst"] == {"size": size}
    assert " queries/s |" in reports.markdown(run)


@pytest.mark.parametrize("name", ["burst", OUTSIDE])
def test_its_code_decides_whether_a_run_is_continued(
    name: str, burst: str, folder: Path, collection: Path
) -> None:
    settings = load(suite(collection, scenarios=[name]))
    before = inputs(settings, {}, fresh=False)
    file = folder / "burst_scenario.py"
    file.write_text(f"{FILE}# another\n")
    importlib.reload(sys.modules["burst_scenario"])
    changed = inputs(settings, {}, fresh=False)
    assert [key for key in before if before[key] != changed[key]] == ["burst_scenario"]


def test_a_run_folder_imports_nothing(
    folder: Path, collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads a run from elsewhere gets percentiles, and no code is run."""
    run = bench.run(suite(collection, scenarios=[OUTSIDE]), out=tmp_path)
    monkeypatch.setattr(scenarios, "_OUTSIDERS", {})
    monkeypatch.setitem(sys.modules, "burst_scenario", None)
    page = reports.markdown(bench.load(run.folder))
    assert "queries/s" not in page
    assert f"`{OUTSIDE}`" in page


def test_a_class_that_is_no_scenario_is_refused(collection: Path) -> None:
    with pytest.raises(SuiteError, match="needs to be a subclass"):
        load(suite(collection, scenarios=["tests.support.fakes:HashReranker"]))
