"""Rerankers of a run whose scores depend on the list, asked once more: each query's candidates
without the relevant ones. Answers go through the score cache, so that what was paid for is kept and
asked once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.comparison.across import VERSIONS, differences, refused
from bench.contract.candidates import QueryCandidates
from bench.contract.request import CandidateList, Usage
from bench.core.counting import counted
from bench.core.errors import BenchError, RerankerError, Unavailable
from bench.core.outsiders import outsiders_code
from bench.core.progress import Observer
from bench.meaning.answerability import WHOLE, Answerability, Problem, with_shorter_lists
from bench.records.judged_scores import JudgedScores
from bench.records.keys import identity_of, system_key
from bench.records.rows import group_of
from bench.records.run import Run
from bench.retrieval.requests import Texts
from bench.runner.forecast import Tokens, bill
from bench.runner.rebuilding import Rebuilding, Rebuilt
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
    _rebuilding: Rebuilding = field(init=False)

    def __post_init__(self) -> None:
        self._rebuilding = Rebuilding(self.run)

    def costs(self, rows: Sequence[Answerability]) -> Iterator[ListCost]:
        """Yield what asking each row would take that needs it; nothing is loaded or sent."""
        for row in rows:
            if row.problem is not Problem.DEPENDS:
                continue
            try:
                with outsiders_code():
                    cost = self._cost(row.table)
                yield cost
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
                    answerability = self._asked(row)
                yield answerability
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
        return ListCost(table, len(requests), usage, reranker.price(), bill(reranker, usage))

    def _requests(self, table: JudgedScores) -> tuple[list[CandidateList], Rebuilt]:
        """Return the shorter lists of a row, and its reranker. Raises BenchError where it cannot be
        asked.
        """
        record = self.run.records[table.row.trial.id]
        if record.trial.is_first_stage or record.stages:
            raise RerankerError(WHOLE)
        again = self._rebuilding.trial(record.trial)
        reranker = again.planned.reranker
        if reranker.is_given:
            raise RerankerError("its order was given, and nobody can be asked")
        if reranker.learns or reranker.is_untrained or reranker.needs_collection:
            raise RerankerError("it was trained in the run, or reads the collection")
        dataset = self._rebuilding.dataset(record, again)
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


def shortened(run: Run, table: JudgedScores) -> dict[str, QueryCandidates]:
    """Return query id -> its candidates without the relevant ones, with the first stage's scores;
    queries of which nothing is left are not among them. Raises RerankerError where the run has no
    row of the first stage.
    """
    members = run.groups[group_of(table.row.trial)]
    firsts = [row for row in members if row.trial.is_first_stage and row.status == "done"]
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
