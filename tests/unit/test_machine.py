"""The machine's fingerprint: true where it can be checked, silent where the system does not tell,
and never private.
"""

from __future__ import annotations

import getpass
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.machine import fingerprint
from bench.machine.cgroup import control_groups, cpu_quota, memory_limit
from tests.support.files import write


def in_fresh_process(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_no_name_and_no_path_of_this_machine_is_in_the_fingerprint() -> None:
    text = json.dumps(fingerprint.fingerprint("cpu"))
    for private in (
        str(Path.cwd()),
        str(Path.home()),
        sys.executable,
        f'"{platform.node()}"',
        f'"{getpass.getuser()}"',
    ):
        assert private not in text


def test_core_counts_agree_with_the_system() -> None:
    environment = fingerprint.fingerprint("cpu")
    assert environment["logical_cores"] == os.cpu_count()
    assert environment["usable_cores"] is not None
    assert 1 <= environment["usable_cores"] <= environment["logical_cores"]
    assert environment["python"] == ".".join(map(str, sys.version_info[:3]))


@pytest.mark.parametrize("device", ["cuda", "cuda:99", "mps"])
def test_a_device_that_is_not_here_leaves_its_facts_empty(device: str) -> None:
    if device in fingerprint.available_devices():
        pytest.skip(f"this machine has {device}")
    assert fingerprint.fingerprint(device)["driver"] is None


def test_neither_a_fingerprint_nor_the_name_cpu_loads_torch() -> None:
    code = (
        "import sys; from bench.machine import fingerprint as machine; "
        "machine.fingerprint('cpu'); machine.resolve_device('cpu')"
    )
    assert in_fresh_process(f"{code}; print('torch' in sys.modules)") == "False"


def test_threads_are_those_of_the_torch_that_is_loaded() -> None:
    code = (
        "import torch; torch.set_num_threads(1); from bench.machine import fingerprint as machine"
    )
    code += "; print(machine.fingerprint('cpu')['threads']['torch'])"
    assert in_fresh_process(code) == "1"


def test_the_speed_key_holds_what_decides_speed_and_not_what_moves_by_itself() -> None:
    environment = fingerprint.fingerprint("cpu")
    before = fingerprint.speed_fields(environment)
    assert (
        fingerprint.speed_fields({**environment, "gpu_clock_mhz": 1, "memory_bytes": 1}) == before
    )
    for name in ("cpu", "usable_cores", "cpu_quota", "threads", "gpu", "driver"):
        assert fingerprint.speed_fields({**environment, name: "other"}) != before


def test_without_torch_there_is_only_the_cpu() -> None:
    code = """
import sys
from importlib.machinery import PathFinder
class Hide(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name == "torch" else super().find_spec(name, path, target)
sys.meta_path[:] = [Hide if finder is PathFinder else finder for finder in sys.meta_path]
from bench.core.errors import Unavailable
from bench.machine.fingerprint import available_devices, resolve_device
print(available_devices(), resolve_device("auto"))
try:
    resolve_device("cuda")
except Unavailable as error:
    print(error.reason)
"""
    assert in_fresh_process(code).splitlines() == ["['cpu'] cpu", "torch not installed"]


@pytest.mark.parametrize(
    ("name", "valid"),
    [
        ("auto", True),
        ("cuda:12", True),
        ("mps", True),
        ("cuda:", False),
        ("gpu", False),
        ("", False),
    ],
)
def test_device_names(name: str, valid: bool) -> None:
    assert fingerprint.is_device_name(name) is valid


def test_peak_memory_sees_what_was_freed_again() -> None:
    code = """
from bench.machine.fingerprint import peak_rss_bytes
before = peak_rss_bytes()
held = b"x" * (200 << 20)
del held
print(peak_rss_bytes() - before)
"""
    assert int(in_fresh_process(code)) > 180 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a peak survive exec")
def test_peak_memory_is_not_that_of_the_parent() -> None:
    held = b"x" * (200 << 20)
    peak = int(
        in_fresh_process(
            "from bench.machine.fingerprint import peak_rss_bytes; print(peak_rss_bytes())"
        )
    )
    assert peak < len(held)


def test_own_cpu_time_is_part_of_the_machine_s() -> None:
    before = fingerprint.cpu_seconds()
    if before is None:
        pytest.skip("this system does not tell its CPU times")
    start = time.process_time()
    while time.process_time() < start + 0.3:
        pass
    after = fingerprint.cpu_seconds()
    assert after is not None
    assert after[0] - before[0] >= 0.28
    assert after[1] - before[1] >= 0.2, (
        "the machine was at least as busy as this process, to within its ticks"
    )


def test_the_tightest_of_nested_control_groups_counts(tmp_path: Path) -> None:
    """Version 2, as systemd nests it: the limit may stand on any level."""
    root, own = tmp_path / "cgroup", tmp_path / "own"
    write(own, "0::/user.slice/job\n")
    write(root / "user.slice/cpu.max", "150000 100000\n")
    write(root / "user.slice/job/cpu.max", "300000 100000\n")
    write(root / "cpu.max", "max 100000\n")
    write(root / "user.slice/memory.max", "max\n")
    write(root / "user.slice/job/memory.max", "2147483648\n")
    assert cpu_quota(control_groups("cpu", root, own)) == 1.5
    assert memory_limit(control_groups("memory", root, own)) == 2 << 30


def test_a_container_that_sees_its_own_group_as_the_root(tmp_path: Path) -> None:
    root, own = tmp_path / "cgroup", tmp_path / "own"
    write(own, "0::/\n")
    write(root / "cpu.max", "50000 100000\n")
    assert cpu_quota(control_groups("cpu", root, own)) == 0.5


def test_control_groups_of_version_1(tmp_path: Path) -> None:
    """A tree per controller; no limit is -1 for the CPU and a number beyond all sense for
    memory.
    """
    root, own = tmp_path / "cgroup", tmp_path / "own"
    write(own, "4:memory:/docker/abc\n1:cpu,cpuacct:/docker/abc\n")
    write(root / "cpu/cpu.cfs_quota_us", "-1\n")
    write(root / "cpu/cpu.cfs_period_us", "100000\n")
    write(root / "memory/memory.limit_in_bytes", "9223372036854771712\n")
    assert cpu_quota(control_groups("cpu", root, own)) is None
    assert memory_limit(control_groups("memory", root, own)) is None
    write(root / "cpu/docker/abc/cpu.cfs_quota_us", "200000\n")
    write(root / "cpu/docker/abc/cpu.cfs_period_us", "100000\n")
    write(root / "memory/docker/abc/memory.limit_in_bytes", "1073741824\n")
    assert cpu_quota(control_groups("cpu", root, own)) == 2.0
    assert memory_limit(control_groups("memory", root, own)) == 1 << 30


def test_no_control_groups_at_all(tmp_path: Path) -> None:
    folders = control_groups("cpu", tmp_path / "none", tmp_path / "absent")
    assert cpu_quota(folders) is None
    assert memory_limit(folders) is None
