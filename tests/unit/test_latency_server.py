"""Load on a server: arrivals by chance, waits counted from when a query was due, overload said.

Most of it runs on a clock of the tests' own, which moves when somebody sleeps: queueing theory can
then be held to its numbers. What runs on the real clock checks sums, never a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from bench.contract.request import CandidateList
from bench.core.note import Code
from bench.latency import timed_pass
from bench.latency.columns import MEAN
from bench.latency.sample import Condition
from bench.latency.scenarios.server import ServerPlan, arrivals, grows
from bench.latency.summary import summarise
from bench.latency.timed_pass import LatencyPlan, LatencyResult, Target, measure
from tests.support.fake_clock import FakeClock
from tests.support.fakes import FakeOptions, HashReranker
from tests.support.made_requests import requests
from tests.support.notes import counts

SERVICE_S = 0.01


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


class Steady(HashReranker):
    """Serves a call in 10 ms, however many queries it holds; notes how many that were."""

    batches: list[int]
    clock: FakeClock

    def rerank(self, asked: Sequence[CandidateList]) -> list[Any]:
        self.batches = [*getattr(self, "batches", []), len(asked)]
        self.clock.sleep(SERVICE_S)
        return super().rerank(asked)


def loaded(reranker: HashReranker, clock: FakeClock, **load: Any) -> LatencyResult:
    if isinstance(reranker, Steady):
        reranker.clock = clock
    plan = LatencyPlan(
        scenarios=("server",), queries=8, warmup_max=0, server=ServerPlan(**{"queries": 60, **load})
    )
    return measure([Target("t", "cpu", reranker)], requests(8), plan, clock=clock)


def loads(result: LatencyResult) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = result.facts["t"]["server"]["loads"]
    return found


def pivoted(result: LatencyResult) -> pd.DataFrame:
    """Nanoseconds of each arrival: its number x total, queue, service."""
    table = pd.DataFrame(result.samples)
    return table.pivot(index="round", columns="span", values="nanoseconds")


def mean_ms(result: LatencyResult, span: str) -> float:
    return float(np.mean([row.nanoseconds for row in result.samples if row.span == span])) / 1e6


def test_arrivals_are_a_poisson_process() -> None:
    """Exponential gaps, none of which tells anything of the next."""
    from scipy.stats import expon, kstest

    gaps = np.diff(arrivals(5.0, ServerPlan(queries=4000, seconds=1e9), seed=3), prepend=0.0)
    assert kstest(gaps, expon(scale=1 / 5).cdf).pvalue > 0.01
    assert kstest(gaps, expon(scale=1 / 6).cdf).pvalue < 0.01, "the test can fail"
    assert abs(np.corrcoef(gaps[:-1], gaps[1:])[0, 1]) < 0.05


def test_arrivals_are_seeded_scaled_and_bounded() -> None:
    plan = ServerPlan(queries=50, seconds=1e9)
    assert arrivals(2.0, plan, seed=1).tolist() == arrivals(2.0, plan, seed=1).tolist()
    assert arrivals(2.0, plan, seed=1).tolist() != arrivals(2.0, plan, seed=2).tolist()
    assert arrivals(4.0, plan, seed=1) == pytest.approx(arrivals(2.0, plan, seed=1) / 2)
    short = arrivals(2.0, ServerPlan(queries=50, seconds=3.0), seed=1)
    assert len(short) < 50
    assert short.max() <= 3.0
    assert len(arrivals(0.001, ServerPlan(seconds=1.0), seed=1)) == 1, (
        "a rate too low for the time still shows one query"
    )


@pytest.mark.parametrize("load", [0.2, 0.5, 0.8])
def test_waits_are_those_of_a_queue_with_one_worker(clock: FakeClock, load: float) -> None:
    """M/D/1 (Pollaczek & Khinchine): the mean wait is rho / (2 (1 - rho)) service times."""
    result = loaded(Steady(FakeOptions()), clock, loads=(load,), queries=6000, seconds=1e6)
    # The mean of 6,000 random waits that depend on each other.
    assert mean_ms(result, "queue") == pytest.approx(
        load / (2 * (1 - load)) * 1000 * SERVICE_S, rel=0.12
    )
    assert mean_ms(result, "service") == pytest.approx(1000 * SERVICE_S)
    assert result.facts["t"]["server"]["capacity_per_s"] == pytest.approx(1 / SERVICE_S)
    # 6,000 random arrivals: 1.3 % standard deviation of their rate.
    assert loads(result)[0]["utilisation"] == pytest.approx(load, rel=0.05)
    assert loads(result)[0]["overloaded"] is False


def test_on_the_real_clock_too_a_response_is_its_wait_and_its_service() -> None:
    plan = LatencyPlan(
        scenarios=("server",), queries=8, warmup_max=0, server=ServerPlan(queries=30, loads=(2.0,))
    )
    target = Target("t", "cpu", HashReranker(FakeOptions()))
    table = pivoted(measure([target], requests(8), plan))
    assert len(table) == 30
    assert (table["total"] == table["queue"] + table["service"]).all()
    assert (table["service"] > 0).all()


def test_a_response_is_its_wait_and_its_service_counted_from_when_it_was_due(
    clock: FakeClock,
) -> None:
    result = loaded(Steady(FakeOptions()), clock, rates=(60.0,))
    table = pivoted(result)
    assert (table["total"] == table["queue"] + table["service"]).all()
    assert (table["queue"] >= 0).all()
    assert list(table.index) == list(range(60))
    assert {(row.scenario, row.rate) for row in result.samples} == {("server", 60.0)}


def test_a_stall_is_felt_by_everybody_who_is_due_meanwhile(clock: FakeClock) -> None:
    """Coordinated omission would show one slow call; here those behind it wait too."""

    class Stalling(HashReranker):
        calls = 0

        def rerank(self, asked: Sequence[CandidateList]) -> list[Any]:
            Stalling.calls += 1
            clock.work(300 if Stalling.calls == 10 else 1)
            return super().rerank(asked)

    result = loaded(Stalling(FakeOptions()), clock, rates=(100.0,))
    slow = [row for row in result.samples if row.span == "total" and row.nanoseconds > 50e6]
    # A Poisson count of 25: a standard deviation of 5.
    assert len(slow) == pytest.approx(25, abs=12), (
        "those of the next quarter of a second, at 100 a second"
    )


def test_more_than_the_worker_can_do_is_called_overload(clock: FakeClock) -> None:
    result = loaded(Steady(FakeOptions()), clock, rates=(400.0,), queries=2000)
    load = loads(result)[0]
    assert load["overloaded"] is True
    # 2,000 random arrivals: 2.2 % standard deviation of their rate.
    assert load["utilisation"] == pytest.approx(4, rel=0.1)
    assert load["unanswered"] == pytest.approx(1000, rel=0.2), (
        "the queue is not drained for as long as it takes"
    )
    assert {Code.QUEUE_GREW, Code.UNANSWERED} & set(counts(result.facts["t"]["notes"]))


def test_batches_carry_a_load_that_single_calls_cannot(clock: FakeClock) -> None:
    reranker = Steady(FakeOptions())
    result = loaded(reranker, clock, rates=(200.0,), max_batch=8)
    load = loads(result)[0]
    assert load["overloaded"] is False
    assert 1 < load["mean_batch"] <= 8
    assert max(reranker.batches) <= 8
    assert load["arrivals"] == 60 == sum(reranker.batches) - 5 * 8, (
        "five full batches tell the capacity"
    )


def test_a_batch_that_is_not_full_waits_for_more(clock: FakeClock) -> None:
    hasty, patient = Steady(FakeOptions()), Steady(FakeOptions())
    at_once = loaded(hasty, clock, rates=(40.0,), max_batch=4, queries=30)
    after_a_while = loaded(patient, clock, rates=(40.0,), max_batch=4, queries=30, max_wait_ms=100)
    assert loads(at_once)[0]["mean_batch"] < loads(after_a_while)[0]["mean_batch"]
    assert mean_ms(at_once, "queue") < mean_ms(after_a_while, "queue")


def test_failures_under_load_are_counted_and_no_samples(clock: FakeClock) -> None:
    class Failing(Steady):
        def rerank(self, asked: Sequence[CandidateList]) -> list[Any]:
            if asked[0].query_id == "q3":
                raise RuntimeError("busy")
            return super().rerank(asked)

    result = loaded(Failing(FakeOptions()), clock, rates=(50.0,), queries=24)
    assert loads(result)[0]["failed"] == 3
    assert "q3" not in {row.query for row in result.samples}
    assert counts(result.facts["t"]["notes"])[Code.FAILED_ARRIVALS] == 3


def test_a_server_that_is_gone_is_given_up(clock: FakeClock) -> None:
    result = loaded(HashReranker(FakeOptions(crash="no")), clock, rates=(50.0,))
    assert result.samples == []
    assert result.facts["t"]["errors"] == timed_pass.GIVE_UP_AFTER


def test_intervals_under_load_draw_stretches_of_arrivals() -> None:
    """Waits come in stretches: an interval that took them for independent would be too narrow."""
    rng = np.random.default_rng(0)
    stretches = np.repeat(rng.gamma(2, 50, size=12), 12)
    rows = [
        timed_pass.Sample("t", "server", i, f"q{i % 60}", 10, None, int(ms * 1e6), rate=1.0)
        for i, ms in enumerate(stretches)
    ]
    apart = [row._replace(scenario="single", rate=None) for row in rows]
    found: Any = summarise(pd.DataFrame(rows))["t", Condition("server", 1.0)]
    naive: Any = summarise(pd.DataFrame(apart))["t", Condition("single")]
    assert found.per_pair_ms is None
    assert found.of(MEAN).high - found.of(MEAN).low > 1.5 * (
        naive.of(MEAN).high - naive.of(MEAN).low
    )


def test_a_queue_grows_when_its_waits_rise_throughout() -> None:
    assert grows(list(range(30)), service=1.0)
    assert not grows([1.0, 5.0, 2.0] * 10, service=1.0)
    assert not grows([0.1 * i for i in range(30)], service=1.0), (
        "less than chance brings about at a high load"
    )
    assert not grows([], service=1.0)


def test_what_a_plan_runs() -> None:
    assert ServerPlan().points() == ([], [0.5, 0.8])
    assert ServerPlan(rates=(2.0,)).points() == ([2.0], [])
    assert ServerPlan(rates=(2.0,), loads=(0.9,)).points() == ([2.0], [0.9])
    with pytest.raises(ValidationError):
        ServerPlan(rates=(0.0,))


def test_progress_of_a_load_adds_up_to_what_was_planned(clock: FakeClock) -> None:
    told: list[int] = []
    plan = LatencyPlan(
        scenarios=("server",),
        queries=8,
        warmup_max=3,
        server=ServerPlan(queries=20, rates=(100.0, 400.0)),
    )
    reranker = Steady(FakeOptions())
    reranker.clock = clock
    targets = [Target("t", "cpu", reranker)]
    measure(targets, requests(8), plan, on_call=told.append, clock=clock)
    assert sum(told) == timed_pass.planned_calls(targets, requests(8), plan)
