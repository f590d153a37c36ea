"""What a probe's answers say: the numbers, and whether they accuse the reranker.

order        pairs of documents that lie further apart than rounding explains may not change their
             order, on more queries than between two identical calls. Where these give the same
             numbers, one such pair accuses; else, and for a service, a permutation test of the
             paired shares (Bonferroni over the probes of this kind).
quality      the whole 95 % interval of the paired change of nDCG@10, less that of the second call,
             lies below -LARGEST_LOSS.
direction    the one-sided 95 % bound (Student) of the mean gain, less that of the second call, lies
             above LARGEST_GAIN.
information  nothing accuses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.contract.request import CandidateList
from bench.core.counting import counted
from bench.probes.answers import Answers
from bench.probes.base import Probe, Variant
from bench.probes.orders import Move, gain, move, own_scores, quality
from bench.quality import statistics
from bench.records.probe_file import MeanChange, Outcome, ProbeResult

if TYPE_CHECKING:
    from bench.contract.request import Scores

LARGEST_LOSS = 0.02
"""Of nDCG@10."""
LARGEST_GAIN = 0.1
"""Of the range of scores of a list: a document's new words may move its score by as much."""
FEWEST = 5
"""Queries below which a mean of changes accuses nobody."""


@dataclass(frozen=True)
class Judge:
    """Compares the answers of probes with those of a first call, `base`. `again` are the scores of
    the same call, made a second time: what differs is noise. `repeats` says that these are the same
    numbers, and that every call gives them. `tolerance` is the share of a list's range of scores
    that rounding explains, `tests` the number of probes that expect the same order.
    """

    lists: Mapping[str, CandidateList]
    base: Mapping[str, Scores]
    qrels: Mapping[str, Mapping[str, int]]
    tolerance: float
    tests: int
    seed: int = 0
    again: Mapping[str, Scores] = field(default_factory=dict)
    repeats: bool = True

    def moves(self, scores_of: Mapping[str, Scores]) -> dict[str, Move]:
        """Return query id -> what became of its order."""
        moves: dict[str, Move] = {}
        for query_id, scores in scores_of.items():
            moves[query_id] = move(
                self.lists[query_id], self.base[query_id], scores, self.tolerance
            )
        return moves

    def scores(self, answers: Answers) -> dict[str, Scores]:
        """Return query id -> scores of its own documents in a probe's lists."""
        return {
            query_id: own_scores(
                self.lists[query_id], self.base[query_id], answers.variants[query_id], answer
            )
            for query_id, answer in answers.scores.items()
        }

    def result(self, name: str, probe: Probe, answers: Answers) -> ProbeResult:
        """Return the numbers of a probe, and its outcome."""
        failed = len(answers.failures)
        if not answers.variants:
            return not_applicable(name, probe, "it fits none of the queries")
        if not answers.scores:
            return _unanswered(name, probe, answers)
        scores = self.scores(answers)
        moves = self.moves(scores)
        gains = self._gains(answers)
        changes = self._changes(scores)
        beyond = self._beyond_noise(probe, answers, changes, gains)
        outcome, reason = self._outcome(probe, moves, beyond)
        if failed > len(moves) and outcome != "accused":
            # the few that are left say nothing of the others
            return _unanswered(name, probe, answers)
        if failed:
            first = next(iter(answers.failures.values()))
            note = f"{counted(failed, 'query')} failed ({first})"
            reason = "; ".join(filter(None, (reason, note)))
        return ProbeResult(
            name=name,
            expects=probe.expects,
            outcome=outcome,
            reason=reason,
            queries=len(moves),
            failed=failed,
            first_changed=_mean([float(reordering.first_changed) for reordering in moves.values()]),
            tau=_mean([reordering.tau for reordering in moves.values()]),
            swapped=_mean([reordering.swapped for reordering in moves.values()]),
            change=self._estimate(changes),
            gain=self._estimate(gains),
        )

    def _changes(self, scores: Mapping[str, Scores]) -> dict[str, float]:
        """Return query id -> the paired change of the measure."""
        after = quality(self.lists, scores, self.qrels)
        before = quality(self.lists, {name: self.base[name] for name in scores}, self.qrels)
        return {query_id: after[query_id] - before[query_id] for query_id in scores}

    def _gains(self, answers: Answers) -> dict[str, float]:
        gains: dict[str, float] = {}
        for query_id, answer in answers.scores.items():
            variant = answers.variants[query_id]
            if variant.target:
                gains[query_id] = gain(self.lists[query_id], self.base[query_id], variant, answer)
        return gains

    def _beyond_noise(
        self,
        probe: Probe,
        answers: Answers,
        changes: Mapping[str, float],
        gains: Mapping[str, float],
    ) -> list[float]:
        """Return the changes, or the gains where the probe is about these, less those of the second
        call. Two lists of one call have each their own noise, which is part of the interval.
        """
        again = {query_id: self.again[query_id] for query_id in changes if query_id in self.again}
        if probe.expects == "quality":
            noise = self._changes(again)
            return [changes[query_id] - noise.get(query_id, 0.0) for query_id in changes]
        beyond: list[float] = []
        for query_id, value in gains.items():
            variant = answers.variants[query_id]
            if len(variant.lists) == 1 and query_id in again:
                own = Variant([self.lists[query_id]], variant.target)
                value -= gain(self.lists[query_id], self.base[query_id], own, [again[query_id]])
            beyond.append(value)
        return beyond

    def _estimate(self, values: Mapping[str, float]) -> MeanChange | None:
        if not values:
            return None
        estimate = statistics.estimate(list(values.values()), self.seed)
        return MeanChange(mean=estimate.mean, low=estimate.low, high=estimate.high)

    def _outcome(
        self, probe: Probe, moves: Mapping[str, Move], beyond: Sequence[float]
    ) -> tuple[Outcome, str]:
        if probe.expects == "information":
            return "reported", ""
        if probe.expects == "order":
            return _accused(self._reorders(moves)), ""
        if len(moves) < FEWEST:
            return "not applicable", f"it fits {counted(len(moves), 'query')}, {FEWEST} are needed"
        if probe.expects == "quality":
            return _accused(statistics.estimate(beyond, self.seed).high < -LARGEST_LOSS), ""
        low, _ = statistics.one_sided_bounds(beyond)
        return _accused(low > LARGEST_GAIN), ""

    def _reorders(self, moves: Mapping[str, Move]) -> bool:
        """Return whether documents change their order beyond the noise."""
        if self.repeats or not self.again:
            return any(reordering.swapped > 0 for reordering in moves.values())
        noise = self.moves({name: self.again[name] for name in moves if name in self.again})
        test = statistics.difference(
            [moves[query_id].swapped for query_id in noise],
            [noise[query_id].swapped for query_id in noise],
            self.seed,
        )
        return test.mean > 0 and test.p * self.tests < statistics.ALPHA


def not_applicable(name: str, probe: Probe, reason: str) -> ProbeResult:
    """Return the result of a probe that says nothing of a reranker."""
    return ProbeResult(name=name, expects=probe.expects, outcome="not applicable", reason=reason)


def failure(name: str, probe: Probe, reason: str) -> ProbeResult:
    """Return the result of a probe whose call failed."""
    return ProbeResult(name=name, expects=probe.expects, outcome="failed", reason=reason)


def _unanswered(name: str, probe: Probe, answers: Answers) -> ProbeResult:
    """Return the result of a probe of which most queries, or all, failed."""
    failed = len(answers.failures)
    first = next(iter(answers.failures.values()))
    reason = first
    if answers.scores:
        reason = f"{counted(failed, 'query')} of {failed + len(answers.scores)} failed ({first})"
    return ProbeResult(
        name=name, expects=probe.expects, outcome="failed", reason=reason, failed=failed
    )


def _accused(accused: bool) -> Outcome:
    return "accused" if accused else "holds"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
