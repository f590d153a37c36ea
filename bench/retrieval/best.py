"""The best documents of one query by their scores, for first stages that score all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def best_places(scores: NDArray[np.floating[Any]], depth: int) -> NDArray[np.intp]:
    """Return the places of the `depth` highest scores above 0, best first; of equal scores the
    higher place first: the order of ids, where documents are in ascending order of these.
    """
    import numpy as np

    hits = np.flatnonzero(scores > 0)
    if len(hits) > depth:
        lowest = np.partition(scores[hits], len(hits) - depth)[len(hits) - depth]
        hits = hits[scores[hits] >= lowest]
    order: NDArray[np.intp] = hits[np.lexsort((-hits, -scores[hits]))][:depth]
    return order
