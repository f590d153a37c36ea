"""`cold`: from the start of a fresh process to the first answer: what a deployment, an autoscaler
or a command-line tool waits for.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from bench.contract.request import CandidateList
from bench.core.errors import BenchError
from bench.latency.call import Target
from bench.latency.fresh_process import ask
from bench.latency.sample import Sample
from bench.machine.clock import now_ns

READ_FROM_DISK = 16 << 20
"""Bytes from which the page cache did not hold what was loaded; Python's own files are fewer."""


class ColdStarts:
    """The fresh processes of one target."""

    def __init__(self, target: Target, time_limit_s: float) -> None:
        self.target, self.time_limit_s = target, time_limit_s
        self.samples: list[Sample] = []
        self.answers: list[dict[str, Any]] = []
        self.errors: list[str] = []

    def time(self, request: CandidateList, round_: int) -> None:
        """One process more. One that fails is counted."""
        if self.target.recipe is None:
            self.errors.append("nothing says how to build it in another process")
            return
        task = {
            "task": "cold",
            "recipe": asdict(self.target.recipe),
            "device": self.target.device,
            "request": asdict(request),
        }
        try:
            answer = ask({**task, "started": now_ns()}, self.time_limit_s)
        except BenchError as error:
            self.errors.append(str(error))
            return
        self.answers.append(answer)
        for span, nanoseconds in answer["nanoseconds"].items():
            usage = answer["usage"]
            self.samples.append(
                Sample(
                    self.target.name,
                    "cold",
                    round_,
                    request.query_id,
                    len(request.doc_ids),
                    usage["tokens"] or None,
                    nanoseconds,
                    span=span,
                    slots=usage["slots"] or None,
                    truncated=usage["truncated"],
                )
            )

    def facts(self) -> dict[str, Any]:
        """Counts, the memory of a process that holds this reranker alone, and whether its files
        came from the disk or from memory.
        """
        read = [answer["read_bytes"] for answer in self.answers if answer["read_bytes"] is not None]
        return {
            "runs": len(self.answers),
            "failed": len(self.errors),
            "peak_rss_bytes": max(
                (answer["peak_rss_bytes"] or 0 for answer in self.answers), default=0
            )
            or None,
            **(self.answers[-1]["gpu_memory"] if self.answers else {}),
            "read_bytes": read,
            "page_cache": ("cold" if max(read) > READ_FROM_DISK else "warm") if read else None,
        }

    def notes(self) -> list[str]:
        notes = []
        if self.errors:
            tried = len(self.answers) + len(self.errors)
            notes.append(
                f"cold: {len(self.errors)} of {tried} fresh processes gave no answer "
                f"({self.errors[-1]})"
            )
        if self.answers:
            found = self.facts()
            read = (
                f"up to {max(found['read_bytes']) / 1e6:.0f} MB came from the disk"
                if found["read_bytes"]
                else "the system does not tell"
            )
            notes.append(f"cold: page cache {found['page_cache'] or 'unknown'} ({read})")
        return notes
