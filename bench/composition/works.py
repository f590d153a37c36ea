"""What the stages of a composed pipeline do with the lists that they get: order them by a row's
scores, fuse rows, or cut.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol

from bench.contract.part import Part
from bench.ranking.fusion import RANK_CONSTANT, Norm

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Whole = NDArray[np.int64]
    Values = NDArray[np.float64]
    Flags = NDArray[np.bool_]

By = Literal["rrf", "weighted"]
BEFORE = ""
"""The name of the part of a fusion that is the list as the stage got it, with its scores."""


@dataclass(frozen=True)
class Orders:
    """Every query's documents after a stage: columns of a pool, shape (queries, places), and of
    those that are handed on their scores. `handed` is the number that is handed on, at most.
    """

    columns: Whole
    scores: Values
    lengths: Whole
    failed: Flags
    handed: int
    first: tuple[str, int] | None = None
    """The first stage and its depth, where no other stage has run."""


class Arithmetic(Protocol):
    """What reorders the documents of all queries at once. `name` is that of the stages before."""

    def ranked(self, orders: Orders, row: str) -> Orders: ...

    def fused(self, orders: Orders, work: Fuse, name: object) -> Orders: ...


class Work(ABC):
    """What a stage does. `rows` are those of the run whose scores it needs."""

    @property
    @abstractmethod
    def rows(self) -> tuple[str, ...]: ...

    @abstractmethod
    def written(self, share: str | None = None) -> str:
        """Return it in a few words: minilm-l6, rrf(minilm-l6, bge), blend(bge 0.7). `share` are
        the words for that of a blend, in place of its own.
        """

    @abstractmethod
    def part(self, parts: Mapping[str, Part]) -> Part:
        """Return it as an entry of a suite. `parts` are those of the rows."""

    @abstractmethod
    def apply(self, arithmetic: Arithmetic, orders: Orders, name: object) -> Orders:
        """Return the orders after it, all documents handed on that it got."""

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

    def written(self, share: str | None = None) -> str:
        return self.row

    def part(self, parts: Mapping[str, Part]) -> Part:
        return parts[self.row]

    def apply(self, arithmetic: Arithmetic, orders: Orders, name: object) -> Orders:
        return arithmetic.ranked(orders, self.row)


@dataclass(frozen=True)
class Cut(Work):
    """Hands on what it gets, in its order."""

    @property
    def rows(self) -> tuple[str, ...]:
        return ()

    def written(self, share: str | None = None) -> str:
        return "cut"

    def part(self, parts: Mapping[str, Part]) -> Part:
        return Part(name="cut", options=None)

    def apply(self, arithmetic: Arithmetic, orders: Orders, name: object) -> Orders:
        return replace(orders, first=None)


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

    def written(self, share: str | None = None) -> str:
        weights = self.weights or (1.0,) * len(self.of)
        if BEFORE in self.of:
            if share is None:
                share = f"{self._share:g}"
            return f"blend({self.rows[0]} {share})"
        name = "rrf"
        if self.by == "weighted":
            name = self.norm
        names = list(self.of)
        if len(set(weights)) > 1:
            names = [f"{row} {weight:g}" for row, weight in zip(self.of, weights, strict=True)]
        return f"{name}({', '.join(names)})"

    def part(self, parts: Mapping[str, Part]) -> Part:
        if BEFORE in self.of:
            row = parts[self.rows[0]].to_entry()
            options = {"of": row, "weight": self._share, "norm": self.norm}
            return Part(name="blend", options=options)
        entries = [parts[row].to_entry() for row in self.of]
        fields: dict[str, object] = {"of": entries, "by": self.by}
        if self.weights:
            fields["weights"] = list(self.weights)
        if self.by == "rrf":
            fields["k"] = self.k
        else:
            fields["norm"] = self.norm
        return Part(name="fuse", options=fields)

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
