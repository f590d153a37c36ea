"""The timed pass and its summaries: order and bookkeeping, never a wall-clock time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.measure import latency, machine
from bench.measure.latency import LatencyPlan, Target, measure, settled
from bench.measure.latency_summary import needed, summarise
from bench.rerankers.base import Failure, Request
from tests.fakes import FakeOptions, HashReranker

COLUMNS = ["trial", "scenario", "round", "query", "pairs", "tokens", "nanoseconds", "warmup", "span"]


def requests(n: int = 6, docs: int = 4) -> list[Request]:
    return [Request(f"q{i}", f"query {i}", [f"d{j}" for j in range(docs)], [f"text {i} {j}" for j in range(docs)]) for i in range(n)]


def target(name: str, calls: list[str] | None = None, sleep_ms: float = 0.0, **options: Any) -> Target:
    class Recording(HashReranker):
        def rerank(self, asked: Sequence[Request]) -> list[Any]:
            if calls is not None:
                calls.append(f"{name}:{'+'.join(request.query_id for request in asked)}")
            time.sleep(sleep_ms / 1000)
            return super().rerank(asked)

    return Target(name, "cpu", Recording(FakeOptions(**options)))


def frame(result: latency.LatencyResult) -> pd.DataFrame:
    return pd.DataFrame(result.samples, columns=COLUMNS)


def plan(**more: Any) -> LatencyPlan:
    return LatencyPlan(**{"queries": 6, "rounds": 2, "warmup_max": 3, **more})


def test_a_sleep_shows_as_that_sleep_and_the_slower_one_as_slower() -> None:
    table = summarise(frame(measure([target("slow", sleep_ms=20), target("fast", sleep_ms=5)], requests(), plan())))
    slow, fast = table["slow", "single"], table["fast", "single"]
    assert slow.p50_ms >= 20 > fast.p50_ms >= 5
    assert slow.per_pair_ms == pytest.approx(slow.p50_ms / 4)
    assert table["slow", "offline"].pairs_per_s < table["fast", "offline"].pairs_per_s


def test_warm_ups_are_kept_marked_and_never_summarised() -> None:
    """The first call of a real model costs more: here 100 times as much, and the summary does not see it."""

    class SlowStart(HashReranker):
        calls = 0

        def rerank(self, asked: Sequence[Request]) -> list[Any]:
            SlowStart.calls += 1
            time.sleep(0.2 if SlowStart.calls <= 3 else 0.002)
            return super().rerank(asked)

    result = frame(measure([Target("cold", "cpu", SlowStart(FakeOptions()))], requests(), plan(scenarios=("single",))))
    warm = result[result["warmup"]]
    assert len(warm) == 3
    assert (warm["nanoseconds"] >= 200e6).all()
    summary = summarise(result)["cold", "single"]
    assert summary.samples == 12
    assert summary.mean_ms < 100


def test_targets_are_interleaved_and_their_order_alternates() -> None:
    calls: list[str] = []
    measure([target("a", calls), target("b", calls)], requests(3), plan(queries=3, warmup_max=0, scenarios=("single",)))
    sides = [call.split(":")[0] for call in calls]
    assert "".join(sides) == "abbaab" + "baabba"
    queries = [call.split(":")[1] for call in calls]
    assert queries[0::2] == queries[1::2], "each query is timed on all targets before the next one"


def test_offline_pools_whole_requests_up_to_the_limit() -> None:
    calls: list[str] = []
    result = frame(measure([target("a", calls)], requests(), plan(warmup_max=0, scenarios=("offline",), offline_pairs=10, rounds=3)))
    assert len(calls) == 3
    assert set(result["pairs"]) == {8}
    assert set(result["query"]) == {"*"}


def test_depth_cuts_the_timed_candidates() -> None:
    result = frame(measure([target("a")], requests(docs=9), plan(depth=5, scenarios=("single",))))
    assert set(result["pairs"]) == {5}


def test_a_failed_call_is_counted_and_is_no_sample() -> None:
    class Failing(HashReranker):
        def rerank(self, asked: Sequence[Request]) -> list[Any]:
            return [
                Failure("timed out") if request.query_id == "q2" else outcome
                for request, outcome in zip(asked, super().rerank(asked), strict=True)
            ]

    result = measure([Target("f", "cpu", Failing(FakeOptions()))], requests(), plan(scenarios=("single",), warmup_max=0))
    assert "q2" not in set(frame(result)["query"])
    assert result.facts["f"]["errors"] == 2
    assert "2 timed calls failed (timed out)" in result.facts["f"]["notes"]


def test_a_target_that_always_crashes_is_given_up_and_the_other_is_timed() -> None:
    result = measure([target("bad", crash="no"), target("good")], requests(), plan(warmup_max=0))
    assert set(frame(result)["trial"]) == {"good"}
    assert result.facts["bad"]["errors"] == latency.GIVE_UP_AFTER
    assert any("given up" in note for note in result.facts["bad"]["notes"])


def test_the_time_limit_is_said() -> None:
    result = measure([target("slow", sleep_ms=30)], requests(), plan(time_limit_s=0.05, scenarios=("single",), warmup_max=0, rounds=1))
    assert result.facts["slow"]["queries_timed"] == 2
    assert "timed on 2 of 6 queries: the time limit was reached" in result.facts["slow"]["notes"]


def test_progress_adds_up_to_what_was_planned() -> None:
    told: list[int] = []
    targets = [target("a"), target("b")]
    measure(targets, requests(), plan(), on_call=told.append)
    assert sum(told) == latency.planned_calls(targets, requests(), plan())


def test_warm_up_ends_when_times_settle() -> None:
    assert not settled([1.0] * 8, 0.02)
    assert settled([3.0, 2.0, 1.0] + [1.0] * 8, 0.02)
    assert not settled([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0], 0.02)


@pytest.mark.parametrize(("q", "least"), [(0.95, 59), (0.99, 299)])
def test_a_percentile_is_withheld_until_the_largest_sample_is_above_it_with_95_percent_confidence(q: float, least: int) -> None:
    assert needed(q) == least
    assert 1 - q**least >= 0.95 > 1 - q ** (least - 1)


def samples(times_ms: Sequence[Sequence[float]], scenario: str = "single") -> pd.DataFrame:
    """times_ms[query][round]."""
    rows = [
        ("t", scenario, r, f"q{q}", 10, None, int(ms * 1e6), False, "total") for q, line in enumerate(times_ms) for r, ms in enumerate(line)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def test_rounds_do_not_stand_in_for_queries() -> None:
    times = np.random.default_rng(0).gamma(9, 2, size=58).tolist()
    few = summarise(samples([[one] * 10 for one in times]))["t", "single"]
    assert (few.queries, few.samples, few.p95_ms) == (58, 580, None)
    enough = summarise(samples([[one] for one in [*times, 20.0]]))["t", "single"]
    assert enough.p95_ms is not None
    assert enough.p99_ms is None


def test_the_interval_is_clustered_by_query() -> None:
    """Copies of a round add samples and no information: the interval must not shrink."""
    times = np.random.default_rng(1).gamma(4, 5, size=40).tolist()
    once = summarise(samples([[one] for one in times]))["t", "single"]
    copied = summarise(samples([[one] * 20 for one in times]))["t", "single"]
    width, copied_width = once.p50_high_ms - once.p50_low_ms, copied.p50_high_ms - copied.p50_low_ms
    assert copied_width > 0.7 * width


def test_queries_timed_unequally_often_are_summarised() -> None:
    summary = summarise(samples([[1.0, 2.0], [3.0], [4.0, 5.0]]))["t", "single"]
    assert (summary.queries, summary.samples, summary.p50_ms) == (3, 5, 3.0)


@given(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=80), st.randoms())
def test_a_summary_does_not_depend_on_the_order_of_samples(times: list[float], rng: Any) -> None:
    table = samples([[one] for one in times])
    shuffled = table.sample(frac=1, random_state=rng.randrange(1000))
    one, other = summarise(table)["t", "single"], summarise(shuffled)["t", "single"]
    assert one.p50_ms == pytest.approx(other.p50_ms)
    assert one.pairs_per_s == pytest.approx(other.pairs_per_s)
    assert one.p50_low_ms <= one.p50_high_ms
    assert one.p95_ms is None or one.p95_ms >= one.p50_ms


def test_no_samples_give_no_summary() -> None:
    assert summarise(pd.DataFrame(columns=COLUMNS)) == {}


@pytest.mark.gpu
def test_an_unsynchronised_cuda_timing_would_be_caught() -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    from bench.measure.clock import now_ns, synchroniser

    wait, big = synchroniser("cuda"), torch.randn(8192, 8192, device="cuda")
    big @ big
    wait()
    start = now_ns()
    big @ big
    unsynchronised = now_ns() - start
    wait()
    assert now_ns() - start > 3 * unsynchronised


def test_the_fingerprint_names_the_hardware_and_nothing_private() -> None:
    import getpass
    import json
    import platform

    found = machine.fingerprint("cpu")
    text = json.dumps(found)
    assert found["cpu"]
    assert found["usable_cores"] >= 1
    assert found["libraries"]["numpy"]
    assert platform.node() not in text or len(platform.node()) < 4
    assert f'"{getpass.getuser()}"' not in text
    assert set(machine.speed_fields(found)) == set(machine.SPEED_FIELDS)


def test_devices_are_named_resolved_and_refused() -> None:
    from bench.errors import SuiteError, Unavailable

    assert machine.resolve_device("cpu") == "cpu"
    assert machine.resolve_device("auto") in machine.available_devices()
    with pytest.raises(SuiteError, match="not a device"):
        machine.resolve_device("gpu")
    with pytest.raises(Unavailable, match="no cuda:7 device"):
        machine.resolve_device("cuda:7")
