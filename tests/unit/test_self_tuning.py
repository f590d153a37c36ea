"""`auto` takes the fastest setting where it is clearly faster, and keeps it with the machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.rerankers.local import self_tuning
from bench.rerankers.local.self_tuning import Choice, Setting
from bench.rerankers.options import RuntimeOptions

USUAL = Setting(1, 1024)


class Machine:
    """A clock that a call moves by its pairs, times what a setting costs."""

    def __init__(self, cost: Callable[[Setting], float]) -> None:
        self.now = 0.0
        self.cost = cost
        self.pairs: list[int] = []

    def clock(self) -> float:
        return self.now

    def compute(self, setting: Setting, lengths: Any) -> None:
        self.pairs.append(len(lengths))
        self.now += self.cost(setting) * len(lengths)

    def choose(self, settings: list[Setting]) -> Choice:
        return self_tuning.choose(USUAL, settings, self.compute, 512, self.clock)


def options(**given: Any) -> RuntimeOptions:
    return RuntimeOptions(model="m", **given)


@pytest.mark.parametrize("planted", [(2, 512), (4, 2048), (1, 4096)])
def test_the_fastest_is_chosen(planted: tuple[int, int]) -> None:
    fast = Setting(*planted)
    machine = Machine(lambda setting: 0.001 if setting == fast else 0.002)
    tried = self_tuning.settings(options(workers="auto", token_budget="auto"), USUAL, 4)
    assert fast in tried
    assert USUAL in tried
    choice = machine.choose(tried)
    assert choice.setting == fast
    assert choice.share == pytest.approx(0.5)
    assert choice.facts()["tuned"] == {
        "workers": planted[0],
        "token_budget": planted[1],
        "share_of_usual_time": 0.5,
    }


@pytest.mark.parametrize(("gain", "wins"), [(0.02, False), (0.05, True)])
def test_what_is_hardly_faster_is_not_taken(gain: float, *, wins: bool) -> None:
    machine = Machine(lambda setting: 0.001 * (1 if setting == USUAL else 1 - gain))
    choice = machine.choose([USUAL, Setting(2, 1024)])
    assert (choice.setting != USUAL) == wins


def test_one_busy_moment_decides_nothing() -> None:
    """The usual setting is hit once, when it is timed first; in turns it is as fast."""
    hits = iter([10.0])

    def cost(setting: Setting) -> float:
        if setting == USUAL and len(machine.pairs) == 3:
            return 0.001 * next(hits, 1.0)
        return 0.001

    machine = Machine(cost)
    assert machine.choose([USUAL, Setting(2, 1024)]).setting == USUAL


def test_a_slow_model_is_timed_on_fewer_pairs() -> None:
    quick, slow = Machine(lambda _: 1e-4), Machine(lambda _: 1.0)
    for machine in (quick, slow):
        machine.choose([USUAL, Setting(2, 1024)])
    assert max(quick.pairs[2:]) == 96
    assert max(slow.pairs[2:]) == self_tuning.FEWEST_PAIRS


def test_a_model_too_slow_to_try_much_computes_as_usual() -> None:
    machine = Machine(lambda _: 1.0)
    tried = self_tuning.settings(options(workers="auto", token_budget="auto"), USUAL, 8)
    assert machine.choose(tried) == Choice(USUAL, 1.0, is_settled=False)
    assert machine.now == 3 * self_tuning.FEWEST_PAIRS
    assert len(tried) == 16


def test_trying_ends_and_what_was_timed_decides() -> None:
    """The second of many settings is twice as fast, and there is no time for all of them."""
    fast = Setting(2, 1024)
    machine = Machine(lambda setting: 0.05 if setting == fast else 0.1)
    others = [Setting(1, budget) for budget in range(2048, 4096)]
    choice = machine.choose([USUAL, fast, *others])
    assert choice.setting == fast
    assert not choice.is_settled
    assert machine.now < self_tuning.LIMIT_S + 5


def test_a_setting_that_fails_is_not_taken() -> None:
    """The largest budgets would be the fastest, and memory is too short for them."""

    def cost(setting: Setting) -> float:
        if setting.token_budget > 1024 and machine.pairs[-1] > self_tuning.FEWEST_PAIRS:
            raise RuntimeError("can't allocate memory")
        return 1e-3 / setting.token_budget

    machine = Machine(cost)
    tried = self_tuning.settings(options(token_budget="auto"), USUAL, 4)
    assert machine.choose(tried).setting == USUAL


def test_a_model_that_cannot_compute_as_usual_says_why() -> None:
    def cost(setting: Setting) -> float:
        raise RuntimeError("can't allocate memory")

    with pytest.raises(RuntimeError, match="allocate"):
        Machine(cost).choose([USUAL, Setting(2, 1024)])


def test_a_number_that_is_given_is_kept() -> None:
    tried = self_tuning.settings(options(workers=2, token_budget="auto"), Setting(2, 1024), 8)
    assert {setting.workers for setting in tried} == {2}
    assert [setting.token_budget for setting in tried] == [512, 1024, 2048, 4096]
    tried = self_tuning.settings(options(workers="auto"), USUAL, 16)
    assert tried == [Setting(number, 1024) for number in (1, 4, 8, 16)]


def test_lengths_stay_within_the_model() -> None:
    lengths = self_tuning.made_lengths(500, 128)
    assert lengths.max() == 128
    assert 80 <= np.median(lengths) <= 90


TRIED = [Setting(1, 512), Setting(2, 512)]
DAMAGED = [
    '{"setting": {"workers": 2}}',
    '{"setting": {"workers": 9, "token_budget": 512}, "share": 0.8}',
    '{"setting": {"workers": 2, "token_budget": 9512}, "share": 0.8}',
    '{"setting": {"workers": 2, "token_budget": 512}, "share": -8}',
    '{"setting": {"workers": 2, "token_budget": 512}, "share": NaN}',
]
"""What may lie in the place of a choice: half of one, or another than those that are tried."""


def test_a_choice_is_kept_for_its_system_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RERANK_BENCH_CACHE", str(tmp_path))
    made = []

    def make() -> Choice:
        made.append(1)
        return Choice(Setting(2, 512), 0.8)

    system = {"weights": "a", "dtype": "float32"}
    hasty = Choice(Setting(1, 512), 0.9, is_settled=False)
    assert self_tuning.kept(system, "cpu", TRIED, lambda: hasty) == hasty
    for _ in range(2):
        assert self_tuning.kept(system, "cpu", TRIED, make) == Choice(Setting(2, 512), 0.8)
    assert len(made) == 1
    self_tuning.kept({**system, "dtype": "int8"}, "cpu", TRIED, make)
    assert len(made) == 2
    for number, damaged in enumerate(DAMAGED, start=3):
        for path in (tmp_path / "tuned").iterdir():
            path.write_text(damaged)
        assert self_tuning.kept(system, "cpu", TRIED, make).setting == Setting(2, 512)
        assert len(made) == number


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"workers": 2, "compile": True}, "one worker"),
        ({"batch_size": 8, "token_budget": "auto"}, "batch_size goes before"),
        ({"workers": 2, "weights": "random"}, "random weights"),
        ({"workers": 0}, "greater than or equal to 1"),
        ({"workers": "many"}, "auto"),
        ({"workers": True}, "workers"),
    ],
)
def test_settings_that_cannot_be(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        options(**given)
