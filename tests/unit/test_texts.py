"""What a run keeps of queries, documents and grades, so that its report needs no dataset."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import bench
from bench.records.run import Run
from bench.records.texts import LIMIT, TOP, of_group

FAKE = {"tests.support.fakes:HashReranker": {"name": "fake"}}


def run(collection: Path, tmp_path: Path, **more: Any) -> Run:
    suite = {
        "name": "tiny",
        "datasets": [f"files:{collection}"],
        "rerankers": [FAKE],
        "latency": None,
        "depth": 5,
        **more,
    }
    return bench.run(suite, out=tmp_path / "results")


def test_queries_top_documents_and_grades_are_kept(collection: Path, tmp_path: Path) -> None:
    finished_run = run(collection, tmp_path)
    queries = finished_run.queries.set_index("query")["text"]
    assert queries.to_dict() == {
        "q1": "apple",
        "q2": "banana",
        "q3": "cherry number2",
        "q4": "grape",
        "q5": "zzzz",
    }
    ranked = {
        doc
        for record in finished_run.records
        for ranking in finished_run.ranking(record).values()
        for doc in ranking.doc_ids[:TOP]
    }
    assert set(finished_run.documents["document"]) == ranked
    assert (
        finished_run.documents.set_index("document")["text"]["d00"] == "Note 0 apple banana number0"
    )
    grades = {(row.query, row.document): row.grade for row in finished_run.judgments.itertuples()}
    assert grades[("q1", "d00")] == 3
    assert grades[("q2", "d01")] == 2
    lines = (collection / "qrels.txt").read_text().splitlines()
    judged = {(line.split()[0], line.split()[2]) for line in lines}
    assert set(grades) == {pair for pair in judged if pair[0] in set(queries.index)}, (
        "those that nobody retrieved, too"
    )


def test_private_texts_stay_out_when_the_suite_says_so(collection: Path, tmp_path: Path) -> None:
    finished_run = run(collection, tmp_path, store_texts=False)
    assert finished_run.queries.empty
    assert finished_run.documents.empty
    assert not finished_run.judgments.empty
    for path in finished_run.folder.rglob("*"):
        assert path.is_dir() or b"cherry" not in path.read_bytes(), path


def test_two_first_stages_over_one_dataset_share_its_texts(
    collection: Path, tmp_path: Path
) -> None:
    given = tmp_path / "given.run"
    given.write_text("q1 Q0 d03 1 9 x\nq1 Q0 d05 2 8 x\n")
    stages = ["bm25", {"run": {"path": str(given), "name": "given"}}]
    finished_run = run(collection, tmp_path, first_stages=stages)
    assert not finished_run.documents.duplicated(["dataset", "document"]).any()
    assert not finished_run.queries.duplicated(["dataset", "query"]).any()
    assert not finished_run.judgments.duplicated(["dataset", "query", "document"]).any()
    assert "d05" in set(finished_run.documents["document"])


def test_a_resumed_run_keeps_the_texts_of_its_finished_groups(
    collection: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for path in collection.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    both = [f"files:{collection}", f"files:{other}"]
    first = run(collection, tmp_path, datasets=both)
    before = {name: getattr(first, name) for name in ("queries", "documents", "judgments")}
    info = json.loads((first.folder / "run.json").read_text()) | {
        "status": "running",
        "finished": None,
    }
    (first.folder / "run.json").write_text(json.dumps(info))
    (first.folder / "records" / "other--bm25--oracle.json").unlink()
    again = run(collection, tmp_path, datasets=both)
    assert again.folder == first.folder
    for name, table in before.items():
        assert sorted(getattr(again, name).itertuples(index=False)) == sorted(
            table.itertuples(index=False)
        )
        assert set(table["dataset"]) == {"tiny", "other"}


def test_an_older_run_has_empty_tables(collection: Path, tmp_path: Path) -> None:
    finished_run = run(collection, tmp_path)
    for name in ("queries", "documents", "judgments"):
        shutil.rmtree(finished_run.folder / name)
        assert getattr(Run(finished_run.folder), name).empty


def test_only_top_documents_are_kept_each_cut_and_storable() -> None:
    docs = [f"d{i:02}" for i in range(30)]
    words = dict(
        zip(
            docs,
            [*(f"{name} {'x' * 2000}" for name in docs[:-1]), "half \ud800 a character"],
            strict=True,
        )
    )
    judged = {"q": {"d29": 2, "d03": 0, "elsewhere": 1}}
    tops = [docs[::-1][:TOP]]
    found = of_group(
        "set",
        {"q": "query"},
        judged,
        [("q", docs)],
        tops,
        lambda doc_ids: [words[doc_id] for doc_id in doc_ids],
    )
    texts = {doc: text for _, doc, text in found.documents}
    assert set(texts) == {*docs[:TOP], *docs[-TOP:]}
    assert all(len(text) <= LIMIT for text in texts.values())
    assert texts["d00"].endswith("…")
    assert texts["d29"] == "half ? a character"
    assert sorted(found.judgments) == [
        ("set", "q", "d03", 0),
        ("set", "q", "d29", 2),
        ("set", "q", "elsewhere", 1),
    ]


@pytest.mark.parametrize("name", ["queries", "documents", "judgments"])
def test_a_damaged_table_is_one_clear_error(collection: Path, tmp_path: Path, name: str) -> None:
    from bench.core.errors import RecordError

    finished_run = run(collection, tmp_path)
    [path] = (finished_run.folder / name).iterdir()
    path.write_bytes(b"not parquet")
    with pytest.raises(RecordError, match=rf"{name}/{path.name}: cannot be read"):
        getattr(Run(finished_run.folder), name)
