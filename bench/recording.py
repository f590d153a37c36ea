"""The parts of a record that every kind of trial has, and the record of an architecture, which has no quality."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench import catalogue
from bench.errors import Unavailable
from bench.measure import machine, noise
from bench.measure.foretell import seconds_per_query
from bench.planning import Planned
from bench.records import keys
from bench.records.keys import Key
from bench.records.schema import ArchitectureRecord
from bench.records.store import now

if TYPE_CHECKING:
    from bench.assess import Questions
    from bench.datasets.base import Dataset
    from bench.first_stage.base import Candidates
    from bench.measure.latency_plan import LatencyPlan


def dataset_fields(dataset: Dataset) -> dict[str, Any]:
    facts = {"id": dataset.id, "template": dataset.template, "min_relevance": dataset.min_relevance}
    return {**facts, "relevant_only": dataset.relevant_only, **dataset.identity}


def candidates_fields(candidates: Candidates) -> dict[str, Any]:
    return {"hash": candidates.hash, "depth": candidates.depth, **candidates.source}


def with_caution(description: Mapping[str, Any], reranker: str) -> dict[str, Any]:
    """A description, with what the catalogue warns of about a reranker of this name among its warnings."""
    entry = catalogue.load().get(reranker)
    if entry is None or entry.facts.caution is None:
        return dict(description)
    facts = description.get("facts", {})
    warnings = [*facts.get("warnings", []), entry.facts.caution]
    return {**description, "facts": {**facts, "warnings": warnings}}


def speed_key(work: Key, system: Key, environment: Mapping[str, Any], plan: LatencyPlan, description: Mapping[str, Any]) -> Key:
    """A sweep has points of its own: it leaves the timed pass as it is."""
    hardware, asked = machine.speed_fields(environment), plan.model_dump(mode="json", exclude={"sweep"})
    return keys.speed_key(work, system, hardware, asked, description.get("facts", {}))


def build_architecture(planned: Planned, questions: Questions, plan: LatencyPlan) -> dict[str, Any]:
    """Build a network without its weights, and say what was built. Raises Unavailable where memory does not suffice, or where a query would
    take longer than the plan allows a whole scenario."""
    reranker: Any = planned.reranker
    reranker.load()
    description: dict[str, Any] = reranker.describe().to_dict()
    seconds = seconds_per_query(reranker, planned.trial.device, questions.requests)
    if seconds > plan.time_limit_s:
        reranker.close()
        raise Unavailable(f"one query would take some {seconds:.0f} s here, and the time limit is {plan.time_limit_s:g} s")
    return description


def architecture_record(
    planned: Planned,
    description: Mapping[str, Any],
    dataset: Dataset,
    candidates: Candidates,
    facts: Mapping[str, Any],
    environment: Mapping[str, Any],
    plan: LatencyPlan,
) -> ArchitectureRecord:
    """What it took, on which texts, where."""
    system = keys.system_key(description)
    work = keys.make_key({"dataset": dict(dataset.identity), "candidates": candidates.hash, "template": dataset.template})
    return ArchitectureRecord(
        trial=planned.trial,
        description=dict(description),
        dataset=dataset_fields(dataset),
        candidates=candidates_fields(candidates),
        latency=noise.beside(dict(facts), dict(environment)),
        keys={"system": system, "speed": speed_key(work, system, environment, plan, description)},
        environment=dict(environment),
        finished=now(),
    )
