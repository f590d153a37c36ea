"""What the probes showed of the systems of a run, a line each."""

from __future__ import annotations

from collections.abc import Iterator

from bench.core.counting import counted
from bench.records.probe_file import ProbeFile, of_run
from bench.reports.document import Bullets, Section
from bench.reports.view import View


def probed(view: View) -> Section | None:
    """Return a line per row of which probes of the same system are at hand."""
    lines = list(dict.fromkeys(_lines(view)))
    if not lines:
        return None
    return Section("probes", "Is the order stable", [Bullets([(line,) for line in lines])])


def _lines(view: View) -> Iterator[str]:
    for trial_id in view.run.records:
        probes = of_run(view.run, trial_id)
        if probes is not None:
            yield _line(probes)


def _line(probes: ProbeFile) -> str:
    queries = counted(len(probes.query_ids), "query")
    line = f"{probes.reranker}: {counted(len(probes.named('holds')), 'probe')} of its order hold"
    accused = probes.named("accused")
    failed = probes.named("failed")
    if accused:
        line += f", {len(accused)} accuse it: {', '.join(accused)}"
    if failed:
        line += f", {len(failed)} failed: {', '.join(failed)}"
    line += f" ({queries} of {probes.dataset}, {probes.measured_at[:10]})"
    if probes.judged_by:
        line += f"; {probes.judged_by}"
    return line
