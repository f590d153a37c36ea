"""Scores of a run once more: a seeded sample of its pairs, scored by the model where it is at hand.

Nothing is asked through a network. A row that cannot be scored again is named, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from bench.comparison.across import VERSIONS, differences, refused
from bench.comparison.drift import usual_range, usual_tolerance
from bench.contract.identity import Identity
from bench.contract.meter import Meter
from bench.contract.request import CandidateList, Failure
from bench.contract.stage import Reranker
from bench.core.errors import BenchError, RerankerError, Unavailable
from bench.core.outsiders import outsiders_code
from bench.datasets.base import Dataset
from bench.records.keys import identity_of, system_key
from bench.records.tables import SCORES, STAGES
from bench.rerankers.description import described
from bench.runner.rebuilding import Rebuilding, Rebuilt
from bench.scoring.job import checked as answers
from bench.verification.evidence import Evidence, Lists, TrialEvidence
from bench.verification.finding import Code, Ledger, Place, Reason

PAIRS = 20
"""Pairs of a row that are scored again, unless a user says otherwise."""
NAME = "rescored"


@dataclass(frozen=True)
class Scorer:
    """One reranker whose scores the folder has: a row's, or a stage's of a pipeline."""

    file: str
    reranker: Reranker
    lists: Lists
    identity: Identity


@dataclass
class Rescoring:
    """Scores samples again. `pairs` is their size."""

    evidence: Evidence
    pairs: int
    ledger: Ledger = field(default_factory=lambda: Ledger(NAME))
    _rebuilding: Rebuilding = field(init=False)

    def __post_init__(self) -> None:
        self._rebuilding = Rebuilding(self.evidence.run)

    def run(self) -> Ledger:
        """Return what was compared: a score per pair."""
        for trial in self.evidence.trials:
            if trial.record.trial.kind == "reference":
                continue
            try:
                with outsiders_code():
                    self._trial(trial)
            except Unavailable as error:
                self._gap(trial, error.reason)
            except BenchError as error:
                self._gap(trial, str(error))
        return self.ledger

    def _gap(self, trial: TrialEvidence, text: str) -> None:
        self.ledger.gap(Reason.NOT_RESCORED, trial.file(SCORES), text)

    def _trial(self, trial: TrialEvidence) -> None:
        again = self._rebuilding.trial(trial.record.trial)
        if not trial.scores:
            self._gap(trial, "no scores are kept")
            return
        dataset = self._rebuilding.dataset(trial.record, again)
        with closing(again.planned.reranker):
            for scorer in _scorers(trial, again):
                reason = _reason(scorer.reranker)
                if reason:
                    self.ledger.gap(Reason.NOT_RESCORED, scorer.file, reason)
                elif not scorer.reranker.is_given:
                    self._score(trial, scorer, dataset)

    def _score(self, trial: TrialEvidence, scorer: Scorer, dataset: Dataset) -> None:
        """Score a sample again, and compare. Raises RerankerError where another model loads."""
        reranker = scorer.reranker
        reranker.over(dataset)
        reranker.load()
        now = system_key(identity_of(described(reranker)))
        differing = refused(differences(now, system_key(scorer.identity)), [VERSIONS])
        if differing:
            raise RerankerError(f"another one loads now: {', '.join(differing)} differ")
        seed = self.evidence.run.seed
        sample = _sampled(scorer.lists, self.pairs, seed)
        requests = [_request(dataset, query_id, own) for query_id, own in sample.items()]
        tolerance = usual_tolerance(scorer.identity).score * _range(scorer.lists)
        for request, outcome in zip(requests, answers(reranker, requests, Meter()), strict=True):
            if isinstance(outcome, Failure):
                raise RerankerError(f"query {request.query_id}: {outcome.reason}")
            stored = sample[request.query_id]
            for doc_id, score in zip(request.doc_ids, outcome.tolist(), strict=True):
                self.ledger.compared += 1
                if abs(score - stored[doc_id]) > tolerance:
                    place = Place(scorer.file, request.query_id, doc_id)
                    self.ledger.same(Code.RESCORED, place, stored[doc_id], score)


def _scorers(trial: TrialEvidence, again: Rebuilt) -> list[Scorer]:
    """Return what scored documents of a trial: its reranker, or the stages of its pipeline."""
    record, pipeline = trial.record, again.planned.pipeline
    if pipeline is None:
        return [Scorer(trial.file(SCORES), again.planned.reranker, trial.scores, record.identity)]
    fields: Sequence[Mapping[str, Any]] = record.description["identity"]["stages"]
    facts: Sequence[Mapping[str, Any]] = record.description["facts"]["stages"]
    scorers: list[Scorer] = []
    for number, step in enumerate(pipeline.steps, 1):
        own = {name: value for name, value in fields[number - 1].items() if name != "keep"}
        lists: Lists = trial.stage_scores.get(number, {})
        file = trial.file(STAGES)
        if number == len(pipeline.steps):
            lists, file = trial.scores, trial.file(SCORES)
        identity = Identity.read(own, facts[number - 1])
        scorers.append(Scorer(file, step.reranker, lists, identity))
    return scorers


def _reason(reranker: Reranker) -> str:
    """Return why a reranker is not asked again; empty where it is."""
    if reranker.is_given:
        return ""
    if reranker.placement == "remote":
        return "it is asked through a network, and calls may cost"
    if any(part.reranker.is_given for part in reranker.parts):
        return "its part's scores were given"
    parts = [part.reranker for part in reranker.parts]
    if parts and not all(own.is_sure_pointwise for own in (reranker, *parts)):
        return "it is made of others"
    if reranker.learns or reranker.is_untrained or reranker.learned is not None:
        return "it was trained in the run"
    if reranker.reads_scores or not reranker.is_sure_pointwise:
        return "its scores depend on the list"
    return ""


def _sampled(lists: Lists, pairs: int, seed: int) -> dict[str, dict[str, float]]:
    """Return query -> document -> score of a seeded sample of pairs."""
    import numpy as np

    query_ids = list(lists)
    sizes = np.array([len(lists[query_id].doc_ids) for query_id in query_ids], dtype=np.int64)
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if len(ends) else 0
    drawn = np.random.default_rng(seed).choice(total, size=min(pairs, total), replace=False)
    sample: dict[str, dict[str, float]] = {}
    for number in np.sort(drawn).tolist():
        place = int(np.searchsorted(ends, number, side="right"))
        own = lists[query_ids[place]]
        at = number - int(ends[place] - sizes[place])
        sample.setdefault(query_ids[place], {})[own.doc_ids[at]] = own.scores[at]
    return sample


def _request(dataset: Dataset, query_id: str, documents: Mapping[str, float]) -> CandidateList:
    doc_ids = list(documents)
    return CandidateList(query_id, dataset.queries[query_id], doc_ids, dataset.texts(doc_ids))


def _range(lists: Lists) -> float:
    """Return the range of a row's scores, as a check has it."""
    return usual_range([(min(own.scores), max(own.scores)) for own in lists.values() if own.scores])
