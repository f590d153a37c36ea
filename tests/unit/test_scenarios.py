"""The table of latency scenarios, the plan that holds their options, and the runs of before."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from bench.latency.plan import LatencyPlan
from bench.latency.sample import Condition, Sample
from bench.latency.scenarios import SCENARIOS, class_of, in_order, label, one_query, one_query_at
from bench.latency.scenarios.base import Place
from bench.records.packed import unpacked
from bench.records.run import Run
from bench.suite.suite import load
from tests.support.made_runs import made_run
from tests.support.paths import ROOT

PLAN = {
    "scenarios": ["single", "offline"],
    "queries": 60,
    "rounds": 2,
    "depth": None,
    "offline_pairs": 1000,
    "request_queries": 20,
    "span_queries": 10,
    "cold_runs": 3,
    "server": {
        "rates": [],
        "loads": None,
        "queries": 120,
        "seconds": 60.0,
        "max_batch": 1,
        "max_wait_ms": 0.0,
    },
    "warmup_max": 18,
    "warmup_tolerance": 0.02,
    "time_limit_s": 300.0,
}
"""What the speed keys of all runs so far hold of the default plan."""


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_declares_what_tables_and_lists_show(name: str) -> None:
    scenario = class_of(name)
    assert scenario.question.endswith("?")
    assert scenario.meaning
    assert scenario.columns
    keys = [column.key for column in (*scenario.columns, *scenario.details)]
    assert all(keys)
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert f"| `{name}` | {scenario.question} | {scenario.place.title} |" in page


def test_each_reranker_has_one_scenario_with_one_query_in_flight() -> None:
    assert one_query() == ["single", "request"]
    assert (one_query_at(remote=False), one_query_at(remote=True)) == ("single", "request")
    assert [class_of(name).place for name in one_query()] == [Place.HERE, Place.ELSEWHERE]


def test_the_default_plan_has_the_speed_key_of_every_run_so_far() -> None:
    assert LatencyPlan().speed_fields() == PLAN


@pytest.mark.parametrize(
    "latency",
    [
        {"cold_runs": 5},
        {"scenarios": ["single", {"cold": {"cold_runs": 5}}]},
        {"scenarios": ["cold"], "cold_runs": 5},
    ],
)
def test_an_option_is_a_key_of_the_plan_or_of_its_scenario(latency: dict[str, Any]) -> None:
    suite = load({"name": "x", "datasets": ["embedded:everyday"], "latency": latency})
    assert suite.resolved()["latency"]["cold_runs"] == 5


def test_only_one_query_in_flight_is_left() -> None:
    plan = LatencyPlan(scenarios=("cold", "server"), cold_runs=2).one_query_only(rounds=1)
    assert plan.calls(4) == 18 + 4, "warm-ups and one round; no parts"
    assert plan.model_dump()["cold_runs"] == 2


def test_conditions_are_labelled_in_the_order_of_the_table() -> None:
    assert in_order(["zebra", "server", "single", "ant"]) == ["single", "server", "ant", "zebra"]
    assert label(Condition("single")) == "single"
    assert label(Condition("server", 2.4871)) == "server 2.49/s"
    timing = {"server": {"loads": [{"rate": 2.4871, "utilisation": 0.5}]}}
    assert label(Condition("server", 2.4871), timing) == "server 2.49/s, 50 % load"
    assert label(Condition("some new scenario", 3.0), timing) == "some new scenario"


def test_a_rate_in_the_name_of_a_scenario_becomes_a_column(tmp_path: Any) -> None:
    """The name had three digits of it, the record all of them."""
    loads = [{"scenario": "server 2.49/s", "rate": 2.4871}]
    run = made_run(tmp_path, {"a": [0.5]}, record={"a": {"latency": {"server": {"loads": loads}}}})
    [trial] = run.records
    rows = [
        Sample(trial, "server 2.49/s", 0, "q0", 5, None, 10),
        Sample("gone", "server 2.49/s", 0, "q0", 5, None, 10),
        Sample(trial, "server 1e+03/s", 0, "q0", 5, None, 10),
        Sample(trial, "single", 0, "q0", 5, None, 10),
    ]
    table = unpacked(pd.DataFrame(rows), run.records)
    assert list(table["scenario"]) == ["server", "server", "server", "single"]
    assert list(table["rate"])[:3] == [2.4871, 2.49, 1000.0]
    assert table["rate"].isna().tolist() == [False, False, False, True]


def test_the_run_of_schema_1_keeps_its_load() -> None:
    table = Run(ROOT / "tests" / "data" / "run-v1").latency
    assert set(table["scenario"]) == {"single", "offline", "server"}
    assert set(table.loc[table["scenario"] == "server", "rate"]) == {50.0}
