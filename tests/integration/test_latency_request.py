"""Remote rerankers in the timed pass: real HTTP, no retry and no failure ever becomes a latency,
and no more calls than were planned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import bench
from bench import reports, rerankers
from bench.contract.request import CandidateList
from bench.contract.stage import Placement
from bench.core.note import Code
from bench.latency import timed_pass
from bench.latency.timed_pass import LatencyPlan, Sample, Target, measure
from bench.reports.cells import REQUEST_MARK
from bench.reports.sections.results import REQUEST_NOTE
from tests.support.fake_cohere import FakeCohere, good, reply, serve
from tests.support.fakes import FakeOptions, HashReranker
from tests.support.made_requests import requests
from tests.support.notes import counts

Hosted = Callable[..., Target]
BROKEN = reply(500, {"message": "overloaded"})


@pytest.fixture
def server() -> Iterator[FakeCohere]:
    with serve() as fake:
        yield fake


@pytest.fixture
def hosted(server: FakeCohere) -> Iterator[Hosted]:
    """Makes a target that talks to the server."""
    with ExitStack() as stack:

        def make(**options: Any) -> Target:
            settings = {
                "base_url": server.url,
                "model": "m",
                "backoff_s": 0,
                "retries": 1,
                **options,
            }
            reranker = rerankers.build("rerank-server", settings)
            stack.callback(reranker.close)
            reranker.load()
            return Target("remote", "-", reranker)

        yield make


def plan(**more: Any) -> LatencyPlan:
    return LatencyPlan(**{"request_queries": 6, "rounds": 2, **more})


def asked(server: FakeCohere, query: str) -> int:
    return sum(request["query"] == query for request in server.requests)


def test_a_call_that_needed_a_retry_is_no_sample(hosted: Hosted, server: FakeCohere) -> None:
    server.script = [good] * 5 + [lambda request: BROKEN]
    result = measure([hosted()], requests(), plan())
    timed = [row for row in result.samples if not row.warmup]
    facts = result.facts["remote"]
    assert len(timed) == 11
    assert (facts["calls"], facts["retried"], facts["errors"]) == (15, 1, 0)
    assert counts(facts["notes"])[Code.RETRIED_CALLS] == 1
    assert len(server.requests) == 16


def test_failures_are_counted_with_their_rate(hosted: Hosted, server: FakeCohere) -> None:
    server.always = lambda request: BROKEN if request["query"] == "query 2" else good(request)
    result = measure([hosted(retries=0)], requests(), plan(warmup_max=0))
    facts = result.facts["remote"]
    assert (facts["calls"], facts["errors"], facts["retried"]) == (12, 2, 0)
    assert facts["failure_rate"] == pytest.approx(1 / 6)
    assert "q2" not in {row.query for row in result.samples}
    assert counts(facts["notes"])[Code.FAILED_CALLS] == 2


def test_one_connection_is_kept_over_all_calls(hosted: Hosted, server: FakeCohere) -> None:
    measure([hosted()], requests(), plan())
    assert len(server.connections) == 1


def test_no_more_calls_are_made_than_were_planned_and_estimated(
    hosted: Hosted, server: FakeCohere
) -> None:
    target, many = hosted(), requests(30, docs=5)
    few = plan(request_queries=4, rounds=3, depth=2)
    measure([target], many, few)
    assert (
        len(server.requests)
        == timed_pass.planned_calls([target], many, few)
        == few.calls(len(many), remote=True)
        == 3 + 4 * 3
    )
    assert {len(request["documents"]) for request in server.requests} == {2}
    assert few.calls(2, remote=True) == 3 + 2 * 3


@pytest.mark.parametrize("scenarios", [("single",), ("request",), ("single", "request", "offline")])
def test_a_remote_reranker_is_timed_as_request_and_a_local_one_never_is(
    hosted: Hosted, scenarios: Sequence[Any]
) -> None:
    local = Target("local", "cpu", HashReranker(FakeOptions()))
    result = measure([local, hosted()], requests(), plan(scenarios=scenarios))
    found = {
        name: {row.scenario for row in result.samples if row.trial == name}
        for name in ("local", "remote")
    }
    assert found == {"local": set(scenarios) - {"request"}, "remote": {"request"}}


def test_a_plan_without_one_query_in_flight_sends_nothing(
    hosted: Hosted, server: FakeCohere
) -> None:
    assert measure([hosted()], requests(), plan(scenarios=("offline",))).samples == []
    assert server.requests == []


def test_a_network_is_not_told_to_settle(hosted: Hosted) -> None:
    result = measure([hosted()], requests(), plan())
    assert result.facts["remote"]["warmup_settled"] is None
    assert Code.UNSETTLED not in counts(result.facts["remote"]["notes"])
    assert sum(row.warmup for row in result.samples) == 3


def test_remote_rerankers_alternate() -> None:
    calls: list[str] = []

    class Recording(HashReranker):
        placement: Placement = "remote"

        def rerank(self, asked: Sequence[CandidateList]) -> list[Any]:
            calls.append(f"{self.options.salt}{asked[0].query_id}")
            return super().rerank(asked)

    targets = [Target(name, "-", Recording(FakeOptions(salt=name))) for name in "ab"]
    measure(targets, requests(2), plan(warmup_max=0, rounds=1))
    assert "".join(call[0] for call in calls) == "abba"
    assert [isinstance(row, Sample) for row in measure(targets, requests(2), plan()).samples]


def test_its_latency_is_marked_in_every_table(
    server: FakeCohere, collection: Path, tmp_path: Path
) -> None:
    entry = {"rerank-server": {"base_url": server.url, "model": "m", "name": "hosted"}}
    suite = {
        "name": "tiny",
        "datasets": [f"files:{collection}"],
        "rerankers": [entry, {"tests.support.fakes:HashReranker": {"name": "ours"}}],
    }
    run = bench.run(
        {**suite, "latency": {"queries": 3, "rounds": 1, "warmup_max": 3}}, out=tmp_path
    )
    page = reports.markdown(run)
    hosted = next(line for line in page.splitlines() if line.startswith("| hosted "))
    ours = next(line for line in page.splitlines() if line.startswith("| ours "))
    assert REQUEST_MARK in hosted
    assert REQUEST_MARK not in ours
    assert REQUEST_NOTE in page
    assert any(line.startswith("| hosted | 3 | 3 |") for line in page.splitlines())
    frame = run.to_frame().set_index("reranker")
    assert frame.loc["hosted", "request p50 ms"] > 0
    assert frame.loc["hosted", ["p50 ms"]].isna().all()
    assert asked(server, "apple") >= 1
