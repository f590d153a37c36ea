"""The records of trials: of a reranker, with its quality, and of an architecture, which has
none.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bench.catalogue import entries
from bench.contract.identity import Fields
from bench.core.errors import Unavailable
from bench.core.note import Code, note
from bench.core.printable import shortened
from bench.core.redaction import redacted_text
from bench.latency.estimate import seconds_per_query
from bench.machine import fingerprint, noise_floor
from bench.machine.fingerprint import Environment
from bench.quality.assess import Assessed, differences
from bench.quality.statistics import Difference
from bench.ranking.order import TIE_RULE
from bench.records import keys
from bench.records.keys import Key
from bench.records.schema import FAILURES, ArchitectureRecord, Pairs, Record
from bench.records.writer import now
from bench.rerankers.description import described
from bench.rerankers.options import declared
from bench.runner.cost import cost_of, together
from bench.runner.training import with_training
from bench.suite.planning import Planned

if TYPE_CHECKING:
    from bench.contract.candidates import Candidates
    from bench.contract.stage import Reranker
    from bench.datasets.base import Dataset
    from bench.latency.plan import LatencyPlan
    from bench.quality.questions import Questions
    from bench.runner.retrieve import Retrieved
    from bench.runner.trial_run import Measured
    from bench.suite.suite import Suite


def dataset_fields(dataset: Dataset) -> Fields:
    facts: dict[str, Any] = {"id": dataset.id, "template": dataset.template}
    facts |= {"min_relevance": dataset.min_relevance, "relevant_only": dataset.relevant_only}
    facts["families"] = list(dataset.families)
    if dataset.judge is not None:
        facts["judge"] = dict(dataset.judge)
    return {**facts, **dataset.identity}


def candidates_fields(candidates: Candidates) -> Fields:
    return {"hash": candidates.hash, "depth": candidates.depth, **candidates.source}


def index_fields(candidates: Candidates) -> Fields:
    """Return what the index of the candidates took; nothing where there is none."""
    if candidates.built is None:
        return {}
    return {"index": candidates.built.to_dict()}


def with_caution(description: Fields, reranker: str) -> Fields:
    """Return a description, with what the catalogue warns of about a reranker of this name among
    its warnings.
    """
    entry = entries.load().get(reranker)
    if entry is None or entry.facts.caution is None:
        return dict(description)
    facts = description.get("facts", {})
    warnings = [*facts.get("warnings", []), note(Code.CAUTION, text=entry.facts.caution).to_dict()]
    return {**description, "facts": {**facts, "warnings": warnings}}


def speed_key(
    work: Key,
    system: Key,
    environment: Environment,
    plan: LatencyPlan,
    settings: Fields,
) -> Key:
    """Return what must agree before two timings are compared."""
    hardware = fingerprint.speed_fields(environment)
    return keys.speed_key(work, system, hardware, plan.speed_fields(), settings)


def speed_settings(planned: Planned, description: Fields) -> Fields:
    """Return what of a reranker decides speed and not scores; of a pipeline, stage by stage."""
    facts = description.get("facts", {})
    if planned.pipeline is None:
        return _speed_settings(planned.reranker, facts)
    stages = [
        _speed_settings(step.reranker, own)
        for step, own in zip(planned.pipeline.steps, facts["stages"], strict=True)
    ]
    return {"device": facts.get("device"), "stages": stages}


def _speed_settings(reranker: Reranker, facts: Fields) -> Fields:
    """Return the same of one reranker; of one that is made of others, part by part."""
    settings = keys.speed_settings(declared(reranker.options), facts)
    if not reranker.parts:
        return settings
    parts = [
        _speed_settings(part.reranker, own)
        for part, own in zip(reranker.parts, facts["parts"], strict=True)
    ]
    return {**settings, "parts": parts}


def build_architecture(planned: Planned, questions: Questions, plan: LatencyPlan) -> Fields:
    """Build a network without its weights, and say what was built. Raises Unavailable where memory
    does not suffice, or where a query would take longer than the plan allows a whole scenario.
    """
    reranker: Any = planned.reranker
    reranker.load()
    description = described(reranker)
    seconds = seconds_per_query(reranker, planned.trial.host, questions.requests)
    if seconds > plan.time_limit_s:
        reranker.close()
        raise Unavailable(
            f"one query would take some {seconds:.0f} s here, and the time limit is "
            f"{plan.time_limit_s:g} s"
        )
    return description


def architecture_record(
    planned: Planned,
    description: Fields,
    dataset: Dataset,
    candidates: Candidates,
    facts: Fields,
    environment: Environment,
    plan: LatencyPlan,
) -> ArchitectureRecord:
    """Return the record of a network without weights: what it took, on which texts, where."""
    system = keys.system_key(keys.identity_of(description))
    work = keys.make_key(
        {
            "dataset": dict(dataset.identity),
            "candidates": candidates.hash,
            "template": dataset.template,
        }
    )
    return ArchitectureRecord(
        trial=planned.trial,
        description=dict(description),
        dataset=dataset_fields(dataset),
        candidates=candidates_fields(candidates),
        latency=noise_floor.with_noise_floor(dict(facts), dict(environment)),
        keys={
            "system": system,
            "speed": speed_key(
                work, system, environment, plan, speed_settings(planned, description)
            ),
        },
        environment=dict(environment),
        finished=now(),
    )


def question_key(retrieved: Retrieved, depth: int) -> keys.Key:
    """Return the quality key of what is asked, known before anything is scored."""
    dataset = retrieved.dataset
    return keys.quality_key(
        dataset.identity,
        retrieved.candidates.hash,
        depth,
        dataset.template,
        dataset.min_relevance,
        TIE_RULE,
    )


def quality_record(
    planned: Planned,
    measured: Measured,
    base: Assessed | None,
    retrieved: Retrieved,
    facts: Fields | None,
    environment: Environment,
    suite: Suite,
) -> Record:
    """Return the record of a trial that was scored. `base` is what the first stage's own order
    reached, None for that row itself; `facts` are of the timed pass, None where the trial was not
    timed.
    """
    scored, assessed = measured.scored, measured.assessed
    trial, dataset, candidates = planned.trial, retrieved.dataset, retrieved.candidates
    if facts is not None and trial.device is not None:
        facts = noise_floor.with_noise_floor(dict(facts), environment)
    quality_key = question_key(retrieved, trial.depth)
    system_key = keys.system_key(keys.identity_of(scored.description))
    all_keys = {"quality": quality_key, "system": system_key}
    if facts is not None and suite.latency is not None:
        settings = speed_settings(planned, scored.description)
        all_keys["speed"] = speed_key(quality_key, system_key, environment, suite.latency, settings)
    against_base: dict[str, Difference] = {}
    if base is not None:
        against_base = differences(
            assessed.per_query, base.per_query, retrieved.questions.query_ids, suite.seed
        )
    if measured.stages:
        paid = together([stage.cost for stage in measured.stages if stage.cost is not None])
    else:
        answered = scored.cached_queries + scored.computed_queries
        paid = cost_of(planned.reranker, scored, answered)
    pairs = None
    if not planned.reranker.is_given:
        pairs = Pairs(**asdict(scored.pairs))
    return Record(
        trial=trial,
        description=with_training(
            with_caution(scored.description, planned.part.name), planned, candidates
        ),
        dataset=dataset_fields(dataset),
        candidates={
            **candidates_fields(candidates),
            "longest": retrieved.questions.longest,
            **index_fields(candidates),
        },
        quality=dict(assessed.estimates),
        vs_first_stage=against_base,
        first_changed=measured.ranked.first_changed,
        counts=assessed.counts,
        pointwise=planned.reranker.is_sure_pointwise,
        failures={
            query: shortened(redacted_text(reason))
            for query, reason in list(scored.failures.items())[:FAILURES]
        },
        usage=scored.usage,
        cost=paid,
        stages=list(measured.stages),
        learned=list(measured.learned),
        losses=measured.losses,
        pairs=pairs,
        shared_usage=scored.shared_usage,
        scores={"cached": scored.cached_queries, "computed": scored.computed_queries},
        reused=scored.reused_queries,
        executor=scored.executor,
        latency=dict(facts) if facts is not None else None,
        keys=all_keys,
        environment=dict(environment),
        finished=now(),
    )
