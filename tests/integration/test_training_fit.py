"""Training: the same weights each time and after kills, folders that plain sentence-transformers
loads, no pickle, every loss of every kind.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import bench
from bench import rerankers
from bench.contract.meter import Meter
from bench.contract.request import CandidateList
from bench.core.errors import BenchError, DataError, RerankerError, SuiteError
from bench.core.progress import Observer
from bench.models.sentence_transformer import threads
from bench.models.weights import file_hash
from bench.training import entries
from bench.training.checkpoints import CurvePoint, Progress
from bench.training.estimate import estimate
from bench.training.fit import begin, dev_check, fit, plan_of, read_log, training_key
from bench.training.lists import TrainingData, TrainingList
from bench.training.network import Base
from bench.training.recipe import LOSSES
from tests.support import made_training
from tests.support.killed_trainings import KilledTrainings

PAIRS = [("how long", "the river is cold"), ("cat", "a dog sat on a mat in the sun")]
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """As trainings that are killed have: sums of several threads may end in other digits."""
    with threads(1):
        yield


@pytest.fixture(scope="module")
def killed_trainings() -> Iterator[KilledTrainings]:
    with KilledTrainings() as trainings:
        yield trainings


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained cross-encoder."""
    folder = tmp_path_factory.mktemp("fit") / "model"
    made_training.trained(folder)
    return folder


def weights(folder: Path) -> str:
    return file_hash(folder / "model.safetensors")


def test_the_same_recipe_gives_the_same_weights(undisturbed: Path, tmp_path: Path) -> None:
    made_training.trained(tmp_path / "again")
    assert weights(tmp_path / "again") == weights(undisturbed)
    made_training.trained(tmp_path / "other", seed=7)
    assert weights(tmp_path / "other") != weights(undisturbed)


@forks
def test_killed_trainings_end_with_the_same_weights(
    undisturbed: Path, tmp_path: Path, killed_trainings: KilledTrainings
) -> None:
    """In the first epoch between checks, while a checkpoint is written, in the second epoch."""
    folder = tmp_path / "model"
    kills = [(2, False), (4, True), (5, False)]
    for step, while_saving in kills:
        code = killed_trainings.train(folder, step, while_saving=while_saving)
        assert code == -9
        assert not folder.exists()
    fitted = made_training.trained(folder)
    assert weights(folder) == weights(undisturbed)
    untouched = read_log(undisturbed)
    assert untouched is not None
    assert fitted.curve == untouched.curve
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@forks
def test_checkpoints_hold_no_pickle(tmp_path: Path, killed_trainings: KilledTrainings) -> None:
    import torch
    from transformers.trainer_pt_utils import safe_globals

    killed_trainings.train(tmp_path / "model", 4)
    (checkpoint,) = (tmp_path / "model.training").glob("checkpoint-*")
    names = {path.name for path in checkpoint.iterdir()}
    assert names == {
        "best.sha256",
        "manifest.sha256",
        "optimizer.pt",
        "progress.json",
        "rng_state.pth",
        "scheduler.pt",
        "trained.safetensors",
        "trainer_state.json",
    }
    with safe_globals():
        for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
            assert torch.load(checkpoint / name, weights_only=True)


class Notes(Observer):
    """Keeps what a user is told."""

    def __init__(self) -> None:
        self.notes = []

    def note(self, text: str) -> None:
        self.notes = [*self.notes, text]


@forks
def test_checkpoints_of_another_recipe_are_not_continued(
    undisturbed: Path, tmp_path: Path, killed_trainings: KilledTrainings
) -> None:
    killed_trainings.train(tmp_path / "model", 4, rate=0.01)
    notes = Notes()
    fit(made_training.recipe(), made_training.data(), tmp_path / "model", notes, "cpu")
    assert weights(tmp_path / "model") == weights(undisturbed)
    (line,) = notes.notes
    assert "of another recipe or of other data" in line


def test_a_filled_folder_is_returned_as_it_is(undisturbed: Path) -> None:
    before = (undisturbed / "model.safetensors").stat().st_mtime_ns
    fitted = made_training.trained(undisturbed)
    assert fitted == read_log(undisturbed)
    assert (undisturbed / "model.safetensors").stat().st_mtime_ns == before


def test_a_model_that_was_changed_is_trained_anew(undisturbed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(undisturbed, folder)
    before = weights(folder)
    path = folder / "model.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    notes = Notes()
    fit(made_training.recipe(), made_training.data(), folder, notes, "cpu")
    assert weights(folder) == before
    assert "were changed" in notes.notes[0]


def test_the_key_is_of_everything_that_decides_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    def key(**fields: Any) -> str:
        recipe = made_training.recipe(**fields)
        return training_key(recipe, made_training.data(), Base(recipe, "cpu"))

    assert key(name="other", depth=9, fractions=[0.5]) == key()
    lora = {"rank": 2, "merge": False}
    keys = {key(), key(dtype="bfloat16"), key(lora=lora), key(lora=lora, head="cosine")}
    assert len(keys) == 4
    monkeypatch.setattr("bench.models.weights.version_of", lambda name: f"{name} of another day")
    assert key() not in keys


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "thesis.txt").write_text("mine")
    with pytest.raises(BenchError, match="holds something else: give another folder"):
        made_training.trained(tmp_path / "model")
    assert (tmp_path / "model" / "thesis.txt").read_text() == "mine"


def test_plain_sentence_transformers_gives_the_same_scores(undisturbed: Path) -> None:
    """And nothing of it is a class of ours, which plain sentence-transformers would not have."""
    from sentence_transformers import CrossEncoder

    reranker = bench.reranker("cross-encoder", model=str(undisturbed), device="cpu")
    ours = [reranker.rerank(query, [document])[0][1] for query, document in PAIRS]
    model = CrossEncoder(str(undisturbed), device="cpu")
    assert model.predict(PAIRS, show_progress_bar=False) == pytest.approx(ours, abs=1e-5)
    parts = [model.tokenizer, *model.modules()]
    assert not [part for part in parts if type(part).__module__.partition(".")[0] == "bench"]
    assert not [path for path in undisturbed.rglob("*") if path.suffix in (".bin", ".pt", ".pkl")]


@pytest.mark.parametrize(
    ("kind", "loss"), [(kind, loss) for kind, losses in LOSSES.items() for loss in losses]
)
def test_every_loss_of_every_kind_trains(kind: str, loss: str, tmp_path: Path) -> None:
    fields: dict[str, object] = {"kind": kind, "loss": loss, "epochs": 0.5}
    if loss == "margin-mse":
        fields["teacher"] = "minilm-bi-encoder"
    fitted = made_training.trained(tmp_path / "model", **fields)
    assert fitted.steps == fitted.planned
    assert 0 <= fitted.best.ndcg <= 1
    reranker = bench.reranker(kind, model=str(tmp_path / "model"), device="cpu")
    assert len(reranker.rerank("cat", ["dog", "cat"])) == 2


def test_an_adapter_has_the_scores_of_the_merged_model(tmp_path: Path) -> None:
    merged = made_training.trained(tmp_path / "merged", lora={"rank": 2})
    alone = made_training.trained(tmp_path / "adapter", lora={"rank": 2, "merge": False})
    assert merged.curve == alone.curve
    assert {path.name for path in alone.folder.iterdir()} >= {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    assert not (alone.folder / "model.safetensors").exists()
    part = entries.trained(made_training.recipe(lora={"rank": 2}), alone.folder, tmp_path)
    adapted = rerankers.build(part.name, part.options, base_dir=tmp_path)
    adapted.load()
    whole = bench.reranker("cross-encoder", model=str(merged.folder), device="cpu")
    long = ("how long", " ".join(["the river is cold"] * 40))
    for query, document in (*PAIRS, long):
        score = whole.rerank(query, [document])[0][1]
        request = CandidateList("q", query, ["d"], [document])
        (scores,) = adapted.score_lists([request], Meter())
        assert scores == pytest.approx([score], abs=1e-5)


@pytest.mark.parametrize(
    ("kind", "base", "row"),
    [
        ("cross-encoder", "tiny:bert-cross-encoder", "cross-encoder"),
        ("cross-encoder", "tiny:bert-bi-encoder", "bi-encoder"),
        ("late-interaction", "tiny:colbert", "late-interaction"),
        ("late-interaction", "tiny:bert-bi-encoder", "bi-encoder"),
    ],
)
def test_an_untuned_base_scores_by_nothing_that_nobody_has_trained(
    kind: str, base: str, row: str, tmp_path: Path
) -> None:
    part = entries.untuned(made_training.recipe(kind=kind, base=base), tmp_path)
    assert part.name == row
    rerankers.build(part.name, part.options, base_dir=tmp_path).check()


def test_it_stops_when_checks_bring_nothing_better() -> None:
    curve = [CurvePoint(step, 1.0, value) for step, value in ((2, 0.3), (4, 0.5), (6, 0.5))]
    progress = Progress([], curve)
    assert progress.best == curve[1]
    assert progress.is_stale(1)
    assert not progress.is_stale(2)
    assert not progress.is_stale(None)


def test_a_loss_that_is_no_number_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RerankerError, match="give a lower rate than 1e\\+38"):
        made_training.trained(tmp_path / "model", rate=1e38, warmup=0)
    assert not (tmp_path / "model").exists()


def test_without_dev_queries_there_is_no_best_step(tmp_path: Path) -> None:
    data = made_training.data()
    empty = TrainingData(data.train, [], {}, data.positives, data.facts)
    with pytest.raises(DataError, match="no dev queries"):
        fit(made_training.recipe(), empty, tmp_path / "model", Observer(), "cpu")


def test_dev_queries_without_candidates_count_as_failures() -> None:
    data = made_training.data()
    first, *others = data.dev
    empty = first._replace(doc_ids=[], documents=[], labels=[])
    base = Base(made_training.recipe(), "cpu")
    plan = plan_of(base.recipe, data, base)
    model = begin(base)
    values = dev_check(plan, replace(data, dev=others, dev_qrels=judged(data, others)))(model)
    with_it = dev_check(plan, replace(data, dev=[empty, *others]))(model)
    assert with_it == pytest.approx(values * len(others) / len(data.dev))


def judged(data: TrainingData, rows: Sequence[TrainingList]) -> dict[str, dict[str, int]]:
    """Return the judgments of some dev queries."""
    return {row.query_id: dict(data.dev_qrels[row.query_id]) for row in rows}


def test_an_estimate_counts_pairs_steps_and_checks(tmp_path: Path) -> None:
    recipe, data = made_training.recipe(), made_training.data()
    expected = estimate(recipe, data, "cpu")
    fitted = fit(recipe, data, tmp_path / "model", Observer(), "cpu")
    assert expected.steps == fitted.planned
    assert expected.checks == len(fitted.curve)
    assert expected.pairs == 2 * sum(len(row.documents) for row in data.train)
    assert expected.dev_pairs == sum(len(row.documents) for row in data.dev)
    assert expected.seconds > 0
    # random weights alone
    assert expected.memory is not None
    assert expected.memory > 100_000


def test_layers_that_the_base_lacks_are_named(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="the base has the linear layers dense, key, query"):
        made_training.trained(tmp_path / "model", lora={"rank": 2, "modules": ["up_proj"]})
