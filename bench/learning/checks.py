"""What a collection shows before anything is trained: whether it has the numeric fields that are
features, and whether a query to train on is also measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.core.errors import DataError, nearest
from bench.datasets.base import Dataset, as_number
from bench.datasets.folds import refuse_shared


def refuse_absent(dataset: Dataset, names: Sequence[str]) -> None:
    """Raise DataError for a numeric field that no document has, naming the nearest that one has."""
    known = {name for name, numbers in dataset.extras.get("numbers", {}).items() if numbers}
    if known.issuperset(names):
        return
    for _, fields in dataset.documents:
        known |= {name for name, text in fields.items() if not math.isnan(as_number(text))}
        if known.issuperset(names):
            return
    absent = next(name for name in names if name not in known)
    hint = ""
    if known:
        hint = f": {nearest(absent, known)}"
    raise DataError(f"{dataset.id}: ltr: fields: no document has a number '{absent}'{hint}")


def refuse_measured(training: Dataset, dataset: Dataset) -> None:
    """Raise DataError where a judged query of a dataset to train on is also measured."""
    refuse_shared(training.judged_queries, dataset.judged_queries, training.id, dataset.id)
