"""Score distributions: what a reranker gives to relevant candidates and to the others, and how well
one threshold would part them.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.calibration.errors import auc_of
from bench.records.rows import Row
from bench.records.run import Run
from bench.reports.charts import svg
from bench.reports.charts.svg import Mark, Size, element
from bench.reports.names import name_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    Scores = NDArray[np.float64]

BINS = 40
SIZE = Size("small", 340, 150, left=10, right=10, top=12, bottom=40)


@dataclass(frozen=True)
class Separation:
    """A reranker's chart, and the share of (relevant, not relevant) pairs over all queries in which
    the relevant one scores higher (the area under the ROC curve; ties count half). `chart` is empty
    where scores only number the places of an order.
    """

    name: str
    mark: Mark | None
    chart: str
    auc: float
    relevant: int
    others: int
    order_only: bool = False


class CandidateScores:
    """The scores of a trial's candidates, of relevant ones and of others, from its ranking piece by
    piece: 8 bytes each. Unjudged counts as not relevant. `only` names the queries that count, None
    where all do.
    """

    def __init__(self, run: Run, row: Row, only: Collection[str] | None = None) -> None:
        self._row = row
        self._only = only
        threshold = int(run.records[row.trial.id].dataset.get("min_relevance", 1))
        judged = run.judgments
        is_known = (judged["dataset"] == row.trial.dataset) & (judged["grade"] >= threshold)
        if only is not None:
            is_known &= judged["query"].isin(only)
        self._known = judged[is_known]
        self._good, self._bad = array("d"), array("d")
        self._are_places, self._longest = True, 0

    def add(self, piece: pd.DataFrame) -> None:
        """Take whole queries of the ranking: columns query, document, score, rank."""
        if self._only is not None:
            piece = piece[piece["query"].isin(self._only)]
        if piece.empty:
            return
        relevant = self._relevant(piece)
        scores = piece["score"].to_numpy(dtype=float)
        self._good.frombytes(scores[relevant].tobytes())
        self._bad.frombytes(scores[~relevant].tobytes())
        sizes = piece.groupby("query", observed=True)["rank"].transform("max")
        places = (sizes - piece["rank"] + 1).to_numpy(dtype=float)
        self._are_places &= bool((scores == places).all())
        self._longest = max(self._longest, int(sizes.max()))

    @property
    def order_only(self) -> bool:
        """Return whether the scores of every query are n, n-1, ..., 1 from the first to the last:
        they hold no more than the order.
        """
        return self._are_places and self._longest > 1

    def separation(self, marks: Mapping[str, Mark]) -> Separation | None:
        """Return how well a threshold would part them; None where one kind is missing."""
        import numpy as np

        if not self._good or not self._bad:
            return None
        good, bad = np.frombuffer(self._good), np.frombuffer(self._bad)
        name, mark = name_of(self._row.trial), marks.get(self._row.trial.id)
        chart = ""
        if not self.order_only:
            chart = _draw(good, bad, name)
        share = auc_of(good, bad)
        return Separation(name, mark, chart, share, len(good), len(bad), self.order_only)

    def _relevant(self, piece: pd.DataFrame) -> NDArray[np.bool_]:
        """Return which rows are relevant. Pairs are compared as numbers: there may be many."""
        import numpy as np

        queries, documents = piece["query"].cat, piece["document"].cat
        width = len(documents.categories) + 1
        rows = queries.codes.to_numpy(np.int64) * width + documents.codes.to_numpy(np.int64)
        known = self._known[self._known["query"].isin(queries.categories)]
        known_queries = _codes(queries.categories, known["query"])
        known_documents = _codes(documents.categories, known["document"])
        relevant: NDArray[np.bool_] = np.isin(rows, known_queries * width + known_documents)
        return relevant


def _codes(categories: pd.Index[str], names: pd.Series[str]) -> NDArray[np.int64]:
    """Return each name's number among the categories; a name that is none of them gets one that no
    row has.
    """
    import numpy as np

    codes = categories.get_indexer(names).astype(np.int64)
    return np.where(codes < 0, len(categories), codes)


def _draw(good: Scores, bad: Scores, name: str) -> str:
    """Return two outlines of equal area over one axis, cut at the outer 0.5 %."""
    import numpy as np

    low, high = np.quantile(np.concatenate([good, bad]), [0.005, 0.995]).tolist()
    if high <= low:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, BINS + 1)
    shares = {}
    for kind, scores in (("others", bad), ("relevant", good)):
        shares[kind] = np.histogram(np.clip(scores, low, high), edges)[0] / len(scores)
    x = SIZE.across(low, high)
    y = SIZE.upward(0.0, float(max(map(np.max, shares.values()))))
    parts = [svg.x_axis(SIZE)]
    for value in x.ticks(5):
        at, label = x(value), svg.number(value)
        parts.append(svg.line(at, SIZE.floor, at, SIZE.floor + 4, "axis"))
        parts.append(svg.text(label, at, SIZE.floor + 16, "tick", text_anchor="middle"))
    parts.append(svg.x_title(SIZE, "score, raw"))
    for kind, heights in shares.items():
        corners = [(x(low), SIZE.floor)]
        for i, height in enumerate(heights):
            top = y(float(height))
            corners += [(x(float(edges[i])), top), (x(float(edges[i + 1])), top)]
        corners.append((x(high), SIZE.floor))
        outline = " ".join(f"{a:.1f},{b:.1f}" for a, b in corners)
        parts.append(element("polygon", points=outline, class_=f"shape {kind}"))
    return svg.figure(SIZE, parts, f"scores of {name}: relevant candidates against the others")
