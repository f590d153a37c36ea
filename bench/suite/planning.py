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
from bench.core.outsiders import OutsiderError, outsiders_code
from bench.core.redaction import for_others
from bench.machine.fingerprint import resolve_device
from bench.rerankers.base import BaseReranker
from bench.rerankers.options import RerankerOptions
from bench.rerankers.reference.fixed import RunFileReranker
from bench.retrieval.options import run_name
from bench.suite.suite import Part, Suite


@dataclass
class Planned:
    """A trial, the reranker that will run it (nothing loaded yet), and what became of it."""

    trial: Trial
    reranker: Reranker
    status: TrialStatus
    part: Part
    optional: bool = False

    def end(self, status: str, reason: str | None = None) -> None:
        self.status = TrialStatus.model_validate(
            {"trial": self.trial, "status": status, "reason": reason and for_others(reason)}
        )


class Unbuilt(BaseReranker):
    """Stands in for a reranker of an outsider whose code raised, or exited, when it was built: its
    trial has failed.
    """

    placement = "none"

    def __init__(self, reason: str) -> None:
        super().__init__(RerankerOptions())
        self.reason = reason

    def fingerprint(self) -> dict[str, Any]:
        return {}

    def describe(self) -> Description:
        return Description("none", {})

    def rerank(self, requests: Sequence[Any]) -> list[Any]:
        raise BenchError(self.reason)


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
    groups = [
        Group(dataset, first_stage)
        for dataset in suite.datasets
        for first_stage in suite.first_stages
    ]
    seen: set[str] = set()
    refusals: list[BenchError] = []
    for group in groups:
        for part, reranker, where in _rerankers(suite, devices):
            if isinstance(reranker, RunFileReranker) and not _belongs(reranker, group, suite):
                continue
            trial = _trial(suite, group, part, where, latency_only=_is_latency_only(reranker))
            if trial.id in seen:
                raise SuiteError(
                    f"two trials are named '{trial.id}': give one of its parts another 'name'"
                )
            seen.add(trial.id)
            planned = Planned(
                trial, reranker, TrialStatus(trial=trial), part, _is_optional(reranker)
            )
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


def display_name(part: Part) -> str:
    """What a part is called in tables and file names: its `name` option, else the model or path it
    points at, else its own name.
    """
    options = part.options if isinstance(part.options, dict) else {}
    if options.get("name"):
        return str(options["name"])
    target = (
        options.get("model")
        or options.get("path")
        or (part.options if isinstance(part.options, str) else "")
    )
    if target and part.name in (*rerankers.TABLE, "run"):
        return _tail(str(target))
    return _tail(part.name) if part.name.startswith(("embedded:", "files:", "irds:")) else part.name


def _tail(path: str) -> str:
    name = path.rstrip("/").replace("\\", "/").split(":", 1)[-1]
    name = name if path.startswith("irds:") else name.split("/")[-1]
    return run_name(name) or path


def _rerankers(suite: Suite, devices: list[str]) -> Iterator[tuple[Part, Reranker, str]]:
    """Each row of the table: the first stage, every reranker on every device, the oracle."""
    asked = [part for part in suite.rerankers if part.name not in REFERENCES]
    for part in (Part.model_validate(FIRST_STAGE), *asked, Part.model_validate(ORACLE)):
        for device in devices:
            reranker = _build(part, device, suite)
            if reranker.placement == "device":
                yield part, reranker, device
            else:
                yield part, reranker, "-"
                break


def _build(part: Part, device: str, suite: Suite) -> Reranker:
    try:
        with outsiders_code():
            return rerankers.build(part.name, part.options, device, suite.base_dir)
    except OutsiderError as error:
        return Unbuilt(str(error))


def _belongs(reranker: RunFileReranker, group: Group, suite: Suite) -> bool:
    """Return whether a run's row appears over a group's candidates. Raises SuiteError where it
    names a part that the suite has not.
    """
    options = reranker.options
    for name, parts, what in (
        (options.dataset, suite.datasets, "dataset"),
        (options.first_stage, suite.first_stages, "first stage"),
    ):
        names = [display_name(part) for part in parts]
        if name is not None and name not in names:
            raise SuiteError(
                f"run-file {options.path}: the suite has no {what} '{name}': {nearest(name, names)}"
            )
    return reranker.belongs_to(display_name(group.dataset), display_name(group.first_stage))


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
        depth=_depth(suite, group),
        kind="reference"
        if part.name in REFERENCES
        else "architecture"
        if latency_only
        else "reranker",
        **names,
    )


def _depth(suite: Suite, group: Group) -> int:
    options: Any = group.first_stage.options
    return (
        int(options["depth"]) if isinstance(options, dict) and options.get("depth") else suite.depth
    )


def _slug(text: str) -> str:
    return (
        "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in text).strip(
            "-."
        )
        or "x"
    )


def _is_latency_only(reranker: Reranker) -> bool:
    return bool(getattr(reranker, "latency_only", False))


def _is_optional(reranker: Reranker) -> bool:
    """A latency before any download is nice to have: what does not fit into this machine is no
    reason to stop a run.
    """
    return _is_latency_only(reranker) or bool(
        getattr(getattr(reranker, "options", None), "optional", False)
    )


def _check(planned: Planned, lenient: bool) -> list[BenchError]:
    """Return why a reranker cannot run, if it cannot and should; its status says so, too."""
    name = planned.trial.reranker
    if isinstance(planned.reranker, Unbuilt):
        planned.end("failed", planned.reranker.reason)
        return []
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
