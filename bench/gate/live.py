"""The speed gate, live: both rerankers are rebuilt from the suites that their runs stored, and
timed in turn, query by query, in one process.

It sees what the two suites say differently: another model, max length, batch size, runtime, number
format, server. It does not see a change of code or of a library, since both sides run with what is
installed now: for that, compare stored timings on a machine that is left alone.
"""

from __future__ import annotations

from dataclasses import replace

from bench.comparison.across import VERSIONS, differences, refused
from bench.comparison.pairs import Side, comparable
from bench.core.errors import BenchError, RecordError, RerankerError
from bench.core.note import read_notes
from bench.core.progress import Observer
from bench.core.wording import sentences
from bench.gate.file import SpeedGate
from bench.gate.speed import incomparable, judged, speed_gate, times_by_scenario
from bench.gate.verdict import Gate, Outcome
from bench.latency import timed_pass
from bench.latency.ratios import Ratio, paired_ratio
from bench.latency.scenarios import one_query
from bench.machine.clock import REAL_CLOCK, Clock
from bench.quality.questions import Questions
from bench.records import keys
from bench.records.rows import GroupKey, group_of
from bench.records.tables import LATENCY
from bench.rerankers.description import described
from bench.runner.rebuilding import Rebuilt, rebuilt
from bench.runner.retrieve import retrieve

SAME = (
    "the same reranker with the same options on both sides: nothing to time; --live does not "
    "see a change of code or of a library"
)
SIDES = ("new", "baseline")


class LiveSpeed:
    """Judges speed gates (`bench.gate.speed.Judge`) by timing both sides. One instance serves one
    check.
    """

    def __init__(self, observer: Observer | None = None, clock: Clock = REAL_CLOCK) -> None:
        self.observer, self.clock = observer or Observer(), clock
        self._retrieved: dict[GroupKey, tuple[str, Questions]] = {}

    def __call__(self, new: Side, baseline: Side, question: SpeedGate, seed: int) -> Gate | None:
        """The speed gate: fails when the whole interval of the ratio lies above the limit, twice.
        Incomparable where a side cannot be rebuilt as it was; None for a reranker that does no
        work.
        """
        try:
            comparable(new, baseline)
            pair = rebuilt(new.run, new.trial), rebuilt(baseline.run, baseline.trial)
            if all(side.planned.reranker.placement == "none" for side in pair):
                return None
            if pair[0].recipe == pair[1].recipe:
                return replace(incomparable(new, question, SAME), decides=False)
            questions = self._questions(new, pair[0])
            try:
                notes = [_load(new, pair[0]), _load(baseline, pair[1])]
                return self._judge(new, question, seed, pair, questions, notes)
            finally:
                for side in pair:
                    side.planned.reranker.close()
        except BenchError as error:
            return incomparable(new, question, str(error))

    def _questions(self, side: Side, built: Rebuilt) -> Questions:
        """The requests of a trial. Raises RecordError when its candidates are not those of the
        record any more.
        """
        place = group_of(built.planned.trial)
        if place not in self._retrieved:
            retrieved = retrieve(built.suite, built.group, self.observer)
            self._retrieved[place] = retrieved.candidates.hash, retrieved.questions
        current, questions = self._retrieved[place]
        recorded = side.record.keys["quality"].value("candidates")
        if current != recorded:
            raise RecordError(
                f"the candidates of {side.trial.id} are not those of its run any more "
                f"({recorded} → {current})"
            )
        return questions

    def _judge(
        self,
        new: Side,
        question: SpeedGate,
        seed: int,
        pair: tuple[Rebuilt, Rebuilt],
        questions: Questions,
        notes: list[str],
    ) -> Gate:
        ratios: list[Ratio] = []
        outcome: Outcome = "fail"
        while outcome == "fail" and len(ratios) < 2:
            ratio, remarks = self._measure(pair, questions, seed + len(ratios))
            ratios.append(ratio)
            notes += remarks
            outcome = judged(ratio, question.ratio)
        if len(ratios) == 2 and outcome != "fail":
            outcome = "inconclusive"
            notes.append("a second measurement did not agree")
        remark = "; ".join(filter(None, dict.fromkeys(notes)))
        return speed_gate(new, question, outcome, ratios, remark)

    def _measure(
        self, pair: tuple[Rebuilt, Rebuilt], questions: Questions, seed: int
    ) -> tuple[Ratio, list[str]]:
        """One interleaved measurement of one query in flight. Raises RerankerError when a side
        answered no query.
        """
        import pandas as pd

        targets = [
            timed_pass.Target(name, rebuilt.planned.trial.host, rebuilt.planned.reranker)
            for name, rebuilt in zip(SIDES, pair, strict=True)
        ]
        timing = (pair[0].suite.latency or timed_pass.LatencyPlan()).one_query_only()
        total = timed_pass.planned_calls(targets, questions.requests, timing)
        with self.observer.task(
            f"timing {pair[0].planned.trial.reranker} against its baseline, in turn", total, "calls"
        ) as advance:
            result = timed_pass.measure(
                targets, questions.requests, timing, seed, advance, self.clock
            )
        samples = pd.DataFrame(result.samples, columns=list(LATENCY.names))
        ours, theirs = (times_by_scenario(samples, name) for name in SIDES)
        notes = _notes(*(sentences(read_notes(result.facts[name]["notes"])) for name in SIDES))
        for scenario in one_query():
            ratio = paired_ratio(ours.get(scenario, {}), theirs.get(scenario, {}), seed)
            if ratio is not None:
                return ratio, notes
        raise RerankerError("; ".join(["no query was timed on both sides", *notes]))


def _notes(new: list[str], baseline: list[str]) -> list[str]:
    """Return what the timed pass says of both sides, once, and of either side."""
    notes = [note for note in new if note in baseline]
    notes += [f"new: {note}" for note in new if note not in baseline]
    notes += [f"baseline: {note}" for note in baseline if note not in new]
    return notes


def _load(side: Side, built: Rebuilt) -> str:
    """Load a side and hold it against its record: versions may have moved on, which is told;
    anything else is another reranker.

    Raises RecordError naming the fields that differ.
    """
    built.planned.reranker.load()
    now = keys.system_key(keys.identity_of(described(built.planned.reranker)))
    differing = differences(now, side.record.system)
    if other := refused(differing, [VERSIONS]):
        raise RecordError(
            f"{side.trial.id} of {side.run.info.id} cannot be rebuilt as it was: "
            f"{', '.join(other)} differ"
        )
    if not differing:
        return ""
    versions = ", ".join(f"{name} {version}" for name, (_, version) in differing.items())
    return f"timed with {versions} on both sides"
