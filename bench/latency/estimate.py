"""A forecast of how long one query takes a reranker that nobody has seen at work: from two of its
candidates, in proportion to the tokens.

Too long on an accelerator, which so little leaves idle; close on a CPU. It only serves to leave out
what would take hours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bench.contract.meter import Meter
from bench.contract.request import CandidateList, cut
from bench.contract.stage import Reranker
from bench.machine.clock import REAL_CLOCK, Clock

WARM = 1.0
"""Seconds: what takes less is done once more, since the first call is slower."""


class Workload(Reranker, Protocol):
    def work(self, request: CandidateList) -> int:
        """Return the tokens that a request makes the reranker read or write."""


def seconds_per_query(
    reranker: Workload, device: str, requests: Sequence[CandidateList], clock: Clock = REAL_CLOCK
) -> float:
    """Return a forecast of the seconds of a middling request. The reranker is loaded."""
    request = requests[len(requests) // 2]
    little = cut(request, 2)  # a listwise reranker has nothing to do for one
    tokens = reranker.work(little)
    if not tokens:
        return 0.0
    synchronise = clock.synchroniser(device)
    seconds = WARM
    for _ in range(2):
        synchronise()
        start = clock.now_ns()
        reranker.score_lists([little], Meter())
        synchronise()
        seconds = (clock.now_ns() - start) / 1e9
        if seconds > WARM:
            break
    return seconds * reranker.work(request) / tokens
