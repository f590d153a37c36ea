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
from bench.composition.rules import counted_on
from bench.composition.works import BEFORE, Cut, Fuse, Orders, Skip, Step
from bench.core.errors import BenchError
from bench.ranking import fusion

if TYPE_CHECKING:
    from bench.composition.works import Flags, Values, Whole


class NotStored(BenchError):
    """The run has no scores for what a stage would get. The text says which, in a few words."""


def retrieved(stage: FirstStage, depth: int) -> Orders:
    """Return the orders of a first stage, cut to a depth."""
    import numpy as np

    lengths = np.minimum(stage.lengths, depth)
    return Orders(
        stage.columns[:, :depth],
        stage.scores[:, :depth],
        lengths,
        np.zeros(len(stage.columns), dtype=bool),
        depth,
        lengths,
        (stage.name, depth),
    )


@dataclass
class Stages:
    """Applies stages to orders. `contributions` are those of a row to fusions over the same list,
    by the list's name: several fusions share them. `texts` are those of the queries.
    """

    pool: Pool
    rows: Mapping[str, Sequence[StoredRow]]
    texts: Mapping[str, str] = field(default_factory=dict)
    contributions: dict[tuple[object, ...], Values] = field(default_factory=dict)

    def apply(self, orders: Orders, step: Step, name: object = None) -> Orders:
        """Return the orders after a stage. `name` is that of the stages before, the same for the
        same orders. Raises NotStored.
        """
        after = step.work.apply(self, orders, name)
        handed = orders.handed
        if step.keep is not None:
            handed = min(handed, step.keep)
        return replace(after, handed=handed, counts=after.counts.clip(max=handed))

    def shortened(self, orders: Orders, work: Cut) -> Orders:
        """Return what a cut hands on. Raises NotStored."""
        import numpy as np

        counts = orders.counts
        if work.by_score:
            self._refuse_numbers(orders)
            counts = counted_on(orders.scores[:, : orders.handed], orders.seen, work)
            counts = np.minimum(np.maximum(counts, 1), orders.counts)
        return replace(orders, counts=counts, first=None, shares=None)

    def ranked(self, orders: Orders, row: str) -> Orders:
        """Return what a stage hands on that orders by a row's scores. Raises NotStored."""
        import numpy as np

        stored = self._row(orders, row)
        head = self._head(orders)
        index, placed = self._by_row(orders, stored)
        columns = np.take_along_axis(head, index, axis=1)
        scores = np.take_along_axis(placed, index, axis=1)
        after = _after(orders, columns, scores, orders.failed | stored.failed)
        return replace(after, is_exact=stored.is_exact, shares=_shares(orders))

    def skipped(self, orders: Orders, work: Skip) -> Orders:
        """Return what a stage hands on that orders by a row's scores the queries of a rule, and
        leaves the others. Raises NotStored.
        """
        import numpy as np

        self._refuse_numbers(orders)
        row = self._row(orders, work.row)
        before = orders.scores[:, : orders.handed]
        try:
            unsure = work.rule.asked(before, orders.counts, ~orders.failed, self._query_texts())
        except BenchError as error:
            raise NotStored(str(error)) from error
        head = self._head(orders)
        index, placed = self._by_row(orders, row, unsure)
        index = np.where(unsure[:, None], index, np.arange(head.shape[1]))
        scores = np.where(unsure[:, None], placed, before)
        columns = np.take_along_axis(head, index, axis=1)
        scores = np.take_along_axis(scores, index, axis=1)
        after = _after(orders, columns, scores, orders.failed | (row.failed & unsure))
        shares = _shares(orders)
        if shares is None:
            shares = np.ones(len(unsure))
        return replace(after, is_exact=row.is_exact, shares=shares * unsure)

    def _query_texts(self) -> Sequence[str] | None:
        """Return the texts of the pool's queries, None where the run keeps none."""
        if any(query_id not in self.texts for query_id in self.pool.query_ids):
            return None
        return [self.texts[query_id] for query_id in self.pool.query_ids]

    def _head(self, orders: Orders) -> Whole:
        """Return the columns that a stage gets, with no document in the places of those that it
        does not get.
        """
        import numpy as np

        return np.where(orders.seen, orders.columns[:, : orders.handed], self.pool.width)

    def _refuse_numbers(self, orders: Orders) -> None:
        """Raise NotStored where numbers of an order take the place of scores."""
        if not orders.is_exact:
            raise NotStored("the run keeps the order of the stage before, and not its scores")

    def _by_row(
        self, orders: Orders, row: StoredRow, unsure: Flags | None = None
    ) -> tuple[Whole, Values]:
        """Return the places, by a row's scores, of the documents that a stage gets, and those
        scores. `unsure` are the queries that need scores, all where it is None.
        """
        import numpy as np

        head = self._head(orders)
        places = np.take_along_axis(row.places, head, axis=1)
        has_none = (places == UNPLACED) & (head != self.pool.width)
        needed = ~(orders.failed | row.failed)
        if unsure is not None:
            needed &= unsure
        missing = int((has_none.any(axis=1) & needed).sum())
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

        head = self._head(orders)
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
        after = _after(orders, columns, np.take_along_axis(total, index, axis=1), failed)
        return replace(after, is_exact=True, shares=_shares(orders))

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

        head = self._head(orders)
        failed = orders.failed
        if row == BEFORE:
            if work.by == "weighted":
                self._refuse_numbers(orders)
            index = np.broadcast_to(np.arange(head.shape[1]), head.shape)
            scores = orders.scores[:, : orders.handed]
        else:
            own_row = self._row(orders, row)
            if work.by == "weighted" and not own_row.is_exact:
                raise NotStored(f"the run keeps the order of {row}, and not its scores")
            failed = failed | own_row.failed
            index, scores = self._by_row(orders, own_row)
        values = np.zeros(head.shape)
        ordered = np.take_along_axis(scores, index, axis=1)
        for number in np.flatnonzero(~failed):
            size = orders.counts[number]
            if work.by == "rrf":
                own = 1.0 / (work.k + np.arange(1, size + 1))
            else:
                own = fusion.normalised(ordered[number, :size], work.norm)
            values[number, index[number, :size]] = own
        return values


def _after(orders: Orders, columns: Whole, scores: Values, failed: Flags) -> Orders:
    """Return the orders with what a stage saw in its order, and the others below."""
    import numpy as np

    seen = np.where(orders.seen, columns, orders.columns[:, : orders.handed])
    rest = orders.columns[:, orders.handed :]
    if rest.shape[1]:
        seen = np.concatenate([seen, rest], axis=1)
    return Orders(seen, scores, orders.lengths, failed, orders.handed, orders.counts)


def _shares(orders: Orders) -> Values | None:
    """Return how many of the documents a stage gets that it would get but for cuts by score."""
    import numpy as np

    longest = np.minimum(orders.lengths, orders.handed)
    if (orders.counts >= longest).all():
        return None
    return np.asarray(orders.counts / np.maximum(longest, 1), dtype=np.float64)
