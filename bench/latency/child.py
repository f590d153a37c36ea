"""What a fresh process does for `bench.latency.fresh_process`: it builds a reranker from its recipe
and measures. Not for people to call.

`python -P -m bench.latency.child` reads a task from standard input and writes its answer to the
file that the task names.
"""

from __future__ import annotations

from time import perf_counter_ns

# the same clock for all processes of a machine: before anything else is imported
BEGAN = perf_counter_ns()

import builtins  # noqa: E402
import importlib  # noqa: E402
import json  # noqa: E402
import re  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402
from contextlib import contextmanager  # noqa: E402
from dataclasses import asdict  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import TYPE_CHECKING, Any  # noqa: E402

if TYPE_CHECKING:
    from bench.contract.identity import Fields


class ImportClock:
    """Nanoseconds spent in imports, wherever they happen: libraries import much when a model is
    loaded, and more when it is first used.
    """

    def __init__(self, now_ns: Callable[[], int] = perf_counter_ns) -> None:
        self.now_ns = now_ns
        self.nanoseconds = 0
        self._depth = 0

    @contextmanager
    def running(self) -> Iterator[ImportClock]:
        plain_import, plain_module = builtins.__import__, importlib.import_module
        builtins.__import__ = self._timed(plain_import)
        importlib.import_module = self._timed(plain_module)
        try:
            yield self
        finally:
            builtins.__import__, importlib.import_module = plain_import, plain_module

    def _timed(self, function: Any) -> Any:
        def timed(*arguments: Any, **named: Any) -> Any:
            if self._depth:
                return function(*arguments, **named)
            self._depth += 1
            start = self.now_ns()
            try:
                return function(*arguments, **named)
            finally:
                self.nanoseconds += self.now_ns() - start
                self._depth -= 1

        return timed


def cold(task: Fields, now_ns: Callable[[], int] = perf_counter_ns, began: int = BEGAN) -> Fields:
    """Load a reranker and answer one query. The parts add up to the total, which counts from the
    start of this process.
    """
    with ImportClock(now_ns).running() as imports:
        from bench.contract.request import CandidateList
        from bench.core.errors import RerankerError
        from bench.latency.call import Caller, Target
        from bench.machine import fingerprint as machine

        device = task["recipe"]["device"]
        reranker = _built(task["recipe"])
        reranker.load()
        loaded, imported = now_ns(), imports.nanoseconds
        caller = Caller(Target("cold", device, reranker))
        if caller.call([CandidateList(**task["request"])], collect=False) is None:
            raise RerankerError(caller.last_error or "the first query needed a retry")
        answered = now_ns()
    parts = {
        "start": began - task["started"],
        "import": imports.nanoseconds,
        "load": loaded - began - imported,
        "first query": answered - loaded - (imports.nanoseconds - imported),
    }
    reranker.close()
    return {
        "nanoseconds": {"total": answered - task["started"], **parts},
        "usage": asdict(caller.usage),
        "peak_rss_bytes": machine.peak_rss_bytes(),
        "gpu_memory": caller.gpu_memory,
        "read_bytes": _read_bytes(),
    }


def twice(task: Fields) -> Fields:
    """Load two copies of a reranker and time both, interleaved: rows of copy, query, round,
    nanoseconds.
    """
    from bench.contract.request import CandidateList
    from bench.core.errors import RerankerError
    from bench.core.note import read_notes
    from bench.core.wording import sentences
    from bench.latency.timed_pass import LatencyPlan, Target, measure
    from bench.machine import fingerprint as machine

    device = task["recipe"]["device"]
    targets = []
    for copy in ("0", "1"):
        reranker = _built(task["recipe"])
        reranker.load()
        targets.append(Target(copy, device, reranker))
    requests = [CandidateList(**fields) for fields in task["requests"]]
    result = measure(targets, requests, LatencyPlan.model_validate(task["plan"]), task["seed"])
    rows = [
        (int(row.trial), row.query, row.round, row.nanoseconds)
        for row in result.samples
        if not row.warmup
    ]
    if not rows:
        notes = read_notes(result.facts["0"]["notes"])
        raise RerankerError("; ".join(sentences(notes)) or "no call succeeded")
    return {
        "rows": rows,
        "environment": machine.fingerprint(device),
        "disturbances": result.facts["0"]["disturbances"],
    }


def _built(recipe: Fields) -> Any:
    """Return what a recipe is of, by the function that the recipe names."""
    module, _, name = recipe["builder"].partition(":")
    return getattr(importlib.import_module(module), name)(recipe)


def _read_bytes() -> int | None:
    """Return the bytes that this process has made the system read from storage, on Linux."""
    try:
        text = Path("/proc/self/io").read_text()
    except OSError:
        return None
    line = re.search(r"^read_bytes: (\d+)$", text, re.MULTILINE)
    if line is None:
        return None
    return int(line.group(1))


def _reason(error: Exception) -> str:
    """Return one line: what rerank-bench says of a mistake, and a name before what it does not
    know.
    """
    from bench.core.errors import BenchError, first_line

    if isinstance(error, BenchError):
        return str(error).partition("\n")[0]
    return first_line(error)


TASKS = {"cold": cold, "twice": twice}


def main() -> None:
    task = json.load(sys.stdin)
    try:
        answer = TASKS[task["task"]](task)
    except Exception as error:
        # the process that asked says it
        answer = {"error": _reason(error)}
    Path(task["answer"]).write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main()
