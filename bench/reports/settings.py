"""Settings of timed points in a few characters: what differs between the points that are shown
together, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.latency.sweep_plan import SETTINGS
from bench.reports import numbers

Settings = Mapping[str, Any]
"""What a point was timed with, by the names of SETTINGS; None where that is not known."""
DTYPES = {
    "float32": "fp32",
    "bfloat16": "bf16",
    "bfloat16+float32": "bf16+fp32",
    "float16": "fp16",
}
LEGEND = "b: batch size, tok: tokens per batch, t: threads"
FORMS = {
    "runtime": "{}",
    "dtype": "{}",
    "batch_size": "b{}",
    "token_budget": "{}tok",
    "threads": "t{}",
}
"""In the order in which they are written."""
USUAL = (None, "torch")
"""What is not named."""


def short(settings: Settings, among: Sequence[Settings]) -> str:
    """Return "fp32 b32" or "onnx int8 t2": the number format always, another setting where it
    differs among `among`; torch is not named.
    """
    varied = {name for name in SETTINGS if len({other.get(name) for other in among}) > 1}
    parts = []
    for name, form in FORMS.items():
        value = settings.get(name)
        if value not in USUAL and (name in varied or name == "dtype"):
            parts.append(form.format(DTYPES.get(str(value), value)))
    return " ".join(parts) or numbers.NOTHING
