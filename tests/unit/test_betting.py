"""Early verdicts: fair bets, exact answers from a finite set, error rates by simulation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bench.quality import betting
from benchmarks import gate_sequential

GATES = 250


def test_bets_against_the_true_mean_of_a_finite_set_are_fair() -> None:
    """Over all orders, the mean capital is 1 after every query: a martingale."""
    values = np.array([-1.0, -0.4, 0.1, 0.5, 0.2, 0.6])
    level = np.full(6, values.mean())
    capital = np.zeros(6)
    orders = list(itertools.permutations(values))
    for order in orders:
        capital += np.exp(betting._log_capital(np.array(order), 6, level))
    assert capital / len(orders) == pytest.approx(np.ones(6))


def test_bets_against_a_mean_that_is_higher_than_the_true_one_lose() -> None:
    values = np.array([-1.0, -0.4, 0.1, 0.5, 0.2, 0.6])
    level = np.full(6, values.mean() + 0.1)
    orders = list(itertools.permutations(values))
    ends = [np.exp(betting._log_capital(np.array(order), 6, level))[:5] for order in orders]
    assert np.all(np.mean(ends, axis=0) <= 1)


def test_what_can_no_longer_be_lost_is_certain() -> None:
    """95 of 100 queries stay as they are: the rest can lose .05 at most."""
    verdict = betting.certain([0.0] * 95, 100, 0.051)
    assert verdict is not None
    assert verdict.outcome == "pass"


def test_a_measure_without_an_upper_end_is_never_certain_early() -> None:
    assert betting.certain([0.5] * 90, 100, 0.1, np.inf) is None


def test_a_larger_part_of_the_queries_does_not_move_an_earlier_verdict() -> None:
    deltas = np.random.default_rng(3).normal(-0.2, 0.1, 200).tolist()
    verdict = betting.certain(deltas, 200, 0.05)
    assert verdict is not None
    assert verdict.outcome == "fail"
    assert betting.certain(deltas[: verdict.queries], 200, 0.05) == verdict
    assert betting.certain(deltas[: verdict.queries - 1], 200, 0.05) is None


@pytest.mark.parametrize("kind", ["all move, normal", "tenth moves by .4"])
def test_a_loss_of_the_margin_passes_as_seldom_as_over_all_queries(kind: str) -> None:
    rates = gate_sequential.simulated(kind, 150, 0.1, -1.0, GATES)
    assert rates.passed <= rates.passed_by_all + betting.ERROR
    assert rates.failed <= rates.failed_by_all + betting.ERROR


def test_clear_verdicts_take_a_part_of_the_queries_and_are_those_over_all() -> None:
    for effect in (-4.0, 0.0):
        rates = gate_sequential.simulated("half move, Laplace", 150, 0.1, effect, GATES)
        assert rates.used < 0.6
        assert rates.passed == pytest.approx(rates.passed_by_all, abs=betting.ERROR)
        assert rates.failed == pytest.approx(rates.failed_by_all, abs=betting.ERROR)
