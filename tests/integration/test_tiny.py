"""`tiny:KIND`: made once, the same everywhere, whole or not there, and never without the word that
its weights are random.
"""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import bench
from bench import reports
from bench.comparison.leaderboard import collect
from bench.contract.request import CandidateList
from bench.core import atomic
from bench.core.cache_dir import cache_dir
from bench.core.errors import RerankerError
from bench.models import tiny
from bench.models.weights import Weights, folder_hash
from bench.reports import exports, findings, leaderboard
from bench.reports.renderers import render
from bench.rerankers import build

pytestmark = pytest.mark.usefixtures("without_reports")

BACKENDS = {
    "bert-cross-encoder": "cross-encoder",
    "xlmr-cross-encoder": "cross-encoder",
    "qwen3-reranker": "cross-encoder",
    "bert-bi-encoder": "bi-encoder",
    "colbert": "late-interaction",
    "monot5": "monot5",
    "rankt5": "rankt5",
}
DOCS = ["the cat sat", "hot tea and fish", "cold river", "Ünïcödé 日本", ""]


@pytest.mark.parametrize("kind", sorted(BACKENDS))
def test_each_kind_loads_in_its_backend_and_tells_documents_apart(kind: str) -> None:
    reranker: Any = build(BACKENDS[kind], f"tiny:{kind}")
    reranker.check()
    reranker.load()
    (scores,) = reranker.rerank([CandidateList("q", "hot tea", list("abcde"), DOCS)])
    assert np.ptp(scores[:3]) > 0.01
    description = reranker.describe()
    assert description.identity["model"] == f"tiny:{kind}"
    assert description.identity["revision"] == reranker.fingerprint()["revision"]
    assert description.facts["random_weights"] is True


def test_a_chat_model_reads_and_writes_any_text() -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tiny.folder("tiny:chat")
    with tiny.quiet():
        tokenizer, network = (
            AutoTokenizer.from_pretrained(folder),
            AutoModelForCausalLM.from_pretrained(folder),
        )
    text = "rank the passages [1] > [2]: été 日本 😀\n"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    messages = [{"role": "user", "content": text}]
    inputs = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    written = network.generate(**inputs, max_new_tokens=8, do_sample=False)
    assert inputs["input_ids"].shape[1] < written.shape[1] <= inputs["input_ids"].shape[1] + 8
    assert tokenizer.model_max_length == tiny.CHAT_LENGTH


def test_the_same_kind_is_the_same_model(tmp_path: Path) -> None:
    for kind, make in tiny.KINDS.items():
        folders = [tmp_path / f"{kind}-{i}" for i in range(2)]
        for folder in folders:
            make(folder)
        hashes = {folder_hash(folder) for folder in (*folders, tiny.folder(f"tiny:{kind}"))}
        assert len(hashes) == 1
    assert len({folder_hash(tmp_path / f"{kind}-0") for kind in tiny.KINDS}) == len(tiny.KINDS)


def test_an_unknown_kind_is_told_with_the_nearest() -> None:
    with pytest.raises(
        RerankerError,
        match=r"there is no tiny model 'bert-cros': did you mean 'bert-cross-encoder'\?",
    ):
        build("cross-encoder", "tiny:bert-cros").check()


def test_a_kind_in_the_wrong_backend_is_refused_as_a_real_model_is() -> None:
    with pytest.raises(RerankerError, match="needs a monot5 or rankt5 backend"):
        build("cross-encoder", "tiny:monot5").load()


def test_checking_makes_nothing() -> None:
    code = (
        "import sys; from bench.models.weights import Weights; "
        "Weights('tiny:colbert').require(); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert not cache_dir("tiny").exists()


def test_a_build_that_dies_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def half(folder: Path) -> Path:
        (folder / "config.json").write_text("{}")
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(tiny.KINDS, "monot5", half)
    with pytest.raises(
        RerankerError,
        match=r"cannot be kept in .*: No space left .* RERANK_BENCH_CACHE$",
    ):
        Weights("tiny:monot5").checkpoint()
    assert list(cache_dir("tiny").iterdir()) == []


def test_of_two_builders_the_first_wins(tmp_path: Path) -> None:
    barrier = threading.Barrier(2)

    def make(text: str) -> None:
        with atomic.whole_folder(tmp_path / "made") as folder:
            (folder / "file").write_text(text)
            barrier.wait()

    threads = [threading.Thread(target=make, args=(text,)) for text in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    assert (tmp_path / "made" / "file").read_text() in ("one", "two")


def test_every_row_of_such_a_model_says_that_it_means_nothing(
    collection: Path, tmp_path: Path
) -> None:
    suite = {
        "name": "wiring",
        "datasets": [f"files:{collection}"],
        "rerankers": [{"monot5": {"model": "tiny:monot5"}}, "word-overlap"],
        "latency": None,
    }
    run = bench.run(suite, out=tmp_path / "out", device="cpu")
    assert "- monot5 (cpu): random weights: the order means nothing" in reports.markdown(run)
    notes = [note for note in reports.markdown(run).splitlines() if "random weights" in note]
    assert len(notes) == 1


def test_such_a_row_never_leads(collection: Path, tmp_path: Path) -> None:
    """The first stage's own order would be beaten by chance; the summary names a row that means
    something, or none.
    """
    suite: dict[str, Any] = {"name": "lead", "datasets": [f"files:{collection}"], "latency": None}
    tiny_row = {"monot5": {"model": "tiny:monot5"}}
    both = bench.run(
        {**suite, "rerankers": [tiny_row, "word-overlap"]}, out=tmp_path / "out", device="cpu"
    )
    alone = bench.run({**suite, "rerankers": [tiny_row]}, out=tmp_path / "out", device="cpu")
    assert [
        found.best and found.best.name
        for run in (both, alone)
        for found in findings.findings(run, run.rows)
    ] == ["word-overlap", None]


def test_a_pipeline_with_such_a_stage_is_marked_as_such_a_row_is(
    collection: Path, tmp_path: Path
) -> None:
    """Its order means as little as that of the stage."""
    stages = [{"bm25": {"keep": 5}}, {"monot5": {"model": "tiny:monot5"}}]
    suite: dict[str, Any] = {
        "name": "wiring",
        "datasets": [f"files:{collection}"],
        "rerankers": [{"monot5": {"model": "tiny:monot5"}}],
        "pipelines": [{"name": "wired", "stages": stages}],
        "depth": 5,
        "latency": {"queries": 2, "rounds": 1, "warmup_max": 0, "offline_pairs": 4},
    }
    run = bench.run(suite, out=tmp_path / "out", device="cpu")
    rows = {row.name: row for row in run.rows}
    assert rows["wired"].meaningless
    assert [found.best for found in findings.findings(run, run.rows)] == [None]
    assert {point.trial.reranker for point in run.points if point.meaningless} == {
        "monot5",
        "wired",
    }
    reason = "random weights: the order means nothing"
    assert f"- wired (cpu): monot5: {reason}" in reports.markdown(run)
    assert "best ranking" not in reports.html(run)
    board = render(leaderboard.document(collect(run.folder)), "markdown")
    assert "wired, not in the verdict" in board
    assert f"wired (cpu): monot5: {reason}" in board
    latex = str(exports.export(run, "latex"))
    assert f"wired (cpu): monot5: {reason}" in latex
    assert latex.count(", not in the verdict &") == 2
    card = yaml.safe_load(str(exports.export(run, "model-card")).strip("-\n"))["model-index"]
    assert all(f"{reason})" in entry["results"][0]["dataset"]["name"] for entry in card)
    files = [json.loads(Path(path).read_text()) for path in exports.export(run, "mteb")]
    assert {file["rerank_bench"]["out_of_verdict"] for file in files} == {
        reason,
        f"monot5: {reason}",
    }
    table = csv.DictReader(io.StringIO(str(exports.export(run, "csv"))))
    assert {row["reranker"]: row["out_of_verdict"] for row in table} == {
        "first-stage": "",
        "monot5": reason,
        "oracle": "",
        "wired": f"monot5: {reason}",
    }


def test_every_file_that_a_model_may_read_counts(tmp_path: Path) -> None:
    names = (
        "model.safetensors",
        "bpe.codes",
        "qwen.tiktoken",
        "vocab.bpe",
        "spiece.vocab",
        "head.pt",
        "2_Dense/pytorch_model.bin",
    )
    unread = (
        "README.md",
        ".gitattributes",
        "LICENSE",
        "onnx/model.onnx",
        "openvino/openvino_model.bin",
        "pytorch_model.bin",
        "optimizer.pt",
    )
    hashes = {folder_hash(tmp_path)}
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
        hashes.add(folder_hash(tmp_path))
    assert len(hashes) == len(names) + 1
    for name in unread:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
        hashes.add(folder_hash(tmp_path))
    assert len(hashes) == len(names) + 1


def test_what_lies_behind_a_link_to_a_folder_is_hashed(tmp_path: Path) -> None:
    """As models are put together that share a part, and whose weights lie on another disk."""
    hashes: set[str] = set()
    for text in ("a", "b"):
        for name in (text, f"{text}-dense"):
            (tmp_path / name).mkdir()
        (tmp_path / text / "model.safetensors").write_text("x")
        (tmp_path / f"{text}-dense" / "model.safetensors").write_text(text)
        (tmp_path / text / "2_Dense").symlink_to(tmp_path / f"{text}-dense")
        (tmp_path / text / "itself").symlink_to(tmp_path / text)
        hashes.add(folder_hash(tmp_path / text))
    assert len(hashes) == 2


def test_pickled_weights_that_load_are_hashed(tmp_path: Path) -> None:
    """Other tensors next to them, such as an adapter's, do not take their place."""
    (tmp_path / "adapter_model.safetensors").write_text("x")
    hashes: set[str] = set()
    for text in ("a", "b"):
        (tmp_path / "pytorch_model.bin").write_text(text)
        hashes.add(folder_hash(tmp_path))
    (tmp_path / "model-00001-of-00001.safetensors").write_text("x")
    for text in ("a", "b"):
        (tmp_path / "pytorch_model.bin").write_text(text)
        hashes.add(folder_hash(tmp_path))
    assert len(hashes) == 3


def test_compiling_has_scores_of_its_own() -> None:
    one, other = (
        build("cross-encoder", {"model": "tiny:xlmr-cross-encoder", "compile": value}).fingerprint()
        for value in (False, True)
    )
    assert one != other
