"""Verdicts of the gate as people and programs read them: terminal, Markdown, JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bench.gate import Check, Drift, Verdict
from bench.reports import numbers
from bench.reports.comparison import as_json, detectable, flat, label, markdown_grid, print_grid
from bench.reports.markdown import escape

if TYPE_CHECKING:
    from rich.console import Console

EXPLANATION = (
    "Quality passes when the one-sided 95 % lower bound of Δ is above minus the margin, fails when the upper bound is below it. "
    "Drift is the largest score difference of one and the same system; tau and top 10 compare its two orders."
)


def to_json(verdict: Verdict) -> str:
    return as_json(
        {
            "outcome": verdict.outcome,
            "new": verdict.new.info.id,
            "baseline": verdict.baseline.info.id,
            "measure": verdict.measure,
            "margin": verdict.margin,
            "checks": [_flat_check(check) for check in verdict.checks],
            "failed": {status.trial.id: status.reason for status in verdict.failed},
            "absent": list(verdict.absent),
        }
    )


def to_markdown(verdict: Verdict) -> str:
    told = "\n".join(f"- {escape(note)}" for note in notes(verdict))
    parts = [f"## {escape(title(verdict))}", markdown_grid(grid(verdict)), told, EXPLANATION]
    return "\n\n".join(part for part in parts if part)


def print_verdict(verdict: Verdict, console: Console) -> None:
    from rich.markup import escape

    print_grid(grid(verdict), console)
    for note in notes(verdict):
        console.print(escape(note), soft_wrap=True)
    console.print(f"[bold]{escape(title(verdict))}[/bold]", soft_wrap=True)


def title(verdict: Verdict) -> str:
    told = f"{verdict.outcome}: {verdict.measure} of {verdict.new.info.id} against {verdict.baseline.info.id}"
    return f"{told}, margin {verdict.margin:g}"


def grid(verdict: Verdict) -> list[dict[str, str]]:
    """The table's cells, a row per reranker."""
    several = len({(check.comparison.new.trial.dataset, check.comparison.new.trial.first_stage) for check in verdict.checks}) > 1
    return [
        {
            "reranker": label(check.comparison, several, with_run=False),
            "verdict": check.outcome,
            "quality": check.quality,
            "Δ": f"{check.comparison.difference.mean:+.4f}",
            "bounds": f"[{check.low:+.3f}, {check.high:+.3f}]",
            "MDE": detectable(check.comparison),
            **_drift_cells(check.drift),
            "queries": str(len(check.comparison.deltas)),
        }
        for check in verdict.checks
    ]


def notes(verdict: Verdict) -> list[str]:
    """What a table of numbers leaves out."""
    told = [f"{status.trial.id} failed in the new run: {status.reason or 'no reason given'}" for status in verdict.failed]
    told += [f"{name} is in the baseline and not in the new run: not checked" for name in verdict.absent]
    told += [f"{check.comparison.new.trial.id}: the margin is below its MDE" for check in verdict.checks if check.underpowered]
    drifts = [(check.comparison.new.trial.id, check.drift) for check in verdict.checks if check.drift]
    told += [f"{name}: the same system, its scores drifted beyond what is allowed" for name, found in drifts if found.outcome == "fail"]
    told += [f"{name}: {found.unshared} queries were ranked by one run only" for name, found in drifts if found.unshared]
    return told


def _drift_cells(found: Drift | None) -> dict[str, str]:
    if found is None:
        return dict.fromkeys(("drift", "allowed", "tau", "top 10"), numbers.NOTHING)
    return {
        "drift": f"{found.max_difference:.2g}",
        "allowed": f"{found.allowed:.2g}",
        "tau": f"{found.tau:.3f}",
        "top 10": f"{found.overlap:.2f}",
    }


def _flat_check(check: Check) -> dict[str, Any]:
    one = flat(check.comparison)
    verdict = {"outcome": check.outcome, "quality": check.quality, "one_sided_low": check.low, "one_sided_high": check.high}
    return {**one, **verdict, "drift": asdict(check.drift) if check.drift else None}
