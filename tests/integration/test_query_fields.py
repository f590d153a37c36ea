"""What a collection says of its queries reaches the run, the command and the report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import bench
from bench.comparison.orders import order_agreements
from bench.core.errors import BenchError
from bench.datasets.embedded import collections
from bench.records.run import Run
from tests.support.command import bench as command


def suite(folder: Path, **more: object) -> dict[str, object]:
    source = Path(str(collections())) / "everyday-train"
    target = folder / "questions"
    target.mkdir(exist_ok=True)
    for name in ("docs.jsonl", "qrels.txt"):
        shutil.copy(source / name, target / name)
    lines = []
    for number, line in enumerate((source / "queries.tsv").read_text().splitlines()):
        query, text = line.split("\t", 1)
        language = "en" if number % 3 else "hi"
        row = {"_id": query, "text": text, "language": language, "answer": "long " * 20}
        lines.append(json.dumps(row))
    (target / "queries.jsonl").write_text("\n".join(lines))
    fake = "tests.support.fakes:HashReranker"
    return {
        "name": "fields",
        "datasets": [f"files:{target}", {"embedded:everyday": {"queries": 30}}],
        "rerankers": ["word-overlap", {fake: {"name": "fake"}}],
        "depth": 3,
        "latency": None,
        **more,
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("fields")
    return bench.run(suite(folder, slices=["language", "shoe"]), out=folder / "results")


def test_short_fields_are_kept_and_texts_are_not(run: Run) -> None:
    assert set(run.query_fields["field"]) == {"language"}
    assert set(run.query_fields["value"]) == {"en", "hi"}
    assert len(run.query_fields) == 100


def test_the_command_and_the_report_show_the_slices(run: Run) -> None:
    result = command("slices", str(run.folder), "--by", "language", cwd=run.folder)
    assert result.returncode == 0
    assert "by language" in result.stdout
    assert "30 queries without language." in result.stdout
    report = (run.folder / "report.md").read_text()
    assert "questions, bm25, 3 candidates, by language" in report
    assert "--by shoe: no field that parts the queries" in report


def test_a_notebook_gets_the_same_as_the_command(run: Run) -> None:
    frame = bench.slices(run, by="language")
    assert set(frame["slice"]) == {"en", "hi"}
    text = command("slices", str(run.folder), "--by", "language", "--format", "csv", cwd=run.folder)
    assert len(text.stdout.splitlines()) == len(frame) + 1


def test_the_report_says_whether_collections_agree_on_the_order(run: Run) -> None:
    [agreement] = order_agreements(run)
    assert (agreement.rows, agreement.tau in (-1.0, 1.0)) == (2, True)
    assert agreement.low <= agreement.tau <= agreement.high
    assert "Of 2 rerankers it says little" in (run.folder / "report.md").read_text()


def test_without_texts_no_field_is_kept_and_length_is_refused(tmp_path: Path) -> None:
    run = bench.run(suite(tmp_path, store_texts=False), out=tmp_path)
    assert run.query_fields.empty
    from bench.comparison.slices import slicings

    with pytest.raises(BenchError, match="keeps no texts"):
        slicings(run, ["length"])
    assert [table.field for table in slicings(run)] == ["difficulty", "difficulty"]
