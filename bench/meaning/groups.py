"""Groups of queries by what their collection says of them, such as their language."""

from __future__ import annotations

from bench.core.counting import counted
from bench.core.errors import RecordError, nearest
from bench.records.judged_scores import JudgedScores
from bench.records.run import Run


def groups_of(run: Run, table: JudgedScores, field: str) -> list[str]:
    """Return the value of a field for each query of a row.

    Raises RecordError where the run keeps no such field, or not for each of the queries.
    """
    dataset = table.row.trial.dataset
    fields = run.query_fields
    fields = fields[fields["dataset"] == dataset]
    own = fields[fields["field"] == field]
    if own.empty:
        known = dict.fromkeys(fields["field"].tolist())
        hint = "it keeps none: fields of queries.jsonl are stored by a new run"
        if known:
            hint = nearest(field, known)
        raise RecordError(f"{run.folder}: keeps no field '{field}' of {dataset}'s queries: {hint}")
    values = dict(zip(own["query"].tolist(), own["value"].tolist(), strict=True))
    missing = [query_id for query_id in table.query_ids if query_id not in values]
    if missing:
        raise RecordError(
            f"{run.folder}: {counted(len(missing), 'query')} of {dataset}, such as "
            f"'{missing[0]}', have no field '{field}': give it to each in queries.jsonl"
        )
    return [values[query_id] for query_id in table.query_ids]
