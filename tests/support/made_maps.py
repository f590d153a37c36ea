"""Calibration files for tests, of a reranker as it loads here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import rerankers
from bench.calibration.file import Calibration, FittedOn, write
from bench.calibration.isotonic import Isotonic
from bench.calibration.maps import ScoreMap
from bench.calibration.platt import Platt
from bench.contract.stage import Description
from bench.ranking.score_maps import digests_of
from bench.rerankers.description import described

STEPS = Isotonic(scores=[0.1, 0.2, 0.5], probabilities=[0.0, 0.25, 0.75])
"""A map with level ends."""
CURVE = Platt(score=4.0, intercept=-2.0)


def identity_of(name: str = "word-overlap", **options: Any) -> str:
    """The digest of what decides a reranker's scores, as it loads."""
    reranker = rerankers.build(name, options)
    reranker.load()
    try:
        return digests_of(Description(**described(reranker)))[0]
    finally:
        reranker.close()


def map_file(
    path: Path,
    score_map: ScoreMap = STEPS,
    *,
    identity: str | None = None,
    groups: Mapping[str, ScoreMap] | None = None,
    **fitted_on: Any,
) -> Path:
    """Write a map, that of word-overlap unless told otherwise."""
    fields = {
        "reranker": "word-overlap",
        "identity": identity or identity_of(),
        "dataset": "elsewhere",
        "relevant_from": 1,
        "unjudged": "left-out",
        "pairs": 100,
        "relevant": 20,
        "queries": 10,
        **fitted_on,
    }
    by = "language" if groups else None
    write(
        path,
        Calibration(map=score_map, fitted_on=FittedOn(**fields), by=by, groups=dict(groups or {})),
    )
    return path
