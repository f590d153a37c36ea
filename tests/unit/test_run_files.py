"""Run files as they circulate: each form is read as what it is, or refused in one line that names
file, line and the way out.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from bench import retrieval
from bench.contract.candidates import Candidates, QueryCandidates
from bench.core.errors import DataError
from bench.core.note import Code
from bench.datasets.base import Dataset
from bench.datasets.memory import MemoryDocuments
from bench.ranking.trec import read_content, read_run, write_run
from tests.support.notes import counts

ROWS = "q1 Q0 a 1 3.5 t\nq1 Q0 b 2 2.5 t\nq2 Q0 a 1 1 t\n"
CONTENT = {"q1": QueryCandidates(("a", "b"), (3.5, 2.5)), "q2": QueryCandidates(("a",), (1.0,))}
MS_MARCO = "q1\ta\t1\nq1\tb\t2\nq2\ta\t1\n"


def saved(folder: Path, text: str | bytes, name: str = "my.run") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return bytes(sink.getvalue())


@pytest.mark.parametrize(
    ("ending", "kind", "pack"),
    [
        (".gz", "gzip", gzip.compress),
        (".bz2", "bzip2", bz2.compress),
        (".xz", "xz", lzma.compress),
        (".zst", "zstandard", zstd),
    ],
)
def test_a_packed_run_is_read_by_the_ending_of_its_name(
    tmp_path: Path, ending: str, kind: str, pack: Any
) -> None:
    assert read_run(saved(tmp_path, pack(ROWS.encode()), f"my.run{ending}")) == CONTENT
    damaged = saved(tmp_path, pack(ROWS.encode() * 50)[:-9], f"cut.run{ending}")
    with pytest.raises(DataError, match=rf"cut\.run{ending}:1: not a whole {kind} file"):
        read_run(damaged)
    nameless = saved(tmp_path, pack(ROWS.encode()), "nameless.run")
    with pytest.raises(
        DataError, match=rf"nameless\.run: this is a {kind} file: let its name end in {ending}"
    ):
        read_run(nameless)


@pytest.mark.parametrize("data", [b"PK\x03\x04rest", b"PAR1rest", ROWS.encode("utf-16")])
def test_a_file_that_is_no_text_is_named(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(
        DataError, match=r"my\.run: (is a zip archive|is a Parquet file|this is UTF-16): "
    ):
        read_run(saved(tmp_path, data))


@pytest.mark.parametrize("indent", [None, 2])
def test_json_of_scores(tmp_path: Path, indent: int | None) -> None:
    """{query: {document: score}}, as ranx, pytrec_eval and BEIR write it."""
    run = {"q1": {"b": 2.5, "a": 3.5}, "q2": {"a": 1}}
    text = json.dumps(run, indent=indent)
    assert read_run(saved(tmp_path, f"\ufeff\n {text}\n", "my.json")) == CONTENT
    assert read_run(saved(tmp_path, gzip.compress(text.encode()), "my.json.gz")) == CONTENT


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"q": {"a": 1,\n b}}', r"my\.json:2: starts as JSON and is none that can be read"),
        (
            '{"q": [["a", 1]]}',
            "query 'q' has no object of scores: JSON is read as {query id: {document id: score}}",
        ),
        ('{"q": {"a": NaN}}', "query 'q': the score of document 'a' is not a finite number"),
        ('{"q": {"a": true}}', "query 'q': the score of document 'a' is not a finite number"),
        (
            '{"q": {"a": 1%s}}' % ("0" * 400),
            "query 'q': the score of document 'a' is not a finite number",
        ),
        ('{"q": {"a": "1"}}', "query 'q': the score of document 'a' is not a finite number"),
        ('{"q": {"a": 1, "a": 2}}', "query 'q': document 'a' appears a second time"),
        ('{"q": {"a": 1}, "q": {"b": 1}}', "query 'q' appears a second time"),
        ('{"q": {"a b": 1}}', "document 'a b' contains white space"),
        ('{"q": {"a": 1}}\n{"q": {"a": 1}}', r"my\.json:2: starts as JSON"),
        ('{"q": ' + "[" * 100_000, r"my\.json:1: starts as JSON"),
    ],
)
def test_json_that_is_no_run(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        read_run(saved(tmp_path, text, "my.json"))


@pytest.mark.parametrize(
    "text",
    [
        MS_MARCO,
        MS_MARCO.replace("\t", "  "),
        MS_MARCO.replace("\n", "\r\n"),
        "# by us\n" + MS_MARCO,
    ],
)
def test_ms_marcos_three_columns(tmp_path: Path, text: str) -> None:
    content = read_content(saved(tmp_path, text))
    assert {query: ranking.doc_ids for query, ranking in content.by_query.items()} == {
        "q1": ("a", "b"),
        "q2": ("a",),
    }
    assert list(counts(content.warnings("my.run", ["q1", "q2"]))) == [Code.RANKS_ONLY]


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("qid Q0 docid rank score tag\n" + ROWS, 1, "this is a header .*: delete the line"),
        ("qid\tdocid\trank\n" + MS_MARCO, 1, "this is a header .*: delete the line"),
        ("query-id,corpus-id,score\nq1,a,1\n", 1, "this is a header"),
        (
            "q1,Q0,a,1,0.5,t\n",
            1,
            "expected 6 columns .* found 1: part the columns by tabs or spaces in place of commas",
        ),
        (
            "q1 a 1 0.5\n",
            1,
            "found 4: for query id, document id, rank, score: "
            """awk '{print \\$1, "Q0", \\$2, \\$3, \\$4, "run"}'""",
        ),
        ("q1 0 a 1\n", 1, r"found 4: these are the columns of judgments \(qrels\), not of a run"),
        (
            "q1 Q0 a 1 0.5\n",
            1,
            """found 5: the tag is missing: awk '{print \\$0, "run"}' adds one""",
        ),
        ("q1 a 1 0.5 t\n", 1, "found 5: the second column, Q0, is missing"),
        (
            "q1\tQ0\tmy doc\t1\t0.5\tt\n",
            1,
            "found 7: 'my doc' holds a space, which no column of a run can carry",
        ),
        ("q1 Q0 a 1 0.5 my run\n", 1, "found 7: an id or the tag holds a space"),
        (
            ROWS + "q2 Q0 b 2 1,5 t\n",
            4,
            "score '1,5' is not a finite number; write a point before the decimals",
        ),
        (ROWS + "q2 Q0 b 2 inf t\n", 4, "score 'inf' is not a finite number$"),
        (
            "q1 a 0.9\nq1 b 0.8\n",
            1,
            "'0.9' is not the rank 1; with scores in the third column: awk",
        ),
        ("q1 a 2\nq1 b 1\n", 1, "'2' is not the rank 1"),
        (MS_MARCO + "q2 b 3\n", 4, "'3' is not the rank 2"),
        (MS_MARCO + "q2 Q0 b 2 1 t\n", 4, "expected 6 columns"),
        (ROWS + "q2 Q0 a 2 0.5 t\n", 4, "query 'q2' lists document 'a' twice"),
        (ROWS + "q2 Q0 a 1 1 t\nq2 Q0 a 2 0.5 t\n", 5, "query 'q2' lists document 'a' twice"),
    ],
)
def test_what_is_no_run_names_its_line_and_the_way_out(
    tmp_path: Path, text: str, line: int, problem: str
) -> None:
    with pytest.raises(DataError, match=rf"my\.run:{line}: .*{problem}") as caught:
        read_run(saved(tmp_path, text))
    assert "\n" not in str(caught.value)


UNFIT = [char for char in map(chr, range(0x3001)) if char.isspace() and char not in " \t\n"]


@pytest.mark.parametrize("char", [*UNFIT, "\0"])
@pytest.mark.parametrize("form", ["columns", "many blanks", "json"])
def test_an_id_that_no_reader_takes_as_one_word_is_named(
    tmp_path: Path, form: str, char: str
) -> None:
    """White space of any script, ends of lines that are none here, the end of a text in C."""
    for what, row in (("query id", f"q{char}1 Q0 a"), ("doc id", f"q1 Q0 a{char}b")):
        query_id, _, doc_id = row.split(" ")
        text = f"{ROWS}{row} 9 0.1 t\n"
        place = ":4: "
        if form == "many blanks":
            text = text.replace(" ", "  ")
        elif form == "json":
            text = json.dumps({"q0": {"a": 1}, query_id: {doc_id: 1}})
            place = ": "
            what = what.removesuffix(" id").replace("doc", "document")
        with pytest.raises(DataError) as caught:
            read_run(saved(tmp_path, text))
        word = {"query": query_id, "doc": doc_id, "document": doc_id}[what.split(" ")[0]]
        assert f"my.run{place}" in str(caught.value)
        assert f"{what} {word!r} " in str(caught.value)
        assert str(caught.value).isprintable()
        with pytest.raises(DataError, match="id '"):
            write_run(tmp_path / "out.run", {query_id: [(doc_id, 1.0)]}, "tag")
        assert not (tmp_path / "out.run").exists()


def test_lines_that_end_in_carriage_returns_are_named_in_few_words(tmp_path: Path) -> None:
    path = saved(tmp_path, ROWS.replace("\n", "\r") * 500)
    with pytest.raises(DataError, match="lone carriage return") as caught:
        read_run(path)
    assert len(str(caught.value).removeprefix(str(tmp_path))) < 200
    spaced = saved(tmp_path, f"q1\tQ0\tmy{' word' * 500}\t1\t0.5\tt\n")
    with pytest.raises(DataError, match="holds a space") as caught:
        read_run(spaced)
    assert len(str(caught.value).removeprefix(str(tmp_path))) < 300


def test_runs_joined_with_their_byte_order_marks(tmp_path: Path) -> None:
    marked = "".join(f"\ufeff{line}" for line in ROWS.splitlines(keepends=True))
    assert read_run(saved(tmp_path, marked)) == read_run(saved(tmp_path, ROWS, "plain.run"))


def test_lines_that_are_there_twice_alike_are_left_out_and_counted(tmp_path: Path) -> None:
    """As where two parts of a run were put together with an overlap."""
    content = read_content(saved(tmp_path, ROWS + ROWS))
    assert content.by_query == CONTENT
    assert counts(content.warnings("my.run", ["q1"])) == {Code.REPEATED_LINES: 3}


@pytest.mark.parametrize(
    ("rows", "contradicted"),
    [
        ([("a", 1, 0.9), ("b", 2, 0.5)], False),
        ([("b", 2, 0.5), ("a", 1, 0.9)], False),
        ([("a", 1, 0.1), ("b", 2, 0.5)], True),
        ([("a", 0, 0.9), ("b", 0, 0.5)], False),
        ([("a", -2, 0.9), ("b", -1, 0.5)], False),
        ([("a", 5, 0.5), ("b", 6, 0.5), ("c", 7, 0.5)], False),
        ([("a", 3, 0.9), ("b", 1, 0.9), ("c", 2, 0.5)], True),
        ([("a", 1, 0.9), ("b", 2, 0.9), ("c", 2, 0.5)], False),
        ([("a", "first", 0.9), ("b", "-", 0.5)], False),
        ([("a", 1.0, 0.1), ("b", 2.0, 0.5)], True),
    ],
)
def test_ranks_that_contradict_scores(
    tmp_path: Path, rows: list[tuple[str, Any, float]], contradicted: bool
) -> None:
    """A higher score in a lower place. Equal scores contradict no rank, and what is no number
    contradicts nothing.
    """
    lines = "".join(f"q Q0 {doc} {rank} {score} t\n" for doc, rank, score in rows)
    content = read_content(saved(tmp_path, "fine Q0 a 1 1 t\n" + lines))
    assert content.contradicted == ({"q"} if contradicted else set())


class TestCandidates:
    DATA = Dataset(
        "test",
        MemoryDocuments({doc_id: {"text": doc_id} for doc_id in "abcd"}),
        {"q1": "x", "q2": "y", "q3": "z"},
        {"q1": {"a": 1}, "q2": {"a": 1}, "q3": {"a": 1}},
        {},
    )

    def retrieve(self, folder: Path, text: str, depth: int = 2) -> Candidates:
        saved(folder, text)
        return retrieval.build("run", "my.run", folder).retrieve(
            self.DATA, ["q1", "q2", "q3"], depth
        )

    def test_what_is_odd_is_counted(self, tmp_path: Path) -> None:
        candidates = self.retrieve(
            tmp_path,
            "q1 Q0 a 1 0.1 t\nq1 Q0 b 2 0.2 t\nq2 Q0 gone 1 3 t\nq3 Q0 c 1 1 t\nq4 Q0 e 1 1 "
            "t\nq3 Q0 d 1 1 t\n",
        )
        assert {query: ranking.doc_ids for query, ranking in candidates.by_query.items()} == {
            "q1": ("b", "a"),
            "q2": (),
            "q3": ("d", "c"),
        }
        assert counts(candidates.warnings) == {
            Code.FOREIGN_DOCUMENTS: 1,
            Code.FOREIGN_LISTS: 1,
            Code.TIED_CANDIDATES: 2,
            Code.CONTRADICTED: 1,
        }

    def test_a_depth_that_the_run_does_not_reach(self, tmp_path: Path) -> None:
        candidates = self.retrieve(
            tmp_path, "q1 Q0 a 1 1 t\nq2 Q0 b 1 1 t\nq3 Q0 c 1 1 t\nq3 Q0 d 2 0.5 t\n", depth=100
        )
        assert counts(candidates.warnings) == {Code.SHORT_LISTS: 2}

    def test_a_collection_that_lacks_half_of_the_documents_is_another_one(
        self, tmp_path: Path
    ) -> None:
        with pytest.raises(
            DataError,
            match=r"my\.run lists documents that test does not have: 2 of 4, the first is 'x'",
        ):
            self.retrieve(
                tmp_path, "q1 Q0 a 1 1 t\nq2 Q0 b 1 1 t\nq1 Q0 x 2 0.5 t\nq2 Q0 y 2 0.5 t\n"
            )
