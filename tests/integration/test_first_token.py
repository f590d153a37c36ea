"""The attention of the first token alone is that of the whole layer's, without its keys and
values.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

from bench.rerankers.local.first_token import (
    attend_from_first_token_only,
    keep_first_token_only,
)
from tests.support.agreement import close
from tests.support.bert_networks import CLASSES, network_of

SPREAD = 0.8
IDS = torch.tensor([[2, 7, 9, 11, 3], [2, 8, 3, 0, 0], [2, 5, 6, 3, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0]])


def logits(network: Any, mask: Any = MASK) -> Any:
    with torch.inference_mode():
        return network(input_ids=IDS, attention_mask=mask).logits.reshape(-1).numpy()


def calls_of_last_keys(network: Any) -> Counter[str]:
    """Return a counter of the calls of the last layer's projections of all tokens."""
    counter: Counter[str] = Counter()
    attention = network.base_model.encoder.layer[-1].attention.self
    for name in ("key", "value"):
        getattr(attention, name).register_forward_hook(lambda *_, name=name: counter.update([name]))
    return counter


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("kind", CLASSES)
def test_scores_are_those_of_the_layer_and_no_key_is_computed(kind: str, attention: str) -> None:
    network = network_of(kind, attention, spread=SPREAD)
    expected = {"padded": logits(network), "full": logits(network, torch.ones_like(MASK))}
    assert expected["padded"].std() > 0.01
    assert abs(expected["padded"] - expected["full"]).max() > 0.01, "the mask should matter"
    calls = calls_of_last_keys(network)
    assert keep_first_token_only(network) is not None
    handle = attend_from_first_token_only(network)
    assert handle is not None
    close(logits(network), expected["padded"])
    close(logits(network, torch.ones_like(MASK)), expected["full"])
    assert not calls
    handle.remove()
    close(logits(network), expected["padded"])
    assert calls == {"key": 1, "value": 1}


def test_a_decoder_and_a_projection_with_an_adapter_keep_their_own_attention() -> None:
    decoder = network_of("Bert", "sdpa", is_decoder=True, spread=SPREAD)
    adapted = network_of("Bert", "sdpa", spread=SPREAD)
    projection = adapted.base_model.encoder.layer[-1].attention.self
    projection.value = torch.nn.Sequential(projection.value)
    for network in (decoder, adapted):
        assert attend_from_first_token_only(network) is None
