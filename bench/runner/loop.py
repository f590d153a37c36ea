"""The only loop: trial -> record. Plans, retrieves, scores, measures, times, records; knows no YAML and no HTML."""

from __future__ import annotations

from pathlib import Path

from bench.core.progress import Observer
from bench.records.opening import open_run
from bench.records.run import Run
from bench.runner.group import _GroupRun
from bench.runner.identity import run_info
from bench.suite.planning import plan
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
) -> Run:
    """Run every trial of the suite and leave a run folder under `out`.

    Scores come from the cache where it has them (never with `fresh`); timings are always taken anew, or not at all without `time_it`.
    A trial that fails is recorded as failed and the others go on, and so does a group whose dataset cannot be loaded or whose first
    stage cannot retrieve. Raises BenchError for what stops the whole run.
    """
    observer = observer or Observer()
    groups = plan(suite, device)
    timed = suite.latency is not None and time_it
    writer = open_run(out, run_info(suite, groups, command, device, timed, fresh))
    try:
        done = writer.finished()
        for text in writer.notes:
            observer.note(text)
        for group in groups:
            if all(planned.trial.id in done for planned in group.planned if planned.status.status == "pending"):
                for planned in group.planned:
                    if planned.trial.id in done:
                        planned.end("done")
            else:
                _GroupRun(suite, group, writer, observer, timed, fresh).run()
            writer.set_status({planned.trial.id: planned.status for planned in group.planned})
        return writer.finish()
    finally:
        writer.release()
