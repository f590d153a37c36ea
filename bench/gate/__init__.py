"""The gate: is a run at least as good as its baseline? Verdicts from records only, with an exit
code for CI.
"""

from __future__ import annotations

from bench.gate.asking import Judge
from bench.gate.checking import check, refuse_itself
from bench.gate.file import Gates, load, quality_of
from bench.gate.speed import stored_speed
from bench.gate.verdict import EXIT_CODES, Gate, Outcome, Verdict

__all__ = [
    "EXIT_CODES",
    "Gate",
    "Gates",
    "Judge",
    "Outcome",
    "Verdict",
    "check",
    "load",
    "quality_of",
    "refuse_itself",
    "stored_speed",
]
