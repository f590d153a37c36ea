"""The kinds of gates, in the order in which a verdict has them: a file and a line each, and a field
of `bench.gate.file.RerankerGates` with what the gates file may say.
"""

from __future__ import annotations

from collections.abc import Mapping

from bench.gate import drift, limits, probes, quality, scale, slices, speed
from bench.gate.asking import Ask

KINDS: Mapping[str, Ask] = {
    "quality": quality.ask,
    "slices": slices.ask,
    "drift": drift.ask,
    "scale": scale.ask,
    "probes": probes.ask,
    "speed": speed.ask,
    "failures": limits.ask_failures,
    "memory": limits.ask_memory,
    "cost": limits.ask_cost,
}
