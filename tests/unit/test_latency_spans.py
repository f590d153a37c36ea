"""The parts of a call, and the clock of a device that works on after the call returns. Order and
bookkeeping, never a wall-clock time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import pytest

from bench import rerankers
from bench.contract.meter import no_span
from bench.contract.request import CandidateList
from bench.latency import call, spans
from bench.latency.spans import Stopwatch
from bench.latency.summary import parts, summarise
from bench.latency.timed_pass import LatencyPlan, Sample, Target, measure
from bench.machine import clock
from tests.support.fakes import FakeOptions, HashReranker
from tests.support.made_requests import requests


class Parted(HashReranker):
    """Tokenises for 1 ms and computes for 4 ms, twice a call."""

    seen: list[bool]

    def rerank(self, asked: Sequence[CandidateList]) -> list[Any]:
        self.seen = [*getattr(self, "seen", []), self.meter.span is no_span]
        for _ in range(2):
            with self.meter.span("tokenise"):
                time.sleep(0.001)
            with self.meter.span("forward"):
                time.sleep(0.004)
        return super().rerank(asked)


def spanned(reranker: HashReranker, **more: Any) -> list[Sample]:
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
    return measure([Target("t", "cpu", reranker)], requests(4), plan).samples


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
    found = parts(pd.DataFrame(spanned(Parted(FakeOptions()))))["t", "single"]
    assert list(found) == ["tokenise", "forward", "sort", "other"]
    assert found["forward"] >= 8
    assert found["tokenise"] >= 2
    assert found["forward"] > found["tokenise"] > found["sort"]


def test_parts_are_not_part_of_the_summary() -> None:
    rows = spanned(Parted(FakeOptions()))
    whole = [row for row in rows if row.span == "total"]
    assert summarise(pd.DataFrame(rows)) == summarise(pd.DataFrame(whole))


def test_no_part_is_taken_where_none_is_asked_for() -> None:
    assert {row.span for row in spanned(Parted(FakeOptions()), span_queries=0)} == {"total"}


def test_a_reranker_that_marks_no_parts_still_shows_the_sort() -> None:
    assert {row.span for row in spanned(HashReranker(FakeOptions()))} == {"total", "sort", "other"}


def test_a_part_inside_another_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0]
    monkeypatch.setattr(spans, "now_ns", lambda: now[0])
    watch = Stopwatch("cpu")
    with watch.span("forward"):
        now[0] += 5
        with watch.span("copy"):
            now[0] += 2
        now[0] += 1
    with watch.span("copy"):
        now[0] += 10
    assert watch.parts(total=20) == {"copy": 12, "forward": 6, "other": 2}


def test_the_device_s_own_clock_runs_beside_forward_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read once the device has finished; not where another part lies inside, whose time it would
    hold too.
    """
    monkeypatch.setattr(spans, "device_timer", lambda device: lambda: lambda: lambda: 7)
    watch = Stopwatch("imagined")
    with watch.span("tokenise"):
        pass
    assert spans.ON_DEVICE not in watch.nanoseconds
    with watch.span("forward"):
        pass
    assert watch.nanoseconds[spans.ON_DEVICE] == 7
    with watch.span("forward"), watch.span("tokenise"):
        pass
    assert watch.nanoseconds[spans.ON_DEVICE] == 7
    assert spans.ON_DEVICE in watch.parts(total=10**9)


def test_parts_of_other_threads_are_kept_and_take_no_time_from_the_caller() -> None:
    watch = Stopwatch("cpu")

    def tokenise() -> None:
        with watch.span("tokenise"):
            time.sleep(0.005)

    thread = threading.Thread(target=tokenise)
    thread.start()
    thread.join()
    found = watch.parts(total=7)
    assert found["tokenise"] >= 5_000_000
    assert found["other"] == 7


def test_a_stopwatch_lets_an_error_through() -> None:
    watch = Stopwatch("cpu")
    with pytest.raises(RuntimeError), watch.span("forward"):
        raise RuntimeError
    assert set(watch.nanoseconds) == {"forward"}


class Device:
    """An accelerator: work is queued and goes on for 30 ms after the call that queued it has
    returned.
    """

    def __init__(self) -> None:
        self.free_at = 0.0
        self.waits = 0

    def queue(self) -> None:
        self.free_at = max(self.free_at, time.perf_counter()) + 0.03

    def synchroniser(self, name: str) -> Callable[[], None]:
        def wait() -> None:
            self.waits += 1
            time.sleep(max(0.0, self.free_at - time.perf_counter()))

        return wait


class Deferred(HashReranker):
    """Queues its work and answers at once, as a model whose scores nobody has looked at yet."""

    device_: Device

    def rerank(self, asked: Sequence[CandidateList]) -> list[Any]:
        with self.meter.span("forward"):
            self.device_.queue()
        return super().rerank(asked)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    made = Device()
    monkeypatch.setattr(Deferred, "device_", made, raising=False)
    return made


def test_a_call_is_timed_until_the_device_has_finished(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call, "synchroniser", device.synchroniser)
    totals = [row.nanoseconds for row in spanned(Deferred(FakeOptions()), span_queries=0)]
    assert min(totals) >= 29e6
    assert device.waits == 2 * len(totals), "once before the clock starts and once before it stops"


def test_without_synchronisation_the_same_work_would_look_free(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the test above: its assertion can fail."""
    monkeypatch.setattr(call, "synchroniser", lambda name: lambda: None)
    totals = [row.nanoseconds for row in spanned(Deferred(FakeOptions()), span_queries=0)]
    assert min(totals) < 29e6
    assert device.waits == 0


def test_the_work_is_counted_in_the_part_that_started_it(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (call, spans):
        monkeypatch.setattr(module, "synchroniser", device.synchroniser)
    found = parts(pd.DataFrame(spanned(Deferred(FakeOptions()))))["t", "single"]
    assert found["forward"] >= 29
    assert found["forward"] > found["sort"] + found["other"]


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
    found = parts(pd.DataFrame(measure([Target("t", "cpu", reranker)], requests(2), plan).samples))[
        "t", "single"
    ]
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
