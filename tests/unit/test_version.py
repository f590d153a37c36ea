"""The version of a checkout that runs without being installed."""

from __future__ import annotations

from importlib import metadata

import pytest

from bench.core.version import installed, version, version_of


def test_a_checkout_says_its_own_version(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = version()

    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    for read_once in (installed, version_of):
        read_once.cache_clear()
    assert version() == expected
    for read_once in (installed, version_of):
        read_once.cache_clear()
