"""The sweep: `single` of a group's rerankers once more at other depths and settings, and the
quality of those settings that change scores.

A changed setting is the same reranker built with that option, loaded and warmed up by itself. What
a change took is written at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.contract.scored import Scored
from bench.core.counting import candidates, counted
from bench.core.errors import BenchError, RerankerError, Unavailable
from bench.core.note import Code, Note, note, read_notes
from bench.core.outsiders import outsiders_code
from bench.latency import timed_pass as latency
from bench.latency.plan import LatencyPlan
from bench.latency.sample import Sample
from bench.latency.sweep_plan import Change, SweepPlan, in_words
from bench.quality import depth_curve
from bench.quality.assess import assess
from bench.quality.questions import Questions
from bench.records.schema import FAILED_LIMIT
from bench.records.writer import RunWriter
from bench.runner.rankings import Ranked
from bench.runner.stages import StagePass
from bench.runner.variant import Variant, varied
from bench.scoring.engine import HERE, score
from bench.scoring.executors.base import Executor
from bench.scoring.known import ScoreCaches
from bench.suite.planning import Group, Planned
from bench.suite.suite import Suite


@dataclass
class Sweep:
    """One group's sweep. `notes` say per trial what was left out, and why."""

    suite: Suite
    group: Group
    latency: LatencyPlan
    plan: SweepPlan
    writer: RunWriter
    questions: Questions
    caches: ScoreCaches
    executor: Executor = HERE
    notes: dict[str, list[Note]] = field(default_factory=dict)

    def run(self, timed: Sequence[Planned], on_call: Callable[[int], None]) -> None:
        """Time every reranker at every point: one change after the other, all its depths and
        rerankers interleaved, so that a machine that slows down slows them all. Closes the
        rerankers.

        What an earlier, interrupted process of this run has timed is not timed again.
        """
        swept = self.writer.swept(planned.trial.id for planned in timed)
        for change in self.plan.changes():
            variants = list(self._open(timed, change))
            points: list[tuple[Variant, int]] = []
            for depth in self._depths(timed):
                points += [(variant, depth) for variant in variants]
            points = [point for point in points if point[0].at(point[1]) not in swept]
            self._time(points, on_call)
            swept |= {variant.at(depth) for variant, depth in points}
            for variant in variants:
                if self.plan.quality and variant.has_own_scores:
                    self._score(variant)
                variant.reranker.close()

    def calls(self, timed: Sequence[Planned]) -> int:
        """Return an upper bound of the calls to come, for a progress bar."""
        points = len(list(self.plan.changes())) * len(self._depths(timed))
        return points * len(timed) * self._point_plan().calls(len(self.questions.requests))

    def _open(self, timed: Sequence[Planned], change: Change) -> Iterator[Variant]:
        """Yield the rerankers with the change made and loaded; one that has it already, or cannot
        have it, is left out.
        """
        dataset = self.questions.dataset
        for planned in timed:
            try:
                with outsiders_code():
                    variant = varied(self.suite, self.group, planned, change, dataset)
            except Unavailable as error:
                self._leave_out(planned, change, error.reason)
                continue
            except BenchError as error:
                self._leave_out(planned, change, str(error))
                continue
            if variant:
                yield variant

    def _time(self, points: Sequence[tuple[Variant, int]], on_call: Callable[[int], None]) -> None:
        if not points:
            return
        by_name: dict[str, tuple[Variant, int]] = {}
        targets: list[latency.Target] = []
        for variant, depth in points:
            trial = variant.planned.trial
            name = f"{depth} {trial.id}"
            by_name[name] = (variant, depth)
            targets.append(latency.Target(name, trial.host, variant.reranker, depth=depth))
        # nothing of it works while timings are taken
        self.executor.close()
        result = latency.measure(
            targets, self.questions.requests, self._point_plan(), self.suite.seed, on_call
        )
        self.writer.add_sweep(_row(sample, *by_name[sample.trial]) for sample in result.samples)
        for name, (variant, depth) in by_name.items():
            if result.facts[name]["errors"]:
                where = candidates(depth)
                if variant.change:
                    where += f", {in_words(variant.change)}"
                notes = self.notes.setdefault(variant.planned.trial.id, [])
                for about in read_notes(result.facts[name]["notes"]):
                    notes.append(about.at(f"sweep: {where}"))

    def _score(self, variant: Variant) -> None:
        """Measure the quality of a system that is not the trial's own, at every depth."""
        trial = variant.planned.trial
        timed = self.latency.depths(trial.depth)
        depths = depth_curve.wanted(
            trial, variant.reranker.pointwise, self.questions.longest, timed
        )
        rankings = Ranked(lambda rankings: None, depths, variant.reranker)
        try:
            with outsiders_code():
                scored = self._scored(variant)
                assessed = assess(scored, self.questions, self.suite.seed, rankings.keep)
            if assessed.counts.failed_share > FAILED_LIMIT:
                raise RerankerError(
                    f"{assessed.counts.failed} of {counted(assessed.counts.called, 'query')} failed"
                )
        except BenchError as error:
            problem = note(Code.SWEEP_NOT_SCORED, text=str(error), change=in_words(variant.change))
            self._note(variant.planned, problem)
            return
        if assessed.counts.failed:
            change = in_words(variant.change)
            failed = note(Code.SWEEP_FAILED, assessed.counts.failed, change=change)
            self._note(variant.planned, failed)
        rows = depth_curve.rows(variant.system, rankings.curve, self.questions.query_ids)
        self.writer.add_depths(variant.system, rows)

    def _scored(self, variant: Variant) -> Scored:
        if variant.pipeline is not None:
            stage_pass = StagePass(
                self.questions,
                self.suite.seed,
                variant.planned.trial.depth,
                self.suite.chunk_pairs,
                self.caches,
                self.executor,
            )
            scored, _ = stage_pass.run(
                variant.pipeline, lambda pairs: None, lambda stage, about: None
            )
            return scored
        return score(
            variant.reranker,
            self.questions.requests,
            chunk_pairs=self.suite.chunk_pairs,
            caches=self.caches.of_row(),
            executor=self.executor,
            recipe=variant.recipe,
        )

    def _leave_out(self, planned: Planned, change: Change, reason: str) -> None:
        self._note(planned, note(Code.SWEEP_LEFT_OUT, text=reason, change=in_words(change)))

    def _note(self, planned: Planned, about: Note) -> None:
        self.notes.setdefault(planned.trial.id, []).append(about.at("sweep"))

    def _depths(self, timed: Sequence[Planned]) -> list[int]:
        """Return the plan's depths that the candidates reach, each once; the whole depth where none
        does.
        """
        deepest = min(self.questions.longest, max(planned.trial.depth for planned in timed))
        depths = [depth for depth in dict.fromkeys(self.plan.depths) if depth <= deepest]
        return depths or [deepest]

    def _point_plan(self) -> LatencyPlan:
        """Return the suite's plan, cut down to what a point asks."""
        return self.latency.one_query_only(
            depth=None,
            sweep=None,
            queries=self.plan.queries or self.latency.queries,
            rounds=self.plan.rounds,
            time_limit_s=self.plan.time_limit_s,
        )


def _row(sample: Sample, variant: Variant, depth: int) -> tuple[Any, ...]:
    """Return a row of the table of the sweep."""
    own = sample._replace(trial=variant.planned.trial.id)
    return (*own, *variant.system[1:], depth, *variant.settings)
