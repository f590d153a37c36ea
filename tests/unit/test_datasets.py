"""Datasets: every loader on real files, and what it says about bad ones."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench import datasets
from bench.core.errors import DataError, SuiteError, Unavailable
from bench.core.note import Code, Notes
from bench.datasets import embedded, irds
from bench.datasets.base import Dataset
from bench.datasets.document_rows import DocumentRows, read_documents
from bench.datasets.files import read_folder
from bench.datasets.lines import numbered_lines
from bench.datasets.memory import MemoryDocuments
from tests.support.notes import counts, noted

DOCS: list[dict[str, Any]] = [
    {"doc_id": "d1", "title": "Cats", "text": "Cats purr."},
    {"doc_id": "d2", "text": "Dogs bark.", "url": "u", "year": 3},
    {"doc_id": "d3", "title": "Birds", "text": "Birds sing."},
]
QUERIES = "q1\twhat purrs\nq2\twhat barks\n"
QRELS = "q1 0 d1 3\nq1 0 d2 0\nq2 0 d2 1\n"
Write = Callable[..., Path]


def jsonl(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def folder(tmp_path: Path) -> Write:
    def write(**files: str | bytes) -> Path:
        """A collection in tmp_path/pets; a keyword such as docs_jsonl replaces that file's
        content.
        """
        content: dict[str, str | bytes] = {
            "docs_jsonl": jsonl(DOCS),
            "queries_tsv": QUERIES,
            "qrels_txt": QRELS,
            **files,
        }
        root = tmp_path / "pets"
        root.mkdir()
        for name, data in content.items():
            (root / name.replace("_", ".", 1)).write_bytes(
                data if isinstance(data, bytes) else data.encode()
            )
        return tmp_path

    return write


def test_documents_of_which_none_has_the_text_of_the_template_are_noted(folder: Write) -> None:
    rows = [{"doc_id": row["doc_id"], "title": "t", "txt": row["text"]} for row in DOCS]
    dataset = datasets.load("files:pets", None, folder(docs_jsonl=jsonl(rows)), 42)
    note = noted(dataset.warnings, Code.NO_TEXT_FIELD)
    assert note.count == len(DOCS)
    assert note.names == {"file": "docs.jsonl", "fields": "title, txt"}


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    root = tmp_path / "pets"
    (root / "qrels").mkdir(parents=True)
    (root / "corpus.jsonl").write_text(
        jsonl(
            [
                {"_id": row["doc_id"], "title": row.get("title", ""), "text": row["text"]}
                for row in DOCS
            ]
        )
    )
    (root / "queries.jsonl").write_text(
        jsonl([{"_id": f"q{i}", "text": f"query {i}", "metadata": {}} for i in (1, 2, 3)])
    )
    (root / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t2\n")
    (root / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\nq3\td3\t1\n")
    return tmp_path


def load(
    base: Path,
    options: Mapping[str, Any] | None = None,
    dataset_id: str = "files:pets",
    seed: int = 42,
) -> Dataset:
    return datasets.load(dataset_id, options, base, seed)


class TestFiles:
    def test_our_layout(self, folder: Write) -> None:
        dataset = load(folder())
        assert dataset.id == "pets"
        assert dict(dataset.queries) == {"q1": "what purrs", "q2": "what barks"}
        assert {q: dict(grades) for q, grades in dataset.qrels.items()} == {
            "q1": {"d1": 3, "d2": 0},
            "q2": {"d2": 1},
        }
        assert list(dataset.documents.ids()) == ["d1", "d2", "d3"]
        assert dataset.documents.get(["d2", "d1"]) == [
            {"text": "Dogs bark.", "url": "u"},
            {"title": "Cats", "text": "Cats purr."},
        ]
        assert dataset.texts(["d1", "d2"]) == ["Cats Cats purr.", "Dogs bark."]
        assert (dataset.min_relevance, dataset.warnings) == (1, ())

    def test_identity_counts_and_names_the_folder_only(self, folder: Write) -> None:
        base = folder()
        identity = dict(load(base).identity)
        assert {
            key: identity[key]
            for key in ("id", "documents", "queries", "judgments", "corpus_hash_kind")
        } == {
            "id": "files:pets",
            "documents": 3,
            "queries": 2,
            "judgments": 3,
            "corpus_hash_kind": "content",
        }
        assert str(base) not in json.dumps(identity)

    def test_identity_ignores_order_and_form_but_not_content(
        self, folder: Write, tmp_path: Path
    ) -> None:
        first = load(folder()).identity
        other = tmp_path / "other" / "pets"
        other.mkdir(parents=True)
        (other / "docs.jsonl.gz").write_bytes(
            gzip.compress(jsonl(DOCS[::-1]).replace("\n", "\r\n").encode("utf-8-sig"))
        )
        (other / "queries.tsv").write_text("".join(QUERIES.splitlines(keepends=True)[::-1]))
        (other / "qrels.txt").write_text("".join(QRELS.splitlines(keepends=True)[::-1]))
        assert load(tmp_path / "other").identity == first
        (other / "qrels.txt").write_text(QRELS.replace("d1 3", "d1 2"))
        changed = load(tmp_path / "other").identity
        assert {key for key in first if first[key] != changed[key]} == {"qrels_hash"}

    def test_beir_takes_the_test_split_and_its_queries(self, beir: Path) -> None:
        dataset = load(beir)
        assert dict(dataset.queries) == {"q1": "query 1", "q2": "query 2"}
        assert dataset.qrels["q2"] == {"d2": 2}
        assert dataset.texts(["d1"]) == ["Cats Cats purr."]
        dev = load(beir, dataset_id="files:pets#dev")
        assert (list(dev.queries), dev.id, dev.identity["id"]) == (
            ["q3"],
            "pets#dev",
            "files:pets#dev",
        )
        assert dev.identity["corpus_hash"] == dataset.identity["corpus_hash"]

    def test_beir_splits(self, beir: Path) -> None:
        with pytest.raises(SuiteError, match="no qrels for split 'tset': did you mean 'test'"):
            load(beir, dataset_id="files:pets#tset")
        (beir / "pets" / "qrels" / "test.tsv").rename(beir / "pets" / "qrels" / "train.tsv")
        with pytest.raises(SuiteError, match="choose a split with #dev or #train"):
            load(beir)
        (beir / "pets" / "qrels" / "dev.tsv").unlink()
        (beir / "pets" / "qrels" / "train.tsv").rename(beir / "pets" / "qrels" / "mini.tsv")
        assert list(load(beir).queries) == ["q1", "q2"]

    def test_a_folder_name_may_hold_a_hash_sign(self, folder: Write) -> None:
        base = folder()
        (base / "pets").rename(base / "pets#2")
        assert load(base, dataset_id="files:pets#2").id == "pets#2"

    def test_a_split_of_our_layout_is_refused(self, folder: Write) -> None:
        with pytest.raises(SuiteError, match="splits belong to BEIR's layout"):
            load(folder(), dataset_id="files:pets#test")

    @pytest.mark.parametrize(
        ("files", "line", "problem"),
        [
            (
                {"docs_jsonl": '{"doc_id": "a", "text": "x"}\n\n{"doc_id": "a", "text": "y"}\n'},
                "docs.jsonl:3",
                "'a' appears a second time",
            ),
            ({"docs_jsonl": '{"doc_id": "a"}\n'}, "docs.jsonl:1", "there is no 'text'"),
            (
                {"docs_jsonl": '{"doc_id": "a", "text": {"en": "x"}}\n'},
                "docs.jsonl:1",
                "'text' must be a string, a number or a list",
            ),
            (
                {"docs_jsonl": '{"name": "a", "text": "x"}\n'},
                "docs.jsonl:1",
                "there is no 'doc_id'",
            ),
            (
                {"docs_jsonl": '[\n{"doc_id": "a", "text": "x"}\n]\n'},
                "docs.jsonl:1",
                "jq -c '.[]' docs.jsonl",
            ),
            (
                {"docs_jsonl": '{\n"doc_id": "a",\n"text": "x"\n}\n'},
                "docs.jsonl:1",
                "jq -c . docs.jsonl",
            ),
            (
                {"docs_jsonl": b"PK\x03\x04rest of an archive"},
                "docs.jsonl",
                "is a zip archive: unpack it",
            ),
            (
                {"docs_jsonl": b"PAR1rest of a table"},
                "docs.jsonl",
                "is a Parquet file: write it as JSON lines",
            ),
            (
                {"docs_jsonl": '{"doc_id": true, "text": "x"}\n'},
                "docs.jsonl:1",
                "'doc_id' must be a string",
            ),
            ({"docs_jsonl": '{"doc_id": "a b", "text": "x"}\n'}, "docs.jsonl:1", "white space"),
            ({"docs_jsonl": '{"doc_id": "", "text": "x"}\n'}, "docs.jsonl:1", "is empty"),
            ({"docs_jsonl": '{"doc_id": "a", "text": "x"\n'}, "docs.jsonl:1", "not valid JSON"),
            ({"docs_jsonl": "[" * 100_000 + "\n"}, "docs.jsonl:1", "not valid JSON"),
            (
                {"docs_jsonl": '["a", "x"]\n'},
                "docs.jsonl:1",
                "expected a JSON object, found a list",
            ),
            (
                {"docs_jsonl": '{"doc_id": "a", "text": "\\ud800"}\n'},
                "docs.jsonl:1",
                "half a character",
            ),
            (
                {"docs_jsonl": b'{"doc_id": "a", "text": "x"}\n{"doc_id": "b", "text": "\xff"}\n'},
                "docs.jsonl:2",
                "not valid UTF-8",
            ),
            ({"docs_jsonl": jsonl(DOCS).encode("utf-16")}, "docs.jsonl:1", "not valid UTF-8"),
            ({"docs_jsonl": "\n"}, "docs.jsonl", "holds no documents"),
            ({"queries_tsv": "q1 what purrs\n"}, "queries.tsv:1", "there is no tab"),
            ({"queries_tsv": "q1\tx\nq1\ty\n"}, "queries.tsv:2", "'q1' appears a second time"),
            ({"queries_tsv": "q1\t \n"}, "queries.tsv:1", "'q1' has no text"),
            ({"queries_tsv": ""}, "queries.tsv", "holds no queries"),
            ({"qrels_txt": "q1 0 d1 1\nq1 0 d1\n"}, "qrels.txt:2", "found 3 column"),
            (
                {"queries_tsv": "q1,what purrs\n"},
                "queries.tsv:1",
                "there is no tab; a file with commas: write it with tabs",
            ),
            ({"queries_tsv": "q1\tx\rq2\ty\n"}, "queries.tsv:1", "lone carriage return"),
            ({"qrels_txt": "q1 0 d1 1\rq2 0 d2 1\r"}, "qrels.txt:1", "lone carriage return"),
            (
                {"docs_jsonl": jsonl(DOCS).replace("\n", "\r")},
                "docs.jsonl:1",
                "lone carriage return",
            ),
            ({"queries_tsv": "q\0001\tx\n"}, "queries.tsv:1", "query id 'q\\x001' holds a null"),
            (
                {"qrels_txt": "q1 0 d1 1\nq1 0 d2 high\n"},
                "qrels.txt:2",
                "grade 'high' is not a number; map words to whole numbers",
            ),
            (
                {"qrels_txt": "q1 0 d1 0.1\n"},
                "qrels.txt:1",
                "grade '0.1' is not a whole number; map gains with the dataset's option",
            ),
            ({"qrels_txt": "q1 0 d1 1_0\n"}, "qrels.txt:1", "grade '1_0' is not a number"),
            ({"qrels_txt": "q1 0 d1 ٣\n"}, "qrels.txt:1", "is not a number"),
            (
                {"qrels_txt": "q1 0 d1 NaN\n"},
                "qrels.txt:1",
                "grade 'NaN' is no grade: leave the row out",
            ),
            ({"qrels_txt": "q1 0 d1 1e999\n"}, "qrels.txt:1", "grade '1e999' is no grade"),
            ({"qrels_txt": f"q1 0 d1 {2**70}\n"}, "qrels.txt:1", "has more than nine digits"),
            ({"qrels_txt": f"q1 0 d1 1{'0' * 5000}\n"}, "qrels.txt:1", "is no grade"),
            (
                {"qrels_txt": "Anfrage Dokument Note\nq1 d1 1\n"},
                "qrels.txt:1",
                "name them query-id, corpus-id, score",
            ),
            ({"qrels_txt": "q1\n"}, "qrels.txt:1", "found 1 column"),
            (
                {"qrels_txt": "q1 0 d1 1\nq1 0 d1 2\n"},
                "qrels.txt:2",
                "judged 2 for query 'q1', and 1 before",
            ),
            ({"qrels_txt": ""}, "qrels.txt", "holds no judgments"),
        ],
    )
    def test_the_first_bad_line_is_named(
        self, folder: Write, files: dict[str, str | bytes], line: str, problem: str
    ) -> None:
        with pytest.raises(DataError) as error:
            load(folder(**files))
        assert f"{line}: " in str(error.value)
        assert problem in str(error.value)
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize(
        "damage",
        [
            lambda data: data[:-9],
            lambda data: b"not gzip",
            lambda data: data[:20] + b"\0\0\0" + data[23:],
        ],
    )
    def test_damaged_gzip(self, folder: Write, damage: Callable[[bytes], bytes]) -> None:
        base = folder()
        (base / "pets" / "docs.jsonl").unlink()
        (base / "pets" / "docs.jsonl.gz").write_bytes(damage(gzip.compress(jsonl(DOCS).encode())))
        with pytest.raises(DataError, match=r"docs\.jsonl\.gz:\d+: not a whole gzip file"):
            load(base)

    def test_what_is_skipped_is_counted(self, folder: Write) -> None:
        base = folder(
            docs_jsonl=jsonl([*DOCS, {"doc_id": "d4", "text": "  "}, {"doc_id": 5, "text": ""}])
            + "\n \n",
            queries_tsv=f"{QUERIES}q3\tnobody judged this\n",
            qrels_txt=f"{QRELS}q1 0 d1 3\nq2 0 gone -1\nq9 0 d1 1\n",
        )
        dataset = load(base)
        assert dataset.qrels["q2"] == {"d2": 1, "gone": -1}
        assert list(dataset.queries) == ["q1", "q2", "q3"]
        assert "q9" not in dataset.qrels
        assert list(dataset.documents.ids())[-1] == "5"
        assert counts(dataset.warnings) == {
            Code.BLANK_LINES: 2,
            Code.REPEATED_JUDGMENTS: 1,
            Code.UNKNOWN_QUERIES: 1,
            Code.UNJUDGED_QUERIES: 1,
            Code.BLANK_DOCUMENTS: 2,
            Code.UNKNOWN_DOCUMENTS: 1,
        }

    def test_qrels_of_other_queries(self, folder: Write) -> None:
        with pytest.raises(
            DataError,
            match="none of its 2 queries has a judgment; the qrels name queries such as '1'",
        ):
            load(folder(qrels_txt="1 0 d1 1\n"))

    def test_missing_files_are_named(self, folder: Write, tmp_path: Path) -> None:
        base = folder()
        (base / "pets" / "qrels.txt").unlink()
        with pytest.raises(
            DataError,
            match=r"docs\.jsonl is there, but no qrels\.txt.*found docs\.jsonl, queries\.tsv",
        ):
            load(base)
        (base / "pets" / "docs.jsonl").unlink()
        with pytest.raises(
            DataError,
            match=r"no collection\. Looked for docs\.jsonl .* or corpus\.jsonl .*; found "
            r"queries\.tsv",
        ):
            load(base)
        with pytest.raises(SuiteError, match=r"there is no folder .*: did you mean 'pets'"):
            load(base, dataset_id="files:pest")

    def test_a_missing_document_is_named(self, folder: Write) -> None:
        with pytest.raises(DataError, match="document 'd9' is not in the collection"):
            load(folder()).texts(["d1", "d9"])


class TestOptions:
    def test_template_name_and_threshold(self, folder: Write) -> None:
        dataset = load(
            folder(), {"name": "My pets", "document": "{title}: {text}", "min_relevance": 2}
        )
        assert (dataset.id, dataset.min_relevance, dataset.template) == (
            "My pets",
            2,
            "{title}: {text}",
        )
        assert dataset.texts(["d1"]) == ["Cats: Cats purr."]
        assert dataset.identity["id"] == "files:pets"

    @pytest.mark.parametrize(
        ("options", "problem"),
        [
            ({"document": "{text"}, "option 'document': expected '}'"),
            ({"document": "text"}, "names no field"),
            ({"document": "{text.upper}"}, "not the plain name of a field"),
            ({"document": "{0}"}, "not the plain name of a field"),
            ({"document": "{text!r}"}, "not the plain name of a field"),
            ({"documnet": "{text}"}, "option 'documnet': unknown key: did you mean 'document'"),
            ({"queries": 0}, "option 'queries'"),
            ({"min_relevance": 0}, "option 'min_relevance'"),
            (
                {"document": "{titel} {text}"},
                "names 'titel', which no document has .*text, title, url",
            ),
            ({"document": "{url}"}, None),
            ("text", "options must be a mapping"),
        ],
    )
    def test_mistakes_are_told(self, folder: Write, options: Any, problem: str | None) -> None:
        base = folder()
        if problem is None:
            assert counts(load(base, options).warnings) == {Code.BLANK_DOCUMENTS: 2}
        else:
            with pytest.raises(SuiteError, match=problem):
                load(base, options)

    def test_a_template_that_leaves_everything_blank(self, folder: Write) -> None:
        with pytest.raises(SuiteError, match="leaves every document blank"):
            load(folder(docs_jsonl='{"doc_id": "d1", "text": "x"}\n'), {"document": "{title}"})

    def test_samples_are_judged_seeded_and_nested(self, folder: Write) -> None:
        names = [f"q{i}" for i in range(200)]
        base = folder(
            queries_tsv="".join(f"{name}\ttext of {name}\n" for name in names),
            qrels_txt="".join(f"{name} 0 d1 1\n" for name in names if int(name[1:]) % 2),
        )
        small, large = load(base, {"queries": 10}), load(base, {"queries": 30})
        assert len(small.queries) == 10
        assert set(small.queries) < set(large.queries)
        assert set(small.qrels) == set(small.queries)
        assert all(int(name[1:]) % 2 for name in large.queries)
        assert list(large.queries) == [name for name in names if name in large.queries]
        assert load(base, {"queries": 10}).identity == small.identity
        assert set(load(base, {"queries": 10}, seed=7).queries) != set(small.queries)
        assert small.identity["queries_hash"] != large.identity["queries_hash"]
        assert len(load(base, {"queries": 500}).queries) == 100
        assert len(load(base).queries) == 200


class TestIds:
    @pytest.mark.parametrize(
        ("dataset_id", "problem"),
        [
            ("fils:pets", "unknown dataset kind 'fils' in 'fils:pets': did you mean 'files'"),
            (
                "pets",
                "'pets' lacks its kind: write embedded:NAME, files:FOLDER, irds:ID or custom:",
            ),
            ("files:", "names nothing"),
            ("custom:no_such_module_here:load", "there is no module 'no_such_module_here'"),
            ("custom:json", "unknown dataset loader 'json'"),
            (
                "custom:posixpath:join",
                "the loader returned a str, not a bench.datasets.base.Dataset",
            ),
        ],
    )
    def test_mistakes_are_told(self, tmp_path: Path, dataset_id: str, problem: str) -> None:
        with pytest.raises(SuiteError, match=problem):
            datasets.load(dataset_id, None, tmp_path)

    def test_options_for_names_the_mistake_without_loading(self) -> None:
        assert datasets.options_for("irds:anything") is datasets.DatasetOptions
        with pytest.raises(SuiteError, match="did you mean 'irds'"):
            datasets.options_for("irsd:x")

    def test_an_outsiders_loader_gets_its_reference(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "outsider_loader.py").write_text(
            "from bench.datasets.base import Dataset\n"
            "from bench.datasets.memory import MemoryDocuments\n"
            "def load(reference, base_dir):\n"
            "    docs = MemoryDocuments({'d': {'text': reference or base_dir.name}})\n"
            "    return Dataset('mine', docs, {'q': 'x'}, {'q': {'d': 3.0}}, {'id': 'mine'}, "
            "min_relevance=3)\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        dataset = datasets.load("custom:outsider_loader:load#some text", {"queries": 1}, tmp_path)
        assert dataset.texts(["d"]) == ["some text"]
        assert dataset.min_relevance == 3
        assert dataset.qrels == {"q": {"d": 3}}
        assert dataset.identity["corpus_hash_kind"] == "content"
        assert datasets.load("custom:outsider_loader:load", None, tmp_path).texts(["d"]) == [
            tmp_path.name
        ]


class TestEmbedded:
    def test_a_folder_beside_the_others(self, folder: Write) -> None:
        root = folder()
        (root / "pets" / "card.md").write_text("# Pets")
        (root / "notes").mkdir()
        assert embedded.names(root) == ["pets"]
        found = embedded.load("pets", Path(), root=root)
        assert (found.id, found.identity["id"], len(found.documents)) == (
            "pets",
            "embedded:pets",
            3,
        )
        assert embedded.card("pets", root) == "# Pets"
        with pytest.raises(SuiteError, match="no embedded collection 'pet': did you mean 'pets'"):
            embedded.load("pet", Path(), root=root)

    def test_a_folder_that_asks_about_the_documents_of_another(self, folder: Write) -> None:
        root = folder()
        (root / "more").mkdir()
        (root / "more" / "documents.txt").write_text("pets\n")
        (root / "more" / "queries.tsv").write_text("m1\tsomething else\n")
        pets = embedded.load("pets", Path(), root=root)
        doc_id = next(pets.documents.ids())
        (root / "more" / "qrels.txt").write_text(f"m1 0 {doc_id} 2\n")
        assert embedded.names(root) == ["more", "pets"]
        more = embedded.load("more", Path(), root=root)
        assert more.queries == {"m1": "something else"}
        assert more.texts([doc_id]) == pets.texts([doc_id])
        assert (more.id, more.identity["id"]) == ("more", "embedded:more")
        (root / "more" / "documents.txt").write_text("pats\n")
        with pytest.raises(SuiteError, match="no embedded collection 'pats': did you mean 'pets'"):
            embedded.load("more", Path(), root=root)

    def test_names_never_fail(self, tmp_path: Path) -> None:
        assert embedded.names(tmp_path / "nowhere") == []
        assert all((embedded.collections() / name).is_dir() for name in datasets.embedded_names())
        with pytest.raises(SuiteError, match="no embedded collection"):
            datasets.load("embedded:no such", None, tmp_path)


@pytest.fixture
def ir_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("IR_DATASETS_HOME", str(tmp_path / "irds"))
    monkeypatch.setenv("IR_DATASETS_DL_TRIES", "1")
    return pytest.importorskip("ir_datasets")


@pytest.fixture
def registered(ir_datasets: Any, tmp_path: Path) -> str:
    """A local collection with two iterations of judgments, known to ir_datasets under the returned
    id.
    """
    (tmp_path / "docs.tsv").write_text(
        "d1\tCats purr.\nd2\tDogs bark.\nd3\tÉmus run.\n", encoding="utf-8"
    )
    (tmp_path / "queries.tsv").write_text("q1\twhat purrs \nq2\twhat barks\n")
    (tmp_path / "qrels.txt").write_text("q1 1 d1 1\nq1 2 d1 2\nq2 1 d2 -2\nq2 1 d9 1\n")
    name = f"local/{tmp_path.name}"
    made = ir_datasets.create_dataset(
        str(tmp_path / "docs.tsv"), str(tmp_path / "queries.tsv"), str(tmp_path / "qrels.txt")
    )
    ir_datasets.registry.register(name, made)
    return name


class TestIrds:
    def test_a_local_collection(self, registered: str, tmp_path: Path) -> None:
        dataset = datasets.load(f"irds:{registered}", None, tmp_path)
        assert dict(dataset.queries) == {"q1": "what purrs", "q2": "what barks"}
        assert {q: dict(grades) for q, grades in dataset.qrels.items()} == {
            "q1": {"d1": 2},
            "q2": {"d2": -2, "d9": 1},
        }
        assert dataset.texts([]) == []
        assert dataset.texts(["d3", "d1", "d3"]) == ["Émus run.", "Cats purr.", "Émus run."]
        assert list(dataset.documents.ids()) == ["d1", "d2", "d3"]
        assert (len(dataset.documents), dataset.min_relevance, dict(dataset.extras)) == (3, 1, {})
        noted = counts(dataset.warnings)
        assert (noted[Code.JUDGED_AGAIN], noted[Code.UNKNOWN_DOCUMENTS]) == (1, 1)

    def test_the_same_content_has_the_same_hashes_as_files(
        self, registered: str, folder: Write, tmp_path: Path
    ) -> None:
        docs = [("d1", "Cats purr."), ("d2", "Dogs bark."), ("d3", "Émus run.")]
        base = folder(docs_jsonl=jsonl([{"doc_id": doc_id, "text": text} for doc_id, text in docs]))
        mine, theirs = (
            load(base).identity,
            datasets.load(f"irds:{registered}", None, tmp_path).identity,
        )
        assert (mine["corpus_hash"], mine["queries_hash"]) == (
            theirs["corpus_hash"],
            theirs["queries_hash"],
        )

    @pytest.mark.parametrize("missing", ["d9", "a-much-longer-identifier-than-any", "é", ""])
    def test_a_missing_document_is_named(
        self, registered: str, tmp_path: Path, missing: str
    ) -> None:
        dataset = datasets.load(f"irds:{registered}", None, tmp_path)
        with pytest.raises(DataError, match=f"document '{missing}' is not in irds:{registered}"):
            dataset.documents.get(["d1", missing])

    def test_unknown_and_incomplete_ids(self, ir_datasets: Any, tmp_path: Path) -> None:
        with pytest.raises(SuiteError, match="did you mean beir/scifact"):
            datasets.load("irds:beir/scifct", None, tmp_path)
        with pytest.raises(
            SuiteError,
            match=r"has no queries and no qrels; choose a subset, such as msmarco-passage/dev",
        ):
            datasets.load("irds:msmarco-passage", None, tmp_path)

    def test_what_cannot_be_downloaded_is_unavailable(
        self, ir_datasets: Any, tmp_path: Path
    ) -> None:
        util, formats = ir_datasets.util, ir_datasets.formats
        nowhere = util.Download(
            [util.RequestsDownload("http://127.0.0.1:9/queries.tsv")], tmp_path / "q.tsv"
        )
        docs, qrels = (
            util.LocalDownload(tmp_path / "no" / name) for name in ("docs.tsv", "qrels.txt")
        )
        made = ir_datasets.Dataset(
            formats.TsvDocs(docs), formats.TsvQueries(nowhere), formats.TrecQrels(qrels, {})
        )
        name = f"local/{tmp_path.name}"
        ir_datasets.registry.register(name, made)
        with pytest.raises(Unavailable, match=f"dataset not reachable. irds:{name}") as error:
            datasets.load(f"irds:{name}", None, tmp_path)
        assert error.value.reason == "dataset not reachable"
        assert "\n" not in str(error.value)

    def test_data_that_ir_datasets_cannot_read(self, registered: str, tmp_path: Path) -> None:
        (tmp_path / "qrels.txt").write_text("q1 1 d1 high\n")
        with pytest.raises(DataError, match=f"irds:{registered}: ir_datasets cannot read it.*high"):
            datasets.load(f"irds:{registered}", None, tmp_path)

    def test_fields_keep_their_names_and_text_is_made_once(self, ir_datasets: Any) -> None:
        from ir_datasets.datasets.clinicaltrials import ClinicalTrialsDoc
        from ir_datasets.formats import TitleUrlTextDoc, TrecParsedDoc

        assert irds.doc_fields(TitleUrlTextDoc("d", "T", "u", "x")) == {
            "title": "T",
            "url": "u",
            "text": "x",
        }
        parsed = irds.doc_fields(TrecParsedDoc("d", "The title", "The body", b"<doc>"))
        assert parsed == {"title": "The title", "body": "The body", "text": "The body"}
        trial = irds.doc_fields(ClinicalTrialsDoc("d", "T", "C", "S", "D", "E"))
        assert trial["text"] == "C S D E"

    def test_labels_fields_and_queries_that_nobody_judged(
        self, ir_datasets: Any, tmp_path: Path
    ) -> None:
        from typing import NamedTuple

        class Doc(NamedTuple):
            doc_id: str
            text: str
            year: int
            tags: tuple[str, ...]
            extra: dict[str, str]

        class Judgment(NamedTuple):
            query_id: str
            doc_id: str
            relevance: Any
            iteration: str = "0"

        class Docs(ir_datasets.formats.BaseDocs):  # type: ignore[misc]
            rows = (
                Doc("d1", "Cats purr.", 1999, ("pets", "cats"), {}),
                Doc("d2", "Dogs bark.", 2001, (), {}),
            )

            def docs_iter(self) -> Any:
                return iter(self.rows)

            def docs_count(self) -> int:
                return len(self.rows)

            def docs_cls(self) -> Any:
                return Doc

            def docs_store(self) -> Any:
                class Store:
                    def get_many(_, doc_ids: list[str]) -> dict[str, Doc]:  # noqa: N805
                        return {row.doc_id: row for row in self.rows if row.doc_id in doc_ids}

                return Store()

        class Qrels(ir_datasets.formats.BaseQrels):  # type: ignore[misc]
            def qrels_iter(self) -> Any:
                return iter([Judgment("q1", "d1", "E"), Judgment("q1", "d2", "I")])

            def qrels_cls(self) -> Any:
                return Judgment

        (tmp_path / "queries.tsv").write_text("q1\twhat purrs\nq2\twhat barks\n")
        queries = ir_datasets.formats.TsvQueries(
            ir_datasets.util.LocalDownload(tmp_path / "queries.tsv")
        )
        name = f"local/{tmp_path.name}"
        ir_datasets.registry.register(name, ir_datasets.Dataset(Docs(), queries, Qrels()))
        grades = {"E": 2, "I": 0}
        dataset = datasets.load(
            f"irds:{name}", {"grades": grades, "document": "{year} {tags}: {text}"}, tmp_path
        )
        assert dataset.texts(["d1", "d2"]) == ["1999 pets cats: Cats purr.", "2001 : Dogs bark."]
        assert dict(dataset.qrels) == {"q1": {"d1": 2, "d2": 0}}
        assert counts(dataset.warnings) == {Code.UNJUDGED_QUERIES: 1}
        with pytest.raises(
            DataError, match="query 'q1', document 'd1': grade 'E' is not a number; map words"
        ):
            datasets.load(f"irds:{name}", None, tmp_path)
        with pytest.raises(
            DataError, match="field 'extra' of document 'd1' is a dict, which has no text"
        ):
            datasets.load(f"irds:{name}", {"grades": grades, "document": "{extra}"}, tmp_path)

    @pytest.mark.parametrize(
        ("reference", "known"),
        [("beir/arguana", True), ("beir/quora/test", True), ("beir/scifact/test", None)],
    )
    def test_collections_whose_queries_are_documents_are_known(
        self,
        ir_datasets: Any,
        reference: str,
        known: bool | None,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:
        (tmp_path / "docs.tsv").write_text("q1\twhat purrs\nd2\tDogs bark.\n")
        (tmp_path / "queries.tsv").write_text("q1\tother\n")
        (tmp_path / "qrels.txt").write_text("q1 0 d2 1\n")
        names = (str(tmp_path / name) for name in ("docs.tsv", "queries.tsv", "qrels.txt"))
        local = ir_datasets.create_dataset(*names)
        monkeypatch.setattr(irds, "_find", lambda name: local)
        assert irds.load(reference, tmp_path).skip_own is known
        assert datasets.load(f"irds:{reference}", None, tmp_path).skip_own is bool(known)

    def test_official_candidates_and_large_collections(
        self, ir_datasets: Any, tmp_path: Path
    ) -> None:
        """The declared identity, through the real handlers of a collection of millions, of which
        only small files exist here.
        """
        formats, local = ir_datasets.formats, ir_datasets.util.LocalDownload
        (tmp_path / "run.txt").write_text("q1 Q0 d2 1 2.5 x\nq1 Q0 d1 2 1.5 x\n")
        (tmp_path / "docs.tsv").write_text("d1\tCats purr.\nd2\tDogs bark.\n")
        (tmp_path / "queries.tsv").write_text("q1\twhat purrs\n")
        (tmp_path / "qrels.txt").write_text("q1 0 d1 1\n")

        class Large(formats.TsvDocs):  # type: ignore[misc, name-defined]
            def docs_count(self) -> int:
                return 1_000_000

        made = ir_datasets.Dataset(
            Large(local(tmp_path / "docs.tsv")),
            formats.TsvQueries(local(tmp_path / "queries.tsv")),
            formats.TrecQrels(local(tmp_path / "qrels.txt"), {}),
            formats.TrecScoredDocs(local(tmp_path / "run.txt")),
        )
        name = f"local/{tmp_path.name}"
        ir_datasets.registry.register(name, made)
        dataset = datasets.load(f"irds:{name}", None, tmp_path)
        assert dataset.identity["corpus_hash_kind"] == "declared"
        assert (
            dataset.identity["corpus"]
            == f"{name}, 1000000 documents, ir_datasets {ir_datasets.__version__}"
        )
        assert dataset.identity["documents"] == 1_000_000
        assert list(dataset.extras["scoreddocs"]()) == [("q1", "d2", 2.5), ("q1", "d1", 1.5)]
        # judged documents are looked up once that is quick: when something has asked for a document
        (tmp_path / "qrels.txt").write_text("q1 0 d7 1\n")
        assert datasets.load(f"irds:{name}", None, tmp_path).qrels == {"q1": {"d7": 1}}
        assert dataset.texts(["d1"]) == ["Cats purr."]
        with pytest.raises(
            DataError,
            match="none of 1 judged document is in the collection; the qrels name documents such "
            "as 'd7'",
        ):
            datasets.load(f"irds:{name}", None, tmp_path)

    @pytest.mark.parametrize(
        ("reference", "grade"),
        [
            ("msmarco-passage/trec-dl-2019/judged", 2),
            ("msmarco-passage-v2/trec-dl-2021", 2),
            ("msmarco-document/trec-dl-2019", 1),
            ("beir/scifact/test", 1),
        ],
    )
    def test_threshold_of_the_deep_learning_tracks(self, reference: str, grade: int) -> None:
        assert irds.default_min_relevance(reference) == grade


def test_names_and_options_import_nothing_heavy() -> None:
    code = (
        "import sys; from bench import datasets, retrieval; datasets.embedded_names(); "
        "datasets.options_for('irds:x');"
        "[retrieval.options_for(name) for name in retrieval.TABLE];"
        "print(sorted({'numpy', 'pandas', 'pyarrow', 'bm25s', 'Stemmer', 'ir_datasets', 'torch'} "
        "& set(sys.modules)))"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )


def test_documents_in_memory_follow_the_mapping() -> None:
    documents = MemoryDocuments({"b": {"text": "1"}, "a": {"text": "2"}})
    assert (len(documents), list(documents.ids()), list(documents)) == (
        2,
        ["b", "a"],
        [("b", {"text": "1"}), ("a", {"text": "2"})],
    )


def test_a_number_too_large_for_64_bits_is_none() -> None:
    rows = DocumentRows(Path("docs.jsonl"))
    for doc_id, value in (("a", 3), ("b", 10**400), ("c", float("inf"))):
        rows.add_number(doc_id, "price", value)
    assert rows.numbers == {"price": {"a": 3.0}}


def test_lines_lose_their_ends_and_keep_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(b"\xef\xbb\xbfone \r\n\r\n\xef\xbb\xbftwo\n \n\tthree\xc2\x85more")
    notes = Notes()
    assert list(numbered_lines(path, notes)) == [(1, "one "), (3, "two"), (5, "\tthree\x85more")]
    assert counts(notes.all()) == {Code.BLANK_LINES: 2}


ids = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1, max_size=12
).filter(lambda text: text.split() == [text] and not text.startswith("\ufeff"))
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
line_texts = st.text(
    st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=40
).filter(str.strip)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    docs=st.dictionaries(
        ids,
        st.fixed_dictionaries({"text": texts}, optional={"title": texts, "other": texts}),
        min_size=1,
        max_size=8,
    ),
    queries=st.dictionaries(ids, line_texts, min_size=1, max_size=5),
    grades=st.lists(st.integers(-5, 9), min_size=1, max_size=10),
    form=st.tuples(st.booleans(), st.booleans(), st.booleans(), st.booleans()),
)
def test_whatever_is_written_is_read(
    tmp_path: Path,
    docs: dict[str, dict[str, str]],
    queries: dict[str, str],
    grades: list[int],
    form: tuple[bool, bool, bool, bool],
) -> None:
    zipped, windows, marked, escaped = form
    pairs = [(query_id, doc_id) for query_id in queries for doc_id in docs]
    qrels = dict(zip(pairs, grades, strict=False))
    content = {
        "docs.jsonl": "\n".join(
            json.dumps({"doc_id": doc_id, **fields}, ensure_ascii=escaped)
            for doc_id, fields in docs.items()
        ),
        "queries.tsv": "\n".join(f"{query_id}\t{text}" for query_id, text in queries.items())
        + "\n",
        "qrels.txt": "\n".join(
            f"{query_id} 0\t{doc_id}  {grade}" for (query_id, doc_id), grade in qrels.items()
        )
        + "\n",
    }
    for name, text in content.items():
        data = (text.replace("\n", "\r\n") if windows else text).encode(
            "utf-8-sig" if marked else "utf-8"
        )
        for path, wanted in ((tmp_path / name, not zipped), (tmp_path / f"{name}.gz", zipped)):
            if wanted:
                path.write_bytes(gzip.compress(data) if zipped else data)
            else:
                path.unlink(missing_ok=True)
    found = read_folder(tmp_path, "", "files")
    assert dict(found.documents) == docs
    assert found.queries == {query_id: text.strip() for query_id, text in queries.items()}
    assert {
        (q, d): grade for q, grades_ in found.qrels.items() for d, grade in grades_.items()
    } == qrels
    assert found.warnings == ()


@pytest.mark.parametrize("value", ["NaN", "1e999", "[1, -Infinity]"])
def test_a_text_that_is_no_number_is_refused(tmp_path: Path, value: str) -> None:
    path = tmp_path / "docs.jsonl"
    path.write_text(f'{{"doc_id": "d1", "text": {value}}}\n{{"doc_id": "d2", "text": "a"}}\n')
    notes = Notes()
    rows = read_documents(path, notes, ["text"])
    assert list(rows.documents) == ["d2"]
    with pytest.raises(DataError, match=r"docs\.jsonl:1: 'text' must be a string, a number"):
        rows.check({"d1"}, notes)


def test_a_file_of_ids_leaves_their_queries_alone(tmp_path: Path) -> None:
    whole = datasets.load("embedded:everyday", None, tmp_path)
    names = sorted(whole.qrels)[:2]
    (tmp_path / "ids.txt").write_text(f"{names[1]}\n\n{names[0]}\r\n")
    part = datasets.load("embedded:everyday", {"only": "ids.txt"}, tmp_path)
    assert sorted(part.queries) == names
    assert part.qrels == {name: whole.qrels[name] for name in names}
    assert part.identity["corpus_hash"] == whole.identity["corpus_hash"]
    assert part.identity["qrels_hash"] != whole.identity["qrels_hash"]
    (tmp_path / "ids.txt").write_text("nobody\n")
    with pytest.raises(DataError, match=r"ids\.txt names 1 query .*'nobody'"):
        datasets.load("embedded:everyday", {"only": "ids.txt"}, tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        datasets.load("embedded:everyday", {"only": "none.txt"}, tmp_path)
