"""The version of a checkout that runs without being installed."""

from __future__ import annotations

from importlib import metadata

import pytest

from bench.core.version import version


def test_a_checkout_says_its_own_version(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = version()

    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert version() == installed
