"""Some of the kills of scripts/kill_test.py, which has a hundred: nothing lost, nothing stale, no
lock that holds.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scripts import kill_test
from tests.support.forked import Forked


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is a POSIX signal")
def test_a_run_killed_at_random_moments_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kill_test, "QUERIES", 30)
    findings = kill_test.kill_often(5, 7, tmp_path, Forked)
    assert kill_test.is_sound(findings), findings
    assert findings["kills"] == 5
