"""Batches by token budget: within it, in order again afterwards, and halved when an accelerator's
memory is full.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench import rerankers
from bench.contract.meter import Meter
from bench.contract.request import CandidateList
from bench.core.errors import RerankerError
from bench.core.note import Code, Note
from bench.models import batches, tiny
from bench.models.batches import Limit
from bench.records.rows import _notes
from bench.rerankers.local.pair_scorer import ahead
from tests.support import local_models, tiny_late, tiny_models
from tests.support.agreement import close
from tests.support.local_models import QUERY
from tests.support.made_runs import made_run

LENGTHS = st.lists(st.integers(1, 600), min_size=1, max_size=80)
DOCS = [
    *local_models.DOCS,
    "fish",
]


@given(LENGTHS, st.integers(1, 2000), st.integers(0, 200))
def test_no_batch_exceeds_the_token_budget_unless_one_input_does(
    lengths: list[int], tokens: int, pass_cost: int
) -> None:
    limit = Limit(tokens=tokens, pass_cost=pass_cost)
    made = batches.run(np.array(lengths), limit, lambda rows: rows)
    for rows, _ in made:
        assert len(rows) == 1 or len(rows) * max(lengths[i] for i in rows) <= tokens
    assert sorted(i for rows, _ in made for i in rows) == list(range(len(lengths)))


def test_a_batch_ends_where_padding_costs_more_than_another_pass() -> None:
    lengths = np.array([38, 99, 40, 100, 39, 98])
    for pass_cost, sizes in ((0, [6]), (24, [3, 3]), (100, [3, 3]), (1000, [6])):
        rows = batches.cut(lengths, Limit(tokens=1024, pass_cost=pass_cost))
        assert [len(batch) for batch in rows] == sizes
    assert Limit.of(None, None, "cpu").pass_cost > 0
    assert Limit.of(None, None, "cuda").pass_cost == 0, "an accelerator wants full batches"


@given(LENGTHS, st.integers(1, 2000))
def test_packed_batches_hold_as_many_inputs_as_the_budget_has_tokens(
    lengths: list[int], tokens: int
) -> None:
    limit = Limit(tokens=tokens, is_packed=True)
    parts = batches.run(np.array(lengths), limit, lambda rows: rows)
    totals = [sum(lengths[i] for i in rows) for rows, _ in parts]
    for place, (rows, _) in enumerate(parts):
        assert len(rows) == 1 or totals[place] <= tokens
        if place + 1 < len(parts):
            following, _ = parts[place + 1]
            assert totals[place] + lengths[following[0]] > tokens
    assert sorted(i for rows, _ in parts for i in rows) == list(range(len(lengths)))


@given(LENGTHS, st.integers(1, 50))
def test_a_number_of_pairs_is_kept_and_like_lengths_stand_together(
    lengths: list[int], pairs: int
) -> None:
    made = batches.run(np.array(lengths), Limit(pairs=pairs), lambda rows: rows)
    assert [len(rows) for rows, _ in made[:-1]] == [pairs] * (len(made) - 1)
    assert [lengths[i] for rows, _ in made for i in rows] == sorted(lengths, reverse=True)


@given(LENGTHS, st.integers(1, 2000), st.booleans(), st.data())
def test_order_is_restored_also_where_memory_runs_out(
    lengths: list[int], tokens: int, is_packed: bool, data: st.DataObject
) -> None:
    """A made-up device that holds no more than so many slots; the longest input alone fits."""
    memory = data.draw(st.integers(max(lengths), 3 * max(lengths) + 2000))
    limit = Limit(tokens=tokens, is_packed=is_packed)

    def forward(rows: Any) -> Any:
        if limit.slots(np.array(lengths)[rows]) > memory:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return np.array([lengths[i] * 10.0 for i in rows])

    made = batches.run(np.array(lengths), limit, forward)
    np.testing.assert_array_equal(batches.in_order(made, np.concatenate), np.array(lengths) * 10.0)
    largest = max(limit.slots(np.array(lengths)[rows]) for rows, _ in made)
    assert largest <= memory
    assert (limit.halvings == 0) == (limit.tokens == tokens)
    assert (limit.take_halvings() > 0, limit.take_halvings()) == (limit.tokens != tokens, 0)


def test_one_input_that_does_not_fit_is_one_clear_error() -> None:
    def forward(rows: Any) -> Any:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    for limit in (Limit(tokens=64), Limit(pairs=8)):
        with pytest.raises(
            RerankerError, match="out of memory with one pair of 40 tokens: lower max_length"
        ):
            batches.run(np.array([40, 3, 20]), limit, forward)
    with pytest.raises(RerankerError, match="out of memory with one pair"):
        batches.fitting(Limit(pairs=8), forward)


def test_other_errors_are_not_taken_for_full_memory() -> None:
    def forward(rows: Any) -> Any:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        batches.run(np.array([3, 4]), Limit(tokens=64), forward)


def test_limits_as_a_suite_asks_for_them() -> None:
    assert Limit.of(8, 512, "cpu").facts() == {"batch_size": 8, "token_budget": None}
    assert Limit.of(None, 512, "cpu").facts() == {"batch_size": None, "token_budget": 512}
    budgets = [Limit.of(None, None, device).tokens for device in ("cpu", "mps", "cuda:1")]
    assert budgets == [batches.TOKENS["cpu"], batches.TOKENS["mps"], batches.TOKENS_ON_GPU]


def test_the_next_block_is_made_in_a_thread_while_this_one_is_used() -> None:
    started = threading.Event()

    def work(item: int) -> int:
        if item == 2:
            started.set()
        return item * 10

    results = ahead(work, [1, 2, 3])
    assert next(results) == 10
    assert started.wait(10), "item 2 is at work before anybody asks for it"
    assert list(results) == [20, 30]


# --- every local backend


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("models")
    options: dict[str, dict[str, Any]] = {
        "cross-encoder": {
            "model": str(tiny_models.bert_cross_encoder(folder / "cross")),
            "token_budget": 128,
            "threads": 1,
        },
        "judge": {"model": str(tiny_models.qwen3(folder / "judge")), "threads": 1},
        "bi-encoder": {"model": str(tiny_models.bi_encoder(folder / "bi")), "threads": 1},
        "late-interaction": {
            "model": str(tiny_late.late_interaction(folder / "late")),
            "threads": 1,
        },
        "monot5": {"model": str(tiny_models.t5(folder / "t5")), "token_budget": 128, "threads": 1},
        "llm": {
            "model": str(tiny.chat(folder / "chat")),
            "token_true": "yes",
            "token_false": "no",
            "batch_size": 8,
            "threads": 1,
        },
    }
    loaded = {
        name: rerankers.build("cross-encoder" if name == "judge" else name, value)
        for name, value in options.items()
    }
    for reranker in loaded.values():
        reranker.load()
    return loaded


def scores_of(reranker: Any, meter: Meter | None = None) -> Any:
    request = CandidateList("q", QUERY, [f"d{i}" for i in range(len(DOCS))], DOCS)
    return reranker.score_lists([request], meter or Meter())[0]


@pytest.mark.parametrize(
    "name", ["cross-encoder", "judge", "bi-encoder", "late-interaction", "monot5", "llm"]
)
def test_a_full_memory_halves_the_batch_and_is_counted(
    built: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The forward pass of a real model, on a made-up device that holds two inputs."""
    reranker = built[name]
    expected = scores_of(reranker)
    forward = torch.nn.Embedding.forward

    def embed(self: Any, input: Any) -> Any:
        if (
            self.num_embeddings > tiny_models.MAX_LENGTH and input.shape[0] > 2
        ):  # the table of words
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return forward(self, input)

    monkeypatch.setattr(torch.nn.Embedding, "forward", embed)
    meter = Meter()
    close(scores_of(reranker, meter), expected)
    assert meter.take().halvings >= 1
    close(scores_of(reranker, meter), expected)
    assert meter.take().halvings == 0, "the smaller batch is kept"
    settings = reranker.describe().facts
    assert (settings["batch_size"] or 99) <= 2 or settings["token_budget"] < 128


@pytest.mark.parametrize(
    "name", ["cross-encoder", "judge", "bi-encoder", "late-interaction", "monot5", "llm"]
)
def test_threads_are_those_asked_for_and_restored(
    built: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert threads_seen(built[name], monkeypatch) == {1}
    assert built[name].describe().facts["threads"] == 1


def test_no_more_threads_are_used_than_a_quota_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container with a quota of one processor on a machine of more, for which torch has more
    threads.
    """
    monkeypatch.setattr("bench.models.sentence_transformer.usable_cores", lambda: 1)
    tiny_models.bert_cross_encoder(tmp_path / "bert")
    reranker = local_models.loaded(tmp_path, "cross-encoder", "bert")
    assert threads_seen(reranker, monkeypatch) == {1}


def threads_seen(reranker: Any, monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Return the threads of each forward pass, where torch has two, which it has afterwards."""
    seen: set[int] = set()
    forward = torch.nn.Linear.forward

    def recording(self: Any, x: Any) -> Any:
        seen.add(torch.get_num_threads())
        return forward(self, x)

    monkeypatch.setattr(torch.nn.Linear, "forward", recording)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        scores_of(reranker)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    return seen


def test_a_table_tells_of_halved_batches_and_passes_on_warnings(tmp_path: Path) -> None:
    (record,) = made_run(tmp_path, {"ours": [0.5, 0.6]}).records.values()
    told = {
        "usage": {"halvings": 2.0, "pairs": 5},
        "description": {"facts": {"warnings": ["this CPU has no bfloat16"]}},
    }
    notes = _notes(record.model_copy(update=told))
    assert notes == [
        Note(Code.HALVINGS, 2.0),
        Note(Code.TEXT, text="this CPU has no bfloat16"),
    ]
    assert _notes(record) == []
