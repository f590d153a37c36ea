"""The one place where scores become an order.

Tie rule: score descending, then doc_id descending, as trec_eval does (Cabanac et al., CLEF 2010,
discuss why the rule matters). The providers behind ir_measures break ties in different ways, so
that one tied run can get nDCG@10 of 0.63 and RR@10 of 1.0 in one call: everything after this module
sees ranks, never raw ties.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from numbers import Real
from typing import TYPE_CHECKING, Any

from bench.contract.request import CandidateList, picked

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Scores = NDArray[np.float64]

TIE_RULE = "score descending, then doc_id descending"
SINGLE_MAX = 3.4028234663852886e38
"""The largest single-precision number: trec_eval and its wrappers hold scores in that precision."""

HALF_MAX = 65504.0
"""The largest half-precision number."""
EXACT = 2**53
"""Up to here float64 holds every whole number."""

_NO_NUMBERS = {"U": "text", "S": "bytes", "M": "dates", "m": "time spans", "c": "complex numbers"}


@dataclass(frozen=True)
class Ranking:
    """One query's documents, best first, with the raw scores in the same order. `ties` counts
    documents that share another's score, `beyond` scores that single precision cannot hold.
    """

    doc_ids: tuple[str, ...]
    scores: tuple[float, ...]
    ties: int = 0
    beyond: int = 0

    def strict_scores(self) -> list[float]:
        """Return strictly falling numbers in place of the scores (n, n-1, ..., 1), which every
        provider ranks alike.
        """
        return strict_scores(self.doc_ids)


def strict_scores(doc_ids: Sequence[str]) -> list[float]:
    """Return n, n-1, ..., 1 for n documents in their order."""
    return [float(value) for value in range(len(doc_ids), 0, -1)]


def as_scores(answer: Any) -> Scores:
    """Return a reranker's answer as an array of float64, whatever its shape.

    Numbers that float64 rounds to one, such as whole numbers above 2**53, stay in their order: each
    becomes the next float64 above the one below it. True and False are 1 and 0.

    Raises ValueError for what is no array of real numbers, and for half-precision numbers that ran
    over. numpy alone would read the text "1.5", a date and a masked value as numbers without a
    word. Whether others are finite is not looked at.
    """
    import numpy as np

    labels = _labels(answer)
    if labels is not None and labels != list(range(len(labels))):
        raise ValueError(
            "its index is not 0, 1, 2, ...: whether it is in the order of the documents cannot "
            "be known; return .to_numpy()"
        )
    if np.ma.isMaskedArray(answer) and np.ma.getmaskarray(answer).any():
        raise ValueError("numbers are needed, and some of these are masked")
    try:
        values = _array(_on_the_host(answer))
        if values.dtype.kind == "O":
            strange = [
                value for value in values.ravel().tolist() if not isinstance(value, Real | Decimal)
            ]
            if strange:
                raise ValueError(f"numbers are needed, not {type(strange[0]).__name__}")
        elif values.dtype.kind not in "fiub":
            raise ValueError(
                f"numbers are needed, not {_NO_NUMBERS.get(values.dtype.kind, str(values.dtype))}"
            )
        _refuse_overflow(answer, values)
        return _in_order(values)
    except (TypeError, OverflowError, RuntimeError) as error:
        raise ValueError(f"{type(answer).__name__} cannot be read as numbers: {error}") from error


def _labels(answer: Any) -> list[Any] | None:
    """Return the labels of a table's rows (pandas), None for what has none, such as a list, whose
    `index` is a method.
    """
    index = getattr(answer, "index", None)
    if index is None or callable(index) or not hasattr(answer, "iloc"):
        return None
    return list(index)


def _on_the_host(answer: Any) -> Any:
    """Return a tensor of torch as numpy reads it: off its device, without gradients, in a number
    format that numpy has. Anything else as it is.
    """
    detach = getattr(answer, "detach", None)
    if not callable(detach):
        return answer
    tensor = detach().cpu()
    if tensor.is_floating_point():
        tensor = tensor.double()
    return tensor.numpy()


def _array(answer: Any) -> NDArray[Any]:
    """Return an answer as an array that holds its numbers as they are: numpy would make float64 of
    a list that mixes fractions with whole numbers of any size.
    """
    import numpy as np

    is_list = isinstance(answer, list | tuple)
    if is_list and any(isinstance(value, int) and abs(value) >= EXACT for value in answer):
        return np.array(answer, dtype=object)
    return np.asarray(answer)


def _refuse_overflow(answer: Any, values: NDArray[Any]) -> None:
    """Raise ValueError where half-precision numbers ran over to infinity."""
    import numpy as np

    formats = {str(values.dtype), str(getattr(answer, "dtype", "")).removeprefix("torch.")}
    if "float16" in formats and np.isinf(values).any():
        raise ValueError(
            f"some are infinite: float16 ends at {HALF_MAX:g}; return float32 or bfloat16"
        )


def _in_order(values: NDArray[Any]) -> Scores:
    """Return numbers as float64, in the order that they have before they are rounded."""
    import numpy as np

    floats = values.astype(np.float64)
    is_exact = values.dtype.kind in "fb" and values.dtype.itemsize <= floats.dtype.itemsize
    if is_exact or floats.ndim != 1 or not np.isfinite(floats).all():
        return floats
    if values.dtype.kind in "iu" and (np.abs(floats) < EXACT).all():
        return floats
    exact = values.tolist()
    places = sorted(range(len(exact)), key=exact.__getitem__)
    for below, place in pairwise(places):
        if exact[place] == exact[below]:
            floats[place] = floats[below]
        elif floats[place] <= floats[below]:
            floats[place] = np.nextafter(floats[below], np.inf)
    return floats


def rank(doc_ids: Sequence[str], scores: Sequence[float] | Scores) -> Ranking:
    """Order one query's documents by the tie rule. Raises ValueError for a wrong count or a score
    that is no finite number.
    """
    import numpy as np

    values = as_scores(scores)
    if values.shape != (len(doc_ids),):
        raise ValueError(f"{values.size} scores for {len(doc_ids)} documents")
    if not np.isfinite(values).all():
        wrong = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ValueError(f"score {values[wrong]} for document '{doc_ids[wrong]}'")
    order = np.argsort(-values, kind="stable")
    ordered = values[order]
    places = order.tolist()
    groups = tied(ordered)
    # comparing ids is what costs: only where scores do not decide
    for first, end in groups:
        places[first:end] = sorted(places[first:end], key=doc_ids.__getitem__, reverse=True)
    ties = sum(end - first for first, end in groups)
    beyond = int((np.abs(values) > SINGLE_MAX).sum())
    return Ranking(tuple(map(doc_ids.__getitem__, places)), tuple(ordered.tolist()), ties, beyond)


def reordered(request: CandidateList, scores: Sequence[float] | Scores) -> CandidateList:
    """Return a list in the order of these scores. Raises ValueError as `rank` does."""
    ranking = rank(request.doc_ids, scores)
    return picked(request, ranking.doc_ids, ranking.scores)


def tied(ordered: Sequence[float] | Scores) -> list[tuple[int, int]]:
    """Return the stretches [first, end) of equal values in these ordered scores."""
    import numpy as np

    values = np.asarray(ordered, dtype=np.float64)
    same = np.concatenate(([False], values[1:] == values[:-1], [False]))
    edges = np.flatnonzero(same[1:] != same[:-1])
    return [(int(first), int(end) + 1) for first, end in edges.reshape(-1, 2)]


def count_ties(ordered: Sequence[float] | Scores) -> int:
    """Return how many of these ordered scores are equal to a neighbour."""
    return sum(end - first for first, end in tied(ordered))


def step_at(score: float) -> float:
    """Return a difference that double and single precision can tell at this score."""
    return max(1.0, abs(score) * 1e-6)


def strictly_falling(ordered: Sequence[float] | Scores) -> list[float]:
    """Return scores that keep their order in readers that hold them in single precision, as
    trec_eval does, and would tie some of them.

    Each is as given, or the next single-precision number below its predecessor; what lies beyond
    single precision goes to its ends.
    """
    import numpy as np

    values = np.asarray(ordered, dtype=np.float64)
    singles = np.clip(values, -SINGLE_MAX, SINGLE_MAX).astype(np.float32)
    beyond = np.abs(values) > SINGLE_MAX
    if not beyond.any() and (singles[1:] < singles[:-1]).all():
        return list(map(float, values))
    # at a place of their order, each number of single precision is one below the next
    orders = _order_of(singles)
    places = np.arange(len(orders))
    lowered = np.minimum.accumulate(orders + places) - places
    # a step below the lower end is lifted again
    lowered = np.maximum(lowered, _order_of(np.array([-np.inf], dtype=np.float32)))
    steps = np.where(lowered == orders, singles, _single_of(lowered))
    _lift(steps)
    falling: list[float] = np.where(
        (steps == singles) & ~beyond, values, steps.astype(np.float64)
    ).tolist()
    return falling


def _order_of(singles: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the place of each number in the order of single precision, that of 0 being 0."""
    import numpy as np

    bits = singles.view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(2**31) - bits, bits)


def _single_of(orders: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the numbers of single precision at these places of their order."""
    import numpy as np

    bits = np.where(orders < 0, -(2**31) - orders, orders)
    return bits.astype(np.int32).view(np.float32)


def _lift(steps: NDArray[np.float32]) -> None:
    """Make room at the lower end of single precision, in place: no step lies below it, and each
    stays above the next.
    """
    import numpy as np

    bound = np.float32(-SINGLE_MAX)
    for i in range(len(steps) - 1, -1, -1):
        if steps[i] >= bound:
            return
        steps[i] = bound
        bound = np.nextafter(bound, np.float32(np.inf))
