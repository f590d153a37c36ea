"""What the GPU draws for a thousand pairs, by NVML's counter of energy."""

from __future__ import annotations

from collections.abc import Sequence

from bench.contract.request import CandidateList
from bench.latency.call import Caller
from bench.machine import gpu

SECONDS = 3.0
"""The counter moves a few times a second: over this time it is right to a few per cent."""
MOST_CALLS = 500


def joules_per_1000_pairs(caller: Caller, pooled: Sequence[CandidateList]) -> float | None:
    """Return the energy of the whole board, its idle draw included, over back-to-back calls; None
    where no counter answers or a call fails.
    """
    meter = gpu.meter(caller.target.device)
    if meter is None or not pooled:
        return None
    before = meter.energy_mj()
    if before is None:
        return None
    start, pairs = caller.clock.now_ns(), 0
    for _ in range(MOST_CALLS):
        if caller.call(pooled, collect=False) is None:
            return None
        pairs += sum(len(request.docs) for request in pooled)
        if caller.clock.now_ns() - start > SECONDS * 1e9:
            break
    after = meter.energy_mj()
    if after is None:
        return None
    return (after - before) / pairs
