"""`request`: one request in flight to a hosted reranker or a server, network included, apart from
the local calls: while those run, a connection idles, and clients let go of it after a few seconds.
"""

from __future__ import annotations

from bench.core.options import option
from bench.latency.scenarios.base import Place, ScenarioOptions
from bench.latency.scenarios.in_flight import OneQuery

ASKED_BY = frozenset({"single", "request"})
"""One query in flight is timed where the work is done, by whichever name a suite asks for it."""


class RequestOptions(ScenarioOptions):
    request_queries: int = option(
        20,
        decides="speed",
        ge=1,
        description="queries that a remote reranker is timed on: each call may cost money; 60 "
        "show p95",
    )


class RequestInFlight(OneQuery[RequestOptions]):
    """One request in flight over one kept connection."""

    Options = RequestOptions
    place = Place.ELSEWHERE
    queries_option = "request_queries"
    question = "what does a call to that service take?"
    meaning = "one request to a hosted service or server, network included"

    @classmethod
    def is_asked(cls, name: str, scenarios: tuple[str, ...]) -> bool:
        return not ASKED_BY.isdisjoint(scenarios)

    @classmethod
    def queries(cls, options: RequestOptions, queries: int) -> int:
        return min(options.request_queries, queries)
