"""What a layer costs the host: transformers' own encoder and the packed one, turn by turn.

    python benchmarks/packed.py [--rounds 200]

Prints milliseconds of the processor per forward pass, and the median of the paired ratios with
quartiles. The networks have the layers of the catalogue's, and next to nothing to multiply (one
sequence of 16 tokens, 32 dimensions, one thread): what is left is Python and torch's own work per
operation, which a fast card waits for.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import transformers

from bench.models import packing
from bench.models.packed_encoder import PackedEncoder

TOKENS = 16
LAYERS = {"minilm-l6": 6, "minilm-l12": 12, "bge-reranker-v2-m3": 24}


def network_of(layers: int) -> Any:
    config = transformers.BertConfig(
        vocab_size=100,
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=64,
        num_labels=1,
        attn_implementation="sdpa",
    )
    torch.manual_seed(0)
    return transformers.BertForSequenceClassification(config).eval()


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    ids = np.arange(TOKENS)
    inputs = packing.placed(packing.pack(np.array([TOKENS]), ids, None, 0), "cpu")
    tokens = {name: tensor for name, tensor in inputs.items() if name != packing.SEGMENTS}
    for name, layers in LAYERS.items():
        network = network_of(layers)
        PackedEncoder(network)

        def own(network: Any = network) -> Any:
            return network(**tokens).logits

        def packed(network: Any = network) -> Any:
            return packing.through(lambda named: network(**named), inputs).logits

        with torch.inference_mode():
            torch.testing.assert_close(own(), packed())
            times = [(seconds(own), seconds(packed)) for _ in range(rounds)]
        before, after = 1000 * np.median(times, axis=0)
        ratios = np.divide(*np.transpose(times))
        low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
        print(
            f"{name:<20} {layers:>2} layers: transformers {before:.2f} ms, packed {after:.2f} ms; "
            f"{middle:.2f} times ({low:.2f} to {high:.2f})"
        )


if __name__ == "__main__":
    main()
