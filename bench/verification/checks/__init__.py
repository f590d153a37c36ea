"""The checks of a run: one file each, and one line in the table. Each recomputes from the folder
alone and enters into a ledger what it compared, what differs, what it could not check.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench.verification.checks import (
    candidates,
    counts,
    depths,
    differences,
    digests,
    judgments,
    keys,
    latency,
    losses,
    oracle,
    quality,
    rankings,
    stages,
    usage,
)
from bench.verification.evidence import Evidence
from bench.verification.finding import Ledger

CheckRun = Callable[[Evidence, Ledger], None]

CHECKS: Mapping[str, CheckRun] = {
    "digests": digests.check,
    "keys": keys.check,
    "judgments": judgments.check,
    "candidates": candidates.check,
    "rankings": rankings.check,
    "quality": quality.check,
    "differences": differences.check,
    "oracle": oracle.check,
    "depths": depths.check,
    "stages": stages.check,
    "losses": losses.check,
    "counts": counts.check,
    "usage": usage.check,
    "latency": latency.check,
}
"""Name -> check, from the files upward to what is computed of them."""
