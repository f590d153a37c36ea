"""Latency scenarios: one file each, and one line in the table.

An outsider's class is a subclass of `bench.latency.scenarios.base.Scenario`, named
"package.module:Class" in a suite; a line in the table gives it a name of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from bench.core.errors import SuiteError
from bench.core.plugins import resolve
from bench.latency.sample import Condition, Timing
from bench.latency.scenarios.base import Scenario

__all__ = [
    "SCENARIOS",
    "AnyScenario",
    "class_of",
    "in_order",
    "label",
    "one_query",
    "one_query_at",
    "reader",
]

SCENARIOS = {
    "single": "bench.latency.scenarios.single:Single",
    "offline": "bench.latency.scenarios.offline:Offline",
    "request": "bench.latency.scenarios.request:RequestInFlight",
    "cold": "bench.latency.scenarios.cold:Cold",
    "server": "bench.latency.scenarios.server:Server",
}
"""Name -> class, in the order in which reports show them."""
AnyScenario: TypeAlias = type[Scenario[Any]]
_OUTSIDERS: dict[str, AnyScenario] = {}
"""Classes that a suite of this process has named."""


def class_of(name: str) -> AnyScenario:
    """Return the class behind a name. Raises SuiteError naming the nearest valid name."""
    scenario = resolve(name, SCENARIOS, "latency scenario")
    if not isinstance(scenario, type) or not issubclass(scenario, Scenario):
        raise SuiteError(
            f"latency scenario '{name}': the class needs to be a subclass of "
            "bench.latency.scenarios.base.Scenario"
        )
    if name not in SCENARIOS:
        _OUTSIDERS[name] = scenario
    return scenario


def reader(name: str) -> AnyScenario:
    """Return the class that summarises stored samples of a scenario.

    A run folder may come from anywhere: a name that neither the table nor a suite of this process
    holds imports nothing, and its samples get what every scenario has, percentiles and a mean.
    """
    if name in SCENARIOS:
        return class_of(name)
    return _OUTSIDERS.get(name, Scenario)


def in_order(names: Iterable[str]) -> list[str]:
    """Return the names, each once, as the table has them; others follow in alphabetical order."""
    ranks = {name: rank for rank, name in enumerate(SCENARIOS)}
    return sorted(set(names), key=lambda name: (ranks.get(name, len(ranks)), name))


def one_query() -> list[str]:
    """Return the scenarios of the table with one query in flight, wherever it is answered."""
    return [name for name in SCENARIOS if class_of(name).one_query]


def one_query_at(remote: bool) -> str:
    """Return the scenario with one query in flight for a reranker of this place."""
    return next(name for name in one_query() if class_of(name).place.has(remote))


def label(condition: Condition, timing: Timing | None = None) -> str:
    """Return what a condition is called in a table: its scenario, its parameters and, from what
    the record says of the timed pass, a remark.
    """
    scenario = reader(condition.scenario)
    name = f"{condition.scenario} {scenario.suffix(condition)}".rstrip()
    remark = scenario.remark(condition, timing or {})
    if not remark:
        return name
    return f"{name}, {remark}"
