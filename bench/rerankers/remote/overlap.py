"""Whether the scores of two requests may be merged: one document is asked in both.

A server that normalises the scores of a request, by softmax or between their smallest and largest,
gives one document another score in another request, and no order of all documents follows from
such scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bench.rerankers.remote.refusal import Kind, Refusal

SHARE_OF_RANGE = 0.05
"""As far as scores in 16 bits may drift between batches, see `bench.comparison.drift`."""
SHARE_OF_SCORE = 0.02
"""Several roundings to the 8 bits of bfloat16, where all scores are about the same."""


class Part(NamedTuple):
    """The places of the new documents of one HTTP request, and the number of the list that they are
    of. `first` are the places of the list's first request, for those after it.
    """

    number: int
    places: list[int]
    first: list[int] | None = None


def steps(count: int, size: int, overlaps: bool) -> list[range]:
    """Return the places of the new documents of each request, of `count` documents in requests of
    at most `size`. With `overlaps`, every request after the first has one place less: that of the
    document which is asked again.
    """
    parts = [range(min(count, size))]
    step = size
    if overlaps and size > 1:
        step -= 1
    parts += [range(start, min(count, start + step)) for start in range(size, count, step)]
    return parts


def place_of_overlap(scores: Sequence[float]) -> int:
    """Return the place of the document to ask again: the one whose score is the closest to two
    thirds of the way from the smallest to the largest. Other ends of a range move it, and so does
    another sum of a softmax: there one document has nearly all, and those below next to nothing.
    """
    lowest, highest = min(scores), max(scores)
    wanted = lowest + (highest - lowest) * 2 / 3
    return min(range(len(scores)), key=lambda place: abs(scores[place] - wanted))


def merged(first: list[float], again: int | None, second: list[float]) -> list[float]:
    """Return the scores of two requests. With `again`, the first document of the second request is
    the one at that place of the first.

    Raises Refusal where its two scores differ by more than rounding explains.
    """
    if again is None:
        return [*first, *second]
    refuse_incomparable(first[again], second[0], [*first, *second])
    return [*first, *second[1:]]


def refuse_incomparable(score: float, again: float, scores: Sequence[float]) -> None:
    """Raise Refusal where a document's two scores differ by more than rounding explains; `scores`
    are those of both requests.
    """
    allowed = SHARE_OF_RANGE * (max(scores) - min(scores))
    allowed = max(allowed, SHARE_OF_SCORE * max(abs(score), abs(again)))
    if abs(score - again) > allowed:
        raise Refusal(
            f"one document has the score {score:.4g} in one request of a list and {again:.4g} in "
            "another: scores are comparable within a request only",
            kind=Kind.INCOMPARABLE,
        )
