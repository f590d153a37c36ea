"""The rows of a run's tables, and the summaries of its timings, from what a group measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from bench.contract.trial import System
from bench.quality import depth_curve
from bench.quality.questions import Questions
from bench.records import tables
from bench.records.schema import ArchitectureRecord, Record
from bench.records.timings import TimingSummary
from bench.runner.trial_run import Measured

AnyRecord = TypeVar("AnyRecord", Record, ArchitectureRecord)


def per_query(recorded: Sequence[tuple[str, Measured]]) -> Iterator[tuple[str, str, str, float]]:
    """Yield the rows of the table of per-query values."""
    for trial_id, measured in recorded:
        for name, values in measured.assessed.per_query.items():
            for query_id, value in values.items():
                yield trial_id, query_id, name, value


def by_depth(
    recorded: Sequence[tuple[str, Measured]], questions: Questions
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of the table of quality at smaller depths."""
    for trial_id, measured in recorded:
        curve = measured.ranked.curve
        yield from depth_curve.rows(System(trial_id), curve, questions.query_ids)


def usage(recorded: Sequence[tuple[str, Measured]]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of the table of what each query used."""
    for trial_id, measured in recorded:
        for query_id, amounts in measured.scored.usage_by_query.items():
            values = [amounts.get(name, 0) for name in tables.USAGE.names[2:]]
            yield (trial_id, query_id, *values)


def with_timings(
    records: Sequence[AnyRecord], timings: Mapping[str, list[TimingSummary]]
) -> list[AnyRecord]:
    """Return records with the summaries of their timed calls."""
    return [
        record.model_copy(update={"timings": timings.get(record.trial.id, [])})
        for record in records
    ]
