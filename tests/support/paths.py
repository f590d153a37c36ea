"""Where the tests find the checkout and the collections next to it."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"
"""Real collections, which are never part of the repository; tests of them skip where it is not."""
DL19 = SHARED / "trec-dl19"
