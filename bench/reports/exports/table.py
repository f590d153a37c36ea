"""The main table as CSV, JSON and Parquet, numbers in full. A run of several groups ends with the
mean of each reranker over them.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.atomic import write_atomically
from bench.core.spreadsheet import guarded
from bench.records.run import Run
from bench.reports.judges import FIELD, judge_lines
from bench.reports.renderers.json import as_json
from bench.reports.sections.overview import means, over, unseen_mean
from bench.reports.view import View
from bench.reports.wording import out_of_verdict

if TYPE_CHECKING:
    import pandas as pd

FILE = "table.parquet"
OUT_OF_VERDICT = "out_of_verdict"
"""The column that says why a row leads no verdict, of a run in which there is such a row."""


def to_csv(run: Run, out: Path | None = None) -> str:
    return str(frame(run).map(guarded).to_csv(index=False))


def to_json(run: Run, out: Path | None = None) -> str:
    """Return a list of rows; what a row lacks is null."""
    table = frame(run).astype(object)
    records = table.where(table.notna(), None).to_dict(orient="records")
    return f"{as_json(records)}\n"


def to_parquet(run: Run, out: Path | None = None) -> list[Path]:
    """Write the main table; per-query values and timings are Parquet files of the run already."""
    path = out or run.folder / f"{run.info.id}.parquet"
    if path.suffix != ".parquet":
        path /= FILE
    buffer = io.BytesIO()
    frame(run).to_parquet(buffer, index=False)
    write_atomically(path, buffer.getvalue())
    return [path]


def frame(run: Run) -> pd.DataFrame:
    """Return the main table, a row per trial, then a row per reranker with its mean over all
    groups, whose `dataset` says over which. Where a row leads no verdict, a column says why.
    """
    import pandas as pd

    view = View(run)
    table = run.to_frame()
    reasons = [out_of_verdict(row) if row.status == "done" else "" for row in run.rows]
    if any(reasons):
        table[OUT_OF_VERDICT] = reasons
    lines = judge_lines(run)
    rows: list[dict[str, Any]] = []
    for mean in means(view.findings):
        if mean.mean is None:
            continue
        trial, measure = mean.any_row.trial, view.findings[0].measure
        row = {
            "dataset": f"mean over {over(view)}",
            "reranker": trial.reranker,
            "device": trial.device,
            "kind": trial.kind,
            "status": "done",
            measure: mean.mean,
        }
        if (over_unseen := unseen_mean(mean, view)) is not None:
            row[f"{measure} unseen"] = over_unseen
        if any(reasons):
            row[OUT_OF_VERDICT] = mean.out_of_verdict
        if lines:
            row[FIELD] = "; ".join(lines)
        rows.append(row)
    if not rows:
        return table
    # Whole numbers stay whole in a column that the rows of means lack.
    integers = dict.fromkeys(("depth", "candidates"), "Int64")
    return pd.concat([table.astype(integers), pd.DataFrame(rows)], ignore_index=True)
