"""Paired comparisons of records: which trials answer the same question, and what lies between them,
query by query.

Reads records only. Two trials are compared when their quality keys agree; what differs is named
otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, TypeVar

from bench.contract.trial import FIRST_STAGE, REFERENCES, Trial
from bench.core.counting import counted
from bench.core.errors import BenchError, IncomparableError, RecordError, nearest
from bench.quality import statistics
from bench.quality.measures import JUDGED
from bench.records.keys import MEASURES, Key
from bench.records.measure import resolve_measure
from bench.records.run import Run
from bench.records.schema import Record
from bench.records.training import seen_families

LIKENESS = (4, 3, 1, 0)
"""How trials of two runs find their counterparts: those that agree in most first, so that a renamed
part meets what it replaces. Of dataset, first stage, depth and device so many agree.
"""
IN_A_GROUP = 3

ACROSS = "with `compare --across FIELD`"


@dataclass(frozen=True)
class Side:
    """One trial of one run."""

    run: Run
    record: Record

    @property
    def trial(self) -> Trial:
        return self.record.trial

    @property
    def seen(self) -> list[str]:
        """The families of its collection that a model of it was trained on."""
        return seen_families(self.record)

    def values(self, measure: str) -> Mapping[str, float]:
        """Return query id -> value, as `RunFolder.values` does."""
        return self.run.values(self.trial.id, measure)


class OfTrial(Protocol):
    """What has a trial: a side, or a trial that is planned."""

    @property
    def trial(self) -> Trial: ...


New = TypeVar("New", bound=OfTrial)
Old = TypeVar("Old", bound=OfTrial)


@dataclass(frozen=True)
class Comparison:
    """`new` against `baseline` over the same queries. `p_holm` is corrected for all comparisons
    made together.

    `t` and `t_p` are of the paired t-test. `effect_size` is mean / sd of the paired differences
    (None where nothing varies). `detectable` is the minimum detectable effect. `across` names the
    fields of the quality keys that differ by the caller's leave, `unpaired` counts queries that
    only one side has.
    """

    new: Side
    baseline: Side
    measure: str
    mean: float
    baseline_mean: float
    difference: statistics.Difference
    p_holm: float
    t: float
    t_p: float
    effect_size: float | None
    detectable: float
    deltas: Mapping[str, float]
    across: tuple[str, ...] = ()
    unpaired: int = 0

    def moved(self, n: int = 5) -> list[tuple[str, float]]:
        """The queries whose value changed most, either way, with their differences."""
        changed = [(query, delta) for query, delta in self.deltas.items() if delta]
        return sorted(changed, key=lambda pair: -abs(pair[1]))[:n]


def compare(
    runs: Sequence[Run],
    baseline: str | None = None,
    measure: str | None = None,
    across: Sequence[str] = (),
) -> list[Comparison]:
    """Rerankers against a baseline, or, with several runs and no `baseline`, each reranker against
    itself in the first run.

    `measure` is the first measure of the first run that all of them have, unless given; `across`
    names fields of the quality key that may differ. Raises IncomparableError where others do,
    RecordError when there is nothing to compare.
    """
    name = _measure_of(runs, measure)
    if baseline or len(runs) == 1:
        pairs = list(_against(runs, baseline or FIRST_STAGE))
    else:
        pairs = list(_same_reranker(runs))
    if not pairs:
        folders = ", ".join(str(run.folder) for run in runs)
        raise RecordError(f"{folders}: nothing to compare: no reranker of theirs has a counterpart")
    comparisons = [paired(new, old, name, across, runs[0].seed) for new, old in pairs]
    corrected = statistics.holm([comparison.difference.p for comparison in comparisons])
    return [
        replace(comparison, p_holm=p) for comparison, p in zip(comparisons, corrected, strict=True)
    ]


def paired(
    new: Side,
    baseline: Side,
    measure: str,
    across: Sequence[str] = (),
    seed: int = 0,
    place: str = ACROSS,
) -> Comparison:
    """One comparison, on its own: `p_holm` is the p itself. Raises IncomparableError naming the
    fields of the quality keys that differ, each as baseline → new; RecordError for a measure that
    one of the two lacks.
    """
    differing = comparable(new, baseline, across, place)
    _require_measure(new, baseline, measure)
    ours, theirs = new.values(measure), baseline.values(measure)
    queries = [query for query in ours if query in theirs]
    if not queries:
        raise IncomparableError(f"{_label(new)} and {_label(baseline)} have no query in common")
    now, then = [ours[query] for query in queries], [theirs[query] for query in queries]
    deltas = {query: ours[query] - theirs[query] for query in queries}
    difference = statistics.difference(now, then, seed)
    t, t_p = statistics.paired_t(list(deltas.values()))
    return Comparison(
        new=new,
        baseline=baseline,
        measure=measure,
        mean=sum(now) / len(now),
        baseline_mean=sum(then) / len(then),
        difference=difference,
        p_holm=difference.p,
        t=t,
        t_p=t_p,
        effect_size=statistics.effect_size(list(deltas.values())),
        detectable=statistics.minimum_detectable(list(deltas.values())),
        deltas=deltas,
        across=tuple(differing),
        unpaired=len(ours) + len(theirs) - 2 * len(queries),
    )


def comparable(
    new: Side, baseline: Side, across: Sequence[str] = (), place: str = ACROSS
) -> list[str]:
    """Return the fields of the quality keys that differ and may: see `agreed`."""
    names = _label(new), _label(baseline)
    return agreed(new.record.question, baseline.record.question, names, across, place)


def agreed(
    ours: Key,
    theirs: Key,
    names: tuple[str, str],
    across: Sequence[str] = (),
    place: str = ACROSS,
) -> list[str]:
    """Return the fields of two quality keys that differ and may, because `across` names them, or
    the field they lie in. Another depth gives other candidates, so that `depth` covers both.
    `names` are of what has the keys, `place` is where a field may be named. Raises
    IncomparableError naming the fields that may not.
    """
    # files of gates may name the measures, which earlier versions compared
    known = {*ours.fields, MEASURES}
    unknown = [name for name in across if name.split(".")[0] not in known]
    if unknown:
        raise BenchError(
            f"--across {unknown[0]}: not a field of the quality key: "
            f"{nearest(unknown[0], ours.fields)}"
        )
    allowed = set(across)
    if "depth" in across:
        allowed.add("candidates")
    differing = ours.differing(theirs)
    refused = [field for field in differing if not allowed & {field, field.split(".")[0]}]
    if refused:
        changes = ", ".join(_change(ours, theirs, name) for name in refused)
        raise IncomparableError(
            f"{names[1]} and {names[0]} are not comparable: they differ in {changes}; "
            f"measure both in the same way, or name what is under test {place}"
        )
    return differing


def _measure_of(runs: Sequence[Run], wanted: str | None) -> str:
    """Return the full name of a measure to compare by."""
    name = resolve_measure(runs[0], wanted)
    if wanted is not None:
        return name
    measures = [_measures_of(run) for run in runs]
    shared = [
        own for own in measures[0] if own != JUDGED and all(own in other for other in measures)
    ]
    if not shared or name in shared:
        return name
    return shared[0]


def _measures_of(run: Run) -> dict[str, None]:
    names: dict[str, None] = {}
    for record in run.records.values():
        names |= dict.fromkeys(record.quality)
    return names


def _require_measure(new: Side, baseline: Side, measure: str) -> None:
    """Raise RecordError for a measure that one of the two was not measured by."""
    for side, other in ((new, baseline), (baseline, new)):
        if measure not in side.record.quality:
            shared = [name for name in other.record.quality if name in side.record.quality]
            shared = [name for name in shared if name != JUDGED]
            raise RecordError(
                f"{_label(side)} holds no {measure}; both hold {', '.join(shared) or 'none'}: "
                f"name one of these, or run its suite with {measure} among its measures"
            )


def counterparts(new: Iterable[New], old: Iterable[Old]) -> list[tuple[New, Old]]:
    """Each trial of `new` with the trial of `old` by the same reranker that is most like it; each
    is used once.
    """
    left, right = list(new), list(old)
    pairs: list[tuple[New, Old]] = []
    for length in LIKENESS:
        for side in list(left):
            match = _counterpart(side, right, length)
            if match is not None:
                pairs.append((side, match))
                left.remove(side)
                right.remove(match)
    return pairs


def _counterpart(side: OfTrial, others: Iterable[Old], length: int) -> Old | None:
    for other in others:
        if other.trial.reranker == side.trial.reranker and _is_alike(other, side, length):
            return other
    return None


def sides(run: Run, *, references: bool = True) -> list[Side]:
    """The finished trials of a run, in its order, but for those of which most queries failed: see
    `mostly_failed`.
    """
    records = [record for record in run.records.values() if not record.mostly_failed]
    return [
        Side(run, record) for record in records if references or record.trial.kind == "reranker"
    ]


def mostly_failed(run: Run) -> dict[str, str]:
    """Return trial id -> a sentence, for each finished trial of which most queries failed: it is
    compared with nothing.
    """
    return {
        trial_id: f"{record.counts.failed} of {counted(record.counts.called, 'query')} failed"
        for trial_id, record in run.records.items()
        if record.mostly_failed
    }


def cached(answered: Iterable[Side]) -> list[str]:
    """Return a sentence per run on the trials whose scores were not made in it: no server or model
    was asked for them. What rows of a run share is none of it.
    """
    trials: dict[str, dict[str, None]] = {}
    for side in answered:
        scores = side.record.scores
        total = sum(scores.values())
        # what the run itself bought for another row is as new as the run
        count = scores.get("cached", 0) - side.record.reused
        if count > 0:
            share = f"{side.trial.id} ({count} of {counted(total, 'query')})"
            trials.setdefault(side.run.info.id, {})[share] = None
    return [
        f"run {run}: scores are older than the run, from the cache; --fresh scores anew: "
        f"{', '.join(shares)}"
        for run, shares in trials.items()
    ]


def _same_reranker(runs: Sequence[Run]) -> Iterator[tuple[Side, Side]]:
    for run in runs[1:]:
        yield from counterparts(sides(run, references=False), sides(runs[0], references=False))


def _against(runs: Sequence[Run], baseline: str) -> Iterator[tuple[Side, Side]]:
    """Every other trial with the baseline's trial most like it, in its own group where both are of
    one run (a trial whose group lacks the baseline is left out). References are taken from the
    first run only.
    """
    everyone: list[Side] = []
    for number, run in enumerate(runs):
        everyone += sides(run, references=number == 0)
    bases = [side for side in everyone if side.trial.reranker == baseline]
    bases = bases or [side for side in everyone if side.trial.label == baseline]
    if baseline in REFERENCES:
        # runs of earlier versions may hold a reranker of that name
        bases = [base for base in bases if base.trial.kind == "reference"]
    if not bases:
        for run in runs:
            for trial_id, reason in mostly_failed(run).items():
                trial = run.records[trial_id].trial
                if baseline in (trial.reranker, trial.label):
                    raise BenchError(
                        f"--baseline {baseline}: {reason} in run {run.info.id}: nothing can be "
                        "compared with it"
                    )
        known = {side.trial.reranker for side in everyone}
        raise BenchError(
            f"--baseline {baseline}: no finished trial of that name: {nearest(baseline, known)}"
        )
    for side in everyone:
        if any(side is base for base in bases):
            continue
        usable = [
            base for base in bases if base.run is not side.run or _is_alike(side, base, IN_A_GROUP)
        ]
        if usable:
            yield side, max(usable, key=partial(_likeness, side))


def _likeness(side: OfTrial, other: OfTrial) -> int:
    return sum(_is_alike(side, other, length) for length in LIKENESS)


def _is_alike(side: OfTrial, other: OfTrial, length: int) -> bool:
    """Whether two sides agree in the first parts of their places."""
    return _place(side.trial)[:length] == _place(other.trial)[:length]


def _place(trial: Trial) -> tuple[str, str, int, str | None]:
    return trial.dataset, trial.first_stage, trial.depth, trial.device


def _change(ours: Key, theirs: Key, name: str) -> str:
    """A field that differs, with its values where a sentence can hold them: hashes, depths and
    versions, not long templates.
    """
    values = theirs.value(name), ours.value(name)
    short = all(isinstance(value, str | int) and len(str(value)) <= 24 for value in values)
    if not short:
        return name
    return f"{name} ({values[0]} → {values[1]})"


def _label(side: Side) -> str:
    return f"{side.trial.id} of {side.run.info.id}"
