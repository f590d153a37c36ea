"""What flags a run as disturbed, and where it is read: trees like those of /proc and /sys, and
bindings like NVML's, made by the tests.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.contract.request import CandidateList
from bench.core.note import Code, Note, note, read_notes
from bench.latency.call import Caller
from bench.latency.energy import joules_per_1000_pairs
from bench.latency.timed_pass import LatencyPlan, Target, measure
from bench.machine import cpu, disturbance, fingerprint, gpu
from bench.machine.cgroup import throttled_seconds
from bench.machine.disturbance import Reading, Watch, compare
from tests.support.fake_clock import FakeClock
from tests.support.fakes import FakeOptions, HashReranker
from tests.support.files import write
from tests.support.made_requests import requests

CPUINFO = """\
processor\t: 0
model name\t: Imagined CPU @ 3.00GHz
flags\t\t: fpu avx2 avx512f amx_bf16 hypervisor
"""


def reading(seconds: float, **more: Any) -> Reading:
    counters: dict[str, Any] = {
        "load": 0.5,
        "cpu_seconds": (0.0, 0.0),
        "quota_s": 0.0,
        "thermal": 0,
        "gpus": {},
    }
    return Reading(int(seconds * 1e9), **{**counters, **more})


def test_the_processor_is_read_from_the_system(tmp_path: Path) -> None:
    write(tmp_path / "proc/cpuinfo", CPUINFO)
    for i, clock in enumerate((3_000_000, 2_000_000)):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{i}"
        write(folder / "cpufreq/cpuinfo_max_freq", "3500000\n")
        write(folder / "cpufreq/scaling_cur_freq", f"{clock}\n")
        write(folder / "cpufreq/scaling_governor", "powersave\n")
        write(folder / "thermal_throttle/core_throttle_count", "2\n")
        write(folder / "thermal_throttle/package_throttle_count", "5\n")
    write(tmp_path / "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq", "1\n")
    assert cpu.facts(tmp_path / "proc", tmp_path / "sys") == {
        "cpu": "Imagined CPU @ 3.00GHz",
        "cpu_flags": ["avx2", "avx512f", "amx_bf16"],
        "virtual": True,
        "cpu_max_mhz": 3500.0,
        "cpu_governor": "powersave",
    }
    assert cpu.clock_mhz(tmp_path / "sys") == 2500.0
    assert cpu.thermal_throttles(tmp_path / "sys") == 14


def test_a_system_that_tells_nothing_leaves_facts_empty(tmp_path: Path) -> None:
    found = cpu.facts(tmp_path, tmp_path)
    assert {name: value for name, value in found.items() if name != "cpu"} == dict.fromkeys(
        set(found) - {"cpu"}
    )
    assert (cpu.clock_mhz(tmp_path), cpu.thermal_throttles(tmp_path)) == (None, None)


@pytest.mark.parametrize(
    ("texts", "seconds"),
    [
        ({"a": "nr_periods 9\nnr_throttled 3\nthrottled_usec 2500000\n"}, 2.5),
        ({"a": "nr_periods 9\nnr_throttled 3\nthrottled_time 1500000000\n"}, 1.5),
        ({"a": "throttled_usec 10\n", "b": "throttled_usec 4000000\n"}, 4.0),
        ({"a": "usage_usec 5\n"}, None),
        ({}, None),
    ],
)
def test_how_long_a_quota_held_up(
    tmp_path: Path, texts: dict[str, str], seconds: float | None
) -> None:
    for name, text in texts.items():
        write(tmp_path / name / "cpu.stat", text)
    assert throttled_seconds([tmp_path / name for name in ("a", "b")]) == seconds


def test_a_quiet_run_is_not_disturbed() -> None:
    comparisons = compare(reading(0), reading(10, cpu_seconds=(9.0, 9.2)))
    assert (comparisons["disturbed"], comparisons["disturbances"]) == (False, [])


@pytest.mark.parametrize(
    ("after", "cause"),
    [
        ({"cpu_seconds": (5.0, 9.0)}, note(Code.FOREIGN_CPU, 0.2)),
        ({"load": 9.1}, note(Code.LOAD, 9.1, 2)),
        ({"quota_s": 3.0}, note(Code.QUOTA, 0.3)),
        ({"thermal": 4}, note(Code.CPU_HEAT, 4)),
        (
            {"gpus": {"cuda": {"thermal": 2.5, "power": 9.0}}},
            note(Code.GPU_HEAT, 2.5, device="cuda"),
        ),
    ],
)
def test_each_cause_is_named(
    monkeypatch: pytest.MonkeyPatch, after: dict[str, Any], cause: Note
) -> None:
    monkeypatch.setattr(fingerprint, "logical_cores", lambda: 2)
    before = reading(0, gpus={"cuda": {"thermal": 0.0, "power": 0.0}})
    comparisons = compare(before, reading(10, **{"gpus": before.gpus, **after}))
    assert comparisons["disturbed"] is True
    assert list(read_notes(comparisons["disturbances"])) == [cause]


def test_a_power_limit_is_how_a_busy_gpu_runs_and_no_disturbance() -> None:
    before = reading(0, gpus={"cuda": {"thermal": 1.0, "power": 1.0}})
    comparisons = compare(before, reading(10, gpus={"cuda": {"thermal": 1.0, "power": 9.0}}))
    assert comparisons["disturbed"] is False
    assert comparisons["gpu_throttled_s"] == {"cuda": {"thermal": 0.0, "power": 8.0}}


def test_nothing_told_is_not_taken_for_quiet() -> None:
    nothing = {"load": None, "cpu_seconds": None, "quota_s": None, "thermal": None}
    assert compare(reading(0, **nothing), reading(10, **nothing))["disturbed"] is None


def test_another_process_at_work_is_seen() -> None:
    """A real one, on as many cores as there are."""
    if fingerprint.cpu_seconds() is None:
        pytest.skip("this system does not tell its CPU times")
    busy = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(fingerprint.logical_cores())
    ]
    try:
        watch = Watch()
        time.sleep(1.0)
        found = watch.facts()
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert (found["foreign_cpu_share"] or 0) > disturbance.FOREIGN_CPU
    assert found["disturbed"] is True


class Nvml:
    """Answers as nvidia-ml-py does: energy that grows, clocks, and an error for what this card does
    not count.
    """

    NVML_PERF_POLICY_POWER, NVML_PERF_POLICY_THERMAL, NVML_CLOCK_SM = 0, 1, 1

    class NVMLError(Exception):
        pass

    def __init__(self, counts_energy: bool = True) -> None:
        self.counts_energy, self.millijoules, self.clocks, self.bits = (
            counts_energy,
            1_000_000,
            [1980, 1200, 1500],
            0x1,
        )
        self.inits = 0

    def nvmlInit(self) -> None:  # noqa: N802
        self.inits += 1

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Any) -> int:  # noqa: N802
        if not self.counts_energy:
            raise self.NVMLError("not supported")
        return self.millijoules

    def nvmlDeviceGetViolationStatus(self, handle: Any, policy: int) -> Any:  # noqa: N802
        return SimpleNamespace(violationTime=[3_000_000_000, 500_000_000][policy])

    def nvmlDeviceGetClockInfo(self, handle: Any, kind: int) -> int:  # noqa: N802
        return self.clocks.pop(0) if self.clocks else 1000

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: Any) -> int:  # noqa: N802
        return self.bits


def test_the_counters_of_a_gpu() -> None:
    nvml = Nvml()
    meter = gpu.Meter(nvml, "handle")
    assert meter.throttled_s() == {"thermal": 0.5, "power": 3.0}
    log = gpu.ClockLog(meter)
    nvml.bits = 0x1 | 0x4 | 0x40
    for _ in range(3):
        log.look()
    assert log.facts() == {
        "gpu_clock_mhz_low": 1200,
        "gpu_clock_mhz_median": 1500,
        "gpu_slowed_by": ["hardware thermal slowdown", "power cap"],
    }
    assert gpu.Meter(Nvml(counts_energy=False), "handle").energy_mj() is None
    assert gpu.ClockLog(None).facts() == {}


@pytest.fixture
def metered(monkeypatch: pytest.MonkeyPatch) -> Callable[[Nvml | None], None]:
    """Puts a meter where the device `cpu` has none."""

    def put(nvml: Nvml | None) -> None:
        monkeypatch.setattr(gpu, "meter", lambda device: nvml and gpu.Meter(nvml, "handle"))

    return put


def test_energy_is_the_growth_of_the_counter_over_the_pairs(metered: Any) -> None:
    nvml, clock = Nvml(), FakeClock()
    metered(nvml)

    class Drawing(HashReranker):
        def rerank(self, asked: Sequence[CandidateList]) -> list[Any]:
            nvml.millijoules += 80  # for eight pairs
            clock.work(10)
            return super().rerank(asked)

    caller = Caller(Target("t", "cpu", Drawing(FakeOptions())), clock)
    assert joules_per_1000_pairs(caller, requests(2, docs=4)) == pytest.approx(10.0)
    assert (caller.calls, clock.now) == (301, 3_010_000_000), "until three seconds have passed"


@pytest.mark.parametrize("nvml", [None, Nvml(counts_energy=False)])
def test_without_a_counter_energy_is_null(metered: Any, nvml: Nvml | None) -> None:
    metered(nvml)
    result = measure(
        [Target("t", "cpu", HashReranker(FakeOptions()))],
        requests(),
        LatencyPlan(rounds=1, warmup_max=0),
    )
    assert result.facts["t"]["joules_per_1000_pairs"] is None


def test_energy_of_calls_that_fail_is_null(metered: Any) -> None:
    metered(Nvml())
    caller = Caller(Target("t", "cpu", HashReranker(FakeOptions(crash="no"))))
    assert joules_per_1000_pairs(caller, requests(2)) is None


def test_a_cpu_has_no_meter() -> None:
    assert gpu.meter("cpu") is None
    assert set(gpu.facts("cpu").values()) == {None}


@pytest.mark.gpu
def test_a_gpu_is_named_metered_and_timed_by_its_clocks() -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    found = gpu.facts("cuda")
    assert found["gpu"]
    assert found["driver"]
    meter = gpu.meter("cuda")
    assert meter is not None
    before = meter.energy_mj()
    big = torch.randn(8192, 8192, device="cuda")
    for _ in range(50):
        big @ big
    torch.cuda.synchronize()
    after, clock = meter.energy_mj(), meter.clock_mhz()
    assert clock is not None
    assert clock > 0
    if before is not None and after is not None:
        assert after >= before
