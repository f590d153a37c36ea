"""The quality pass over a pipeline: stage by stage, each over what the one before handed on, with
the quality of the order after each and what each cut lost.

A stage that several pipelines begin with runs once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from typing import Any

from bench.contract.candidates import Compact, QueryCandidates
from bench.contract.meter import part_of
from bench.contract.request import NO_REASON, CandidateList
from bench.contract.scored import PairCounts, Scored
from bench.contract.stage import Description, DescriptionFields
from bench.core.errors import RerankerError
from bench.core.note import Note
from bench.datasets.base import content_hash
from bench.pipelines.handing import Handed, Limits, Orders, aligned, standing
from bench.pipelines.pipeline import Pipeline, Prefix, Step, described
from bench.quality.losses import After, Before, no_stage_before, search_before
from bench.quality.questions import Questions
from bench.quality.statistics import Estimate
from bench.ranking.order import rank
from bench.records.learned import LearnedRecord
from bench.records.schema import FAILED_LIMIT, Pairs, StageRecord
from bench.runner.cost import cost_of
from bench.runner.learned import Lists, learned_record
from bench.runner.orders import assessed, candidate_orders
from bench.scoring.composite import passes
from bench.scoring.engine import HERE, score
from bench.scoring.executors.base import Executor
from bench.scoring.known import ScoreCaches

Relevant = Mapping[str, tuple[int, int]]
"""Query id -> how many of its relevant documents are handed on, and how many there are."""
OnNote = Callable[[str, Note], None]
"""Gets the name of a stage and what to know of it."""


@dataclass(frozen=True)
class Stood:
    """The order after a stage. `scored` has no scores any more: the order has them."""

    orders: Orders
    scored: Scored
    failures: Mapping[str, str]
    quality: Mapping[str, Estimate]
    learned: LearnedRecord | None = None
    limits: Limits = field(default_factory=dict)
    """How many documents of a query the stages so far hand on, where one of them went by scores."""
    seen: dict[str, int] = field(default_factory=dict)
    """How many documents of a query the stage saw, where these were not all."""
    state: Any = None
    """What the stage has learned: another pipeline's stage of the same entry is handed it."""

    def again(self) -> Stood:
        """Return the same for another pipeline that begins with these stages: it shares every
        pair.
        """
        before = self.scored.pairs
        pairs = before.computed + before.cached
        scored = replace(
            self.scored,
            pairs=PairCounts(cached=pairs, shared=pairs),
            shared_usage=self.scored.usage,
        )
        return replace(self, scored=scored)


class KnownStages:
    """The stages that have run over one dataset, by the candidates that they began with: groups
    whose candidates agree, scores and all, share them.
    """

    def __init__(self) -> None:
        self._dataset = ""
        self._of_candidates: dict[str, dict[Prefix, Stood]] = {}

    def of(self, dataset: str, questions: Questions) -> dict[Prefix, Stood]:
        """Return what is known of a group's stages, to be added to."""
        if dataset != self._dataset:
            # another dataset has other queries: nothing of this one is of use any more
            self._dataset, self._of_candidates = dataset, {}
        rows: list[tuple[str, ...]] = []
        for request in questions.requests:
            scores = map(float.hex, map(float, request.scores))
            rows.append((request.query_id, request.query, *request.doc_ids, "", *scores))
        key = content_hash(rows)
        known: dict[Prefix, Stood] = {}
        for prefix, stood in self._of_candidates.get(key, {}).items():
            # what a stage has learned tells of the group by its names
            if stood.learned is None and stood.state is None:
                known[prefix] = stood
        self._of_candidates[key] = known
        return known


@dataclass
class StagePass:
    """Scores the pipelines of one group. `known` are the stages that have run."""

    questions: Questions
    seed: int
    depth: int
    chunk_pairs: int
    caches: ScoreCaches
    executor: Executor = HERE
    known: dict[Prefix, Stood] = field(default_factory=dict)

    def run(
        self, pipeline: Pipeline, on_pairs: Callable[[int], None], on_note: OnNote
    ) -> tuple[Scored, list[StageRecord]]:
        """Return the pipeline's scores of all candidates, and a record of each stage. Raises
        RerankerError where a stage answers no query.
        """
        stood = self._search
        relevant = self._relevant(stood, self.depth)
        search = self._record(pipeline.first_name, None, self.depth, stood, relevant, None)
        records = [_with_spans(search, pipeline.first.spans())]
        together = Scored()
        handed: int | None = None
        for step, prefix in zip(pipeline.steps, pipeline.prefixes(), strict=True):
            if prefix in self.known:
                stood = self.known[prefix].again()
            else:
                names = (records[-1].name, pipeline.first_name)
                stood = self._stand(step, stood, handed, names, on_pairs, on_note)
                self.known[prefix] = stood
            step.reranker.state = stood.state
            received = self.depth if handed is None else handed
            keep = received if step.keep is None else step.keep
            before, relevant = relevant, self._relevant(stood, keep)
            record = self._record(step.name, received, keep, stood, relevant, before)
            record = _with_spans(record, step.reranker.spans())
            records.append(_with_cost(record, step, stood.scored))
            together.add(stood.scored)
            handed = keep
        for request in self.questions.requests:
            if request.query_id in stood.orders:
                order = stood.orders[request.query_id]
                together.scores[request.query_id] = aligned(request, order)
        together.seen = dict(stood.seen)
        together.failures = dict(stood.failures)
        together.description = self._description(pipeline)
        return together, records

    @cached_property
    def _search(self) -> Stood:
        """The order of the first stage, which every pipeline of the group begins with."""
        orders = candidate_orders(self.questions)
        quality = assessed(orders, self.questions, self.seed).estimates
        return Stood(orders, Scored(), {}, quality)

    def pairs(self, pipeline: Pipeline) -> int:
        """Return how many pairs the stages score together, at most: for a progress bar."""
        total = 0
        for step, keep in zip(pipeline.steps, pipeline.handed(), strict=True):
            lengths = [len(request.doc_ids) for request in self.questions.requests]
            if keep is not None:
                lengths = [min(keep, length) for length in lengths]
            total += passes(step.reranker) * sum(lengths)
        return total

    def _stand(
        self,
        step: Step,
        before: Stood,
        handed: int | None,
        names: tuple[str, str],
        on_pairs: Callable[[int], None],
        on_note: OnNote,
    ) -> Stood:
        """Score a stage. `names` are those of the stage before and of the first stage."""
        lists = Handed(self.questions.requests, before.orders, handed, before.limits)
        scored = score(
            step.reranker,
            lists,
            chunk_pairs=self.chunk_pairs,
            caches=self.caches,
            on_progress=on_pairs,
            on_note=partial(on_note, step.name),
            executor=self.executor,
            recipe=None if step.reranker.needs_collection else step.recipe,
        )
        if lists and not scored.scores:
            reason = next(iter(scored.failures.values()), NO_REASON)
            raise RerankerError(
                f"{step.name}: none of its {len(lists)} queries was answered: {reason}"
            )
        limits = dict(before.limits)
        seen_of: dict[str, int] = {}

        def orders_after() -> Iterator[tuple[str, QueryCandidates]]:
            for request in lists:
                if request.query_id not in scored.scores:
                    continue
                seen = _seen(request, scored)
                order = before.orders[request.query_id]
                yield request.query_id, standing(order, seen)
                if len(seen.doc_ids) < len(order.doc_ids):
                    seen_of[request.query_id] = len(seen.doc_ids)
                limit = step.reranker.hands_on(seen.scores)
                if limit is not None or request.query_id in limits:
                    limits[request.query_id] = min(len(seen.doc_ids), limit or len(seen.doc_ids))

        orders = Compact(orders_after())
        failures = {
            query_id: f"{step.name}: {reason}" for query_id, reason in scored.failures.items()
        }
        scored.scores.clear()
        own = assessed(orders, self.questions, self.seed)
        learned: LearnedRecord | None = None
        if step.reranker.learned is not None:
            received = Lists(before.orders, *names)
            learned = learned_record(
                step.name,
                step.reranker.learned,
                received,
                own.per_query,
                self.questions,
                self.seed,
            )
        failed = {**before.failures, **failures}
        state = step.reranker.state
        return Stood(orders, scored, failed, own.estimates, learned, limits, seen_of, state)

    def before_last(self, pipeline: Pipeline) -> Before:
        """Return what gives a query's orders after each stage before the last, once the pipeline
        has run.
        """
        if not pipeline.steps:
            return no_stage_before
        stages: list[tuple[Stood, int | None]] = []
        counts = zip(pipeline.steps, pipeline.prefixes(), pipeline.handed(), strict=True)
        for step, prefix, received in counts:
            stages.append((self.known[prefix], received if step.keep is None else step.keep))

        def orders_of(request: CandidateList) -> Sequence[After]:
            orders = [*search_before(request)]
            for stood, keep in stages[:-1]:
                if request.query_id not in stood.orders:
                    return [*orders, After(None, 0)]
                doc_ids = stood.orders[request.query_id].doc_ids
                limits = [len(doc_ids), stood.limits.get(request.query_id), keep]
                orders.append(After(doc_ids, min(limit for limit in limits if limit is not None)))
            return orders

        return orders_of

    def scores_before_last(self, pipeline: Pipeline) -> Iterator[tuple[int, str, str, float]]:
        """Yield the number of a stage, a query, a document and its score, of each document that a
        stage before the last scored, once the pipeline has run. The search is number 0.
        """
        for number, prefix in enumerate(pipeline.prefixes()[:-1], 1):
            stood = self.known[prefix]
            for query_id, order in stood.orders.items():
                seen = order.first(stood.seen.get(query_id))
                for doc_id, value in zip(seen.doc_ids, seen.scores, strict=True):
                    yield number, query_id, doc_id, value

    def learned(self, pipeline: Pipeline) -> list[LearnedRecord]:
        """Return the records of the stages of a pipeline that were trained, once it has run."""
        records: list[LearnedRecord] = []
        for prefix in pipeline.prefixes():
            learned = self.known[prefix].learned
            if learned is not None:
                records.append(learned)
        return records

    def _record(
        self,
        name: str,
        received: int | None,
        keep: int,
        stood: Stood,
        handed_on: Relevant,
        before: Relevant | None,
    ) -> StageRecord:
        """Return the record of a stage: the quality of its order, and what of the relevant
        documents is handed on.
        """
        recall = _recall(handed_on)
        recall_before: float | None = None
        lost: float | None = None
        lost_documents: int | None = None
        if before is not None:
            # over the queries that the stage answered: no cut took anything of one that failed
            received_of = {query_id: before[query_id] for query_id in handed_on}
            lost_documents = _documents(received_of) - _documents(handed_on)
            if recall is not None:
                recall_before = _recall(received_of) or 0.0
                lost = recall_before - recall
        return StageRecord(
            name=name,
            received=received,
            keep=keep,
            quality=self._quality(stood),
            recall=recall,
            recall_before=recall_before,
            lost=lost,
            lost_documents=lost_documents,
        )

    def _quality(self, stood: Stood) -> dict[str, Estimate]:
        """Return the quality of an order; none where most queries failed: its means are of
        failures, which count 0.
        """
        if len(stood.failures) > FAILED_LIMIT * len(self.questions.query_ids):
            return {}
        return dict(stood.quality)

    def _relevant(self, stood: Stood, keep: int) -> Relevant:
        """Return, per query with relevant documents that did not fail, how many are handed on, and
        how many there are. A query without candidates hands on none.
        """
        counts: dict[str, tuple[int, int]] = {}
        for query_id, grades in self.questions.qrels.items():
            if query_id in stood.failures:
                continue
            threshold = self.questions.dataset.min_relevance
            relevant = {doc_id for doc_id, grade in grades.items() if grade >= threshold}
            if relevant:
                handed_on: Sequence[str] = ()
                if query_id in stood.orders:
                    handed_on = stood.orders[query_id].doc_ids[:keep]
                    handed_on = handed_on[: stood.limits.get(query_id)]
                counts[query_id] = (len(relevant.intersection(handed_on)), len(relevant))
        return counts

    def _description(self, pipeline: Pipeline) -> DescriptionFields:
        stages = [
            (step, Description(**self.known[prefix].scored.description))
            for step, prefix in zip(pipeline.steps, pipeline.prefixes(), strict=True)
        ]
        return described(stages, pipeline.device).to_dict()


def _with_spans(record: StageRecord, parts: Sequence[str]) -> StageRecord:
    """Return the record of a stage with what the spans of its parts are called."""
    return record.model_copy(update={"spans": [part_of(record.name, part) for part in parts]})


def _seen(request: CandidateList, scored: Scored) -> QueryCandidates:
    """Return the documents that a stage saw, as it ordered them."""
    try:
        ranking = rank(request.doc_ids, scored.scores[request.query_id])
    except ValueError as error:
        raise RerankerError(f"query '{request.query_id}': {error}") from error
    return QueryCandidates(ranking.doc_ids, ranking.scores)


def _documents(counts: Relevant) -> int:
    """Return how many relevant documents are handed on, over all queries."""
    return sum(count for count, _ in counts.values())


def _recall(counts: Relevant) -> float | None:
    """Return the mean share of relevant documents that are handed on; None where none is known."""
    if not counts:
        return None
    import numpy as np

    shares = [count / relevant for count, relevant in counts.values()]
    # as the mean of a measure is taken: R@20 and the recall of 20 documents have the same digits
    return float(np.mean(shares))


def _with_cost(record: StageRecord, step: Step, scored: Scored) -> StageRecord:
    queries = scored.cached_queries + scored.computed_queries
    scores = {"cached": scored.cached_queries, "computed": scored.computed_queries}
    return record.model_copy(
        update={
            "usage": scored.usage,
            "cost": cost_of(step.reranker, scored, queries),
            "scores": scores,
            "pairs": Pairs(**asdict(scored.pairs)),
            "shared_usage": scored.shared_usage,
        }
    )
