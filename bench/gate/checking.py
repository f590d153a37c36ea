"""The check: each reranker of the baseline is put every question of the gates file."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from bench.comparison.pairs import (
    Side,
    cached,
    counterparts,
    mostly_failed,
    sides,
)
from bench.contract.trial import Trial, TrialStatus
from bench.core.counting import counted
from bench.core.errors import RecordError, nearest
from bench.core.printable import one_line
from bench.gate.asking import Context, Judge
from bench.gate.file import Gates
from bench.gate.kinds import KINDS
from bench.gate.quality import quality_gate
from bench.gate.sequential import SAMPLED, is_part, sequential_gate
from bench.gate.speed import stored_speed
from bench.gate.verdict import Gate, Outcome, Verdict
from bench.records.run import Run

FAILED, FAILED_TWICE = "failed", "failed in both runs"
"""What became of a reranker, as its gate shows it."""


def check(
    new: Run,
    baseline: Run,
    gates: Gates | None = None,
    *,
    inconclusive: Literal["pass", "fail"] | None = None,
    speed: Judge = stored_speed,
    seed: int | None = None,
    sequential: bool = False,
) -> Verdict:
    """Return the verdict on `new`. `speed` judges the speed gate, from stored timings by default.
    `sequential` says after how many queries the quality gates were certain; trials may then have a
    part of the queries, of which the other gates judge what there is.

    Raises RecordError for a run that is not finished or not whole, and when nothing could be
    compared, SuiteError for a gates file that names what the runs do not hold, and BenchError where
    nothing is asked.
    """
    gates = gates or Gates()
    for run in (new, baseline):
        _require_finished(run)
    statuses = [*new.info.trials, *baseline.info.trials]
    gates.refuse_unknown(status.trial.reranker for status in statuses)
    if seed is None:
        seed = baseline.seed
    ours, theirs = sides(new, references=False), sides(baseline, references=False)
    pairs = counterparts(ours, theirs)
    compared = {side.trial.id for side, _ in pairs}
    matched = {side.trial.id for _, side in pairs}
    unmatched = [side.trial for side in theirs if side.trial.id not in matched]
    answers, absent = _without_counterpart(new, unmatched, gates)
    twice = _failed_in_both(new, baseline)
    answers += _without_baseline(new, baseline, gates, twice)
    if not pairs and not answers:
        raise RecordError(_nothing_to_check(new, baseline, twice))
    answers = _with_each_reason_once(answers)
    judge = sequential_gate if sequential else quality_gate
    context = Context(gates.across, speed, seed, judge)
    for pair in pairs:
        answers += _gates_of(*pair, gates, context)
    if not answers:
        raise gates.problem(
            (),
            "the gates file asks nothing of these rerankers: nothing could fail; write such as "
            "quality: {nDCG@10: 0.01}",
        )
    added = [
        side.trial
        for side in ours
        if side.trial.id not in compared and side.trial.reranker not in gates.rerankers
    ]
    ruled = {gate.trial.id for gate in answers if gate.name == "run"}
    notes = [_why_unchecked(trial, baseline) for trial in added if trial.id not in ruled]
    notes += [
        f"{trial.id} failed in both runs, not guarded: {reason}" for trial, reason in twice.values()
    ]
    notes += _unguarded(new, {*twice, *ruled})
    skipped = [trial for trial in _skipped_in_both(new, baseline) if trial not in ruled]
    if skipped:
        notes.append(f"skipped in both runs, no gate guards them: {', '.join(skipped)}")
    for pair in pairs:
        notes += _failed_queries(*pair, gates)
    notes += cached(side for side, _ in pairs)
    return Verdict(
        new,
        baseline,
        tuple(answers),
        tuple(trial.id for trial in absent),
        inconclusive,
        tuple(notes),
    )


def _nothing_to_check(new: Run, baseline: Run, twice: Mapping[str, object]) -> str:
    """Return why no gate can be put to two runs."""
    runs = f"{new.folder} and {baseline.folder}"
    if twice:
        return f"{runs}: every reranker failed in both, so there is nothing to check"
    return f"{runs}: no reranker is in both, so there is nothing to check"


def _with_each_reason_once(gates: Sequence[Gate]) -> list[Gate]:
    """Return the gates of rerankers that did not run; of those with one reason, as where a whole
    group failed, the first alone gives it in full.
    """
    first_of: dict[tuple[str, str], str] = {}
    answers: list[Gate] = []
    for gate in gates:
        if gate.measured in (FAILED, FAILED_TWICE):
            first = first_of.setdefault((gate.measured, gate.remark), gate.trial.id)
            if first != gate.trial.id:
                gate = replace(gate, remark=f"for the same reason as {first}")
        answers.append(gate)
    return answers


def _once(gate: Gate, reasons: set[str]) -> Gate:
    """The gate, whose reason not to compare is given in full the first time alone."""
    if gate.outcome != "incomparable":
        return gate
    if gate.remark in reasons:
        return replace(gate, remark="for the same reason")
    reasons.add(gate.remark)
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


def _failures(run: Run) -> dict[str, tuple[Trial, str]]:
    """Return trial id -> trial and reason, for each reranker that failed or of which most queries
    did.
    """
    sentences = mostly_failed(run)
    failures = {}
    for status in run.info.trials:
        trial, reason = status.trial, sentences.get(status.trial.id, "")
        if status.status == "failed":
            reason = _reason(status)
        if reason and trial.kind == "reranker":
            failures[trial.id] = (trial, one_line(reason))
    return failures


def _failed_in_both(new: Run, baseline: Run) -> dict[str, tuple[Trial, str]]:
    """Return trial id -> trial and reason, for each reranker that failed in the new run as its
    counterpart did in the baseline: nothing of the two can be compared.
    """
    before = _failures(baseline)
    failures = {}
    for trial, reason in _failures(new).values():
        counterpart = _counterpart_of(trial, baseline.info.trials)
        if counterpart and counterpart.trial.id in before:
            failures[trial.id] = (trial, reason)
    return failures


def _skipped_in_both(new: Run, baseline: Run) -> list[str]:
    """Return the ids of the rerankers that the new run skipped as the baseline did."""
    trials = []
    for status in new.info.trials:
        if status.status != "skipped" or status.trial.kind != "reranker":
            continue
        counterpart = _counterpart_of(status.trial, baseline.info.trials)
        if counterpart and counterpart.status == "skipped":
            trials.append(status.trial.id)
    return trials


def _unguarded(new: Run, known: Container[str]) -> Iterator[str]:
    """Yield a sentence for each reranker that failed in the new run and has no gate or note."""
    for trial, reason in _failures(new).values():
        if trial.id not in known:
            yield (
                f"{trial.id} failed ({reason}), and the baseline has no such trial, so "
                "that it breaks no gate"
            )


def _why_unchecked(trial: Trial, baseline: Run) -> str:
    if trial.id in _failures(baseline):
        return f"{trial.id} failed in the baseline, so that it was not checked"
    counterpart = _counterpart_of(trial, baseline.info.trials)
    if counterpart and counterpart.status == "skipped":
        return f"{trial.id} was skipped in the baseline, so that it was not checked"
    return f"{trial.id} is new: the baseline has no such trial, so that it was not checked"


def _failed_queries(new: Side, baseline: Side, gates: Gates) -> Iterator[str]:
    """Yield a sentence where queries failed and no gate asks for them."""
    ours, theirs = new.record.counts, baseline.record.counts
    if gates.of(new.trial.reranker).failures is not None or not ours.failed + theirs.failed:
        return
    of_all = f"of {counted(ours.called, 'query')} failed"
    if ours.failed == theirs.failed and set(new.record.failures) == set(baseline.record.failures):
        yield f"{new.trial.id}: {ours.failed} {of_all} in both runs: they score 0"
    else:
        yield (
            f"{new.trial.id}: {ours.failed} {of_all} in the new run, {theirs.failed} in the "
            "baseline: they score 0"
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
            answers.append(_run_gate(status.trial, "fail", FAILED, _reason(status)))
        else:
            absent.append(trial)
            if gates.missing == "fail":
                answers.append(
                    _run_gate(trial, "fail", "missing", _why_absent(trial, status, names))
                )
    return answers, absent


def _why_absent(trial: Trial, status: TrialStatus | None, names: Iterable[str]) -> str:
    if status and status.reason:
        return f"{status.status}: {one_line(status.reason)}"
    if trial.reranker in names:
        return f"it is not in the new run over {trial.dataset}, {trial.first_stage}"
    return f"it is not in the new run: {nearest(trial.reranker, names)}"


def _reason(status: TrialStatus) -> str:
    return one_line(status.reason or "no reason given")


def _counterpart_of(trial: Trial, statuses: Sequence[TrialStatus]) -> TrialStatus | None:
    """The line of a run for the same reranker over the same candidates, on the same device where
    there is one.
    """
    place = (trial.dataset, trial.first_stage, trial.reranker)
    counterpart: TrialStatus | None = None
    for status in statuses:
        other = status.trial
        if (other.dataset, other.first_stage, other.reranker) != place:
            continue
        if other.id == trial.id:
            return status
        counterpart = counterpart or status
    return counterpart


def _without_baseline(
    new: Run, baseline: Run, gates: Gates, twice: Mapping[str, tuple[Trial, str]]
) -> list[Gate]:
    """Return the gates of what is compared with nothing because the baseline holds no quality of
    it: rerankers that the gates file names, trials of the baseline that mostly failed, and those
    that failed in both runs.
    """
    answers = []
    if gates.missing == "fail":
        for trial_id, failures in mostly_failed(baseline).items():
            reason = f"{failures} in the baseline: save a baseline in which it was answered"
            answers.append(
                _run_gate(baseline.records[trial_id].trial, "incomparable", "no baseline", reason)
            )
        ruled = {gate.trial.id for gate in answers}
        for trial, reason in twice.values():
            if trial.id not in ruled:
                answers.append(_run_gate(trial, "incomparable", FAILED_TWICE, reason))
    guarded = {side.trial.reranker for side in sides(baseline, references=False)}
    for name in gates.rerankers:
        if name not in guarded:
            statuses = [*new.info.trials, *baseline.info.trials]
            trial = next(status.trial for status in statuses if status.trial.reranker == name)
            reason = (
                "the gates name it, and the baseline has no result of it to compare with: "
                "save a baseline that has"
            )
            answers.append(_run_gate(trial, "incomparable", "not in the baseline", reason))
    return answers


def _run_gate(trial: Trial, outcome: Outcome, state: str, reason: str) -> Gate:
    return Gate(trial, "run", outcome, state, "runs", reason)


def _gates_of(new: Side, baseline: Side, gates: Gates, context: Context) -> Iterator[Gate]:
    questions = gates.of(new.trial.reranker)
    reasons: set[str] = set()
    if context.quality is sequential_gate and is_part(new, baseline):
        context = context._replace(across=(*context.across, *SAMPLED))
    for ask in KINDS.values():
        for gate in ask(new, baseline, questions, context):
            yield _once(gate, reasons)
