"""Listwise rerankers in a run: what they used is recorded, priced and noted, and what an estimate
told is what came.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bench
from bench import rerankers
from bench.contract.request import CandidateList
from bench.core.wording import worded
from bench.records.rows import rows
from bench.records.run import Run
from bench.rerankers.listwise.sliding_window import TOKENS_PER_PLACE
from tests.support.fake_chat import good_chat, question, says
from tests.support.fake_cohere import FakeCohere, serve


@pytest.fixture
def server() -> Iterator[FakeCohere]:
    with serve() as fake:
        fake.always = good_chat
        yield fake


def run(collection: Path, tmp_path: Path, *entries: Any) -> Run:
    suite = {
        "name": "listwise",
        "datasets": [f"files:{collection}"],
        "rerankers": list(entries),
        "latency": None,
        "depth": 10,
    }
    return bench.run(suite, out=tmp_path / "out")


def hosted(server: FakeCohere, **options: Any) -> dict[str, Any]:
    settings = {
        "model": "a-chat-model",
        "base_url": server.url,
        "window": 4,
        "stride": 2,
        "name": "hosted",
        **options,
    }
    return {"listwise-server": settings}


def record_and_notes(done: Run, name: str) -> tuple[Any, str]:
    (record,) = [record for record in done.records.values() if record.trial.reranker == name]
    (row,) = [row for row in rows(done) if row.name == name]
    return record, " ".join(map(worded, row.notes))


def test_calls_and_tokens_are_recorded_and_priced(
    collection: Path, tmp_path: Path, server: FakeCohere
) -> None:
    price = {"usd": 1.0, "usd_out": 10.0, "per": "million tokens"}
    record, notes = record_and_notes(
        run(collection, tmp_path, hosted(server, price=price)), "hosted"
    )
    usage = record.usage
    assert usage["calls"] == len(server.requests) > record.counts.queries
    assert usage["tokens"] == 14 * usage["calls"]
    assert usage["tokens_out"] == sum(
        2 * said.count("\n[")
        for said in (sent["messages"][1]["content"] for sent in server.requests)
    )
    assert usage["repairs"] == 0
    assert record.cost.usd == pytest.approx((usage["tokens"] + 10 * usage["tokens_out"]) / 1e6)
    assert "mended" not in notes
    assert record.counts.ties == 0


def test_calls_and_tokens_are_recorded_query_by_query(
    collection: Path, tmp_path: Path, server: FakeCohere
) -> None:
    local = {"listwise": {"model": "tiny:chat", "window": 4, "stride": 2, "name": "local"}}
    done = run(collection, tmp_path, hosted(server, concurrency=3), local)
    for name in ("hosted", "local"):
        record, _ = record_and_notes(done, name)
        table = done.usage[done.usage["trial"] == record.trial.id].set_index("query")
        assert len(table) == record.counts.queries - record.counts.without_candidates
        for field in ("calls", "tokens", "tokens_out", "repairs", "pairs"):
            assert table[field].sum() == pytest.approx(record.usage[field]), field
    read = {question(sent)[0]: 0 for sent in server.requests}
    for sent in server.requests:
        read[question(sent)[0]] += 1
    frame = done.to_frame().set_index("reranker")
    answered = record.counts.queries - record.counts.without_candidates
    for field, title in {
        "calls": "calls",
        "tokens": "tokens",
        "tokens_out": "tokens written",
    }.items():
        assert frame.loc["local", f"{title} per query"] == pytest.approx(
            record.usage[field] / answered
        )
    texts = done.queries.set_index("query")["text"]
    told = done.usage[done.usage["trial"].str.contains("hosted")].set_index("query")["calls"]
    assert {texts[query]: calls for query, calls in told.items()} == read, (
        "each query's calls are its own"
    )
    again = run(collection, tmp_path, hosted(server, concurrency=3), local)
    assert again.usage.equals(done.usage), "what a query cost is known from the cache, too"


def test_mended_answers_make_a_note(collection: Path, tmp_path: Path, server: FakeCohere) -> None:
    server.always = says("I like them all.")
    done = run(collection, tmp_path, hosted(server))
    record, notes = record_and_notes(done, "hosted")
    assert "100 % of the answers were no complete order and had to be mended" in notes
    assert record.usage["repairs"] == record.usage["calls"]
    first = next(one for one in done.records.values() if one.trial.reranker == "first-stage")
    assert record.quality["nDCG@10"].mean == first.quality["nDCG@10"].mean, (
        "what cannot be read changes nothing"
    )


def test_local_language_models_run_in_a_suite(collection: Path, tmp_path: Path) -> None:
    local = {"listwise": {"model": "tiny:chat", "window": 4, "stride": 2, "name": "local"}}
    judge = {
        "llm": {"model": "tiny:chat", "token_true": "yes", "token_false": "no", "name": "judge"}
    }
    done = run(collection, tmp_path, local, judge)
    record, notes = record_and_notes(done, "local")
    assert record.usage["calls"] > record.counts.queries
    assert record.usage["tokens"] > record.usage["tokens_out"] > 0
    assert "mended" in notes, "a random model writes noise"
    assert record_and_notes(done, "judge")[0].usage["pairs"] == record.usage["pairs"]
    assert "local" not in {trial for trial, *_ in done.depths.itertuples(index=False)}


def test_what_is_expected_is_what_comes(server: FakeCohere) -> None:
    reranker: Any = rerankers.build(
        "listwise-server",
        {"model": "x", "base_url": server.url, "window": 5, "stride": 3, "passes": 2},
    )
    requests = [
        CandidateList(
            str(n), "a query", [str(i) for i in range(n)], [f"document {i + 10}" for i in range(n)]
        )
        for n in (0, 1, 5, 17)
    ]
    told = reranker.expected_usage(requests, len)
    reranker.load()
    reranker.rerank(requests)
    usage = reranker.meter.take()
    reranker.close()
    said = [message["content"] for sent in server.requests for message in sent["messages"]]
    assert (
        (told.pairs, told.calls, told.truncated)
        == (usage.pairs, usage.calls, usage.truncated)
        == (23, 12, 0)
    )
    assert told.tokens == sum(map(len, said))
    assert told.tokens_out == TOKENS_PER_PLACE * sum(
        len(question(sent)[1]) for sent in server.requests
    )
