"""All probes of one reranker, over the same queries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bench.comparison.drift import COARSE, EXACT, ROUNDED
from bench.contract.stage import Reranker
from bench.core.errors import BenchError, RerankerError
from bench.core.outsiders import outsiders_code
from bench.core.progress import Observer
from bench.probes import PROBES, SECOND_CALL
from bench.probes.answers import Answers, answers, variants_of
from bench.probes.base import Probe, ProbedQuery
from bench.probes.judging import Judge, failure, not_applicable
from bench.records.keys import identity_of
from bench.records.probe_file import ProbeResult
from bench.rerankers.description import described

if TYPE_CHECKING:
    from bench.contract.identity import Fields

Rebuild = Callable[[Mapping[str, int]], Reranker]
"""Returns the reranker with some of its options changed, nothing loaded."""


@dataclass(frozen=True)
class Probed:
    """What the probes of a reranker gave, what it loaded, the share of a range of scores that its
    number format explains, and whether two identical calls gave the same numbers.
    """

    results: Sequence[ProbeResult]
    description: Fields
    tolerance: float
    repeats: bool


def probe(
    reranker: Reranker,
    rebuild: Rebuild,
    queries: Sequence[ProbedQuery],
    qrels: Mapping[str, Mapping[str, int]],
    *,
    names: Sequence[str] = (),
    seed: int = 0,
    observer: Observer | None = None,
) -> Probed:
    """Ask a reranker every probe, or those named; the call that all are compared with and its
    repetition come first. Raises BenchError where it cannot be loaded or answers neither.
    """
    chosen = {name: PROBES[name] for name in names or PROBES}
    with (
        _loaded(reranker),
        (observer or Observer()).task("probing", len(chosen) + 1, "probes") as advance,
    ):
        description = described(reranker)
        base = _called(reranker, PROBES[SECOND_CALL], queries)
        if not base.scores:
            reason = next(iter(base.failures.values()), "there are no queries")
            raise RerankerError(f"the first call failed for every query: {reason}")
        answered = [query for query in queries if query.request.query_id in base.scores]
        advance(1)
        judge = _judge(reranker, description, base, answered, qrels, chosen, seed)
        again = _attempted(reranker, PROBES[SECOND_CALL], answered)
        judge = _with_noise(judge, again, reranker)
        results: list[ProbeResult] = []
        for name, one_probe in chosen.items():
            results.append(_result(name, one_probe, reranker, rebuild, answered, judge, again))
            advance(1)
    return Probed(results, description, judge.tolerance, judge.repeats)


def why_not(probe: Probe, reranker: Reranker, queries: Sequence[ProbedQuery]) -> str:
    """Return why a probe says nothing of a reranker; empty where it does."""
    reason = probe.applies(reranker)
    if reason:
        return reason
    if probe.expects == "order" and all(len(query.request.doc_ids) < 2 for query in queries):
        return "no query has two documents"
    return ""


def _judge(
    reranker: Reranker,
    description: Fields,
    base: Answers,
    queries: Sequence[ProbedQuery],
    qrels: Mapping[str, Mapping[str, int]],
    chosen: Mapping[str, Probe],
    seed: int,
) -> Judge:
    """Return what the probes are compared by, but for the noise of a second call."""
    formats = identity_of(description).arithmetic.formats
    tolerance = EXACT
    if not COARSE.isdisjoint(formats) or reranker.placement == "remote":
        # which number format a service has is not known
        tolerance = ROUNDED
    return Judge(
        lists={query.request.query_id: query.request for query in queries},
        base={query_id: scores[0] for query_id, scores in base.scores.items()},
        qrels=qrels,
        tolerance=tolerance.score,
        tests=sum(probe.expects == "order" for probe in chosen.values()),
        seed=seed,
    )


def _with_noise(judge: Judge, again: Answers | BenchError, reranker: Reranker) -> Judge:
    """Return the judge with the scores of the second call, and whether they are those of the
    first.
    """
    import numpy as np

    if isinstance(again, BenchError):
        return replace(judge, repeats=False)
    scores = {query_id: own[0] for query_id, own in again.scores.items()}
    is_same = all(np.array_equal(judge.base[query_id], own) for query_id, own in scores.items())
    repeats = is_same and not again.failures and reranker.placement != "remote"
    return replace(judge, again=scores, repeats=repeats)


def _result(
    name: str,
    probe: Probe,
    reranker: Reranker,
    rebuild: Rebuild,
    queries: Sequence[ProbedQuery],
    judge: Judge,
    again: Answers | BenchError,
) -> ProbeResult:
    reason = why_not(probe, reranker, queries)
    if reason:
        return not_applicable(name, probe, reason)
    if name == SECOND_CALL:
        # it is the noise, and not compared with it
        outcome = again
        judge = replace(judge, again={})
    elif probe.settings:
        outcome = _attempted(rebuild(probe.settings), probe, queries, load=True)
    else:
        outcome = _attempted(reranker, probe, queries)
    if isinstance(outcome, BenchError):
        return failure(name, probe, str(outcome))
    return judge.result(name, probe, outcome)


def _attempted(
    reranker: Reranker, probe: Probe, queries: Sequence[ProbedQuery], *, load: bool = False
) -> Answers | BenchError:
    """Return the answers to a probe, or why the call failed; with `load` the reranker is loaded for
    it.
    """
    try:
        if not load:
            return _called(reranker, probe, queries)
        with _loaded(reranker):
            return _called(reranker, probe, queries)
    except BenchError as error:
        return error


def _called(reranker: Reranker, probe: Probe, queries: Sequence[ProbedQuery]) -> Answers:
    with outsiders_code():
        return answers(reranker, variants_of(probe, queries), apart=probe.apart)


@contextmanager
def _loaded(reranker: Reranker) -> Iterator[None]:
    try:
        with outsiders_code():
            reranker.load()
        yield
    finally:
        reranker.close()
