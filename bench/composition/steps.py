"""The stages of a composed pipeline over all queries at once, with the results of a real run to the
last bit: the same rules of order, handing on and fusion, as array arithmetic.

Documents that a stage did not see keep their place below those that it saw (bench.pipelines
.handing); equal scores are ordered by falling document id (bench.ranking.order), which is rising
columns here; parts are fused by bench.ranking.fusion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bench.composition.pool import UNPLACED, FirstStage, Pool, StoredRow
from bench.composition.works import BEFORE, Fuse, Orders, Step
from bench.core.errors import BenchError
from bench.ranking import fusion

if TYPE_CHECKING:
    from bench.composition.works import Flags, Values, Whole


class NotStored(BenchError):
    """The run has no scores for what a stage would get. The text says which, in a few words."""


def retrieved(stage: FirstStage, depth: int) -> Orders:
    """Return the orders of a first stage, cut to a depth."""
    import numpy as np

    return Orders(
        stage.columns[:, :depth],
        stage.scores[:, :depth],
        np.minimum(stage.lengths, depth),
        np.zeros(len(stage.columns), dtype=bool),
        depth,
        (stage.name, depth),
    )


@dataclass
class Stages:
    """Applies stages to orders. `contributions` are those of a row to fusions over the same list,
    by the list's name: several fusions share them.
    """

    pool: Pool
    rows: Mapping[str, Sequence[StoredRow]]
    contributions: dict[tuple[object, ...], Values] = field(default_factory=dict)

    def apply(self, orders: Orders, step: Step, name: object = None) -> Orders:
        """Return the orders after a stage. `name` is that of the stages before, the same for the
        same orders. Raises NotStored.
        """
        handed = orders.handed
        if step.keep is not None:
            handed = min(handed, step.keep)
        return replace(step.work.apply(self, orders, name), handed=handed)

    def ranked(self, orders: Orders, row: str) -> Orders:
        """Return what a stage hands on that orders by a row's scores. Raises NotStored."""
        import numpy as np

        stored = self._row(orders, row)
        head = orders.columns[:, : orders.handed]
        index, placed = self._by_row(orders, stored)
        columns = np.take_along_axis(head, index, axis=1)
        scores = np.take_along_axis(placed, index, axis=1)
        return _after(orders, columns, scores, orders.failed | stored.failed)

    def _by_row(self, orders: Orders, row: StoredRow) -> tuple[Whole, Values]:
        """Return the places, by a row's scores, of the documents that a stage gets, and those
        scores.
        """
        import numpy as np

        head = orders.columns[:, : orders.handed]
        places = np.take_along_axis(row.places, head, axis=1)
        has_none = (places == UNPLACED) & (head != self.pool.width)
        failed = orders.failed | row.failed
        missing = int((has_none.any(axis=1) & ~failed).sum())
        if missing:
            raise NotStored(f"{row.name} has not scored all that it would get")
        # places of a query's documents differ, but for those of no document
        index = np.argsort(places, axis=1)
        return index, np.take_along_axis(row.scores, head, axis=1)

    def _row(self, orders: Orders, name: str) -> StoredRow:
        """Return a row's scores for these orders: those over this list, where they depend on
        it.
        """
        places: list[str] = []
        for row in self.rows[name]:
            if row.over is None or row.over == orders.first:
                return row
            first, depth = row.over
            places.append(f"{first}:{depth}")
        if not places:
            raise NotStored(f"{name} has not scored all of its own candidates")
        ran = " and ".join(places)
        raise NotStored(f"{name} depends on its list: it ran over {ran} alone")

    def fused(self, orders: Orders, work: Fuse, name: object) -> Orders:
        """Return what a stage hands on that fuses rows. Raises NotStored."""
        import numpy as np

        head = orders.columns[:, : orders.handed]
        failed = orders.failed.copy()
        weights = work.weights or (1.0,) * len(work.of)
        total = np.zeros(head.shape)
        for weight, row in zip(weights, work.of, strict=True):
            total += float(weight) * self._contribution(orders, row, work, name)
            if row != BEFORE:
                failed |= self._row(orders, row).failed
        total[head == self.pool.width] = -np.inf
        index = np.lexsort((head, -total), axis=-1)
        columns = np.take_along_axis(head, index, axis=1)
        return _after(orders, columns, np.take_along_axis(total, index, axis=1), failed)

    def _contribution(self, orders: Orders, row: str, work: Fuse, name: object) -> Values:
        """Return what a part adds to each document that a stage gets, before weights."""
        scale: tuple[object, ...] = (work.by, work.norm)
        if work.by == "rrf":
            scale = (work.by, work.k)
        key = (name, orders.handed, row, *scale)
        if name is None or key not in self.contributions:
            self.contributions[key] = self._computed(orders, row, work)
        return self.contributions[key]

    def _computed(self, orders: Orders, row: str, work: Fuse) -> Values:
        import numpy as np

        head = orders.columns[:, : orders.handed]
        failed = orders.failed
        if row == BEFORE:
            index = np.broadcast_to(np.arange(head.shape[1]), head.shape)
            scores = orders.scores[:, : orders.handed]
        else:
            own_row = self._row(orders, row)
            if work.by == "weighted" and not own_row.is_exact:
                raise NotStored(f"the run keeps the order of {row}, and not its scores")
            failed = failed | own_row.failed
            index, scores = self._by_row(orders, own_row)
        values = np.zeros(head.shape)
        sizes = np.minimum(orders.lengths, orders.handed)
        ordered = np.take_along_axis(scores, index, axis=1)
        for number in np.flatnonzero(~failed):
            size = sizes[number]
            if work.by == "rrf":
                own = 1.0 / (work.k + np.arange(1, size + 1))
            else:
                own = fusion.normalised(ordered[number, :size], work.norm)
            values[number, index[number, :size]] = own
        return values


def _after(orders: Orders, columns: Whole, scores: Values, failed: Flags) -> Orders:
    """Return the orders with what a stage saw in its order, and the others below."""
    import numpy as np

    rest = orders.columns[:, orders.handed :]
    if rest.shape[1]:
        columns = np.concatenate([columns, rest], axis=1)
    return Orders(columns, scores, orders.lengths, failed, orders.handed)
