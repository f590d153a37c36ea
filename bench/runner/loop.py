"""The only loop: trial -> record. Plans, retrieves, scores, measures, times, records; knows no YAML
and no HTML.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from bench.core.cache_dir import VARIABLE, cache_dir
from bench.core.progress import Observer, watching
from bench.records.opening import open_run
from bench.records.run import Run
from bench.records.writer import RunWriter
from bench.runner.group import GroupRun
from bench.runner.identity import run_info
from bench.runner.stages import KnownStages
from bench.scoring import executors
from bench.scoring.executors.base import Executor
from bench.scoring.known import ScoreCaches
from bench.suite.planning import Group, plan
from bench.suite.suite import Suite


def run(
    suite: Suite,
    *,
    out: Path = Path("results"),
    device: str | None = None,
    time_it: bool = True,
    fresh: bool = False,
    observer: Observer | None = None,
    command: str = "",
    caches: ScoreCaches | None = None,
) -> Run:
    """Run every trial of the suite and leave a run folder under `out`.

    Scores come from the cache where it has them (never with `fresh`); timings are always taken
    anew, or not at all without `time_it`. `caches` are those of several runs that make one. A trial
    that fails is recorded as failed and the others go on, and so does a group whose dataset cannot
    be loaded or whose first stage cannot retrieve.
    Raises BenchError for what stops the whole run.
    """
    with _anchored(), watching(observer or Observer()):
        folder = _run(
            suite,
            out.absolute(),
            device,
            time_it,
            fresh,
            observer or Observer(),
            command,
            caches or ScoreCaches(fresh=fresh),
        )
    return Run(out / folder.relative_to(out.absolute()))


@contextmanager
def _anchored() -> Iterator[None]:
    """Keep the cache where it is while code of outsiders changes the working folder, and come back
    to that folder at the end.
    """
    here, chosen = Path.cwd(), os.environ.get(VARIABLE)
    if chosen:
        os.environ[VARIABLE] = str(cache_dir().absolute())
    try:
        yield
    finally:
        os.chdir(here)
        if chosen:
            os.environ[VARIABLE] = chosen


def _run(
    suite: Suite,
    out: Path,
    device: str | None,
    time_it: bool,
    fresh: bool,
    observer: Observer,
    command: str,
    caches: ScoreCaches,
) -> Path:
    groups = plan(suite, device)
    timed = suite.latency is not None and time_it
    executor = executors.build(suite.executor.name, suite.executor.options)
    executor.check()
    writer = open_run(out, run_info(suite, groups, command, device, timed, fresh))
    try:
        with closing(executor):
            _groups(suite, groups, writer, observer, timed, caches, executor)
        return writer.finish().folder
    finally:
        writer.release()


def _groups(
    suite: Suite,
    groups: Sequence[Group],
    writer: RunWriter,
    observer: Observer,
    timed: bool,
    caches: ScoreCaches,
    executor: Executor,
) -> None:
    """Run what the folder does not hold already."""
    done = writer.finished()
    for text in writer.notes:
        observer.note(text)
    known = KnownStages()
    for group in groups:
        if all(
            planned.trial.id in done
            for planned in group.planned
            if planned.status.status == "pending"
        ):
            for planned in group.planned:
                if planned.trial.id in done:
                    planned.end("done")
        else:
            GroupRun(suite, group, writer, observer, timed, caches, known, executor).run()
        writer.set_status({planned.trial.id: planned.status for planned in group.planned})
