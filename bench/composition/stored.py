"""What a run has stored of each of its datasets: candidates, judgments and scores, as arrays.

Groups of one dataset (several first stages) are joined: a pointwise reranker's scores of a document
are the same in each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from bench.composition.chain import Chain
from bench.composition.groups import Group, TrialScores
from bench.composition.hybrids import Fusion, Hybrid, hybrids_of
from bench.composition.measuring import Measuring, Qrels
from bench.composition.names import first_written
from bench.composition.pool import (
    FirstStage,
    Lists,
    Pool,
    StoredRow,
    first_stage,
    pooled,
    stored_row,
)
from bench.composition.steps import NotStored
from bench.composition.works import Rank, Step
from bench.contract.candidates import QueryCandidates
from bench.contract.trial import System
from bench.core.errors import BenchError, RecordError, nearest
from bench.records.cells import REPEAT
from bench.records.judges import is_unjudged, refuse_unjudged
from bench.records.judgments import qrels_in
from bench.records.rows import Row, doubts
from bench.records.run import Run
from bench.records.schema import Record
from bench.records.scores import read_scores


@dataclass
class Stored:
    """What a run has stored of one dataset. `trials` are those of each row, by its name; `texts`
    are those of the queries, empty where the run keeps none.
    """

    run: Run
    dataset: str
    groups: Sequence[Group]
    names: Sequence[str]
    query_ids: Sequence[str]
    qrels: Qrels
    texts: Mapping[str, str]
    left_out: dict[str, str] = field(default_factory=dict)
    """Rows that cannot be composed -> why."""

    @cached_property
    def pool(self) -> Pool:
        lists = [group.lists for group in self.groups]
        return pooled(self.query_ids, lists, self.qrels)

    @cached_property
    def first_stages(self) -> dict[str, FirstStage]:
        """The first stages of the run, and the hybrids of each two and of all of them."""
        stages: dict[str, FirstStage] = {}
        # of several depths of one first stage, the deepest holds the others
        for group in sorted(self.groups, key=lambda group: group.depth):
            stages[group.first] = first_stage(self.pool, group.first, group.depth, group.lists)
        for hybrid in self.hybrids.values():
            stages[hybrid.name] = self._fused(hybrid)
        return stages

    @cached_property
    def hybrids(self) -> dict[str, Hybrid]:
        """The hybrids of each two first stages and of all of them, by their names: reciprocal
        ranks, and the sum of z-scores; and those that were added.
        """
        # what only pipelines begin with may be a hybrid itself
        groups = [group for group in self.groups if group.trials]
        return {hybrid.name: hybrid for hybrid in hybrids_of(groups)}

    def add_hybrid(self, names: Sequence[str], fusion: Fusion, width: int | None = None) -> str:
        """Add a hybrid of first stages and return its name in chains; each gives `width`
        documents, as many as the shortest has where that is None. Raises BenchError for a first
        stage that the run lacks.
        """
        deepest = {group.first: group for group in sorted(self.groups, key=lambda own: own.depth)}
        members: list[Group] = []
        for name in names:
            if name not in deepest:
                raise BenchError(f"the run has no first stage '{name}': {nearest(name, deepest)}")
            members.append(deepest[name])
        hybrid = Hybrid(tuple(members), fusion, width)
        if hybrid.width > hybrid.shortest:
            raise BenchError(
                f"{hybrid.name}: the run has {hybrid.shortest} documents per query of each, "
                f"not {hybrid.width}"
            )
        if hybrid.name not in self.hybrids:
            self.hybrids[hybrid.name] = hybrid
            self.first_stages[hybrid.name] = self._fused(hybrid)
        return hybrid.name

    def line(self, chain: Chain, other: Chain) -> str:
        """Return a pipeline in a line, with the weights of the other one for the second half of the
        queries: the two differ in weights alone.
        """
        first = first_written(chain.first)
        if other.first != chain.first:
            first = self.hybrids[chain.first].written(self.hybrids[other.first])
        return chain.line(first, other)

    def begins(self, name: str) -> str:
        """Return the first stage that a first stage is the beginning of, itself where there is
        none: then the one is composed in the place of both. Those of which the run has rows stay.
        """
        if any(group.first == name and group.trials for group in self.groups):
            return name
        own = self.first_stages[name]
        is_after = False
        for other, stage in self.first_stages.items():
            is_after = is_after or other == name
            # of equal ones, the first: hybrids come after what the run has retrieved
            if is_after and stage.depth == own.depth:
                continue
            if own.is_beginning_of(stage):
                return other
        return name

    def _fused(self, hybrid: Hybrid) -> FirstStage:
        return first_stage(self.pool, hybrid.name, hybrid.width, hybrid.lists())

    @cached_property
    def trials(self) -> dict[str, list[TrialScores]]:
        """The trials of each row."""
        by_name: dict[str, list[TrialScores]] = {}
        for group in self.groups:
            for trial in group.trials:
                by_name.setdefault(trial.name, []).append(trial)
        return by_name

    @cached_property
    def rows(self) -> dict[str, tuple[StoredRow, ...]]:
        """The scores of each row: a pointwise one's together, another's for each first stage and
        depth that it ran over.
        """
        rows: dict[str, tuple[StoredRow, ...]] = {}
        for name, trials in self.trials.items():
            if all(trial.is_pointwise for trial in trials):
                row = stored_row(self.pool, name, *_joined(trials))
                rows[name] = (replace(row, is_exact=all(trial.is_exact for trial in trials)),)
            else:
                rows[name] = tuple(self._over_lists(name))
        return rows

    def _over_lists(self, name: str) -> Iterator[StoredRow]:
        for group in self.groups:
            for trial in group.trials:
                if trial.name == name:
                    over = (group.first, group.depth)
                    row = stored_row(self.pool, name, trial.lists, trial.failed, over)
                    yield replace(row, is_exact=trial.is_exact)

    @cached_property
    def measuring(self) -> Measuring:
        return Measuring(
            self.pool, self.first_stages, self.rows, self.names, self.qrels, self.texts
        )

    def verify(self) -> None:
        """Raise RecordError where the values that the stored scores give are not the run's own:
        then judgments are missing, or files were changed. A row that lacks scores of its own
        candidates is left out.
        """
        for group in self.groups:
            first = Chain(group.first, group.depth)
            self._verify(group.trial_id, first)
            for trial in group.trials:
                chain = replace(first, steps=(Step(Rank(trial.name)),))
                try:
                    self._verify(trial.trial_id, chain)
                except NotStored as error:
                    self.left_out.setdefault(trial.name, str(error))
                    self.rows[trial.name] = ()

    def _verify(self, trial_id: str, chain: Chain) -> None:
        values = self.measuring.values(chain)
        for name in self.names:
            recorded = self.run.values(trial_id, name)
            own = [recorded.get(query_id) for query_id in self.query_ids]
            if own != values[name].tolist():
                raise RecordError(
                    f"{self.run.folder}: {name} of {trial_id} is not what its scores and judgments "
                    f"give: an older run keeps judgments of candidates alone; {REPEAT}"
                )


def stored(run: Run, dataset: str | None = None) -> list[Stored]:
    """Return what a run has stored of each dataset, or of the one that is named. Raises RecordError
    where there is nothing to compose.
    """
    refuse_unjudged(run)
    by_dataset: dict[str, list[tuple[str, int]]] = {}
    for name, first, depth in run.groups:
        by_dataset.setdefault(name, []).append((first, depth))
    if dataset is not None and dataset not in by_dataset:
        known = ", ".join(by_dataset)
        raise RecordError(f"{run.folder}: there is no dataset '{dataset}'; there is {known}")
    wanted = [name for name in by_dataset if dataset in (None, name)]
    datasets = [_stored(run, name, by_dataset[name]) for name in wanted]
    usable = [one_dataset for one_dataset in datasets if one_dataset is not None]
    if not usable:
        raise RecordError(f"{run.folder}: no first stage of this run has finished: {REPEAT}")
    return usable


def _stored(run: Run, dataset: str, places: Sequence[tuple[str, int]]) -> Stored | None:
    left_out: dict[str, str] = {}
    labels = _labels(run, dataset)
    groups: list[Group] = []
    for first, depth in places:
        members = run.groups[dataset, first, depth]
        group = _group(run, members, labels, left_out)
        if group is not None:
            groups.append(group)
    groups = [group for group in groups if not _is_a_beginning(group, groups)]
    if not groups:
        return None
    record = run.records[groups[0].trial_id]
    if is_unjudged(record):
        return None
    names = list(record.quality)
    query_ids = list(run.values(groups[0].trial_id, names[0]))
    return Stored(
        run, dataset, groups, names, query_ids, _qrels(run, dataset), _texts(run, dataset), left_out
    )


def _is_a_beginning(group: Group, groups: Sequence[Group]) -> bool:
    """Return whether a group adds nothing to a deeper one: the same candidates, cut, for pipelines
    alone.
    """
    if group.trials:
        return False
    for other in groups:
        if other.depth > group.depth and other.lists.keys() == group.lists.keys():
            pairs = [(group.lists[query], other.lists[query]) for query in group.lists]
            if all(own.doc_ids == deep.doc_ids[: group.depth] for own, deep in pairs):
                return True
    return False


def _group(
    run: Run, members: Sequence[Row], labels: Mapping[str, str], left_out: dict[str, str]
) -> Group | None:
    firsts = [row for row in members if row.trial.is_first_stage and row.status == "done"]
    if not firsts:
        return None
    trial = firsts[0].trial
    lists = _in_order(run.ranking(trial.id), read_scores(run.folder, trial.id))
    meaningful = [row for row in members if not row.meaningless]
    is_all_random = not any(row.trial.kind == "reranker" for row in meaningful)
    trials: list[TrialScores] = []
    for row in members:
        if row.trial.kind != "reranker" or row.stages:
            continue
        name = labels[row.trial.id]
        record = run.records.get(row.trial.id)
        if record is None or record.mostly_failed:
            left_out[name] = row.absence if record is None else "most of its queries failed"
        elif doubts(record) and not is_all_random:
            left_out[name] = "its order means nothing"
        else:
            trials.append(_trial_scores(run, record, name, lists))
    return Group(trial.first_stage, trial.depth, trial.id, lists, tuple(trials))


def _trial_scores(run: Run, record: Record, name: str, candidates: Lists) -> TrialScores:
    trial_id = record.trial.id
    lists: Lists = read_scores(run.folder, trial_id)
    # an older run keeps none, and a published run's file may lack some candidates
    is_exact = sum(len(ranking.doc_ids) for ranking in lists.values()) == record.counts.pairs
    if not is_exact:
        lists = run.ranking(trial_id)
    called = {query_id for query_id, ranking in candidates.items() if ranking.doc_ids}
    failed = frozenset(called - set(lists))
    return TrialScores(trial_id, name, lists, failed, is_pointwise(run, record), is_exact)


def is_pointwise(run: Run, record: Record) -> bool:
    """Return whether a document's score is the same whatever the other documents are. Older records
    do not say: there, a curve of quality over depths does.
    """
    if record.pointwise is not None:
        return record.pointwise
    measure = next(iter(record.quality), "")
    depths = run.qualities(measure).depths(System(record.trial.id))
    return len(depths) > 2


def _in_order(ranking: Lists, scores: Lists) -> Lists:
    """Return the candidates in their order, with the first stage's own scores; with n, n-1, ..., 1
    where these say another order.
    """
    import numpy as np

    from bench.rerankers.reference.fixed import in_order

    lists: dict[str, QueryCandidates] = {}
    for query_id, order in ranking.items():
        by_id: dict[str, float] = {}
        if query_id in scores:
            own = scores[query_id]
            by_id = dict(zip(own.doc_ids, own.scores, strict=True))
        values = tuple(by_id.get(doc_id, np.nan) for doc_id in order.doc_ids)
        if not in_order(order.doc_ids, np.asarray(values, dtype=np.float64)):
            values = tuple(float(place) for place in range(len(order.doc_ids), 0, -1))
        lists[query_id] = QueryCandidates(order.doc_ids, values)
    return lists


def _joined(trials: Sequence[TrialScores]) -> tuple[Lists, frozenset[str]]:
    """Return a pointwise row's scores over several first stages together."""
    if len(trials) == 1:
        return trials[0].lists, trials[0].failed
    scores: dict[str, dict[str, float]] = {}
    failed: set[str] = set()
    for trial in trials:
        failed |= trial.failed
        for query_id, ranking in trial.lists.items():
            own = scores.setdefault(query_id, {})
            for doc_id, score in zip(ranking.doc_ids, ranking.scores, strict=True):
                own.setdefault(doc_id, score)
    lists = {
        query_id: QueryCandidates(tuple(own), tuple(own.values()))
        for query_id, own in scores.items()
    }
    return lists, frozenset(failed)


def _labels(run: Run, dataset: str) -> dict[str, str]:
    """Return what each trial's row is called: by the reranker, and its device where it ran on
    several.
    """
    devices: dict[str, set[str]] = {}
    trials = [row.trial for row in run.rows if row.trial.dataset == dataset]
    for trial in trials:
        devices.setdefault(trial.reranker, set()).add(trial.device or "")
    labels: dict[str, str] = {}
    for trial in trials:
        labels[trial.id] = trial.reranker
        if len(devices[trial.reranker]) > 1:
            labels[trial.id] = f"{trial.reranker} ({trial.device})"
    return labels


def _qrels(run: Run, dataset: str) -> Qrels:
    judged = run.judgments
    return qrels_in(judged[judged["dataset"] == dataset])


def _texts(run: Run, dataset: str) -> Mapping[str, str]:
    queries = run.queries
    queries = queries[queries["dataset"] == dataset]
    return dict(zip(queries["query"].tolist(), queries["text"].tolist(), strict=True))
