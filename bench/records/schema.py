"""The record of a trial and the table of contents of a run, as they stand on disk."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from bench.contract.identity import Identity
from bench.contract.request import is_amount
from bench.contract.trial import Trial, TrialStatus
from bench.core.note import StoredNote
from bench.core.options import Options
from bench.quality.assess import Counts
from bench.quality.measures import ROUNDING, value_range
from bench.quality.statistics import Difference, Estimate
from bench.records.facts import (
    AsStored,
    CandidateFacts,
    DatasetFacts,
    DescriptionFacts,
    MachineFacts,
    SuiteFacts,
    TimingFacts,
    check_architecture,
    check_candidates,
    check_dataset,
    check_description,
    check_nothing,
    check_suite,
    check_timing,
)
from bench.records.keys import Key, question_key, system_key
from bench.records.learned import LearnedRecord
from bench.records.losses import LossRecord
from bench.records.timings import TimingSummary

SCHEMA_VERSION = 2
OLDEST = 1
"""The oldest schema version that is read."""

ARGUMENT = "argument "
"""What the name of an input begins with that is a file an outsider's class was given."""


FAILURES = 50
"""Failed queries of a trial whose reasons a record holds."""
FAILED_LIMIT = 0.5
"""A trial of which a larger share of the queries failed is out of every verdict."""


def _comparable(keys: dict[str, Key]) -> dict[str, Key]:
    for name in ("quality", "system"):
        if name not in keys:
            raise ValueError(f"there is no {name} key")
    return keys


def _within_range(quality: dict[str, Estimate]) -> dict[str, Estimate]:
    for measure, estimate in quality.items():
        low, high = value_range(measure)
        if not low - ROUNDING <= estimate.mean <= high + ROUNDING:
            raise ValueError(f"a mean {measure} of {estimate.mean:g} cannot be")
        for bound in (estimate.low, estimate.high):
            if not low - ROUNDING <= bound <= high + ROUNDING:
                raise ValueError(f"an interval of {measure} that ends at {bound:g} cannot be")
        if estimate.n < 0:
            raise ValueError(f"a mean {measure} over {estimate.n} queries cannot be")
    return quality


def _probable(differences: dict[str, Difference]) -> dict[str, Difference]:
    for measure, difference in differences.items():
        if not 0 <= difference.p <= 1:
            raise ValueError(f"a p of {difference.p:g} ({measure}) is no probability")
        if not math.isfinite(difference.mean):
            raise ValueError(f"a difference in {measure} of {difference.mean:g} cannot be")
        if not (math.isfinite(difference.low) and math.isfinite(difference.high)):
            raise ValueError(f"the interval of a difference in {measure} is not finite")
        if min(difference.wins, difference.ties, difference.losses) < 0:
            raise ValueError(f"a difference in {measure} counts less than 0 queries")
    return differences


def _amounts(usage: dict[str, float]) -> dict[str, float]:
    for name, amount in usage.items():
        if not is_amount(amount):
            raise ValueError(f"{amount:g} {name} cannot have been used")
    return usage


def _of_its_queries(counts: Counts) -> Counts:
    if counts.without_candidates > counts.queries:
        raise ValueError(
            f"{counts.without_candidates} of {counts.queries} queries cannot be without candidates"
        )
    if counts.failed > counts.called:
        raise ValueError(f"{counts.failed} of {counts.called} queries cannot have failed")
    return counts


Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Queries = Annotated[int, Field(ge=0)]
UsageField = Annotated[dict[str, float], AfterValidator(_amounts)]
CountsField = Annotated[Counts, AfterValidator(_of_its_queries)]


DatasetField = Annotated[DatasetFacts, AsStored(check_dataset)]
CandidateField = Annotated[CandidateFacts, AsStored(check_candidates)]
DescriptionField = Annotated[DescriptionFacts, AsStored(check_description)]
ArchitectureField = Annotated[DescriptionFacts, AsStored(check_architecture)]
TimingField = Annotated[TimingFacts, AsStored(check_timing)]
SuiteField = Annotated[SuiteFacts, AsStored(check_suite)]
MachineField = Annotated[MachineFacts, AsStored(check_nothing)]


class Cost(Options):
    """What the queries of a trial cost when their scores were bought, by the units that the service
    billed, at the price in force now.
    """

    usd: Amount
    usd_per_1000_queries: Amount
    queries: Queries = Field(
        0,
        description="answered queries: failed ones are in the bill only as far as the service "
        "charged for them",
    )
    units: Amount = Field(description="billed units of all queries")
    unit: str = Field(description="what is billed: 1000 searches, 1000 requests, million tokens")
    usd_per_unit: Amount
    units_out: Amount = Field(
        0.0, description="million tokens that a model wrote, where they are billed"
    )
    usd_per_unit_out: Amount | None = None
    as_of: str | None = Field(None, description="the day for which the price was given")
    source: str = Field(description="where the price was read, or 'suite'")


class Pairs(Options):
    """Pairs of the answered queries, by where their scores are from."""

    computed: int = Field(ge=0, description="scored now")
    cached: int = Field(ge=0, description="known before")
    shared: int = Field(
        ge=0, description="those of both that an earlier row or stage of the run had asked for"
    )


class StageRecord(Options):
    """What became of a pipeline's candidates in one of its stages. The first is the search."""

    name: str
    received: int | None = Field(
        ge=0, description="documents per query that it gets, at most; None for the search"
    )
    keep: int = Field(ge=0, description="documents per query that it hands on, at most")
    quality: Annotated[dict[str, Estimate], AfterValidator(_within_range)] = Field(
        description="of the order as it stands after the stage: documents that it did not see keep "
        "their place below those that it saw; empty where more than half of the queries failed"
    )
    recall: float | None = Field(
        ge=-ROUNDING,
        le=1 + ROUNDING,
        allow_inf_nan=False,
        description="mean share of a query's relevant documents among those that it hands on, over "
        "the queries that it answered; None where none of these has a relevant document",
    )
    recall_before: float | None = Field(
        None,
        ge=-ROUNDING,
        le=1 + ROUNDING,
        allow_inf_nan=False,
        description="the same of what it got, over the same queries; None of the search",
    )
    lost: float | None = Field(
        None,
        ge=-ROUNDING,
        le=1 + ROUNDING,
        allow_inf_nan=False,
        description="recall of what it got less recall of what it hands on, over the same queries",
    )
    lost_documents: int | None = Field(
        None,
        ge=0,
        description="relevant documents of these queries that it got and did not hand on",
    )
    spans: list[str] = Field(
        default_factory=list,
        description="the spans of its parts, where it is made of others: its time is theirs and "
        "that of its own span together",
    )
    usage: UsageField = Field(default_factory=dict)
    scores: dict[str, Queries] = Field(default_factory=dict)
    pairs: Pairs | None = None
    shared_usage: UsageField = Field(default_factory=dict)
    cost: Cost | None = None


class Record(Options):
    """What happened in one trial. Written once, never rewritten."""

    schema_version: int = SCHEMA_VERSION
    trial: Trial
    description: DescriptionField
    dataset: DatasetField
    candidates: CandidateField
    quality: Annotated[dict[str, Estimate], AfterValidator(_within_range)]
    vs_first_stage: Annotated[dict[str, Difference], AfterValidator(_probable)]
    first_changed: float | None = Field(
        None,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="share of ranked queries whose first document is not the first stage's; None "
        "in older runs",
    )
    counts: CountsField
    pointwise: bool | None = Field(
        None,
        description="whether a document's score is the same next to any other documents, so that "
        "the scores serve at every depth; None in older records",
    )
    failures: dict[str, str] = Field(
        default_factory=dict,
        description="query_id -> reason, the first fifty; long ones are cut, and whole in errors/",
    )
    usage: UsageField = Field(default_factory=dict)
    scores: dict[str, Queries] = Field(
        description="queries whose scores came from the cache, and queries scored now"
    )
    reused: Queries = Field(
        0,
        description="of the queries whose scores came from the cache, those of which the run "
        "itself had bought all scores, for another row or stage; 0 in older records",
    )
    pairs: Pairs | None = Field(
        None, description="None where nothing is scored, such as an oracle, and in older runs"
    )
    shared_usage: UsageField = Field(
        default_factory=dict,
        description="the part of the usage that was for shared pairs: an earlier row of the run "
        "has it, too, and it was paid for once",
    )
    executor: str = Field(
        "",
        description="who computed what the cache lacked, where it was not the driver alone: a name "
        "of the suite's executors",
    )
    cost: Cost | None = Field(
        None, description="None where nothing is paid for by the query, or no price is known"
    )
    latency: TimingField | None = Field(
        None, description="facts of the timed pass; its samples are in the table latency"
    )
    timings: list[TimingSummary] = Field(
        default_factory=list, description="of the timed pass; empty in older runs"
    )
    stages: list[StageRecord] = Field(
        default_factory=list, description="of a pipeline: its stages, the search first"
    )
    losses: LossRecord | None = Field(
        None, description="of relevant documents, by stage; None in older runs"
    )
    learned: list[LearnedRecord] = Field(
        default_factory=list, description="stages that were trained in the run"
    )
    keys: Annotated[dict[str, Key], AfterValidator(_comparable)]
    environment: MachineField
    finished: str

    @property
    def identity(self) -> Identity:
        """What decides the reranker's scores. Records of earlier versions have a part of it among
        the facts.
        """
        return Identity.read(self.keys["system"].fields, self.description.get("facts"))

    @property
    def system(self) -> Key:
        """The key of the identity, by which rerankers are the same."""
        return system_key(self.identity)

    @property
    def question(self) -> Key:
        """The quality key, by which numbers of one measure are comparable."""
        return question_key(self.keys["quality"])

    @property
    def unanswered(self) -> bool:
        """Whether no query was answered: the trial failed, and what reads as its quality is none.
        Such a trial leaves no record; folders of earlier versions may hold one.
        """
        return self.counts.failed_share >= 1

    @property
    def failed_share(self) -> float:
        """Return the share of the queries that failed."""
        return self.counts.failed_share

    @property
    def mostly_failed(self) -> bool:
        """Whether more than half of the queries failed. Its means are of failures, which count 0:
        nothing is concluded from them."""
        return self.counts.failed_share > FAILED_LIMIT


class ArchitectureRecord(Options):
    """What a network without its weights took. It was never scored, and there is no place for a
    quality here.
    """

    schema_version: int = SCHEMA_VERSION
    trial: Trial
    description: ArchitectureField
    dataset: DatasetField
    candidates: CandidateField
    latency: TimingField = Field(
        description="facts of the timed pass; its samples are in the table latency"
    )
    timings: list[TimingSummary] = Field(
        default_factory=list, description="of the timed pass; empty in older runs"
    )
    keys: dict[str, Key]
    environment: MachineField
    finished: str

    @property
    def failed_share(self) -> float:
        """Return 0: no query was scored."""
        return 0.0


class RunInfo(Options):
    """run.json: the suite as asked and as resolved, the environment, and the status of each
    trial.
    """

    schema_version: int = SCHEMA_VERSION
    id: str
    suite: str
    description: str = ""
    asked: dict[str, Any]
    resolved: SuiteField
    base_dir: str = Field(
        "", description="what paths in the suite are relative to, as seen from where it was run"
    )
    suite_hash: str
    command: str = ""
    started: str
    finished: str | None = None
    status: Literal["running", "done"] = "running"
    version: str
    environment: MachineField
    inputs: dict[str, str] = Field(
        default_factory=dict,
        description="digests and versions of what decides the numbers and is not in the suite: "
        "an unfinished run is "
        "continued only where they agree",
    )
    continued: list[str] = Field(
        default_factory=list, description="when the run was taken up again after an interruption"
    )
    trials: list[TrialStatus]
    warnings: list[StoredNote] = Field(default_factory=list)

    def differing_inputs(self, other: RunInfo) -> list[str]:
        """Return the names of the inputs that are not the same in another, later run. A file among
        the arguments of an outsider's class that was not there when this run began is one that it
        wrote, such as a log.
        """
        added = {
            name
            for name in other.inputs.keys() - self.inputs.keys()
            if not name.startswith(ARGUMENT)
        }
        return sorted(
            {name for name, value in self.inputs.items() if other.inputs.get(name) != value} | added
        )

    def failures(self) -> list[str]:
        """Return a line per reason for which trials failed: of the whole group where all of its
        trials did, else of each reranker.
        """
        groups: dict[tuple[str, str], list[TrialStatus]] = {}
        for status in self.trials:
            groups.setdefault((status.trial.dataset, status.trial.first_stage), []).append(status)
        lines: list[str] = []
        for (dataset, first_stage), members in groups.items():
            failed = [status for status in members if status.status == "failed"]
            reasons = {status.reason for status in members if status.status != "skipped"}
            if failed and reasons == {failed[0].reason} and failed[0].trial.kind == "reference":
                lines.append(f"{dataset}, {first_stage} failed: {failed[0].reason}")
            else:
                lines += [f"{status.trial.reranker} failed: {status.reason}" for status in failed]
        return list(dict.fromkeys(lines))
