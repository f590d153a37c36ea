"""What asking a judge would take, before anything is sent: requests, tokens, dollars, time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.contract.request import CandidateList, Usage
from bench.judging.answers import Answers
from bench.judging.assignment import Assignment
from bench.judging.judges import Judge, bill
from bench.runner.forecast import Tokens, seconds_at


@dataclass(frozen=True)
class Expected:
    """Of one dataset. `usage` is of one request per pair to ask, with as many written tokens as a
    judge may write: at most. `usd` is None where no price is known, 0 where nothing is paid;
    `seconds` is None where nothing is known of it.
    """

    dataset: str
    pairs: int
    answered: int
    blank: int
    to_ask: int
    usage: Usage
    usd: float | None
    seconds: float | None


@dataclass(frozen=True)
class Forecast:
    """All datasets of a call, and how tokens were estimated."""

    judge: str
    rows: Sequence[Expected]
    tokens_from: str

    @property
    def to_ask(self) -> int:
        return sum(row.to_ask for row in self.rows)

    @property
    def usd(self) -> float | None:
        """The sum; None where no price is known."""
        sums = [row.usd for row in self.rows]
        if None in sums:
            return None
        return sum(usd or 0.0 for usd in sums)


def forecast(
    name: str,
    judge: Judge,
    assignments: Sequence[Assignment],
    answers: Answers,
    max_tokens: int,
    seed: int,
) -> Forecast:
    """Return what the pairs to ask would take."""
    sample: list[str] = []
    for assignment in assignments:
        sample += assignment.sample
    tokens = Tokens([CandidateList("", text, [], []) for text in sample], seed)
    per_answer = _seconds_per_answer(judge, assignments, answers)
    rows = [_expected(judge, own, tokens, per_answer, max_tokens) for own in assignments]
    return Forecast(name, rows, tokens.explanation)


def _expected(
    judge: Judge,
    assignment: Assignment,
    tokens: Tokens,
    per_answer: float | None,
    max_tokens: int,
) -> Expected:
    to_ask = len(assignment.to_ask)
    usage = Usage(
        calls=to_ask,
        tokens=tokens.of_characters(assignment.characters),
        tokens_out=to_ask * max_tokens,
    )
    return Expected(
        assignment.pool.dataset,
        len(assignment.pool.pairs),
        assignment.answered,
        len(assignment.pool.pairs) - len(assignment.keys),
        to_ask,
        usage,
        bill(judge, usage) if to_ask else 0.0,
        _seconds(judge, usage, per_answer),
    )


def _seconds_per_answer(
    judge: Judge, assignments: Sequence[Assignment], answers: Answers
) -> float | None:
    """Return the mean time of the answers that are kept, by as many as are asked at once; None
    where none is.
    """
    times: list[float] = []
    for assignment in assignments:
        for key in assignment.keys.values():
            times += [reply.seconds for reply in answers.of(key) if reply.seconds]
    if not times:
        return None
    return sum(times) / len(times) / judge.concurrency


def _seconds(judge: Judge, usage: Usage, per_answer: float | None) -> float | None:
    """Return how long requests take: as long as before, and no less than the limits per minute
    allow.
    """
    if not usage.calls:
        return 0.0
    bounds = [
        seconds_at(usage.calls, judge.requests_per_minute),
        seconds_at(usage.tokens, judge.tokens_per_minute),
    ]
    if per_answer is not None:
        bounds.append(usage.calls * per_answer)
    longest = max(bounds)
    return longest or None
