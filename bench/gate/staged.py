"""A check that runs its suite on more and more of its queries, and stops each reranker when its
quality gates are certain.

Queries come in the order of the suite's seeded sample. No run folder is left: what was scored is of
a part of the queries. The scores are in the cache, where a run of the suite finds them.
"""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from bench.comparison.pairs import Side, agreed, counterparts, mostly_failed, sides
from bench.contract.candidates import Candidates
from bench.contract.part import Part
from bench.contract.stage import Reranker
from bench.contract.trial import TrialStatus
from bench.core.counting import counted
from bench.core.errors import BenchError, IncomparableError
from bench.core.progress import Observer
from bench.gate import quality
from bench.gate.asking import Context
from bench.gate.checking import check
from bench.gate.file import ACROSS, HEADLINE, Gates
from bench.gate.sequential import sequential_gate
from bench.gate.speed import stored_speed
from bench.gate.verdict import Verdict
from bench.quality.betting import LEAST_QUERIES
from bench.quality.measures import names as measure_names
from bench.quality.score_measures import is_of_scores
from bench.ranking.trec import metadata_path
from bench.records.folder import ranking_path, record_path
from bench.records.measure import resolve_measure
from bench.records.rows import GroupKey, group_of
from bench.records.run import Run
from bench.records.tables import PER_QUERY, path_of
from bench.records.writer import RunWriter
from bench.runner import loop
from bench.runner.record import question_key
from bench.runner.retrieve import Retrieved, retrieve
from bench.scoring.known import ScoreCaches
from bench.suite.naming import display_name
from bench.suite.planning import Planned, plan
from bench.suite.suite import Suite

NOTHING_SCORED = "nothing was scored"
ROUNDS = 10
"""Times that more of the queries are asked: a row is scored on at most a tenth of them too many."""


@dataclass
class StagedCheck:
    """One check of a suite. `fresh` uses no score of before it began."""

    suite: Suite
    baseline: Run
    gates: Gates
    fresh: bool = False
    observer: Observer = field(default_factory=Observer)

    def verdict(self, inconclusive: Literal["pass", "fail"] | None = None) -> Verdict:
        """Return the verdict. Raises BenchError for gates that a part of the queries does not
        serve or that name what the suite or the baseline lacks, IncomparableError where data,
        candidates or what judges them are not those of the baseline, all before anything is scored.
        """
        self._refuse_other_gates()
        self._refuse_unguarded()
        caches = ScoreCaches(since=time.time_ns() if self.fresh else 0)
        with tempfile.TemporaryDirectory(prefix="rerank-bench-") as place:
            every = [
                _Rounds(self, dataset, Path(place) / str(number), caches)
                for number, dataset in enumerate(self.suite.datasets)
            ]
            for rounds in every:
                rounds.prepare()
            last: dict[str, Run] = {}
            for rounds in every:
                last |= rounds.run()
            if not last:
                raise BenchError(
                    f"{self.suite.name}: none of its rerankers is in the baseline "
                    f"{self.baseline.folder}, so there is nothing to check"
                )
            with _merged(last, Path(place) / "merged") as run:
                verdict = check(
                    run, self.baseline, self.gates, inconclusive=inconclusive, sequential=True
                )
            # while the runs are still there
            notes = (*verdict.notes, *self._notes(last))
        return replace(verdict, notes=notes)

    def _refuse_other_gates(self) -> None:
        for name in {status.trial.reranker for status in self.baseline.info.trials}:
            questions = self.gates.of(name)
            others = [measure for measure in questions.quality or {} if is_of_scores(measure)]
            limits = {
                "speed": questions.speed,
                "memory": questions.memory,
                "probes": questions.probes,
                "slices": questions.slices,
            }
            others += [gate for gate, limit in limits.items() if limit is not None]
            if others:
                raise BenchError(
                    f"--sequential judges rankings query by query, and the gates ask for "
                    f"{', '.join(others)} of {name}: run the suite and check its run, or leave "
                    "that out"
                )

    def _refuse_unguarded(self) -> None:
        """Raise an error for rerankers that nothing of the baseline could guard."""
        names = {status.trial.reranker for status in self.baseline.info.trials}
        self.gates.refuse_unknown({*names, *_names(self.suite)})
        lacking = [name for name in self.gates.rerankers if name not in names]
        if lacking and self.gates.missing == "fail":
            raise IncomparableError(
                f"the gates name {', '.join(lacking)}, and the baseline {self.baseline.folder} has "
                f"no result of it to compare with: save a baseline that has; {NOTHING_SCORED}"
            )
        failures = mostly_failed(self.baseline)
        if failures and self.gates.missing == "fail":
            texts = ", ".join(f"{trial_id}: {reason}" for trial_id, reason in failures.items())
            raise IncomparableError(
                f"{texts} in the baseline {self.baseline.folder}: save a baseline in which it was "
                f"answered; {NOTHING_SCORED}"
            )

    def _notes(self, last: Mapping[str, Run]) -> Iterator[str]:
        """Yield how many queries were scored, and what is not guarded."""
        scored = total = 0
        for trial_id, run in last.items():
            record = run.records.get(trial_id)
            before = self.baseline.records.get(trial_id)
            if record is not None and before is not None and record.trial.kind == "reranker":
                scored += record.counts.queries
                total += before.counts.queries
        yield (
            f"{scored} of {counted(total, 'query')} were scored over all rerankers, and the other "
            "gates judge these; no run folder is kept, their scores are in the cache"
        )
        known = {status.trial.reranker for status in self.baseline.info.trials}
        added = [name for name in _names(self.suite) if name not in known]
        if added:
            yield f"not in the baseline, neither run nor checked: {', '.join(added)}"


class _Rounds:
    """The rounds over one dataset."""

    def __init__(self, staged: StagedCheck, dataset: Part, out: Path, caches: ScoreCaches) -> None:
        self.staged, self.dataset, self.out, self.caches = staged, dataset, out, caches
        self.name = display_name(dataset)
        self.baseline = [
            side
            for side in sides(staged.baseline, references=False)
            if side.trial.dataset == self.name
        ]
        self.total = max(
            (
                record.counts.queries
                for record in staged.baseline.records.values()
                if record.trial.dataset == self.name
            ),
            default=0,
        )
        self.guarded: list[str] = []
        """The rerankers of the suite that the baseline has."""
        self.learning: set[str] = set()
        """Those that learn from the queries, so that a part of these gives other scores."""
        self.last: dict[str, Run] = {}
        self.candidates: dict[str, Candidates] = {}
        """First stage -> its candidates of all queries."""

    def prepare(self) -> None:
        """Retrieve the candidates of all queries. Raises IncomparableError where what is asked is
        not what the baseline was asked, BenchError for a measure of the gates that one of the two
        lacks.
        """
        # those that failed in the baseline are run once: whether they still do decides, as in a
        # check of a whole run
        known = {
            status.trial.reranker
            for status in self.staged.baseline.info.trials
            if status.trial.dataset == self.name
        }
        if not self.total:
            return
        self.guarded = [name for name in _names(self.staged.suite) if name in known]
        suite = self._suite(self.guarded)
        retrieved: dict[GroupKey, Retrieved] = {}
        trials: list[Planned] = []
        for group in plan(suite, lenient=True) if self.guarded else ():
            self.learning |= {
                planned.trial.reranker for planned in group.planned if _learns_of(planned)
            }
            place = group_of(group.planned[0].trial)
            retrieved[place] = retrieve(suite, group, Observer())
            self.candidates[place[1]] = retrieved[place].candidates
            trials += [planned for planned in group.planned if planned.trial.kind == "reranker"]
        for planned, side in counterparts(trials, self.baseline):
            self._refuse_other(planned, side, retrieved[group_of(planned.trial)])

    def run(self) -> dict[str, Run]:
        """Return trial id -> the run that decided it. Needs what `prepare` has found."""
        if not self.guarded:
            return {}
        waiting = self.learning
        names = [name for name in self.guarded if name not in waiting]
        for size in self._sizes():
            if size == self.total:
                names = [*names, *waiting]
            if not names:
                continue
            run = loop.run(
                self._suite(names, size),
                out=self.out,
                time_it=False,
                observer=self.staged.observer,
                caches=self.caches,
            )
            self._take(run)
            open_rows = self._open(run) if size < self.total else set()
            self.staged.observer.note(
                f"{self.name}, {size} of {counted(self.total, 'query')}: "
                f"{counted(len(open_rows), 'reranker')} of {len(names)} still open"
            )
            names = [name for name in names if name in open_rows]
        return self.last

    def _sizes(self) -> list[int]:
        """Return the number of queries of each round; the last is all of them."""
        sizes = {math.ceil(self.total * number / ROUNDS) for number in range(1, ROUNDS)}
        return [*sorted(size for size in sizes if LEAST_QUERIES <= size < self.total), self.total]

    def _suite(self, names: Iterable[str], size: int | None = None) -> Suite:
        """Return the suite of a round: these rerankers over the first `size` queries."""
        suite, wanted = self.staged.suite, set(names)
        dataset = self.dataset
        if size is not None and size < self.total:
            options = {**(dataset.options or {}), "queries": size}
            dataset = Part(name=dataset.name, options=options)
        return suite.model_copy(
            update={
                "datasets": (dataset,),
                "rerankers": tuple(p for p in suite.rerankers if display_name(p) in wanted),
                "pipelines": tuple(p for p in suite.pipelines if p.name in wanted),
                "latency": None,
                "store_texts": False,
            }
        )

    def _refuse_other(self, planned: Planned, side: Side, retrieved: Retrieved) -> None:
        trial, gates = planned.trial, self.staged.gates
        now = question_key(retrieved, trial.depth)
        names = f"{trial.id} of {self.staged.suite.name}", f"{side.trial.id} of the baseline"
        try:
            agreed(now, side.record.question, names, gates.across, ACROSS)
        except IncomparableError as error:
            raise IncomparableError(f"{error}; {NOTHING_SCORED}") from error
        threshold = retrieved.dataset.min_relevance
        measures = measure_names(self.staged.suite.rank_measures, threshold)
        for measure in gates.of(trial.reranker).quality or {}:
            wanted = None if measure == HEADLINE else measure
            name = resolve_measure(side.run, wanted, {side.trial.id})
            if name not in measures:
                raise BenchError(
                    f"the gates ask for {name} of {trial.reranker}, which the suite "
                    f"{self.staged.suite.name} does not measure: add it to its measures, or gate "
                    f"one of {', '.join(measures)}; {NOTHING_SCORED}"
                )

    def _take(self, run: Run) -> None:
        for status in run.info.trials:
            self.last[status.trial.id] = run

    def _open(self, run: Run) -> set[str]:
        """Return the rerankers of a round of which a row is not decided yet."""
        ours = sides(run, references=False)
        theirs = self.baseline
        seed = self.staged.baseline.seed
        rows: set[str] = set()
        for new, old in counterparts(ours, theirs):
            if not self._is_decided(new, old, seed):
                rows.add(new.trial.reranker)
        return rows

    def _is_decided(self, new: Side, old: Side, seed: int) -> bool:
        if not self._has_same_candidates(new):
            return False
        context = Context(self.staged.gates.across, stored_speed, seed, sequential_gate)
        questions = self.staged.gates.of(new.trial.reranker)
        gates = list(quality.ask(new, old, questions, context))
        if any(gate.outcome in ("fail", "incomparable") for gate in gates):
            return True
        return bool(gates) and all(gate.outcome == "pass" for gate in gates)

    def _has_same_candidates(self, side: Side) -> bool:
        """Return whether a round's queries have the candidates that they have among all: not so of
        a search that learns from its queries.
        """
        candidates = self.candidates[side.trial.first_stage]
        queries = side.values(next(iter(side.record.quality)))
        by_query = {query: candidates.by_query[query] for query in queries}
        part = replace(candidates, by_query=by_query)
        return bool(part.hash == side.record.keys["quality"].value("candidates"))


def _names(suite: Suite) -> list[str]:
    """Return the names of a suite's rows."""
    return [
        *(display_name(part) for part in suite.rerankers),
        *(entry.name for entry in suite.pipelines),
    ]


def _learns_of(planned: Planned) -> bool:
    if planned.pipeline is not None:
        return any(_learns(step.reranker) for step in planned.pipeline.steps)
    return _learns(planned.reranker)


def _learns(reranker: Reranker) -> bool:
    if reranker.learns or reranker.is_untrained:
        return True
    return any(_learns(part.reranker) for part in reranker.parts)


@contextmanager
def _merged(last: Mapping[str, Run], folder: Path) -> Iterator[Run]:
    """Yield one run of the trials of several: of each trial its record, values and ranking."""
    statuses: list[TrialStatus] = []
    for trial_id, run in last.items():
        [status] = [row for row in run.info.trials if row.trial.id == trial_id]
        statuses.append(status)
        ranking = ranking_path(Path(), trial_id)
        files = [
            record_path(Path(), status.trial),
            path_of(Path(), PER_QUERY, trial_id),
            ranking,
            metadata_path(ranking),
        ]
        for file in files:
            if (run.folder / file).is_file():
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(run.folder / file, folder / file)
    newest = list(last.values())[-1]
    folder.mkdir(parents=True, exist_ok=True)
    writer = RunWriter(folder, newest.info.model_copy(update={"trials": statuses}), None)
    writer.write_info()
    yield Run(folder)
