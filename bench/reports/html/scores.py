"""Score distributions: what a reranker gives to relevant candidates and to the others, and how well
one threshold would part them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.records.rows import Row
from bench.records.run import Run
from bench.reports.html import svg
from bench.reports.html.svg import Mark, Scale, Size, element
from bench.reports.summary import name_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    Scores = NDArray[np.float64]

BINS = 40
SIZE = Size("small", 340, 150, left=10, right=10, top=12, bottom=40)


@dataclass(frozen=True)
class Separation:
    """One reranker: its chart, and the share of (relevant, not relevant) pairs over all queries in
    which the relevant one scores higher (the area under the ROC curve; ties count half). `chart` is
    empty where scores only number the places of an order.
    """

    name: str
    mark: Mark | None
    chart: str
    auc: float
    relevant: int
    others: int
    order_only: bool = False


def separation(
    run: Run, row: Row, table: pd.DataFrame, marks: Mapping[str, Mark]
) -> Separation | None:
    """Of a trial's ranking (columns query, document, score, rank); None where one kind is missing.
    Unjudged counts as not relevant.
    """
    relevant = _relevant(run, row, table)
    if not relevant.any() or relevant.all():
        return None
    scores = table["score"].to_numpy(dtype=float)
    good, bad = scores[relevant], scores[~relevant]
    order_only = only_order(table)
    chart = "" if order_only else _draw(good, bad, name_of(row))
    return Separation(
        name_of(row),
        marks.get(row.trial.id),
        chart,
        auc(good, bad),
        len(good),
        len(bad),
        order_only,
    )


def only_order(table: pd.DataFrame) -> bool:
    """Whether the scores of every query are n, n-1, ..., 1 from the first to the last: they hold no
    more than the order.
    """
    sizes = table.groupby("query", observed=True)["rank"].transform("max")
    numbered = table["score"].to_numpy(dtype=float) == (sizes - table["rank"] + 1).to_numpy(
        dtype=float
    )
    return bool(numbered.all() and sizes.max() > 1)


def auc(good: Scores, bad: Scores) -> float:
    """Area under the ROC curve by ranks, ties counting half (Hanley & McNeil, Radiology 1982)."""
    import numpy as np
    import pandas as pd

    ranks = pd.Series(np.concatenate([good, bad])).rank().to_numpy()[: len(good)]
    return float((ranks.sum() - len(good) * (len(good) + 1) / 2) / (len(good) * len(bad)))


def _relevant(run: Run, row: Row, table: pd.DataFrame) -> NDArray[np.bool_]:
    """Which rows of a ranking are relevant candidates: pairs are compared as numbers, since a run
    may hold millions of them.
    """
    import numpy as np

    threshold = int(run.records[row.trial.id].dataset.get("min_relevance", 1))
    judged = run.judgments
    judged = judged[(judged["dataset"] == row.trial.dataset) & (judged["grade"] >= threshold)]
    queries, documents = table["query"].cat, table["document"].cat
    width = len(documents.categories) + 1
    known = _codes(queries.categories, judged["query"]) * width + _codes(
        documents.categories, judged["document"]
    )
    found: NDArray[np.bool_] = np.isin(
        queries.codes.to_numpy(np.int64) * width + documents.codes.to_numpy(np.int64), known
    )
    return found


def _codes(categories: pd.Index[str], names: pd.Series[str]) -> NDArray[np.int64]:
    """Each name's number among the categories; a name that is none of them gets one that no row
    has.
    """
    import numpy as np

    codes = categories.get_indexer(names).astype(np.int64)
    return np.where(codes < 0, len(categories), codes)


def _draw(good: Scores, bad: Scores, name: str) -> str:
    """Two outlines of equal area over one axis, cut at the outer 0.5 %."""
    import numpy as np

    low, high = (float(value) for value in np.quantile(np.concatenate([good, bad]), [0.005, 0.995]))
    if high <= low:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, BINS + 1)
    shapes = [
        np.histogram(np.clip(scores, low, high), edges)[0] / len(scores) for scores in (bad, good)
    ]
    x = Scale(low, high, SIZE.left, SIZE.width - SIZE.right)
    y = Scale(0.0, float(max(map(np.max, shapes))), SIZE.height - SIZE.bottom, SIZE.top)
    floor = SIZE.height - SIZE.bottom
    parts = [
        element("line", x1=SIZE.left, x2=SIZE.width - SIZE.right, y1=floor, y2=floor, class_="axis")
    ]
    for value in x.ticks(5):
        parts.append(
            element("line", x1=x(value), x2=x(value), y1=floor, y2=floor + 4, class_="axis")
        )
        parts.append(
            svg.text(svg.number(value), x(value), floor + 16, class_="tick", text_anchor="middle")
        )
    parts.append(
        svg.text(
            "score, raw",
            SIZE.width - SIZE.right,
            SIZE.height - 6,
            class_="title",
            text_anchor="end",
        )
    )
    for shape, kind in zip(shapes, ("others", "relevant"), strict=True):
        steps = [
            (x(float(edges[i + side])), y(float(height)))
            for i, height in enumerate(shape)
            for side in (0, 1)
        ]
        outline = " ".join(
            f"{a:.1f},{b:.1f}" for a, b in [(x(low), floor), *steps, (x(high), floor)]
        )
        parts.append(element("polygon", points=outline, class_=f"shape {kind}"))
    return svg.figure(SIZE, parts, f"scores of {name}: relevant candidates against the others")
