"""From views of queries to matrices of features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bench.core.errors import RerankerError
from bench.core.plugins import resolve
from bench.learning.features import FAMILIES, own_functions
from bench.learning.features.fields import own
from bench.learning.options import LtrOptions
from bench.learning.view import QueryView

if TYPE_CHECKING:
    from bench.learning.values import Columns, Matrix, Scores

    Family = Callable[[QueryView], Columns]


@dataclass(frozen=True)
class Example:
    """One query's features, shape (documents, features), and what fusions have of it."""

    query_id: str
    doc_ids: Sequence[str]
    matrix: Matrix
    signals: dict[str, Scores]


class Features:
    """Works out the features that the options name. Raises SuiteError for an own function that does
    not exist.
    """

    def __init__(self, options: LtrOptions) -> None:
        self._families = options.features or tuple(FAMILIES)
        self._functions = options.functions
        self.names: tuple[str, ...] = ()
        """The names of the columns, known when the first query was looked at."""

    def columns(self, view: QueryView) -> Columns:
        """Return every feature by name. Raises RerankerError where another query had others."""
        columns: Columns = {}
        for function in self._built:
            columns |= function(view)
        for name, function in self._own.items():
            columns |= own(name, function, view)
        names = tuple(columns)
        if not names:
            raise RerankerError("ltr: no feature applies: name others in 'features'")
        if self.names and names != self.names:
            raise RerankerError("ltr: two queries have different features")
        self.names = names
        return columns

    def matrix(self, view: QueryView, names: Sequence[str] = ()) -> Matrix:
        """Return the features of one query, shape (documents, features): all of them, or those of
        a model that was loaded. Raises RerankerError for a feature that is not there.
        """
        import numpy as np

        columns = self.columns(view)
        for name in names:
            if name not in columns:
                known = ", ".join(columns)
                raise RerankerError(
                    f"ltr: the model reads a feature '{name}', which this stage does not have "
                    f"(it has {known})"
                )
        return np.column_stack([columns[name] for name in names or self.names])

    @cached_property
    def _built(self) -> list[Family]:
        return [resolve(name, FAMILIES, "family of features") for name in self._families]

    @cached_property
    def _own(self) -> dict[str, Callable[..., Any]]:
        return own_functions(self._functions)


def standardised(matrix: Matrix) -> Matrix:
    """Return features with mean 0 and standard deviation 1 within the query. What is not known
    (NaN), and what is equal for all documents, is 0.
    """
    import numpy as np

    # sums over another layout in memory end in other bits
    matrix = np.ascontiguousarray(matrix)
    known = ~np.isnan(matrix)
    counts = np.maximum(known.sum(axis=0), 1)
    values = np.where(known, matrix, 0.0)
    centred = np.where(known, values - values.sum(axis=0) / counts, 0.0)
    deviations = np.sqrt((centred**2).sum(axis=0) / counts)
    # a column of equal values has a deviation of rounding alone
    spread = np.abs(values).max(axis=0, initial=0.0) * 1e-12
    is_flat = deviations <= spread
    return np.where(is_flat, 0.0, centred / np.where(is_flat, 1.0, deviations))
