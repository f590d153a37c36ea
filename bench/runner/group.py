"""The trials over one dataset's candidates: scored, measured, timed, recorded."""

from __future__ import annotations

import platform
import traceback
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from bench.contract.candidates import Candidates
from bench.contract.scored import Scored
from bench.contract.trial import System, Trial
from bench.core.atomic import write_atomically
from bench.core.counting import counted
from bench.core.errors import BenchError, RerankerError, Unavailable
from bench.core.handed import is_handed
from bench.core.note import Code, Note, note
from bench.core.outsiders import OutsiderError, outsiders_code
from bench.core.progress import Observer
from bench.core.redaction import redacted_text, traceback_for_others
from bench.core.version import version
from bench.core.wording import worded
from bench.datasets.base import Dataset
from bench.latency import timed_pass
from bench.latency.plan import LatencyPlan
from bench.machine import fingerprint
from bench.pipelines.pipeline import Pipeline
from bench.quality import depth_curve
from bench.quality.assess import assess
from bench.quality.questions import Questions
from bench.records import tables, texts
from bench.records.schema import ArchitectureRecord, Record, StageRecord
from bench.records.writer import RunWriter
from bench.runner.rankings import ranked
from bench.runner.record import (
    architecture_record,
    build_architecture,
    candidates_fields,
    dataset_fields,
    quality_record,
)
from bench.runner.retrieve import Retrieved, retrieve
from bench.runner.stages import StagePass
from bench.runner.sweep import Sweep
from bench.runner.trial_run import Measured, TrialRun
from bench.scoring.engine import described, score
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
        fresh: bool,
    ) -> None:
        self.suite, self.group, self.writer, self.observer = suite, group, writer, observer
        self.timed, self.fresh = timed, fresh
        self.runs = [TrialRun(planned) for planned in group.planned]
        self.stage_pass: StagePass | None = None
        self.fingerprint = cache(
            fingerprint.fingerprint
        )  # asks the system: once a device, when every model is loaded

    def run(self) -> None:
        try:
            with outsiders_code():
                found = retrieve(self.suite, self.group, self.observer)
        except BenchError as error:
            self._fail_all(error)
            return
        try:
            timing = self._measure(found)
        finally:
            for run in self.runs:
                self._close(run.planned)
        self._save(found, timing)

    def _measure(self, found: Retrieved) -> timed_pass.LatencyResult | None:
        """Score every trial, then time them; return the timings, None where nothing was timed."""
        questions = found.questions
        self.writer.warn(found.warnings)
        for run in self.runs:
            if run.is_pending and run.has_no_quality:
                if self.timed:
                    run.planned.end("done")
                else:
                    run.planned.end("skipped", "has a latency only, and nothing is timed")
            elif run.is_pending:
                self._guarded(run, partial(self._quality, run, found))
        timing = self._timed_pass(questions) if self.timed else None
        timed = timing.facts if timing else {}
        for run in self.runs:
            if run.has_no_quality and run.is_done and run.trial.id not in timed:
                run.planned.end("skipped", "nothing was timed")
        return timing

    def _quality(self, run: TrialRun, found: Retrieved) -> None:
        planned, trial, questions = run.planned, run.trial, found.questions
        reranker = planned.reranker
        reranker.bind(questions.dataset.qrels, found.candidates)
        label = trial.reranker if trial.device == "-" else f"{trial.reranker} on {trial.device}"
        observer = (
            Observer() if reranker.placement == "none" else self.observer
        )  # an order that is given takes no time worth a bar
        stages: list[StageRecord] = []
        if planned.pipeline is None:
            pairs = sum(len(request.docs) for request in questions.requests)
            with observer.task(f"scoring with {label}", pairs, "pairs") as advance:
                scored = score(
                    reranker,
                    questions.requests,
                    chunk_pairs=self.suite.chunk_pairs,
                    fresh=self.fresh,
                    on_progress=advance,
                    on_note=partial(self._note, trial.reranker),
                )
        else:
            pipeline = planned.pipeline
            scored, stages = self._stage_by_stage(pipeline, trial, questions, observer, label)
        if questions.requests and not scored.scores:
            reason = next(iter(scored.failures.values()), "no reason given")
            raise RerankerError(
                f"none of its {counted(len(questions.requests), 'query')} was answered: {reason}"
            )
        timed = self.suite.latency.depths(trial.depth) if self.suite.latency else []
        at = depth_curve.wanted(trial, reranker.pointwise, questions.longest, timed)
        with ranked(self._ranking(trial), trial.reranker, self._header(scored, found), at) as kept:
            assessed = assess(scored, questions, self.suite.seed, kept.keep)
        run.measured = Measured(scored, assessed, kept, stages)
        scored.scores.clear()  # they are in the ranking's file and in the cache
        if scored.failures:
            queries = counted(len(questions.query_ids), "query")
            self.observer.note(
                f"{trial.reranker}: {len(scored.failures)} of {queries} failed and score 0"
            )
        planned.end("done")

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
                questions, self.suite.seed, trial.depth, self.suite.chunk_pairs, self.fresh
            )
        pairs = self.stage_pass.pairs(pipeline)
        with observer.task(f"scoring with {label}", pairs, "pairs") as advance:
            return self.stage_pass.run(pipeline, advance, self._note)

    def _note(self, reranker: str, note: Note) -> None:
        """Say at once, and keep, what to know of a reranker."""
        self._warn(note.at(reranker))

    def _warn(self, note: Note) -> None:
        self.observer.note(worded(note))
        self.writer.warn([note])

    def _guarded(self, run: TrialRun, work: Callable[[], None]) -> None:
        """One trial's failure must not take the others with it: it is noted, and its traceback kept
        next to the records.
        """
        planned = run.planned
        try:
            with outsiders_code():
                work()
        except Unavailable as error:
            planned.end("skipped" if planned.optional else "failed", error.reason)
        except BenchError as error:
            planned.end("failed", self._reason(error, planned.trial.id))
        if not run.is_done:
            run.measured = None
            self._ranking(planned.trial).unlink(missing_ok=True)
            self.observer.note(
                f"{planned.trial.reranker} {planned.status.status}: {planned.status.reason}"
            )

    def _reason(self, error: BenchError, name: str) -> str:
        """Return why something failed, in one line. The traceback of what was not foreseen goes to
        a file of this name.
        """
        reason = redacted_text(str(error))
        if not isinstance(error, OutsiderError):
            return reason
        path = self.writer.folder / "errors" / f"{name}.txt"
        text = traceback_for_others("".join(traceback.format_exception(error.cause)))
        write_atomically(path, text.encode("utf-8", "backslashreplace"))
        return f"{reason} (errors/{path.name})"

    def _fail_all(self, error: BenchError) -> None:
        """Without a dataset and candidates no trial of the group can run; the groups after it
        can.
        """
        trial = self.group.planned[0].trial
        reason = self._reason(error, trial.id)
        for run in self.runs:
            if run.is_pending:
                run.planned.end("failed", reason)
        self.observer.note(f"{trial.dataset}, {trial.first_stage} failed: {reason}")

    def _close(self, planned: Planned) -> None:
        try:
            with outsiders_code():
                planned.reranker.close()
        except BenchError as error:  # what it computed stays; only its memory may not be free
            reason = redacted_text(str(error))
            self.observer.note(f"{planned.trial.reranker} could not be closed: {reason}")

    def _timed_pass(self, questions: Questions) -> timed_pass.LatencyResult | None:
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
            trial = self.group.planned[0].trial
            reason = self._reason(error, f"{trial.id}-timing")
            place = f"{trial.dataset}, {trial.first_stage}"
            self._warn(note(Code.TIMING_ENDED, text=reason).at(place))
        return timing

    def _latency(self, questions: Questions) -> timed_pass.LatencyResult | None:
        """One timed pass over all rerankers of the group that do some work, here or on another
        machine.
        """
        plan_ = self.suite.latency
        if plan_ is None or not questions.requests:
            return None
        timed = [run for run in self.runs if run.is_done and run.does_work]
        for run in timed:
            work = partial(self._load, run)
            if run.has_no_quality:
                work = partial(self._build, run, questions, plan_)
            self._guarded(run, work)
        targets = [self._target(run.planned) for run in timed if run.is_done]
        if not targets:
            return None
        total = timed_pass.planned_calls(targets, questions.requests, plan_)
        with self.observer.task(
            f"timing {counted(len(targets), 'reranker')}, interleaved", total, "calls"
        ) as advance:
            return timed_pass.measure(targets, questions.requests, plan_, self.suite.seed, advance)

    def _load(self, run: TrialRun) -> None:
        """What is timed is described as it loads now: the cache tells of the threads and batches
        with which the scores were once made.
        """
        reranker = run.planned.reranker
        reranker.load()
        if run.measured is None:
            return
        scored = run.measured.scored
        before, scored.description = scored.description, described(reranker)
        facts = scored.description["facts"]
        if "served_model" in facts:  # known from an answer alone
            known = before.get("facts", {}).get("served_model")
            facts["served_model"] = facts["served_model"] or known

    def _build(self, run: TrialRun, questions: Questions, plan_: LatencyPlan) -> None:
        run.description = build_architecture(run.planned, questions, plan_)

    def _sweep(self, questions: Questions, timing: timed_pass.LatencyResult) -> None:
        """Where the plan asks for it, the rerankers of the timed pass that run on this machine at
        other depths and settings.
        """
        timed = [
            run.planned
            for run in self.runs
            if run.trial.id in timing.facts
            and run.planned.reranker.placement == "device"
            and run.planned.pipeline is None
        ]
        if not timed or self.suite.latency is None or self.suite.latency.sweep is None:
            return
        sweep = Sweep(
            self.suite,
            self.suite.latency,
            self.suite.latency.sweep,
            self.writer,
            questions,
            self.fresh,
        )
        with self.observer.task(
            f"sweeping {counted(len(timed), 'reranker')}", sweep.calls(timed), "calls"
        ) as advance:
            sweep.run(timed, advance)
        for trial_id, notes in sweep.notes.items():
            timing.facts[trial_id]["notes"] += [note.to_dict() for note in notes]

    def _target(self, planned: Planned) -> timed_pass.Target:
        recipe = None
        if planned.pipeline is None and not is_handed(planned.part.name):
            recipe = timed_pass.Recipe(
                planned.part.name, planned.part.options, str(self.suite.base_dir)
            )
        return timed_pass.Target(planned.trial.id, planned.trial.device, planned.reranker, recipe)

    def _save(self, found: Retrieved, timing: timed_pass.LatencyResult | None) -> None:
        dataset, candidates, questions = found.dataset, found.candidates, found.questions
        records: list[Record] = []
        recorded: list[tuple[str, Measured]] = []
        for run in self.runs:
            measured = run.measured
            if measured is not None:
                self._guarded(run, partial(self._record, run, measured, found, timing, records))
            if run.measured is not None:
                recorded.append((run.trial.id, run.measured))
        per_query = (
            (trial_id, query_id, name, value)
            for trial_id, measured in recorded
            for name, values in measured.assessed.per_query.items()
            for query_id, value in values.items()
        )
        self.writer.save_texts(self.runs[0].trial.id, self._texts(candidates, questions))
        by_depth = (
            row
            for trial_id, measured in recorded
            for row in depth_curve.rows(
                System(trial_id), measured.ranked.curve, questions.query_ids
            )
        )
        bare: list[ArchitectureRecord] = []
        if timing and self.suite.latency:
            bare = self._architectures(dataset, candidates, timing, self.suite.latency)
        usage = (
            (trial_id, query_id, *(amounts.get(name, 0) for name in tables.USAGE.names[2:]))
            for trial_id, measured in recorded
            for query_id, amounts in measured.scored.usage_by_query.items()
        )
        self.writer.save(
            [*records, *bare], per_query, timing.samples if timing else [], by_depth, usage
        )

    def _texts(self, candidates: Candidates, questions: Questions) -> texts.Texts:
        queries = {
            query_id: questions.dataset.queries[query_id] for query_id in questions.query_ids
        }
        given = ((query_id, ranking.doc_ids) for query_id, ranking in candidates.by_query.items())
        tops = [run.measured.ranked.tops for run in self.runs if run.measured is not None]
        keeps_texts = self.suite.store_texts and questions.dataset.has_texts
        texts_of = questions.dataset.texts if keeps_texts else None
        return texts.of_group(
            self.group.planned[0].trial.dataset, queries, questions.qrels, given, tops, texts_of
        )

    def _ranking(self, trial: Trial) -> Path:
        return self.writer.folder / "rankings" / f"{trial.id}.run.gz"

    def _header(self, scored: Scored, found: Retrieved) -> dict[str, Any]:
        """What the file of a ranking says of its making (ir_metadata)."""
        return {
            "platform": {
                "software": {"rerank-bench": version(), "python": platform.python_version()}
            },
            "implementation": scored.description.get("identity", {}),
            "data": {
                "test_collection": dataset_fields(found.dataset),
                "candidates": candidates_fields(found.candidates),
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
                self.fingerprint(run.trial.device),
                plan_,
            )
            for run in self.runs
            if run.has_no_quality and run.is_done
        ]

    def _record(
        self,
        run: TrialRun,
        measured: Measured,
        found: Retrieved,
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
        records.append(
            quality_record(
                run.planned,
                measured.scored,
                measured.assessed,
                base,
                found,
                timing.facts.get(run.trial.id) if timing else None,
                self.fingerprint("cpu" if run.trial.device == "-" else run.trial.device),
                self.suite,
                measured.stages,
            )
        )
