"""What to know on the day that a baseline is saved: what a check against it will be able to
tell.
"""

from __future__ import annotations

from bench.comparison.pairs import Side, cached, mostly_failed, sides
from bench.core.counting import counted
from bench.gate.file import Gates
from bench.quality import statistics
from bench.records.run import Run

SPREAD = 0.15
"""The standard deviation of paired differences on many collections, where the real one is not known
yet.
"""


def remarks(run: Run, gates: Gates | None = None) -> list[str]:
    """Return what somebody who saves a run as a baseline should know on that day: what margin its
    queries will support, which of its rows guard nothing, and which scores are older than the run.
    """
    gates = gates or Gates()
    answered = sides(run, references=False)
    sentences = [_support(side, gates) for side in answered]
    for status in run.info.trials:
        if status.status in ("skipped", "failed") and status.trial.kind == "reranker":
            sentences.append(
                f"{status.trial.id} {status.status} ({status.reason or 'no reason given'}): this "
                "baseline does not guard it"
            )
    sentences += [
        f"{trial_id}: {failures}: this baseline does not guard it"
        for trial_id, failures in mostly_failed(run).items()
    ]
    sentences += cached(answered)
    return list(dict.fromkeys(filter(None, sentences)))


def _support(side: Side, gates: Gates) -> str:
    """What margin the queries of a trial will support, where that is more than the gates will ask
    for.
    """
    margins, queries = gates.of(side.trial.reranker).quality, side.record.counts.queries
    if not margins:
        return ""
    if queries < 2:
        return "one query supports no margin: `check` can only be inconclusive (exit 4)"
    margin = min(margins.values())
    supported = statistics.supported_margin(SPREAD, queries)
    needed = statistics.queries_needed(queries, supported, margin)
    if needed is None:
        return ""
    return (
        f"{counted(queries, 'query')} support a margin of {supported:.3f} at least where "
        f"a change moves a query by {SPREAD:g} (standard deviation, "
        f"as is common), and the gates ask for {margin:g}: such a change will be inconclusive "
        "(exit 4) unless it loses or gains much. "
        f"{counted(needed, 'query')} would support {margin:g}; scores that stay the same "
        "pass with any number"
    )
