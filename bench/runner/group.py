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
from bench.core.outsiders import OutsiderError, outsiders_code
from bench.core.progress import Observer
from bench.core.redaction import for_others, redacted_text
from bench.core.version import version
from bench.datasets.base import Dataset
from bench.latency import timed_pass
from bench.latency.plan import LatencyPlan
from bench.machine import fingerprint
from bench.pipelines.pipeline import Pipeline
from bench.quality import depth_curve
from bench.quality.assess import Assessed, assess
from bench.quality.questions import Questions
from bench.records import tables, texts
from bench.records.schema import ArchitectureRecord, Record, StageRecord
from bench.records.writer import RunWriter
from bench.runner.rankings import Ranked, ranked
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
        self.scored: dict[str, Scored] = {}
        self.assessed: dict[str, Assessed] = {}
        self.ranked: dict[str, Ranked] = {}
        self.descriptions: dict[str, dict[str, Any]] = {}
        self.stages: dict[str, list[StageRecord]] = {}
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
            for planned in self.group.planned:
                self._close(planned)
        self._save(found, timing)

    def _measure(self, found: Retrieved) -> timed_pass.LatencyResult | None:
        """Score every trial, then time them; return the timings, None where nothing was timed."""
        questions = found.questions
        self.writer.warn(found.warnings)
        for planned in self.group.planned:
            if planned.trial.kind == "architecture":
                if planned.status.status == "pending":
                    planned.end(
                        *(
                            ("done",)
                            if self.timed
                            else ("skipped", "has a latency only, and nothing is timed")
                        )
                    )
            elif planned.status.status == "pending":
                self._guarded(planned, partial(self._quality, planned, found))
        timing = self._timed_pass(questions) if self.timed else None
        for planned in self.group.planned:
            if _is_bare(planned) and not (timing and planned.trial.id in timing.facts):
                planned.end("skipped", "nothing was timed")
        return timing

    def _quality(self, planned: Planned, found: Retrieved) -> None:
        reranker, trial, questions = planned.reranker, planned.trial, found.questions
        reranker.bind(questions.dataset.qrels, found.candidates)
        label = trial.reranker if trial.device == "-" else f"{trial.reranker} on {trial.device}"
        observer = (
            Observer() if reranker.placement == "none" else self.observer
        )  # an order that is given takes no time worth a bar
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
            scored = self._stage_by_stage(planned.pipeline, trial, questions, observer, label)
        if questions.requests and not scored.scores:
            reason = next(iter(scored.failures.values()), "no reason given")
            raise RerankerError(
                f"none of its {counted(len(questions.requests), 'query')} was answered: {reason}"
            )
        self.scored[trial.id] = scored
        timed = self.suite.latency.depths(trial.depth) if self.suite.latency else []
        at = depth_curve.wanted(trial, reranker.pointwise, questions.longest, timed)
        with ranked(self._ranking(trial), trial.reranker, self._header(scored, found), at) as kept:
            self.assessed[trial.id] = assess(scored, questions, self.suite.seed, kept.keep)
        self.ranked[trial.id] = kept
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
    ) -> Scored:
        """Score a pipeline, a stage that another one began with not again."""
        if self.stage_pass is None:
            self.stage_pass = StagePass(
                questions, self.suite.seed, trial.depth, self.suite.chunk_pairs, self.fresh
            )
        pairs = self.stage_pass.pairs(pipeline)
        with observer.task(f"scoring with {label}", pairs, "pairs") as advance:
            scored, self.stages[trial.id] = self.stage_pass.run(pipeline, advance, self._note)
        return scored

    def _note(self, reranker: str, text: str) -> None:
        self.observer.note(f"{reranker}: {text}")
        self.writer.warn([f"{reranker}: {text}"])

    def _guarded(self, planned: Planned, work: Callable[[], None]) -> None:
        """One trial's failure must not take the others with it: it is noted, and its traceback kept
        next to the records.
        """
        try:
            with outsiders_code():
                work()
        except Unavailable as error:
            planned.end("skipped" if planned.optional else "failed", error.reason)
        except BenchError as error:
            planned.end("failed", self._reason(error, planned.trial.id))
        if planned.status.status != "done":
            self.scored.pop(planned.trial.id, None)
            self.assessed.pop(planned.trial.id, None)
            self.ranked.pop(planned.trial.id, None)
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
        text = for_others("".join(traceback.format_exception(error.cause)))
        write_atomically(path, text.encode("utf-8", "backslashreplace"))
        return f"{reason} (errors/{path.name})"

    def _fail_all(self, error: BenchError) -> None:
        """Without a dataset and candidates no trial of the group can run; the groups after it
        can.
        """
        trial = self.group.planned[0].trial
        reason = self._reason(error, trial.id)
        for planned in self.group.planned:
            if planned.status.status == "pending":
                planned.end("failed", reason)
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
            text = (
                f"{trial.dataset}, {trial.first_stage}: timing ended early: "
                f"{self._reason(error, f'{trial.id}-timing')}"
            )
            self.writer.warn([text])
            self.observer.note(text)
        return timing

    def _latency(self, questions: Questions) -> timed_pass.LatencyResult | None:
        """One timed pass over all rerankers of the group that do some work, here or on another
        machine.
        """
        plan_ = self.suite.latency
        if plan_ is None or not questions.requests:
            return None
        timed = [
            one
            for one in self.group.planned
            if one.status.status == "done" and one.reranker.placement != "none"
        ]
        for planned in timed:
            work = (
                partial(self._build, planned, questions, plan_)
                if planned.trial.kind == "architecture"
                else partial(self._load, planned)
            )
            self._guarded(planned, work)
        targets = [self._target(planned) for planned in timed if planned.status.status == "done"]
        if not targets:
            return None
        total = timed_pass.planned_calls(targets, questions.requests, plan_)
        with self.observer.task(
            f"timing {counted(len(targets), 'reranker')}, interleaved", total, "calls"
        ) as advance:
            return timed_pass.measure(targets, questions.requests, plan_, self.suite.seed, advance)

    def _load(self, planned: Planned) -> None:
        """What is timed is described as it loads now: the cache tells of the threads and batches
        with which the scores were once made.
        """
        planned.reranker.load()
        if planned.reranker.placement in ("device", "remote"):
            scored = self.scored[planned.trial.id]
            before, scored.description = scored.description, described(planned.reranker)
            facts = scored.description["facts"]
            if "served_model" in facts:  # known from an answer alone
                facts["served_model"] = facts["served_model"] or before.get("facts", {}).get(
                    "served_model"
                )

    def _build(self, planned: Planned, questions: Questions, plan_: LatencyPlan) -> None:
        self.descriptions[planned.trial.id] = build_architecture(planned, questions, plan_)

    def _sweep(self, questions: Questions, timing: timed_pass.LatencyResult) -> None:
        """Where the plan asks for it, the rerankers of the timed pass that run on this machine at
        other depths and settings.
        """
        timed = [
            one
            for one in self.group.planned
            if one.trial.id in timing.facts
            and one.reranker.placement == "device"
            and one.pipeline is None
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
            timing.facts[trial_id]["notes"] += notes

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
        for planned in self.group.planned:
            if planned.trial.id in self.assessed:

                def work(planned: Planned = planned) -> None:
                    records.append(self._record(planned, found, timing))

                self._guarded(planned, work)
        per_query = (
            (record.trial.id, query_id, name, value)
            for record in records
            for name, values in self.assessed[record.trial.id].per_query.items()
            for query_id, value in values.items()
        )
        group = self.group.planned[0].trial.id
        self.writer.save_texts(group, self._texts(candidates, questions))
        curves = {record.trial.id: self.ranked[record.trial.id].curve for record in records}
        by_depth = (
            row
            for trial_id, curve in curves.items()
            for row in depth_curve.rows(System(trial_id), curve, questions.query_ids)
        )
        bare = (
            self._architectures(dataset, candidates, timing, self.suite.latency)
            if timing and self.suite.latency
            else []
        )
        usage = (
            (record.trial.id, query_id, *(amounts.get(name, 0) for name in tables.USAGE.names[2:]))
            for record in records
            for query_id, amounts in self.scored[record.trial.id].usage_by_query.items()
        )
        self.writer.save(
            [*records, *bare], per_query, timing.samples if timing else [], by_depth, usage
        )

    def _texts(self, candidates: Candidates, questions: Questions) -> texts.Texts:
        queries = {
            query_id: questions.dataset.queries[query_id] for query_id in questions.query_ids
        }
        given = ((query_id, ranking.doc_ids) for query_id, ranking in candidates.by_query.items())
        tops = [found.tops for found in self.ranked.values()]
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
                one,
                self.descriptions[one.trial.id],
                dataset,
                candidates,
                timing.facts[one.trial.id],
                self.fingerprint(one.trial.device),
                plan_,
            )
            for one in self.group.planned
            if _is_bare(one)
        ]

    def _record(
        self, planned: Planned, found: Retrieved, timing: timed_pass.LatencyResult | None
    ) -> Record:
        trial, base = planned.trial, self.group.planned[0].trial
        return quality_record(
            planned,
            self.scored[trial.id],
            self.assessed[trial.id],
            self.assessed.get(base.id) if trial.id != base.id else None,
            found,
            timing.facts.get(trial.id) if timing else None,
            self.fingerprint("cpu" if trial.device == "-" else trial.device),
            self.suite,
            self.stages.get(trial.id, ()),
        )


def _is_bare(planned: Planned) -> bool:
    return planned.trial.kind == "architecture" and planned.status.status == "done"
