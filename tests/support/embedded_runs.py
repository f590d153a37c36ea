"""Runs over a few queries of the embedded collection, by rerankers without weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import bench
from bench.records.run import Run


def embedded_run(folder: Path, hashing: str, **suite: Any) -> Run:
    """Return a run of 8 queries with a hash reranker of this name and a count of words; `suite`
    holds its other keys.
    """
    rerankers = [{"tests.support.fakes:HashReranker": {"name": hashing}}, "word-overlap"]
    queries = {"datasets": [{"embedded:everyday": {"queries": 8}}], "devices": "cpu"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RERANK_BENCH_CACHE", str(folder / "cache"))
        return bench.run({**queries, "rerankers": rerankers, **suite}, out=folder / "results")
