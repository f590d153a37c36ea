"""What the stages of a composed pipeline do with the lists that they get: order them by a row's
scores, fuse rows, or cut.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from bench.composition.hybrids import By, Fusion
from bench.composition.names import number, quoted, weight
from bench.composition.rules import SkipRule
from bench.contract.part import Part
from bench.ranking.fusion import RANK_CONSTANT, Norm

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Whole = NDArray[np.int64]
    Values = NDArray[np.float64]
    Flags = NDArray[np.bool_]

BEFORE = ""
"""The name of the part of a fusion that is the list as the stage got it, with its scores."""


@dataclass(frozen=True)
class Orders:
    """Every query's documents after a stage: columns of a pool, shape (queries, places), and of
    those that are handed on their scores. `handed` is the number that is handed on, at most, and
    `counts` that of each query. `is_exact` where the scores are those that a stage gave. `shares`
    are the documents that the last stage scored, per query, as a share of those that it got at
    most; None where it scored all that there were.
    """

    columns: Whole
    scores: Values
    lengths: Whole
    failed: Flags
    handed: int
    counts: Whole
    first: tuple[str, int] | None = None
    """The first stage and its depth, where no other stage has run."""
    is_exact: bool = True
    shares: Values | None = None

    @property
    def seen(self) -> Flags:
        """Which of the places that are handed on hold a document that is."""
        import numpy as np

        seen: Flags = np.arange(self.columns[:, : self.handed].shape[1]) < self.counts[:, None]
        return seen


class Arithmetic(Protocol):
    """What reorders the documents of all queries at once. `name` is that of the stages before."""

    def ranked(self, orders: Orders, row: str) -> Orders: ...

    def fused(self, orders: Orders, work: Fuse, name: object) -> Orders: ...

    def shortened(self, orders: Orders, work: Cut) -> Orders: ...

    def skipped(self, orders: Orders, work: Skip) -> Orders: ...


class Work(ABC):
    """What a stage does. `rows` are those of the run whose scores it needs."""

    @property
    @abstractmethod
    def rows(self) -> tuple[str, ...]: ...

    @abstractmethod
    def written(self, other: Work | None = None) -> str:
        """Return it in a few words: minilm-l6, rrf(minilm-l6, bge), blend(bge 0.7). `other` is the
        work for the second half of the queries, which differs in weights alone.
        """

    @abstractmethod
    def part(self, parts: Mapping[str, Part]) -> Part:
        """Return it as an entry of a suite. `parts` are those of the rows."""

    @abstractmethod
    def apply(self, arithmetic: Arithmetic, orders: Orders, name: object) -> Orders:
        """Return the orders after it, all documents handed on that it got."""

    @property
    def learns(self) -> bool:
        """Whether it learns a number from the lists of a run, which a server does not have."""
        return False

    def with_share(self, share: float) -> Work:
        """Return a blend with this share of its row. Raises TypeError for what is no blend."""
        raise TypeError(f"{self.written()} is no blend")


@dataclass(frozen=True)
class Rank(Work):
    """Orders what it gets by the scores of a row."""

    row: str

    @property
    def rows(self) -> tuple[str, ...]:
        return (self.row,)

    def written(self, other: Work | None = None) -> str:
        return quoted(self.row)

    def part(self, parts: Mapping[str, Part]) -> Part:
        return parts[self.row]

    def apply(self, arithmetic: Arithmetic, orders: Orders, name: object) -> Orders:
        return arithmetic.ranked(orders, self.row)


@dataclass(frozen=True)
class Skip(Work):
    """Orders some queries by the scores of a row, and leaves the others as they are."""

    row: str
    rule: SkipRule

    @property
    def rows(self) -> tuple[str, ...]:
        return (self.row,)

    @property
    def learns(self) -> bool:
        return self.rule.is_learned

    def written(self, other: Work | None = None) -> str:
        return f"skip({quoted(self.row)} {self.rule})"

    def part(self, parts: Mapping[str, Part]) -> Part:
        rule = self.rule
        options: dict[str, object] = {
            "of": parts[self.row].to_entry(),
            "when": {rule.by: rule.value},
        }
        if rule.is_learned:
            options |= {"folds": rule.folds, "seed": rule.seed}
        return Part(name="skip", options=options)

    def apply(self, arithmetic: Arithmetic, orders: Orders, name: object) -> Orders:
        return arithmetic.skipped(orders, self)


@dataclass(frozen=True)
class Cut(Work):
    """Hands on what it gets, in its order: all of it, or the documents whose scores are at least
    `min_score` and at most `within` below the best; the best one always.
    """

    min_score: float | None = None
    within: float | None = None

    @property
    def by_score(self) -> bool:
        return bool(self._limits)

    @property
    def rows(self) -> tuple[str, ...]:
        return ()

    @property
    def _limits(self) -> dict[str, float]:
        limits = {"min_score": self.min_score, "within": self.within}
        return {name: limit for name, limit in limits.items() if limit is not None}

    def written(self, other: Work | None = None) -> str:
        if not self.by_score:
            return "cut"
        words = [f"{name} {number(limit)}" for name, limit in self._limits.items()]
        return f"cut({', '.join(words)})"

    def part(self, parts: Mapping[str, Part]) -> Part:
        return Part(name="cut", options=self._limits or None)

    def apply(self, arithmetic: Arithmetic, orders: Orders, name: object) -> Orders:
        return arithmetic.shortened(orders, self)


@dataclass(frozen=True)
class Fuse(Work):
    """Orders what it gets by a fusion of rows, one of which may be the list as it came (BEFORE): a
    blend.
    """

    of: tuple[str, ...]
    by: By = "rrf"
    weights: tuple[float, ...] | None = None
    norm: Norm = "z-score"
    k: float = RANK_CONSTANT

    @property
    def rows(self) -> tuple[str, ...]:
        return tuple(row for row in self.of if row != BEFORE)

    @property
    def fusion(self) -> Fusion:
        return Fusion(self.by, self.weights, self.norm, self.k)

    def written(self, other: Work | None = None) -> str:
        second = other if isinstance(other, Fuse) else self
        if BEFORE in self.of:
            share = weight(self._share, second._share)
            norm = "" if self.norm == "z-score" else f", {self.norm}"
            return f"blend({quoted(self.rows[0])} {share}{norm})"
        name = "rrf"
        if self.by == "weighted":
            name = self.norm
        return f"{name}({', '.join(self.fusion.words(self.of, second.fusion))})"

    def part(self, parts: Mapping[str, Part]) -> Part:
        if BEFORE in self.of:
            row = parts[self.rows[0]].to_entry()
            options = {"of": row, "weight": self._share, "norm": self.norm}
            return Part(name="blend", options=options)
        of: dict[str, object] = {"of": [parts[row].to_entry() for row in self.of]}
        return Part(name="fuse", options=of | self.fusion.options())

    def apply(self, arithmetic: Arithmetic, orders: Orders, name: object) -> Orders:
        return arithmetic.fused(orders, self, name)

    def with_share(self, share: float) -> Work:
        return replace(self, weights=(share, 1 - share))

    @property
    def _share(self) -> float:
        """The share of a blend's row: an equal one where no weights are set."""
        weights = self.weights or (1.0, 1.0)
        return weights[0] / sum(weights)


@dataclass(frozen=True)
class Step:
    """What a stage after the first does, and how many documents it hands on: all without a
    number.
    """

    work: Work
    keep: int | None = None
