"""What models need that is in an extra."""

from __future__ import annotations

from bench.contract.requirement import Package

LIGHTGBM = Package("lightgbm", "ltr")
