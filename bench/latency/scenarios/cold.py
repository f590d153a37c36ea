"""`cold`: from the start of a fresh process to the first answer: what a deployment, an autoscaler
or a command-line tool waits for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, TypedDict, cast

from bench.core.counting import counted
from bench.core.errors import BenchError
from bench.core.note import Code, Note, note
from bench.core.options import option
from bench.latency.columns import MEMORY
from bench.latency.common_plan import CommonPlan
from bench.latency.fresh_process import ask
from bench.latency.lane import Lane
from bench.latency.sample import Facts, Sample, Timing
from bench.latency.scenarios.base import Place, Scenario, ScenarioOptions, Turn

if TYPE_CHECKING:
    import pandas as pd

READ_FROM_DISK = 16 << 20
"""Bytes from which the page cache did not hold what was loaded; Python's own files are fewer."""


class ColdAnswer(TypedDict):
    """What a fresh process says of its start."""

    nanoseconds: dict[str, int]
    """By span, the total among them."""
    usage: dict[str, int]
    peak_rss_bytes: int | None
    gpu_memory: dict[str, int]
    read_bytes: int | None


class ColdOptions(ScenarioOptions):
    cold_runs: int = option(
        3, decides="speed", ge=1, description="fresh processes per reranker in 'cold'"
    )


class Cold(Scenario[ColdOptions]):
    """The fresh processes of one reranker."""

    Options = ColdOptions
    place = Place.EVERYWHERE
    question = "how long after a start?"
    meaning = "loading in a fresh process, and the first query"
    warms_up = False
    parts_columns = (MEMORY,)

    def __init__(self, name: str, options: ColdOptions, lane: Lane) -> None:
        super().__init__(name, options, lane)
        self.answers: list[ColdAnswer] = []
        self.errors: list[str] = []

    @classmethod
    def queries(cls, options: ColdOptions, queries: int) -> int:
        return min(1, queries)

    @classmethod
    def turns(cls, options: ColdOptions, plan: CommonPlan, queries: int) -> Iterator[Turn]:
        yield from cls.round_by_round(cls.time_process, options.cold_runs)

    def time_process(self, round_: int) -> None:
        """Start one more process. One that fails is counted."""
        self._ask(round_)
        self.lane.count(1)

    def _ask(self, round_: int) -> None:
        target, request = self.lane.target, self.lane.sample[0]
        if target.recipe is None:
            self.errors.append("nothing says how to build it in another process")
            return
        task = {
            "task": "cold",
            "recipe": asdict(target.recipe),
            "request": request.to_dict(),
            "started": self.lane.clock.now_ns(),
        }
        try:
            answer = cast(ColdAnswer, ask(task, self.lane.plan.time_limit_s))
        except BenchError as error:
            self.errors.append(str(error))
            return
        self.answers.append(answer)
        usage = answer["usage"]
        for span, nanoseconds in answer["nanoseconds"].items():
            self.lane.samples.append(
                Sample(
                    target.name,
                    self.name,
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

    def facts(self) -> Facts:
        """Return counts, the memory of a process that holds this reranker alone, and whether its
        files came from the disk or from memory.
        """
        read = [answer["read_bytes"] for answer in self.answers if answer["read_bytes"] is not None]
        memory = [answer["peak_rss_bytes"] or 0 for answer in self.answers]
        page_cache = None
        if read:
            page_cache = "cold" if max(read) > READ_FROM_DISK else "warm"
        facts: dict[str, object] = {
            "runs": len(self.answers),
            "failed": len(self.errors),
            MEMORY.key: max(memory, default=0) or None,
        }
        if self.answers:
            facts |= self.answers[-1]["gpu_memory"]
        facts |= {"read_bytes": read, "page_cache": page_cache}
        return {"cold": facts}

    def notes(self) -> list[Note]:
        notes = []
        if self.errors:
            tried = len(self.answers) + len(self.errors)
            notes.append(note(Code.COLD_FAILED, len(self.errors), tried, self.errors[-1]))
        if self.answers:
            facts = self.facts()["cold"]
            read = "the system does not tell"
            if facts["read_bytes"]:
                read = f"up to {max(facts['read_bytes']) / 1e6:.0f} MB came from the disk"
            state = facts["page_cache"] or "unknown"
            notes.append(note(Code.PAGE_CACHE, state=state, read=read))
        return [about.at(self.name) for about in notes]

    @classmethod
    def clusters(cls, rows: pd.DataFrame) -> pd.Series:
        """Return per row the process that it is of."""
        return rows["round"]

    @classmethod
    def recorded(cls, timing: Timing) -> dict[str, float | None]:
        return {MEMORY.key: (timing.get("cold") or {}).get(MEMORY.key)}

    @classmethod
    def count(cls, queries: int, samples: int) -> str:
        return counted(samples, "run")
