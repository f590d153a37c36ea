"""What a suite may say about the timed pass: what holds for every scenario, which scenarios are
timed, and the options of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import InitErrorDetails, PydanticCustomError

from bench.contract.identity import Fields
from bench.core.errors import SuiteError, Unavailable
from bench.core.outsiders import outsiders_code
from bench.latency import scenarios as table
from bench.latency.common_plan import CommonPlan
from bench.latency.lane import warmups
from bench.latency.scenarios import SCENARIOS, AnyScenario
from bench.latency.scenarios.base import ScenarioOptions
from bench.latency.sweep_plan import SweepPlan

ALWAYS = frozenset(SCENARIOS)
"""Scenarios whose options stand in every plan, timed or not, as they do in run folders of before:
an outsider's later line in the table leaves the plans of other suites as they are.
"""


class LatencyPlan(CommonPlan):
    """What is timed. Options of scenarios are keys next to the others: those of the table always,
    those of an outsider's class where the plan names it.
    """

    model_config = ConfigDict(extra="allow")

    scenarios: tuple[str, ...] = Field(
        ("single", "offline"),
        min_length=1,
        description="what to time; a remote reranker is timed as 'request' where 'single' or "
        "'request' is asked for",
    )
    first_stages: bool = Field(
        False,
        description="time the first stage by itself as well, where it is not given; its times are "
        "in the row of its own order",
    )
    sweep: SweepPlan | None = Field(
        None, description="'single' at other depths and settings too; absent, it is left out"
    )

    @model_validator(mode="before")
    @classmethod
    def _with_options(cls, plan: Any) -> Any:
        """Take the options of each scenario from the plan and validate them by its own model."""
        if not isinstance(plan, Mapping):
            return plan
        values = dict(plan)
        named = values.get("scenarios", cls.model_fields["scenarios"].default)
        if not isinstance(named, list | tuple):
            return plan
        values["scenarios"] = [_name_of(entry, values) for entry in named]
        models = _models(values)
        unknown = [key for key in values if key not in cls.model_fields and key not in models]
        if unknown:
            raise _problems([(("extra_forbidden"), (key,), values[key]) for key in unknown])
        for model in dict.fromkeys(models.values()):
            options = {key: values[key] for key in model.model_fields if key in values}
            values |= dict(model.model_validate(options))
        return values

    @classmethod
    def known_fields(cls) -> dict[str, FieldInfo]:
        """Return the fields that may be given, by key: options of the table's scenarios too."""
        fields = dict(cls.model_fields)
        for name in SCENARIOS:
            fields |= table.class_of(name).Options.model_fields
        return fields

    def options(self, scenario: AnyScenario) -> ScenarioOptions:
        """Return the options of a scenario."""
        extra = self.model_extra or {}
        model = scenario.Options
        return model.model_validate({key: extra[key] for key in model.model_fields})

    def timed(self, remote: bool) -> list[tuple[str, AnyScenario]]:
        """Return the scenarios, by name, in which a reranker is timed: the table's in its order,
        then those of outsiders.
        """
        timed = []
        for name in dict.fromkeys([*SCENARIOS, *self.scenarios]):
            scenario = table.class_of(name)
            if scenario.place.has(remote) and scenario.is_asked(name, self.scenarios):
                timed.append((name, scenario))
        return timed

    def timed_queries(self, queries: int, remote: bool) -> int:
        """Return the distinct queries that a reranker is timed on, of this many with candidates."""
        sample = min(self.queries, queries)
        counts = [
            scenario.queries(self.options(scenario), sample) for _, scenario in self.timed(remote)
        ]
        return max(counts, default=0)

    def depths(self, candidates: int) -> list[int]:
        """Return the numbers of candidates that one query is timed with, where it has `candidates`
        of them.
        """
        swept = self.sweep.depths if self.sweep else ()
        return [self.depth or candidates, *swept]

    def calls(self, queries: int, remote: bool = False) -> int:
        """Return the most calls of one reranker, warm-ups included, that the timed pass makes over
        this many queries with candidates.

        For a remote reranker each is a request of at most `depth` documents, and may be paid for; a
        retry is one more.
        """
        timed = self.timed(remote)
        sample = min(self.queries, queries)
        calls = 0
        if any(scenario.warms_up for _, scenario in timed):
            calls += warmups(self, remote)
        for name, scenario in timed:
            with outsiders_code(f"turns() of {name}"):
                turns = scenario.turns(self.options(scenario), self, sample)
                calls += sum(turn.calls for turn in turns)
        return calls

    def speed_fields(self) -> Fields:
        """Return what must agree before timings under two plans are compared. A sweep has points of
        its own: it leaves the timed pass as it is.
        """
        fields = self.model_dump(mode="json", include={*CommonPlan.model_fields, "scenarios"})
        for name in _with_values(self.model_extra or {}, self.scenarios):
            scenario = table.class_of(name)
            fields |= scenario.compared(self.options(scenario))
        return fields

    def one_query_only(self, **update: Any) -> LatencyPlan:
        """Return the plan with nothing timed but one query in flight, and with other values."""
        name = table.one_query_at(remote=False)
        alone = table.class_of(name).alone
        return self.model_copy(update={"scenarios": (name,), **alone, **update})


def _name_of(entry: Any, values: dict[str, object]) -> Any:
    """Return the name of an entry; options that it gives join the plan's keys."""
    if isinstance(entry, Mapping) and len(entry) == 1:
        name, options = next(iter(entry.items()))
        if options is None:
            return name
        if isinstance(options, Mapping):
            values |= options
            return name
    return entry


def _with_values(values: Mapping[str, object], named: Sequence[Any]) -> list[str]:
    """Return the scenarios whose options a plan holds: those that were always there, those that it
    names, and those of the table of which it gives an option.
    """
    names = [name for name in named if isinstance(name, str) and name not in SCENARIOS]
    for name in SCENARIOS:
        options = table.class_of(name).Options.model_fields
        if name in ALWAYS or name in named or not options.keys().isdisjoint(values):
            names.append(name)
    return list(dict.fromkeys(names))


def _models(values: Fields) -> dict[str, type[ScenarioOptions]]:
    """Return the model of each option of the plan's scenarios, by key."""
    models: dict[str, type[ScenarioOptions]] = {}
    for i, name in enumerate(values["scenarios"]):
        try:
            if isinstance(name, str):
                table.class_of(name)
        except (SuiteError, Unavailable) as error:
            problem = PydanticCustomError("scenario", "{reason}", {"reason": str(error)})
            raise _problems([(problem, ("scenarios", i), name)]) from error
    for name in _with_values(values, values["scenarios"]):
        model = table.class_of(name).Options
        for key in model.model_fields:
            if key in LatencyPlan.model_fields or models.setdefault(key, model) is not model:
                raise ValueError(f"two parts of the plan have an option '{key}': {name} is one")
    return models


def _problems(problems: Sequence[tuple[Any, tuple[str | int, ...], Any]]) -> ValidationError:
    """Return an error of pydantic's with a line per problem: its type, its place and the value."""
    details = [
        InitErrorDetails(type=kind, loc=place, input=value) for kind, place, value in problems
    ]
    return ValidationError.from_exception_data("LatencyPlan", details)
