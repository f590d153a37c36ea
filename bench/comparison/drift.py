"""How far the scores and orders of two trials lie apart, and what a number format allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.comparison.pairs import Side
from bench.contract.identity import Identity
from bench.quality import statistics

TOP = 10
RARE = 0.05
"""Share of the queries, at either end, that are few."""
OUTLYING = 10
"""How many times the range of all but a few queries the whole range is where these are odd ones."""


@dataclass(frozen=True)
class Tolerance:
    """How far one system's scores may drift between machines and batches: as a share of their
    range, in mean tau, in mean overlap.
    """

    score: float
    tau: float
    overlap: float


EXACT = Tolerance(score=1e-3, tau=0.995, overlap=0.99)


ROUNDED = Tolerance(score=5e-2, tau=0.98, overlap=0.95)
"""For arithmetic in 16 bits and fewer, where another batch rounds differently."""


COARSE = frozenset(
    {
        "float16",
        "bfloat16",
        "int8",
        "uint8",
        "int4",
        "uint4",
        "float8_e4m3fn",
        "float8_e4m3fnuz",
        "float8_e5m2",
        "float8_e5m2fnuz",
    }
)
"""Number formats of 16 bits and fewer, as records name them."""


@dataclass(frozen=True)
class Drift:
    """The same system, scored twice: the largest score difference and what is allowed, mean Kendall
    tau and mean overlap of the top 10 over the queries that both runs ranked, and the queries that
    only one of them did.
    """

    queries: int
    unshared: int
    max_difference: float
    allowed: float
    tau: float
    overlap: float
    is_within: bool | None
    """Whether it stays within the tolerance; None where no query was ranked by both."""

    def to_dict(self) -> dict[str, float | None]:
        """Return the fields as outputs have them."""
        return {
            "queries": self.queries,
            "unshared": self.unshared,
            "max_difference": self.max_difference,
            "allowed": self.allowed,
            "tau": self.tau,
            "overlap": self.overlap,
            "kept": self.is_within,
        }


def usual_tolerance(identity: Identity) -> Tolerance:
    """Return what the number format of a reranker's scores allows."""
    if COARSE.isdisjoint(identity.arithmetic.formats):
        return EXACT
    return ROUNDED


def drift(new: Side, baseline: Side, tolerance: Tolerance | None = None) -> Drift:
    """Compare the two rankings on disk, which hold every score."""
    ours, theirs = new.run.ranking(new.trial.id), baseline.run.ranking(baseline.trial.id)
    tolerance = tolerance or usual_tolerance(baseline.record.identity)
    difference, taus, overlaps = 0.0, [], []
    shared = [query for query in theirs if query in ours]
    for query in shared:
        scores = dict(zip(ours[query].doc_ids, ours[query].scores, strict=True))
        place = {doc_id: i for i, doc_id in enumerate(ours[query].doc_ids)}
        both = [
            (doc_id, score)
            for doc_id, score in zip(theirs[query].doc_ids, theirs[query].scores, strict=True)
            if doc_id in scores
        ]
        difference = max([difference, *(abs(scores[doc_id] - score) for doc_id, score in both)])
        taus.append(statistics.kendall_tau([place[doc_id] for doc_id, _ in both]))
        before = theirs[query].doc_ids[:TOP]
        overlaps.append(len(set(before) & set(ours[query].doc_ids[:TOP])) / len(before))
    ends = [(theirs[query].scores[-1], theirs[query].scores[0]) for query in shared]
    allowed = tolerance.score * usual_range(ends)
    tau, overlap = _mean(taus), _mean(overlaps)
    is_within: bool | None = None
    if shared:
        is_alike = tau >= tolerance.tau and overlap >= tolerance.overlap
        is_within = difference <= allowed and is_alike
    unshared = len(ours.keys() ^ theirs.keys())
    return Drift(len(shared), unshared, difference, allowed, tau, overlap, is_within)


def usual_range(ends: Sequence[tuple[float, float]]) -> float:
    """Return the range of the scores of queries, whose lowest and highest scores these are. Where
    it is many times that of all but a few queries, that of these: so a document far from all
    others, such as one without text at -10,000, allows no other score to move.
    """
    import numpy as np

    if not ends:
        return 0.0
    lows, highs = np.asarray(ends, dtype=np.float64).T
    of_all = float(highs.max() - lows.min())
    low = np.quantile(lows, RARE, method="higher")
    high = np.quantile(highs, 1 - RARE, method="lower")
    of_most = float(high - low)
    if 0 < of_most * OUTLYING < of_all:
        return of_most
    return of_all


def _mean(values: Sequence[float]) -> float:
    if not values:
        return 1.0
    return sum(values) / len(values)
