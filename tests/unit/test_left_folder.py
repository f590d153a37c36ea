"""A folder for the files of other processes goes with the one who made it, however that ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bench.core.left_folder import left_folder
from tests.support.paths import ROOT
from tests.support.processes import wait_for

KEEP = """
import sys, time
from pathlib import Path
from bench.core.left_folder import left_folder
with left_folder("own-", sys.argv[1]) as folder:
    (Path(folder) / "file").touch()
    print(folder, flush=True)
    time.sleep(600)
"""


def test_it_goes_at_the_end_of_the_block(tmp_path: Path) -> None:
    with left_folder("own-", str(tmp_path)) as folder:
        (Path(folder) / "file").touch()
    assert list(tmp_path.iterdir()) == []


def test_it_goes_where_its_process_is_killed(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KEEP, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    folder = Path(process.stdout.readline().strip())
    assert (folder / "file").exists()
    process.kill()
    process.communicate()
    assert wait_for(lambda: not folder.exists())
