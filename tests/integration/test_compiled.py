"""A model that PyTorch compiles in one piece: the same scores, and nothing compiled in mid-run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from bench.contract.request import CandidateList
from tests.support import local_models, tiny_models
from tests.support.agreement import close
from tests.support.local_models import DOCS, QUERY

LISTS = [
    CandidateList("q", QUERY, [f"d{i}" for i in range(8)], [*DOCS, "fish", "rain " * 60, "cats"]),
    CandidateList("r", "tea", ["a", "b"], ["the tea is hot", "money in the bank"]),
    CandidateList("s", "sun", ["a"], ["moon"]),
]
"""Batches of several rows and of one, with padding and without."""


@pytest.mark.slow
def test_a_compiled_model_scores_the_same_and_compiles_nothing_in_mid_run(tmp_path: Path) -> None:
    """Of one layer: a compiler takes its time for each."""
    tiny_models.bert_cross_encoder(tmp_path / "bert", num_hidden_layers=1)
    plain, compiled = (
        local_models.loaded(tmp_path, "cross-encoder", "bert", token_budget=128, compile=compile_it)
        for compile_it in (False, True)
    )
    before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert not torch._dynamo.utils.counters["graph_break"], "the network is compiled in one piece"
    close(np.concatenate(compiled.rerank(LISTS)), np.concatenate(plain.rerank(LISTS)))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == before > 0
    assert compiled.describe().facts["compiled"]
