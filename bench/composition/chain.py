"""A composed pipeline by the names of its parts, and how it is written in a line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.composition.names import first_written
from bench.composition.works import Step


@dataclass(frozen=True)
class Chain:
    """A first stage, how many documents it retrieves, and the stages after it."""

    first: str
    depth: int
    steps: tuple[Step, ...] = ()

    def __str__(self) -> str:
        """Return the pipeline as `--pipeline` takes it: bm25:100 > minilm-l6:30 > bge."""
        return self.line(first_written(self.first), self)

    def line(self, first: str, other: Chain) -> str:
        """Return the same, with these words for the first stage. `other` is the pipeline of the
        second half of the queries, which differs in weights alone.
        """
        parts = [f"{first}:{self.depth}"]
        for step, second in zip(self.steps, other.steps, strict=True):
            keep = ""
            if step.keep is not None:
                keep = f":{step.keep}"
            parts.append(f"{step.work.written(second.work)}{keep}")
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
            for row in step.work.rows:
                yield row, received

    def with_share(self, share: float) -> Chain:
        """Return it with this share of the row of its last stage, which is a blend."""
        *before, last = self.steps
        step = Step(last.work.with_share(share), last.keep)
        return Chain(self.first, self.depth, (*before, step))
