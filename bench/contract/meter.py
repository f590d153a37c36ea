"""What a stage reports while it runs: the parts of its work, what it used, and the answers of a
service, which are paid for.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from threading import Lock
from typing import TYPE_CHECKING

from bench.contract.request import CandidateList, Usage

if TYPE_CHECKING:
    from bench.contract.request import Scores

SORT = "sort"
"""The part of a call in which scores become an order."""
Span = Callable[[str], AbstractContextManager[None]]


def no_span(name: str) -> AbstractContextManager[None]:
    """Return a context that does nothing: nobody times the part."""
    return nullcontext()


class Meter:
    """Notes spans, usage and answers of one run of a stage. Several threads may use it.

    A stage knows no clock: it enters `span("tokenise")`, `"copy"`, `"forward"` around the parts of
    its work, and who times it hands in a stopwatch.
    """

    def __init__(
        self,
        span: Span = no_span,
        on_answer: Callable[[CandidateList, Scores], None] | None = None,
    ) -> None:
        self.span = span
        self.usage = Usage()
        self.by_query: dict[str, Usage] = {}
        """The parts of `usage` of which it is known which query they were for."""
        self._on_answer = on_answer
        self._counting = Lock()
        self._answering = Lock()

    def count(self, usage: Usage, query_id: str | None = None) -> None:
        """Add to what the run has used, and to what this query has, where it is known which one it
        was for.
        """
        with self._counting:
            self.usage += usage
            if query_id is not None:
                self.by_query[query_id] = self.by_query.get(query_id, Usage()) + usage

    def answered(self, request: CandidateList, scores: Scores) -> None:
        """Hand over one answer of a service, complete and paid for, before the run ends: it is kept
        even where the rest of the run fails.
        """
        if self._on_answer is not None:
            with self._answering:
                self._on_answer(request, scores)

    def within(self, name: str) -> Meter:
        """Return a meter for the parts of a stage of this name: their spans are this meter's, after
        the stage's name. What they use is theirs until it is counted here.
        """
        return Meter(lambda part: self.span(part_of(name, part)))

    def take(self) -> Usage:
        """Return the usage since this was last called."""
        with self._counting:
            usage = self.usage
            self.usage = Usage()
            self.by_query = {}
        return usage


def part_of(name: str, part: str) -> str:
    """Return what the span of a part of a stage is called."""
    return f"{name}: {part}"
