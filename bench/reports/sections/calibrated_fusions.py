"""Fused rows by calibrated scores next to the same fusions of z-scores."""

from __future__ import annotations

from bench.meaning.calibrated_fusions import FusionComparison, calibrated_fusions
from bench.reports import cells
from bench.reports.document import Block, Bullets, Column, Paragraph, Row, Section, Table
from bench.reports.names import name_of
from bench.reports.view import View

EXPLANATION = (
    "The same parts and weights, once as probabilities by their calibration maps, once as "
    "z-scores within a query, computed from the parts' stored scores. The difference is calibrated "
    "less z-score, paired by query."
)


def fusions(view: View) -> Section | None:
    """Return a row per fusion of calibrated scores; None where the run has none."""
    comparisons = calibrated_fusions(view.run)
    if not comparisons:
        return None
    measure = comparisons[0].measure
    columns = [
        Column("place", "over", align="left", priority=3),
        Column("calibrated", f"{measure}, calibrated", better="higher", priority=0),
        Column("z-score", f"{measure}, z-score", better="higher", priority=0),
        Column("gain", "difference", better="higher", priority=0, interval="own"),
        Column("p", "p", "of the paired difference", priority=1),
    ]
    rows = [_row(comparison) for comparison in comparisons]
    blocks: list[Block] = [Table("row", columns, rows, "calibrated fusions")]
    problems = [
        f"{name_of(each.record.trial)}: {each.problem}" for each in comparisons if each.problem
    ]
    if problems:
        blocks.append(Bullets([(problem,) for problem in problems]))
    blocks.append(Paragraph((EXPLANATION,), quiet=True))
    return Section("calibrated-fusions", "Does calibration help the fusion", blocks)


def _row(comparison: FusionComparison) -> Row:
    trial = comparison.record.trial
    by_column = {
        "place": cells.text(f"{trial.dataset}, {trial.first_stage}"),
        "calibrated": cells.mean(comparison.calibrated),
        "z-score": cells.missing(),
        "gain": cells.delta(comparison.difference),
        "p": cells.p(None),
    }
    if comparison.z_score is not None:
        by_column["z-score"] = cells.mean(comparison.z_score)
    if comparison.difference is not None:
        by_column["p"] = cells.p(comparison.difference.p)
    return Row(name_of(trial), by_column)
