"""The main table as values: one row per trial, skipped ones included. Every report is drawn from
these rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from bench.contract.trial import Trial
from bench.core.counting import candidates, counted, times
from bench.latency.columns import P50, P95, PER_PAIR
from bench.latency.sample import Condition
from bench.latency.scenarios import in_order, one_query_at
from bench.latency.summary import Summary, parts, summarise
from bench.quality.measures import JUDGED
from bench.quality.statistics import Difference, Estimate
from bench.records.schema import Cost, Record

if TYPE_CHECKING:
    from bench.records.folder import RunFolder

Value = TypeVar("Value")
GroupKey = tuple[str, str, int]
"""Dataset, first stage, depth."""

RANDOM = "random weights: the order means nothing"
"""The note of a row that can be in a table, but lead none: see `Row.meaningless`."""
ELSEWHERE = (
    "a run over other candidates than these, left out of the verdict: `first_stage: NAME` binds "
    "it to its own first stage, "
    "and as an entry of first_stages it is measured over its own candidates"
)
"""The same for a published run."""
LOW_JUDGED = 0.8
SHOWN_TIES = 0.05
SHOWN_REPAIRS = 0.01
FRAME_COLUMNS = ((P50, "p50 ms"), (P95, "p95 ms"), (PER_PAIR, "ms per pair"))
"""Numbers of one query in flight, by the names that they have in a DataFrame."""
SHOWN_USAGE = {"calls": "calls", "tokens": "tokens", "tokens_out": "tokens written"}


@dataclass(frozen=True)
class Row:
    """One trial of a run, and its latency summaries by condition, in the order of the table of
    scenarios; none where nothing was timed.

    `single` and `request` are of one query in flight, on this machine and through a network: never
    the same thing, and no trial has both. `parts` holds, by condition, the median milliseconds of
    each part of a call, `timing` what the record tells of its timed pass; `failed` is the share of
    called queries whose call failed; `usage` what an answered query took in the mean, by the names
    of `Usage`. Where more than half of the queries failed, `quality` and `differences` are empty: a
    mean of failures is no quality, and every verdict, plot and export is drawn from these rows.
    `longest` is the number of candidates of the query that has the most, None where a record does
    not say. `meaningless` is an order that leads no verdict: that of a model with random weights,
    or of a published run over other candidates.
    """

    trial: Trial
    status: str
    reason: str | None
    quality: Mapping[str, Estimate] = field(default_factory=dict)
    differences: Mapping[str, Difference] = field(default_factory=dict)
    latency: Mapping[Condition, Summary] = field(default_factory=dict)
    parts: Mapping[Condition, Mapping[str, float]] = field(default_factory=dict)
    timing: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    cost: Cost | None = None
    usage: Mapping[str, float] = field(default_factory=dict)
    failed: float = 0.0
    longest: int | None = None
    meaningless: bool = False

    @property
    def name(self) -> str:
        return self.trial.reranker

    @property
    def out_of_verdict(self) -> str:
        """Why the row leads no verdict: it did not run, most of its queries failed, or its order
        means nothing. Empty where it may lead one.
        """
        if self.status != "done":
            return f"{self.status}: {self.reason or 'no reason given'}"
        if not self.quality:
            return self.notes[-1] if self.notes else "no quality was measured"
        reasons = [note for note in self.notes if note in (RANDOM, ELSEWHERE)]
        return reasons[0] if self.meaningless and reasons else ""

    @property
    def single(self) -> Summary | None:
        return self.latency.get(Condition(one_query_at(remote=False)))

    @property
    def request(self) -> Summary | None:
        return self.latency.get(Condition(one_query_at(remote=True)))

    @property
    def offline(self) -> Summary | None:
        return next((summary for summary in self.latency.values() if summary.pairs_per_s), None)

    def to_dict(self) -> dict[str, Any]:
        """Flat columns for a DataFrame: names, status, each measure with its interval, differences,
        latency in milliseconds.
        """
        row: dict[str, Any] = {
            name: getattr(self.trial, name)
            for name in ("dataset", "first_stage", "reranker", "device", "depth", "kind")
        }
        row |= {"status": self.status, "reason": self.reason}
        if self.status == "done":
            row |= {"failed": self.failed}
        for name, value in self.quality.items():
            row |= {name: value.mean, f"{name} low": value.low, f"{name} high": value.high}
        for name, delta in self.differences.items():
            row |= {
                f"Δ {name}": delta.mean,
                f"Δ {name} low": delta.low,
                f"Δ {name} high": delta.high,
                f"Δ {name} p": delta.p,
            }
        for prefix, summary in (("", self.single), ("request ", self.request)):
            if summary:
                for column, title in FRAME_COLUMNS:
                    interval = summary.of(column)
                    row |= {
                        f"{prefix}{title}": interval.value,
                        f"{prefix}{title} low": interval.low,
                        f"{prefix}{title} high": interval.high,
                    }
        if self.offline:
            row |= {"pairs/s": self.offline.pairs_per_s}
        row |= {
            f"{title} per query": self.usage[name]
            for name, title in SHOWN_USAGE.items()
            if self.usage.get(name)
        }
        if self.cost:
            row |= {"USD": self.cost.usd, "USD per 1000 queries": self.cost.usd_per_1000_queries}
        return row


def rows(run: RunFolder) -> list[Row]:
    """The rows of a run in the suite's order, but for those that have no quality: see
    `architectures`.
    """
    timings, pieces = _timings(run)
    table = []
    for status in run.info.trials:
        if status.trial.kind == "architecture":
            continue
        record = run.records.get(status.trial.id)
        if record is None:
            table.append(Row(status.trial, status.status, status.reason))
            continue
        if record.unanswered:
            called = counted(record.counts.called, "query")
            reason = f"none of its {called} was answered: {_reason(record)}"
            table.append(Row(status.trial, "failed", reason))
            continue
        answered = max(1, sum(record.scores.values()))
        row = Row(
            status.trial,
            "done",
            None,
            quality={} if record.mostly_failed else record.quality,
            differences={} if record.mostly_failed else record.vs_first_stage,
            latency=timings.get(status.trial.id, {}),
            parts=pieces.get(status.trial.id, {}),
            timing=record.latency or {},
            notes=(*_notes(record), *_without_ranking(run, record)),
            cost=record.cost,
            usage={name: value / answered for name, value in record.usage.items()},
            failed=record.counts.failed_share,
            longest=record.candidates.get("longest"),
            meaningless=_is_random(record) or _is_elsewhere(record),
        )
        table.append(row)
    return table


def architectures(run: RunFolder) -> list[Row]:
    """The rows that were timed without weights, and never scored: latency, and no quality."""
    timings, pieces = _timings(run)
    table = []
    for status in run.info.trials:
        if status.trial.kind == "architecture":
            trial_id, record = status.trial.id, run.architectures.get(status.trial.id)
            facts = record.latency if record else {}
            row = Row(
                status.trial,
                status.status,
                status.reason,
                timing=facts,
                notes=tuple(map(str, facts.get("notes", []))),
            )
            table.append(
                replace(row, latency=timings.get(trial_id, {}), parts=pieces.get(trial_id, {}))
            )
    return table


def _timings(
    run: RunFolder,
) -> tuple[dict[str, dict[Condition, Summary]], dict[str, dict[Condition, dict[str, float]]]]:
    """Return summaries and parts of a call: trial -> condition -> value."""
    seed = int(run.info.resolved.get("seed") or 0)
    return _by_trial(summarise(run.latency, seed=seed)), _by_trial(parts(run.latency))


def _by_trial(values: Mapping[tuple[str, Condition], Value]) -> dict[str, dict[Condition, Value]]:
    """Return trial -> condition -> value, scenarios in the order of their table."""
    ranks = {name: rank for rank, name in enumerate(in_order(of.scenario for _, of in values))}
    nested: dict[str, dict[Condition, Value]] = {}
    for (trial, of), value in sorted(values.items(), key=lambda item: ranks[item[0][1].scenario]):
        nested.setdefault(trial, {})[of] = value
    return nested


def notes_on(members: Sequence[Row]) -> list[tuple[Sequence[Row], str]]:
    """Every note of these rows once, in their order, with the rows that it is about."""
    found: dict[str, list[Row]] = {}
    for row in members:
        for note in row.notes:
            found.setdefault(note, []).append(row)
    return [(about, note) for note, about in found.items()]


def measures_of(members: Sequence[Row]) -> list[str]:
    """The measures of a group, the headline first. Names may differ between groups: RR@10 is
    RR(rel=2)@10 where grade 2 is relevant.
    """
    names = next((list(row.quality) for row in members if row.quality), [])
    return [name for name in names if name != JUDGED] or names


def candidates_of(members: Sequence[Row]) -> str:
    """Return how many candidates a group's rerankers had of a query, in words."""
    longest = (row.longest for row in members if row.longest is not None)
    return candidates(members[0].trial.depth, next(longest, None))


def groups(table: list[Row]) -> dict[GroupKey, list[Row]]:
    """Rows by what makes them comparable."""
    found: dict[GroupKey, list[Row]] = {}
    for row in table:
        found.setdefault((row.trial.dataset, row.trial.first_stage, row.trial.depth), []).append(
            row
        )
    return found


def _notes(record: Record) -> list[str]:
    """What a reader should know before trusting a row."""
    notes = []
    if _is_random(record):
        notes.append(RANDOM)
    if _is_elsewhere(record):
        notes.append(ELSEWHERE)
    counts = record.counts
    if record.mostly_failed:
        notes.append(
            f"{counts.failed} of {counted(counts.called, 'query')} failed: no quality is "
            f"concluded from the rest (e.g. {_reason(record)})"
        )
        return notes
    if counts.failed:
        notes.append(
            f"{counts.failed} of {counted(counts.called, 'query')} failed and score 0 (e.g. "
            f"{_reason(record)})"
        )
    judged = record.quality.get(JUDGED)
    if judged and judged.mean < LOW_JUDGED and not record.dataset.get("relevant_only"):
        notes.append(
            f"only {judged.mean:.0%} of the top 10 is judged: unjudged documents count as not "
            "relevant"
        )
    if counts.pairs and counts.ties > SHOWN_TIES * counts.pairs:
        notes.append(f"{counts.ties} of {counted(counts.pairs, 'document')} tie in score")
    if counts.beyond_single_precision:
        stand_in = "the run file holds the nearest that keep the order"
        notes.append(
            f"{counted(counts.beyond_single_precision, 'score')} beyond single precision: "
            f"{stand_in}"
        )
    truncated, pairs = record.usage.get("truncated", 0), record.usage.get("pairs", 0)
    if pairs and truncated > 0.01 * pairs:
        notes.append(f"{truncated / pairs:.0%} of the pairs were cut at max length")
    if cut_queries := record.usage.get("cut_queries", 0):
        notes.append(f"{times(cut_queries)} a query was too long and was cut as well")
    answers = max(1.0, record.usage.get("calls", 0) - record.usage.get("retries", 0))
    repairs = record.usage.get("repairs", 0)
    if repairs > SHOWN_REPAIRS * answers:
        notes.append(
            f"{repairs / answers:.0%} of the answers were no complete order and had to be mended"
        )
    if halvings := record.usage.get("halvings", 0):
        notes.append(
            f"the accelerator's memory was full {times(halvings)}: batches were halved until "
            "they fitted"
        )
    if cut := record.usage.get("cut_answers", 0):
        notes.append(
            f"{cut / answers:.0%} of the answers were cut off at the length limit: answer_tokens "
            "is too low"
        )
    if splits := record.usage.get("split_requests", 0):
        notes.append(
            f"{times(splits)} a request was too large for the service and was sent in halves"
        )
    if blanks := record.usage.get("blanks", 0):
        notes.append(
            f"not sent, and ranked behind all others: {counted(blanks, 'document')} without text"
        )
    notes += [str(warning) for warning in record.description.get("facts", {}).get("warnings", [])]
    facts = record.latency or {}
    notes += [str(note) for note in facts.get("notes", [])]
    return notes


def _without_ranking(run: RunFolder, record: Record) -> list[str]:
    if not record.counts.pairs or record.trial.id not in run.without_ranking():
        return []
    return ["its ranking is not in the run folder: none of its documents is shown"]


def _reason(record: Record) -> str:
    """Why the first of the failed queries failed."""
    return next(iter(record.failures.values()), "no reason given")


def doubt(record: Record) -> str:
    """Return why the order of a record that was measured means nothing, empty where it does."""
    if _is_random(record):
        return RANDOM
    return ELSEWHERE if _is_elsewhere(record) else ""


def _is_random(record: Record) -> bool:
    return bool(record.description.get("facts", {}).get("random_weights"))


def _is_elsewhere(record: Record) -> bool:
    """Whether the row is of a published run that lists other documents in the place of these
    candidates.
    """
    return bool(record.description.get("facts", {}).get("other_candidates"))
