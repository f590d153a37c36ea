"""The shapes that features and models hand to each other: types alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Scores = NDArray[np.float64]
    """A number per document, shape (documents,)."""
    Columns = dict[str, Scores]
    """Feature -> its value for each document."""
    Matrix = NDArray[np.float64]
    """Features of one query, shape (documents, features)."""
    Words = frozenset[int]
    """Distinct words by number."""
