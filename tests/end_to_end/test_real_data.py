"""Known figures of real collections, where those collections are at hand beside the repository;
they are never part of it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import bench
from tests.support.paths import SHARED


def folder(name: str) -> Path:
    path = SHARED / name
    if not path.is_dir():
        pytest.skip(f"the {name} collection is not at hand")
    return path


def test_trec_dl19_reproduces_the_published_figures_of_its_runs(tmp_path: Path) -> None:
    data = folder("trec-dl19")
    suite = {
        "name": "dl19",
        "datasets": [
            {f"files:{data}": {"document": "{text}", "min_relevance": 2, "name": "trec-dl-2019"}}
        ],
        "first_stages": [{"run": str(data / "runs" / "bm25-top100.run")}],
        "rerankers": [
            {
                "run-file": {
                    "path": str(data / "runs" / "rankvicuna-over-bm25.run"),
                    "name": "rankvicuna",
                }
            }
        ],
        "measures": ["nDCG@10", "RR@10"],
    }
    run = bench.run(suite, out=tmp_path, latency=False)
    frame = run.to_frame().set_index("reranker")
    assert round(frame.loc["first-stage", "nDCG@10"], 4) == 0.5058
    assert round(frame.loc["rankvicuna", "nDCG@10"], 4) == 0.6682
    assert "RR(rel=2)@10" in frame.columns
    assert frame.loc["rankvicuna", "Δ nDCG@10 p"] < 0.001
    assert frame.loc["oracle", "nDCG@10"] > frame.loc["rankvicuna", "nDCG@10"]


def test_scifact_bm25_is_within_three_thousandths_of_anserini(tmp_path: Path) -> None:
    suite = {
        "name": "scifact",
        "datasets": [f"files:{folder('scifact')}"],
        "first_stages": [{"bm25": {"k1": 0.9, "b": 0.4, "stemmer": "english"}}],
    }
    frame = bench.run(suite, out=tmp_path, latency=False).to_frame().set_index("reranker")
    assert frame.loc["first-stage", "nDCG@10"] == pytest.approx(0.679, abs=0.003)
