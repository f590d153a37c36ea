"""A forecast of what a run would take, before it is paid for: pairs, calls, tokens, dollars, time.
Nothing is scored and nothing is sent.

The first stage does run, since it is free and says how many pairs there are. Tokens are estimated
from the real texts: their characters, divided by the characters per token of a sample.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.catalogue.price import Price
from bench.contract.request import CandidateList, Usage, cut
from bench.contract.stage import Reranker
from bench.contract.trial import Trial
from bench.core.counting import counted
from bench.core.errors import BenchError
from bench.core.progress import Observer
from bench.latency import timed_pass
from bench.models.weights import MODELS
from bench.rerankers.remote.address import THIS_MACHINE
from bench.runner.backlog import Backlog, stages_of
from bench.runner.history import History, Speed
from bench.runner.retrieve import retrieve
from bench.suite.planning import Group, Planned, plan
from bench.suite.suite import Suite

if TYPE_CHECKING:
    import pandas as pd

CHARACTERS = 4.0
"""Characters per token where no tokenizer is at hand: the usual rule of thumb for English."""
SAMPLED = 400
TOKENIZER = "all-MiniLM-L6-v2"


@dataclass(frozen=True)
class Expected:
    """What one trial would take: `usage` for the queries that are not in the score cache, `timed`
    for the timed pass, never cached.

    `usd` is None where the price is not known, 0 for what costs nothing by the query. `seconds` is
    of scoring, None where nothing is known of it; `at_least` marks a lower bound, which the limits
    per minute set. `shared` are the pairs that an earlier trial of the run scores, which no other
    number has; with `is_guessed`, documents of a later stage are not known, and the first
    candidates serve for them. `timing_limit_s` is what the timed pass takes at most where it asks
    no service, sweeps not counted. `reason` says why the trial cannot run here.
    """

    trial: Trial
    placement: str
    queries: int
    cached: int
    usage: Usage
    timed: Usage
    reason: str | None = None
    price: Price | None = None
    usd: float | None = None
    seconds: float | None = None
    at_least: bool = False
    time_source: str = ""
    shared: int = 0
    is_guessed: bool = False
    timing_limit_s: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return flat values: what scoring and the timed pass take together, and the price."""
        both = self.usage + self.timed
        return {
            "dataset": self.trial.dataset,
            "first_stage": self.trial.first_stage,
            "depth": self.trial.depth,
            "reranker": self.trial.reranker,
            "device": self.trial.device,
            "reason": self.reason,
            "queries": self.queries,
            "cached": self.cached,
            "pairs": self.usage.pairs,
            "shared_pairs": self.shared,
            "calls": both.calls,
            "timed_calls": self.timed.calls,
            "tokens": both.tokens,
            "tokens_out": both.tokens_out,
            "billed_units": both.billed_units,
            "price": str(self.price) if self.price else None,
            "usd": self.usd,
            "seconds": self.seconds,
            "at_least": self.at_least,
            "time_from": self.time_source,
            "timing_limit_s": self.timing_limit_s,
        }


@dataclass(frozen=True)
class Forecast:
    """A suite's trials with what they would take, and how tokens were estimated."""

    suite: str
    rows: Sequence[Expected]
    tokens_from: str

    def __repr__(self) -> str:
        trials = counted(len(self.runnable), "trial")
        return f"<Forecast {self.suite}: {trials} of {len(self.rows)} can run, ${self.usd:.2f}>"

    @property
    def runnable(self) -> list[Expected]:
        return [row for row in self.rows if row.reason is None]

    @property
    def usd(self) -> float:
        """The sum of the known prices of what can run here."""
        return sum(row.usd or 0.0 for row in self.runnable)

    @property
    def unpriced(self) -> list[Expected]:
        """What can run here and costs something, but nobody knows what."""
        return [row for row in self.runnable if row.usd is None]

    def to_frame(self) -> pd.DataFrame:
        """Return a row per trial, as `Expected.to_dict` has it."""
        import pandas as pd

        return pd.DataFrame([row.to_dict() for row in self.rows])


def forecast(
    suite: Suite,
    *,
    out: Path = Path("results"),
    device: str | None = None,
    time_it: bool = True,
    fresh: bool = False,
    observer: Observer | None = None,
) -> Forecast:
    """Return what running the suite would take; the arguments are those of `runner.run`. Rerankers
    that cannot run here have the reason.

    Raises BenchError where a dataset or a first stage cannot be had.
    """
    observer, history = observer or Observer(), History(out)
    plan_ = suite.latency if time_it else None
    rows: list[Expected] = []
    tokens: Tokens | None = None
    backlog: Backlog | None = None
    for group in plan(suite, device, lenient=True):
        requests = retrieve(suite, group, observer).questions.requests
        tokens = tokens or Tokens(requests, suite.seed)
        backlog = backlog or Backlog(tokens, fresh=fresh)
        backlog.begin_group()
        sample: Sequence[CandidateList] = []
        if plan_ and len(requests):
            timed_queries = plan_.timed_queries(len(requests), remote=True)
            sample = timed_pass.draw_sample(requests, plan_, suite.seed)[:timed_queries]
        for planned in _rerankers(group):
            missing = backlog.missing(planned, requests)
            timing = _timed(planned, sample, len(requests), plan_, tokens)
            row = Expected(
                planned.trial,
                planned.reranker.placement,
                len(requests),
                len(requests) - missing.queries,
                _sum(missing.usages),
                _sum(timing),
                planned.status.reason,
                shared=missing.shared,
                is_guessed=missing.is_guessed,
                timing_limit_s=_timing_limit(planned, plan_),
            )
            bills: list[float | None] = []
            for stage, scoring, timed in zip(
                stages_of(planned), missing.usages, timing, strict=True
            ):
                bills.append(bill(stage.reranker, scoring + timed))
            row = _priced(row, planned, bills)
            rows.append(_in_time(row, planned, missing.queries, history.speed(planned)))
    return Forecast(suite.name, rows, tokens.explanation if tokens else "")


class Tokens:
    """Estimates a text's tokens by its characters. `explanation` says how."""

    def __init__(self, requests: Sequence[CandidateList], seed: int) -> None:
        sample = random.Random(seed).sample(range(len(requests)), min(len(requests), SAMPLED // 10))
        texts: list[str] = []
        for place in sample:
            texts += [requests[place].query, *list(requests[place].docs)[:9]]
        tokens = _counted(texts)
        self._characters = CHARACTERS
        source = "a rule of thumb for English"
        if tokens:
            self._characters = sum(map(len, texts)) / tokens
            source = f"as {TOKENIZER}'s tokenizer counts {len(texts)} of the texts"
        self.explanation = (
            f"{self._characters:.1f} characters a token, {source}; a model's or a service's own "
            "count may differ"
        )

    def __call__(self, text: str) -> int:
        return max(1, round(len(text) / self._characters)) if text else 0

    def of_characters(self, characters: int) -> int:
        """Return the tokens of texts that have this many characters together."""
        return round(characters / self._characters)


def _counted(texts: Sequence[str]) -> int:
    """Return the tokens of texts by the tokenizer that comes with a package; 0 where it is not
    installed.
    """
    try:
        folder = MODELS[TOKENIZER].folder()
        from tokenizers import Tokenizer
    except (BenchError, ModuleNotFoundError):
        return 0
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    encodings = tokenizer.encode_batch(list(texts), add_special_tokens=False)
    return sum(len(encoding.ids) for encoding in encodings)


def _rerankers(group: Group) -> Iterator[Planned]:
    return (planned for planned in group.planned if planned.trial.kind != "reference")


def _sum(usages: Sequence[Usage]) -> Usage:
    return sum(usages, Usage())


def _timed(
    planned: Planned,
    sample: Sequence[CandidateList],
    queries: int,
    plan_: timed_pass.LatencyPlan | None,
    tokens: Callable[[str], int],
) -> list[Usage]:
    """Return what the timed pass asks of each stage's service, at most: the mean of the timed
    queries, as often as they are asked, warm-ups included.
    """
    return [
        _timed_stage(reranker, [cut(request, handed) for request in sample], queries, plan_, tokens)
        for reranker, handed in stages_of(planned)
    ]


def _timed_stage(
    reranker: Reranker,
    sample: Sequence[CandidateList],
    queries: int,
    plan_: timed_pass.LatencyPlan | None,
    tokens: Callable[[str], int],
) -> Usage:
    if reranker.placement != "remote" or plan_ is None or not sample:
        return Usage()
    usage = reranker.expected_usage(sample, tokens)
    times = plan_.calls(queries, remote=True) / len(sample)
    return Usage(
        calls=round(usage.calls * times),
        tokens=round(usage.tokens * times),
        tokens_out=round(usage.tokens_out * times),
        billed_units=round(usage.billed_units * times),
    )


def _timing_limit(planned: Planned, plan_: timed_pass.LatencyPlan | None) -> float:
    """Return the seconds after which the timed pass of a reranker on this machine ends."""
    if plan_ is None or planned.reranker.placement != "device":
        return 0.0
    return plan_.time_limit_s * len(plan_.timed(remote=False))


def _priced(row: Expected, planned: Planned, bills: Sequence[float | None]) -> Expected:
    """Return the row with the sum of its stages' bills, unknown where one of them is."""
    prices = [reranker.price() for reranker, _ in stages_of(planned)]
    known = [price for price in prices if price is not None]
    usd = None if None in bills else sum(bill or 0.0 for bill in bills)
    return replace(row, price=known[0] if len(known) == 1 else None, usd=usd)


def bill(reranker: Reranker, usage: Usage) -> float | None:
    """Return US dollars for a usage: 0 for what costs nothing by the query, such as a server on
    this machine that names no price; None where no price is known.
    """
    price = reranker.price()
    is_free = reranker.placement != "remote" or (price is None and reranker.host in THIS_MACHINE)
    if is_free or not (usage.calls or usage.pairs):
        return 0.0
    return price.bill(vars(usage)) if price else None


def _in_time(row: Expected, planned: Planned, missing: int, speed: Speed | None) -> Expected:
    """Return the row with the time that scoring takes: as fast as before, but never faster than the
    limits per minute.
    """
    if not missing:
        return replace(row, seconds=0.0)
    reranker = planned.reranker
    limited = max(
        seconds_at(row.usage.calls, reranker.requests_per_minute),
        seconds_at(row.usage.tokens, reranker.tokens_per_minute),
    )
    if speed and speed.pairs_per_s:
        seconds = row.usage.pairs / speed.pairs_per_s
        return replace(row, seconds=seconds, time_source=speed.source)
    if speed and speed.query_s:
        seconds = missing * speed.query_s / reranker.concurrency
        return replace(row, seconds=max(limited, seconds), time_source=speed.source)
    if limited:
        source = "is what the limits per minute leave at least"
        return replace(row, seconds=limited, at_least=True, time_source=source)
    return row


def seconds_at(amount: float, per_minute: float | None) -> float:
    """Return how long an amount takes under a limit, 0 without one."""
    if not per_minute:
        return 0.0
    return 60 * amount / per_minute
