"""The stages of a suite, loaded once and shared by all pipelines that are timed, and the timed
pass over them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from bench import rerankers, retrieval
from bench.composition.chain import Chain
from bench.contract.learned import Origin
from bench.contract.part import Part
from bench.contract.request import CandidateList
from bench.contract.stage import Reranker
from bench.latency import timed_pass
from bench.latency.plan import LatencyPlan
from bench.latency.sample import TOTAL
from bench.machine.clock import REAL_CLOCK, Clock
from bench.machine.disturbance import Watch
from bench.pipelines.pipeline import Pipeline, Step
from bench.retrieval.base import BaseFirstStage
from bench.runner.retrieve import Retrieved
from bench.suite.suite import Suite
from bench.tuning.journal import Journal, Timed

WARMUPS = 3
"""Calls that warm a stage up before it is timed for the first time."""


@dataclass
class StageBench:
    """Times pipelines and single rows. `retrieved` are the groups of the suite by their first
    stage, a hybrid that the suite does not name among them; `parts` the entries of first stages and
    rows; `settled` those of rows that learned over a first stage, with what they learned: (first
    stage, row) -> entry. `calls` counts all calls that were made, warm-ups among them.
    """

    suite: Suite
    device: str
    retrieved: Mapping[str, Retrieved]
    parts: Mapping[str, Part]
    journal: Journal
    settled: Mapping[tuple[str, str], Part] = field(default_factory=dict)
    clock: Clock = REAL_CLOCK
    on_call: Callable[[int], None] = lambda calls: None
    calls: int = 0
    stack: ExitStack = field(default_factory=ExitStack)
    _rerankers: dict[str, Reranker] = field(default_factory=dict)
    _searches: dict[str, BaseFirstStage] = field(default_factory=dict)
    _is_warm: set[str] = field(default_factory=set)
    _watch: Watch | None = None

    @contextmanager
    def open(self) -> Iterator[StageBench]:
        """Close all stages at the end."""
        with self.stack:
            yield self

    def rows(self, names: Mapping[str, int], query_ids: Sequence[str], first: str) -> Timed:
        """Return the times of rows at a number of documents each, over candidates of a first
        stage.
        """
        targets: list[timed_pass.Target] = []
        for name, depth in names.items():
            reranker = self._reranker(self.parts_of(first, [name])[name], first)
            targets.append(timed_pass.Target(name, self.device, reranker, depth=depth))
        depths = sorted(set(names.values()))
        label = f"rows over {first} at {depths}: {len(query_ids)} {query_ids[0]}"
        return self._timed(label, targets, query_ids, first)

    def pipelines(self, chains: Sequence[Chain], query_ids: Sequence[str], label: str) -> Timed:
        """Return the times of pipelines end to end, interleaved, by their names."""
        timed: dict[str, Mapping[str, list[float]]] = {}
        by_first: dict[str, list[Chain]] = {}
        for chain in chains:
            by_first.setdefault(chain.first, []).append(chain)
        for first, members in by_first.items():
            targets = [self._target(chain) for chain in members]
            names = [str(chain) for chain in members]
            place = json.dumps([label, first, names, list(query_ids)])
            timed |= self._timed(place, targets, query_ids, first)
        return timed

    def _timed(
        self,
        label: str,
        targets: Sequence[timed_pass.Target],
        query_ids: Sequence[str],
        first: str,
    ) -> Timed:
        stored = self.journal.read(label)
        if stored is not None:
            return stored
        requests = self._requests(query_ids, first)
        cold = any(target.name not in self._is_warm for target in targets)
        plan = LatencyPlan().one_query_only(
            queries=len(requests), rounds=1, warmup_max=WARMUPS if cold else 0, depth=None
        )
        for target in targets:
            target.reranker.load()
        if self._watch is None:
            self._watch = Watch([self.device])
        result = timed_pass.measure(
            targets, requests, plan, self.suite.seed, self.on_call, self.clock
        )
        self._is_warm |= {target.name for target in targets}
        self.calls += sum(facts["calls"] for facts in result.facts.values())
        timed: dict[str, dict[str, list[float]]] = {target.name: {} for target in targets}
        for sample in result.samples:
            if not sample.warmup and sample.span == TOTAL and sample.query is not None:
                ms = sample.nanoseconds / 1e6
                timed[sample.trial].setdefault(sample.query, []).append(ms)
        # over all passes: most are too short for the system's counters
        self.journal.write(label, timed, self._watch.facts()["disturbances"])
        return timed

    def _target(self, chain: Chain) -> timed_pass.Target:
        search = self._search(chain.first)
        steps: list[Step] = []
        parts = self.parts_of(chain.first, chain.rows)
        for number, step in enumerate(chain.steps):
            name = f"{number} {step.work.written()}"
            part = step.work.part(parts)
            steps.append(Step(name, self._reranker(part, chain.first), step.keep, name))
        pipeline = Pipeline(chain.first, search, steps, device=self.device)
        pipeline.over(self.retrieved[chain.first].dataset)
        return timed_pass.Target(str(chain), self.device, pipeline, depth=chain.depth)

    def _search(self, first: str) -> BaseFirstStage:
        if first not in self._searches:
            part = self.parts[first]
            stage = retrieval.build(part.name, part.options, self.suite.base_dir)
            self.stack.callback(stage.close)
            self._searches[first] = stage
        return self._searches[first]

    def parts_of(self, first: str, rows: Sequence[str]) -> dict[str, Part]:
        """Return the entries of rows after a first stage, with what they learned over it."""
        return {row: self.settled.get((first, row), self.parts[row]) for row in rows}

    def _reranker(self, part: Part, first: str) -> Reranker:
        key = json.dumps(part.to_entry(), sort_keys=True, default=str)
        # one that looks things up in the collection may know which search found its candidates
        own_key = f"{first}: {key}"
        for known in (key, own_key):
            if known in self._rerankers:
                return self._rerankers[known]
        reranker = rerankers.build(part.name, part.options, self.device, self.suite.base_dir)
        retrieved = self.retrieved[first]
        origin = self.parts[first].recipe(self.suite.base_dir)
        reranker.follows(Origin(origin, retrieved.candidates.depth, self.suite.seed))
        reranker.over(retrieved.dataset)
        self.stack.callback(reranker.close)
        self._rerankers[own_key if reranker.needs_collection else key] = reranker
        return reranker

    def _requests(self, query_ids: Sequence[str], first: str) -> list[CandidateList]:
        wanted = set(query_ids)
        requests = self.retrieved[first].questions.requests
        return [request for request in requests if request.query_id in wanted]
