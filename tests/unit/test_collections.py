"""Collections as they circulate: what is read, what is counted, and what is refused in one line."""

from __future__ import annotations

import bz2
import json
import lzma
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import bench
from bench import datasets
from bench.core.errors import BenchError, DataError, SuiteError
from bench.core.note import Code
from bench.core.wording import worded
from bench.datasets.base import Dataset
from tests.support.notes import counts, noted

TEXTS = {"d1": "Cats purr.", "d2": "Dogs bark.", "d3": "Birds sing."}
QUERIES = "q1\twhat purrs\nq2\twhat barks\n"
QRELS = "q1 0 d1 2\nq1 0 d2 0\nq2 0 d2 1\n"


def jsonl(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


DOCS = jsonl([{"doc_id": doc_id, "text": text} for doc_id, text in TEXTS.items()])


def pets(tmp_path: Path, files: Mapping[str, str | bytes | None] | None = None) -> Path:
    """The folder tmp_path/pets; a file given as None is left out."""
    contents = {"docs.jsonl": DOCS, "queries.tsv": QUERIES, "qrels.txt": QRELS, **(files or {})}
    for name, content in contents.items():
        path = tmp_path / "pets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is not None:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return tmp_path


def load(base: Path, **options: Any) -> Dataset:
    return datasets.load("files:pets", options, base)


def qrels_of(dataset: Dataset) -> dict[str, dict[str, int]]:
    return {query_id: dict(grades) for query_id, grades in dataset.qrels.items()}


@pytest.mark.parametrize("name", ["docs.jsonl", "queries.tsv", "qrels.txt"])
def test_files_joined_with_their_byte_order_marks(tmp_path: Path, name: str) -> None:
    whole = {"docs.jsonl": DOCS, "queries.tsv": QUERIES, "qrels.txt": QRELS}[name]
    marked = "".join(f"\ufeff{line}" for line in whole.splitlines(keepends=True))
    found, plain = load(pets(tmp_path, {name: marked})), load(pets(tmp_path))
    assert (dict(found.queries), qrels_of(found), list(found.documents)) == (
        dict(plain.queries),
        qrels_of(plain),
        list(plain.documents),
    )


def test_a_name_twice_in_a_row_with_different_values_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"docs\.jsonl:4: field 'text' appears twice, with different values"
    ):
        load(pets(tmp_path, {"docs.jsonl": DOCS + '{"doc_id": "d4", "text": "a", "text": "b"}\n'}))
    assert (
        len(
            load(
                pets(
                    tmp_path, {"docs.jsonl": DOCS + '{"doc_id": "d4", "text": "a", "text": "a"}\n'}
                )
            ).documents
        )
        == 4
    )


class TestJudgments:
    WANTED = {"q1": {"d1": 2, "d2": 0}, "q2": {"d2": 1}}  # noqa: RUF012

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("qrels.txt", "q1 0 d1 2.0\nq1 0 d2 0.\nq2 0 d2 1e0\n"),
            ("qrels.txt", "q1 0 d1 2.000000000000000000e+00\nq1 0 d2 -0.0\nq2 0 d2 +1\n"),
            ("qrels.txt", "q1 d1 2\nq1 d2 0\nq2 d2 1\n"),
            ("qrels.txt", "\ufeffq1\t0\td1\t2\r\nq1\t0\td2\t0\r\nq2\t0\td2\t1\r\n"),
            ("qrels.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\nq2\td2\t1\n"),
            ("qrels.tsv", "rel\tdocid\tqid\n2\td1\tq1\n0\td2\tq1\n1\td2\tq2\n"),
            ("qrels.tsv", "topic iteration docno relevance\nq1 0 d1 2\nq1 0 d2 0\nq2 0 d2 1\n"),
            ("qrels.tsv", '"qid"\t"docid"\t"rel"\n"q1"\t"d1"\t2\n"q1"\t"d2"\t0\n"q2"\t"d2"\t1\n'),
            ("qrels.csv", "query_id,doc_id,label\nq1,d1,2\nq1,d2,0\nq2,d2,1\n"),
            (
                "qrels.jsonl",
                '{"query-id": "q1", "corpus-id": "d1", "score": 2}\n{"query-id": "q1", '
                '"corpus-id": "d2", "score": 0}\n'
                '{"query-id": "q2", "corpus-id": "d2", "score": 1.0}\n',
            ),
            ("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\nq2\td2\t1\n"),
            (
                "qrels/test.jsonl",
                '{"qid": "q1", "doc_id": "d1", "rel": "2"}\n{"qid": "q1", "doc_id": "d2", "rel": '
                "0}\n"
                '{"qid": "q2", "doc_id": "d2", "rel": 1}\n',
            ),
        ],
    )
    def test_forms_that_mean_the_same(self, tmp_path: Path, name: str, content: str) -> None:
        dataset = load(pets(tmp_path, {"qrels.txt": None, name: content}))
        assert qrels_of(dataset) == self.WANTED
        assert dataset.warnings == ()

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("qrels.txt", "q1 d1\nq2 d2\n"),
            ("qrels.tsv", "query-id\tcorpus-id\nq1\td1\nq2\td2\n"),
            ("qrels.jsonl", '{"qid": "q1", "docid": "d1"}\n{"qid": "q2", "docid": "d2"}\n'),
        ],
    )
    def test_without_grades_all_are_relevant(self, tmp_path: Path, name: str, content: str) -> None:
        dataset = load(pets(tmp_path, {"qrels.txt": None, name: content}))
        assert qrels_of(dataset) == {"q1": {"d1": 1}, "q2": {"d2": 1}}
        assert noted(dataset.warnings, Code.UNGRADED_JUDGMENTS).count == 2
        assert noted(dataset.warnings, Code.RELEVANT_ONLY).count == 2
        assert dataset.relevant_only

    def test_labels_and_gains_become_grades(self, tmp_path: Path) -> None:
        gains = {"qrels.txt": "q1 0 d1 1.0\nq1 0 d3 0.1\nq1 0 d2 0\nq2 0 d2 0.01\n"}
        dataset = load(pets(tmp_path, gains), grades={1: 100, 0.1: 10, "0.01": 1, 0: 0})
        assert qrels_of(dataset) == {"q1": {"d1": 100, "d3": 10, "d2": 0}, "q2": {"d2": 1}}
        labels = {"qrels.txt": "q1 0 d1 E\nq1 0 d2 I\nq2 0 d2 S\n"}
        dataset = load(pets(tmp_path, labels), grades={"E": 3, "S": 2, "I": 0})
        assert qrels_of(dataset) == {"q1": {"d1": 3, "d2": 0}, "q2": {"d2": 2}}
        with pytest.raises(
            DataError, match=r"qrels\.txt:2: grade 'I' is not in the dataset's `grades` \(E, S\)"
        ):
            load(tmp_path, grades={"E": 3, "S": 2})

    @pytest.mark.parametrize(
        ("grades", "problem"),
        [
            ({True: 1}, ": YAML reads a label of grades as true: write it in quotes"),
            (
                {1: 1, "1": 5},
                'label \'1\' is there twice, for grades 1 and 5; 2, "2" and "2.0" are one label',
            ),
            ({}, "needs at least one"),
            ({"a": 0.5}, "integer"),
            ({"a": 10**9}, "nine digits"),
            ([1], "should be a mapping"),
        ],
    )
    def test_a_map_that_is_none(self, tmp_path: Path, grades: Any, problem: str) -> None:
        with pytest.raises(SuiteError, match=problem):
            load(pets(tmp_path), grades=grades)

    @pytest.mark.parametrize(
        "header",
        ["query-id, corpus-id, score", "query-id ,corpus-id , score", "query-id,corpus-id,score"],
    )
    def test_commas_may_have_spaces_next_to_them(self, tmp_path: Path, header: str) -> None:
        text = f"{header}\nq1, d1, 2\nq1, d2, 0\nq2, d2, 1\n"
        assert qrels_of(load(pets(tmp_path, {"qrels.txt": None, "qrels.csv": text}))) == self.WANTED

    def test_semicolons_are_named(self, tmp_path: Path) -> None:
        with pytest.raises(
            DataError,
            match=r"qrels\.csv:1: .*found 1 column; part them by tabs or commas in place of "
            r"semicolons",
        ):
            load(
                pets(
                    tmp_path,
                    {"qrels.txt": None, "qrels.csv": "query-id;corpus-id;score\nq1;d1;2\n"},
                )
            )

    @pytest.mark.parametrize(("label", "written"), [("E", "E"), ("1_0", '"1_0"'), ("yes", '"yes"')])
    def test_the_hint_for_a_label_is_read_back_as_the_label(
        self, tmp_path: Path, label: str, written: str
    ) -> None:
        with pytest.raises(DataError, match=f"grades: {{{written}: 1}}"):
            load(pets(tmp_path, {"qrels.txt": QRELS.replace("q2 0 d2 1", f"q2 0 d2 {label}")}))

    def test_a_threshold_above_every_grade(self, tmp_path: Path) -> None:
        base = pets(tmp_path)
        with pytest.raises(
            SuiteError, match=r"pets: min_relevance 3 is above every grade \(the highest is 2\)"
        ):
            load(base, min_relevance=3)
        note = noted(load(base, min_relevance=2).warnings, Code.WITHOUT_RELEVANT)
        assert (note.count, note.names["grade"]) == (1, "2")

    def test_no_positive_grade(self, tmp_path: Path) -> None:
        with pytest.raises(
            DataError, match=r"no judgment has a positive grade \(they go from -1 to 0\)"
        ):
            load(pets(tmp_path, {"qrels.txt": "q1 0 d1 0\nq2 0 d2 -1\n"}))


class TestDocuments:
    @pytest.mark.parametrize(
        "rows",
        [
            [{"id": "d1", "contents": "Cats purr."}],
            [{"_id": "d1", "body": "Cats purr."}],
            [{"docno": "d1", "passage": "Cats purr."}],
            [{"docid": "d1", "text": ["Cats", "purr."]}],
            [{"doc_id": " d1 ", "text": "Cats purr.", "title": None}],
        ],
    )
    def test_names_that_circulate(self, tmp_path: Path, rows: list[dict[str, Any]]) -> None:
        more = [{**rows[0], next(iter(rows[0])): "d2"}]
        dataset = load(pets(tmp_path, {"docs.jsonl": jsonl(rows + more)}))
        assert dataset.texts(["d1"]) == ["Cats purr."]

    def test_numbers_and_lists(self, tmp_path: Path) -> None:
        rows: list[dict[str, Any]] = [
            {
                "id": i,
                "title": ["A", "B"],
                "text": 3.5,
                "year": 1999,
                "tags": ["x", 7, None, ["y"]],
                "meta": {},
            }
            for i in (1, 2.0)
        ]
        base = pets(tmp_path, {"docs.jsonl": jsonl(rows), "qrels.txt": "q1 0 1 1\nq2 0 2 1\n"})
        assert load(base).texts(["1", "2"]) == ["A B 3.5", "A B 3.5"]
        assert load(base, document="{year} {tags}").texts(["2"]) == ["1999 x 7 y"]
        with pytest.raises(
            DataError,
            match=r"docs\.jsonl:1: 'meta' must be a string, a number or a list of these, found "
            r"an object",
        ):
            load(base, document="{meta}")

    def test_a_field_that_no_template_names_leaves_the_identity_alone(self, tmp_path: Path) -> None:
        before = load(pets(tmp_path)).identity
        rows = [
            {"doc_id": doc_id, "text": text, "year": 3, "tags": ["a"]}
            for doc_id, text in TEXTS.items()
        ]
        assert load(pets(tmp_path, {"docs.jsonl": jsonl(rows)})).identity == before

    def test_alike_ones_are_counted_and_unlike_ones_refused(self, tmp_path: Path) -> None:
        files = {
            "docs.jsonl": DOCS + DOCS,
            "queries.tsv": QUERIES + QUERIES,
            "qrels.txt": QRELS + QRELS,
        }
        dataset = load(pets(tmp_path, files))
        assert len(dataset.documents) == 3
        codes = (Code.REPEATED_DOCUMENTS, Code.REPEATED_QUERIES, Code.REPEATED_JUDGMENTS)
        assert [noted(dataset.warnings, code).count for code in codes] == [3, 2, 3]
        assert dataset.identity == load(pets(tmp_path)).identity
        with pytest.raises(
            DataError,
            match=r"docs\.jsonl:4: document 'd1' appears a second time, with other contents",
        ):
            load(pets(tmp_path, {"docs.jsonl": DOCS + '{"doc_id": "d1", "text": "other"}\n'}))
        with pytest.raises(
            DataError, match=r"queries\.tsv:3: query 'q1' appears a second time, with another text"
        ):
            load(pets(tmp_path, {"queries.tsv": QUERIES + "q1\tother\n"}))

    def test_a_bad_row_counts_only_where_somebody_needs_it(self, tmp_path: Path) -> None:
        bad = '{"doc_id": "d9"}\n{"text": "nameless"}\n{"doc_id": "a b", "text": "x"}\n'
        dataset = load(
            pets(tmp_path, {"docs.jsonl": DOCS + bad, "queries.tsv": f"{QUERIES}q3\t \n"})
        )
        notes = [note for note in dataset.warnings if note.code == Code.BAD_ROWS]
        rows = [(note.count, note.names["file"], note.names["line"]) for note in notes]
        assert rows == [(1, "queries.tsv", "3"), (3, "docs.jsonl", "4")]
        assert notes[0].text.startswith("query 'q3' has no text")
        assert notes[1].text.startswith("there is no 'text'")
        assert list(dataset.documents.ids()) == ["d1", "d2", "d3"]
        with pytest.raises(DataError, match=r"docs\.jsonl:4: there is no 'text'"):
            load(pets(tmp_path, {"docs.jsonl": DOCS + bad, "qrels.txt": f"{QRELS}q2 0 d9 1\n"}))
        with pytest.raises(DataError, match=r"queries\.tsv:3: query 'q3' has no text"):
            load(
                pets(
                    tmp_path,
                    {"queries.tsv": f"{QUERIES}q3\t \n", "qrels.txt": f"{QRELS}q3 0 d1 1\n"},
                )
            )

    def test_an_empty_document_is_counted(self, tmp_path: Path) -> None:
        rows = '{"doc_id": "d8", "text": null}\n{"doc_id": "d9", "text": ""}\n'
        assert (
            noted(
                load(pets(tmp_path, {"docs.jsonl": DOCS + rows})).warnings, Code.BLANK_DOCUMENTS
            ).count
            == 2
        )


class TestQueries:
    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("queries.tsv", "qid\tquery\nq1\twhat purrs\nq2\twhat barks\n"),
            ("queries.tsv", 'q1\t"what purrs"\nq2\t"what barks"\n'),
            (
                "queries.jsonl",
                jsonl(
                    [
                        {"query_id": "q1", "query": "what purrs"},
                        {"query_id": "q2", "query": "what barks"},
                    ]
                ),
            ),
            (
                "queries.jsonl",
                jsonl(
                    [
                        {"_id": "q1", "text": "what purrs", "metadata": {}},
                        {"_id": "q2", "text": "what barks"},
                    ]
                ),
            ),
        ],
    )
    def test_forms_that_mean_the_same(self, tmp_path: Path, name: str, content: str) -> None:
        dataset = load(pets(tmp_path, {"queries.tsv": None, name: content}))
        assert dict(dataset.queries) == {"q1": "what purrs", "q2": "what barks"}

    def test_single_quotes_around_a_phrase_are_part_of_the_query(self, tmp_path: Path) -> None:
        dataset = load(pets(tmp_path, {"queries.tsv": 'q1\t"what purrs"\nq2\twhat barks\n'}))
        assert dataset.queries["q1"] == '"what purrs"'

    def test_an_id_that_run_files_take_for_a_comment(self, tmp_path: Path) -> None:
        files = {"queries.tsv": "#1\twhat purrs\n", "qrels.txt": "#1 0 d1 1\n"}
        with pytest.raises(
            DataError, match="query id '#1' begins with '#', which marks a comment in run files"
        ):
            load(pets(tmp_path, files))


class TestIdsThatDoNotMeet:
    @pytest.mark.parametrize(
        ("doc_id", "judged", "difference"),
        [
            ("D1", "d1", "upper and lower case"),
            ("7", "007", "leading zeros"),
            ("12", "12.0", "a '.0' at the end"),
            ("d1", "'d1'", "quotes"),
            (unicodedata.normalize("NFD", "é1"), "é1", "the Unicode normal form"),
            ("d1", "d1.txt", "the ending of a file name"),
        ],
    )
    def test_the_difference_is_named(
        self, tmp_path: Path, doc_id: str, judged: str, difference: str
    ) -> None:
        docs = jsonl(
            [{"doc_id": doc_id, "text": "Cats purr."}, {"doc_id": "other", "text": "Dogs bark."}]
        )
        with pytest.raises(
            DataError, match=r"none of 1 judged document is in the collection.*1 agree but for"
        ) as error:
            load(pets(tmp_path, {"docs.jsonl": docs, "qrels.txt": f"q1 0 {judged} 1\n"}))
        assert f"agree but for {difference}" in str(error.value)
        some = load(
            pets(tmp_path, {"docs.jsonl": docs, "qrels.txt": f"q1 0 {judged} 1\nq2 0 other 1\n"})
        )
        note = noted(some.warnings, Code.UNKNOWN_DOCUMENTS)
        assert note.count == 1
        assert f"1 agree but for {difference}" in note.text

    def test_queries_too(self, tmp_path: Path) -> None:
        with pytest.raises(
            DataError,
            match=r"none of its 2 queries has a judgment.*2 agree but for upper and lower case",
        ):
            load(pets(tmp_path, {"qrels.txt": QRELS.replace("q", "Q")}))

    def test_a_corpus_cut_short(self, tmp_path: Path) -> None:
        dataset = load(pets(tmp_path, {"docs.jsonl": DOCS.splitlines()[0] + "\n"}))
        note = noted(dataset.warnings, Code.UNKNOWN_DOCUMENTS)
        assert (note.count, note.total) == (1, 2)
        assert noted(dataset.warnings, Code.UNREACHABLE).count == 1


class TestOwnDocument:
    FILES: dict[str, str | bytes | None] = {  # noqa: RUF012
        "docs.jsonl": '{"doc_id": "q1", "text": "What  purrs"}\n{"doc_id": "d1", "text": "cats: '
        'what purrs"}\n'
        '{"doc_id": "q2", "text": "fish"}\n',
        "qrels.txt": "q1 0 d1 1\n",
        "queries.tsv": "q1\twhat purrs\nq2\tother\n",
    }

    def test_it_is_left_out_where_it_is_the_query(self, tmp_path: Path) -> None:
        dataset = load(pets(tmp_path, self.FILES))
        assert dataset.skip_own
        assert noted(dataset.warnings, Code.OWN_LEFT_OUT).count == 1

    def test_the_options_decide(self, tmp_path: Path) -> None:
        kept = load(pets(tmp_path, self.FILES), own_document="keep")
        assert not kept.skip_own
        assert noted(kept.warnings, Code.OWN_LEFT_IN).count == 1
        assert load(pets(tmp_path), own_document="drop").skip_own

    def test_ids_that_coincide_by_chance_stay(self, tmp_path: Path) -> None:
        files = {
            "qrels.txt": "d1 0 d2 1\nd2 0 d1 1\n",
            "queries.tsv": "d1\twhat purrs\nd2\twhat barks\n",
        }
        assert not load(pets(tmp_path, files)).skip_own


class TestFolders:
    @pytest.mark.parametrize("suffix", [".bz2", ".xz", ".zst"])
    def test_compressed_files(self, tmp_path: Path, suffix: str) -> None:
        import pyarrow as pa

        pack: dict[str, Callable[[bytes], bytes]] = {
            ".bz2": bz2.compress,
            ".xz": lzma.compress,
            ".zst": lambda data: pa.compress(data, "zstd", asbytes=True),
        }
        packed = pack[suffix](DOCS.encode())
        base = pets(tmp_path, {"docs.jsonl": None, f"docs.jsonl{suffix}": packed})
        if suffix == ".zst":
            with pa.CompressedOutputStream(str(base / "pets/docs.jsonl.zst"), "zstd") as file:
                file.write(DOCS.encode())
        assert list(load(base).documents.ids()) == ["d1", "d2", "d3"]
        path = base / f"pets/docs.jsonl{suffix}"
        path.write_bytes(path.read_bytes()[:-9])
        with pytest.raises(
            DataError, match=r"docs\.jsonl.*not a whole .* file .*copy or download it again"
        ):
            load(base)

    def test_the_content_says_how_it_is_compressed(self, tmp_path: Path) -> None:
        assert len(load(pets(tmp_path, {"docs.jsonl": bz2.compress(DOCS.encode())})).documents) == 3

    def test_files_left_unread_are_named(self, tmp_path: Path) -> None:
        dataset = load(pets(tmp_path, {"docs.jsonl.bz2": b"old", "queries.jsonl": "old"}))
        notes = [note for note in dataset.warnings if note.code == Code.UNREAD_FILES]
        assert {note.names["file"]: note.names["unread"] for note in notes} == {
            "docs.jsonl": "docs.jsonl.bz2",
            "queries.tsv": "queries.jsonl",
        }

    def test_a_folder_where_a_file_is_expected(self, tmp_path: Path) -> None:
        base = pets(tmp_path, {"docs.jsonl": None, "docs.jsonl/part": "x"})
        with pytest.raises(DataError, match=r"docs\.jsonl: is a folder, and a file is expected"):
            load(base)

    def test_a_file_where_a_folder_is_expected(self, tmp_path: Path) -> None:
        base = pets(tmp_path)
        for reference in ("pets/docs.jsonl", "pets/docs.jsonl#test"):
            with pytest.raises(SuiteError, match="is a file: name the folder that holds it"):
                datasets.load(f"files:{reference}", None, base)

    def test_mixed_layouts(self, tmp_path: Path) -> None:
        beir = jsonl([{"_id": doc_id, "text": text} for doc_id, text in TEXTS.items()])
        base = pets(tmp_path, {"docs.jsonl": None, "corpus.jsonl": beir})
        assert qrels_of(load(base)) == {"q1": {"d1": 2, "d2": 0}, "q2": {"d2": 1}}


class TestRuns:
    """What a reader of a run is shown of its collection."""

    RUN = "q1 Q0 d1 1 2.5 ours\nq1 Q0 d2 2 1.5 ours\nq2 Q0 d3 1 2.5 ours\nq2 Q0 d2 2 1.5 ours\n"

    def suite(self, base: Path, **more: Any) -> dict[str, Any]:
        (base / "ours.run").write_text(self.RUN)
        return {
            "name": "pets",
            "datasets": [f"files:{base / 'pets'}"],
            "first_stages": [{"run": str(base / "ours.run")}],
            "rerankers": [{"run-file": str(base / "ours.run")}],
            "latency": None,
            **more,
        }

    @pytest.mark.parametrize("absent", [("docs.jsonl",), ("docs.jsonl", "queries.tsv")])
    def test_ids_suffice_where_no_row_reads_texts(
        self, tmp_path: Path, absent: tuple[str, ...]
    ) -> None:
        base = pets(tmp_path, dict.fromkeys(absent))
        run = bench.run(self.suite(base), out=tmp_path / "results")
        values = run.to_frame().set_index("reranker")["nDCG@10"]
        assert (
            values["first-stage"]
            == values["ours"]
            == pytest.approx((1 + 1 / 1.584962500721156) / 2)
        )
        assert run.queries.empty

    @pytest.mark.parametrize(
        ("more", "reader"),
        [
            ({"rerankers": ["word-overlap"]}, "word-overlap"),
            ({"first_stages": ["bm25"]}, "first stage 'bm25'"),
        ],
    )
    def test_a_row_that_reads_texts_is_named(
        self, tmp_path: Path, more: dict[str, Any], reader: str
    ) -> None:
        base = pets(tmp_path, {"docs.jsonl": None})
        with pytest.raises(
            BenchError,
            match=rf"no docs\.jsonl.*found qrels\.txt, queries\.tsv; .*{reader}.* cannot do "
            r"without",
        ):
            bench.run(self.suite(base, **more), out=tmp_path / "results")

    def test_notes_name_their_dataset_and_first_stage_in_every_report(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from bench import reports
        from bench.cli.console import open_console
        from bench.reports import show

        base = pets(
            tmp_path, {"docs.jsonl": DOCS + DOCS, "queries.tsv": "q1\twhat purrs\nq2\tzebra\n"}
        )
        run = bench.run(
            self.suite(base, first_stages=["bm25", {"run": str(base / "ours.run")}]),
            out=tmp_path / "results",
        )
        about_data = "pets: documents repeated alike in docs.jsonl: 3"
        about_bm25 = (
            "pets, bm25: queries that share no term with any document, and get no candidates: 1"
        )
        texts = [worded(note) for note in run.info.warnings]
        assert {about_data, about_bm25} <= set(texts)
        assert texts.count(about_data) == 1
        show(run, open_console())
        texts = [" ".join(capsys.readouterr().out.split())]
        texts += [
            path.read_text() for path in reports.write(run) if path.suffix in (".md", ".html")
        ]
        assert len(texts) == 3
        assert all(about_data in text and about_bm25 in text for text in texts)

    def test_judgments_of_relevant_documents_only_are_one_note(self, tmp_path: Path) -> None:
        from bench.records.rows import rows

        for qrels, note in (
            ("q1 0 d1 1\nq2 0 d2 1\n", False),
            ("q1 0 d1 1\nq2 0 d2 1\nq2 0 d1 0\n", True),
        ):
            run = bench.run(
                self.suite(pets(tmp_path, {"qrels.txt": qrels})), out=tmp_path / "results"
            )
            codes = {noted.code for row in rows(run) for noted in row.notes}
            assert (Code.FEW_JUDGED in codes) == note
            assert (Code.RELEVANT_ONLY in counts(run.info.warnings)) != note

    def test_a_query_is_no_candidate_of_its_own(self, tmp_path: Path) -> None:
        base = pets(tmp_path, TestOwnDocument.FILES)
        suite = self.suite(base, first_stages=["bm25"], rerankers=[], depth=1)
        ranking = bench.run(suite, out=tmp_path / "results").ranking("pets--bm25--first-stage")
        assert ranking["q1"].doc_ids == ("d1",)

    def test_queries_without_candidates_are_counted_whoever_retrieves(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "half_a_stage.py").write_text(
            "from bench.contract.candidates import Candidates, QueryCandidates\n"
            "from bench.retrieval.options import FirstStageOptions\n"
            "class Half:\n"
            "    Options = FirstStageOptions\n"
            "    def __init__(self, options, base_dir): self.name = 'half'\n"
            "    def retrieve(self, dataset, query_ids, depth):\n"
            "        entries = {q: QueryCandidates((), ()) for q in query_ids} | {'q1': "
            "QueryCandidates(('d1',), (1.0,))}\n"
            "        return Candidates(entries, depth, {'first_stage': 'half'})\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        suite = self.suite(pets(tmp_path), first_stages=["half_a_stage:Half"], rerankers=[])
        run = bench.run(suite, out=tmp_path / "results")
        note = noted(run.info.warnings, Code.NO_CANDIDATES)
        assert (note.count, note.where) == (1, "pets, half_a_stage:Half")

    def test_no_candidate_at_all_is_an_error(self, tmp_path: Path) -> None:
        base = pets(tmp_path, {"queries.tsv": "q1\tzebra\nq2\tyak\n"})
        with pytest.raises(
            BenchError, match="pets: none of the 2 judged queries has a candidate from bm25"
        ):
            bench.run(
                self.suite(base, first_stages=["bm25"], rerankers=[]), out=tmp_path / "results"
            )
