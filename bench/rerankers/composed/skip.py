"""A reranker for some of the queries: those of which the stage before is not sure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract.request import CandidateList
from bench.datasets.folds import folds
from bench.rerankers.composed.base import Composite, failure_among, order_before, scores_before
from bench.rerankers.composed.options import SkipOptions

if TYPE_CHECKING:
    from bench.contract.request import Outcome
    from bench.contract.stage import Component


@dataclass(frozen=True)
class Thresholds:
    """Quantiles of the queries of the other folds, and of all queries."""

    overall: float
    by_fold: Sequence[float]
    fold_of: Mapping[str, int]

    def of(self, query_id: str) -> float:
        """Return the threshold of a query; that of all queries for one of no fold."""
        if query_id in self.fold_of:
            return self.by_fold[self.fold_of[query_id]]
        return self.overall


class Skip(Composite):
    """Queries for which the rule does not hold keep the scores of the stage before, and so do those
    of fewer than two documents. A rule by a quantile holds for every query until the queries have
    been scored once.
    """

    Options: ClassVar[type[SkipOptions]] = SkipOptions
    backend = "skip"
    own_state: Thresholds | None = None
    reads_scores = True

    def __init__(self, options: SkipOptions, device: str = "cpu") -> None:
        super().__init__(options, device)
        self.learns = options.when.is_learned

    def hold(self, parts: Sequence[Component]) -> None:
        super().hold(parts)
        self.pointwise = parts[0].reranker.pointwise

    def settings(self) -> dict[str, Any]:
        settings = super().settings()
        settings["when"] = self.options.when.model_dump(exclude_none=True)
        if not self.learns:
            del settings["folds"], settings["seed"]
        return settings

    def facts(self) -> dict[str, object]:
        if self.own_state is None:
            return {}
        thresholds = {"overall": self.own_state.overall, "by_fold": list(self.own_state.by_fold)}
        return {"thresholds": thresholds}

    @contextmanager
    def prepared(self, requests: Sequence[CandidateList]) -> Iterator[None]:
        """Take the quantiles of a rule that is learned. Raises DataError where the queries are too
        few for the folds.
        """
        if self.learns:
            self.own_state = self._quantiles(requests)
        yield

    def _quantiles(self, requests: Sequence[CandidateList]) -> Thresholds:
        texts: dict[str, str] = {}
        values: dict[str, float] = {}
        for request in requests:
            value = self._value(request)
            texts[request.query_id] = request.query
            if value is not None:
                values[request.query_id] = value
        fold_of = folds(texts, self.options.folds, self.options.seed)
        quantile = self.options.when.quantile
        by_fold: list[float] = []
        for fold in range(self.options.folds):
            others = [value for query_id, value in values.items() if fold_of[query_id] != fold]
            by_fold.append(_quantile(others, quantile))
        return Thresholds(_quantile(list(values.values()), quantile), by_fold, fold_of)

    def asks(self, part: Component, request: CandidateList) -> bool:
        value = self._value(request)
        if value is None:
            return False
        return value < self._threshold(request.query_id)

    def combine(
        self, requests: Sequence[CandidateList], outcomes: Sequence[Sequence[Outcome | None]]
    ) -> list[Outcome]:
        results: list[Outcome] = []
        for request, outcome in zip(requests, outcomes[0], strict=True):
            if outcome is None:
                results.append(order_before(request))
                continue
            results.append(failure_among(self.parts, [outcome]) or outcome)
        return results

    def _threshold(self, query_id: str) -> float:
        if not self.learns:
            threshold: float = self.options.when.threshold
            return threshold
        if self.own_state is None:
            return float("inf")
        return self.own_state.of(query_id)

    def _value(self, request: CandidateList) -> float | None:
        """Return what the rule looks at; None for a query of which nothing can be ordered."""
        if len(request.doc_ids) < 2:
            return None
        scores = scores_before(request)
        if self.options.when.reads_margin:
            return float(scores[0] - scores[1])
        return float(scores[0])


def _quantile(values: Sequence[float], quantile: float) -> float:
    """Return a quantile, 0 of no values."""
    import numpy as np

    if not values:
        return 0.0
    return float(np.quantile(values, quantile))
