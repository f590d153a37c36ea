"""Some of the kills of scripts/kill_test.py, which has a hundred: nothing lost, nothing stale, no
lock that holds.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from tests.support.paths import ROOT

SCRIPT = ROOT / "scripts" / "kill_test.py"


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is a POSIX signal")
def test_a_run_killed_at_random_moments_loses_nothing(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("kill_test", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    findings = script.kill_often(5, 7, tmp_path)
    assert script.is_sound(findings), findings
    assert findings["kills"] == 5
