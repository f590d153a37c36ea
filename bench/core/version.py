"""The version of this package."""

from __future__ import annotations


def version() -> str:
    """Return this package's version."""
    from importlib import metadata

    return metadata.version("rerank-bench")
