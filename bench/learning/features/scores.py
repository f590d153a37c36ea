"""Features of what other stages say: scores and ranks of the stage before, of the first stage, of
further first stages, and of a bi-encoder.

A document that a stage did not return has no number there (NaN), and a flag says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bench.learning.view import QueryView

if TYPE_CHECKING:
    from bench.learning.values import Columns, Scores


def before(view: QueryView) -> Columns:
    """Return what the stage before says of each document."""
    return _columns("before", view.before, view.before_ranks)


def first(view: QueryView) -> Columns:
    """Return what the first stage says, where other stages came between; else nothing."""
    if view.first is None:
        return {}
    return _columns("first", view.first, ranks(view.first))


def stages(view: QueryView) -> Columns:
    """Return what each further first stage says of each document."""
    return _of_lists(view.stages)


def cosine(view: QueryView) -> Columns:
    """Return the score of the bi-encoder, and its distance from the best; else nothing."""
    if view.cosine is None:
        return {}
    return _columns("cosine", view.cosine, ranks(view.cosine))


def _of_lists(lists: Mapping[str, Scores]) -> Columns:
    import numpy as np

    columns: Columns = {}
    for name, scores in lists.items():
        columns |= _columns(f"stage.{name}", scores, ranks(scores))
        columns[f"stage.{name}.absent"] = np.isnan(scores).astype(np.float64)
    return columns


def _columns(name: str, scores: Scores, places: Scores) -> Columns:
    return {
        f"{name}.score": scores,
        f"{name}.rank": places,
        f"{name}.reciprocal_rank": 1.0 / places,
        f"{name}.z": z_scores(scores),
        f"{name}.gap": scores - _largest(scores),
    }


def ranks(scores: Scores) -> Scores:
    """Return ranks from 1 by falling scores, equal ones in the order of the list; NaN where there
    is no score.
    """
    import numpy as np

    order = np.argsort(-scores, kind="stable")
    places = np.empty(len(scores), dtype=np.float64)
    places[order] = np.arange(1, len(scores) + 1)
    places[np.isnan(scores)] = np.nan
    return places


def z_scores(scores: Scores) -> Scores:
    """Return scores with mean 0 and standard deviation 1 within the query; 0 where all are equal,
    NaN where there is none.
    """
    import numpy as np

    known = scores[~np.isnan(scores)]
    if not len(known):
        return scores
    deviation = known.std()
    if deviation == 0:
        return scores * 0.0
    return np.asarray((scores - known.mean()) / deviation, dtype=np.float64)


def _largest(scores: Scores) -> float:
    import numpy as np

    known = scores[~np.isnan(scores)]
    if not len(known):
        return 0.0
    return float(known.max())
