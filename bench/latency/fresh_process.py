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
from typing import IO

from bench.contract.identity import Fields
from bench.core.errors import BenchError
from bench.core.fresh_python import end, environment, last_line, start

CHILD = "bench.latency.child"


def ask(task: Fields, timeout_s: float) -> Fields:
    """Return the answer of a process that `python -P -m bench.latency.child` begins. Raises
    BenchError with what went wrong there, in one line.
    """
    with tempfile.TemporaryDirectory(prefix="rerank-bench-") as folder:
        path = Path(folder) / "answer.json"
        text = json.dumps({**task, "answer": str(path)})
        with tempfile.TemporaryFile(prefix="rerank-bench-") as errors:
            code = _ended(text, errors, timeout_s)
            if not path.is_file():
                errors.seek(0)
                printed = last_line(errors.read().decode("utf-8", "replace"))
                raise BenchError(f"a fresh process ended with code {code}: {printed}")
        answer: Fields = json.loads(path.read_text(encoding="utf-8"))
    if "error" in answer:
        raise BenchError(str(answer["error"]))
    return answer


def _ended(text: str, errors: IO[bytes], timeout_s: float) -> int:
    """Return the code that a process ended with which got this text. What it has left running ends,
    too: the next one is disturbed by nobody.
    """
    process = start(CHILD, errors, stdout=subprocess.DEVNULL, env=environment())
    try:
        process.communicate(text, timeout_s)
        return process.returncode
    except subprocess.TimeoutExpired:
        raise BenchError(f"no answer from a fresh process within {timeout_s:g} s") from None
    finally:
        end(process)
