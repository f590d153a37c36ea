"""Intervals and tests against scipy, and against what they promise: coverage and false alarms on
simulated data.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from bench.quality import statistics
from tests.support.agreement import DOUBLE


def sample(seed: int, n: int = 60, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).beta(2, 1.5, size=n) + shift


def test_the_interval_is_scipys_percentile_bootstrap() -> None:
    values = sample(1)
    ours = statistics.estimate(list(values), seed=3)
    theirs = scipy_stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=5
    ).confidence_interval
    assert ours.mean == pytest.approx(values.mean())
    # Two bootstraps draw other resamples.
    assert ours.low == pytest.approx(theirs.low, abs=0.003)
    assert ours.high == pytest.approx(theirs.high, abs=0.003)


def test_the_permutation_p_is_scipys() -> None:
    new, old = sample(2), sample(3, shift=-0.03)
    ours = statistics.difference(list(new), list(old), seed=1).p
    theirs = scipy_stats.permutation_test(
        (new, old),
        lambda x, y: np.mean(x - y),
        permutation_type="samples",
        n_resamples=20_000,
        rng=1,
    ).pvalue
    # Scipy draws 20,000 flips: a standard error of at most 0.0035.
    assert ours == pytest.approx(theirs, abs=0.015)


@pytest.mark.parametrize("moved", [2, 7, 13, 20])
def test_the_test_is_exact_where_few_queries_moved(moved: int) -> None:
    """Grades give many equal differences, so that sums tie with the observed one: all of them
    count.
    """
    rng = np.random.default_rng(moved)
    delta = np.concatenate([rng.choice([-0.3, -0.1, 0.1, 0.2, 0.3], moved), np.zeros(30)])
    p = statistics.permutation_p(delta, seed=1)
    assert p == statistics.permutation_p(rng.permutation(delta), seed=2)
    if moved <= 13:
        # Whole numbers, whose sums tie exactly in scipy, too.
        rounded = (10 * delta[:moved]).round()
        theirs = scipy_stats.permutation_test(
            (rounded,), np.sum, permutation_type="samples", n_resamples=np.inf
        )
        assert p == pytest.approx(theirs.pvalue, abs=DOUBLE)
    else:
        # A count of flips divided by their number, and multiplied again.
        assert p * 2**moved == pytest.approx(round(p * 2**moved), abs=1e-6)


def test_random_flips_agree_with_the_exact_test_and_hardly_vary_with_the_seed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    delta = np.random.default_rng(4).normal(0.45, 1, 20)
    exact = statistics.permutation_p(delta, seed=0)
    assert 0.02 < exact < 0.2
    monkeypatch.setattr(statistics, "EXACT", 19)
    drawn = [statistics.permutation_p(delta, seed) for seed in range(40)]
    error = (exact * (1 - exact) / statistics.FLIPS) ** 0.5
    assert np.abs(np.array(drawn) - exact).max() < 4.5 * error
    # The mean of 40 draws lies within a standard error of one.
    assert np.mean(drawn) == pytest.approx(exact, abs=error)


def test_few_queries_get_the_exact_test() -> None:
    new, old = np.array([0.9, 0.8, 0.7, 0.9, 0.6]), np.array([0.5, 0.6, 0.65, 0.4, 0.7])
    theirs = scipy_stats.permutation_test(
        (new, old), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=np.inf
    ).pvalue
    assert statistics.difference(list(new), list(old)).p == pytest.approx(theirs)


def test_the_interval_covers_the_true_mean_about_95_times_in_100() -> None:
    truth = 2 / 3.5
    inside = 0
    for seed in range(300):
        estimate = statistics.estimate(list(sample(seed)), seed=seed, resamples=1000)
        inside += estimate.low <= truth <= estimate.high
    assert 0.90 <= inside / 300 <= 0.98


def test_the_test_raises_a_false_alarm_about_5_times_in_100() -> None:
    rng = np.random.default_rng(0)
    alarms = sum(
        statistics.permutation_p(rng.normal(size=50), seed, 1000) < 0.05 for seed in range(400)
    )
    assert 0.025 <= alarms / 400 <= 0.085


def test_identical_values_have_no_interval_no_difference_and_p_one() -> None:
    same = statistics.difference([0.5] * 20, [0.5] * 20)
    assert (same.mean, same.low, same.high, same.p, same.ties) == (0.0, 0.0, 0.0, 1.0, 20)


def test_one_query_or_none_gives_no_interval() -> None:
    assert statistics.estimate([0.25]) == statistics.Estimate(0.25, 0.25, 0.25, 1)
    assert statistics.estimate([]).n == 0


def test_unequal_lengths_are_an_error() -> None:
    with pytest.raises(ValueError, match="same queries"):
        statistics.difference([0.1, 0.2], [0.1])


@given(st.lists(st.floats(0, 1), min_size=2, max_size=40), st.integers(0, 5))
def test_the_interval_holds_the_mean_and_repeats_with_its_seed(
    values: list[float], seed: int
) -> None:
    estimate = statistics.estimate(values, seed, resamples=200)
    assert estimate == statistics.estimate(values, seed, resamples=200)
    assert estimate.low - 1e-9 <= estimate.mean <= estimate.high + 1e-9 or np.ptp(values) > 0
    assert min(values) - 1e-9 <= estimate.low <= estimate.high <= max(values) + 1e-9


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=30))
def test_p_is_symmetric_and_in_range(delta: list[float]) -> None:
    array = np.array(delta)
    p = statistics.permutation_p(array, seed=1, flips=500)
    assert 0 < p <= 1
    assert p == pytest.approx(statistics.permutation_p(-array, seed=1, flips=500))


def test_blocks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    values = sample(4)
    whole = statistics.bootstrap_interval(values, 7, 500)
    monkeypatch.setattr(statistics, "_BLOCK", 60 * 50)
    assert statistics.bootstrap_interval(values, 7, 500) == pytest.approx(whole)
