"""The gate's statistics: against scipy and statsmodels on fixed data, and how often its verdict is
wrong on simulated runs.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from bench.gate.quality import non_inferiority
from bench.quality import statistics
from tests.support.agreement import DOUBLE

RNG = np.random.default_rng(5)
NEW, OLD = RNG.beta(2, 1.5, 60), RNG.beta(2, 1.6, 60)
DELTA = list(NEW - OLD)


# Against references


def test_paired_t_is_scipys() -> None:
    theirs = scipy_stats.ttest_rel(NEW, OLD)
    assert statistics.paired_t(DELTA) == pytest.approx((theirs.statistic, theirs.pvalue))
    assert (
        statistics.paired_t([0.0, 0.0])
        == statistics.paired_t([0.3])
        == statistics.paired_t([])
        == (0.0, 1.0)
    )
    assert statistics.paired_t([0.25, 0.25]) == (math.inf, 0.0)


@given(
    st.lists(st.floats(-1, 1).filter(lambda x: x == 0 or abs(x) > 1e-6), min_size=2, max_size=50)
)
def test_bounds_are_scipys_for_any_differences(delta: list[float]) -> None:
    low, high = statistics.one_sided_bounds(delta)
    if np.std(delta) > 1e-9:
        for bound, side, end in ((low, "greater", "low"), (high, "less", "high")):
            theirs = scipy_stats.ttest_1samp(delta, 0, alternative=side).confidence_interval(0.95)
            assert bound == pytest.approx(getattr(theirs, end), abs=DOUBLE)
    assert low <= high
    assert statistics.one_sided_bounds([0.5]) == (-math.inf, math.inf)


@pytest.mark.parametrize("margin", [0.01, 0.05, 0.1, 0.3])
def test_the_outcome_is_that_of_statsmodels_equivalence_test(margin: float) -> None:
    """TOST is two one-sided tests: its lower one asks whether new > old - margin, and
    non-inferiority is that half.
    """
    _, (_, p_low, _), _ = ttost_paired(NEW, OLD, -margin, margin)
    assert (non_inferiority(DELTA, margin)[2] == "pass") == (p_low < 0.05)
    fails = scipy_stats.ttest_1samp(DELTA, -margin, alternative="less").pvalue < 0.05
    assert (non_inferiority(DELTA, margin)[2] == "fail") == fails


def test_holm_is_statsmodels() -> None:
    ps = list(np.random.default_rng(2).random(12) ** 3)
    assert statistics.holm(ps) == pytest.approx(list(multipletests(ps, method="holm")[1]))


def test_the_permutation_p_nears_that_of_t_where_differences_are_normal() -> None:
    delta = np.random.default_rng(4).normal(0.03, 0.1, 80)
    # The two tests agree where the number of queries is large; 80 are not infinitely many.
    assert statistics.permutation_p(delta, seed=1) == pytest.approx(
        statistics.paired_t(list(delta))[1], abs=0.01
    )


# How often the gate is wrong: 1,000 simulated gates each, with differences as rerankers have them:
# some queries do not move, the others do so with heavy tails. The margin is the smallest one that
# the queries support, computed from the true spread.

GATES = 1000
KINDS = {
    "every query moves, normal": lambda rng, n: rng.normal(0, 1, (GATES, n)),
    "half move, heavy tails": lambda rng, n: (
        (rng.random((GATES, n)) < 0.5) * rng.laplace(0, 1, (GATES, n))
    ),
    "a third moves, bounded": lambda rng, n: (
        (rng.random((GATES, n)) < 0.3) * rng.uniform(-1, 1, (GATES, n))
    ),
}
SPREAD = {
    "every query moves, normal": 1.0,
    "half move, heavy tails": 1.0,
    "a third moves, bounded": 0.1**0.5,
}
SIZES = (20, 49, 200)


def simulated(kind: str, n: int, seed: int) -> tuple[Any, float]:
    """(differences without a true one, shape (GATES, n); the smallest margin by the true
    spread).
    """
    drawn = KINDS[kind](np.random.default_rng(seed), n)
    # The spread of the sample drawn: heavy tails make it vary.
    assert drawn.std() == pytest.approx(SPREAD[kind], rel=0.05)
    return drawn, statistics.TAIL_ALLOWANCE * 2 * statistics.t_quantile(0.95, n - 1) * SPREAD[
        kind
    ] / n**0.5


def shares(drawn: Any, margin: float) -> dict[str, float]:
    counted = Counter(non_inferiority(row, margin)[2] for row in drawn.tolist())
    return {name: counted[name] / GATES for name in ("pass", "inconclusive", "fail")}


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_an_unchanged_reranker_passes_and_a_drop_of_twice_the_margin_fails(
    kind: str, n: int
) -> None:
    """At least 95 times in 100 each. That the one fails or the other passes is another matter:
    never seen here.
    """
    drawn, margin = simulated(kind, n, seed=n)
    unchanged, dropped = shares(drawn, margin), shares(drawn - 2 * margin, margin)
    assert unchanged["pass"] >= 0.95
    assert unchanged["fail"] <= 0.001
    assert dropped["fail"] >= 0.95
    assert dropped["pass"] <= 0.001


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_of_just_the_margin_passes_5_times_in_100(kind: str, n: int) -> None:
    """The error that non-inferiority bounds."""
    drawn, margin = simulated(kind, n, seed=n)
    assert shares(drawn - margin, margin)["pass"] <= 0.065  # 0.05 within the error of 1,000 draws


@pytest.mark.parametrize("kind", KINDS)
def test_margins_that_the_sample_supports_hold_all_the_more(kind: str) -> None:
    """As `check` does it: the spread is not known, and a margin below the sample's own smallest is
    refused.
    """
    drawn, margin = simulated(kind, 49, seed=7)
    accepted = [row for row in drawn.tolist() if statistics.smallest_margin(row) <= margin]
    assert len(accepted) > 0.4 * GATES
    passed = sum(non_inferiority(row, margin)[2] == "pass" for row in accepted)
    failed = sum(
        non_inferiority([one - 2 * margin for one in row], margin)[2] == "fail" for row in accepted
    )
    assert min(passed, failed) >= 0.97 * len(accepted)


def test_the_queries_that_would_do_do() -> None:
    """A sample that supports a margin of m supports m / 2 with four times the queries."""
    delta = np.random.default_rng(1).normal(0, 0.1, 400)
    # The spread of the first 100 is not exactly that of all 400.
    assert statistics.smallest_margin(list(delta[:100])) / statistics.smallest_margin(
        list(delta)
    ) == pytest.approx(2, rel=0.1)
    assert statistics.smallest_margin([0.5]) == math.inf
    assert statistics.smallest_margin([0.5, 0.5]) == 0.0
