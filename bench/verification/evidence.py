"""What a run folder holds, as its checks read it: nothing is refused because something else
differs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from bench.contract.candidates import QueryCandidates
from bench.contract.request import CandidateList
from bench.core.errors import RecordError
from bench.datasets.base import Dataset, NoDocuments
from bench.quality import measures
from bench.quality.questions import Questions
from bench.ranking.order import Ranking, rank
from bench.ranking.trec import read_run
from bench.records import tables
from bench.records.digests import FolderDigests, read_digests
from bench.records.folder import ranking_path
from bench.records.judgments import qrels_in
from bench.records.packed import unpacked
from bench.records.rows import GroupKey, group_of
from bench.records.run import Run
from bench.records.schema import Record
from bench.records.scores import read_scores
from bench.records.tables import Table, file_of, read_files, read_stretches

if TYPE_CHECKING:
    import pandas as pd

Values = Mapping[str, Mapping[str, float]]
"""Measure -> query id -> value."""
Lists = Mapping[str, QueryCandidates]


class Evidence:
    """A run folder."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.folder = run.folder

    @cached_property
    def digests(self) -> FolderDigests | None:
        return read_digests(self.folder)

    @cached_property
    def groups(self) -> list[GroupEvidence]:
        """The finished trials by dataset, first stage and depth."""
        by_group: dict[GroupKey, list[Record]] = {}
        for record in self.run.records.values():
            by_group.setdefault(group_of(record.trial), []).append(record)
        return [GroupEvidence(self, members) for members in by_group.values()]

    @property
    def trials(self) -> list[TrialEvidence]:
        trials: list[TrialEvidence] = []
        for group in self.groups:
            trials += group.trials
        return trials

    def name_of(self, table: Table, trial_id: str) -> str:
        """Return the file of a trial in a table, as seen from the folder."""
        return file_of(self.folder, table, trial_id).relative_to(self.folder).as_posix()


class GroupEvidence:
    """Trials over the same candidates."""

    def __init__(self, evidence: Evidence, records: Sequence[Record]) -> None:
        self.evidence = evidence
        self.trials = [TrialEvidence(self, record) for record in records]

    @property
    def lead(self) -> TrialEvidence:
        return self.trials[0]

    @property
    def min_relevance(self) -> int:
        return self.lead.record.dataset.get("min_relevance") or 1

    @cached_property
    def first(self) -> TrialEvidence | None:
        """The first stage's own order; None where it failed."""
        firsts = [trial for trial in self.trials if trial.record.trial.is_first_stage]
        return next(iter(firsts), None)

    @cached_property
    def judgments_file(self) -> str:
        """The file of the group's judgments, as seen from the folder."""
        run = self.evidence.run
        key = group_of(self.lead.record.trial)
        members = [status.trial.id for status in run.info.trials if group_of(status.trial) == key]
        # run.json may have lost the trial of a record
        members = members or [self.lead.record.trial.id]
        names = [self.evidence.name_of(tables.JUDGMENTS, member) for member in members]
        return next((name for name in names if (run.folder / name).is_file()), names[0])

    @cached_property
    def qrels(self) -> dict[str, dict[str, int]]:
        """Query id -> document id -> grade; empty where the run does not keep all of them, as older
        runs, which have those of candidates alone.
        """
        path = self.evidence.folder / self.judgments_file
        table = self.evidence.run.judgments
        if path.is_file():
            table = read_files([path], tables.JUDGMENTS)
        table = table[table["dataset"] == self.lead.record.trial.dataset]
        facts: Mapping[str, object] = self.lead.record.dataset
        if self.evidence.digests is None and len(table) != facts.get("judgments"):
            return {}
        return qrels_in(table)

    @cached_property
    def query_ids(self) -> list[str]:
        """The queries measured, in the order of the per-query values."""
        values = (self.first or self.lead).stored_values
        return list(next(iter(values.values()), {}))

    @cached_property
    def candidates(self) -> Lists | None:
        """The first stage's candidates; None where its row is not in the folder."""
        if self.first is None:
            return None
        ranking, scores = self.first.ranking, self.first.scores
        if ranking is None:
            return scores or None
        lists: dict[str, QueryCandidates] = {}
        for query_id, order in ranking.items():
            own = scores.get(query_id)
            is_whole = own is not None and len(own.doc_ids) == len(order.doc_ids)
            lists[query_id] = own if own is not None and is_whole else order
        return lists

    @cached_property
    def questions(self) -> Questions | None:
        """What the trials were asked, without texts; None without candidates or judgments."""
        candidates = self.candidates
        if candidates is None or not self.qrels:
            return None
        record = self.lead.record
        queries = dict.fromkeys(self.query_ids, "")
        dataset = Dataset(
            record.trial.dataset,
            NoDocuments("a run keeps no documents"),
            queries,
            {query_id: self.qrels.get(query_id, {}) for query_id in queries},
            {},
            self.min_relevance,
            has_texts=False,
        )
        requests: list[CandidateList] = []
        for query_id in self.query_ids:
            if query_id in candidates:
                doc_ids = candidates[query_id].doc_ids
                requests.append(CandidateList(query_id, "", doc_ids, [""] * len(doc_ids)))
        return Questions(dataset, self.query_ids, requests, list(record.quality))


@dataclass(frozen=True, eq=False)
class TrialEvidence:
    """One finished trial."""

    group: GroupEvidence
    record: Record

    @property
    def id(self) -> str:
        return self.record.trial.id

    @property
    def record_file(self) -> str:
        return f"records/{self.id}.json"

    @property
    def ranking_file(self) -> str:
        return f"rankings/{self.id}.run.gz"

    def file(self, table: Table) -> str:
        """Return the trial's file of a table, as seen from the folder."""
        return self.group.evidence.name_of(table, self.id)

    @property
    def is_search(self) -> bool:
        """Whether its scores are those of a search, which may contradict the order."""
        return self.record.trial.is_first_stage or len(self.record.stages) == 1

    @property
    def is_cascade(self) -> bool:
        """Whether it has stages between the search and the last."""
        return len(self.record.stages) > 2

    @cached_property
    def ranking(self) -> Lists | None:
        """The ranking on disk; None where there is none."""
        path = ranking_path(self.group.evidence.folder, self.id)
        if not path.is_file():
            return None
        return read_run(path)

    @cached_property
    def scores(self) -> Lists:
        return read_scores(self.group.evidence.folder, self.id)

    @cached_property
    def stage_scores(self) -> dict[int, dict[str, QueryCandidates]]:
        """Number of a stage -> query id -> what it scored, of stages before the last."""
        path = tables.path_of(self.group.evidence.folder, tables.STAGES, self.id)
        if not path.is_file():
            return {}
        by_stage: dict[int, dict[str, QueryCandidates]] = {}
        table = read_files([path], tables.STAGES)
        for (number, query_id), rows in table.groupby(
            ["stage", "query"], sort=False, observed=True
        ):
            answer = QueryCandidates(tuple(rows["doc_id"]), tuple(rows["score"]))
            by_stage.setdefault(int(number), {})[str(query_id)] = answer
        return by_stage

    @cached_property
    def stored_values(self) -> Values:
        """The per-query values of the table."""
        values: dict[str, dict[str, float]] = {}
        folder = self.group.evidence.folder
        for rows in read_stretches(folder, tables.PER_QUERY, self.id):
            columns = (rows[name].to_pylist() for name in ("measure", "query", "value"))
            for measure, query_id, value in zip(*columns, strict=True):
                values.setdefault(measure, {})[query_id] = value
        return values

    @cached_property
    def calls(self) -> pd.DataFrame:
        """The rows of the timings."""
        import pandas as pd

        folder = self.group.evidence.folder
        parts = [rows.to_pandas() for rows in read_stretches(folder, tables.LATENCY, self.id)]
        if not parts:
            return pd.DataFrame(columns=list(tables.LATENCY.names))
        return unpacked(pd.concat(parts, ignore_index=True), {self.id: self.record})

    def answer(self, query_id: str) -> Ranking | None:
        """Return what the trial scored of a query, in the order that its scores give; None where
        the folder has none.
        """
        own = self.scores.get(query_id)
        if own is None:
            return None
        if self.is_search:
            return Ranking(own.doc_ids, own.scores)
        try:
            return rank(own.doc_ids, own.scores)
        except ValueError as error:
            raise RecordError(f"{self.file(tables.SCORES)}: query '{query_id}': {error}") from error

    @cached_property
    def orders(self) -> Mapping[str, Ranking]:
        """Query id -> the whole order of its candidates: what was scored by its scores, the others
        below as they were before; that of the ranking where no scores are kept.
        """
        orders: dict[str, Ranking] = {}
        for query_id in self.ranking or self.scores:
            order = self._order(query_id)
            if order is not None:
                orders[query_id] = order
        return orders

    def _order(self, query_id: str) -> Ranking | None:
        answer, before = self.answer(query_id), self.before_last(query_id)
        if answer is not None and before is not None:
            return below(answer, before)
        on_disk = (self.ranking or {}).get(query_id)
        if on_disk is None:
            return None
        return Ranking(on_disk.doc_ids, on_disk.scores)

    def before_last(self, query_id: str) -> Sequence[str] | None:
        """Return a query's order before the last stage; None where it is not known."""
        candidates = self.group.candidates or {}
        if query_id not in candidates:
            return None
        order: Sequence[str] = candidates[query_id].doc_ids
        if not self.is_cascade:
            return order
        orders = self.stage_orders(query_id)
        if len(orders) < len(self.record.stages) - 2:
            return None
        return orders[-1]

    def stage_orders(self, query_id: str) -> list[Sequence[str]]:
        """Return a query's whole order after each stage between the search and the last, up to the
        one in which it failed.
        """
        candidates = self.group.candidates or {}
        order: Sequence[str] = candidates[query_id].doc_ids
        orders: list[Sequence[str]] = []
        for number in range(1, len(self.record.stages) - 1):
            answer = self.stage_scores.get(number, {}).get(query_id)
            if answer is None:
                break
            seen = rank(answer.doc_ids, answer.scores)
            order = below(seen, order).doc_ids
            orders.append(order)
        return orders

    @cached_property
    def values(self) -> Values | None:
        """The per-query values that orders and judgments give; None where these are not there."""
        group = self.group
        if not group.qrels or not (self.ranking or self.scores):
            return None
        qrels = {query_id: group.qrels.get(query_id, {}) for query_id in group.query_ids}
        return measures.evaluate(self.orders, qrels, list(self.record.quality), group.min_relevance)


def below(answer: Ranking, before: Sequence[str]) -> Ranking:
    """Return an order with the documents that were not scored below the others, as they were."""
    seen = set(answer.doc_ids)
    others = [doc_id for doc_id in before if doc_id not in seen]
    if not others:
        return answer
    doc_ids = (*answer.doc_ids, *others)
    return Ranking(doc_ids, tuple(float(-place) for place in range(len(doc_ids))))
