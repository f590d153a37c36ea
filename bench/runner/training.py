"""Which known collections the models of a row were trained on, for its record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.catalogue import entries
from bench.contract.candidates import Candidates
from bench.contract.identity import Fields
from bench.contract.stage import Reranker
from bench.core.plugins import is_ours
from bench.datasets.families import with_translations
from bench.pipelines.pipeline import Pipeline
from bench.rerankers.options import declared, shared
from bench.suite.planning import Planned

GIVEN = ("run", "scoreddocs")
"""First stages whose order came from elsewhere: nobody knows what made it."""


def with_training(description: Fields, planned: Planned, candidates: Candidates) -> Fields:
    """Return a description, with what the models of a row were trained on among its facts: those of
    all stages of a pipeline, and those up to each; of the first stage's row, the search's.
    """
    answers = list(_answers(planned, candidates))
    facts = {
        **description.get("facts", {}),
        "trained_on": _families(answers),
        "training_unknown": any(answer is None for answer in answers),
    }
    if planned.pipeline is not None:
        facts["trained_on_by_stage"] = list(_by_stage(planned.pipeline, candidates))
    return {**description, "facts": facts}


def _by_stage(pipeline: Pipeline, candidates: Candidates) -> Iterator[list[str]]:
    """Yield, for the search and for each step, the families of all models up to there."""
    answers = list(_of_search(candidates.source))
    yield _families(answers)
    for step in pipeline.steps:
        answers += _of_reranker(step.reranker)
        yield _families(answers)


def _families(answers: Sequence[tuple[str, ...] | None]) -> list[str]:
    families: list[str] = []
    for answer in answers:
        families += answer or ()
    return list(with_translations(families))


def _answers(planned: Planned, candidates: Candidates) -> Iterator[tuple[str, ...] | None]:
    """Yield the families of each model; None where they are not known."""
    if planned.trial.is_oracle:
        return
    if planned.pipeline is not None:
        for step in planned.pipeline.steps:
            yield from _of_reranker(step.reranker)
    elif not planned.trial.is_first_stage:
        yield from _of_reranker(planned.reranker)
    if planned.pipeline is not None or planned.trial.is_first_stage:
        yield from _of_search(candidates.source)


def _of_reranker(reranker: Reranker) -> Iterator[tuple[str, ...] | None]:
    stated = shared(reranker.options).trained_on
    if stated is not None:
        yield tuple(name.casefold() for name in stated)
        return
    for part in reranker.parts:
        yield from _of_reranker(part.reranker)
    if reranker.parts:
        return
    if reranker.is_given or not is_ours(reranker.origin):
        yield None
    elif reranker.model_name is not None:
        options = declared(reranker.options).model_dump()
        yield entries.trained_on(str(options.get("model")), options.get("adapter"))


def _of_search(source: Mapping[str, Any]) -> Iterator[tuple[str, ...] | None]:
    """Yield the families of each model that a search names, those of its parts included."""
    if source.get("first_stage") in GIVEN:
        yield None
    if source.get("model"):
        yield entries.trained_on(str(source["model"]))
    for value in source.values():
        if isinstance(value, Mapping):
            yield from _of_search(value)
