"""rerank-bench: compare rerankers on quality, latency and cost.

    import bench run = bench.run("quickstart")        # a suite's name, file or mapping
    run.to_frame()                       # the main table bench.load("results/quickstart/...") # a
    run from its folder bench.compare(run)                   # paired differences; check, budget and
    estimate are there too

Names are looked up when they are used: `import bench` loads neither torch nor pandas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.api import answerability as answerability
    from bench.api import budget as budget
    from bench.api import calibrate as calibrate
    from bench.api import check as check
    from bench.api import compare as compare
    from bench.api import compose as compose
    from bench.api import cut as cut
    from bench.api import estimate as estimate
    from bench.api import load as load
    from bench.api import probe as probe
    from bench.api import reranker as reranker
    from bench.api import run as run
    from bench.api import slices as slices
    from bench.api import verify as verify
    from bench.contract.request import CandidateList as CandidateList
    from bench.records.run import Run as Run
    from bench.suite.suite import Suite as Suite

_WHERE = {
    "answerability": "bench.api",
    "run": "bench.api",
    "compare": "bench.api",
    "compose": "bench.api",
    "calibrate": "bench.api",
    "cut": "bench.api",
    "probe": "bench.api",
    "check": "bench.api",
    "estimate": "bench.api",
    "load": "bench.api",
    "verify": "bench.api",
    "reranker": "bench.api",
    "slices": "bench.api",
    "budget": "bench.api",
    "Run": "bench.records.run",
    "CandidateList": "bench.rerankers.base",
    "Suite": "bench.suite.suite",
}

__all__ = [
    "CandidateList",
    "Run",
    "Suite",
    "answerability",
    "budget",
    "calibrate",
    "check",
    "compare",
    "compose",
    "cut",
    "estimate",
    "load",
    "probe",
    "reranker",
    "run",
    "slices",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'bench' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
