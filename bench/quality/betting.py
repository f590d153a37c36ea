"""When the verdict over all queries is certain before all of them are in.

Queries come in a random order out of a finite set. A gambler bets against each hypothesis ("the
mean of all queries is so low that the gate will not pass", "so high that it will not fail"); the
bets are fair under it, so that the capital reaches 1 / ERROR at any time with a probability of at
most ERROR (Ville). Capital and the conditional mean of what is left of a finite set are those of
Waudby-Smith & Ramdas, Estimating means of bounded random variables by betting, JRSS B 2024
(arXiv 2010.09686); the bets are a mixture of constant shares of the capital.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from bench.quality.statistics import LEVEL, t_quantile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

ERROR = 0.02
"""How often an early verdict may be another one than that over all queries, either way."""
LEAST_QUERIES = 10
"""Before that the spread of the differences is not known well enough."""
BETS = 16
"""Shares of the capital that are bet, from a hundredth to nearly all of it."""


class Certain(NamedTuple):
    """The verdict over all queries as it was known after some of them."""

    outcome: Literal["pass", "fail"]
    queries: int


def certain(
    deltas: Sequence[float], total: int, margin: float, bound: float = 1.0
) -> Certain | None:
    """Return when it became certain that the mean of `total` paired differences will pass, or fail,
    against a margin; None where these first ones leave it open.

    `deltas` are new - old in random order, none beyond `bound` either way. The gate passes where
    the lower bound of Student's t lies above -margin, so that the hypothesis to be refuted is a
    mean of at most -margin plus that reach, by the spread of the differences seen so far.
    """
    import numpy as np

    if not 0 < bound < math.inf or total < 2:
        return None
    drawn = np.asarray(deltas, dtype=np.float64)[:total] / bound
    reach = _reach(drawn, total)
    limit = margin / bound
    passing = _first(_log_capital(drawn, total, reach - limit))
    failing = _first(_log_capital(-drawn, total, reach + limit))
    if passing is None and failing is None:
        return None
    if failing is None or (passing is not None and passing <= failing):
        return Certain("pass", passing or 0)
    return Certain("fail", failing)


def _reach(drawn: Vector, total: int) -> Vector:
    """Return, per query, how far the one-sided bound over all queries lies from their mean, by the
    standard deviation of the queries before; 0 where fewer than two are known.
    """
    import numpy as np

    counts = np.arange(len(drawn))
    sums = _before(drawn)
    squares = _before(drawn**2)
    known = np.maximum(counts, 1)
    variance = np.maximum(squares - sums**2 / known, 0.0) / np.maximum(counts - 1, 1)
    reach: Vector = t_quantile(LEVEL, total - 1) * np.sqrt(variance / total)
    return reach


def _log_capital(drawn: Vector, total: int, level: Vector) -> Vector:
    """Return, after each query, the log of the capital of who bets that the mean of all queries
    lies above `level`, which may only depend on the queries before. Values are at least -1.
    """
    import numpy as np

    left = total - np.arange(len(drawn))
    expected = (total * level - _before(drawn)) / left
    is_impossible = expected < -1
    expected = np.clip(expected, -1.0, 1.0)
    shares = np.geomspace(0.01, 0.99, BETS)
    gain = (drawn - expected) / np.maximum(1 + expected, 1e-9)
    logs = np.cumsum(np.log1p(np.outer(gain, shares)), axis=0)
    capital: Vector = np.logaddexp.reduce(logs, axis=1) - math.log(BETS)
    # what is left cannot be so low: no bet is needed
    capital[np.logical_or.accumulate(is_impossible)] = math.inf
    return capital


def _before(values: Vector) -> Vector:
    """Return, per value, the sum of those before it."""
    import numpy as np

    sums: Vector = np.concatenate([[0.0], np.cumsum(values)[:-1]])
    return sums


def _first(log_capital: Vector) -> int | None:
    """Return the number of queries after which the capital sufficed for the first time."""
    import numpy as np

    enough = log_capital >= math.log(1 / ERROR)
    enough[: LEAST_QUERIES - 1] = False
    if not enough.any():
        return None
    return int(np.argmax(enough)) + 1
