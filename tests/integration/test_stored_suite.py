"""The suite that a run stored, read again: its files are looked for where the run lies."""

from __future__ import annotations

from pathlib import Path

import pytest

import bench
from bench.core.errors import RecordError
from bench.records.folder import RunFolder
from bench.runner.rebuilding import stored_suite

SUITE = "name: s\ndatasets: [files:data]\nrerankers: [first-stage]\nmeasures: [RR@10]\n"


def test_files_of_a_suite_elsewhere_are_above_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    (there / "data").mkdir(parents=True)
    here.mkdir()
    (there / "data" / "docs.jsonl").write_text('{"id": "a", "text": "one text"}\n')
    (there / "data" / "queries.tsv").write_text("q\tone\n")
    (there / "data" / "qrels.txt").write_text("q 0 a 1\n")
    (there / "suite.yaml").write_text(SUITE)
    monkeypatch.chdir(here)
    run = bench.run(there / "suite.yaml", out=there / "runs", latency=False)

    folder = RunFolder(run.folder)
    assert stored_suite(folder).base_dir == there.resolve()

    (there / "data").rename(tmp_path / "away")
    with pytest.raises(RecordError, match=r"there is no data.*call this from the folder of its"):
        stored_suite(folder)
