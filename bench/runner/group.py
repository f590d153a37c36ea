"""The trials over one dataset's candidates: scored, measured, timed, recorded."""

from __future__ import annotations

import platform
from functools import cache, partial

from bench.contract.candidates import Candidates
from bench.contract.identity import Fields
from bench.contract.request import NO_REASON
from bench.contract.scored import Scored
from bench.contract.trial import Trial
from bench.core.counting import counted
from bench.core.errors import BenchError, ExecutorError, RerankerError
from bench.core.note import Note
from bench.core.outsiders import outsiders_code
from bench.core.progress import Observer
from bench.core.version import version
from bench.core.wording import worded
from bench.datasets.base import Dataset
from bench.latency import timed_pass
from bench.latency.plan import LatencyPlan
from bench.machine import fingerprint
from bench.pipelines.pipeline import Pipeline
from bench.quality import depth_curve
from bench.quality.assess import Assessed, assess
from bench.quality.losses import (
    LossCounter,
    Losses,
    cutoff_of,
    no_stage_before,
    search_before,
)
from bench.quality.questions import Questions
from bench.records import tables, texts
from bench.records.learned import LearnedRecord
from bench.records.losses import LossRecord, loss_record, loss_rows
from bench.records.schema import ArchitectureRecord, Record, StageRecord
from bench.records.timings import summaries_of
from bench.records.writer import RunWriter
from bench.runner import table_rows
from bench.runner.guard import Guard
from bench.runner.learned import Lists, learned_record, with_files
from bench.runner.orders import candidate_orders
from bench.runner.rankings import ranked
from bench.runner.record import (
    architecture_record,
    candidates_fields,
    dataset_fields,
    quality_record,
)
from bench.runner.retrieve import Retrieved, retrieve
from bench.runner.stages import KnownStages, StagePass
from bench.runner.table_rows import with_timings
from bench.runner.timing import GroupTiming
from bench.runner.trial_run import Measured, TrialRun
from bench.scoring.composite import passes
from bench.scoring.engine import HERE, score
from bench.scoring.executors.base import Executor
from bench.scoring.known import ScoreCaches
from bench.suite.pipeline_planning import recipe_of
from bench.suite.planning import Group, Planned
from bench.suite.suite import Suite


class GroupRun:
    """The trials over one dataset's candidates."""

    def __init__(
        self,
        suite: Suite,
        group: Group,
        writer: RunWriter,
        observer: Observer,
        timed: bool,
        caches: ScoreCaches,
        known: KnownStages,
        executor: Executor = HERE,
    ) -> None:
        self.suite, self.group, self.writer, self.observer = suite, group, writer, observer
        self.timed, self.caches, self.executor = timed, caches, executor
        self.known = known
        self.runs = [TrialRun(planned) for planned in group.planned]
        self.guard = Guard(writer, observer)
        self.stage_pass: StagePass | None = None
        self.lost: dict[str, None] = {}
        """Lost documents that the report shows, each once."""
        # asks the system: once a device, when every model is loaded
        self.fingerprint = cache(fingerprint.fingerprint)

    def run(self) -> None:
        for run in self.runs:
            self.guard.keep_traceback(run.planned)
        try:
            with outsiders_code():
                retrieved = retrieve(self.suite, self.group, self.observer, self.executor.encoder())
        except ExecutorError:
            raise
        except BenchError as error:
            self._fail_all(error)
            return
        try:
            timing = self._measure(retrieved)
        finally:
            for run in self.runs:
                self.guard.close(run.planned)
        self._save(retrieved, timing)

    def _measure(self, retrieved: Retrieved) -> timed_pass.LatencyResult | None:
        """Score every trial, then time them; return the timings, None where nothing was timed."""
        questions = retrieved.questions
        self.writer.warn(retrieved.warnings)
        for run in self.runs:
            if run.is_pending and run.has_no_quality:
                if self.timed:
                    run.planned.end("done")
                else:
                    run.planned.end("skipped", "has a latency only, and nothing is timed")
            elif run.is_pending:
                self.guard.run(run, partial(self._quality, run, retrieved))
        timing = None
        if self.timed:
            # nothing of it works while timings are taken
            self.executor.close()
            timing = GroupTiming(
                self.suite,
                self.group,
                self.runs,
                self.writer,
                self.observer,
                self.caches,
                self.executor,
            ).run(questions)
        timed = timing.facts if timing else {}
        for run in self.runs:
            if run.has_no_quality and run.is_done and run.trial.id not in timed:
                run.planned.end("skipped", "nothing was timed")
        return timing

    def _quality(self, run: TrialRun, retrieved: Retrieved) -> None:
        planned, trial, questions = run.planned, run.trial, retrieved.questions
        reranker = planned.reranker
        reranker.bind(questions.dataset.qrels, retrieved.candidates)
        label = trial.reranker
        if trial.device is not None:
            label += f" on {trial.device}"
        recipe = recipe_of(planned.part, reranker, self.suite, trial.host)
        if reranker.placement == "device" and self.executor.distributes and recipe:
            label += f" ({self._executor_label(trial.host)})"
        observer = self.observer
        if reranker.placement == "none":
            # an order that is given takes no time worth a bar
            observer = Observer()
        stages: list[StageRecord] = []
        if planned.pipeline is None:
            pairs = passes(reranker) * sum(retrieved.candidates.lengths)
            with observer.task(f"scoring with {label}", pairs, "pairs") as advance:
                scored = score(
                    reranker,
                    questions.requests,
                    chunk_pairs=self.suite.chunk_pairs,
                    caches=self.caches.of_row(),
                    on_progress=advance,
                    on_note=partial(self._note, trial.reranker),
                    executor=self.executor,
                    recipe=recipe,
                )
        else:
            pipeline = planned.pipeline
            scored, stages = self._stage_by_stage(pipeline, trial, questions, observer, label)
        if questions.requests and not scored.scores:
            reason = next(iter(scored.failures.values()), NO_REASON)
            raise RerankerError(
                f"none of its {counted(len(questions.requests), 'query')} was answered: {reason}"
            )
        timed = []
        if self.suite.latency:
            timed = self.suite.latency.depths(trial.depth)
        depths = depth_curve.wanted(trial, reranker.pointwise, questions.longest, timed)
        header = self._header(scored, retrieved)
        folder, keeps_scores = self.writer.folder, self.suite.store_scores
        counter = self._loss_counter(planned, questions)
        with ranked(
            folder, trial, reranker, header, depths, scored.seen, counter, keeps_scores=keeps_scores
        ) as rankings:
            assessed = assess(scored, questions, self.suite.seed, rankings.keep)
        losses = self._keep_losses(planned, counter.losses, questions)
        self._keep_stages(planned)
        self.guard.keep_long_reasons(scored.failures, trial.id)
        learned = self._learned(planned, questions, assessed)
        run.measured = Measured(scored, assessed, rankings, stages, learned, losses)
        # they are in the ranking's file and in the cache
        scored.scores.clear()
        if scored.failures:
            queries = counted(len(questions.query_ids), "query")
            self.observer.note(
                f"{trial.reranker}: {len(scored.failures)} of {queries} failed and score 0"
            )
        planned.end("done")

    def _loss_counter(self, planned: Planned, questions: Questions) -> LossCounter:
        """Return what counts the relevant documents that a trial loses, stage by stage."""
        cutoff = cutoff_of(questions.measures[0])
        if planned.pipeline is not None and self.stage_pass is not None:
            before = self.stage_pass.before_last(planned.pipeline)
        elif planned.trial.is_first_stage:
            before = no_stage_before
        else:
            before = search_before
        return LossCounter(Losses(cutoff, len(_stage_names(planned))), before)

    def _keep_losses(self, planned: Planned, losses: Losses, questions: Questions) -> LossRecord:
        """Write the documents that a trial lost, and return their counts."""
        if planned.pipeline is not None:
            lost = losses.highest_graded(questions.qrels)
            self.lost |= dict.fromkeys(document.doc_id for document in lost)
        names = _stage_names(planned)
        path = tables.path_of(self.writer.folder, tables.LOSSES, planned.trial.id)
        tables.write_rows(path, tables.LOSSES, loss_rows(planned.trial.id, losses, names))
        return loss_record(losses, names)

    def _keep_stages(self, planned: Planned) -> None:
        """Write what the stages of a pipeline before its last one scored."""
        pipeline = planned.pipeline
        if pipeline is None or self.stage_pass is None or not self.suite.store_scores:
            return
        if len(pipeline.steps) > 1:
            trial_id = planned.trial.id
            rows = ((trial_id, *row) for row in self.stage_pass.scores_before_last(pipeline))
            tables.write_rows(
                tables.path_of(self.writer.folder, tables.STAGES, trial_id), tables.STAGES, rows
            )

    def _stage_by_stage(
        self,
        pipeline: Pipeline,
        trial: Trial,
        questions: Questions,
        observer: Observer,
        label: str,
    ) -> tuple[Scored, list[StageRecord]]:
        """Score a pipeline, a stage that another one began with not again."""
        if self.stage_pass is None:
            self.stage_pass = StagePass(
                questions,
                self.suite.seed,
                trial.depth,
                self.suite.chunk_pairs,
                self.caches,
                self.executor,
                self.known.of(trial.dataset, questions),
            )
        pairs = self.stage_pass.pairs(pipeline)
        with observer.task(f"scoring with {label}", pairs, "pairs") as advance:
            return self.stage_pass.run(pipeline, advance, self._note)

    def _learned(
        self, planned: Planned, questions: Questions, assessed: Assessed
    ) -> list[LearnedRecord]:
        """Return the records of the stages of a trial that were trained, and keep their models."""
        records: list[LearnedRecord] = []
        learned = planned.reranker.learned
        if planned.pipeline is not None and self.stage_pass is not None:
            records = self.stage_pass.learned(planned.pipeline)
        elif learned is not None:
            trial = planned.trial
            lists = Lists(candidate_orders(questions), trial.first_stage, trial.first_stage)
            own = assessed.per_query
            seed = self.suite.seed
            records = [learned_record(trial.reranker, learned, lists, own, questions, seed)]
        return with_files(records, planned, self.writer.folder)

    def _executor_label(self, device: str) -> str:
        extent = self.executor.extent(device)
        if not extent:
            return self.executor.name
        return f"{self.executor.name}: {extent}"

    def _note(self, reranker: str, note: Note) -> None:
        """Say at once, and keep, what to know of a reranker."""
        self.observer.note(worded(note.at(reranker)))
        self.writer.warn([note.at(reranker)])

    def _fail_all(self, error: BenchError) -> None:
        """End every trial of the group: none can run without a dataset and candidates. The groups
        after it can.
        """
        trial = self.group.planned[0].trial
        reason = self.guard.reason(error, trial.id)
        for run in self.runs:
            if run.is_pending:
                run.planned.end("failed", reason)
        self.observer.note(f"{trial.dataset}, {trial.first_stage} failed: {reason}")

    def _save(self, retrieved: Retrieved, timing: timed_pass.LatencyResult | None) -> None:
        dataset, candidates = retrieved.dataset, retrieved.candidates
        questions = retrieved.questions
        records: list[Record] = []
        recorded: list[tuple[str, Measured]] = []
        for run in self.runs:
            measured = run.measured
            if measured is not None:
                self.guard.run(
                    run, partial(self._record, run, measured, retrieved, timing, records)
                )
            if run.measured is not None:
                recorded.append((run.trial.id, run.measured))
        self.writer.save_texts(self.runs[0].trial.id, self._texts(candidates, questions))
        bare: list[ArchitectureRecord] = []
        if timing and self.suite.latency:
            bare = self._architectures(dataset, candidates, timing, self.suite.latency)
        samples = timing.samples if timing else []
        timings = summaries_of(samples, tables.LATENCY.names, self.suite.seed)
        self.writer.save(
            [*with_timings(records, timings), *with_timings(bare, timings)],
            table_rows.per_query(recorded),
            samples,
            table_rows.by_depth(recorded, questions),
            table_rows.usage(recorded),
        )

    def _texts(self, candidates: Candidates, questions: Questions) -> texts.Texts:
        queries = {
            query_id: questions.dataset.queries[query_id] for query_id in questions.query_ids
        }
        lists = ((query_id, ranking.doc_ids) for query_id, ranking in candidates.by_query.items())
        tops = [run.measured.ranked.tops for run in self.runs if run.measured is not None]
        keeps_texts = self.suite.store_texts and questions.dataset.has_texts
        texts_of = None
        if keeps_texts:
            texts_of = questions.dataset.texts
            tops.append(dict.fromkeys(questions.dataset.known(self.lost)))
        return texts.of_group(
            self.group.planned[0].trial.dataset,
            queries,
            questions.qrels,
            lists,
            tops,
            texts_of,
            questions.dataset.extras.get("query_fields"),
        )

    def _header(self, scored: Scored, retrieved: Retrieved) -> Fields:
        """Return what the file of a ranking says of its making (ir_metadata)."""
        return {
            "platform": {
                "software": {"rerank-bench": version(), "python": platform.python_version()}
            },
            "implementation": scored.description.get("identity", {}),
            "data": {
                "test_collection": dataset_fields(retrieved.dataset),
                "candidates": candidates_fields(retrieved.candidates),
            },
        }

    def _architectures(
        self,
        dataset: Dataset,
        candidates: Candidates,
        timing: timed_pass.LatencyResult,
        plan_: LatencyPlan,
    ) -> list[ArchitectureRecord]:
        return [
            architecture_record(
                run.planned,
                run.description,
                dataset,
                candidates,
                timing.facts[run.trial.id],
                self.fingerprint(run.trial.host),
                plan_,
            )
            for run in self.runs
            if run.has_no_quality and run.is_done
        ]

    def _record(
        self,
        run: TrialRun,
        measured: Measured,
        retrieved: Retrieved,
        timing: timed_pass.LatencyResult | None,
        records: list[Record],
    ) -> None:
        """Add the record of a trial that was scored. The first row of a group is what the others
        are compared with.
        """
        first = self.runs[0]
        base = None
        if run is not first and first.measured is not None:
            base = first.measured.assessed
        facts = None
        if timing:
            facts = timing.facts.get(run.trial.id)
        device = run.trial.host
        records.append(
            quality_record(
                run.planned,
                measured,
                base,
                retrieved,
                facts,
                self.fingerprint(device),
                self.suite,
            )
        )


def _stage_names(planned: Planned) -> list[str]:
    """Return the names of a trial's stages, the search first."""
    if planned.pipeline is not None:
        return [planned.pipeline.first_name, *(step.name for step in planned.pipeline.steps)]
    if planned.trial.is_first_stage:
        return [planned.trial.first_stage]
    return [planned.trial.first_stage, planned.trial.reranker]
