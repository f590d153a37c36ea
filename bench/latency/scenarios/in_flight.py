"""One query in flight, round by round: what `single` and `request` share."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from bench.core.note import Code, Note, note
from bench.latency import intervals
from bench.latency.columns import MEAN, P50, P95, P99, PER_PAIR, Interval
from bench.latency.common_plan import CommonPlan
from bench.latency.sample import Facts
from bench.latency.scenarios.base import AnyOptions, Moment, Scenario, Turn

if TYPE_CHECKING:
    import pandas as pd


class OneQuery(Scenario[AnyOptions]):
    """Query by query over all rerankers: A B C, then C B A."""

    one_query = True
    columns = (P50, P95, PER_PAIR)
    details = (P50, P95, P99, MEAN)

    @classmethod
    def turns(cls, options: AnyOptions, plan: CommonPlan, queries: int) -> Iterator[Turn]:
        """Yield a turn per query and round."""
        for round_ in range(plan.rounds):
            for i in range(cls.queries(options, queries)):
                step = partial(cls.time_query, index=i, round_=round_)
                yield Turn(Moment.ROUNDS, round_ + i, step, round_)

    def time_query(self, index: int, round_: int) -> None:
        """Time one query of the sample."""
        if self.is_over():
            return
        lane = self.lane
        request = lane.target.cut(lane.sample[index])
        nanoseconds = lane.call([request])
        if nanoseconds is not None:
            self.seconds += nanoseconds / 1e9
            lane.timed.add(request.query_id)
            lane.usage += lane.caller.usage
            lane.keep(self.name, round_, request, nanoseconds)

    def facts(self) -> Facts:
        return {"queries_planned": self.queries(self.options, len(self.lane.sample))}

    def notes(self) -> list[Note]:
        if not self.out_of_time:
            return []
        planned = self.queries(self.options, len(self.lane.sample))
        timed = len(self.lane.timed)
        if timed == planned:
            rounds = self.lane.plan.rounds
            return [note(Code.ROUNDS_OUT_OF_TIME, timed, planned, rounds=rounds)]
        return [note(Code.QUERIES_OUT_OF_TIME, timed, planned)]

    @classmethod
    def measure(cls, rows: pd.DataFrame, seed: int) -> dict[str, Interval]:
        """Return percentiles, and the median of a query's milliseconds divided by its pairs
        (amortised: they were scored together).
        """
        per_pair = intervals.median(rows["ms"] / rows["pairs"], cls.clusters(rows), seed)
        return {**super().measure(rows, seed), PER_PAIR.key: per_pair}
