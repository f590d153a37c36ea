"""`single`: one query in flight on this machine, from raw strings to sorted scores on the host."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from types import MappingProxyType

from bench.core.options import option
from bench.latency.common_plan import CommonPlan
from bench.latency.scenarios.base import Moment, Place, ScenarioOptions, Turn
from bench.latency.scenarios.in_flight import OneQuery
from bench.latency.spans import Stopwatch


class SingleOptions(ScenarioOptions):
    span_queries: int = option(
        10,
        decides="speed",
        ge=0,
        description="queries timed once more in parts (tokenise, copy, forward, sort); 0 leaves "
        "them out",
    )


class Single(OneQuery[SingleOptions]):
    """One query in flight, and after the rounds a few queries once more in parts."""

    Options = SingleOptions
    place = Place.HERE
    question = "what does one query cost?"
    meaning = "one query in flight, from raw strings to sorted scores"
    alone = MappingProxyType({"span_queries": 0})

    @classmethod
    def turns(cls, options: SingleOptions, plan: CommonPlan, queries: int) -> Iterator[Turn]:
        yield from super().turns(options, plan, queries)
        for i in range(min(options.span_queries, queries)):
            yield Turn(Moment.PARTS, i, partial(cls.time_parts, index=i))

    def time_parts(self, index: int) -> None:
        """Time the parts of one query's call: rows whose spans add up to a call of their own, with
        more synchronisation in it.
        """
        if self.out_of_time:
            return
        lane = self.lane
        request = lane.target.cut(lane.sample[index])
        stopwatch = Stopwatch(lane.target.device, lane.clock)
        total = lane.call([request], stopwatch)
        if total is not None:
            for span, nanoseconds in stopwatch.parts(total).items():
                lane.keep(self.name, 0, request, nanoseconds, span=span)
