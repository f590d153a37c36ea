"""Settings of timed points in a few characters: what differs between the points that are shown
together, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.latency.sweep_plan import SETTINGS
from bench.reports import numbers

DTYPES = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}
LEGEND = "b: batch size, tok: tokens per batch, t: threads"


def short(settings: Mapping[str, Any], among: Sequence[Mapping[str, Any]]) -> str:
    """ "fp32 b32", "onnx int8 t2": the number format always, another setting where it differs among
    `among`; torch is not named.
    """
    told = [
        _told(name, settings.get(name))
        for name in _shown(among)
        if settings.get(name) not in (None, "torch")
    ]
    return " ".join(told) or numbers.NOTHING


def _shown(among: Sequence[Mapping[str, Any]]) -> list[str]:
    varied = {name for name in SETTINGS if len({one.get(name) for one in among}) > 1}
    return [
        name
        for name in ("runtime", "dtype", "batch_size", "token_budget", "threads")
        if name in varied or name == "dtype"
    ]


def _told(name: str, value: Any) -> str:
    if name in ("runtime", "dtype"):
        return DTYPES.get(str(value), str(value))
    return f"{value}tok" if name == "token_budget" else f"{name[0]}{value}"
