"""The version of a checkout that runs without being installed."""

from __future__ import annotations

from importlib import metadata

import pytest

from bench.core.version import installed, version


def test_a_checkout_says_its_own_version(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = version()

    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    installed.cache_clear()
    assert version() == expected
    installed.cache_clear()
