"""How close two computations of the same scores must be, and why: the one place that says it.

Float32 sums in another order differ: batches of other widths, a fused kernel, another runtime or
another CPU's matrix units (AVX, AMX) add the same products differently. Each of a network's sums is
off by some units in the last place (2^-23 of the largest term that passed through it), and what is
off goes on through all layers that follow. So the difference grows with the size of the numbers,
not with that of the one score that is looked at: it is measured against the largest score of the
list.

Numbers in 16 bits, and those in 8, have shares of their own in the tests that make them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

PROPERTY = "max_difference"
UNIT = 2.0**-23
"""The distance from 1 to the next larger float32."""
UNITS = 128
"""How many of those the largest score may lose through a few layers: 1.5e-5 of it. A wrong token,
mask or position costs thousands.
"""
ACCELERATOR = 2**15
"""The same where an accelerator computes: its kernels may round what they multiply to TF32, whose
fraction has 10 bits in place of 23.
"""
BFLOAT16 = 2**20
"""The same where weights and sums are bfloat16: 8 bits, so that one rounding is 2^16 units, and
some are made on the way; these tiny networks' weights are drawn wide, which rounds worst. An eighth
of the largest score.
"""
FLOAT16 = 2**16
"""The same for float16, which has 11 bits. 0.8 % of the largest score."""
DOUBLE = 1e-9
"""How far values near 1 in double precision may lie apart that two programs work out: each sum or
quotient rounds to 1e-16, and there are at most some thousands of them.
"""
PRINTED = 1e-4
"""One unit of the last of the four decimals that trec_eval, papers and our page print."""
LEAST = 1.0
"""Scores that are all smaller than this come out of sums whose terms are not."""


def tolerance(reference: Any, units: float = UNITS) -> float:
    """Return how far scores may lie from a reference that sums the same float32 products in another
    order.
    """
    largest = float(np.abs(np.asarray(reference, dtype=np.float64)).max(initial=0.0))
    return units * UNIT * max(LEAST, largest)


def close(scores: Any, reference: Any, units: float = UNITS) -> float:
    """Return the largest difference; fail, naming it, where it is more than sums in another order
    explain.
    """
    ours, theirs = np.asarray(scores, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    assert ours.shape == theirs.shape
    assert np.isfinite(ours).all()
    worst = float(np.abs(ours - theirs).max(initial=0.0))
    allowed = tolerance(theirs, units)
    assert worst <= allowed, (
        f"max |difference| {worst:.3g}, {allowed:.3g} allowed, of scores between "
        f"{theirs.min():.3g} and {theirs.max():.3g}"
    )
    return worst


def agree(scores: Any, reference: Any, record_property: Callable[[str, object], None]) -> None:
    """`close`, with the difference told at the end of the test session; `record_property` is
    pytest's fixture.
    """
    record_property(PROPERTY, close(scores, reference))
