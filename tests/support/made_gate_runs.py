"""Two runs of one reranker for the gate, with values of 200 queries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench.records.run import Run
from tests.support.made_runs import made_run

RNG = np.random.default_rng(5)
OLD = RNG.uniform(0.4, 0.6, 200)
NOISE = RNG.uniform(-0.035, 0.035, 200)
NOISE -= NOISE.mean()


def runs(tmp_path: Path, new: Any, old: Any = OLD, **more: Any) -> tuple[Run, Run]:
    """(new, baseline) with one reranker `a`, whose system keys differ unless told otherwise."""
    systems = more.pop("systems", ({"a": {"v": 2}}, {"a": {"v": 1}}))
    return (
        made_run(tmp_path, {"first-stage": old, "a": new}, systems=systems[0], name="new", **more),
        made_run(tmp_path, {"first-stage": old, "a": old}, systems=systems[1], name="old"),
    )
