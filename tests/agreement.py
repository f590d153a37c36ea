"""Scores against a reference: the largest difference is asserted, and told at the end of the test session (tests/conftest.py)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

PROPERTY = "max_difference"


def agree(scores: Any, reference: Any, record_property: Callable[[str, object], None], atol: float = 1e-5) -> None:
    """`record_property` is pytest's fixture. Fails, naming the difference, where it is larger than `atol`."""
    found, wanted = np.asarray(scores, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    assert found.shape == wanted.shape
    worst = float(np.abs(found - wanted).max(initial=0.0))
    record_property(PROPERTY, worst)
    assert worst <= atol, f"max |difference| {worst:.3g} of scores between {wanted.min():.3g} and {wanted.max():.3g}"
