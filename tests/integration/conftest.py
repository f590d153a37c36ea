"""What several tests of hosted rerankers share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.fake_cohere import FakeCohere, serve


@pytest.fixture(scope="module")
def server() -> Iterator[FakeCohere]:
    """A server that answers as Cohere does unless a test scripts it."""
    with serve() as fake:
        yield fake
