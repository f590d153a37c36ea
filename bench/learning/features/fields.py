"""Features of the documents themselves: numeric fields such as price, clicks, age, and functions of
an outsider.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.core.errors import RerankerError, first_line
from bench.core.outsiders import outsiders_code
from bench.learning.view import QueryView
from bench.ranking.order import as_scores

if TYPE_CHECKING:
    from bench.learning.values import Columns


def fields(view: QueryView) -> Columns:
    """Return each numeric field, and a flag for the documents that lack it."""
    import numpy as np

    columns: Columns = {}
    for name, values in view.numbers.items():
        columns[f"field.{name}"] = values
        columns[f"field.{name}.absent"] = np.isnan(values).astype(np.float64)
    return columns


def own(name: str, function: Callable[..., Any], view: QueryView) -> Columns:
    """Return what an outsider's function (query, documents) says: a finite number per document, or
    NaN where it has none. Raises RerankerError for anything else.
    """
    import numpy as np

    documents: list[dict[str, object]] = [dict(fields) for fields in view.documents]
    for field, numbers in view.numbers.items():
        for document, number in zip(documents, numbers.tolist(), strict=True):
            document[field] = number
    with outsiders_code(f"feature {name}"):
        try:
            answer = function(view.query, documents)
        except KeyError as error:
            raise RerankerError(f"feature {name}: {_without(error, documents)}") from error
        try:
            values = as_scores(answer)
        except ValueError as error:
            raise RerankerError(f"feature {name}: {error}") from error
    if values.shape != (len(documents),):
        raise RerankerError(
            f"feature {name}: it returned values of shape {values.shape} for {len(documents)} "
            "documents"
        )
    if np.isinf(values).any():
        raise RerankerError(f"feature {name}: a value is infinite; NaN means that there is none")
    return {f"own.{name.rpartition(':')[2]}": values}


def _without(error: KeyError, documents: Sequence[Mapping[str, object]]) -> str:
    """Return what was looked up in vain and, where no document has it, how a number gets there."""
    line = first_line(error)
    key = str(next(iter(error.args), ""))
    if any(key in document for document in documents):
        return line
    return f"{line}: documents have their texts and the numbers that `fields` names: add it there"
