"""The version of this package."""

from __future__ import annotations

from functools import cache
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def version() -> str:
    """Return this package's version: of its installation, or of the checkout that it runs from
    where nothing is installed.
    """
    return installed("rerank-bench") or _version_of_checkout()


@cache
def installed(distribution: str) -> str | None:
    """Return the version of an installed package; None where it is not installed."""
    from importlib import metadata

    try:
        return version_of(distribution)
    except metadata.PackageNotFoundError:
        return None


@cache
def version_of(distribution: str) -> str:
    """Return the version of an installed package. It is that of the first call: what is installed
    later is not what this process has loaded. Raises PackageNotFoundError.
    """
    from importlib import metadata

    return metadata.version(distribution)


def _version_of_checkout() -> str:
    import tomllib

    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    return str(project["project"]["version"])
