"""The sweep: `single` of a group's rerankers once more at other depths and settings, and the
quality of those settings that change scores.

A changed setting is the same reranker built with that option, loaded and warmed up by itself. What
a change took is written at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bench import rerankers
from bench.contract.recipe import Recipe
from bench.contract.stage import Reranker
from bench.contract.trial import System
from bench.core.counting import counted
from bench.core.errors import BenchError, RerankerError, Unavailable
from bench.core.note import Code, Note, note, read_notes
from bench.core.options import as_mapping, decision
from bench.core.outsiders import outsiders_code
from bench.latency import timed_pass as latency
from bench.latency.plan import LatencyPlan
from bench.latency.sweep_plan import SETTINGS, Change, SweepPlan, told
from bench.quality import depth_curve
from bench.quality.assess import assess
from bench.quality.questions import Questions
from bench.records.schema import FAILED_LIMIT
from bench.records.writer import RunWriter
from bench.runner.rankings import Ranked
from bench.scoring.engine import HERE, score
from bench.scoring.executors.base import Executor
from bench.suite.part import Part
from bench.suite.planning import Planned
from bench.suite.suite import Suite


@dataclass
class Variant:
    """A trial with some settings changed, loaded. `system` decides its quality, `settings` are what
    loaded, by the order of SETTINGS.
    """

    planned: Planned
    change: Change
    reranker: Reranker
    recipe: Recipe | None = None

    @property
    def system(self) -> System:
        """What decides its scores: the trial alone where they are the trial's own."""
        model = rerankers.options_for(self.planned.part.name)
        changes = {
            name: value
            for name, value in self.change.items()
            if decision(model, name).decides == "scores"
        }
        return System(self.planned.trial.id, **changes)

    @property
    def has_own_scores(self) -> bool:
        return self.planned.trial.kind == "reranker" and bool(self.system.changes)

    @cached_property
    def settings(self) -> tuple[Any, ...]:
        description = self.reranker.describe()
        found = {**description.facts, **description.identity}
        return tuple(found.get(name, self.change.get(name)) for name in SETTINGS)

    def at(self, depth: int) -> tuple[Any, ...]:
        """The point that this is at a depth, as a run's table of the sweep keeps it."""
        return self.planned.trial.id, depth, *self.settings


@dataclass
class Sweep:
    """One group's sweep. `notes` say per trial what was left out, and why."""

    suite: Suite
    latency: LatencyPlan
    plan: SweepPlan
    writer: RunWriter
    questions: Questions
    fresh: bool = False
    executor: Executor = HERE
    notes: dict[str, list[Note]] = field(default_factory=dict)

    def run(self, timed: Sequence[Planned], on_call: Callable[[int], None]) -> None:
        """Time every reranker at every point: one change after the other, all its depths and
        rerankers interleaved, so that a machine that slows down slows them all. Closes the
        rerankers.

        What an earlier, interrupted process of this run has timed stands.
        """
        taken = self.writer.swept(planned.trial.id for planned in timed)
        for change in self.plan.changes():
            variants = list(self._open(timed, change))
            points = [
                (one, depth)
                for depth in self._depths(timed)
                for one in variants
                if one.at(depth) not in taken
            ]
            self._time(points, on_call)
            taken |= {one.at(depth) for one, depth in points}
            for variant in variants:
                if self.plan.quality and variant.has_own_scores:
                    self._score(variant)
                variant.reranker.close()

    def calls(self, timed: Sequence[Planned]) -> int:
        """An upper bound of the calls to come, for a progress bar."""
        points = len(list(self.plan.changes())) * len(self._depths(timed))
        return points * len(timed) * self._point_plan().calls(len(self.questions.requests))

    def _open(self, timed: Sequence[Planned], change: Change) -> Iterator[Variant]:
        """The rerankers with the change made and loaded; one that has it already, or cannot have
        it, is left out.
        """
        for planned in timed:
            try:
                with outsiders_code():
                    variant = self._variant(planned, change)
            except Unavailable as error:
                self._leave_out(planned, change, error.reason)
                continue
            except BenchError as error:
                self._leave_out(planned, change, str(error))
                continue
            if variant:
                yield variant

    def _variant(self, planned: Planned, change: Change) -> Variant | None:
        if not change:
            planned.reranker.load()
            return Variant(planned, {}, planned.reranker)
        model = rerankers.options_for(planned.part.name)
        lacking = [name for name in change if name not in model.model_fields]
        if lacking:
            raise BenchError(f"it has no option '{lacking[0]}'")
        before = planned.reranker.options.model_dump()
        changed = {name: value for name, value in change.items() if before.get(name) != value}
        if not changed:
            return None
        options = {**as_mapping(model, planned.part.options), **changed}
        reranker = rerankers.build(
            planned.part.name, options, planned.trial.device, self.suite.base_dir
        )
        reranker.check()
        reranker.load()
        recipe = Part(name=planned.part.name, options=options).recipe(
            self.suite.base_dir, planned.trial.device
        )
        return Variant(planned, changed, reranker, recipe)

    def _time(self, points: Sequence[tuple[Variant, int]], on_call: Callable[[int], None]) -> None:
        if not points:
            return
        by_name = {f"{depth} {one.planned.trial.id}": (one, depth) for one, depth in points}
        targets = [
            latency.Target(name, one.planned.trial.device, one.reranker, depth=depth)
            for name, (one, depth) in by_name.items()
        ]
        result = latency.measure(
            targets, self.questions.requests, self._point_plan(), self.suite.seed, on_call
        )
        settings = {
            name: (*one.system[1:], depth, *one.settings) for name, (one, depth) in by_name.items()
        }
        trials = {name: one.planned.trial.id for name, (one, _) in by_name.items()}
        self.writer.add_sweep(
            (*sample._replace(trial=trials[sample.trial]), *settings[sample.trial])
            for sample in result.samples
        )
        for name, (one, depth) in by_name.items():
            if result.facts[name]["errors"]:
                where = ", ".join([f"depth {depth}", *([told(one.change)] if one.change else [])])
                for about in read_notes(result.facts[name]["notes"]):
                    self._note(one.planned, about.at(f"at {where}"))

    def _score(self, variant: Variant) -> None:
        """The quality of a system that is not the trial's own, at every depth."""
        trial = variant.planned.trial
        timed = self.latency.depths(trial.depth)
        depths = depth_curve.wanted(
            trial, variant.reranker.pointwise, self.questions.longest, timed
        )
        kept = Ranked(lambda rankings: None, depths)
        try:
            with outsiders_code():
                scored = score(
                    variant.reranker,
                    self.questions.requests,
                    chunk_pairs=self.suite.chunk_pairs,
                    fresh=self.fresh,
                    executor=self.executor,
                    recipe=variant.recipe,
                )
                assessed = assess(scored, self.questions, self.suite.seed, kept.keep)
            if assessed.counts.failed_share > FAILED_LIMIT:
                raise RerankerError(
                    f"{assessed.counts.failed} of {counted(assessed.counts.called, 'query')} failed"
                )
        except BenchError as error:
            problem = note(Code.SWEEP_NOT_SCORED, text=str(error), change=told(variant.change))
            self._note(variant.planned, problem)
            return
        if assessed.counts.failed:
            failed = note(Code.SWEEP_FAILED, assessed.counts.failed, change=told(variant.change))
            self._note(variant.planned, failed)
        self.writer.add_depths(
            variant.system, depth_curve.rows(variant.system, kept.curve, self.questions.query_ids)
        )

    def _leave_out(self, planned: Planned, change: Change, reason: str) -> None:
        self._note(planned, note(Code.SWEEP_LEFT_OUT, text=reason, change=told(change)))

    def _note(self, planned: Planned, about: Note) -> None:
        self.notes.setdefault(planned.trial.id, []).append(about.at("sweep"))

    def _depths(self, timed: Sequence[Planned]) -> list[int]:
        """The plan's depths that the candidates reach, each once; the whole depth where none
        does.
        """
        deepest = min(self.questions.longest, max(planned.trial.depth for planned in timed))
        depths = [depth for depth in dict.fromkeys(self.plan.depths) if depth <= deepest]
        return depths or [deepest]

    def _point_plan(self) -> LatencyPlan:
        """The suite's plan, cut down to what a point asks."""
        return self.latency.one_query_only(
            depth=None,
            sweep=None,
            queries=self.plan.queries or self.latency.queries,
            rounds=self.plan.rounds,
            time_limit_s=self.plan.time_limit_s,
        )
