"""What stays of a trial's rankings once they are measured: their file, each query's best documents,
and the quality at smaller depths.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench.contract.identity import Fields
from bench.quality import depth_curve
from bench.ranking.order import TIE_RULE, Ranking, strictly_falling
from bench.ranking.trec import Rankings, run_writer
from bench.records.texts import TOP

if TYPE_CHECKING:
    from bench.quality.questions import Questions


class Ranked:
    """Takes the rankings of some queries after the other, writes them on, and keeps the best
    documents and the quality by depth.
    """

    def __init__(self, write: Callable[[Rankings], None], at: Sequence[int]) -> None:
        self._write, self._at = write, at
        self.tops: dict[str, None] = {}
        """The best documents of all queries, each once, in the order in which they came."""
        self.curve: dict[int, dict[str, array[float]]] = {}
        """depth -> measure -> values, in the order of the queries: numbers and no objects, since
        there are a million of them at times.
        """

    def keep(self, rankings: Mapping[str, Ranking], part: Questions) -> None:
        scored: dict[str, list[tuple[str, float]]] = {}
        for query_id, ranking in rankings.items():
            scores = strictly_falling(ranking.scores)
            scored[query_id] = list(zip(ranking.doc_ids, scores, strict=True))
            self.tops |= dict.fromkeys(ranking.doc_ids[:TOP])
        self._write(scored)
        for depth, per_query in depth_curve.curve(rankings, part, self._at).items():
            for measure, values in per_query.items():
                self.curve.setdefault(depth, {}).setdefault(measure, array("d")).extend(
                    values.values()
                )


@contextmanager
def ranked(path: Path, name: str, header: Fields, at: Sequence[int]) -> Iterator[Ranked]:
    """Yield a writer of rankings of the reranker `name` on their way to the file `path`, with
    quality at the depths `at`. The file is there when all are.
    """
    tag = "_".join(name.split())  # a run tag must not hold white space
    with run_writer(path, tag, {**header, "method": {"tie_rule": TIE_RULE, "tag": name}}) as write:
        yield Ranked(write, at)
