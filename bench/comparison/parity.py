"""Parity: do two trials give the same scores? What a new device, precision, batch or server
changed, told from rankings alone.

The gate asks this only of one and the same system, and passes or fails it. This asks it of any two
trials, and judges nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from bench.comparison.drift import Drift, drift
from bench.comparison.pairs import Side, cached, comparable, counterparts, sides
from bench.core.counting import counted
from bench.core.errors import BenchError, IncomparableError, RecordError, nearest
from bench.records.rows import group_of
from bench.records.run import Run

YARDSTICK = ("min_relevance", "ir_measures", "tie_rule")
"""What judges rankings and does not make them: trials may differ in it."""


@dataclass(frozen=True)
class Parity:
    """What lies between the rankings of two trials over the same candidates, `new` against
    `baseline`.

    The scores are those of the rankings files, which are nudged where single precision would tie
    them, by a few units in its last place (`bench.ranking.order.strictly_falling`): differences of
    that size, about 1e-7 of a score for each document tied in a row, are the file's. Tied documents
    stand in the order of the tie rule in both.
    """

    new: Side
    baseline: Side
    drift: Drift


def between_runs(new: Run, baseline: Run) -> list[Parity]:
    """Every reranker that both runs hold, matched as `compare` matches them. Raises RecordError
    when there is none.
    """
    pairs = counterparts(sides(new, references=False), sides(baseline, references=False))
    return [
        parity(*pair)
        for pair in _some(pairs, f"no reranker is in both {new.folder} and {baseline.folder}")
    ]


def within_run(run: Run, new: str, baseline: str) -> list[Parity]:
    """Two trials of one run, by trial id, or by reranker: then in each dataset and first stage
    where both stand.

    Raises BenchError for a name that no finished trial has, RecordError when the two names never
    meet.
    """
    ours, theirs = _named(run, new), _named(run, baseline)
    alone = len(ours) == len(theirs) == 1
    pairs = [
        (a, b)
        for a, b in product(ours, theirs)
        if a.trial.id != b.trial.id and (alone or group_of(a.trial) == group_of(b.trial))
    ]
    problem = f"{new} and {baseline} are not two trials over the same candidates"
    return [parity(*pair) for pair in _some(pairs, problem)]


def is_in(run: Run, name: str) -> bool:
    """Whether a name is of a finished trial, or of the reranker of one."""
    return any(name in (side.trial.id, side.trial.reranker) for side in sides(run))


def parity(new: Side, baseline: Side) -> Parity:
    """One pair. Raises IncomparableError where the texts or the candidates differ, or no query was
    ranked by both.
    """
    fields = new.record.question.fields
    comparable(new, baseline, [name for name in YARDSTICK if name in fields])
    difference = drift(new, baseline)
    if not difference.queries:
        raise IncomparableError(
            f"{new.trial.id} and {baseline.trial.id} have no ranked query in common"
        )
    return Parity(new, baseline, difference)


def sources(parities: Sequence[Parity]) -> list[str]:
    """Return a sentence per run on the trials whose scores are older than the run: no server or
    model was asked for them.
    """
    answered: list[Side] = []
    for pair in parities:
        answered += [pair.new, pair.baseline]
    return cached(answered)


def sentence(drift: Drift) -> str:
    """Return the three numbers, and over how many queries they were taken."""
    queries = counted(drift.queries, "query")
    if drift.unshared:
        queries += f" ({drift.unshared} ranked by one only)"
    return (
        f"{queries}: max |score difference| {drift.max_difference:.3g}, mean tau {drift.tau:.4f}, "
        f"mean top-10 overlap {drift.overlap:.3f}"
    )


def _named(run: Run, name: str) -> list[Side]:
    answered = sides(run)
    exact = [side for side in answered if side.trial.id == name]
    named = exact or [side for side in answered if side.trial.reranker == name]
    if not named:
        known = {side.trial.reranker for side in answered}
        raise BenchError(
            f"{run.folder}: no finished trial or reranker {name}: {nearest(name, known)}"
        )
    return named


def _some(pairs: list[tuple[Side, Side]], problem: str) -> list[tuple[Side, Side]]:
    if not pairs:
        raise RecordError(f"{problem}: there is nothing to set side by side")
    return pairs
