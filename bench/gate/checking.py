"""The check: each reranker of the baseline is put every question of the gates file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Literal

from bench.comparison.pairs import (
    Side,
    cached,
    counterparts,
    mostly_failed,
    resolve_measure,
    run_seed,
    sides,
)
from bench.contract.trial import Trial, TrialStatus
from bench.core.counting import counted
from bench.core.errors import BenchError, RecordError, nearest
from bench.gate.drift import drift_gate
from bench.gate.file import HEADLINE, Gates
from bench.gate.limits import cost_gate, failures_gate, memory_gate
from bench.gate.quality import quality_gate
from bench.gate.speed import Judge, stored_speed
from bench.gate.verdict import Gate, Outcome, Verdict
from bench.records.run import Run


def check(
    new: Run,
    baseline: Run,
    gates: Gates | None = None,
    *,
    inconclusive: Literal["pass", "fail"] | None = None,
    speed: Judge = stored_speed,
    seed: int | None = None,
) -> Verdict:
    """Return the verdict on `new`. `speed` judges the speed gate, from stored timings by default.

    Raises RecordError for a run that is not finished or not whole, and when nothing could be
    compared, SuiteError for a gates file that names what the runs do not hold, and BenchError where
    nothing is asked.
    """
    gates = gates or Gates()
    for run in (new, baseline):
        _require_finished(run)
    gates.refuse_unknown(
        status.trial.reranker for run in (new, baseline) for status in run.info.trials
    )
    seed = run_seed(baseline) if seed is None else seed
    ours, theirs = sides(new, references=False), sides(baseline, references=False)
    pairs = counterparts(ours, theirs)
    compared, matched = {side.trial.id for side, _ in pairs}, {side.trial.id for _, side in pairs}
    answers, absent = _without_counterpart(
        new, [side.trial for side in theirs if side.trial.id not in matched], gates
    )
    if not pairs and not answers:
        raise RecordError(
            f"{new.folder} and {baseline.folder}: no reranker is in both, so there is nothing to "
            "check"
        )
    answers += _without_baseline(new, baseline, gates)
    for pair in pairs:
        answers += _gates_of(*pair, gates, speed, seed)
    if not answers:
        raise BenchError("the gates file asks nothing of these rerankers: nothing could fail")
    added = [
        side.trial
        for side in ours
        if side.trial.id not in compared and side.trial.reranker not in gates.rerankers
    ]
    notes = [
        f"{trial.id} is new: the baseline has no such trial, so that it was not checked"
        for trial in added
    ]
    notes += _unguarded(new, baseline)
    notes += cached(side for side, _ in pairs)
    return Verdict(
        new,
        baseline,
        tuple(answers),
        tuple(trial.id for trial in absent),
        inconclusive,
        tuple(notes),
    )


def _once(gate: Gate, reasons: set[str]) -> Gate:
    """The gate, whose reason not to compare is given in full the first time alone."""
    if gate.outcome != "incomparable":
        return gate
    if gate.told in reasons:
        return replace(gate, told="for the same reason")
    reasons.add(gate.told)
    return gate


def refuse_itself(new: Run, baseline: Run) -> None:
    """Raise RecordError for a run that is checked against itself, or against the baseline saved
    from it: it could not but pass.
    """
    if new.info.id == baseline.info.id:
        raise RecordError(
            f"{new.folder}: this is the baseline's own run ({new.info.id}): run the suite again, "
            "then check that run"
        )


def _unguarded(new: Run, baseline: Run) -> Iterator[str]:
    """Yield a sentence for each reranker that failed in the new run and of which the baseline knows
    nothing.
    """
    failures = mostly_failed(new)
    for status in new.info.trials:
        reason = failures.get(status.trial.id) or (
            status.reason or "no reason given" if status.status == "failed" else None
        )
        if (
            reason
            and status.trial.kind == "reranker"
            and not _counterpart_of(status.trial, baseline.info.trials)
        ):
            yield (
                f"{status.trial.id} failed ({reason}), and the baseline has no such trial, so "
                "that it breaks no gate"
            )


def _require_finished(run: Run) -> None:
    if run.info.status != "done":
        ended = sum(status.status != "pending" for status in run.info.trials)
        trials = counted(len(run.info.trials), "trial")
        raise RecordError(
            f"{run.folder}: this run is not finished ({ended} of {trials}): "
            "run its suite again, which continues it"
        )


def _without_counterpart(
    new: Run, trials: Sequence[Trial], gates: Gates
) -> tuple[list[Gate], list[Trial]]:
    """The gates of the baseline's trials that the new run has no quality of, and those of them that
    are absent.

    What failed breaks the gate in any case; what was skipped, renamed or left out does unless the
    gates say `missing: pass`.
    """
    answers, absent = [], []
    failures = mostly_failed(new)
    names = {status.trial.reranker for status in new.info.trials if status.trial.kind == "reranker"}
    for trial in trials:
        status = _counterpart_of(trial, new.info.trials)
        if status and status.trial.id in failures:
            answers.append(
                _run_gate(status.trial, "fail", "mostly failed", failures[status.trial.id])
            )
        elif status and status.status == "failed":
            answers.append(
                _run_gate(status.trial, "fail", "failed", status.reason or "no reason given")
            )
        else:
            absent.append(trial)
            if gates.missing == "fail":
                answers.append(
                    _run_gate(trial, "fail", "missing", _why_absent(trial, status, names))
                )
    return answers, absent


def _why_absent(trial: Trial, status: TrialStatus | None, names: Iterable[str]) -> str:
    if status and status.reason:
        return f"{status.status}: {status.reason}"
    if trial.reranker in names:
        return f"it is not in the new run over {trial.dataset}, {trial.first_stage}"
    return f"it is not in the new run: {nearest(trial.reranker, names)}"


def _counterpart_of(trial: Trial, statuses: Sequence[TrialStatus]) -> TrialStatus | None:
    """The line of a run for the same reranker over the same candidates, on the same device where
    there is one.
    """
    place = (trial.dataset, trial.first_stage, trial.reranker)
    alike = [
        one
        for one in statuses
        if (one.trial.dataset, one.trial.first_stage, one.trial.reranker) == place
    ]
    return next((one for one in alike if one.trial.id == trial.id), alike[0] if alike else None)


def _without_baseline(new: Run, baseline: Run, gates: Gates) -> list[Gate]:
    """The gates of what is compared with nothing because the baseline holds no quality of it:
    rerankers that the gates file names, and trials of the baseline that mostly failed.
    """
    answers = []
    if gates.missing == "fail":
        for trial_id, failures in mostly_failed(baseline).items():
            reason = f"{failures} in the baseline: save a baseline in which it was answered"
            answers.append(
                _run_gate(baseline.records[trial_id].trial, "incomparable", "no baseline", reason)
            )
    guarded = {side.trial.reranker for side in sides(baseline, references=False)}
    for name in gates.rerankers:
        if name not in guarded:
            trial = next(
                status.trial
                for run in (new, baseline)
                for status in run.info.trials
                if status.trial.reranker == name
            )
            reason = (
                "the gates name it, and the baseline has no result of it to compare with: "
                "save a baseline that has"
            )
            answers.append(_run_gate(trial, "incomparable", "not in the baseline", reason))
    return answers


def _run_gate(trial: Trial, outcome: Outcome, state: str, reason: str) -> Gate:
    return Gate(trial, "run", outcome, state, "runs", reason)


def _gates_of(new: Side, baseline: Side, gates: Gates, speed: Judge, seed: int) -> Iterator[Gate]:
    asked = gates.of(new.trial.reranker)
    reasons: set[str] = set()
    for measure, margin in (asked.quality or {}).items():
        name = resolve_measure(
            baseline.run, None if measure == HEADLINE else measure, {baseline.trial.id}
        )
        yield _once(quality_gate(new, baseline, name, margin, gates.across, seed), reasons)
    if asked.drift:
        yield _once(drift_gate(new, baseline, asked.drift, gates.across), reasons)
    if asked.speed and (timed := speed(new, baseline, asked.speed, seed)):
        yield timed
    if asked.failures is not None:
        yield failures_gate(new, asked.failures)
    if asked.memory:
        yield memory_gate(new, baseline, asked.memory)
    if asked.cost and (cost := cost_gate(new, baseline, asked.cost)):
        yield cost
