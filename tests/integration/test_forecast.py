"""What `run --estimate` tells is what the run then takes; and telling it sends nothing, scores
nothing and writes nothing.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import bench
from bench import rerankers
from bench.contract.request import CandidateList
from bench.core.cache_dir import cache_dir
from bench.reports.forecast import document, total
from bench.reports.renderers import render, terminal
from bench.runner.forecast import Expected, Forecast, Tokens
from bench.runner.history import History
from tests.support.command import bench as command
from tests.support.fake_cohere import FakeCohere

pytestmark = pytest.mark.usefixtures("without_reports")

FAKE = "tests.support.fakes:HashReranker"
NO_TIMING: dict[str, Any] = {"latency": None}


@pytest.fixture(autouse=True)
def _fresh(server: FakeCohere, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CO_API_KEY", "a key")
    server.start_over()


HUB_MODEL = "cross-encoder/ms-marco-MiniLM-L6-v2"


def suite(collection: Path, *entries: Any, **more: Any) -> dict[str, Any]:
    return {
        "name": "told",
        "datasets": [f"files:{collection}"],
        "rerankers": list(entries),
        "depth": 5,
        **more,
    }


def hosted(server: FakeCohere, **options: Any) -> dict[str, Any]:
    return {
        "cohere": {
            "model": "m",
            "base_url": server.url,
            "price": {"usd": 2, "per": "1000 searches"},
            "name": "hosted",
            **options,
        }
    }


def only(found: Forecast, name: str = "hosted") -> Expected:
    [row] = [row for row in found.rows if row.trial.reranker == name]
    return row


def shown(found: Forecast, width: int = 80) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    terminal.show(document(found), console)
    return console.export_text()


@pytest.mark.parametrize(
    "latency",
    [None, {"queries": 3, "rounds": 2, "request_queries": 3, "warmup_max": 2}],
    ids=["scores", "timed too"],
)
def test_the_run_takes_what_was_told(
    collection: Path, server: FakeCohere, tmp_path: Path, latency: Any
) -> None:
    settings = suite(collection, hosted(server), latency=latency)
    forecast = bench.estimate(settings, out=tmp_path / "out")
    gate = only(forecast)
    assert len(repr(forecast)) < 100
    assert server.requests == []
    assert not (tmp_path / "out").exists()
    assert not cache_dir("scores").exists()
    run = bench.run(settings, out=tmp_path / "out")
    assert (
        gate.usage.calls + gate.timed.calls
        == len(server.requests)
        == (4 if latency is None else 12)
    )
    record = run.records["tiny--bm25--hosted"]
    assert (gate.usage.pairs, gate.usage.billed_units) == (
        record.usage["pairs"],
        record.usage["billed_units"],
    )
    assert gate.usd == pytest.approx(0.002 * len(server.requests))
    assert (gate.queries, gate.cached) == (4, 0)


def test_what_is_cached_costs_nothing(collection: Path, server: FakeCohere, tmp_path: Path) -> None:
    settings = suite(collection, hosted(server), **NO_TIMING)
    bench.run(settings, out=tmp_path / "out")
    again = only(bench.estimate(settings, out=tmp_path / "out"))
    assert (again.cached, again.usage.calls, again.usd, again.seconds) == (4, 0, 0.0, 0.0)
    assert only(bench.estimate(settings, out=tmp_path / "out", fresh=True)).usage.calls == 4
    deeper = only(bench.estimate({**settings, "depth": 6}, out=tmp_path / "out"))
    assert 0 < deeper.usage.calls <= 4
    assert len(server.requests) == 4


def test_the_same_scores_are_bought_once_in_a_run(
    collection: Path, server: FakeCohere, tmp_path: Path
) -> None:
    settings = suite(collection, hosted(server), hosted(server, name="again"), **NO_TIMING)
    forecast = bench.estimate(settings)
    assert [(row.trial.reranker, row.usage.calls) for row in forecast.rows] == [
        ("hosted", 4),
        ("again", 0),
    ]
    assert [row.shared for row in forecast.rows] == [0, only(forecast).usage.pairs]
    assert "20 pairs of later rows are scored by an earlier one, and counted there alone" in shown(
        forecast, 300
    )
    bench.run(settings, out=tmp_path / "out")
    assert len(server.requests) == 4
    fresh = bench.estimate(settings, fresh=True)
    bench.run(settings, out=tmp_path / "out", fresh=True)
    assert sum(row.usage.calls for row in fresh.rows) == len(server.requests) - 4 == 8


def test_documents_over_a_services_limit_are_several_calls(collection: Path) -> None:
    tei = {
        "rerank-server": {
            "model": "m",
            "base_url": "http://127.0.0.1:9",
            "shape": "tei",
            "documents_per_request": 2,
        }
    }
    row = only(bench.estimate(suite(collection, tei, **NO_TIMING)), "m")
    depths = [row.queries, row.usage.pairs]
    assert row.usage.calls >= depths[1] / 2
    assert row.reason is not None, "nobody listens there, and the row says so"
    assert row.usage.tokens > 0


def test_search_units_count_hundreds_of_documents_and_long_ones_several_times() -> None:
    reranker: Any = rerankers.build(
        "cohere", {"model": "m", "price": {"usd": 2, "per": "1000 searches"}}
    )
    for docs, length, units in (
        (5, 10, 1),
        (100, 10, 1),
        (101, 10, 2),
        (100, 900, 2),
        (10, 100_000, 1),
        (1000, 10, 10),
        (1001, 10, 11),
    ):
        used = reranker.expected_usage(
            [CandidateList("q", "q", ["d"] * docs, ["d" * length] * docs)], len
        )
        assert used.billed_units == units, (docs, length)
    assert (
        reranker.expected_usage([CandidateList("q", "q", ["d"], ["d" * 100_000])], len).tokens
        == 4097
    ), "a document is read up to 4096 tokens"


@pytest.mark.parametrize(("docs", "calls"), [(1, 0), (20, 1), (21, 2), (100, 9)])
def test_a_listwise_servers_calls_are_its_windows(docs: int, calls: int) -> None:
    reranker: Any = rerankers.build("openai-listwise", {"passes": 2})
    used = reranker.expected_usage(
        [CandidateList("q", "a query", ["d"] * docs, ["a text"] * docs)], len
    )
    assert used.calls == 2 * calls
    assert (used.tokens > 0) == (used.tokens_out > 0) == bool(calls)


def test_what_cannot_run_here_is_told_with_its_reason_and_its_price(
    collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CO_API_KEY")
    entries = [
        "cohere-rerank-v3.5",
        {"minilm-l6": {"optional": True}},
        {"tests.support.fakes:MissingReranker": {"name": "gone"}},
        "word-overlap",
    ]
    forecast = bench.estimate(suite(collection, *entries, **NO_TIMING))
    assert [(row.trial.reranker, row.reason) for row in forecast.rows] == [
        ("cohere-rerank-v3.5", "no CO_API_KEY. export CO_API_KEY=..."),
        (
            "minilm-l6",
            f"no model hub. {HUB_MODEL} is not in the local cache and HF_HUB_OFFLINE is set",
        ),
        ("gone", "no FAKE_API_KEY. export FAKE_API_KEY=..."),
        ("word-overlap", None),
    ]
    assert only(forecast, "cohere-rerank-v3.5").usd == pytest.approx(0.008)
    assert forecast.usd == 0
    text = shown(forecast)
    assert "not here: no CO_API_KEY" in text
    assert "total: $0.00; $0.008 more if what is skipped here could run" in " ".join(text.split())


def test_an_unknown_price_is_no_zero(collection: Path, server: FakeCohere) -> None:
    forecast = bench.estimate(
        suite(
            collection, hosted(server, price=None, base_url="https://gateway.invalid"), **NO_TIMING
        )
    )
    assert only(forecast).usd is None
    assert [row.trial.reranker for row in forecast.unpriced] == ["hosted"]
    assert "?" in shown(forecast)
    assert total(forecast).startswith("total: $0.00 and what hosted cost")
    assert "hosted: no price known; give one in the suite" in shown(forecast, 140)
    assert (
        only(bench.estimate(suite(collection, hosted(server, price=None), **NO_TIMING))).usd == 0
    ), "a server on this machine"


def test_limits_per_minute_bound_the_time_and_nothing_else_is_made_up(
    collection: Path, server: FakeCohere
) -> None:
    plain = only(bench.estimate(suite(collection, hosted(server), **NO_TIMING)))
    slow = only(
        bench.estimate(suite(collection, hosted(server, requests_per_minute=2), **NO_TIMING))
    )
    tokens = only(
        bench.estimate(
            suite(
                collection, hosted(server, requests_per_minute=2, tokens_per_minute=1), **NO_TIMING
            )
        )
    )
    assert (plain.seconds, plain.at_least) == (None, False)
    assert (slow.seconds, slow.at_least) == (120.0, True)
    assert tokens.seconds == 60 * tokens.usage.tokens
    assert "≥ 2 min" in shown(Forecast("s", [slow], ""))
    assert "?" in shown(Forecast("s", [plain], "")).split("hosted")[1].split("\n")[0]


def test_an_earlier_run_on_this_machine_tells_the_time(collection: Path, tmp_path: Path) -> None:
    latency = {"queries": 3, "rounds": 1, "warmup_max": 1, "span_queries": 0}
    settings = suite(collection, {FAKE: {"name": "fake"}}, latency=latency)
    assert only(bench.estimate(settings, out=tmp_path / "out"), "fake").seconds is None
    run = bench.run(settings, out=tmp_path / "out")
    rate = run.to_frame().set_index("reranker").loc["fake", "pairs/s"]
    gate = only(bench.estimate(settings, out=tmp_path / "out", fresh=True), "fake")
    assert gate.seconds == pytest.approx(gate.usage.pairs / rate)
    assert gate.time_source == f"as on tiny in run {run.info.id}"
    other = suite(collection, {FAKE: {"name": "fake", "salt": "other"}}, latency=latency)
    assert only(bench.estimate(other, out=tmp_path / "out"), "fake").seconds is None, (
        "another entry, another speed"
    )
    (run.folder / "records" / "tiny--bm25--fake--cpu.json").write_text("{}")
    assert (
        only(bench.estimate(settings, out=tmp_path / "out", fresh=True), "fake").seconds is None
    ), "what cannot be read tells nothing"
    assert History(tmp_path / "nowhere")._runs == []


def test_the_time_of_the_timed_pass_has_a_limit(collection: Path, server: FakeCohere) -> None:
    latency = {"scenarios": ["single", "offline", "cold"], "time_limit_s": 200}
    settings = suite(collection, {FAKE: {"name": "fake"}}, hosted(server), latency=latency)
    found = bench.estimate(settings)
    assert [row.timing_limit_s for row in found.rows] == [600, 0], "a service's calls are counted"
    assert "comes on top: at most 10 min (time_limit_s" in shown(found, 200)
    assert "comes on top" not in shown(bench.estimate({**settings, **NO_TIMING}))


def test_tokens_are_counted_on_a_sample_or_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    requests = [CandidateList("q", "the red fox", ["d"], ["jumps over the lazy dog"])]
    counted = Tokens(requests, 42)
    assert "all-MiniLM-L6-v2's tokenizer counts 2 of the texts" in counted.explanation
    assert counted("the red fox") + counted("jumps over the lazy dog") == 8
    monkeypatch.setattr("bench.runner.forecast._counted", lambda texts: 0)
    rough = Tokens(requests, 42)
    assert "4.0 characters a token, a rule of thumb" in rough.explanation
    assert (rough(""), rough("a"), rough("a" * 400)) == (0, 1, 100)
    assert Tokens([], 1)("abcd") == 1


def test_the_command_prints_a_table_or_json_and_leaves_nothing(
    collection: Path, server: FakeCohere, tmp_path: Path
) -> None:
    (tmp_path / "told.yaml").write_text(
        json.dumps(suite(collection, hosted(server), "word-overlap"))
    )
    table = command("run", "told.yaml", "--estimate", "-q", cwd=tmp_path)
    assert table.returncode == 0, table.stderr
    assert max(map(len, table.stdout.split("total:")[0].splitlines())) <= 80
    assert "Nothing was sent, nothing was scored." in table.stdout
    data = json.loads(
        command("run", "told.yaml", "--estimate", "--format", "json", cwd=tmp_path).stdout
    )
    assert [(row["reranker"], row["calls"]) for row in data["trials"]] == [
        ("hosted", 4 + 3 + 8),
        ("word-overlap", 0),
    ]
    assert data["usd"] == pytest.approx(0.03)
    assert server.requests == []
    assert {path.name for path in tmp_path.iterdir()} == {"tiny", "told.yaml"}
    refused = command("run", "told.yaml", "--format", "json", cwd=tmp_path)
    assert (
        refused.returncode,
        refused.stderr.startswith("rerank-bench: --format goes with --estimate"),
    ) == (2, True)


def test_a_suite_without_rerankers_costs_nothing(collection: Path) -> None:
    forecast = bench.estimate(suite(collection))
    assert (forecast.usd, list(forecast.rows)) == (0, [])
    assert "cost nothing" in shown(forecast)
    assert json.loads(render(document(forecast), "json"))["trials"] == []


def test_a_narrow_terminal_names_the_columns_of_an_estimate_that_it_leaves_out(
    collection: Path, server: FakeCohere
) -> None:
    forecast = bench.estimate(suite(collection, hosted(server), "word-overlap"))
    narrow, wide = shown(forecast, 80), shown(forecast, 140)
    assert "at 80 columns: " in narrow
    assert "price" in next(line for line in narrow.splitlines() if "left out" in line)
    assert "left out" not in wide
    head = next(line for line in narrow.splitlines() if "reranker" in line)
    assert {"$", "time"} <= set(head.split())


def cascades(collection: Path, *names: str, **more: Any) -> dict[str, Any]:
    """A suite of pipelines that begin alike and end in rerankers of these salts."""
    pipelines = []
    for name in names:
        first = {FAKE: {"salt": "shared", "keep": 3, "name": "shared"}}
        last = {FAKE: {"salt": name, "name": "last"}}
        pipelines.append({"name": name, "stages": ["bm25", first, last]})
    return {**suite(collection, **NO_TIMING, **more), "pipelines": pipelines}


def test_a_pipeline_counts_the_scores_that_the_cache_holds_stage_by_stage(
    collection: Path, tmp_path: Path
) -> None:
    settings = cascades(collection, "one", first_stages=["bm25"])
    new = only(bench.estimate(settings), "one")
    bench.run(settings, out=tmp_path)
    assert (new.cached, new.usage.pairs) == (0, 4 * 5 + 4 * 3)
    again = only(bench.estimate(settings), "one")
    assert (again.cached, again.usage.pairs, again.seconds) == (4, 0, 0.0)
    other = only(bench.estimate(cascades(collection, "two", first_stages=["bm25"])), "two")
    assert (other.cached, other.usage.pairs) == (0, 4 * 3), "the cache holds its first stage"
    fresh = only(bench.estimate(settings, fresh=True), "one")
    assert fresh.usage.pairs == new.usage.pairs


def test_a_stage_that_two_pipelines_begin_with_is_counted_once(collection: Path) -> None:
    forecast = bench.estimate(cascades(collection, "one", "two", first_stages=["bm25"]))
    one, two = only(forecast, "one"), only(forecast, "two")
    assert two.usage.pairs < one.usage.pairs
    # every query's five candidates, of the stage that both begin with
    assert (one.shared, two.shared, two.is_guessed) == (0, 4 * 5, True)
    text = shown(forecast, 400)
    assert "one, two: documents of a later stage are not known" in text
    fresh = bench.estimate(cascades(collection, "one", "two", first_stages=["bm25"]), fresh=True)
    assert only(fresh, "two").usage.pairs == two.usage.pairs, "it runs once in a fresh run, too"


def test_columns_that_would_be_empty_are_left_out_without_a_word(collection: Path) -> None:
    forecast = bench.estimate(suite(collection, {FAKE: {"name": "fake"}}, **NO_TIMING))
    text = shown(forecast, 140)
    header = next(line for line in text.splitlines() if "reranker" in line)
    assert header.split() == ["reranker", "pairs", "tokens", "time"]
    assert "left out" not in text
