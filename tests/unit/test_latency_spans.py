"""The parts of a call, and the clock of a device that works on after the call returns. Order and
bookkeeping, never a wall-clock time.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest

from bench import rerankers
from bench.contract.meter import no_span
from bench.contract.request import CandidateList
from bench.latency import spans
from bench.latency.sample import Condition
from bench.latency.spans import Stopwatch
from bench.latency.summary import parts, summarise
from bench.latency.timed_pass import LatencyPlan, Sample, Target, measure
from bench.machine import clock
from tests.support.fake_clock import FakeClock, UnsynchronisedClock
from tests.support.fakes import FakeOptions, HashReranker
from tests.support.made_requests import requests


class Parted(HashReranker):
    """Tokenises for 1 ms and computes for 4 ms, twice a call."""

    seen: list[bool]
    clock: FakeClock

    def rerank(self, asked: Sequence[CandidateList]) -> list[Any]:
        self.seen = [*getattr(self, "seen", []), self.meter.span is no_span]
        for _ in range(2):
            with self.meter.span("tokenise"):
                self.clock.work(1)
            with self.meter.span("forward"):
                self.clock.work(4)
        return super().rerank(asked)


def spanned(reranker: HashReranker, clock: FakeClock | None = None, **more: Any) -> list[Sample]:
    """The samples of a timed pass. A reranker that has work for a clock gets it."""
    plan = LatencyPlan(
        **{
            "scenarios": ("single",),
            "queries": 4,
            "rounds": 1,
            "warmup_max": 0,
            "span_queries": 3,
            **more,
        }
    )
    clock = clock or FakeClock()
    if isinstance(reranker, Parted | Deferred):
        reranker.clock = clock
    return measure([Target("t", "cpu", reranker)], requests(4), plan, clock=clock).samples


def test_parts_come_from_calls_of_their_own() -> None:
    reranker = Parted(FakeOptions())
    rows = spanned(reranker)
    assert reranker.seen == [True] * 4 + [False] * 3, (
        "no call whose total is kept runs under a stopwatch"
    )
    assert reranker.meter.span is no_span
    assert [row.span for row in rows] == ["total"] * 4 + [
        "tokenise",
        "forward",
        "sort",
        "other",
    ] * 3


def test_parts_are_ordered_as_the_work_and_add_up() -> None:
    found = parts(pd.DataFrame(spanned(Parted(FakeOptions()))))["t", Condition("single")]
    assert list(found) == ["tokenise", "forward", "sort", "other"]
    assert found == {"tokenise": 2, "forward": 8, "sort": 0, "other": 0}


def test_parts_are_not_part_of_the_summary() -> None:
    rows = spanned(Parted(FakeOptions()))
    whole = [row for row in rows if row.span == "total"]
    assert summarise(pd.DataFrame(rows)) == summarise(pd.DataFrame(whole))


def test_no_part_is_taken_where_none_is_asked_for() -> None:
    assert {row.span for row in spanned(Parted(FakeOptions()), span_queries=0)} == {"total"}


def test_a_reranker_that_marks_no_parts_still_shows_the_sort() -> None:
    assert {row.span for row in spanned(HashReranker(FakeOptions()))} == {"total", "sort", "other"}


def test_a_part_inside_another_counts_once() -> None:
    clock = FakeClock()
    watch = Stopwatch("cpu", clock)
    with watch.span("forward"):
        clock.now += 5
        with watch.span("copy"):
            clock.now += 2
        clock.now += 1
    with watch.span("copy"):
        clock.now += 10
    assert watch.parts(total=20) == {"copy": 12, "forward": 6, "other": 2}


def test_the_device_s_own_clock_runs_beside_forward_alone() -> None:
    """Read once the device has finished; not where another part lies inside, whose time it would
    hold too.
    """
    clock = FakeClock()
    watch = Stopwatch("imagined", clock)
    with watch.span("tokenise"):
        clock.work(1)
    assert spans.ON_DEVICE not in watch.nanoseconds
    with watch.span("forward"):
        clock.work(2)
        clock.queue(7)
    assert watch.nanoseconds[spans.ON_DEVICE] == 9_000_000
    assert watch.nanoseconds["forward"] == 9_000_000
    with watch.span("forward"), watch.span("tokenise"):
        clock.queue(7)
    assert watch.nanoseconds[spans.ON_DEVICE] == 9_000_000
    assert spans.ON_DEVICE in watch.parts(total=10**9)


def test_parts_of_other_threads_are_kept_and_take_no_time_from_the_caller() -> None:
    clock = FakeClock()
    watch = Stopwatch("cpu", clock)

    def tokenise() -> None:
        with watch.span("tokenise"):
            clock.work(5)

    thread = threading.Thread(target=tokenise)
    thread.start()
    thread.join()
    assert watch.parts(total=7) == {"tokenise": 5_000_000, "other": 7}


def test_a_stopwatch_lets_an_error_through() -> None:
    watch = Stopwatch("cpu")
    with pytest.raises(RuntimeError), watch.span("forward"):
        raise RuntimeError
    assert set(watch.nanoseconds) == {"forward"}


class Deferred(HashReranker):
    """Queues 30 ms of work and answers at once, as a model whose scores nobody has looked at
    yet.
    """

    clock: FakeClock

    def rerank(self, asked: Sequence[CandidateList]) -> list[Any]:
        with self.meter.span("forward"):
            self.clock.queue(30)
        return super().rerank(asked)


def test_a_call_is_timed_until_the_device_has_finished() -> None:
    clock = FakeClock()
    samples = spanned(Deferred(FakeOptions()), clock, span_queries=0)
    assert [sample.nanoseconds for sample in samples] == [30_000_000] * 4
    assert clock.waits == 8, "once before the clock starts and once before it stops"


def test_without_synchronisation_the_same_work_would_look_free() -> None:
    """The control of the test above: its assertion can fail."""
    samples = spanned(Deferred(FakeOptions()), UnsynchronisedClock(), span_queries=0)
    assert [sample.nanoseconds for sample in samples] == [0] * 4


def test_the_work_is_counted_in_the_part_that_started_it() -> None:
    found = parts(pd.DataFrame(spanned(Deferred(FakeOptions()))))["t", Condition("single")]
    assert found == {"forward": 30, "sort": 0, "other": 0}


@pytest.mark.parametrize(
    ("backend", "model"),
    [
        ("cross-encoder", "tiny:bert-cross-encoder"),
        ("bi-encoder", "tiny:bert-bi-encoder"),
        ("late-interaction", "tiny:colbert"),
    ],
)
def test_models_tell_their_parts(backend: str, model: str) -> None:
    reranker = rerankers.build(backend, {"model": model})
    reranker.load()
    plan = LatencyPlan(scenarios=("single",), queries=2, rounds=1, warmup_max=0, span_queries=2)
    samples = measure([Target("t", "cpu", reranker)], requests(2), plan).samples
    found = parts(pd.DataFrame(samples))["t", Condition("single")]
    assert {"tokenise", "forward", "sort", "other"} <= set(found)
    assert min(found.values()) >= 0
    assert found["forward"] > found["sort"]


@pytest.mark.gpu
def test_cuda_events_see_no_more_than_the_wall_clock() -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    big = torch.randn(4096, 4096, device="cuda")
    big @ big
    watch = Stopwatch("cuda")
    with watch.span("forward"):
        big @ big
    assert 0 < watch.nanoseconds[spans.ON_DEVICE] <= watch.nanoseconds["forward"]


def test_a_cpu_has_no_clock_of_its_own() -> None:
    assert clock.device_timer("cpu") is None
