"""The timed pass and the sweep over one group: what was scored is loaded anew, alone, and timed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

from bench import retrieval
from bench.contract.recipe import PipelineRecipe, Recipe, StepRecipe
from bench.core.counting import counted
from bench.core.errors import BenchError
from bench.core.note import Code, note
from bench.core.outsiders import outsiders_code
from bench.core.progress import Observer
from bench.core.wording import worded
from bench.latency import timed_pass
from bench.latency.plan import LatencyPlan
from bench.pipelines.pipeline import Pipeline
from bench.quality.questions import Questions
from bench.records.writer import RunWriter
from bench.rerankers.description import described
from bench.runner.guard import Guard
from bench.runner.record import build_architecture
from bench.runner.sweep import Sweep
from bench.runner.trial_run import TrialRun
from bench.scoring.executors.base import Executor
from bench.scoring.known import ScoreCaches
from bench.suite.naming import display_name
from bench.suite.pipeline_planning import recipe_of
from bench.suite.planning import Group, Planned
from bench.suite.suite import Suite


class GroupTiming:
    """Times the trials of a group that do some work, here or on another machine."""

    def __init__(
        self,
        suite: Suite,
        group: Group,
        runs: Sequence[TrialRun],
        writer: RunWriter,
        observer: Observer,
        caches: ScoreCaches,
        executor: Executor,
    ) -> None:
        self.suite, self.group, self.runs = suite, group, runs
        self.writer, self.observer = writer, observer
        self.caches, self.executor = caches, executor
        self.guard = Guard(writer, observer)

    def run(self, questions: Questions) -> timed_pass.LatencyResult | None:
        """Return the timings of the group, None where nothing was timed. The quality that was
        measured stays, whatever happens here.
        """
        timing = None
        try:
            with outsiders_code():
                timing = self._latency(questions)
                if timing:
                    self._sweep(questions, timing)
        except BenchError as error:
            trial = self.runs[0].trial
            reason = self.guard.reason(error, f"{trial.id}-timing")
            place = f"{trial.dataset}, {trial.first_stage}"
            ended = note(Code.TIMING_ENDED, text=reason).at(place)
            self.observer.note(worded(ended))
            self.writer.warn([ended])
        return timing

    def _latency(self, questions: Questions) -> timed_pass.LatencyResult | None:
        """Make one timed pass over all rerankers."""
        plan_ = self.suite.latency
        if plan_ is None or not questions.requests:
            return None
        timed = [run for run in self.runs if run.is_done and run.does_work]
        for run in timed:
            work = partial(self._load, run)
            if run.has_no_quality:
                work = partial(self._build, run, questions, plan_)
            self.guard.run(run, work)
        targets = [self._target(run.planned) for run in timed if run.is_done]
        with ExitStack() as stack:
            if plan_.first_stages and self.runs[0].is_done:
                targets = [*self._search(questions, stack), *targets]
            if not targets:
                return None
            return self._timed(targets, questions, plan_)

    def _timed(
        self, targets: Sequence[timed_pass.Target], questions: Questions, plan_: LatencyPlan
    ) -> timed_pass.LatencyResult:
        total = timed_pass.planned_calls(targets, questions.requests, plan_)
        label = f"timing {counted(len(targets), 'row')}, interleaved"
        with self.observer.task(label, total, "calls") as advance:
            return timed_pass.measure(targets, questions.requests, plan_, self.suite.seed, advance)

    def _search(self, questions: Questions, stack: ExitStack) -> list[timed_pass.Target]:
        """Return the first stage as a stage of its own, loaded until the stack is closed; nothing
        where it is given, and has no time.
        """
        part = self.group.first_stage
        device = self.group.device
        stage = retrieval.build(part.name, part.options, self.suite.base_dir, device)
        if stage.is_given:
            return []
        search = Pipeline(display_name(part), stage, (), device=device)
        stack.callback(search.close)
        search.over(questions.dataset)
        search.load()
        recipe = self._pipeline_recipe(search)
        return [timed_pass.Target(self.runs[0].trial.id, device, search, recipe)]

    def _load(self, run: TrialRun) -> None:
        """Load what is timed and describe it as it is now: the cache knows the threads and batches
        with which the scores were once made.
        """
        reranker = run.planned.reranker
        reranker.load()
        if run.measured is None:
            return
        scored = run.measured.scored
        before, scored.description = scored.description, described(reranker)
        facts = scored.description["facts"]
        if "served_model" in facts:
            # known from an answer alone
            known = before.get("facts", {}).get("served_model")
            facts["served_model"] = facts["served_model"] or known

    def _build(self, run: TrialRun, questions: Questions, plan_: LatencyPlan) -> None:
        run.description = dict(build_architecture(run.planned, questions, plan_))

    def _target(self, planned: Planned) -> timed_pass.Target:
        recipe: Recipe | PipelineRecipe | None
        if planned.pipeline is None:
            recipe = recipe_of(planned.part, planned.reranker, self.suite, planned.trial.host)
        else:
            recipe = self._pipeline_recipe(planned.pipeline)
        return timed_pass.Target(planned.trial.id, planned.trial.host, planned.reranker, recipe)

    def _pipeline_recipe(self, pipeline: Pipeline) -> PipelineRecipe | None:
        """Return how another process builds a pipeline; None where one of its stages cannot be
        built there.
        """
        dataset = self.group.dataset.recipe(self.suite.base_dir)
        first = self.group.first_stage.recipe(self.suite.base_dir)
        if dataset is None or first is None:
            return None
        steps: list[StepRecipe] = []
        for step in pipeline.steps:
            if step.recipe is None:
                return None
            learned = step.reranker.learned
            key = None if learned is None else learned.key
            steps.append(StepRecipe(step.name, step.keep, step.recipe, key))
        return PipelineRecipe(
            dataset,
            self.suite.seed,
            self.runs[0].trial.depth,
            pipeline.first_name,
            first,
            tuple(steps),
            pipeline.device,
        )

    def _sweep(self, questions: Questions, timing: timed_pass.LatencyResult) -> None:
        """Where the plan asks for it, time the rerankers of the timed pass that run on this machine
        at other depths and settings.
        """
        plan_ = self.suite.latency
        timed = [
            run.planned
            for run in self.runs
            if run.trial.id in timing.facts and run.planned.reranker.placement == "device"
        ]
        if not timed or plan_ is None or plan_.sweep is None:
            return
        sweep = Sweep(
            self.suite,
            self.group,
            plan_,
            plan_.sweep,
            self.writer,
            questions,
            self.caches,
            self.executor,
        )
        label = f"sweeping {counted(len(timed), 'reranker')}"
        with self.observer.task(label, sweep.calls(timed), "calls") as advance:
            sweep.run(timed, advance)
        for trial_id, notes in sweep.notes.items():
            timing.facts[trial_id]["notes"] += [note.to_dict() for note in notes]
