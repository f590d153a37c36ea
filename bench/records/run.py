"""One run, as whoever opens it sees it: its folder, and the main table that is computed from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.records.folder import RunFolder
from bench.records.rows import rows

if TYPE_CHECKING:
    import pandas as pd


class Run(RunFolder):
    """One run, read from its folder. Never loads a model."""

    def to_frame(self) -> pd.DataFrame:
        """The main table: a row per trial, skipped ones included, with aggregates, intervals and
        latency summaries as numbers.
        """
        import pandas as pd

        return pd.DataFrame([row.to_dict() for row in rows(self)])

    def _repr_html_(self) -> str:
        """The main table, as a notebook shows it."""
        table = self.to_frame().set_index("reranker").dropna(axis="columns", how="all")
        return str(
            table.to_html(escape=True, na_rep="–", float_format=lambda value: f"{value:.4g}")
        )
