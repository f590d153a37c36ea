"""`auto`: a budget of tokens and a number of workers for this model on this machine, tried on made
pairs when the model loads, and kept with the machine.

No query of a dataset is used, so that none is reported on that the choice was made by: the pairs
are as long as MS MARCO's passages with their queries, and what is in them decides no speed. What is
chosen decides no score beyond the last digits.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

from bench.core.atomic import write_atomically
from bench.core.cache_dir import cache_dir, make_folder
from bench.core.digest import digest_of
from bench.core.errors import BenchError
from bench.core.json_file import read_json
from bench.machine.fingerprint import fingerprint, speed_fields

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.rerankers.options import RuntimeOptions

BUDGETS = (0.5, 1, 2, 4)
"""Tokens per batch that are tried, as multiples of the usual number: below, a batch costs its
overhead; above, it leaves a CPU's caches.
"""
FEWEST_PAIRS, BATCHES = 16, 8
"""Pairs that are timed make this many batches of the usual size, where the model is fast enough."""
MEDIAN_TOKENS, SPREAD = 85, 0.45
"""Tokens of a pair, log-normal: MS MARCO's passages with a question of eight words."""
ROUNDS = 3
NEAR = 1.3
"""Settings within this multiple of the fastest are timed again."""
PATIENCE_S = 0.5
"""Of one call; fewer pairs are taken where a model is slower."""
LIMIT_S = 30.0
"""Of all trying, but for what is being timed then: a model that is so slow, or a machine so busy,
computes as usual, or as the settings say that were timed by then.
"""
WORTH = 0.97
"""A choice has to take less than this share of the time of the usual one: below, it is noise."""


class Setting(NamedTuple):
    """What is chosen."""

    workers: int
    token_budget: int


Clock = Callable[[], float]
Timed = Callable[[Setting, "NDArray[np.int64]"], None]
"""Computes pairs of these lengths, in tokens, with a setting."""


@dataclass(frozen=True)
class Choice:
    """A setting, and its time as a share of the usual setting's."""

    setting: Setting
    share: float
    is_settled: bool = True
    """False where time was out before all was tried: on a quieter machine it may be another one."""

    def facts(self) -> dict[str, object]:
        """Return what a record says of it."""
        return {"tuned": {**self.setting._asdict(), "share_of_usual_time": round(self.share, 3)}}


def choose(
    usual: Setting,
    settings: Sequence[Setting],
    compute: Timed,
    longest: int | None,
    clock: Clock = time.perf_counter,
) -> Choice:
    """Return the fastest of the settings, or the usual one where none is clearly faster. One that
    fails, such as for want of memory, is not taken; where the usual one does, its error is raised.

    Each is timed on the same pairs; the fastest and the usual one are timed again in turns, so
    that a machine that was busy for a while decides nothing. `longest` is the model's limit in
    tokens, `clock` says the seconds.
    """
    end = clock() + LIMIT_S
    pairs = max(FEWEST_PAIRS, BATCHES * usual.token_budget // MEDIAN_TOKENS)
    lengths = made_lengths(pairs, longest)
    # what it builds is not timed
    compute(usual, lengths[:FEWEST_PAIRS])
    few = _seconds(clock, compute, usual, lengths[:FEWEST_PAIRS])
    if few > PATIENCE_S * FEWEST_PAIRS / pairs:
        lengths = lengths[: max(FEWEST_PAIRS, int(FEWEST_PAIRS * PATIENCE_S / few))]
    trial = Trial(usual, lengths, compute, clock, end)
    fastest = trial.fastest(settings)
    if fastest == usual:
        return Choice(usual, 1.0, is_settled=not trial.is_over())
    ratios: list[float] = []
    for _ in range(ROUNDS):
        if ratios and trial.is_over():
            break
        before = trial.seconds(usual)
        ratios.append(trial.seconds(fastest) / before)
    share = statistics.median(ratios)
    is_settled = not trial.is_over()
    if share > WORTH:
        return Choice(usual, 1.0, is_settled)
    return Choice(fastest, share, is_settled)


@dataclass(frozen=True)
class Trial:
    """Settings that are timed on pairs of the same lengths until `end`, by `clock`."""

    usual: Setting
    lengths: NDArray[np.int64]
    compute: Timed
    clock: Clock
    end: float

    def is_over(self) -> bool:
        return self.clock() >= self.end

    def seconds(self, setting: Setting, pairs: int | None = None) -> float:
        """Return the seconds of a setting, over the first pairs or all; infinity where it fails."""
        try:
            return _seconds(self.clock, self.compute, setting, self.lengths[:pairs])
        except Exception:  # runtimes raise many kinds where memory is short
            if setting == self.usual:
                raise
            return float("inf")

    def fastest(self, settings: Sequence[Setting]) -> Setting:
        """Return the setting of the smallest median; those that are far behind at once are timed
        once, and those that time leaves nothing for are not.
        """
        times = {self.usual: [self.seconds(self.usual)]}
        for setting in settings:
            if self.is_over():
                break
            # as above
            if setting != self.usual and isfinite(self.seconds(setting, FEWEST_PAIRS)):
                times[setting] = [self.seconds(setting)]
        limit = NEAR * min(first for (first,) in times.values())
        near = [setting for setting, (first,) in times.items() if first <= limit]
        for _ in range(ROUNDS - 1):
            for setting in near:
                if not self.is_over():
                    times[setting].append(self.seconds(setting))
        return min(near, key=lambda setting: statistics.median(times[setting]))


def made_lengths(pairs: int, longest: int | None) -> NDArray[np.int64]:
    """Return lengths of pairs in tokens, the same ones every time. Shape: (pairs,)."""
    import numpy as np

    drawn = np.random.default_rng(0).lognormal(np.log(MEDIAN_TOKENS), SPREAD, pairs)
    return np.clip(drawn.astype(np.int64), 8, longest)


def settings(options: RuntimeOptions, usual: Setting, threads: int) -> list[Setting]:
    """Return what is tried: a number that the options give, or the parts of the threads and
    multiples of the usual budget.
    """
    workers, budgets = [usual.workers], [usual.token_budget]
    if options.workers == "auto":
        workers = parts_of(threads)
    if options.token_budget == "auto":
        budgets = [int(usual.token_budget * multiple) for multiple in BUDGETS]
    return [Setting(*pair) for pair in product(workers, budgets)]


def parts_of(threads: int) -> list[int]:
    """Return the numbers of workers that are tried: one, and a quarter, half and all of the
    threads. A runtime is built for each, so that they are few.
    """
    return sorted({1, *filter(None, (threads // 4, threads // 2, threads))})


def kept(
    system: Mapping[str, object],
    device: str,
    settings: Sequence[Setting],
    make: Callable[[], Choice],
) -> Choice:
    """Return the choice among these settings that was made for a system on this machine, or make
    it, and keep it where it is settled.

    `system` says what else decides the speed: weights, runtime, number format, threads. A file that
    cannot be read or written, or that names what nobody tries, costs the trying again.
    """
    machine = speed_fields(fingerprint(device))
    path = cache_dir("tuned", f"{digest_of({**system, 'machine': machine})[:16]}.json")
    try:
        stored = read_json(path)
        setting, share = Setting(**stored["setting"]), float(stored["share"])
        if setting in settings and 0 < share <= 1:
            return Choice(setting, share)
    except (OSError, ValueError, TypeError, KeyError, OverflowError):
        # it is tried again
        pass
    choice = make()
    if not choice.is_settled:
        return choice
    content = {"setting": choice.setting._asdict(), "share": choice.share}
    try:
        make_folder(path.parent)
        write_atomically(path, f"{json.dumps(content)}\n".encode())
    except (OSError, BenchError):
        pass  # it is tried again the next time
    return choice


def _seconds(clock: Clock, compute: Timed, setting: Setting, lengths: NDArray[np.int64]) -> float:
    start = clock()
    compute(setting, lengths)
    return clock() - start
