"""Asking a fresh Python process for a measurement: one that has imported nothing, loaded nothing
and been disturbed by nobody.

The task goes in through standard input and the answer comes back in a file, so that neither shows
in a list of processes and libraries may print what they like. Keys reach the process as they
reached this one: by its environment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.core.errors import BenchError

CHILD = "bench.latency.child"
ROOT = str(Path(__file__).parents[2])


def ask(task: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
    """The answer of a process that `python -P -m bench.latency.child` begins. Raises BenchError
    with what went wrong there, in one line.

    The process looks for modules where this one does, and not first in the working folder:
    somebody's bench.py may lie there.
    """
    with tempfile.TemporaryDirectory(prefix="rerank-bench-") as folder:
        path = Path(folder) / "answer.json"
        text = json.dumps({**task, "answer": str(path)})
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(_places())}
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-m", CHILD],
                input=text,
                capture_output=True,
                text=True,
                timeout=timeout_s,
                env=environment,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise BenchError(f"no answer from a fresh process within {timeout_s:g} s") from None
        if not path.is_file():
            raise BenchError(
                f"a fresh process ended with code {done.returncode}: {_last_line(done.stderr)}"
            )
        answer: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if "error" in answer:
        raise BenchError(str(answer["error"]))
    return answer


def _places() -> list[str]:
    """Return where the process looks for modules. An editable installation is not among sys.path: a
    finder of its own knows it, and asks after the folders, among which the working folder may be.
    """
    places = [entry for entry in sys.path if entry]
    return places if ROOT in places else [ROOT, *places]


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it said nothing"
