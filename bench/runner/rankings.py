"""What stays of a trial's rankings once they are measured: their file and that of the scores, each
query's best documents, and the quality at smaller depths.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from bench.contract.candidates import QueryCandidates
from bench.contract.identity import Fields
from bench.contract.stage import Reranker
from bench.contract.trial import Trial
from bench.quality import depth_curve
from bench.quality.losses import LossCounter
from bench.ranking.order import TIE_RULE, Ranking, strictly_falling
from bench.ranking.trec import Rankings, run_writer
from bench.records.folder import ranking_path
from bench.records.scores import WriteScores, no_scores, score_writer
from bench.records.texts import TOP

if TYPE_CHECKING:
    from bench.quality.questions import Questions


class Ranked:
    """Takes the rankings of some queries after the other, writes them on, and keeps the best
    documents, the quality by depth, and how often another document than the first stage's comes
    first. `write_scores` gets, per query, the scores that `reranker` gave; `seen` is how many of a
    query's documents it saw, where not all.
    """

    def __init__(
        self,
        write: Callable[[Rankings], None],
        at: Sequence[int],
        reranker: Reranker,
        write_scores: WriteScores = no_scores,
        seen: Mapping[str, int] = MappingProxyType({}),
        losses: LossCounter | None = None,
    ) -> None:
        self._write, self._at = write, at
        self._reranker, self._write_scores = reranker, write_scores
        self._seen, self._losses = seen, losses
        self._queries = 0
        self._changed = 0
        self.tops: dict[str, None] = {}
        """The best documents of all queries, each once, in the order in which they came."""
        self.curve: dict[int, dict[str, array[float]]] = {}
        """depth -> measure -> values, in the order of the queries: numbers and no objects, since
        there are a million of them at times.
        """

    @property
    def first_changed(self) -> float | None:
        """Return the share of queries with another first document than the first stage gives."""
        if not self._queries:
            return None
        return self._changed / self._queries

    def keep(self, rankings: Mapping[str, Ranking], part: Questions) -> None:
        scored: dict[str, list[tuple[str, float]]] = {}
        for query_id, ranking in rankings.items():
            scores = strictly_falling(ranking.scores)
            scored[query_id] = list(zip(ranking.doc_ids, scores, strict=True))
            self.tops |= dict.fromkeys(ranking.doc_ids[:TOP])
        self._write(scored)
        for request in part.requests:
            if request.query_id in rankings:
                ranking = rankings[request.query_id]
                answer = QueryCandidates(ranking.doc_ids, ranking.scores)
                answer = answer.first(self._seen.get(request.query_id))
                own = self._reranker.own_scores(request, answer)
                self._write_scores(request.query_id, own)
                self._queries += 1
                self._changed += ranking.doc_ids[0] != request.doc_ids[0]
        if self._losses is not None:
            self._losses.add(rankings, part)
        for depth, per_query in depth_curve.curve(rankings, part, self._at).items():
            for measure, values in per_query.items():
                self.curve.setdefault(depth, {}).setdefault(measure, array("d")).extend(
                    values.values()
                )


@contextmanager
def ranked(
    folder: Path,
    trial: Trial,
    reranker: Reranker,
    header: Fields,
    at: Sequence[int],
    seen: Mapping[str, int],
    losses: LossCounter,
    *,
    keeps_scores: bool = True,
) -> Iterator[Ranked]:
    """Yield a writer of a trial's rankings on their way to a file of the run folder, and of its
    scores where these are kept, with quality at the depths `at`. The files are there when all
    rankings are.
    """
    name = trial.reranker
    tag = "_".join(name.split())  # a run tag must not hold white space
    metadata = {**header, "method": {"tie_rule": TIE_RULE, "tag": name}}
    with ExitStack() as stack:
        write = stack.enter_context(run_writer(ranking_path(folder, trial.id), tag, metadata))
        write_scores: WriteScores = no_scores
        if keeps_scores:
            write_scores = stack.enter_context(score_writer(folder, trial.id))
        yield Ranked(write, at, reranker, write_scores, seen, losses)
