"""`validate`: everything that would fail is found before anything runs, and what is quick to count
is counted.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from bench import datasets
from bench.cli.main import cli
from bench.datasets import files

FAKE = {"tests.support.fakes:HashReranker": {"name": "fake"}}
RUN = "q1 Q0 d00 1 2.0 ours\nq1 Q0 d03 2 1.0 ours\nq2 Q0 d01 1 2.0 ours\n"


def validated(folder: Path, collection: Path, **more: Any) -> tuple[int, str]:
    """The exit code and what is printed."""
    suite = {
        "name": "tiny",
        "datasets": [f"files:{collection}"],
        "rerankers": [FAKE],
        "latency": None,
        **more,
    }
    (folder / "tiny.yaml").write_text(yaml.safe_dump(suite))
    (folder / "ours.run").write_text(RUN)
    (folder / "foreign.run").write_text(RUN.replace("q", "topic"))
    done = CliRunner().invoke(cli, ["validate", str(folder / "tiny.yaml")], standalone_mode=False)
    assert done.exception is None, done.exception
    return done.return_value, done.output


def test_the_data_are_opened_and_counted(collection: Path, tmp_path: Path) -> None:
    code, output = validated(
        tmp_path,
        collection,
        first_stages=["bm25", {"run": "ours.run"}],
        rerankers=[{"run-file": {"path": "ours.run", "name": "theirs"}}],
    )
    assert code == 0
    lines = [" ".join(line.split()) for line in output.splitlines()]
    for expected in (
        "documents 12",
        "queries 6, of which 5 judged",
        "judgments 7 (grade 0: 1, 1: 2, 2: 2, 3: 2)",
        "relevant 1.2 per query (grade 1 or above)",
        "note: queries without judgments, left out: 1",
        "ours 3 candidates for 2 of 5 judged queries",
        "note: queries absent from ours.run, which get no candidates: 3",
        "tiny--ours--theirs runs: ours.run has 2 of 5 judged queries",
    ):
        assert expected in lines
    assert lines[-1].endswith("tiny.yaml: valid, 6 trials")


@pytest.mark.parametrize(
    ("more", "error", "rows"),
    [
        (
            {"first_stages": [{"bm25": {"stemmer": "englisch"}}]},
            "no stemmer 'englisch': did you mean 'english'",
            "first stage bm25 cannot",
        ),
        (
            {"first_stages": [{"bm25": {"stopwords": "englisch"}}]},
            "no stop words for 'englisch'",
            "first stage bm25 cannot",
        ),
        (
            {"first_stages": [{"run": "foreign.run"}]},
            "foreign.run has none of tiny's queries",
            "first stage foreign cannot be used",
        ),
        (
            {"first_stages": ["scoreddocs"]},
            "brings no candidates along",
            "first stage scoreddocs cannot be used",
        ),
        ({"rerankers": [{"run-file": "foreign.run"}]}, "", "foreign.run has 0 of 5 judged queries"),
        (
            {"rerankers": [{"tests.support.fakes:MissingReranker": {"name": "gone"}}]},
            "",
            "no FAKE_API_KEY",
        ),
        (
            {"datasets": ["irds:beir/scifct"]},
            "did you mean beir/scifact",
            "dataset beir/scifct cannot be used",
        ),
        (
            {"datasets": [{"embedded:everyday": {"min_relevance": 4}}]},
            "min_relevance 4 is above every grade",
            "dataset everyday cannot",
        ),
    ],
)
def test_what_would_fail_is_said_and_exits_1(
    collection: Path, tmp_path: Path, more: dict[str, Any], error: str, rows: str
) -> None:
    if "irds" in str(more):
        pytest.importorskip("ir_datasets")
    code, output = validated(tmp_path, collection, **more)
    assert code == 1
    errors = [line for line in output.splitlines() if "error: " in line]
    assert bool(errors) == bool(error)
    assert all(error in line for line in errors)
    is_shared = " failed [1]\n" in output and f"\n[1] {rows}" in output
    assert is_shared or f"failed: {rows}" in output
    assert "trials cannot run" in output.splitlines()[-1]


def test_one_bad_dataset_does_not_hide_the_next(collection: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code, output = validated(
        tmp_path, collection, datasets=[f"files:{tmp_path / 'empty'}", f"files:{collection}"]
    )
    assert code == 1
    assert "no collection" in output
    assert "tiny--bm25--fake--cpu" in output
    assert output.count(" failed [1]\n") == 3
    assert output.count("dataset empty cannot be used") == 1


def test_optional_rows_are_skipped_and_exit_0(collection: Path, tmp_path: Path) -> None:
    code, output = validated(
        tmp_path,
        collection,
        rerankers=[{"tests.support.fakes:MissingReranker": {"name": "gone", "optional": True}}],
    )
    assert code == 0
    assert "skipped: no FAKE_API_KEY" in output


def test_rows_that_read_texts_fail_where_there_are_none(collection: Path, tmp_path: Path) -> None:
    (collection / "docs.jsonl").unlink()
    code, output = validated(tmp_path, collection, first_stages=[{"run": "ours.run"}])
    assert code == 1
    assert "fake cannot do without the texts" in output
    assert "documents    none: ids only" in output
    assert validated(tmp_path, collection, first_stages=[{"run": "ours.run"}], rerankers=[])[0] == 0


def test_a_large_file_is_sampled_and_its_lines_counted(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "SAMPLED_FROM", 0)
    monkeypatch.setattr(datasets, "SAMPLED", 3)
    with (collection / "docs.jsonl").open("a") as file:
        file.write("\n" + json.dumps({"doc_id": "last"}) + "\n")
    code, output = validated(tmp_path, collection, first_stages=["bm25", {"run": "ours.run"}])
    assert code == 0
    assert (
        "documents    13 lines, of which the first 3 were read: judged documents were not looked up"
        in output
    )
    assert "not in the collection" not in output
    opened = datasets.load(f"files:{collection}", None, tmp_path, check=True)
    assert (opened.documents_read, len(opened.documents)) == (3, 13)
    whole = datasets.load(f"files:{collection}", None, tmp_path)
    assert (whole.documents_read, len(whole.documents)) == (None, 12)


def test_nothing_is_downloaded(
    tmp_path: Path, collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IR_DATASETS_HOME", str(tmp_path / "irds"))
    ir_datasets = pytest.importorskip("ir_datasets")
    util, formats = ir_datasets.util, ir_datasets.formats
    # whoever asked this address would be refused, and say so
    nowhere = util.Download(
        [util.RequestsDownload("http://127.0.0.1:9/docs.tsv")], tmp_path / "far.tsv"
    )
    queries, qrels = (util.LocalDownload(tmp_path / name) for name in ("queries.tsv", "qrels.txt"))
    (tmp_path / "queries.tsv").write_text("q1\tapple\n")
    (tmp_path / "qrels.txt").write_text("q1 0 d1 1\n")
    name = f"local/{tmp_path.name}"
    ir_datasets.registry.register(
        name,
        ir_datasets.Dataset(
            formats.TsvDocs(nowhere), formats.TsvQueries(queries), formats.TrecQrels(qrels, {})
        ),
    )
    code, output = validated(tmp_path, collection, datasets=[f"irds:{name}"])
    assert code == 0
    assert "would be downloaded on its first run" in output
    assert "runs: once the dataset is downloaded" in output
    (tmp_path / "far.tsv").write_text("d1\tapple pie\n")
    assert "documents    1" in validated(tmp_path, collection, datasets=[f"irds:{name}"])[1]


def test_a_published_run_without_a_document_in_common_fails(
    collection: Path, tmp_path: Path
) -> None:
    (tmp_path / "other.run").write_text(RUN.replace(" d", " web"))
    code, output = validated(tmp_path, collection, rerankers=[{"run-file": "other.run"}])
    assert code == 1
    assert (
        "failed: other.run has 2 of 5 judged queries, none of whose documents tiny has; is it of "
        "another collection?" in output
    )
    (tmp_path / "late.run").write_text("q1 Q0 d11 1 2.0 late\n")
    code, output = validated(
        tmp_path,
        collection,
        first_stages=[{"run": "ours.run"}],
        rerankers=[{"run-file": "late.run"}],
    )
    assert code == 1
    assert (
        "failed: late.run has 1 of 5 judged queries, none of whose documents is a candidate"
        in output
    )


def test_queries_without_any_token_fail(collection: Path, tmp_path: Path) -> None:
    code, output = validated(
        tmp_path, collection, first_stages=[{"bm25": {"token_pattern": "[0-9]{9}"}}]
    )
    assert code == 1
    problem = "error: tiny: no judged query has a token under the token pattern"
    assert f"{problem} '[0-9]{{9}}'; the first is 'q1'" in output
    (collection / "queries.tsv").write_text("q1\t?\n")
    code, output = validated(tmp_path, collection, first_stages=["bm25"])
    assert f"{problem}; the first is 'q1'" in output, "a pattern of ours tells nobody anything"


def test_what_is_missing_is_named_with_its_fix(collection: Path, tmp_path: Path) -> None:
    _, output = validated(
        tmp_path, collection, rerankers=[{"tests.support.fakes:MissingReranker": {"name": "gone"}}]
    )
    assert "failed: no FAKE_API_KEY. export FAKE_API_KEY=..." in output


@pytest.mark.parametrize(
    ("option", "place"),
    [
        ("--depth", "'depth' is a key of the suite: it belongs at the top level of the suite"),
        ("--chunk-pairs", "'chunk_pairs' is a key of the suite"),
        ("--rounds", "'rounds' is a key of the suite: it belongs under latency"),
    ],
)
@pytest.mark.parametrize("command", ["run", "validate"])
def test_a_key_of_the_suite_is_no_option(command: str, option: str, place: str) -> None:
    done = CliRunner().invoke(cli, [command, "tiny.yaml", option, "5"])
    assert done.exit_code == 2
    assert f"No such option '{option}': {place}" in done.output


def test_an_option_that_no_suite_has_gets_the_usual_message() -> None:
    done = CliRunner().invoke(cli, ["run", "tiny.yaml", "--devic", "cpu"])
    assert "--device" in done.output
    assert "suite" not in done.output.rpartition("Error:")[2]
