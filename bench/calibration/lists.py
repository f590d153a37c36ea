"""The scored lists of several queries, end to end, and where a score is within its list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.calibration.arrays import BoolArray, FloatArray, IntArray


LARGE = 1e100
"""Scores of a list beyond this are divided by its largest before they are squared."""


@dataclass(frozen=True)
class ScoredLists:
    """The scores of each query's documents, end to end.

    The documents of query i are `scores[offsets[i]:offsets[i + 1]]`; shapes (documents,) and
    (queries + 1,).
    """

    scores: FloatArray
    offsets: IntArray

    @classmethod
    def single(cls, scores: FloatArray) -> ScoredLists:
        """Return the list of one query."""
        import numpy as np

        values = np.asarray(scores, dtype=np.float64)
        return cls(values, np.array([0, len(values)], dtype=np.int64))

    @property
    def owners(self) -> IntArray:
        """The number of each document's query, shape (documents,)."""
        import numpy as np

        owners: IntArray = np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))
        return owners

    def part(self, is_wanted: BoolArray) -> tuple[ScoredLists, BoolArray]:
        """Return the lists of some queries, and which of the documents are theirs; `is_wanted` has
        the shape (queries,).
        """
        import numpy as np

        is_theirs = np.repeat(is_wanted, np.diff(self.offsets))
        sizes = np.diff(self.offsets)[is_wanted]
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        return ScoredLists(self.scores[is_theirs], offsets), is_theirs

    def z_scores(self) -> FloatArray:
        """Return each score less the mean of its list, in standard deviations of the list; 0 where
        all of a list's scores are equal.
        """
        import numpy as np

        owners = self.owners
        queries = len(self.offsets) - 1
        largest = np.zeros(queries)
        np.maximum.at(largest, owners, np.abs(self.scores))
        scores = self.scores / np.where(largest > LARGE, largest, 1.0)[owners]
        counts = np.maximum(np.bincount(owners, minlength=queries), 1)
        means = np.bincount(owners, scores, minlength=queries) / counts
        centred = scores - means[owners]
        spreads = np.sqrt(np.bincount(owners, centred**2, minlength=queries) / counts)
        flat = spreads <= 1e-12 * np.maximum(np.abs(means), 1e-300)
        spreads[flat] = np.inf
        values: FloatArray = centred / spreads[owners]
        return values

    def gaps(self) -> FloatArray:
        """Return each score less the next lower one of its list; 0 for the lowest."""
        import numpy as np

        owners = self.owners
        order = np.lexsort((-self.scores, owners))
        scores = self.scores[order]
        owner = owners[order]
        # documents of equal scores are one step: their gap is to the next step
        is_first = np.ones(len(scores), dtype=bool)
        is_first[1:] = (scores[1:] != scores[:-1]) | (owner[1:] != owner[:-1])
        steps = np.flatnonzero(is_first)
        drops = np.zeros(len(steps))
        has_next = owner[steps[1:]] == owner[steps[:-1]]
        differences = scores[steps[:-1]] - scores[steps[1:]]
        drops[:-1][has_next] = differences[has_next]
        gaps = np.empty(len(scores))
        gaps[order] = drops[np.cumsum(is_first) - 1]
        return gaps
