"""Asking a fresh Python process for a measurement: one that has imported nothing, loaded nothing
and been disturbed by nobody.

The task goes in through standard input and the answer comes back in a file, so that neither shows
in a list of processes and libraries may print what they like. Keys reach the process as they
reached this one: by its environment.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

from bench.contract.identity import Fields
from bench.core.errors import BenchError
from bench.core.fresh_python import command, environment, last_line

CHILD = "bench.latency.child"


def ask(task: Fields, timeout_s: float) -> Fields:
    """Return the answer of a process that `python -P -m bench.latency.child` begins. Raises
    BenchError with what went wrong there, in one line.
    """
    with tempfile.TemporaryDirectory(prefix="rerank-bench-") as folder:
        path = Path(folder) / "answer.json"
        text = json.dumps({**task, "answer": str(path)})
        try:
            done = subprocess.run(
                command(CHILD),
                input=text,
                capture_output=True,
                text=True,
                timeout=timeout_s,
                env=environment(),
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise BenchError(f"no answer from a fresh process within {timeout_s:g} s") from None
        if not path.is_file():
            raise BenchError(
                f"a fresh process ended with code {done.returncode}: {last_line(done.stderr)}"
            )
        answer: Fields = json.loads(path.read_text(encoding="utf-8"))
    if "error" in answer:
        raise BenchError(str(answer["error"]))
    return answer
