"""JSON that lies in a cache, in a model's folder or next to judgments, and is not what was written:
an error that names the file, or nothing; and what is somebody's is not written over.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.composition.composed import Limits
from bench.core.errors import BenchError, RerankerError
from bench.core.json_file import read_json
from bench.core.note import Code, note
from bench.datasets.provenance import path_of
from bench.judging.answers import Answers, Reply
from bench.judging.sample import judgments_of, read_sample
from bench.judging.written import refuse_others
from bench.learning.model_files import training_of
from bench.learning.models import xgboost
from bench.learning.models.linear import FORMAT, LinearTrainer
from bench.learning.options import LtrOptions
from bench.machine import noise_floor
from bench.models import headers, hub, seen_queries
from bench.records import probe_file
from bench.records.keys import Key
from bench.retrieval import build_times
from bench.training import fit
from bench.training.checkpoints import KEY, CurvePoint, Progress, Workplace
from bench.tuning import winner
from bench.tuning.journal import Journal
from bench.tuning.outcome import Outcome

DEEP = b"[" * 100_000
ODD = {"nested": DEEP, "binary": b"\xff\xfe", "list": b"[1]", "null": b"null", "cut": b'{"a'}
READERS: dict[str, Callable[[Path], object]] = {
    "probes.json": probe_file.read,
    "timed.json": lambda path: Journal(path, "key").entries,
    "queries.log": lambda path: seen_queries.read(path.parent),
    "training.log": lambda path: fit.read_log(path.parent),
    "review.json": read_sample,
    "qrels.txt": judgments_of,
    "ltr.json": training_of,
    "model.safetensors.index.json": lambda path: hub._has_weights(path.parent),
    "config.json": lambda path: headers.config("model", path.parent),
    KEY: lambda path: Workplace(path.parent, "key").open(),
}


@pytest.mark.parametrize("content", ODD.values(), ids=ODD)
@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_a_plain_error_or_nothing(
    tmp_path: Path, name: str, content: bytes
) -> None:
    path = tmp_path / "folder" / name
    path.parent.mkdir()
    path.write_bytes(content)
    message = _refusal(READERS[name], path)
    assert message is None or path.name in message
    assert len(message or "") < 500


@pytest.mark.parametrize("content", ODD.values(), ids=ODD)
def test_a_damaged_note_of_the_cache_is_as_if_it_were_not_there(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RERANK_BENCH_CACHE", str(tmp_path))
    for path in (noise_floor._file_of({}), build_times._path(Path("bm25/x"))):
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    assert noise_floor.recall({}) is None
    assert build_times.seconds_of(Path("bm25/x")) is None


def test_json_is_read_or_refused_as_a_value_error(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(DEEP)
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json(path)
    path.write_text('{"a": [1, null]}')
    assert read_json(path) == {"a": [1, None]}


@pytest.mark.parametrize(
    "header",
    [
        b'{"a": {"shape": [1], "data_offsets": []}}',
        b'{"a": {"shape": [1], "data_offsets": ["x", "y"]}}',
        DEEP,
    ],
    ids=["no-offsets", "words", "nested"],
)
def test_a_header_of_weights_that_says_nothing_is_refused(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(RerankerError, match="not a whole safetensors file"):
        headers.tensors("model", tmp_path)


def test_a_learned_model_with_a_number_beyond_all_is_refused() -> None:
    weight = "9" * 400
    text = f'{{"format": "{FORMAT}", "features": ["a"], "weights": [{weight}]}}'
    with pytest.raises(RerankerError, match="not a linear model"):
        LinearTrainer(LtrOptions()).read(text)
    with pytest.raises(RerankerError, match="not an XGBoost model"):
        xgboost.read(DEEP.decode())


def test_a_changed_time_of_a_search_is_timed_anew(tmp_path: Path) -> None:
    path = tmp_path / "timed.json"
    busy = [note(Code.FOREIGN_CPU, 0.4).to_dict()]
    Journal(path, "key").write("a > b", {"q1": {"a": [12.5]}}, busy)
    assert Journal(path, "key").read("a > b") == {"q1": {"a": [12.5]}}
    data = path.read_bytes()
    for bit in range(0, 8 * len(data), 11):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        assert Journal(path, "key").entries == {}, bit


def test_a_training_does_not_go_on_to_best_weights_that_were_changed(tmp_path: Path) -> None:
    workplace = Workplace(tmp_path / "work", "key")
    workplace.open()
    checkpoint = workplace.folder / "checkpoint-5"
    checkpoint.mkdir()
    best = workplace.best_weights(5)
    best.write_bytes(b"weights")
    workplace.finish_checkpoint(checkpoint, Progress(curve=[CurvePoint(5, 1.0, 0.5)]))
    assert workplace.checkpoint() == checkpoint
    best.write_bytes(b"Weights")
    assert workplace.checkpoint() is None
    assert not checkpoint.exists(), "it begins anew"


def test_a_changed_answer_of_a_judge_is_no_answer(tmp_path: Path) -> None:
    """An answer of another grade than the one that was paid for is a false judgment."""
    path = tmp_path / "answers.jsonl"
    answers = Answers(path)
    reply = Reply("k", "q", "d", "final score: 2 \ud800", 2)
    answers.add(reply)
    answers.close()
    data = path.read_bytes()
    for bit in range(0, 8 * len(data), 11):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        answers = Answers(path)
        assert answers.grade("k") in (None, 2), bit
        assert answers.of("k") in ([], [reply]), bit
        assert answers.damaged or not answers.of("k") or answers.grade("k") == 2
        answers.close()


def test_judgments_of_people_are_not_written_over(tmp_path: Path) -> None:
    qrels = tmp_path / "qrels.txt"
    refuse_others(qrels)
    qrels.write_text("q1 0 d1 1\n")
    with pytest.raises(BenchError, match="no judge wrote it: choose another --out"):
        refuse_others(qrels)
    path_of(qrels).write_text("{}")
    refuse_others(qrels)


def test_a_search_removes_what_an_earlier_one_wrote_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "winner-old").mkdir()
    for name in ("winner.yaml", "winner-ltr.json", "winner-notes.md"):
        (tmp_path / name).write_text("x")
    models = '{"learned": [{"model": "winner-ltr.json"}, {"model": "../elsewhere"}]}'
    (tmp_path / "winner.json").write_text(models)
    limits = Limits(p95_ms=1)
    nothing = Outcome("a", "nDCG@10", limits, None, None, None, None, None, (), 0, 0, (), 0)
    assert winner.write(nothing, None, None, None, tmp_path) == []  # type: ignore[arg-type]
    assert {path.name for path in tmp_path.iterdir()} == {"winner-old", "winner-notes.md"}


def test_probes_of_other_options_are_kept_next_to_each_other(tmp_path: Path) -> None:
    first, second = (_probes(digest) for digest in ("a" * 16, "b" * 16))
    paths = [probe_file.write_in(tmp_path, probes) for probes in (first, second, second)]
    assert paths[0].name == "own--data--bm25.json"
    assert len(set(paths)) == 2
    hashes = {probe_file.read(path).system.hash for path in paths}
    assert hashes == {"a" * 16, "b" * 16}


def _refusal(read: Callable[[Path], object], path: Path) -> str | None:
    try:
        read(path)
    except BenchError as error:
        return str(error)
    return None


def _probes(digest: str) -> probe_file.ProbeFile:
    return probe_file.ProbeFile(
        reranker="own",
        system=Key(hash=digest, fields={}),
        dataset="data",
        first_stage="bm25",
        depth=5,
        query_ids=["q1"],
        seed=0,
        measure="nDCG@10",
        tolerance=0.001,
        repeats=True,
        results=[],
        measured_at="2026-11-27T00:00:00+00:00",
        software="0",
    )
