"""The shapes that maps and errors hand to each other: types alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    """A number per document, shape (documents,)."""
    IntArray = NDArray[np.int64]
    BoolArray = NDArray[np.bool_]
