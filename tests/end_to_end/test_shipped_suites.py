"""The shipped suites run: each family as far as this machine reaches, and `everything-tiny` with
every backend there is.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

import bench
from bench import rerankers
from bench.core.note import Code, Note
from bench.records.rows import rows as rows_of
from bench.records.run import Run
from bench.reports import show
from bench.serving import hosted
from bench.serving.server import RerankServer
from bench.suite.suite import shipped
from tests.support.tampered_runs import tampered, unnamed

FAMILIES = ("cross-encoders", "bge", "monot5", "llm-rerankers", "listwise", "apis", "servers")
SHORT = {
    "queries": 2,
    "rounds": 1,
    "offline_pairs": 10,
    "warmup_max": 1,
    "request_queries": 2,
    "span_queries": 1,
}
"""A timed pass that meets every scenario."""
KEYS = ("CO_API_KEY", "VOYAGE_API_KEY", "MXBAI_API_KEY", "JINA_API_KEY", "OPENAI_API_KEY")


def changed(name: str, folder: Path, edits: dict[str, str] | None = None, **fields: Any) -> Path:
    """A shipped suite with some words and fields changed, in a folder of its own next to the files
    that it names.
    """
    text = shipped()[name].read_text(encoding="utf-8")
    for old, new in (edits or {}).items():
        text = re.sub(old, new, text)
    for pattern in ("*.run.gz", "*.calibration.json"):
        for file in shipped()[name].parent.glob(pattern):
            shutil.copy(file, folder)
    recipes = shipped()[name].parent / "recipes"
    shutil.copytree(recipes, folder / "recipes", dirs_exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(text), **fields}), encoding="utf-8")
    return path


def printed(run: Run, width: int = 140) -> str:
    text = StringIO()
    show(run, Console(file=text, width=width))
    return text.getvalue()


def assert_verified(run: Run) -> None:
    """Nothing differs in a run as it is; in a copy each planted change is named."""
    assert bench.verify(run, rescore=0).findings == []
    copy = Run(Path(shutil.copytree(run.folder, run.folder.parent / "tampered")))
    planted = tampered(copy)
    assert len(planted) >= 12
    assert unnamed(planted, bench.verify(copy.folder, rescore=0).findings) == []


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_runs_as_far_as_this_machine_reaches(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No hub, no keys, no servers: what is packaged runs, the rest is skipped with its reason, and
    the table stands.
    """
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(tmp_path / "empty"))
    small = {"datasets": [{"embedded:everyday": {"queries": 3}}], "depth": 5, "latency": None}
    run = bench.run(
        changed(name, tmp_path, {r"localhost:\d+": "127.0.0.1:9"}, **small),
        out=tmp_path / "out",
        device="cpu",
    )
    status = {one.trial.reranker: one for one in run.info.trials}
    assert status["first-stage"].status == status["oracle"].status == "done"
    assert {one.status for one in status.values()} == {"done", "skipped"}
    reasons = {one.reason for one in status.values() if one.status == "skipped"}
    assert reasons <= {
        "no model hub",
        *(f"no {key}" for key in KEYS),
        "nothing listens at 127.0.0.1:9",
    }
    text = printed(run)
    assert all(reranker in text for reranker in status)
    assert_verified(run)


@contextmanager
def serving(name: str, model: str) -> Iterator[str]:
    reranker = hosted.build(name, {"model": model}, "cpu")
    with RerankServer(reranker, "127.0.0.1", 0) as server:
        reranker.load()
        server.start()
        yield server.url


def test_everything_tiny_holds_every_backend_and_skips_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in KEYS:
        monkeypatch.setenv(key, "x")
    with (
        serving("cross-encoder", "tiny:bert-cross-encoder") as pairs,
        serving("listwise", "tiny:chat") as chat,
    ):
        path = changed(
            "everything-tiny",
            tmp_path,
            {"http://127.0.0.1:8787": pairs, "http://127.0.0.1:8788": chat},
            datasets=[{"embedded:everyday": {"queries": 6}}],
            depth=6,
            latency=SHORT,
        )
        run = bench.run(path, out=tmp_path / "out", device="cpu")
    assert {
        status.trial.reranker: status.reason
        for status in run.info.trials
        if status.status != "done"
    } == {}
    assert_verified(run)
    backends = {record.description["backend"] for record in run.records.values()}
    stages: Any
    for record in run.records.values():
        if record.stages:
            stages = record.description["identity"]
            backends |= {stage["backend"] for stage in stages["stages"]}
    assert backends == {*rerankers.TABLE, "pipeline"}
    (hybrid,) = [record for record in run.records.values() if record.trial.reranker == "hybrid"]
    searches: Any = hybrid.candidates
    assert [part["first_stage"] for part in searches["parts"]] == ["dense", "sparse"]
    rows = {
        record.trial.reranker: record.quality["nDCG@10"].mean for record in run.records.values()
    }
    assert rows["everyday-word-overlap"] == rows["word-overlap"], (
        "the shipped run file is the order of word-overlap"
    )
    served = [rows[name] for name in ("cohere", "voyage", "mixedbread", "rerank-server", "tei")]
    assert served == [rows["bert-cross-encoder"]] * 5
    random = {
        record.trial.reranker
        for record in run.records.values()
        if record.description["facts"].get("random_weights")
    }
    real = {"first-stage", "oracle", "word-overlap", "everyday-word-overlap", "ltr"}
    real |= {"blend", "skip", "cut > word-overlap", "calibrated"}
    # its search has random weights, what orders its candidates has not
    real.add("hybrid")
    assert random == set(rows) - real
    noted = {row.name for row in rows_of(run) if Note(Code.RANDOM_WEIGHTS) in row.notes}
    assert noted == random
    # the line names every row, and wraps
    text = " ".join(printed(run).split())
    assert "random weights: the order means nothing" in text


def test_everything_tiny_runs_without_any_server(tmp_path: Path) -> None:
    """Its local rows need nothing; the others say what is missing."""
    only_hosted = [
        entry
        for entry in yaml.safe_load(shipped()["everything-tiny"].read_text(encoding="utf-8"))[
            "rerankers"
        ]
        if isinstance(entry, dict) and "base_url" in str(entry)
    ]
    path = changed(
        "everything-tiny",
        tmp_path,
        {r"127\.0\.0\.1:\d+": "127.0.0.1:9"},
        datasets=[{"embedded:everyday": {"queries": 3}}],
        depth=5,
        latency=None,
    )
    data = yaml.safe_load(path.read_text())
    path.write_text(
        yaml.safe_dump(
            {
                **data,
                "rerankers": [entry for entry in data["rerankers"] if "base_url" in str(entry)],
            }
        )
    )
    run = bench.run(path, out=tmp_path / "out", device="cpu")
    reasons = [status.reason for status in run.info.trials if status.status == "skipped"]
    assert len(reasons) == len(only_hosted) >= 5
    assert all(
        reason and reason.startswith(("no ", "nothing listens at 127.0.0.1:9"))
        for reason in reasons
    )
