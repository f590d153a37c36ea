"""`server`: queries that arrive by chance (a Poisson process, as in the server scenario of MLPerf
Inference) at one worker with a queue.

The load is open: a query arrives when it is due, whether or not the one before it has been
answered, and its response time counts from then. A loop that sends the next query when the last one
is done would slow down together with the reranker and leave out the very waits that its users feel
("coordinated omission"; Schroeder, Wierman & Harchol-Balter, "Open Versus Closed: A Cautionary
Tale", NSDI 2006; Gil Tene, "How NOT to Measure Latency", 2013). Everything is real: the clock, the
waiting, the calls.
"""

from __future__ import annotations

import statistics
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.contract.request import CandidateList
from bench.latency.call import Caller
from bench.latency.plan import CAPACITY_CALLS, ServerPlan
from bench.latency.sample import Sample
from bench.machine.clock import now_ns

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

QUEUE, SERVICE = "queue", "service"
PATIENCE = 2.0
"""A load is given up after so many times the span of its arrivals: a queue that only grows would
otherwise decide how long we measure.
"""
GROWTH = 5.0
"""The queue grows when the median wait rises from third to third of the arrivals, by more than so
many service times in all.
"""


@dataclass(frozen=True)
class Answer:
    """One arrival that was served: its number and, in nanoseconds since the load began, when it was
    due, when its call began and ended.
    """

    number: int
    due: int
    began: int
    ended: int
    batch: int
    ok: bool


@dataclass
class Load:
    """What became of one rate: samples, and the facts that say what they are worth."""

    samples: list[Sample] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def notes(self) -> list[str]:
        """What a reader should know of this rate."""
        facts, notes = self.facts, []
        if facts["overloaded"]:
            kept = (
                f"{facts['unanswered']} of {facts['arrivals']} arrivals were never answered"
                if facts["unanswered"]
                else "the queue grew"
            )
            notes.append(
                f"{facts['scenario']}: overloaded ({facts['utilisation']:.0%} load; {kept}): "
                "waits grow for as long as it lasts"
            )
        if facts["failed"]:
            notes.append(
                f"{facts['scenario']}: {facts['failed']} of {facts['arrivals']} arrivals failed"
            )
        return notes


def server(rate: float) -> str:
    """What a rate is called in the table of samples: "server 2.5/s"."""
    return f"server {rate:.3g}/s"


def is_server(scenario: str) -> bool:
    """Whether the samples of this scenario are response times under load."""
    return scenario.startswith("server ")


def arrivals(rate: float, plan: ServerPlan, seed: int) -> NDArray[np.float64]:
    """Seconds at which queries are due: exponential gaps, at least one arrival. The same seed gives
    every rate the same gaps, scaled.
    """
    import numpy as np

    times = np.cumsum(np.random.default_rng(seed).exponential(size=plan.queries)) / rate
    return times[: max(1, int(np.searchsorted(times, plan.seconds, side="right")))]


def capacity(
    caller: Caller,
    sample: Sequence[CandidateList],
    plan: ServerPlan,
    on_call: Callable[[int], None],
) -> float | None:
    """Queries per second of full batches one after the other, by the median of a few; None when
    none of them succeeded.
    """
    seconds = []
    for i in range(CAPACITY_CALLS):
        if caller.given_up:
            break
        batch = [sample[(i * plan.max_batch + j) % len(sample)] for j in range(plan.max_batch)]
        taken = caller.call(batch)
        on_call(1)
        if taken is not None:
            seconds.append(taken / 1e9)
    return plan.max_batch / statistics.median(seconds) if seconds else None


def put_under_load(
    caller: Caller,
    sample: Sequence[CandidateList],
    rate: float,
    plan: ServerPlan,
    seed: int,
    on_call: Callable[[int], None],
) -> Load:
    """Serve arrivals at one rate and tell how long each waited and was worked on."""
    due = [int(second * 1e9) for second in arrivals(rate, plan, seed)]
    answers = _serve(caller, sample, due, plan, on_call)
    load = Load(facts={"scenario": server(rate), "rate": rate, **_facts(answers, due)})
    for one in answers:
        if one.ok:
            request = sample[one.number % len(sample)]
            for span, taken in (
                ("total", one.ended - one.due),
                (QUEUE, one.began - one.due),
                (SERVICE, one.ended - one.began),
            ):
                load.samples.append(
                    Sample(
                        caller.target.name,
                        server(rate),
                        one.number,
                        request.query_id,
                        len(request.doc_ids),
                        None,
                        taken,
                        span=span,
                    )
                )
    return load


def _serve(
    caller: Caller,
    sample: Sequence[CandidateList],
    due: Sequence[int],
    plan: ServerPlan,
    on_call: Callable[[int], None],
) -> list[Answer]:
    """The worker: takes what waits, up to a batch, and calls the reranker. Stops when it fails for
    good or the time is up.
    """
    answers: list[Answer] = []
    start, served = now_ns(), 0
    while served < len(due) and not caller.given_up and now_ns() - start < PATIENCE * due[-1] + 1e9:
        _sleep_until(start + _ready(due, served, now_ns() - start, plan))
        began = now_ns() - start
        size = max(
            1, bisect_right(due, began, served, min(served + plan.max_batch, len(due))) - served
        )
        numbers = range(served, served + size)
        ok = (
            caller.call([sample[number % len(sample)] for number in numbers], collect=False)
            is not None
        )
        ended = now_ns() - start
        answers += [Answer(number, due[number], began, ended, size, ok) for number in numbers]
        served += size
        on_call(size)
    return answers


def _ready(due: Sequence[int], served: int, now: int, plan: ServerPlan) -> int:
    """When the next call begins: at once if somebody waits, later only where a batch that is not
    full may wait for more.
    """
    patience_ends = max(due[served], min(now, due[served])) + int(plan.max_wait_ms * 1e6)
    full = served + plan.max_batch - 1
    return min(patience_ends, max(due[full], due[served])) if full < len(due) else patience_ends


def _sleep_until(moment: int) -> None:
    while (left := moment - now_ns()) > 0:
        time.sleep(left / 1e9)


def _facts(answers: Sequence[Answer], due: Sequence[int]) -> dict[str, Any]:
    """Counts, how busy the worker was, and whether it kept up."""
    work = sum((one.ended - one.began) / one.batch for one in answers)
    each = work / len(answers) if answers else 0.0
    busy = len(due) * each / due[-1]
    unanswered = len(due) - len(answers)
    return {
        "arrivals": len(due),
        "failed": sum(not one.ok for one in answers),
        "unanswered": unanswered,
        "mean_batch": sum(one.batch for one in answers) / len(answers) if answers else None,
        "utilisation": busy,
        "overloaded": busy >= 1
        or unanswered > 0
        or grows([one.began - one.due for one in answers], each),
    }


def grows(waits: Sequence[float], service: float) -> bool:
    """Whether the wait rises from third to third by more than chance would have it at a load that
    can be borne.
    """
    third = len(waits) // 3
    if third < 3:
        return False
    first, second, last = (statistics.median(waits[i * third : (i + 1) * third]) for i in range(3))
    return first < second < last and last - first > GROWTH * service
