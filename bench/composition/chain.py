"""A composed pipeline by the names of its parts, and how it is written in a line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.composition.steps import BEFORE, Cut, Fuse, Rank, Step, Work


@dataclass(frozen=True)
class Chain:
    """A first stage, how many documents it retrieves, and the stages after it."""

    first: str
    depth: int
    steps: tuple[Step, ...] = ()

    def __str__(self) -> str:
        """Return the pipeline as `--pipeline` takes it: bm25:100 > minilm-l6:30 > bge."""
        return self.line()

    def line(self, share: str | None = None) -> str:
        """Return the same, with these words for the share of a blend where some are given."""
        parts = [f"{self.first}:{self.depth}"]
        for step in self.steps:
            keep = ""
            if step.keep is not None:
                keep = f":{step.keep}"
            parts.append(f"{written(step.work, share)}{keep}")
        return " > ".join(parts)

    @property
    def rows(self) -> tuple[str, ...]:
        """The rows whose scores it needs, in the order of its stages."""
        return tuple(dict.fromkeys(row for row, _ in self.scored()))

    def received(self) -> list[int]:
        """Return how many documents each stage after the first gets, at most."""
        handed = self.depth
        counts: list[int] = []
        for step in self.steps:
            counts.append(handed)
            if step.keep is not None:
                handed = min(handed, step.keep)
        return counts

    def scored(self) -> Iterator[tuple[str, int]]:
        """Yield each row that scores something, and how many documents per query, at most."""
        for step, received in zip(self.steps, self.received(), strict=True):
            for row in rows_of(step.work):
                yield row, received


def rows_of(work: Work) -> tuple[str, ...]:
    """Return the rows whose scores a stage needs."""
    if isinstance(work, Rank):
        return (work.row,)
    if isinstance(work, Fuse):
        return tuple(row for row in work.rows if row != BEFORE)
    return ()


def written(work: Work, share: str | None = None) -> str:
    """Return a stage in a few words: minilm-l6, rrf(minilm-l6, bge), blend(bge 0.7). `share` are
    the words for that of a blend, in place of its own.
    """
    if isinstance(work, Cut):
        return "cut"
    if isinstance(work, Rank):
        return work.row
    weights: tuple[float, ...] = work.weights or (1.0,) * len(work.rows)
    is_equal = len(set(weights)) == 1
    if BEFORE in work.rows:
        if share is None:
            share = f"{weights[0] / sum(weights):g}"
        return f"blend({rows_of(work)[0]} {share})"
    name = "rrf"
    if work.by == "weighted":
        name = work.norm
    names = list(work.rows)
    if not is_equal:
        names = [f"{row} {weight:g}" for row, weight in zip(work.rows, weights, strict=True)]
    return f"{name}({', '.join(names)})"
