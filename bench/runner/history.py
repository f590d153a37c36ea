"""How fast a reranker was before: the newest run under a folder in which the same entry of a suite
was timed on the same hardware.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bench.core.errors import RecordError
from bench.core.redaction import redacted
from bench.latency.scenarios import one_query_at
from bench.latency.summary import Summary, summarise
from bench.machine import fingerprint
from bench.records.run import Run
from bench.records.schema import Record
from bench.suite.planning import Planned

LOOKED_AT = 30
"""Runs that are opened, the newest first."""
_SAME = ("cpu", "gpu", "logical_cores")


@dataclass(frozen=True)
class Speed:
    """Pairs per second of a local reranker, or seconds per query of a remote one; and of which
    run.
    """

    pairs_per_s: float | None
    query_s: float | None
    source: str


class History:
    """The runs under `out`, opened when they are first needed. A folder that holds none, or none
    that can be read, says nothing.
    """

    def __init__(self, out: Path) -> None:
        self._out = out

    def speed(self, planned: Planned) -> Speed | None:
        """Return how fast this trial's reranker was, on the same dataset where there is such a
        run.
        """
        timed = list(self._timed(planned))
        timed.sort(key=lambda item: item[1].trial.dataset != planned.trial.dataset)
        remote = planned.reranker.placement == "remote"
        for run, record, summaries in timed:
            source = f"as on {record.trial.dataset} in run {run.info.id}"
            for summary in summaries:
                if remote and summary.scenario == one_query_at(remote=True):
                    return Speed(None, summary.p50_ms / 1000, source)
                if not remote and summary.pairs_per_s:
                    return Speed(summary.pairs_per_s, None, source)
        return None

    @cached_property
    def _runs(self) -> list[Run]:
        runs = []
        for path in sorted(
            self._out.glob("*/*/run.json"), key=lambda path: path.parent.name, reverse=True
        )[:LOOKED_AT]:
            try:
                runs.append(Run(path.parent))
            except RecordError:
                continue
        return runs

    def _timed(self, planned: Planned) -> Iterator[tuple[Run, Record, list[Summary]]]:
        for run in self._runs:
            if redacted(planned.part.to_entry()) not in run.info.resolved.get("rerankers", []):
                continue
            try:
                for record in run.records.values():
                    if _is_same(record, planned):
                        rows = run.latency[run.latency["trial"] == record.trial.id]
                        yield run, record, list(summarise(rows).values())
            except RecordError:
                continue


def _is_same(record: Record, planned: Planned) -> bool:
    if (record.trial.reranker, record.trial.device) != (
        planned.trial.reranker,
        planned.trial.device,
    ) or record.latency is None:
        return False
    if planned.reranker.placement == "remote":
        return True
    here = fingerprint.fingerprint(planned.trial.host)
    return all(record.environment.get(name) == here.get(name) for name in _SAME)
