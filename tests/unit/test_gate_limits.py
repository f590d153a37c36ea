"""Failures, memory, cost, and speed from stored timings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.gate import Gate, Gates, check
from bench.gate.file import CostGate, MemoryGate, SpeedGate
from bench.gate.speed import judged
from bench.latency.ratios import paired_ratio
from bench.latency.timed_pass import Sample
from bench.records.keys import make_key
from bench.records.run import Run
from tests.support.made_runs import made_run

VALUES = [0.5, 0.6, 0.7, 0.5, 0.6] * 10
GIB = 2**30
BASE = {f"q{i}": {0: 1.0, 1: 1.0} for i in range(40)}
PRICE = {
    "units": 1,
    "unit": "search",
    "usd_per_unit": 0.002,
    "as_of": "2026-01-01",
    "source": "suite",
}


def runs(folder: Path, new: dict[str, Any], old: dict[str, Any], **more: Any) -> tuple[Run, Run]:
    made = [
        made_run(folder, {"a": VALUES}, record={"a": one}, name=name, **more)
        for name, one in (("new", new), ("old", old))
    ]
    return made[0], made[1]


def only(pair: tuple[Run, Run], **asked: Any) -> Gate | None:
    """The one gate that is asked, or None where the reranker is not asked it."""
    verdict = check(*pair, Gates(drift=None, **asked))
    others = [gate for gate in verdict.gates if not gate.name.startswith("quality")]
    assert verdict.outcome == (others[0].outcome if others else "pass")
    return others[0] if others else None


def counts(failed: int) -> dict[str, Any]:
    names = ("unjudged_queries", "without_relevant", "without_candidates", "pairs", "ties")
    return {
        "counts": {"queries": 50, "failed": failed, **dict.fromkeys(names, 0)},
        "failures": {"q1": "timed out"} if failed else {},
    }


@pytest.mark.parametrize(
    ("failed", "most", "outcome"),
    [(0, 0.0, "pass"), (1, 0.0, "fail"), (1, 0.02, "pass"), (2, 0.02, "fail")],
)
def test_failed_queries(tmp_path: Path, failed: int, most: float, outcome: str) -> None:
    gate = only(runs(tmp_path, counts(failed), counts(9)), failures=most)
    assert gate is not None
    assert (gate.outcome, gate.measured) == (outcome, f"{failed} of 50")
    assert ("timed out" in gate.remark) == bool(failed)


def memory(gib: float, fact: str = "peak_rss_bytes") -> dict[str, Any]:
    return {"latency": {fact: int(gib * GIB)}}


@pytest.mark.parametrize(
    ("new", "old", "asked", "outcome"),
    [
        (memory(2), memory(2), {"max_gib": 4}, "pass"),
        (memory(5), memory(2), {"max_gib": 4}, "fail"),
        (memory(2.1), memory(2), {"ratio": 1.1}, "pass"),
        (memory(3), memory(2), {"max_gib": 4, "ratio": 1.1}, "fail"),
        (memory(3), {}, {"max_gib": 4}, "pass"),
        (memory(3), {}, {"ratio": 1.1}, "incomparable"),
        ({}, memory(2), {"max_gib": 4}, "incomparable"),
        (memory(3, "gpu_allocated_bytes"), memory(2), {"ratio": 2}, "incomparable"),
        (memory(3, "gpu_allocated_bytes"), memory(2, "gpu_allocated_bytes"), {"ratio": 2}, "pass"),
    ],
)
def test_peak_memory(tmp_path: Path, new: Any, old: Any, asked: Any, outcome: str) -> None:
    gate = only(runs(tmp_path, new, old), memory=MemoryGate(**asked))
    assert gate is not None
    assert gate.outcome == outcome
    assert (outcome != "incomparable") or gate.remark


def test_peak_memory_is_not_compared_where_other_models_were_loaded(tmp_path: Path) -> None:
    one = made_run(tmp_path, {"a": VALUES}, record={"a": memory(2)}, name="new")
    two = made_run(
        tmp_path, {"a": VALUES, "b": VALUES}, record={"a": memory(2), "b": memory(2)}, name="old"
    )
    gate = only((one, two), memory=MemoryGate(ratio=1.1), missing="pass")
    assert gate is not None
    assert (gate.outcome, gate.remark) == (
        "incomparable",
        "the two runs did not have the same rerankers loaded",
    )


def cost(usd: float) -> dict[str, Any]:
    return {"cost": {"usd": usd / 20, "usd_per_1000_queries": usd, **PRICE}}


@pytest.mark.parametrize(
    ("new", "old", "asked", "outcome"),
    [
        (cost(2), cost(2), {"max_usd": 2}, "pass"),
        (cost(2.2), cost(2), {"max_usd": 2}, "fail"),
        (cost(2.05), cost(2), {"ratio": 1.05}, "pass"),
        (cost(2.2), cost(2), {"ratio": 1.05}, "fail"),
        (cost(0), cost(0), {"ratio": 1.05}, "pass"),
        (cost(1), cost(0), {"ratio": 1.05}, "fail"),
        (cost(2), {}, {"ratio": 1.05}, "incomparable"),
        ({"usage": {"billed_units": 9}}, cost(2), {"max_usd": 2}, "incomparable"),
        ({}, cost(2), {"max_usd": 2}, "incomparable"),
        ({}, {}, {"max_usd": 2}, None),
    ],
)
def test_cost(tmp_path: Path, new: Any, old: Any, asked: Any, outcome: str | None) -> None:
    gate = only(runs(tmp_path, new, old), cost=CostGate(**asked))
    assert (gate.outcome if gate else None) == outcome


# Speed from stored timings


def sample(
    query: str, turn: int, nanoseconds: int, warmup: bool = False, span: str = "total"
) -> Sample:
    return Sample("tiny--bm25--a", "single", turn, query, 5, None, nanoseconds, warmup, span)


def timings(factor: float, queries: int = 40, noise: float = 0.02, seed: int = 0) -> list[Sample]:
    """Two rounds over queries of very different lengths, and a warm-up that would spoil
    everything.
    """
    rng = np.random.default_rng(seed)
    base = np.random.default_rng(9).lognormal(16, 0.7, queries)
    rows = [sample("q0", -1, 10**12, warmup=True)]
    for turn in range(2):
        times = base * factor * rng.normal(1, noise, queries)
        rows += [sample(f"q{i}", turn, int(took)) for i, took in enumerate(times)]
        rows += [sample(f"q{i}", turn, 5, span="tokenise") for i in range(queries)]
    return rows


def timed(folder: Path, name: str, rows: list[Sample], speed: Any = "cpu-1", **facts: Any) -> Run:
    record = {
        "latency": facts,
        "keys": {"speed": make_key({"machine": {"cpu": speed}, "system": name})},
    }
    return made_run(folder, {"a": VALUES}, record={"a": record}, latency=rows, name=name)


@pytest.mark.parametrize(
    ("factor", "outcome"), [(1.0, "pass"), (0.5, "pass"), (1.1, "inconclusive"), (1.3, "fail")]
)
def test_stored_timings_are_compared_query_by_query(
    tmp_path: Path, factor: float, outcome: str
) -> None:
    pair = (
        timed(tmp_path, "new", timings(factor, seed=1)),
        timed(tmp_path, "old", timings(1.0, seed=2)),
    )
    gate = only(pair, speed=SpeedGate(ratio=1.1))
    assert gate is not None
    [measured] = gate.numbers["measurements"]
    assert gate.outcome == outcome
    # The two sides' times are drawn with noise of their own.
    assert measured["median"] == pytest.approx(factor, rel=0.02)
    assert measured["low"] < measured["median"] < measured["high"]
    assert measured["queries"] == 40
    assert "--live" in gate.remark


def test_few_queries_and_disturbed_runs_do_not_fail(tmp_path: Path) -> None:
    few = (
        timed(tmp_path, "new", timings(2.0, queries=10)),
        timed(tmp_path, "old", timings(1.0, queries=10)),
    )
    gate = only(few, speed=SpeedGate(ratio=1.1))
    assert gate is not None
    assert gate.outcome == "inconclusive"
    pair = (
        timed(tmp_path / "two", "new", timings(2.0), disturbed=True),
        timed(tmp_path / "two", "old", timings(1.0)),
    )
    gate = only(pair, speed=SpeedGate(ratio=1.1))
    assert gate is not None
    assert (gate.outcome, "while the new run was timed" in gate.remark) == ("inconclusive", True)


def test_another_machine_is_incomparable_and_named(tmp_path: Path) -> None:
    pair = timed(tmp_path, "new", timings(1.0), "cpu-2"), timed(tmp_path, "old", timings(1.0))
    demanded, shown = (
        check(*pair, Gates(drift=None, speed=SpeedGate(ratio=1.1, required=one)))
        for one in (True, False)
    )
    [gate] = [gate for gate in demanded.gates if gate.name == "speed"]
    assert "the speed keys differ in machine.cpu (cpu-1 → cpu-2)" in gate.remark
    allowed = check(*pair, Gates(drift=None, speed=SpeedGate(ratio=1.1, across=("machine",))))
    assert [gate.outcome for gate in allowed.gates if gate.name == "speed"] == ["pass"]
    assert (demanded.exit_code, shown.exit_code) == (3, 0)
    assert "speed" in [gate.name for gate in shown.gates]


def test_times_of_runs_with_other_measures_are_compared(tmp_path: Path) -> None:
    """Speed keys of earlier versions hold a hash that the measures were part of."""
    runs = []
    for name, measures in (("new", ["nDCG@10", "R@20"]), ("old", ["nDCG@10"])):
        speed = {"machine": {"cpu": "cpu-1"}, "quality": f"with {len(measures)}", "system": name}
        record = {"a": {"latency": {}, "keys": {"speed": make_key(speed)}}}
        quality = {"measures": measures}
        values = {"a": VALUES}
        run = made_run(
            tmp_path, values, record=record, latency=timings(1.0), name=name, quality=quality
        )
        runs.append(run)
    gate = only((runs[0], runs[1]), speed=SpeedGate(ratio=1.1))
    assert gate is not None
    assert (gate.outcome, gate.limit) == ("pass", "≤ 1.1x")


def test_a_run_without_timings_is_incomparable(tmp_path: Path) -> None:
    pair = made_run(tmp_path, {"a": VALUES}, name="new"), timed(tmp_path, "old", timings(1.0))
    gate = only(pair, speed=SpeedGate(ratio=1.1))
    assert gate is not None
    assert (gate.outcome, "the new run holds no timings of it" in gate.remark) == (
        "incomparable",
        True,
    )


def test_the_ratio_pairs_rounds_and_leaves_out_what_one_side_lacks() -> None:
    new = {"a": {0: 2.0, 1: 4.0}, "b": {0: 3.0}, "only new": {0: 99.0}}
    old = {"a": {0: 1.0, 1: 1.0, 2: 9.0}, "b": {0: 1.0}, "only old": {0: 9.0}, "c": {}}
    ratio = paired_ratio(new, old)
    assert ratio is not None
    assert (ratio.median, ratio.queries) == (3.0, 2)
    assert paired_ratio({"a": {0: 1.0}}, {"b": {0: 1.0}}) is None


@pytest.mark.parametrize("noise", [0.02, 0.1, 0.3])
def test_the_speed_gate_rarely_cries_wolf(noise: float) -> None:
    """A reranker that is just as slow as allowed, 1,000 times: each query has its own luck, which
    its two rounds share. The interval lies above the limit at most 3 times in 100 (one side of a 95
    % interval, with few queries), and twice in a row hardly ever.
    """
    rng = np.random.default_rng(3)
    alarms = []
    for seed in range(1000):
        luck = np.exp(rng.normal(0, noise, (40, 1)) + rng.normal(0, noise / 2, (40, 2)))
        ratio = paired_ratio(
            {f"q{i}": dict(enumerate(1.1 * row)) for i, row in enumerate(luck)},
            BASE,
            seed,
            resamples=200,
        )
        assert ratio is not None
        alarms.append(judged(ratio, 1.1) == "fail")
    alone, twice = (
        np.mean(alarms),
        np.mean([one and other for one, other in zip(alarms[::2], alarms[1::2], strict=True)]),
    )
    assert alone <= 0.045
    assert twice <= 0.01
