"""The check: each reranker that both runs hold is put every question of the gates file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from bench.comparing import Side, counterparts, resolve_measure, run_seed, sides
from bench.errors import BenchError, RecordError
from bench.gate.drift import drift_gate
from bench.gate.file import HEADLINE, Gates
from bench.gate.limits import cost_gate, failures_gate, memory_gate
from bench.gate.quality import power_problem, quality_gate
from bench.gate.speed import Judge, stored_speed
from bench.gate.verdict import Gate, Verdict
from bench.records.store import Run


def check(
    new: Run,
    baseline: Run,
    gates: Gates | None = None,
    *,
    accept_underpowered: bool = False,
    inconclusive: Literal["pass", "fail"] | None = None,
    speed: Judge = stored_speed,
    seed: int | None = None,
) -> Verdict:
    """The verdict on `new`. `speed` judges the speed gate, from stored timings unless told otherwise.

    Raises RecordError when no reranker is in both runs, SuiteError for a gates file that names what the runs do not hold, and BenchError
    for a margin that the queries cannot tell and on which a verdict would rest, unless `accept_underpowered`, and where nothing is asked.
    """
    gates = gates or Gates()
    seed = run_seed(baseline) if seed is None else seed
    ours, theirs = sides(new, references=False), sides(baseline, references=False)
    pairs = counterparts(ours, theirs)
    matched, wanted = {old.trial.id for _, old in pairs}, {side.trial.id for side in theirs}
    failed = [status for status in new.info.trials if status.status == "failed" and status.trial.id in wanted]
    if not pairs and not failed:
        raise RecordError(f"{new.folder} and {baseline.folder}: no reranker is in both, so there is nothing to check")
    gates.refuse_unknown(status.trial.reranker for run in (new, baseline) for status in run.info.trials)
    found = [Gate(status.trial, "run", "fail", "failed", "runs", status.reason or "no reason given") for status in failed]
    absent = [side.trial for side in theirs if side.trial.id not in matched | {status.trial.id for status in failed}]
    if gates.missing == "fail":
        reasons = {status.trial.id: f"{status.status}: {status.reason}" for status in new.info.trials if status.reason}
        found += [Gate(one, "run", "fail", "missing", "runs", reasons.get(one.id, "it is not in the new run")) for one in absent]
    for one, old in pairs:
        found += _asked_of(one, old, gates, speed, seed)
    if not found:
        raise BenchError("the gates file asks nothing of these rerankers: nothing could fail")
    if not accept_underpowered:
        _require_power(found)
    return Verdict(new, baseline, tuple(found), tuple(trial.id for trial in absent), inconclusive)


def _asked_of(new: Side, baseline: Side, gates: Gates, speed: Judge, seed: int) -> Iterator[Gate]:
    asked = gates.of(new.trial.reranker)
    for measure, margin in (asked.quality or {}).items():
        name = resolve_measure(baseline.run, None if measure == HEADLINE else measure)
        yield quality_gate(new, baseline, name, margin, gates.across, seed)
    if asked.drift:
        yield drift_gate(new, baseline, asked.drift, gates.across)
    if asked.speed and (timed := speed(new, baseline, asked.speed, seed)):
        yield timed
    if asked.failures is not None:
        yield failures_gate(new, asked.failures)
    if asked.memory:
        yield memory_gate(new, baseline, asked.memory)
    if asked.cost and (cost := cost_gate(new, baseline, asked.cost)):
        yield cost


def _require_power(gates: Sequence[Gate]) -> None:
    """A reranker with known drift fails without statistics, so that it needs no power."""
    drifted = {gate.trial.id for gate in gates if gate.name == "drift" and gate.outcome == "fail"}
    problems = [text for gate in gates if gate.trial.id not in drifted and (text := power_problem(gate))]
    if problems:
        raise BenchError(
            "a margin is below the minimum detectable effect of its gate: raise the margin, take more queries, or accept a gate that will "
            "mostly be inconclusive with --accept-underpowered\n" + "\n".join(problems)
        )
