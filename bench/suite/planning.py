"""From a suite to its trials: every combination named, every reranker built and checked, before
anything is computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench import rerankers
from bench.contract.stage import Description, Reranker
from bench.contract.trial import FIRST_STAGE, ORACLE, REFERENCES, Trial, TrialStatus
from bench.core.errors import BenchError, SuiteError, Unavailable, nearest
from bench.core.filenames import file_stem
from bench.core.handed import hand_over
from bench.core.outsiders import OutsiderError, outsiders_code
from bench.core.redaction import for_others
from bench.machine.fingerprint import resolve_device
from bench.pipelines.pipeline import Pipeline
from bench.rerankers.base import BaseReranker
from bench.rerankers.options import RerankerOptions
from bench.suite.naming import display_name
from bench.suite.part import Part
from bench.suite.pipeline_entry import PipelineEntry
from bench.suite.pipeline_planning import Candidates, as_part, built, candidates_of, depth_of
from bench.suite.suite import Suite


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

    def end(self, status: str, reason: str | None = None) -> None:
        self.status = TrialStatus.model_validate(
            {"trial": self.trial, "status": status, "reason": reason and for_others(reason)}
        )


class Unbuilt(BaseReranker):
    """Stands in for a reranker of an outsider whose code raised, or exited, when it was built: its
    trial has failed.
    """

    placement = "none"

    def __init__(self, error: OutsiderError) -> None:
        super().__init__(RerankerOptions())
        self.error = error

    def check(self) -> None:
        raise self.error

    def fingerprint(self) -> dict[str, Any]:
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
    planned: list[Planned] = field(default_factory=list)


def plan(suite: Suite, device: str | None = None, *, lenient: bool = False) -> list[Group]:
    """Every group of the suite, rerankers built and checked. `device` stands in for the suite's own
    devices.

    Optional rerankers that cannot run here are marked as skipped; raises Unavailable for others
    (marks them as failed where `lenient`), since what they lack can be had. One whose weights are
    refused has failed, and the others run; raises BenchError where none is left, and SuiteError for
    names used twice.
    """
    devices = list(
        dict.fromkeys(resolve_device(name) for name in ([device] if device else suite.devices))
    )
    hand_over(suite.handed)  # another suite may have taken their names
    candidates = candidates_of(suite)
    groups: list[Group] = []
    seen: dict[str, tuple[Part, ...]] = {}
    refusals: list[BenchError] = []
    for dataset in suite.datasets:
        for found in candidates:
            group = Group(dataset, found.first_stage)
            groups.append(group)
            for planned in _rows(suite, group, found, devices):
                parts = (planned.part, group.first_stage, group.dataset)
                if planned.trial.id in seen:
                    raise _named_twice(suite, [*seen[planned.trial.id], *parts], planned.trial.id)
                seen[planned.trial.id] = parts
                refusals += _check(planned, lenient)
                group.planned.append(planned)
    lacking = {str(refusal): refusal for refusal in refusals if isinstance(refusal, Unavailable)}
    if lacking and not lenient:
        raise _unavailable(list(lacking.values()))
    if (
        refusals
        and not lenient
        and len(refusals)
        == sum(_is_asked_for(planned) for group in groups for planned in group.planned)
    ):
        raise refusals[0]  # nothing would be compared
    return groups


def _named_twice(suite: Suite, of_both: Sequence[Part], trial_id: str) -> SuiteError:
    """Return the error for two trials of one name, whose parts are given: it names the place of the
    second of the two parts that share a name.
    """
    lists = (
        ("rerankers", suite.rerankers),
        ("first_stages", suite.first_stages),
        ("datasets", suite.datasets),
    )
    for key, parts in lists:
        places = [i for i, part in enumerate(parts) if any(part is one for one in of_both)]
        if len(places) == 2:
            first, second = places
            name = display_name(parts[second])
            return suite.problem(
                (key, second, parts[second].name),
                f"{key}.{first}.{parts[first].name} is named '{name}' too: give one of the two "
                "another 'name'",
            )
    return SuiteError(f"two trials are named '{trial_id}': give one of its parts another 'name'")


def _rows(
    suite: Suite, group: Group, found: Candidates, devices: Sequence[str]
) -> Iterator[Planned]:
    """Yield each row of the table: the first stage, every reranker and pipeline on every device,
    the oracle.
    """
    yield from _on_devices(suite, group, Part.model_validate(FIRST_STAGE), devices)
    for part in suite.rerankers if found.listed else ():
        if part.name not in REFERENCES:
            yield from _on_devices(suite, group, part, devices)
    for entry in found.pipelines:
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
        where = device if _is_on_device(reranker, pipeline) else "-"
        trial = _trial(suite, group, part, where, latency_only=reranker.latency_only)
        optional = reranker.latency_only or reranker.optional
        if entry is not None:
            optional = optional or entry.optional
        yield Planned(trial, reranker, TrialStatus(trial=trial), part, optional, pipeline)
        if where == "-":
            return


def _is_on_device(reranker: Reranker, pipeline: Pipeline | None) -> bool:
    """Return whether a device of the suite does some of the work: also of a pipeline of which one
    stage is remote.
    """
    if pipeline is None:
        return reranker.placement == "device"
    placements = {step.reranker.placement for step in pipeline.steps}
    return pipeline.placement == "device" or "device" in placements


def _built(
    suite: Suite, group: Group, part: Part, device: str, entry: PipelineEntry | None
) -> tuple[Reranker, Pipeline | None]:
    try:
        with outsiders_code():
            if entry is None:
                return rerankers.build(part.name, part.options, device, suite.base_dir), None
            pipeline = built(suite, entry, group.first_stage, device)
            return pipeline, pipeline
    except OutsiderError as error:
        return Unbuilt(error), None


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


def _trial(suite: Suite, group: Group, part: Part, device: str, *, latency_only: bool) -> Trial:
    name = f"{display_name(part)} (random weights)" if latency_only else display_name(part)
    names = {
        "dataset": display_name(group.dataset),
        "first_stage": display_name(group.first_stage),
        "reranker": name,
    }
    steps = [*names.values(), *([] if device == "-" else [device])]
    return Trial(
        id=file_stem("--".join(_slug(step) for step in steps)),
        device=device,
        depth=depth_of(suite, group.first_stage),
        kind="reference"
        if part.name in REFERENCES
        else "architecture"
        if latency_only
        else "reranker",
        **names,
    )


def _slug(text: str) -> str:
    return (
        "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in text).strip(
            "-."
        )
        or "x"
    )


def _check(planned: Planned, lenient: bool) -> list[BenchError]:
    """Return why a reranker cannot run, if it cannot and should; its status says so, too."""
    name = planned.trial.reranker
    try:
        with outsiders_code():
            planned.reranker.check()
    except OutsiderError as error:
        planned.end("failed", str(error))
    except Unavailable as error:
        if planned.optional or lenient:
            planned.end(
                "skipped" if planned.optional else "failed", str(error) if lenient else error.reason
            )
            return []
        planned.end("failed", str(error))
        return [Unavailable(f"reranker '{name}': {error.reason}", error.fix)]
    except BenchError as error:
        planned.end("failed", str(error))
        return [BenchError(f"reranker '{name}': {error}")]
    return []


def _unavailable(lacking: Sequence[Unavailable]) -> Unavailable:
    """Return one error that names every reranker that lacks something, and what helps."""
    *others, last = lacking
    which = "it" if not others else "them"
    return Unavailable(
        "; ".join([*map(str, others), last.reason]), f"{last.fix}; or mark {which} `optional: true`"
    )


def _is_asked_for(planned: Planned) -> bool:
    return planned.trial.kind != "reference"
