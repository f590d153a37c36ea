"""From a suite to its trials: every combination named, every reranker built and checked, before
anything is computed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from bench import rerankers
from bench.contract.identity import Fields
from bench.contract.part import Part
from bench.contract.stage import Description, Placement, Reranker
from bench.contract.trial import FIRST_STAGE, ORACLE, REFERENCES, Status, Trial, TrialStatus
from bench.core.errors import BenchError, SuiteError, Unavailable, nearest
from bench.core.filenames import file_stem
from bench.core.handed import handed_over
from bench.core.options import Keys
from bench.core.outsiders import OutsiderError, outsiders_code
from bench.core.plugins import name_of
from bench.core.redaction import for_others
from bench.machine.fingerprint import resolve_device
from bench.pipelines.pipeline import Pipeline
from bench.rerankers.base import BaseReranker
from bench.rerankers.options import RerankerOptions
from bench.suite.cascade_entry import is_cascade
from bench.suite.naming import display_name
from bench.suite.pipeline_entry import PipelineEntry
from bench.suite.pipeline_planning import (
    Candidates,
    as_part,
    built,
    candidates_of,
    cascade_entry,
    depth_of,
    origin_of,
)
from bench.suite.suite import Suite

_OTHER_LETTERS = re.compile(r"[^\w.-]")
"""What has no place in the name of a file."""


@dataclass
class Planned:
    """A trial, the reranker that will run it (nothing loaded yet), and what became of it."""

    trial: Trial
    reranker: Reranker
    status: TrialStatus
    part: Part
    optional: bool = False
    pipeline: Pipeline | None = None
    """The reranker, where it is a pipeline: it is scored stage by stage."""
    raised: OutsiderError | None = None
    """What an outsider's code raised when the trial was planned."""

    def end(self, status: Status, reason: str | None = None) -> None:
        """Set what became of the trial, and why where it did not run."""
        if reason:
            reason = for_others(reason)
        self.status = TrialStatus(trial=self.trial, status=status, reason=reason)


class Unbuilt(BaseReranker):
    """Takes the place of an outsider's reranker whose code raised, or exited, when it was built:
    its trial has failed.
    """

    placement: Placement = "none"

    def __init__(self, error: OutsiderError) -> None:
        super().__init__(RerankerOptions())
        self.error = error

    def check(self) -> None:
        raise self.error

    def fingerprint(self) -> Fields:
        return {}

    def describe(self) -> Description:
        return Description("none", {})

    def rerank(self, requests: Sequence[Any]) -> list[Any]:
        raise self.error


@dataclass
class Group:
    """The trials that share one dataset's candidates: they are compared with each other and timed
    together.
    """

    dataset: Part
    first_stage: Part
    device: str = "cpu"
    """Where a model of the first stage runs: the first of the suite's devices, since all rows share
    its candidates.
    """
    planned: list[Planned] = field(default_factory=list)


def plan(suite: Suite, device: str | None = None, *, lenient: bool = False) -> list[Group]:
    """Return every group of the suite, rerankers built and checked. `device` takes the place of the
    suite's own devices.

    Optional rerankers that cannot run here are marked as skipped; raises Unavailable for others
    (marks them as failed where `lenient`), since what they lack can be had. One whose weights are
    refused has failed, and the others run; raises BenchError where none is left, and SuiteError for
    names used twice.
    """
    names = suite.devices
    if device:
        names = (device,)
    devices = list(dict.fromkeys(map(resolve_device, names)))
    # another suite may have taken their names
    with handed_over(suite.handed):
        groups = _groups(suite, devices)
    refusals: list[BenchError] = []
    competitors = 0
    for group in groups:
        for planned in group.planned:
            refusals += _check(planned, lenient)
            competitors += planned.trial.kind != "reference"
    if refusals and not lenient:
        lacking = [refusal for refusal in refusals if isinstance(refusal, Unavailable)]
        if lacking:
            raise _unavailable(lacking)
        # nothing would be compared
        if len(refusals) == competitors:
            raise refusals[0]
    return groups


def _groups(suite: Suite, devices: Sequence[str]) -> list[Group]:
    """Return the groups of a suite, rerankers built. Raises SuiteError for names used twice."""
    candidates = candidates_of(suite)
    groups: list[Group] = []
    parts_of: dict[str, tuple[Part, ...]] = {}
    for dataset in suite.datasets:
        for shared in candidates:
            group = Group(dataset, shared.first_stage, devices[0])
            groups.append(group)
            for planned in _rows(suite, group, shared, devices):
                parts = (planned.part, group.first_stage, group.dataset)
                trial_id = planned.trial.id
                if trial_id in parts_of:
                    of_both = [*parts_of[trial_id], *parts]
                    raise _named_twice(suite, of_both, planned.trial)
                parts_of[trial_id] = parts
                group.planned.append(planned)
    return groups


def _named_twice(suite: Suite, of_both: Sequence[Part], trial: Trial) -> SuiteError:
    """Return the error for two trials of one name, whose parts are given: it names the place of the
    second of the two parts that share a name.
    """
    lists = (
        ("rerankers", suite.rerankers),
        ("first_stages", suite.first_stages),
        ("datasets", suite.datasets),
    )
    for key, parts in lists:
        places = [i for i, part in enumerate(parts) if any(part is other for other in of_both)]
        if len(places) == 2:
            return one_name(suite, key, parts, places)
    rows = [row for row in _rows_named(suite) if row.slug == _slug(trial.reranker)]
    if len(rows) < 2:
        return SuiteError(
            f"two trials are named '{trial.id}': give one of its parts another 'name'"
        )
    earlier, later = rows[:2]
    key = ".".join(map(str, earlier.keys))
    return suite.problem(
        later.keys, f"{key} is named '{earlier.name}' too: give one of the two another 'name'"
    )


def one_name(suite: Suite, key: str, parts: Sequence[Part], places: Sequence[int]) -> SuiteError:
    """Return the error for two parts of one name in a list of the suite: it names the place of the
    second.
    """
    first, second = places
    name = display_name(parts[first])
    return suite.problem(
        (key, second, parts[second].name),
        f"{key}.{first}.{parts[first].name} is named '{name}' too: give one of the two another "
        "'name'",
    )


class NamedRow(NamedTuple):
    """A row that the suite lists: its name, that name in a trial's id, and where it is written."""

    name: str
    slug: str
    keys: Keys


def _rows_named(suite: Suite) -> Iterator[NamedRow]:
    for number, part in enumerate(suite.rerankers):
        name = display_name(part)
        yield NamedRow(name, _slug(name), ("rerankers", number, part.name))
    for number, entry in enumerate(suite.pipelines):
        yield NamedRow(entry.name, _slug(entry.name), ("pipelines", number, "name"))


def _rows(
    suite: Suite, group: Group, candidates: Candidates, devices: Sequence[str]
) -> Iterator[Planned]:
    """Yield each row of the table: the first stage, every reranker and pipeline on every device,
    the oracle.
    """
    yield from _on_devices(suite, group, Part.model_validate(FIRST_STAGE), devices)
    if candidates.listed:
        for part in suite.rerankers:
            if is_cascade(part):
                cascade = cascade_entry(part, group.first_stage)
                yield from _on_devices(suite, group, as_part(cascade), devices, cascade)
            elif part.name not in REFERENCES:
                yield from _on_devices(suite, group, part, devices)
    for entry in candidates.pipelines:
        yield from _on_devices(suite, group, as_part(entry), devices, entry)
    yield from _on_devices(suite, group, Part.model_validate(ORACLE), devices)


def _on_devices(
    suite: Suite,
    group: Group,
    part: Part,
    devices: Sequence[str],
    entry: PipelineEntry | None = None,
) -> Iterator[Planned]:
    """Yield a row per device, one alone where no device of ours does the work."""
    for device in devices:
        reranker, pipeline = _built(suite, group, part, device, entry)
        if not _belongs(reranker, group, suite):
            return
        place: str | None = None
        if _is_on_device(reranker, pipeline):
            place = device
        trial = _trial(suite, group, part, place, latency_only=reranker.latency_only)
        optional = reranker.latency_only or reranker.optional
        if entry is not None:
            optional = optional or entry.optional
        yield Planned(trial, reranker, TrialStatus(trial=trial), part, optional, pipeline)
        if place is None:
            return


def _is_on_device(reranker: Reranker, pipeline: Pipeline | None) -> bool:
    """Return whether a device of the suite does some of the work: also of a pipeline, or of a
    reranker that is made of others, of which one stage is remote.
    """
    if reranker.placement == "device":
        return True
    parts = [part.reranker for part in reranker.parts]
    if pipeline is not None:
        parts += [step.reranker for step in pipeline.steps]
    return any(_is_on_device(part, None) for part in parts)


def _built(
    suite: Suite, group: Group, part: Part, device: str, entry: PipelineEntry | None
) -> tuple[Reranker, Pipeline | None]:
    try:
        with outsiders_code():
            if entry is None:
                reranker = _built_reranker(suite, part, device)
                reranker.follows(origin_of(suite, group.first_stage))
                return reranker, None
            pipeline = built(suite, entry, group.first_stage, device)
            return pipeline, pipeline
    except OutsiderError as error:
        return Unbuilt(error), None


def _built_reranker(suite: Suite, part: Part, device: str) -> Reranker:
    try:
        return rerankers.build(part.name, part.options, device, suite.base_dir)
    except SuiteError as error:
        number = suite.rerankers.index(part)
        raise suite.problem(("rerankers", number, part.name), str(error)) from error


def _belongs(reranker: Reranker, group: Group, suite: Suite) -> bool:
    """Return whether a row appears over a group's candidates: a published run may be of one dataset
    and first stage alone. Raises SuiteError where it names a part that the suite has not.
    """
    belongs = True
    for name, own, parts, what in (
        (reranker.of_dataset, group.dataset, suite.datasets, "dataset"),
        (reranker.of_first_stage, group.first_stage, suite.first_stages, "first stage"),
    ):
        names = [display_name(part) for part in parts]
        if name is not None and name not in names:
            raise SuiteError(
                f"{reranker.label}: the suite has no {what} '{name}': {nearest(name, names)}"
            )
        belongs = belongs and name in (None, display_name(own))
    return belongs


def _trial(
    suite: Suite, group: Group, part: Part, device: str | None, *, latency_only: bool
) -> Trial:
    name = display_name(part)
    kind: Literal["reference", "reranker", "architecture"] = "reranker"
    if latency_only:
        name = f"{name} (random weights)"
        kind = "architecture"
    if part.name in REFERENCES:
        kind = "reference"
    dataset = display_name(group.dataset)
    first_stage = display_name(group.first_stage)
    steps = [dataset, first_stage, name]
    if device is not None:
        steps.append(device)
    return Trial(
        id=file_stem("--".join(_slug(step) for step in steps)),
        dataset=dataset,
        first_stage=first_stage,
        reranker=name,
        device=device,
        depth=depth_of(suite, group.first_stage),
        kind=kind,
    )


def _slug(text: str) -> str:
    """Return a name as a part of a trial's id."""
    return _OTHER_LETTERS.sub("-", text).strip("-.") or "x"


def _check(planned: Planned, lenient: bool) -> list[BenchError]:
    """Return why a reranker cannot run, if it cannot and should; its status says so, too."""
    name = planned.trial.reranker
    try:
        with outsiders_code(f"check() of {name_of(planned.reranker.origin)}"):
            planned.reranker.check()
    except OutsiderError as error:
        planned.raised = error
        planned.end("failed", str(error))
    except Unavailable as error:
        if planned.optional:
            planned.end("skipped", str(error) if lenient else error.reason)
            return []
        planned.end("failed", str(error))
        if not lenient:
            return [Unavailable(f"reranker '{name}': {error.reason}", error.fix)]
    except BenchError as error:
        planned.end("failed", str(error))
        return [BenchError(f"reranker '{name}': {error}")]
    return []


def _unavailable(lacking: Sequence[Unavailable]) -> Unavailable:
    """Return one error that names every reranker that lacks something, and what helps."""
    by_text = {str(refusal): refusal for refusal in lacking}
    *others, last = by_text.values()
    rows = "them" if others else "it"
    return Unavailable(
        "; ".join([*map(str, others), last.reason]), f"{last.fix}; or mark {rows} `optional: true`"
    )
