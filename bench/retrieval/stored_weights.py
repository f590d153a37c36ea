"""Weights of a fusion that were chosen before, in the cache folder, by everything that decided
them: what is fused, on which queries with which judgments.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.core import kept_folder
from bench.core.cache_dir import cache_dir
from bench.datasets.base import Dataset, content_hash
from bench.ranking.tuning import FusionWeights

FILE = "weights.json"


@dataclass(frozen=True)
class StoredWeights:
    """A place of weights; None where a dataset has no hash to know it by."""

    folder: Path | None

    @classmethod
    def of(cls, dataset: Dataset, fields: str) -> StoredWeights:
        """Return the place of the weights that these fields decide on the dataset's judged
        queries.
        """
        corpus = dataset.identity.get("corpus_hash")
        if corpus is None:
            return cls(None)
        rows: list[tuple[str, ...]] = [(fields, str(corpus), str(bool(dataset.skip_own)))]
        for query_id in sorted(dataset.qrels):
            grades = dataset.qrels[query_id]
            judged = [f"{doc_id} {grades[doc_id]}" for doc_id in sorted(grades)]
            rows.append((query_id, dataset.queries.get(query_id, ""), *judged))
        return cls(cache_dir("fusion-weights", content_hash(rows)))

    def read(self, fold_of: Mapping[str, int] | None) -> FusionWeights | None:
        """Return the weights, with the folds that they serve; None where there are none."""
        if self.folder is None:
            return None
        try:
            if not kept_folder.is_intact(self.folder):
                return None
            values = json.loads((self.folder / FILE).read_text(encoding="utf-8"))
        except OSError:
            # it may belong to somebody else
            return None
        by_fold = tuple(tuple(weights) for weights in values["by_fold"])
        return FusionWeights(tuple(values["overall"]), by_fold, fold_of)

    def write(self, weights: FusionWeights) -> None:
        """Keep the weights. Where nothing can be written, they are chosen anew next time."""
        if self.folder is None:
            return
        text = json.dumps({"overall": weights.overall, "by_fold": weights.by_fold})
        try:
            kept_folder.keep(
                self.folder, lambda new: (new / FILE).write_text(text, encoding="utf-8")
            )
        except OSError:
            return
