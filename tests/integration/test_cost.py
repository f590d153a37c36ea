"""What a run cost, from a service's bill to the tables; and nobody pays twice, whatever died in
between. Against a real HTTP server.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from rich.console import Console

import bench
from bench import rerankers
from bench.catalogue import entries
from bench.catalogue.price import Price
from bench.core.cache_dir import cache_dir
from bench.core.errors import RerankerError, SuiteError
from bench.records.run import Run
from bench.reports import show
from bench.rerankers.remote.client import GIVE_UP_AFTER
from bench.rerankers.remote.cohere import CohereReranker
from bench.runner.cost import cost
from bench.scoring.engine import score
from bench.suite.suite import load
from tests.support.command import bench as command
from tests.support.fake_cohere import FakeCohere, cut, good, reply, rerank_body
from tests.support.forked import Forked
from tests.support.made_requests import requests

Client = Callable[..., Any]
KEY = "secret-key-0123456789"
MODELS = ("refused", "unreadable", "half")


@pytest.fixture(autouse=True)
def _fresh(server: FakeCohere, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CO_API_KEY", KEY)
    server.start_over()


def suite(collection: Path, server: FakeCohere, **options: Any) -> dict[str, Any]:
    settings = {
        "model": "rerank-v3.5",
        "base_url": server.url,
        "backoff_s": 0.01,
        "retries": 1,
        "name": "hosted",
        **options,
    }
    return {
        "name": "paid",
        "datasets": [f"files:{collection}"],
        "rerankers": [{"cohere": settings}],
        "latency": None,
        "depth": 5,
    }


def hosted(run: Run) -> Any:
    return run.records["tiny--bm25--hosted"]


@pytest.fixture
def cohere(server: FakeCohere) -> Iterator[Callable[..., Any]]:
    """Makes rerankers that talk to the server and never ask twice; closes them."""
    made: list[Any] = []

    def make(**options: Any) -> Any:
        made.append(
            rerankers.build(
                "cohere",
                {"model": "m", "base_url": server.url, "backoff_s": 0, "retries": 0, **options},
            )
        )
        return made[-1]

    yield make
    for reranker in made:
        reranker.close()


def test_the_bill_is_the_usage_at_the_price(
    collection: Path, server: FakeCohere, tmp_path: Path
) -> None:
    """Four queries have candidates, each is one search unit: at $2 per 1000 searches they cost 0.8
    cents, 1,000 of them $2.
    """
    run = bench.run(
        suite(collection, server, price={"usd": 2.0, "per": "1000 searches"}), out=tmp_path / "out"
    )
    found = hosted(run).cost
    assert (found.usd, found.usd_per_1000_queries, found.queries) == pytest.approx((0.008, 2.0, 4))
    assert (found.units, found.unit, found.usd_per_unit, found.source, found.as_of) == (
        0.004,
        "1000 searches",
        2.0,
        "suite",
        None,
    )
    assert all(record.cost is None for name, record in run.records.items() if "hosted" not in name)
    report = (run.folder / "report.md").read_text()
    assert "$/1k queries |" in report
    assert re.search(r"\| hosted \|.*\| 2\.00 \|", report)
    assert "$/1k queries is what the scores cost when they were bought" in report
    frame = run.to_frame().set_index("reranker")
    assert frame.loc["hosted", "USD per 1000 queries"] == pytest.approx(2.0)
    assert frame.loc["hosted", "USD"] == pytest.approx(0.008)


def test_cached_scores_keep_what_they_cost_and_a_new_price_pays_nothing(
    collection: Path, server: FakeCohere, tmp_path: Path
) -> None:
    first = bench.run(
        suite(collection, server, price={"usd": 2.0, "per": "1000 searches"}), out=tmp_path / "out"
    )
    paid = len(server.requests)
    again = bench.run(
        suite(collection, server, price={"usd": 2.0, "per": "1000 searches"}),
        out=tmp_path / "again",
    )
    dearer = bench.run(
        suite(collection, server, price={"usd": 3.0, "per": "1000 requests"}), out=tmp_path / "out"
    )
    assert (paid, len(server.requests)) == (4, 4)
    assert hosted(again).cost == hosted(first).cost
    assert hosted(again).scores == {"cached": 4, "computed": 0}
    assert hosted(dearer).cost.usd_per_1000_queries == pytest.approx(3.0)
    bench.run(suite(collection, server), out=tmp_path / "out", fresh=True)
    assert len(server.requests) == 8, "--fresh pays again"


def test_a_run_without_a_price_has_no_column_for_money(
    collection: Path, server: FakeCohere, tmp_path: Path
) -> None:
    run = bench.run(suite(collection, server), out=tmp_path / "out")
    assert hosted(run).cost is None, (
        "the catalogue's price is of the public address, not of this one"
    )
    assert "$/1k" not in (run.folder / "report.md").read_text()


def test_the_catalogue_price_is_for_the_models_own_address(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = entries.load()["cohere-rerank-v4.0-pro"].facts.price
    assert listed is not None
    for name, options in (("cohere-rerank-v4.0-pro", {}), ("cohere", {"model": "rerank-v4.0-pro"})):
        assert rerankers.build(name, options).price() == listed
    assert (
        rerankers.build(
            "cohere", {"model": "rerank-v4.0-pro", "base_url": "https://gateway.example"}
        ).price()
        is None
    )
    monkeypatch.setenv("CO_API_URL", "https://gateway.example")
    assert rerankers.build("cohere-rerank-v4.0-pro").price() is None
    own = {
        "model": "jina-reranker-m0",
        "base_url": "http://localhost:8080",
        "price": {"usd": 0.1, "per": "million tokens"},
    }
    assert rerankers.build("rerank-server", own).price() == Price(usd=0.1, per="million tokens")
    assert rerankers.build("minilm-l6").price() is None
    assert rerankers.build(lambda query, docs: [0.0] * len(docs)).price() is None


def test_the_price_decides_no_score() -> None:
    cheap, dear = (
        rerankers.build("cohere", {"model": "m", "price": price} if price else "m")
        for price in (None, {"usd": 9, "per": "million tokens"})
    )
    assert cheap.fingerprint() == dear.fingerprint()


@pytest.mark.parametrize(
    ("usage", "price", "usd"),
    [
        ({"billed_units": 30.0}, {"usd": 2, "per": "1000 searches"}, 0.06),
        ({"calls": 30}, {"usd": 2, "per": "1000 requests"}, 0.06),
        ({"tokens": 4e6}, {"usd": 0.05, "per": "million tokens"}, 0.2),
        ({"tokens": 4e6, "tokens_out": 1e5}, {"usd": 0.05, "per": "million tokens"}, 0.2),
        (
            {"tokens": 4e6, "tokens_out": 1e5},
            {"usd": 0.05, "usd_out": 0.4, "per": "million tokens"},
            0.24,
        ),
        ({"tokens": 4e6}, {"usd": 0, "per": "million tokens"}, 0.0),
    ],
)
def test_units_become_dollars(usage: dict[str, float], price: dict[str, Any], usd: float) -> None:
    found = cost(usage, Price.model_validate(price), 10)
    assert found is not None
    assert found.usd == pytest.approx(usd)
    assert found.usd_per_1000_queries == pytest.approx(100 * usd)
    assert found.units * found.usd_per_unit + found.units_out * (
        found.usd_per_unit_out or 0
    ) == pytest.approx(usd)


def test_what_was_not_counted_is_unknown_and_not_free() -> None:
    price = Price(usd=2.0, per="1000 searches")
    assert cost({"tokens": 500}, price, 10) is None
    assert cost({"billed_units": 3}, price, 0) is None
    assert cost({"billed_units": 3}, None, 3) is None


@pytest.mark.parametrize(
    ("price", "told"),
    [
        ({"usd": 2}, "price.per': is missing"),
        (
            {"usd": -1, "per": "1000 searches"},
            "price.usd': input should be greater than or equal to 0",
        ),
        (
            {"usd": 2, "per": "search"},
            "price.per': input should be '1000 searches', '1000 requests' or 'million tokens'",
        ),
        ({"usd": 2, "per": "1000 searches", "usd_out": 1}, "usd_out goes with per: million tokens"),
        (
            {"usd": 2, "unit": "1000 searches"},
            "price.unit': unknown key: known: as_of, per, url, usd, usd_out",
        ),
    ],
)
def test_a_price_is_validated_like_any_other_option(price: dict[str, Any], told: str) -> None:
    with pytest.raises(SuiteError) as caught:
        rerankers.build("cohere", {"model": "m", "price": price})
    assert told in str(caught.value)
    with pytest.raises(SuiteError, match="price"):
        load(
            {
                "name": "s",
                "datasets": ["embedded:everyday"],
                "rerankers": [{"cohere": {"model": "m", "price": price}}],
            }
        )
    with pytest.raises(ValidationError):
        Price.model_validate(price)


def test_a_wide_terminal_shows_the_price_and_any_terminal_the_failures(
    collection: Path, server: FakeCohere, tmp_path: Path
) -> None:
    server.always = lambda request: (
        reply(400, {"message": "no"}) if request["query"] == "banana" else good(request)
    )
    run = bench.run(
        suite(collection, server, price={"usd": 2.0, "per": "1000 searches"}), out=tmp_path / "out"
    )
    narrow, wide = (shown(run, width) for width in (80, 140))
    for text in (narrow, wide):
        assert "failed" in text
        assert "25 %" in text
        assert "1 of 4 queries failed and score 0 (e.g. HTTP 400: no)" in " ".join(text.split())
    assert max(map(len, narrow.splitlines())) <= 80
    assert re.search(r"hosted .* 25 % .* 2\.00", wide)
    report = (run.folder / "report.md").read_text()
    assert "| p | failed |" in report
    assert "| $/1k queries |" in report
    assert "failed is the share of queries whose call failed" in report


def shown(run: Run, width: int) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    show(run, console)
    return console.export_text()


def test_an_api_that_dies_in_mid_chunk_keeps_what_it_answered(
    server: FakeCohere, cohere: Client
) -> None:
    server.script = [good, good, good, lambda _: reply(402, {"message": "pay"})]
    with pytest.raises(RerankerError, match="over quota"):
        score(cohere(), requests(7, docs=5), chunk_pairs=1024)
    result = score(cohere(), requests(7, docs=5), chunk_pairs=1024)
    assert (result.cached_queries, result.computed_queries, len(server.requests)) == (3, 4, 8)
    assert result.usage["billed_units"] == pytest.approx(7)


def test_with_several_requests_in_flight_every_answer_is_kept(
    server: FakeCohere, cohere: Client
) -> None:
    answered: list[str] = []

    def sometimes(request: dict[str, Any]) -> Any:
        if request["query"] == "query 5":
            return reply(401, {"message": "key revoked"})
        answered.append(request["query"])
        return good(request)

    server.always = sometimes
    with pytest.raises(RerankerError, match="was refused"):
        score(cohere(concurrency=4), requests(30, docs=5), chunk_pairs=1024)
    server.always = good
    assert (
        score(cohere(), requests(30, docs=5), chunk_pairs=1024).cached_queries == len(answered) >= 2
    )


def test_an_interrupt_keeps_what_was_answered(
    server: FakeCohere, cohere: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    reranker = cohere()
    asked = 0

    def ask(query: str, documents: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked == 3:
            raise KeyboardInterrupt
        return CohereReranker.ask(reranker, query, documents)

    monkeypatch.setattr(reranker, "ask", ask)
    with pytest.raises(KeyboardInterrupt):
        score(reranker, requests(7, docs=5), chunk_pairs=1024)
    assert score(cohere(), requests(7, docs=5), chunk_pairs=1024).cached_queries == 2


def test_a_query_in_several_requests_is_never_half_scored(
    server: FakeCohere, cohere: Client
) -> None:
    """2,300 documents are three requests; where the last one fails, the query is a failure and
    nothing of it is kept.
    """
    server.script = [good, good, lambda _: reply(400, {"message": "too long"})]
    result = score(cohere(), requests(2, docs=2300), chunk_pairs=10_000)
    assert result.failures == {"q0": "HTTP 400: too long"}
    assert set(result.scores) == {"q1"}
    server.script = [good, good, lambda _: reply(402, {"message": "pay"})]
    with pytest.raises(RerankerError, match="over quota"):
        score(cohere(), requests(1, docs=2300), chunk_pairs=10_000)
    assert score(cohere(), requests(2, docs=2300), chunk_pairs=10_000).cached_queries == 1


def test_fewer_results_than_documents_are_an_error_and_not_a_ranking(
    server: FakeCohere, cohere: Client
) -> None:
    server.script = [
        good,
        lambda request: reply(
            200, {**rerank_body(request), "results": rerank_body(request)["results"][:-1]}
        ),
    ]
    with pytest.raises(RerankerError, match="the answer has 4 scores for 5 documents"):
        score(cohere(), requests(7, docs=5), chunk_pairs=1024)
    assert score(cohere(), requests(7, docs=5), chunk_pairs=1024).cached_queries == 1


def test_a_dead_api_is_given_up_and_a_flaky_one_is_not(server: FakeCohere, cohere: Client) -> None:
    server.always = cut
    with pytest.raises(
        RerankerError,
        match=rf"gave up after {GIVE_UP_AFTER} failed queries in a row \(connection failed",
    ):
        score(cohere(), requests(100, docs=5), chunk_pairs=1024)
    assert len(server.requests) <= GIVE_UP_AFTER + 1
    server.always = lambda request: None if int(request["query"].split()[1]) % 10 else good(request)
    flaky = score(cohere(), requests(100, docs=5), chunk_pairs=1024)
    assert (len(flaky.failures), len(flaky.scores)) == (90, 10)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is a POSIX signal")
def test_a_killed_run_pays_again_only_for_the_chunk_in_flight(
    collection: Path, server: FakeCohere, tmp_path: Path
) -> None:

    def slowly(request: dict[str, Any]) -> Any:
        time.sleep(0.15)
        return good(request)

    server.always = slowly
    text = {**suite(collection, server), "chunk_pairs": 1}
    (tmp_path / "paid.yaml").write_text(json.dumps(text))
    names = ("RERANK_BENCH_CACHE", "CO_API_KEY")
    environment = {name: os.environ[name] for name in names if name in os.environ}
    errors = tmp_path / "errors.txt"
    process = Forked(["run", "paid.yaml", "-q"], tmp_path, environment, errors)
    deadline = time.monotonic() + 60
    while len(server.requests) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert len(server.requests) == 3
    bench.run(tmp_path / "paid.yaml", out=tmp_path / "results")
    assert len(server.requests) == 4 + 1


def faulty(request: dict[str, Any]) -> Any:
    """A fault by the model's name; every one of them repeats the key."""
    if request["model"] == "refused":
        return reply(401, {"message": f"invalid api token {KEY}"})
    if request["model"] == "unreadable":
        return reply(200, f"<html>{KEY}</html>".encode())
    return (
        reply(400, {"message": f"no {KEY} here"}) if request["query"] == "banana" else good(request)
    )


def test_the_key_is_in_no_file_and_in_no_line_whatever_fails(
    collection: Path, server: FakeCohere, tmp_path: Path
) -> None:
    server.always = faulty
    text = suite(collection, server)
    text["rerankers"] = [
        {"cohere": {**text["rerankers"][0]["cohere"], "model": name, "name": name}}
        for name in MODELS
    ]
    (tmp_path / "paid.yaml").write_text(json.dumps(text))
    done = command("run", "paid.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert KEY not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    paths = [
        path
        for root in (tmp_path / "results", cache_dir())
        for path in root.rglob("*")
        if path.is_file()
    ]
    assert {".npz", ".json", ".gz", ".md"} <= {path.suffix for path in paths}
    assert [path for path in paths if KEY.encode() in everything(path)] == []
    assert any(b"no *** here" in path.read_bytes() for path in paths)
    assert done.stderr.endswith("rerank-bench: 2 failures, see above\n")
    lines = " ".join(done.stderr.split())
    for reason in (
        "refused failed: cohere: the key in CO_API_KEY was refused (HTTP 401: invalid api token "
        "***)",
        "unreadable failed: cohere: the answer is not JSON; is base_url the address of a Cohere "
        "API?",
    ):
        assert reason in lines


def everything(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
