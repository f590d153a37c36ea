"""The command as a user types it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT


def bench(
    *arguments: str, cwd: Path, width: int = 80, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Return how the command ended, as a process of its own in the folder `cwd`."""
    env = {**os.environ, "COLUMNS": str(width), "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
