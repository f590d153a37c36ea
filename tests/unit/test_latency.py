"""The timed pass and its summaries: order and bookkeeping, never a wall-clock time."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.contract.request import CandidateList, Failure, Usage
from bench.core.errors import BenchError
from bench.core.note import Code, read_notes
from bench.core.wording import worded
from bench.latency import timed_pass
from bench.latency.columns import MEAN, P50, P95, P99, PAIRS_PER_S, PER_PAIR, Column
from bench.latency.sample import Condition
from bench.latency.summary import Summary, needed, summarise
from bench.latency.timed_pass import LatencyPlan, Target, measure, settled
from bench.machine import fingerprint
from tests.support.fake_clock import FakeClock
from tests.support.fakes import FakeOptions, FlakyReranker, HashReranker
from tests.support.made_requests import requests
from tests.support.notes import counts

COLUMNS = list(timed_pass.Sample._fields)


def target(
    name: str,
    calls: list[str] | None = None,
    clock: FakeClock | None = None,
    ms: float = 0.0,
    **options: Any,
) -> Target:
    """A reranker whose calls take `ms` on the clock, and are noted in `calls`."""

    class Recording(HashReranker):
        def rerank(self, asked: Sequence[CandidateList]) -> list[Any]:
            if calls is not None:
                calls.append(f"{name}:{'+'.join(request.query_id for request in asked)}")
            if clock is not None:
                clock.work(ms)
            return super().rerank(asked)

    return Target(name, "cpu", Recording(FakeOptions(**options)))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def frame(result: timed_pass.LatencyResult) -> pd.DataFrame:
    return pd.DataFrame(result.samples, columns=COLUMNS)


def plan(**more: Any) -> LatencyPlan:
    return LatencyPlan(**{"queries": 6, "rounds": 2, "warmup_max": 3, "span_queries": 0, **more})


def test_each_scenario_shows_what_the_calls_took(clock: FakeClock) -> None:
    """Six queries of four documents: 20 and 5 ms a call, in `offline` all 24 pairs of them."""
    targets = [target("slow", clock=clock, ms=20), target("fast", clock=clock, ms=5)]
    table = summarise(frame(measure(targets, requests(), plan(), clock=clock)))
    for name, ms in (("slow", 20), ("fast", 5)):
        single = table[name, Condition("single")]
        assert single.of(P50) == (ms, ms, ms)
        assert single.of(MEAN) == pytest.approx((ms, ms, ms))
        assert single.of(PER_PAIR) == (ms / 4, ms / 4, ms / 4)
        rate = 24 / (ms / 1000)
        assert table[name, Condition("offline")].of(PAIRS_PER_S) == pytest.approx((rate,) * 3)


def test_warm_ups_are_kept_marked_and_never_summarised(clock: FakeClock) -> None:
    """The first call of a real model costs more: here 100 times as much, and the summary does not
    see it.
    """

    class SlowStart(HashReranker):
        calls = 0

        def rerank(self, asked: Sequence[CandidateList]) -> list[Any]:
            SlowStart.calls += 1
            clock.work(200 if SlowStart.calls <= 3 else 2)
            return super().rerank(asked)

    result = frame(
        measure(
            [Target("cold", "cpu", SlowStart(FakeOptions()))],
            requests(),
            plan(scenarios=("single",)),
            clock=clock,
        )
    )
    warm = result[result["warmup"]]
    assert list(warm["nanoseconds"]) == [200_000_000] * 3
    summary = summarise(result)["cold", Condition("single")]
    assert summary.samples == 12
    assert summary.of(MEAN).value == pytest.approx(2)


def test_targets_are_interleaved_and_their_order_alternates() -> None:
    calls: list[str] = []
    measure(
        [target("a", calls), target("b", calls)],
        requests(3),
        plan(queries=3, warmup_max=0, scenarios=("single",)),
    )
    sides = [call.split(":")[0] for call in calls]
    assert "".join(sides) == "abbaab" + "baabba"
    queries = [call.split(":")[1] for call in calls]
    assert queries[0::2] == queries[1::2], "each query is timed on all targets before the next one"


def test_offline_pools_whole_requests_up_to_the_limit() -> None:
    calls: list[str] = []
    result = frame(
        measure(
            [target("a", calls)],
            requests(),
            plan(warmup_max=0, scenarios=("offline",), offline_pairs=10, rounds=3),
        )
    )
    assert len(calls) == 3
    assert set(result["pairs"]) == {8}
    assert set(result["query"]) == {None}


def test_depth_cuts_the_timed_candidates() -> None:
    result = frame(measure([target("a")], requests(docs=9), plan(depth=5, scenarios=("single",))))
    assert set(result["pairs"]) == {5}


def test_a_failed_call_is_counted_and_is_no_sample() -> None:
    class Failing(HashReranker):
        def rerank(self, asked: Sequence[CandidateList]) -> list[Any]:
            return [
                Failure("timed out") if request.query_id == "q2" else outcome
                for request, outcome in zip(asked, super().rerank(asked), strict=True)
            ]

    result = measure(
        [Target("f", "cpu", Failing(FakeOptions()))],
        requests(),
        plan(scenarios=("single",), warmup_max=0),
    )
    assert "q2" not in set(frame(result)["query"])
    assert result.facts["f"]["errors"] == 2
    assert counts(result.facts["f"]["notes"])[Code.FAILED_CALLS] == 2


def test_a_target_that_always_crashes_is_given_up_and_the_other_is_timed() -> None:
    result = measure([target("bad", crash="no"), target("good")], requests(), plan(warmup_max=0))
    assert set(frame(result)["trial"]) == {"good"}
    assert result.facts["bad"]["errors"] == timed_pass.GIVE_UP_AFTER
    assert Code.GIVEN_UP in counts(result.facts["bad"]["notes"])


def test_the_time_limit_is_said(clock: FakeClock) -> None:
    """30 ms each, 50 ms in all."""
    result = measure(
        [target("slow", clock=clock, ms=30)],
        requests(),
        plan(time_limit_s=0.05, scenarios=("single",), warmup_max=0, rounds=1),
        clock=clock,
    )
    assert result.facts["slow"]["queries_timed"] == 2
    assert counts(result.facts["slow"]["notes"])[Code.QUERIES_OUT_OF_TIME] == 2


def test_the_time_limit_holds_for_warm_up_and_offline_too(clock: FakeClock) -> None:
    class Steady(HashReranker):
        def rerank(self, asked: Sequence[CandidateList]) -> list[Any]:
            clock.work(30 * len(asked))
            return super().rerank(asked)

    slow = Target("slow", "cpu", Steady(FakeOptions()))
    result = measure([slow], requests(), plan(time_limit_s=0.1, warmup_max=18), clock=clock)
    samples, facts = frame(result), result.facts["slow"]
    assert facts["warmup_calls"] == 1, "a quarter of the limit is spent after the first call"
    assert set(samples.query("scenario == 'offline'")["pairs"]) == {4}, (
        "24 pairs would take twice the limit in each round"
    )
    assert counts(facts["notes"])[Code.PAIRS_OUT_OF_TIME] == 4


def test_a_limit_that_is_not_reached_is_not_mentioned() -> None:
    notes = measure([target("a")], requests(), plan(warmup_max=0)).facts["a"]["notes"]
    limits = {Code.QUERIES_OUT_OF_TIME, Code.ROUNDS_OUT_OF_TIME, Code.PAIRS_OUT_OF_TIME}
    assert limits.isdisjoint(counts(notes))


@pytest.mark.parametrize("more", [{}, {"time_limit_s": 0.01}, {"crash": "no"}])
def test_progress_adds_up_to_what_was_planned(more: dict[str, Any], clock: FakeClock) -> None:
    told: list[int] = []
    limit = {"time_limit_s": more.pop("time_limit_s")} if "time_limit_s" in more else {}
    targets = [target("a", clock=clock, ms=4, **more), target("b", clock=clock, ms=1)]
    measure(targets, requests(), plan(**limit), on_call=told.append, clock=clock)
    assert sum(told) == timed_pass.planned_calls(targets, requests(), plan())


def test_a_target_that_fails_now_and_then_is_still_timed() -> None:
    class Flaky(HashReranker):
        calls = 0

        def rerank(self, asked: Sequence[CandidateList]) -> list[Any]:
            Flaky.calls += 1
            if Flaky.calls % 2:
                raise RuntimeError("busy")
            return super().rerank(asked)

    result = measure(
        [Target("f", "cpu", Flaky(FakeOptions()))],
        requests(),
        plan(scenarios=("single",), warmup_max=0),
    )
    assert result.facts["f"]["errors"] == 6 == len(result.samples)
    assert counts(result.facts["f"]["notes"])[Code.FAILED_CALLS] == 6


def test_a_scenario_none_of_whose_calls_gave_a_time_says_so() -> None:
    class OneByOne(HashReranker):
        def rerank(self, asked: Sequence[CandidateList]) -> list[Any]:
            if len(asked) > 1:
                raise RuntimeError("too many")
            return super().rerank(asked)

    result = measure(
        [Target("o", "cpu", OneByOne(FakeOptions())), target("good")],
        requests(),
        plan(scenarios=("single", "offline"), warmup_max=0),
    )
    silent = [about for about in read_notes(result.facts["o"]["notes"]) if about.where]
    assert [worded(about) for about in silent] == [
        "offline: no call gave a time (RuntimeError: too many)"
    ]
    assert Code.NO_TIME not in counts(result.facts["good"]["notes"])


def test_tokens_are_those_of_the_call_and_not_of_a_failed_one_before_it() -> None:
    class Counting(HashReranker):
        def rerank(self, asked: Sequence[CandidateList]) -> list[Any]:
            self.meter.count(Usage(tokens=100, slots=400, truncated=1))
            outcomes = super().rerank(asked)
            return [
                Failure("timed out") if request.query_id == "q2" else one
                for request, one in zip(asked, outcomes, strict=True)
            ]

    counting = Counting(FakeOptions())
    counting.meter.count(Usage(tokens=7))
    result = measure(
        [Target("t", "cpu", counting)], requests(), plan(scenarios=("single",), warmup_max=0)
    )
    assert set(frame(result)["tokens"]) == {100}
    assert result.facts["t"]["padding_share"] == 0.75
    assert result.facts["t"]["truncated"] == 10


@pytest.mark.parametrize("wrong", ["nan", "count", "answers"])
def test_an_answer_that_breaks_the_contract_is_no_sample(wrong: str) -> None:
    broken = Target("b", "cpu", FlakyReranker(FakeOptions(wrong=wrong)))
    result = measure([broken], requests(), plan())
    assert result.samples == []
    assert result.facts["b"]["errors"] == timed_pass.GIVE_UP_AFTER


def test_the_sample_is_seeded_and_does_not_depend_on_the_order_of_requests() -> None:
    drawn = timed_pass.draw_sample(requests(30), plan(), seed=1)
    assert drawn == timed_pass.draw_sample(requests(30)[::-1], plan(), seed=1)
    assert {one.query_id for one in drawn} != {
        one.query_id for one in timed_pass.draw_sample(requests(30), plan(), seed=2)
    }


def test_only_requests_with_candidates_are_timed() -> None:
    empty = CandidateList("none", "no candidates", [], [])
    assert empty not in timed_pass.draw_sample([empty, *requests(3)], plan(), seed=0)
    with pytest.raises(BenchError, match="no query has candidates"):
        measure([target("a")], [empty], plan())


def test_the_garbage_collector_is_off_in_a_timed_call_and_back_on_afterwards() -> None:
    seen: list[bool] = []

    class Interrupted(HashReranker):
        def rerank(self, asked: Sequence[CandidateList]) -> list[Any]:
            seen.append(gc.isenabled())
            if len(seen) > 4:
                raise KeyboardInterrupt
            return super().rerank(asked)

    with pytest.raises(KeyboardInterrupt):
        measure([Target("a", "cpu", Interrupted(FakeOptions()))], requests(), plan())
    assert seen == [False] * 5
    assert gc.isenabled()


def test_warm_up_ends_when_times_settle() -> None:
    assert not settled([1.0] * 8, 0.02)
    assert settled([3.0, 2.0, 1.0] + [1.0] * 8, 0.02)
    assert not settled([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0], 0.02)


@pytest.mark.parametrize(("q", "least"), [(0.95, 59), (0.99, 299)])
def test_a_percentile_is_withheld_until_the_largest_sample_is_above_it_with_95_percent_confidence(
    q: float, least: int
) -> None:
    assert needed(q) == least
    assert 1 - q**least >= 0.95 > 1 - q ** (least - 1)


def samples(times_ms: Sequence[Sequence[float]], scenario: str = "single") -> pd.DataFrame:
    """times_ms[query][round]."""
    rows = [
        timed_pass.Sample("t", scenario, r, f"q{q}", 10, None, int(ms * 1e6))
        for q, line in enumerate(times_ms)
        for r, ms in enumerate(line)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def single(table: pd.DataFrame) -> Any:
    return summarise(table)["t", Condition("single")]


def width(summary: Summary, column: Column) -> float:
    _, low, high = summary.of(column)
    assert low is not None
    assert high is not None
    return high - low


def test_rounds_do_not_stand_in_for_queries() -> None:
    times = np.random.default_rng(0).gamma(9, 2, size=58).tolist()
    few = single(samples([[one] * 10 for one in times]))
    assert (few.queries, few.samples, few.p95_ms) == (58, 580, None)
    enough = single(samples([[one] for one in [*times, 20.0]]))
    assert enough.p95_ms is not None
    assert enough.of(P99).value is None


def test_the_interval_is_clustered_by_query() -> None:
    """Copies of a round add samples and no information: the interval must not shrink."""
    times = np.random.default_rng(1).gamma(4, 5, size=40).tolist()
    once = single(samples([[one] for one in times]))
    copied = single(samples([[one] * 20 for one in times]))
    width, copied_width = (
        once.of(P50).high - once.of(P50).low,
        copied.of(P50).high - copied.of(P50).low,
    )
    assert copied_width > 0.7 * width


def test_the_interval_is_wider_than_one_that_takes_rounds_for_queries() -> None:
    times = np.random.default_rng(1).gamma(4, 5, size=40).tolist()
    clustered = single(samples([[one] * 4 for one in times]))
    naive = single(samples([[one] for one in times * 4]))
    assert width(clustered, MEAN) > 1.5 * width(naive, MEAN)


WHOLE_NANOSECONDS = 1e-6
"""Times of some milliseconds are kept in whole nanoseconds."""
RESAMPLED = 0.03
"""Two bootstraps of 300 times draw other resamples."""


def test_percentiles_and_intervals_are_those_of_numpy_and_scipy() -> None:
    from scipy.stats import bootstrap

    times = np.random.default_rng(2).gamma(4, 5, size=300)
    found = single(samples([[one] for one in times.tolist()]))
    assert (found.p50_ms, found.p95_ms, found.of(P99).value) == pytest.approx(
        np.quantile(times, [0.5, 0.95, 0.99]), rel=WHOLE_NANOSECONDS
    )
    shown = {
        0.5: (found.of(P50).low, found.of(P50).high),
        0.95: (found.of(P95).low, found.of(P95).high),
    }
    for q, interval in shown.items():
        reference = bootstrap(
            (times,), lambda x, axis, q=q: np.quantile(x, q, axis=axis), method="percentile", rng=0
        )
        assert interval == pytest.approx(tuple(reference.confidence_interval), rel=RESAMPLED)
    reference = bootstrap((times,), np.mean, method="percentile", rng=0)
    low, high = reference.confidence_interval
    assert (found.of(MEAN).low, found.of(MEAN).high) == pytest.approx((low, high), rel=RESAMPLED)
    # Both bounds vary with the seed, so that the width varies more than either.
    assert found.of(MEAN).high - found.of(MEAN).low == pytest.approx(high - low, rel=0.08), (
        "a 90 % interval is 16 % narrower"
    )


def test_a_withheld_percentile_has_no_interval() -> None:
    few = single(samples([[1.0], [2.0]]))
    assert (few.p95_ms, few.of(P95).low, few.of(P95).high, few.of(P99).low) == (
        None,
        None,
        None,
        None,
    )


def test_scenarios_are_never_converted_into_one_another() -> None:
    one = single(samples([[10.0, 20.0]]))
    assert (one.per_pair_ms, one.pairs_per_s) == (1.5, None)
    offline = summarise(samples([[10.0, 20.0]], "offline"))["t", Condition("offline")]
    assert offline.per_pair_ms is None
    assert (
        offline.pairs_per_s,
        offline.of(PAIRS_PER_S).low,
        offline.of(PAIRS_PER_S).high,
    ) == pytest.approx((2000 / 3, 500, 1000))


def test_queries_timed_unequally_often_are_summarised() -> None:
    summary = single(samples([[1.0, 2.0], [3.0], [4.0, 5.0]]))
    assert (summary.queries, summary.samples, summary.p50_ms) == (3, 5, 3.0)
    assert 1.0 <= summary.of(P50).low <= summary.of(P50).high <= 5.0
    assert 1.0 <= summary.of(MEAN).low <= summary.of(MEAN).high <= 5.0


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=80), st.randoms())
def test_a_summary_does_not_depend_on_the_order_of_samples(times: list[float], rng: Any) -> None:
    table = samples([[one] for one in times])
    shuffled = table.sample(frac=1, random_state=rng.randrange(1000))
    one, other = single(table), single(shuffled)
    assert one.p50_ms == pytest.approx(other.p50_ms)
    assert one.per_pair_ms == pytest.approx(other.per_pair_ms)
    assert (one.of(P50).low, one.of(P50).high) == pytest.approx(
        (other.of(P50).low, other.of(P50).high)
    )
    assert min(times) * 0.999 - 1e-6 <= one.of(P50).low <= one.of(P50).high <= max(times) + 1e-6
    assert one.p95_ms is None or one.p95_ms >= one.p50_ms


def test_no_samples_give_no_summary() -> None:
    assert summarise(pd.DataFrame(columns=COLUMNS)) == {}


@pytest.mark.gpu
def test_an_unsynchronised_cuda_timing_would_be_caught() -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    from bench.machine.clock import now_ns, synchroniser

    wait, big = synchroniser("cuda"), torch.randn(8192, 8192, device="cuda")
    big @ big
    wait()
    start = now_ns()
    big @ big
    unsynchronised = now_ns() - start
    wait()
    assert now_ns() - start > 3 * unsynchronised


@pytest.mark.gpu
def test_a_timed_call_waits_for_the_cuda_work_it_started() -> None:
    """The scores are on the host at once, the device is busy for long: only a synchronised clock
    sees it.
    """
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    big, spans = torch.randn(8192, 8192, device="cuda"), []

    class Deferred(HashReranker):
        def rerank(self, asked: Sequence[CandidateList]) -> list[Any]:
            span = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            span[0].record()
            for _ in range(5):
                big @ big
            span[1].record()
            spans.append(span)
            return super().rerank(asked)

    result = measure(
        [Target("g", "cuda", Deferred(FakeOptions()))], requests(), plan(scenarios=("single",))
    )
    busy = [start.elapsed_time(end) for start, end in spans]
    assert all(
        row[6] / 1e6 >= 0.9 * on_device for row, on_device in zip(result.samples, busy, strict=True)
    )
    assert result.facts["g"]["gpu_allocated_bytes"] >= 2 * big.numel() * 4


def test_the_fingerprint_names_the_hardware_and_nothing_private() -> None:
    import getpass
    import json
    import platform

    environment = fingerprint.fingerprint("cpu")
    text = json.dumps(environment)
    assert environment["cpu"]
    assert (environment["usable_cores"] or 0) >= 1
    assert environment["libraries"]["numpy"]
    assert platform.node() not in text or len(platform.node()) < 4
    assert f'"{getpass.getuser()}"' not in text
    assert set(fingerprint.speed_fields(environment)) == {*fingerprint.SPEED_FIELDS, "libraries"}


def test_devices_are_named_resolved_and_refused() -> None:
    from bench.core.errors import SuiteError, Unavailable

    assert fingerprint.resolve_device("cpu") == "cpu"
    assert fingerprint.resolve_device("auto") in fingerprint.available_devices()
    with pytest.raises(SuiteError, match="not a device"):
        fingerprint.resolve_device("gpu")
    with pytest.raises(Unavailable, match="no cuda:7 device"):
        fingerprint.resolve_device("cuda:7")
