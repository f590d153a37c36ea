"""The pipelines that a run's own suite names."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.composition.own import own_pipelines
from bench.core.errors import RecordError


@pytest.mark.parametrize("key", ["rerankers", "pipelines", "first_stages"])
def test_a_suite_that_names_no_stages_is_one_line(key: str) -> None:
    run: Any = SimpleNamespace(
        info=SimpleNamespace(resolved={key: [{"bm25": {}, "dense": {}}]}),
        folder=Path("a-run"),
        rows=[],
    )
    dataset: Any = None
    with pytest.raises(RecordError, match=r"a-run: run\.json"):
        own_pipelines(run, dataset)
