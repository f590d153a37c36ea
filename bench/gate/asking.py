"""How a kind of gate is asked: what it gets of the two runs and of the gates file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from bench.comparison.pairs import Side
from bench.gate.file import RerankerGates, SpeedGate
from bench.gate.verdict import Gate

Judge = Callable[[Side, Side, SpeedGate, int], Gate | None]
"""(new, baseline, what is asked, seed) -> the speed gate; None for a reranker that does no work
worth timing.
"""
QualityJudge = Callable[[Side, Side, str, float, Sequence[str], int], Gate]
"""(new, baseline, measure, margin, fields that may differ, seed) -> the gate of a measure."""


class Context(NamedTuple):
    """What holds for every gate of a check: the fields of the quality key that may differ, what
    judges speed, the seed of intervals, and what judges quality.
    """

    across: Sequence[str]
    speed: Judge
    seed: int
    quality: QualityJudge


Ask = Callable[[Side, Side, RerankerGates, Context], Iterator[Gate]]
"""(new, baseline, what is asked of the reranker, context) -> the gates of one kind; none where
the file does not ask.
"""
