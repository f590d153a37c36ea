"""Whether a judge is of the family of a model whose ranking it would judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bench.catalogue.model_families import family_of, plain_name
from bench.core.errors import BenchError
from bench.judging.pool import Pool
from bench.records.run import Run

MODEL_FIELDS = ("model", "adapter", "served_model", "served_model_id", "served_id", "served_root")
"""What an identity and the facts of a description call a model."""


def relatives(run: Run, pools: Sequence[Pool], names: Sequence[str]) -> list[str]:
    """Return the rows whose model is the judge's own or of its family, by all `names` that the
    judge's model has: "row (model)", each once.
    """
    families = {family_of(name) for name in names} - {None}
    own = {plain_name(name) for name in names}
    related: dict[str, None] = {}
    for pool in pools:
        for row in pool.rows:
            for model in _models(run.records[row.trial.id].description):
                if plain_name(model) in own or family_of(model) in families:
                    related[f"{row.name} ({model})"] = None
    return list(related)


def refuse_relatives(related: Sequence[str], judge: str) -> None:
    """Raise BenchError where there are any."""
    if related:
        raise BenchError(
            f"{judge} is of the family of what it would judge: {', '.join(related)}: a judge "
            "favours its own kind; take another model, or --insist and have it noted"
        )


def _models(fields: object) -> Iterator[str]:
    """Yield the models that a description names, in stages and parts as well."""
    if isinstance(fields, Mapping):
        for name, value in fields.items():
            if name in MODEL_FIELDS and isinstance(value, str):
                yield value
            else:
                yield from _models(value)
    elif isinstance(fields, list):
        for value in fields:
            yield from _models(value)
