"""The main table as values: one row per trial, skipped ones included. Every report is drawn from
these rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from bench.contract.identity import Fields
from bench.contract.trial import Trial
from bench.core.counting import candidates, counted
from bench.core.note import Code, Note, read_notes
from bench.core.printable import one_line
from bench.core.wording import sentences, worded
from bench.latency.columns import P50, P95, PER_PAIR
from bench.latency.sample import Condition
from bench.latency.scenarios import in_order, one_query_at
from bench.latency.summary import Summary
from bench.quality.measures import JUDGED
from bench.quality.statistics import Difference, Estimate
from bench.records.facts import TimingFacts
from bench.records.judges import is_unjudged, judge_note
from bench.records.learned import LearnedRecord
from bench.records.losses import LossRecord
from bench.records.schema import ArchitectureRecord, Cost, Record, StageRecord
from bench.records.training import is_unseen, seen_by_stage, seen_families

if TYPE_CHECKING:
    from bench.records.folder import RunFolder

Value = TypeVar("Value")
GroupKey = tuple[str, str, int]
"""Dataset, first stage, depth."""


class OfTrial(Protocol):
    """What is of one trial."""

    @property
    def trial(self) -> Trial: ...


Member = TypeVar("Member", bound=OfTrial)

DOUBTS = {"random_weights": Code.RANDOM_WEIGHTS, "other_candidates": Code.OTHER_CANDIDATES}
"""Facts of a description that leave an order without a meaning: random weights, and a published run
that lists other documents in the place of these candidates.
"""
LOW_JUDGED = 0.8
SHOWN_TIES = 0.05
SHOWN_REPAIRS = 0.01
SHOWN_TRUNCATED = 0.01
FRAME_COLUMNS = ((P50, "p50 ms"), (P95, "p95 ms"), (PER_PAIR, "ms per pair"))
"""Numbers of one query in flight, by the names that they have in a DataFrame."""
SHOWN_USAGE = {"calls": "calls", "tokens": "tokens", "tokens_out": "tokens written"}


@dataclass(frozen=True)
class Row:
    """One trial of a run, and its latency summaries by condition, in the order of the table of
    scenarios; none where nothing was timed.

    `query_here` and `query_elsewhere` are of one query in flight, never
    the same thing, and no trial has both. `parts` holds, by condition, the median milliseconds of
    each part of a call, `timing` what the record tells of its timed pass; `failed` is the share of
    called queries whose call failed; `usage` what an answered query took in the mean, by the names
    of `Usage`. Where more than half of the queries failed, `quality` and `differences` are empty: a
    mean of failures is no quality, and every verdict, plot and export is drawn from these rows.
    `longest` is the number of candidates of the query that has the most, None where a record does
    not say. `stages` are those of a pipeline, `learned` those that were trained, `losses` where
    relevant documents were lost. `first_changed` is the share of queries with another first
    document than the first stage's. `meaningless` is an
    order that leads no verdict: that of a model with random weights, or of a published run over
    other candidates, alone or as a stage. `seen` are the families of the collection that a model of
    the row was trained on, `seen_by_stage` those of a pipeline's models up to each of its stages;
    `is_unseen` is None where that is not known. `judge` says that a model
    made the judgments, None where people did.
    """

    trial: Trial
    status: str
    reason: str | None
    quality: Mapping[str, Estimate] = field(default_factory=dict)
    differences: Mapping[str, Difference] = field(default_factory=dict)
    latency: Mapping[Condition, Summary] = field(default_factory=dict)
    parts: Mapping[Condition, Mapping[str, float]] = field(default_factory=dict)
    timing: TimingFacts = field(default_factory=TimingFacts)
    notes: tuple[Note, ...] = ()
    cost: Cost | None = None
    usage: Mapping[str, float] = field(default_factory=dict)
    failed: float = 0.0
    longest: int | None = None
    stages: Sequence[StageRecord] = ()
    losses: LossRecord | None = None
    first_changed: float | None = None
    learned: Sequence[LearnedRecord] = ()
    meaningless: bool = False
    seen: Sequence[str] = ()
    seen_by_stage: Sequence[Sequence[str]] = ()
    is_unseen: bool | None = None
    judge: Note | None = None

    @property
    def name(self) -> str:
        return self.trial.reranker

    def competes(self, measure: str) -> bool:
        """Return whether it is a reranker whose order means something by this measure."""
        is_measured = self.trial.kind == "reranker" and measure in self.quality
        return is_measured and not self.meaningless

    @property
    def absence(self) -> str:
        """Why it has no results, where it has none."""
        if self.status == "pending":
            return "the run has not reached it"
        return self.reason or "no reason given"

    @property
    def disturbances(self) -> list[Note]:
        """What else the machine did while the row was timed."""
        return list(read_notes(self.timing.get("disturbances") or []))

    @property
    def query_here(self) -> Summary | None:
        """The latency of one query in flight on this machine."""
        return self.latency.get(Condition(one_query_at(remote=False)))

    @property
    def query_elsewhere(self) -> Summary | None:
        """The latency of one query in flight through a network."""
        return self.latency.get(Condition(one_query_at(remote=True)))

    @property
    def throughput(self) -> Summary | None:
        """The scenario that says how many pairs per second are scored."""
        return next((summary for summary in self.latency.values() if summary.pairs_per_s), None)

    def to_dict(self) -> Fields:
        """Flat columns for a DataFrame: names, status, each measure with its interval, differences,
        latency in milliseconds.
        """
        trial = self.trial
        row: dict[str, Any] = {
            "dataset": trial.dataset,
            "first_stage": trial.first_stage,
            "reranker": trial.reranker,
            "device": trial.device,
            "depth": trial.depth,
            "kind": trial.kind,
        }
        row["candidates"] = trial.depth
        if self.longest is not None:
            row["candidates"] = min(self.longest, trial.depth)
        row |= {"status": self.status, "reason": self.reason}
        if self.status == "done":
            row |= {"failed": self.failed, "unseen": self.is_unseen}
        if self.judge is not None:
            row["judged_by"] = worded(self.judge)
        for name, value in self.quality.items():
            row |= {name: value.mean, f"{name} low": value.low, f"{name} high": value.high}
        for name, delta in self.differences.items():
            row |= {
                f"Δ {name}": delta.mean,
                f"Δ {name} low": delta.low,
                f"Δ {name} high": delta.high,
                f"Δ {name} p": delta.p,
            }
        for prefix, summary in (("", self.query_here), ("request ", self.query_elsewhere)):
            if summary:
                for column, title in FRAME_COLUMNS:
                    interval = summary.of(column)
                    row |= {
                        f"{prefix}{title}": interval.value,
                        f"{prefix}{title} low": interval.low,
                        f"{prefix}{title} high": interval.high,
                    }
        if self.disturbances:
            row |= {"timing disturbed": "; ".join(sentences(self.disturbances))}
        if self.throughput:
            row |= {"pairs/s": self.throughput.pairs_per_s}
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
    timings, pieces = _by_trial(run.summaries), _by_trial(run.parts)
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
            stages=() if record.mostly_failed else record.stages,
            first_changed=record.first_changed,
            learned=() if record.mostly_failed else record.learned,
            losses=None if is_unjudged(record) else record.losses,
            meaningless=bool(doubts(record)),
            seen=seen_families(record),
            seen_by_stage=seen_by_stage(record),
            is_unseen=is_unseen(record),
            judge=judge_note(record),
        )
        table.append(row)
    return list(_with_untimed(table))


def _with_untimed(table: Sequence[Row]) -> Iterator[Row]:
    """Yield the rows, those with the reason that have no time where others of their group have."""
    timed = {group_of(row.trial) for row in table if row.latency}
    for row in table:
        is_measured = bool(row.quality) and row.trial.kind == "reranker"
        if is_measured and not row.timing and group_of(row.trial) in timed:
            yield replace(row, notes=(*row.notes, Note(Code.UNTIMED)))
        else:
            yield row


def group_of(trial: Trial) -> GroupKey:
    """Return what makes a trial comparable with others of its run."""
    return trial.dataset, trial.first_stage, trial.depth


def architectures(run: RunFolder) -> list[Row]:
    """The rows that were timed without weights, and never scored: latency, and no quality."""
    timings, pieces = _by_trial(run.summaries), _by_trial(run.parts)
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
                notes=read_notes(facts.get("notes", [])),
            )
            table.append(
                replace(row, latency=timings.get(trial_id, {}), parts=pieces.get(trial_id, {}))
            )
    return table


def _by_trial(values: Mapping[tuple[str, Condition], Value]) -> dict[str, dict[Condition, Value]]:
    """Return trial -> condition -> value, scenarios in the order of their table."""
    ranks = {name: rank for rank, name in enumerate(in_order(of.scenario for _, of in values))}
    nested: dict[str, dict[Condition, Value]] = {}
    for (trial, of), value in sorted(values.items(), key=lambda item: ranks[item[0][1].scenario]):
        nested.setdefault(trial, {})[of] = value
    return nested


def measures_of(members: Sequence[Row]) -> list[str]:
    """The measures of a group, the headline first. Names may differ between groups: RR@10 is
    RR(rel=2)@10 where grade 2 is relevant.
    """
    names = next((list(row.quality) for row in members if row.quality), [])
    return [name for name in names if name != JUDGED] or names


def headline_of(members: Sequence[Row]) -> str:
    """Return the headline measure of a group; empty where nothing was measured."""
    return next(iter(measures_of(members)), "")


def longest_of(members: Sequence[Row]) -> int | None:
    """Return the number of candidates of a group's query that has the most, None where no record
    says.
    """
    return next((row.longest for row in members if row.longest is not None), None)


def candidates_of(members: Sequence[Row]) -> str:
    """Return how many candidates a group's rerankers had of a query, in words."""
    return candidates(members[0].trial.depth, longest_of(members))


def disturbances_of(members: Iterable[Row]) -> list[str]:
    """Return what else the machine did while these rows were timed, each sentence once."""
    texts: dict[str, None] = {}
    for row in members:
        texts |= dict.fromkeys(sentences(row.disturbances))
    return list(texts)


def groups(members: Iterable[Member]) -> dict[GroupKey, list[Member]]:
    """Return rows, records or sides by what makes their trials comparable, in their order."""
    by_group: dict[GroupKey, list[Member]] = {}
    for member in members:
        by_group.setdefault(group_of(member.trial), []).append(member)
    return by_group


def _notes(record: Record) -> list[Note]:
    """What a reader should know before trusting a row."""
    notes = doubts(record)
    if seen := seen_families(record):
        notes.append(Note(Code.TRAINED_ON, text=", ".join(seen)))
    counts = record.counts
    if record.mostly_failed:
        failed = Note(Code.MOSTLY_FAILED, counts.failed, counts.called, _reason(record))
        return [*notes, failed]
    if counts.failed:
        notes.append(Note(Code.FAILED, counts.failed, counts.called, _reason(record)))
    judged = record.quality.get(JUDGED)
    if judged and judged.mean < LOW_JUDGED and not record.dataset.get("relevant_only"):
        notes.append(Note(Code.FEW_JUDGED, judged.mean, 1))
    if counts.pairs and counts.ties > SHOWN_TIES * counts.pairs:
        notes.append(Note(Code.TIES, counts.ties, counts.pairs))
    if counts.beyond_single_precision:
        notes.append(Note(Code.BEYOND_SINGLE_PRECISION, counts.beyond_single_precision))
    notes += _notes_of_usage(record.usage)
    if record.cost is not None and record.pairs is not None and record.pairs.shared:
        pairs = record.pairs
        notes.append(Note(Code.SHARED_BILL, pairs.shared, pairs.computed + pairs.cached))
    facts = record.description.get("facts") or {}
    notes += read_notes(facts.get("warnings") or [])
    if record.latency is not None:
        notes += read_notes(record.latency.get("notes") or [])
    return notes


def _notes_of_usage(usage: Mapping[str, float]) -> list[Note]:
    """What was cut, mended, split or left out while the documents were scored."""
    notes = []
    truncated, pairs = usage.get("truncated", 0), usage.get("pairs", 0)
    if pairs and truncated > SHOWN_TRUNCATED * pairs:
        notes.append(Note(Code.TRUNCATED, truncated, pairs))
    if cut_queries := usage.get("cut_queries", 0):
        notes.append(Note(Code.CUT_QUERIES, cut_queries))
    answers = max(1.0, usage.get("calls", 0) - usage.get("retries", 0))
    repairs = usage.get("repairs", 0)
    if repairs > SHOWN_REPAIRS * answers:
        notes.append(Note(Code.REPAIRS, repairs, answers))
    if halvings := usage.get("halvings", 0):
        notes.append(Note(Code.HALVINGS, halvings))
    if cut := usage.get("cut_answers", 0):
        notes.append(Note(Code.CUT_ANSWERS, cut, answers))
    if splits := usage.get("split_requests", 0):
        notes.append(Note(Code.SPLIT_REQUESTS, splits))
    if blanks := usage.get("blanks", 0):
        notes.append(Note(Code.BLANKS, blanks))
    return notes


def _without_ranking(run: RunFolder, record: Record) -> list[Note]:
    if not record.counts.pairs or run.has_ranking(record.trial.id):
        return []
    return [Note(Code.NO_RANKING)]


def _reason(record: Record) -> str:
    """Why the first of the failed queries failed."""
    return one_line(next(iter(record.failures.values()), "no reason given"))


def doubts(record: Record | ArchitectureRecord) -> list[Note]:
    """Return why the order of a record means nothing, stage by stage where it is of a pipeline;
    empty where it means something.
    """
    facts = record.description.get("facts") or {}
    notes = [Note(code) for name, code in DOUBTS.items() if facts.get(name)]
    for stage in facts.get("stages") or []:
        own = [Note(code) for name, code in DOUBTS.items() if stage.get(name)]
        notes += [note.at(str(stage.get("name"))) for note in own]
    return notes
