"""Rerankers of a run whose scores depend on the list, asked once more: each query's candidates
without the relevant ones. Answers go through the score cache, so that what was paid for is kept and
asked once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench import datasets
from bench.comparison.across import VERSIONS, differences, refused
from bench.contract.candidates import QueryCandidates
from bench.contract.request import CandidateList, Usage
from bench.core.counting import counted
from bench.core.errors import BenchError, RerankerError, Unavailable
from bench.core.outsiders import outsiders_code
from bench.core.progress import Observer
from bench.datasets.base import Dataset
from bench.meaning.answerability import Answerability, Problem, with_shorter_lists
from bench.records.judged_scores import JudgedScores
from bench.records.keys import identity_of, system_key
from bench.records.run import Run
from bench.retrieval.requests import Texts
from bench.runner.forecast import Tokens
from bench.runner.rebuilding import Rebuilt, checked, trials_of
from bench.scoring.engine import score

if TYPE_CHECKING:
    from bench.catalogue.price import Price

Lists = Mapping[str, QueryCandidates]


@dataclass(frozen=True)
class ListCost:
    """What asking a row's shorter lists would take, at most: answers that the score cache has cost
    nothing. `usd` is None where no price is known; `absent` says why the row cannot be asked.
    """

    table: JudgedScores
    lists: int = 0
    usage: Usage = field(default_factory=Usage)
    price: Price | None = None
    usd: float | None = 0.0
    absent: str = ""


@dataclass
class ShorterLists:
    """Asks the rows of a run. Datasets and trials are read once. `seed` is of folds and intervals;
    None: the run's.
    """

    run: Run
    seed: int | None = None
    observer: Observer = field(default_factory=Observer)
    _trials: dict[str | None, dict[str, Rebuilt]] = field(default_factory=dict)
    _datasets: dict[str, Dataset] = field(default_factory=dict)

    def costs(self, rows: Sequence[Answerability]) -> Iterator[ListCost]:
        """Yield what asking each row would take that needs it; nothing is loaded or sent."""
        for row in rows:
            if row.problem is not Problem.DEPENDS:
                continue
            try:
                with outsiders_code():
                    yield self._cost(row.table)
            except BenchError as error:
                yield ListCost(row.table, absent=_reason(error))

    def asked(self, rows: Sequence[Answerability]) -> Iterator[Answerability]:
        """Yield the rows, those that need it by the answers to their shorter lists; `remark` says
        why a row could not be asked, or that queries failed.
        """
        for row in rows:
            if row.problem is not Problem.DEPENDS:
                yield row
                continue
            try:
                with outsiders_code():
                    yield self._asked(row)
            except BenchError as error:
                yield row.remarked(f"not asked: {_reason(error)}")

    def _asked(self, row: Answerability) -> Answerability:
        requests, again = self._requests(row.table)
        reranker = again.planned.reranker
        name = row.table.row.trial.label
        pairs = sum(len(request.doc_ids) for request in requests)
        with closing(reranker), self.observer.task(f"asking {name}", pairs, "pairs") as advance:
            scored = score(
                reranker,
                requests,
                chunk_pairs=again.suite.chunk_pairs,
                on_progress=advance,
                recipe=again.planned.part.recipe(again.suite.base_dir),
            )
        record = self.run.records[row.table.row.trial.id]
        loaded = system_key(identity_of(scored.description))
        differing = refused(differences(loaded, record.system), [VERSIONS])
        if differing:
            raise RerankerError(f"another one answers now: {', '.join(differing)} differ")
        shorter: dict[str, QueryCandidates] = {}
        for request in requests:
            if request.query_id in scored.scores:
                values = scored.scores[request.query_id].tolist()
                shorter[request.query_id] = QueryCandidates(tuple(request.doc_ids), tuple(values))
        own = with_shorter_lists(self.run, row.table, shorter, self.seed)
        if scored.failures:
            reason = next(iter(scored.failures.values()))
            own = own.remarked(f"{counted(len(scored.failures), 'query')} failed ({reason})")
        return own

    def _cost(self, table: JudgedScores) -> ListCost:
        requests, again = self._requests(table)
        reranker = again.planned.reranker
        usage = reranker.expected_usage(requests, Tokens(requests, self.run.seed))
        price = reranker.price()
        usd: float | None = 0.0
        if reranker.placement == "remote":
            amounts = {name: float(amount) for name, amount in vars(usage).items()}
            usd = price.bill(amounts) if price else None
        return ListCost(table, len(requests), usage, price, usd)

    def _requests(self, table: JudgedScores) -> tuple[list[CandidateList], Rebuilt]:
        """Return the shorter lists of a row, and its reranker. Raises BenchError where it cannot be
        asked.
        """
        record = self.run.records[table.row.trial.id]
        if record.trial.is_first_stage or record.stages:
            raise RerankerError("a search or a pipeline would have to run as a whole")
        device = record.trial.device
        if device not in self._trials:
            self._trials[device] = trials_of(self.run, device)
        again = checked(self.run, record.trial, self._trials[device])
        reranker = again.planned.reranker
        if reranker.is_given:
            raise RerankerError("its order was given, and nobody can be asked")
        if reranker.learns or reranker.is_untrained or reranker.needs_collection:
            raise RerankerError("it was trained in the run, or reads the collection")
        dataset = self._dataset(again, table)
        reranker.over(dataset)
        lists = shortened(self.run, table)
        requests = [
            CandidateList(
                query_id,
                dataset.queries[query_id],
                own.doc_ids,
                Texts(dataset, own.doc_ids),
                own.scores,
            )
            for query_id, own in lists.items()
        ]
        return requests, again

    def _dataset(self, again: Rebuilt, table: JudgedScores) -> Dataset:
        """Return the collection. Raises RerankerError where it is not the one that was measured."""
        name = table.row.trial.dataset
        if name not in self._datasets:
            part, suite = again.group.dataset, again.suite
            self._datasets[name] = datasets.load(
                part.name, part.options, suite.base_dir, suite.seed
            )
        dataset = self._datasets[name]
        record = self.run.records[table.row.trial.id]
        recorded: Mapping[str, object] = record.keys["quality"].fields.get("dataset", {})
        changed = sorted(key for key in recorded if dataset.identity.get(key) != recorded[key])
        if changed:
            raise RerankerError(f"the collection is another one now: {', '.join(changed)} differ")
        return dataset


def shortened(run: Run, table: JudgedScores) -> dict[str, QueryCandidates]:
    """Return query id -> its candidates without the relevant ones, with the first stage's scores;
    queries of which nothing is left are not among them. Raises RerankerError where the run has no
    row of the first stage.
    """
    trial = table.row.trial
    key = (trial.dataset, trial.first_stage, trial.depth)
    firsts = [row for row in run.groups[key] if row.trial.is_first_stage and row.status == "done"]
    if not firsts:
        raise RerankerError("the run has no row of its first stage")
    candidates: Lists = run.scores_of(firsts[0].trial.id) or run.ranking(firsts[0].trial.id)
    shorter: dict[str, QueryCandidates] = {}
    for query_id in table.query_ids:
        grades = table.qrels.get(query_id, {})
        relevant = {doc_id for doc_id, grade in grades.items() if grade >= table.threshold}
        own = candidates[query_id].without(relevant)
        if own.doc_ids:
            shorter[query_id] = own
    return shorter


def _reason(error: BenchError) -> str:
    return error.reason if isinstance(error, Unavailable) else str(error)
