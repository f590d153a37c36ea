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

import math
import statistics
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, TypedDict

from pydantic import Field

from bench.core.counting import percent
from bench.core.note import Code, Note, note
from bench.core.options import Options, option
from bench.latency.common_plan import CommonPlan
from bench.latency.lane import Lane
from bench.latency.sample import TOTAL, Condition, Facts, Sample, Timing
from bench.latency.scenarios.base import Moment, Place, Scenario, ScenarioOptions, Turn
from bench.machine.clock import Clock

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

Positive = Annotated[float, Field(gt=0)]
QUEUE, SERVICE = "queue", "service"
CAPACITY_CALLS = 5
"""Back-to-back calls that measure how much a server can do at most, before load is put on it."""
PATIENCE = 2.0
"""A load is given up after this many times the span of its arrivals: a queue that only grows would
otherwise decide how long we measure.
"""
GROWTH = 5.0
"""The queue grows when the median wait rises from third to third of the arrivals, by more than that
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


class Load(TypedDict):
    """What became of the arrivals at one rate, as a record holds it. `load` is the share of the
    capacity, `utilisation` that of the time in which the worker was busy.
    """

    rate: float
    arrivals: int
    failed: int
    unanswered: int
    mean_batch: float | None
    utilisation: float
    overloaded: bool
    load: float | None


class ServerPlan(Options):
    """Load on a server with one worker: queries that arrive by chance, whether or not the last one
    is answered.
    """

    rates: tuple[Positive, ...] = Field((), description="queries per second")
    loads: tuple[Positive, ...] | None = Field(
        None, description="shares of the measured capacity; 0.5 and 0.8 when there are no rates"
    )
    queries: int = Field(120, ge=1, description="arrivals per rate, at most")
    seconds: float = Field(
        60.0, gt=0, description="no arrival later than this; a slow reranker gets fewer of them"
    )
    max_batch: int = Field(
        1, ge=1, description="waiting queries that one call of the reranker answers together"
    )
    max_wait_ms: float = Field(
        0.0, ge=0, description="how long a batch that is not full waits for more"
    )

    def points(self) -> tuple[list[float], list[float]]:
        """Return the rates and the loads that are run."""
        if self.loads is not None:
            return list(self.rates), list(self.loads)
        if self.rates:
            return list(self.rates), []
        return [], [0.5, 0.8]


class ServerOptions(ScenarioOptions):
    server: ServerPlan = option(
        ServerPlan(), decides="speed", description="what arrives in 'server'"
    )


class Server(Scenario[ServerOptions]):
    """Load on one reranker, rate by rate. A load has the machine to itself: the rerankers alternate
    load by load.
    """

    Options = ServerOptions
    place = Place.HERE
    question = "how long do users wait under load?"
    meaning = "requests arriving at random times, waiting included"

    def __init__(self, name: str, options: ServerOptions, lane: Lane) -> None:
        super().__init__(name, options, lane)
        self.load_plan = options.server
        self.capacity: float | None = None
        self.loads: list[Load] = []

    @classmethod
    def turns(cls, options: ServerOptions, plan: CommonPlan, queries: int) -> Iterator[Turn]:
        yield Turn(Moment.LOAD, 0, cls.find_capacity, calls=CAPACITY_CALLS)
        rates, loads = options.server.points()
        steps = [partial(cls.time_rate, rate=rate) for rate in rates]
        steps += [partial(cls.time_share, share=share) for share in loads]
        for i, step in enumerate(steps):
            yield Turn(Moment.LOAD, i, step, round=i + 1, calls=options.server.queries)

    def find_capacity(self) -> None:
        """Measure the queries per second of full batches one after the other, by the median of a
        few; None when none of them succeeded.
        """
        lane, size = self.lane, self.load_plan.max_batch
        seconds = []
        for i in range(CAPACITY_CALLS):
            if lane.caller.given_up:
                break
            first = i * size
            batch = [lane.sample[(first + j) % len(lane.sample)] for j in range(size)]
            nanoseconds = lane.call(batch)
            if nanoseconds is not None:
                seconds.append(nanoseconds / 1e9)
        if seconds:
            self.capacity = size / statistics.median(seconds)

    def time_share(self, share: float) -> None:
        """Time a share of the capacity."""
        if self.capacity:
            self.time_rate(share * self.capacity)

    def time_rate(self, rate: float) -> None:
        """Serve arrivals at one rate; keep how long each waited and was worked on."""
        due = [int(second * 1e9) for second in arrivals(rate, self.load_plan, self.lane.seed)]
        answers = self._serve(due)
        self.loads.append(_outcome(rate, self.capacity, answers, due))
        for answer in answers:
            if answer.ok:
                self._keep(rate, answer)

    def _keep(self, rate: float, answer: Answer) -> None:
        lane = self.lane
        request = lane.sample[answer.number % len(lane.sample)]
        spans = {
            TOTAL: answer.ended - answer.due,
            QUEUE: answer.began - answer.due,
            SERVICE: answer.ended - answer.began,
        }
        for span, nanoseconds in spans.items():
            lane.samples.append(
                Sample(
                    lane.target.name,
                    self.name,
                    answer.number,
                    request.query_id,
                    len(request.doc_ids),
                    None,
                    nanoseconds,
                    span=span,
                    rate=rate,
                )
            )

    def _serve(self, due: Sequence[int]) -> list[Answer]:
        """Take what waits, up to a batch, and call the reranker. Stops when it fails for good or
        the time is up.
        """
        lane, plan, clock = self.lane, self.load_plan, self.lane.clock
        answers: list[Answer] = []
        start, served = clock.now_ns(), 0
        patience = PATIENCE * due[-1] + 1e9
        while served < len(due) and not lane.caller.given_up:
            if clock.now_ns() - start >= patience:
                break
            _sleep_until(clock, start + _ready(due, served, clock.now_ns() - start, plan))
            began = clock.now_ns() - start
            last = min(served + plan.max_batch, len(due))
            size = max(1, bisect_right(due, began, served, last) - served)
            numbers = range(served, served + size)
            batch = [lane.sample[number % len(lane.sample)] for number in numbers]
            ok = lane.caller.call(batch, collect=False) is not None
            ended = clock.now_ns() - start
            answers += [Answer(number, due[number], began, ended, size, ok) for number in numbers]
            served += size
            lane.count(size)
        return answers

    def facts(self) -> Facts:
        if not self.loads:
            return {}
        return {"server": {"capacity_per_s": self.capacity, "loads": self.loads}}

    def notes(self) -> list[Note]:
        notes: list[Note] = []
        for load in self.loads:
            notes += _notes(load)
        return notes

    @classmethod
    def clusters(cls, rows: pd.DataFrame) -> pd.Series:
        """Return per row a stretch of arrivals, since who comes after a long wait waits long too
        (batch means; Law & Kelton, Simulation Modeling and Analysis, chapter 9).
        """
        return rows["round"] // math.ceil(math.sqrt(int(rows["round"].max()) + 1))

    @classmethod
    def suffix(cls, condition: Condition) -> str:
        if condition.rate is None:
            return ""
        return rate_text(condition.rate)

    @classmethod
    def remark(cls, condition: Condition, timing: Timing) -> str:
        load = _load(condition, timing)
        if not load:
            return ""
        return f"{percent(load['utilisation'])} load"

    @classmethod
    def withheld(cls, condition: Condition, timing: Timing) -> str:
        """Return a word for an overloaded server: its percentiles say how long it was measured."""
        if _load(condition, timing).get("overloaded"):
            return "overloaded"
        return ""


def rate_text(rate: float) -> str:
    """Return a rate of arrivals in a few characters."""
    return f"{rate:.3g}/s"


def _load(condition: Condition, timing: Timing) -> Timing:
    """Return what a record holds of one rate, empty where it holds nothing."""
    for load in (timing.get("server") or {}).get("loads", []):
        if load.get("rate") == condition.rate:
            return dict(load)
    return {}


def _notes(load: Load) -> list[Note]:
    """Return what a reader should know of one rate."""
    arrivals = load["arrivals"]
    notes = []
    if load["overloaded"]:
        share = percent(load["utilisation"])
        if load["unanswered"]:
            notes.append(note(Code.UNANSWERED, load["unanswered"], arrivals, load=share))
        else:
            notes.append(note(Code.QUEUE_GREW, load=share))
    if load["failed"]:
        notes.append(note(Code.FAILED_ARRIVALS, load["failed"], arrivals))
    where = f"server {rate_text(load['rate'])}"
    return [about.at(where) for about in notes]


def arrivals(rate: float, plan: ServerPlan, seed: int) -> NDArray[np.float64]:
    """Return the seconds at which queries are due: exponential gaps, at least one arrival. The same
    seed gives every rate the same gaps, scaled.
    """
    import numpy as np

    times = np.cumsum(np.random.default_rng(seed).exponential(size=plan.queries)) / rate
    return times[: max(1, int(np.searchsorted(times, plan.seconds, side="right")))]


def _ready(due: Sequence[int], served: int, now: int, plan: ServerPlan) -> int:
    """Return when the next call begins: at once if somebody waits, later only where a batch that is
    not full may wait for more.
    """
    patience_ends = max(due[served], min(now, due[served])) + int(plan.max_wait_ms * 1e6)
    full = served + plan.max_batch - 1
    if full >= len(due):
        return patience_ends
    return min(patience_ends, max(due[full], due[served]))


def _sleep_until(clock: Clock, moment: int) -> None:
    while (left := moment - clock.now_ns()) > 0:
        clock.sleep(left / 1e9)


def _outcome(
    rate: float, capacity: float | None, answers: Sequence[Answer], due: Sequence[int]
) -> Load:
    """Return counts, how busy the worker was, and whether it kept up."""
    share = None
    if capacity:
        share = rate / capacity
    mean_batch = None
    service = 0.0
    if answers:
        mean_batch = sum(answer.batch for answer in answers) / len(answers)
        work = sum((answer.ended - answer.began) / answer.batch for answer in answers)
        service = work / len(answers)
    busy = len(due) * service / due[-1]
    unanswered = len(due) - len(answers)
    waits = [answer.began - answer.due for answer in answers]
    return {
        "rate": rate,
        "arrivals": len(due),
        "failed": sum(not answer.ok for answer in answers),
        "unanswered": unanswered,
        "mean_batch": mean_batch,
        "utilisation": busy,
        "overloaded": busy >= 1 or unanswered > 0 or grows(waits, service),
        "load": share,
    }


def grows(waits: Sequence[float], service: float) -> bool:
    """Return whether the wait rises from third to third by more than chance would have it at a load
    that can be borne.
    """
    third = len(waits) // 3
    if third < 3:
        return False
    first, second, last = (statistics.median(waits[i * third : (i + 1) * third]) for i in range(3))
    return first < second < last and last - first > GROWTH * service
