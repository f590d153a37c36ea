"""Exact search over dense embeddings on an accelerator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bench.retrieval.dense_index import BLOCK, QUERIES, longest, rounding
from bench.retrieval.vectors import Extra

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.retrieval.dense_index import Rows, Vectors


class ExactOnDevice:
    """Every vector is compared with every query. The vectors are on the device, in float16;
    products are in float32.
    """

    extra = Extra()

    def __init__(self, vectors: NDArray[np.float16], device: str) -> None:
        import numpy as np
        import torch

        self._device = device
        self._vectors = torch.from_numpy(np.array(vectors)).to(device)
        self._longest = longest(vectors)

    def pick(self, queries: Vectors, depth: int) -> Iterator[Rows]:
        for start in range(0, len(queries), QUERIES):
            yield from self._of_block(queries[start : start + QUERIES], depth)

    def _of_block(self, queries: Vectors, depth: int) -> list[Rows]:
        import numpy as np
        import torch

        on_device = torch.from_numpy(np.ascontiguousarray(queries)).to(self._device)
        products: list[Any] = []
        for start in range(0, len(self._vectors), BLOCK):
            products.append(on_device @ self._vectors[start : start + BLOCK].float().T)
        scores = torch.cat(products, dim=1)
        lowest = scores.topk(min(depth, scores.shape[1]), dim=1).values[:, -1]
        error = rounding(queries.shape[1], self._longest)
        margins = 2 * error * on_device.norm(dim=1)
        hits = scores >= (lowest - margins)[:, None]
        return [row.nonzero().flatten().cpu().numpy() for row in hits]
