"""What a scenario is: a way to time rerankers, declared and done in one file.

A class says what may be configured, which turns are taken, how a turn is timed, which numbers its
samples give, and how tables show them. An instance times one reranker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from bench.contract.identity import Fields
from bench.core.note import Note
from bench.core.options import StageOptions, decision
from bench.latency import intervals
from bench.latency.columns import MEAN, P50, P95, P99, Column, Interval
from bench.latency.common_plan import CommonPlan
from bench.latency.lane import Lane
from bench.latency.sample import Condition, Facts, Timing

if TYPE_CHECKING:
    import pandas as pd


class ScenarioOptions(StageOptions):
    """Options of a scenario, which a suite gives as keys of `latency`. Each says whether it decides
    the speed or nothing.
    """


AnyOptions = TypeVar("AnyOptions", bound=ScenarioOptions)


class Place(IntEnum):
    """Which rerankers a scenario times. Places are timed one after the other, in this order."""

    HERE = 1
    """Those on this machine."""
    ELSEWHERE = 2
    """Those that another machine answers for."""
    EVERYWHERE = 3
    """Both, in turn."""

    @property
    def title(self) -> str:
        titles = {
            Place.HERE: "rerankers on this machine",
            Place.ELSEWHERE: "hosted rerankers, servers",
            Place.EVERYWHERE: "both",
        }
        return titles[self]

    def has(self, remote: bool) -> bool:
        """Whether a reranker is timed in this place."""
        return self is Place.EVERYWHERE or (self is Place.ELSEWHERE) == remote


class Moment(IntEnum):
    """When a turn is taken. Turns of one moment and round follow the order of the scenarios."""

    ROUNDS = 1
    AFTER_ROUNDS = 2
    PARTS = 3
    LOAD = 4


@dataclass(frozen=True)
class Turn:
    """One step, taken by every reranker before the next step begins: in their order where `order`
    is even, else in the reverse, so that a machine that slows down slows all of them.

    `step` gets the scenario of one reranker and makes at most `calls` calls.
    """

    moment: Moment
    order: int
    step: Callable[[Any], None]
    round: int = 0
    calls: int = 1


class Scenario(Generic[AnyOptions]):
    """A way to time one reranker. Subclasses set what is declared here, give `turns`, and time them
    with `lane.call` and `lane.keep`; `name` is what a suite calls the scenario.

    All that reads a run (summaries, tables, gates) uses class methods: no instance, no reranker.
    """

    Options: ClassVar[type[ScenarioOptions]] = ScenarioOptions
    place: ClassVar[Place] = Place.HERE
    question: ClassVar[str] = ""
    """What it asks, for a list."""
    meaning: ClassVar[str] = ""
    """What a sample is, for a caption."""
    warms_up: ClassVar[bool] = True
    """Whether the reranker is warmed up before the first turn."""
    one_query: ClassVar[bool] = False
    """Whether a sample is of one query in flight, in rounds: what main tables, budgets and speed
    gates read.
    """
    throughput: ClassVar[bool] = False
    """Whether it says how many pairs per second a reranker scores."""
    queries_option: ClassVar[str] = "queries"
    """The key of the plan that says how many queries are timed."""
    alone: ClassVar[Mapping[str, object]] = MappingProxyType({})
    """Values of its options with which its rounds are timed and nothing else."""
    columns: ClassVar[tuple[Column, ...]] = (P50, P95)
    """Its numbers in the tables of text."""
    details: ClassVar[tuple[Column, ...]] = (P50, P95, P99, MEAN)
    """Its numbers in a page of its own."""
    parts_columns: ClassVar[tuple[Column, ...]] = ()
    """Numbers of the record that end the table of where the time goes."""

    def __init__(self, name: str, options: AnyOptions, lane: Lane) -> None:
        self.name, self.options, self.lane = name, options, lane
        self.seconds = 0.0
        self.out_of_time = False

    @classmethod
    def is_asked(cls, name: str, scenarios: tuple[str, ...]) -> bool:
        """Whether a suite that lists these scenarios asks for this one, called `name`."""
        return name in scenarios

    @classmethod
    def queries(cls, options: AnyOptions, queries: int) -> int:
        """Return how many distinct queries of the sample are timed."""
        return queries

    @classmethod
    def turns(cls, options: AnyOptions, plan: CommonPlan, queries: int) -> Iterator[Turn]:
        """Yield the turns over a sample of this many queries, round by round."""
        raise NotImplementedError

    @classmethod
    def round_by_round(cls, step: Callable[..., None], rounds: int) -> Iterator[Turn]:
        """Yield one turn per round; `step` gets the number of the round as `round_`."""
        for round_ in range(rounds):
            yield Turn(Moment.ROUNDS, round_, partial(step, round_=round_), round_)

    @classmethod
    def compared(cls, options: AnyOptions) -> Fields:
        """Return the options that must agree before two timings are compared: fields of the speed
        key. Those that decide nothing may differ.
        """
        model = type(options)
        idle = {key for key in model.model_fields if decision(model, key).decides == "nothing"}
        return options.model_dump(mode="json", exclude=idle)

    def facts(self) -> Facts:
        """Return what is stored next to the samples."""
        return {}

    def notes(self) -> list[Note]:
        """Return what a reader should know before trusting the samples."""
        return []

    def is_over(self) -> bool:
        """Whether the time limit is reached."""
        if self.seconds < self.lane.plan.time_limit_s:
            return False
        self.out_of_time = True
        return True

    @classmethod
    def measure(cls, rows: pd.DataFrame, seed: int) -> dict[str, Interval]:
        """Return the numbers of one reranker by the keys of their columns. `rows` are samples of
        one condition, without warm-ups and parts, with milliseconds in `ms`.
        """
        queries = int(rows["query"].nunique(dropna=False))
        return intervals.percentiles(rows["ms"], cls.clusters(rows), queries, seed)

    @classmethod
    def clusters(cls, rows: pd.DataFrame) -> pd.Series:
        """Return per row what the bootstrap draws whole: a query with all its rounds."""
        return rows["query"]

    @classmethod
    def recorded(cls, timing: Timing) -> dict[str, float | None]:
        """Return the values of the columns that are of the record, from what it holds of the timed
        pass.
        """
        return {}

    @classmethod
    def suffix(cls, condition: Condition) -> str:
        """Return the parameters of a condition in a few characters, "" where there are none."""
        return ""

    @classmethod
    def remark(cls, condition: Condition, timing: Timing) -> str:
        """Return what follows the name of the scenario in a table, such as its load."""
        return ""

    @classmethod
    def withheld(cls, condition: Condition, timing: Timing) -> str:
        """Return the word in the place of the numbers, "" where they may be shown."""
        return ""

    @classmethod
    def count(cls, queries: int, samples: int) -> str:
        """Return what the numbers are of, for the column of queries; "" where that says nothing."""
        return str(queries)
