"""Known figures of real collections, where those collections are at hand beside the repository;
they are never part of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scipy import stats as scipy_stats

import bench
from bench.comparison.pairs import Comparison, compare
from bench.core.errors import IncomparableError
from bench.gate import Gate, Verdict, check
from bench.records.run import Run
from tests.support.agreement import PRINTED
from tests.support.paths import DL19, SHARED


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
    # Anserini splits and stems words its own way.
    assert frame.loc["first-stage", "nDCG@10"] == pytest.approx(0.679, abs=0.003)


# TREC DL 2019: BM25's top 100, and the published run of RankVicuna over them


@pytest.fixture(scope="session")
def dl19(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A function: name of a first-stage run -> a finished run that reranks it by RankVicuna's
    published run.
    """
    if not DL19.is_dir():
        pytest.skip("the TREC DL 2019 collection is not here")
    made: dict[str, Run] = {}

    def run(first_stage: str) -> Run:
        if first_stage not in made:
            suite = {
                "name": first_stage,
                "datasets": [{f"files:{DL19}": {"min_relevance": 2}}],
                "first_stages": [{"run": {"path": str(DL19 / "runs" / f"{first_stage}.run")}}],
                "rerankers": [
                    {
                        "run-file": {
                            "path": str(DL19 / "runs" / "rankvicuna-over-bm25.run"),
                            "name": "rankvicuna",
                        }
                    }
                ],
                "latency": None,
            }
            made[first_stage] = bench.run(suite, out=tmp_path_factory.mktemp("dl19"))
        return made[first_stage]

    return run


def rankvicuna(comparisons: list[Comparison]) -> Comparison:
    (comparison,) = [each for each in comparisons if each.new.trial.reranker == "rankvicuna"]
    return comparison


def gate(verdict: Verdict, name: str = "quality nDCG@10") -> Gate:
    (gate,) = [gate for gate in verdict.gates if gate.name == name]
    return gate


def test_rankvicuna_clearly_beats_bm25(dl19: Any) -> None:
    one = rankvicuna(compare([dl19("bm25-top100")]))
    assert (one.baseline_mean, one.mean) == pytest.approx((0.5058, 0.6682), abs=PRINTED / 2)
    assert one.difference.low > 0.1
    assert one.p_holm < 0.001
    delta = list(one.deltas.values())
    assert scipy_stats.ttest_1samp(delta, 0).pvalue < 0.001
    assert (one.difference.wins, one.difference.ties, one.difference.losses) == (33, 5, 5)


def test_other_candidates_are_refused_unless_they_are_under_test(dl19: Any) -> None:
    runs = [dl19("bm25-top100"), dl19("spladepp-ed-top100")]
    with pytest.raises(IncomparableError, match="they differ in candidates"):
        compare(runs)
    (one,) = compare(runs, across=["candidates"])
    assert one.mean > one.baseline_mean


def test_rankvicuna_against_itself_passes_with_no_difference(dl19: Any) -> None:
    run = dl19("bm25-top100")
    verdict = check(run, Run(run.folder))
    quality, drifted = gate(verdict).numbers, gate(verdict, "drift").numbers
    assert verdict.exit_code == 0
    assert (quality["difference"], quality["one_sided_low"], quality["one_sided_high"]) == (
        0.0,
        0.0,
        0.0,
    )
    assert (drifted["max_difference"], drifted["tau"], drifted["overlap"]) == (0.0, 1.0, 1.0)


def test_a_run_over_other_candidates_is_incomparable(dl19: Any) -> None:
    runs = dl19("spladepp-ed-top100"), dl19("bm25-top100")
    verdict = check(*runs)
    hashes = [next(iter(run.records.values())).candidates["hash"] for run in runs]
    assert verdict.exit_code == 3
    assert f"candidates ({hashes[1]} → {hashes[0]})" in gate(verdict).remark
