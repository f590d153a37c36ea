"""First stages: BM25 against its formula and a published number, run files against a plain reader,
and what is said about bad ones.
"""

from __future__ import annotations

import gzip
import json
import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench import retrieval
from bench.cli.main import cli
from bench.contract.candidates import Candidates, QueryCandidates
from bench.core.cache_dir import cache_dir
from bench.core.errors import DataError, RerankerError, SuiteError
from bench.core.note import Code
from bench.datasets.base import Dataset, Extras
from bench.datasets.memory import MemoryDocuments
from bench.ranking.trec import read_run, write_run
from bench.ranking.trec_order import RepeatedDocument, ranked
from bench.retrieval.base import BaseFirstStage
from bench.retrieval.own_document import candidates_of
from tests.support.notes import counts
from tests.support.paths import ROOT

PETS = {
    "d1": "The cat purred; cats purr.",
    "d2": "A dog barked at the cat",
    "d3": "Dogs bark, dogs barked",
    "d4": "",
    "d5": "A dog barked at the cat",
}


def dataset(
    docs: Mapping[str, str],
    queries: Mapping[str, str],
    template: str = "{text}",
    extras: Extras | None = None,
) -> Dataset:
    rows = {doc_id: {"text": text} for doc_id, text in docs.items()}
    qrels = {query_id: {next(iter(docs)): 1} for query_id in queries}
    identity = {"id": "test", "corpus_hash": json.dumps(docs)}
    return Dataset(
        "test",
        MemoryDocuments(rows),
        queries,
        qrels,
        identity,
        template=template,
        extras=extras or Extras(),
    )


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RERANK_BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def bm25(found: Dataset, depth: int = 10, **options: Any) -> Candidates:
    return retrieval.build("bm25", options, Path()).retrieve(found, list(found.queries), depth)


def lucene(
    docs: Mapping[str, Sequence[str]], query: Sequence[str], k1: float = 0.9, b: float = 0.4
) -> dict[str, float]:
    """BM25 as Lucene computes it, from its textbook formula."""
    average = sum(map(len, docs.values())) / len(docs)
    scores: dict[str, float] = {}
    for term in query:
        df = sum(term in tokens for tokens in docs.values())
        idf = math.log(1 + (len(docs) - df + 0.5) / (df + 0.5))
        for doc_id, tokens in docs.items():
            if tf := Counter(tokens)[term]:
                scores[doc_id] = scores.get(doc_id, 0.0) + idf * tf / (
                    tf + k1 * (1 - b + b * len(tokens) / average)
                )
    return scores


class TestBM25:
    def test_scores_are_those_of_the_formula(self) -> None:
        same = ["dog", "bark", "cat"]
        tokens = {
            "d1": ["cat", "pur", "cat", "purr"],
            "d2": same,
            "d3": ["dog", "bark"] * 2,
            "d4": [],
            "d5": same,
        }
        queries = {"q1": "cats", "q2": "DOGS barking dog", "q3": "purring cat unicorn"}
        candidates = bm25(dataset(PETS, queries))
        for query_id, terms in {
            "q1": ["cat"],
            "q2": ["dog", "bark", "dog"],
            "q3": ["pur", "cat"],
        }.items():
            expected = lucene(tokens, terms)
            got = candidates.by_query[query_id]
            # bm25s adds in float32, the formula here in double precision.
            assert dict(zip(got.doc_ids, got.scores, strict=True)) == pytest.approx(
                expected, rel=1e-5
            )
            assert list(got.doc_ids) == sorted(
                expected, key=lambda doc_id: (round(expected[doc_id], 6), doc_id), reverse=True
            )

    def test_ties_fall_to_the_higher_doc_id_at_any_depth(self) -> None:
        docs = {f"d{i}": "same words here" for i in (3, 10, 1, 2)} | {"a": "nothing shared"}
        for depth in range(1, 7):
            candidates = bm25(dataset(docs, {"q": "same"}), depth)
            assert candidates.by_query["q"].doc_ids == ("d3", "d2", "d10", "d1")[:depth]

    def test_queries_without_any_match_are_empty_and_counted(self) -> None:
        candidates = bm25(
            dataset(PETS, {"q1": "cat", "q2": "?!", "q3": "the of", "q4": "zebra", "q5": ""})
        )
        assert [
            query_id for query_id, given in candidates.by_query.items() if not given.doc_ids
        ] == [
            "q2",
            "q3",
            "q4",
            "q5",
        ]
        noted = counts(candidates.warnings)
        assert (noted[Code.NO_TOKEN], noted[Code.NO_MATCH]) == (3, 1)

    def test_only_the_queries_asked_for(self) -> None:
        stage = retrieval.build("bm25", None, Path())
        candidates = stage.retrieve(dataset(PETS, {"q1": "cat", "q2": "dog"}), ["q2"], 1)
        assert list(candidates.by_query) == ["q2"]
        assert (candidates.depth, len(candidates.by_query["q2"].doc_ids)) == (1, 1)

    def test_everything_that_decides_the_candidates_is_recorded(self) -> None:
        source = dict(
            bm25(
                dataset(PETS, {"q": "cat"}), k1=1.2, stopwords=["a", "the"], depth=5, name="mine"
            ).source
        )
        assert {
            "first_stage",
            "bm25s",
            "PyStemmer",
            "token_pattern",
            "corpus_hash",
            "document",
        } <= set(source)
        wanted = {
            "k1": 1.2,
            "b": 0.4,
            "method": "lucene",
            "stemmer": "english",
            "stopwords": ["a", "the"],
        }
        assert {key: source[key] for key in wanted} == wanted
        assert json.loads(json.dumps(source)) == source

    def test_parameters_matter(self) -> None:
        data = dataset(PETS, {"q": "the cats"})
        assert len(bm25(data, stemmer=None).by_query["q"].doc_ids) == 1
        assert len(bm25(data, stopwords=None).by_query["q"].doc_ids) == 3
        assert bm25(data, stopwords=["the", "cats"]).by_query["q"].doc_ids == ()
        assert bm25(data, token_pattern="(?:the) (cat)").by_query["q"].doc_ids == (
            "d5",
            "d2",
            "d1",
        )
        scores = {
            tuple(bm25(data, **options).by_query["q"].scores)
            for options in ({}, {"k1": 2.0}, {"b": 1.0}, {"method": "atire"})
        }
        assert len(scores) == 4

    def test_chinese_and_japanese_are_cut_into_characters(self) -> None:
        docs = {"zh": "布里斯托尔的人口", "ja": "東京タワーの高さ", "ko": "서울의 인구는"}
        candidates = bm25(
            dataset(docs, {"q1": "人口", "q2": "タワー", "q3": "인구는"}),
            stemmer=None,
            stopwords=None,
        )
        assert [candidates.by_query[query_id].doc_ids for query_id in ("q1", "q2", "q3")] == [
            ("zh",),
            ("ja",),
            ("ko",),
        ]

    def test_a_collection_without_tokens(self) -> None:
        with pytest.raises(DataError, match=r"no document has a word of two letters, such as '.!'"):
            bm25(dataset({"d": "?!"}, {"q": "x"}))
        with pytest.raises(DataError, match=r"a token under the token pattern '\[0-9\]\+'"):
            bm25(dataset({"d": "cat"}, {"q": "x"}), token_pattern="[0-9]+")
        with pytest.raises(DataError, match=r"no text by the template .* fields are text: name"):
            bm25(dataset({"d": " "}, {"q": "x"}))

    @pytest.mark.parametrize(
        ("options", "problem"),
        [
            ({"stemmer": "englsh"}, "no stemmer 'englsh': did you mean 'english'"),
            ({"stopwords": "klingon"}, "no stop words for 'klingon'"),
            ({"k1": -1}, "option 'k1'"),
            ({"b": 1.1}, "option 'b'"),
            ({"method": "bm26"}, "option 'method'"),
            ({"token_pattern": "("}, "not a regular expression"),
            ({"token_pattern": "(a)(b)"}, "more than one group"),
            ({"k2": 1}, "option 'k2': unknown key: did you mean 'k1'"),
            (0.9, "options must be a mapping"),
        ],
    )
    def test_mistakes_are_told(self, options: Any, problem: str) -> None:
        with pytest.raises(SuiteError, match=problem):
            retrieval.build("bm25", options, Path()).retrieve(dataset(PETS, {"q": "cat"}), ["q"], 1)

    def test_order_of_documents_does_not_matter(self) -> None:
        turned = dict(reversed(PETS.items()))
        queries = {"q": "a cat and a dog"}
        first, second = (bm25(dataset(docs, queries)) for docs in (PETS, turned))
        assert first.by_query == second.by_query
        assert first.hash == second.hash


class TestIndexCache:
    QUERIES: ClassVar = {"q": "cat dog"}

    def index(self, cache: Path) -> Path:
        (folder,) = (cache / "bm25").iterdir()
        return folder

    def test_the_second_time_nothing_is_read(self, cache: Path) -> None:
        class Once(MemoryDocuments):
            def __iter__(self) -> Any:
                raise AssertionError("the documents were read again")

        data = dataset(PETS, self.QUERIES)
        first = bm25(data)
        again = Dataset(
            "test", Once({}), data.queries, data.qrels, data.identity, template=data.template
        )
        assert bm25(again) == first
        assert [path.name for path in (cache / "bm25").iterdir()] == [self.index(cache).name]

    @pytest.mark.parametrize("change", [{"template": "x {text}"}, {"docs": {**PETS, "d6": "cat"}}])
    def test_other_texts_get_another_index(self, cache: Path, change: dict[str, Any]) -> None:
        bm25(dataset(PETS, self.QUERIES))
        bm25(dataset(**{"docs": PETS, "queries": self.QUERIES, **change}))
        assert len(list((cache / "bm25").iterdir())) == 2

    def test_other_parameters_get_another_index_and_other_names_do_not(self, cache: Path) -> None:
        for options in ({}, {"name": "x"}, {"depth": 3}, {"b": 0.5}):
            bm25(dataset(PETS, self.QUERIES), **options)
        assert len(list((cache / "bm25").iterdir())) == 2

    def test_any_damage_is_mended(self, cache: Path) -> None:
        data = dataset(PETS, self.QUERIES)
        first = bm25(data)
        files = sorted(path.name for path in self.index(cache).iterdir())
        assert len(files) >= 6
        for name in files:
            for damage in (b"", b"\0" * 2000, None):
                path = self.index(cache) / name
                whole = path.read_bytes()
                if damage is None:
                    path.unlink()
                else:
                    path.write_bytes(damage)
                assert bm25(data) == first
                assert path.read_bytes() == whole

    def test_a_flipped_byte_is_noticed(self, cache: Path) -> None:
        found = dataset(PETS, self.QUERIES)
        first = bm25(found)
        (path,) = self.index(cache).glob("data*.npy")
        data = bytearray(path.read_bytes())
        data[-2] ^= 0x40
        path.write_bytes(data)
        assert bm25(found) == first

    def test_without_a_place_to_write_it_works_and_says_so(self, cache: Path) -> None:
        cache.write_text("a file where the folder should be")
        candidates = bm25(dataset(PETS, self.QUERIES))
        assert candidates.by_query["q"].doc_ids[:2] == ("d5", "d2")
        assert Code.INDEX_NOT_KEPT in counts(candidates.warnings)

    def test_a_corpus_without_a_hash_is_never_taken_for_another(self, cache: Path) -> None:
        for docs in (PETS, {"other": "cat"}):
            made = dataset(docs, self.QUERIES)
            candidates = bm25(
                Dataset("test", made.documents, made.queries, made.qrels, {}, template="{text}")
            )
            assert set(candidates.by_query["q"].doc_ids) <= set(docs)
            assert candidates.by_query["q"].doc_ids
        assert not cache.exists()

    def test_two_processes_at_once(self, cache: Path, tmp_path: Path) -> None:
        code = (
            "from pathlib import Path; import tests.unit.test_first_stage as "
            "t\nprint(t.bm25(t.dataset(t.PETS, {'q': 'cat dog'})).hash)"
        )
        root = ROOT
        env = {**os.environ, "PYTHONPATH": str(root)}
        both = [
            subprocess.Popen(
                [sys.executable, "-c", code], stdout=subprocess.PIPE, env=env, cwd=root
            )
            for _ in range(2)
        ]
        assert len({process.communicate()[0] for process in both}) == 1
        assert [process.returncode for process in both] == [0, 0]
        assert len(list((cache / "bm25").iterdir())) == 1


def test_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_dir("bm25", "x") == tmp_path / "cache" / "bm25" / "x"
    monkeypatch.delenv("RERANK_BENCH_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "rerank-bench"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir("a") == tmp_path / ".cache" / "rerank-bench" / "a"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_dir() == tmp_path / "Library" / "Caches" / "rerank-bench"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache_dir() == tmp_path / "local" / "rerank-bench"
    assert not cache_dir().exists()


RUN = "q1 Q0 d1 1 3.5 t\nq1 Q0 d2 2 2.5 t\nq2 Q0 d1 1 1 t\n"


def saved(tmp_path: Path, content: str | bytes, name: str = "my.run") -> Path:
    data = content if isinstance(content, bytes) else content.encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


class TestReadRun:
    def test_order_is_trec_evals_and_not_the_files(self, tmp_path: Path) -> None:
        lists = read_run(
            saved(
                tmp_path,
                "q2 Q0 a 1 1 t\nq1 Q0 d1 1 1 t\nq1 Q0 d10 2 1.0 t\nq1 Q0 d2 3 1e0 t\nq1 Q0 x 4 7 "
                "t\nq2 Q0 b 9 -1 t\n",
            )
        )
        assert lists == {
            "q2": QueryCandidates(("a", "b"), (1.0, -1.0)),
            "q1": QueryCandidates(("x", "d2", "d10", "d1"), (7.0, 1.0, 1.0, 1.0)),
        }
        assert list(lists) == ["q2", "q1"]

    @pytest.mark.parametrize(
        "content",
        [
            RUN.replace("\n", "\r\n"),
            "\ufeff" + RUN,
            RUN.rstrip("\n"),
            RUN.replace(" ", "\t"),
            RUN.replace(" Q0 ", "  \tQ0\t "),
            "\n\n" + RUN.replace("\n", "\n\n"),
            RUN.replace("\n", " \n"),
            " " + RUN,
            "# ir_metadata.start\n# tag: x\n#\n# ir_metadata.end\n" + RUN,
            "# a\r\n\r\n# b\n" + RUN,
            RUN + "# the end\n",
            RUN.replace("q2", "# a b 1 2.5 x\nq2"),
            RUN.replace("3.5", "+3.50"),
        ],
    )
    @pytest.mark.parametrize("name", ["my.run", "my.run.gz"])
    def test_forms_that_mean_the_same(self, tmp_path: Path, content: str, name: str) -> None:
        assert read_run(saved(tmp_path, content, name)) == {
            "q1": QueryCandidates(("d1", "d2"), (3.5, 2.5)),
            "q2": QueryCandidates(("d1",), (1.0,)),
        }

    @pytest.mark.parametrize("content", ["", "\n", "# only a header\n"])
    def test_empty(self, tmp_path: Path, content: str) -> None:
        assert read_run(saved(tmp_path, content)) == {}

    @pytest.mark.parametrize(
        ("content", "line", "problem"),
        [
            (RUN + "q2 Q0 d2 1 1\n", 4, "expected 6 columns .* found 5"),
            (RUN + "q2 Q0 d2 1 0.5 ", 4, "expected 6 columns .* found 5"),
            ("q1 Q0 d1 1 3 t\rq1 Q0 d2 1 3 t\n", 1, "found 11"),
            (RUN + "q2 Q0 d2 1 0.5 \n", 4, "expected 6 columns .* found 5"),
            (RUN + "q2 Q0 d2 1 0.5 t u\n", 4, "found 7"),
            (RUN + "q2 Q0  d2 1 0.5\n", 4, "found 5"),
            ("# x\n\n" + RUN + "q2 Q0 d2 1 high t\n", 6, "score 'high' is not a finite number"),
            (RUN + "q2 Q0 d2 1 nan t\n", 4, "score 'nan' is not a finite number"),
            (RUN + "q2 Q0 d2 1 -inf t\n", 4, "score '-inf' is not a finite number"),
            (RUN + "q2 Q0 d2 1 1e999 t\n", 4, "score '1e999' is not a finite number"),
            (RUN + "q2 Q0 d2 1 1_0 t\n", 4, "score '1_0' is not a finite number"),
            (
                RUN + "q2 Q0 d1 2 0.5 t\nq2 Q0 d1 3 0.4 t\n",
                4,
                "query 'q2' lists document 'd1' twice",
            ),
            (RUN.encode() + b"q2 Q0 \xff 2 0.5 t\n", 4, "not valid UTF-8"),
        ],
    )
    @pytest.mark.parametrize("name", ["my.run", "my.run.gz"])
    def test_the_bad_line_is_named(
        self, tmp_path: Path, content: str | bytes, line: int, problem: str, name: str
    ) -> None:
        with pytest.raises(DataError, match=rf"{name}:{line}: .*{problem}"):
            read_run(saved(tmp_path, content, name))

    def test_a_file_that_cannot_be_read(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"no\.run: cannot be read: No such file"):
            read_run(tmp_path / "no.run")
        (tmp_path / "half.run.gz").write_bytes(gzip.compress(RUN.encode() * 50)[:-8])
        with pytest.raises(DataError, match=r"half\.run\.gz:\d+: not a whole gzip file"):
            read_run(tmp_path / "half.run.gz")


cells = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1, max_size=6
).filter(lambda text: text.split() == [text] and text[0] not in "#\ufeff")
scores = st.floats(allow_nan=False, allow_infinity=False)
gaps = st.sampled_from([" ", " ", " ", "\t", "  ", " \t "])


def plain_reader(text: str) -> dict[str, list[tuple[float, str]]]:
    """The format in five lines, as an oracle."""
    found: dict[str, list[tuple[float, str]]] = {}
    for line in text.split("\n"):
        if line.strip() and not line.startswith("#"):
            query_id, _, doc_id, _, score, _ = line.split()
            found.setdefault(query_id, []).append((float(score), doc_id))
    return {query_id: sorted(rows, reverse=True) for query_id, rows in found.items()}


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(
        st.tuples(cells, cells, scores | st.sampled_from([0.0, -0.0, 1.0])),
        max_size=25,
        unique_by=lambda row: row[:2],
    ),
    gap=st.lists(gaps, min_size=5, max_size=5) | gaps.map(lambda gap: [gap] * 5),
    end=st.sampled_from(["\n", "\r\n", "\n\n", " \n"]),
    header=st.booleans(),
)
def test_any_run_is_read_as_a_plain_reader_reads_it(
    tmp_path: Path, rows: list[tuple[str, str, float]], gap: list[str], end: str, header: bool
) -> None:
    lines = ["# ir_metadata.start"] * header
    lines += [
        "".join(map("".join, zip((q, "Q0", d, "1", repr(s), "tag"), [*gap, ""], strict=True)))
        for q, d, s in rows
    ]
    text = "".join(line + end for line in lines)
    lists = read_run(saved(tmp_path, text))
    assert {
        q: list(zip(given.scores, given.doc_ids, strict=True)) for q, given in lists.items()
    } == plain_reader(text)


rankings = st.dictionaries(
    cells, st.dictionaries(cells, scores, min_size=1, max_size=8), max_size=6
)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rankings=rankings,
    header=st.none() | st.dictionaries(st.text(max_size=5), st.text(max_size=30), max_size=3),
    zipped=st.booleans(),
)
def test_what_is_written_is_read(
    tmp_path: Path,
    rankings: dict[str, dict[str, float]],
    header: dict[str, str] | None,
    zipped: bool,
) -> None:
    path = tmp_path / ("my.run.gz" if zipped else "my.run")
    ordered = {
        q: sorted(found.items(), key=lambda item: (item[1], item[0]), reverse=True)
        for q, found in rankings.items()
    }
    write_run(path, ordered, "tag", header)
    assert {
        q: list(zip(given.doc_ids, given.scores, strict=True))
        for q, given in read_run(path).items()
    } == ordered


class TestWriteRun:
    def test_the_file_as_others_read_it(self, tmp_path: Path) -> None:
        import ir_measures
        import numpy as np

        path = tmp_path / "new" / "my.run.gz"
        header = {
            "tag": "mine",
            "platform": {"os": "any", "n": 3},
            "long": "word " * 60 + "\nline",
            "path": Path("x"),
            "é": ("a", None),
        }
        ranking: list[tuple[str, Any]] = [("b", np.float64(0.1) * 3), ("a", np.float32(0.1))]
        write_run(path, {"q1": ranking, "empty": []}, "my-tag", header)
        lines = gzip.decompress(path.read_bytes()).decode().splitlines()
        assert lines == [
            f"q1 Q0 b 1 {0.1 * 3!r} my-tag",
            f"q1 Q0 a 2 {float(np.float32(0.1))!r} my-tag",
        ]
        read = yaml.safe_load((path.parent / "my.ir_metadata.yaml").read_text())
        assert read == {**header, "path": "x", "é": ["a", None]}
        plain = tmp_path / "plain.run"
        write_run(plain, {"q1": ranking}, "t")
        assert [(row.doc_id, row.score) for row in ir_measures.read_trec_run(str(plain))] == [
            ("b", 0.1 * 3),
            ("a", float(np.float32(0.1))),
        ]

    def test_equal_input_gives_equal_bytes_and_replaces_the_file(self, tmp_path: Path) -> None:
        first, second = tmp_path / "a.run.gz", tmp_path / "other-name.run.gz"
        second.write_bytes(b"old")
        for path in (first, second):
            write_run(path, {"q": [("d", 1.0)]}, "t", {"x": 1})
        assert first.read_bytes() == second.read_bytes()
        assert first.read_bytes()[4:8] == b"\0\0\0\0"  # no time
        names = [
            "a.ir_metadata.yaml",
            "a.run.gz",
            "other-name.ir_metadata.yaml",
            "other-name.run.gz",
        ]
        assert sorted(path.name for path in tmp_path.iterdir()) == names

    @pytest.mark.parametrize(
        ("ranking", "tag", "problem"),
        [
            ([("a", 1.0), ("b", 2.0)], "t", "'b' does not come after 'a'"),
            ([("a", 1.0), ("b", 1.0)], "t", "'b' does not come after 'a'"),
            ([("a", 1.0), ("a", 1.0)], "t", "'a' does not come after 'a'"),
            ([("a", math.nan)], "t", "score nan of document 'a' is not finite"),
            ([("a", math.inf)], "t", "score inf of document 'a' is not finite"),
            ([("a b", 1.0)], "t", "document id 'a b' contains white space"),
            ([("a", 1.0)], "my tag", "tag 'my tag' contains white space"),
            ([("a", 1.0)], "", "tag '' is empty"),
        ],
    )
    def test_what_a_run_cannot_carry(
        self, tmp_path: Path, ranking: list[tuple[str, float]], tag: str, problem: str
    ) -> None:
        with pytest.raises(DataError, match=problem):
            write_run(tmp_path / "x.run", {"q": ranking}, tag)
        assert list(tmp_path.iterdir()) == []

    def test_a_query_that_would_be_a_comment(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="query id '#1' starts with '#'"):
            write_run(tmp_path / "x.run", {"#1": [("a", 1.0)]}, "t")


class TestRunStage:
    FOUND = dataset({"d1": "a", "d2": "b", "d3": "c"}, {"q1": "x", "q2": "y", "q3": "z"})

    def retrieve(
        self,
        base: Path,
        depth: int = 10,
        options: Any = "my.run",
        query_ids: Iterable[str] = ("q1", "q2", "q3"),
    ) -> Candidates:
        return retrieval.build("run", options, base).retrieve(self.FOUND, list(query_ids), depth)

    def test_cut_at_the_depth_absent_queries_counted(self, tmp_path: Path) -> None:
        saved(tmp_path, RUN + "q9 Q0 unknown 1 1 t\n")
        candidates = self.retrieve(tmp_path, 1)
        assert candidates.by_query == {
            "q1": QueryCandidates(("d1",), (3.5,)),
            "q2": QueryCandidates(("d1",), (1.0,)),
            "q3": QueryCandidates((), ()),
        }
        assert counts(candidates.warnings) == {Code.ABSENT_QUERIES: 1}
        assert {key: candidates.source[key] for key in ("first_stage", "file")} == {
            "first_stage": "run",
            "file": "my.run",
        }
        assert str(tmp_path) not in json.dumps(candidates.source)

    def test_ties_are_counted_and_cuts_between_them_too(self, tmp_path: Path) -> None:
        saved(
            tmp_path,
            "q1 Q0 d1 1 1 t\nq1 Q0 d2 2 1 t\nq1 Q0 d3 3 1 t\nq2 Q0 d1 1 5 t\nq2 Q0 d2 1 4 t\n",
        )
        candidates = self.retrieve(tmp_path, 2, query_ids=("q1", "q2"))
        assert candidates.by_query["q1"].doc_ids == ("d3", "d2")
        assert counts(candidates.warnings) == {Code.TIED_CANDIDATES: 2, Code.CUT_IN_TIES: 1}

    def test_documents_that_are_not_in_the_collection(self, tmp_path: Path) -> None:
        saved(tmp_path, RUN + "q2 Q0 gone 2 0.5 t\nq3 Q0 lost 1 1 t\n")
        with pytest.raises(
            DataError,
            match=r"my\.run lists documents that test does not have: 2 of 4, the first is 'gone'; "
            "the documents are such as 'd1'",
        ):
            self.retrieve(tmp_path)
        assert self.retrieve(tmp_path, 1, query_ids=("q1", "q2")).by_query["q2"].doc_ids == ("d1",)

    def test_a_run_of_other_queries(self, tmp_path: Path) -> None:
        saved(tmp_path, RUN.replace("q", "topic"))
        with pytest.raises(
            DataError,
            match=r"my\.run has none of test's queries \(its first is 'topic1', the dataset's "
            r"'q1'\)",
        ):
            self.retrieve(tmp_path)
        saved(tmp_path, "")
        with pytest.raises(DataError, match=r"my\.run holds no rankings .*comments"):
            self.retrieve(tmp_path)

    def test_names_and_options(self, tmp_path: Path) -> None:
        def name(kind: str, options: Any) -> str:
            return str(getattr(retrieval.build(kind, options, tmp_path), "name"))  # noqa: B009

        assert name("run", "runs/bm25.v2.run.gz") == "run:bm25.v2"
        assert name("run", {"path": "x.run", "name": "mine", "depth": 5}) == "mine"
        assert (name("bm25", None), name("bm25", {"k1": 1.2})) == ("bm25", "bm25(k1=1.2)")
        assert name("scoreddocs", {}) == "scoreddocs"
        for kind, options, problem in (
            ("run", {}, "option 'path': is missing"),
            ("run", {"pth": "x"}, "option 'pth': unknown key: did you mean 'path'"),
            ("bm52", None, "unknown first stage 'bm52': did you mean 'bm25'"),
            ("json:JSONDecoder", None, "needs an attribute Options and a method retrieve"),
        ):
            with pytest.raises(SuiteError, match=problem):
                retrieval.build(kind, options, tmp_path)


class TestScoredDocs:
    def retrieve(self, rows: list[tuple[str, str, float]] | None, depth: int = 10) -> Candidates:
        extras = Extras() if rows is None else Extras(scoreddocs=lambda: iter(rows))
        data = dataset({"d1": "a", "d2": "b"}, {"q1": "x", "q2": "y"}, extras=extras)
        return retrieval.build("scoreddocs", None, Path()).retrieve(data, ["q1", "q2"], depth)

    def test_official_candidates(self) -> None:
        candidates = self.retrieve([("q9", "d7", 1.0), ("q1", "d1", 1.0), ("q1", "d2", 2.0)])
        assert candidates.by_query == {
            "q1": QueryCandidates(("d2", "d1"), (2.0, 1.0)),
            "q2": QueryCandidates((), ()),
        }
        assert counts(candidates.warnings) == {Code.ABSENT_QUERIES: 1, Code.SHORT_LISTS: 2}
        assert candidates.source == {"first_stage": "scoreddocs", "dataset": "test"}

    def test_mistakes_are_told(self) -> None:
        with pytest.raises(SuiteError, match="the dataset test brings no candidates along"):
            self.retrieve(None)
        with pytest.raises(DataError, match=r"the scoreddocs of test holds no rankings .*comments"):
            self.retrieve([])
        with pytest.raises(
            DataError, match="the scoreddocs of test: query 'q1' lists document 'd1' twice"
        ):
            self.retrieve([("q1", "d1", 1.0), ("q1", "d1", 2.0)])


def test_ranking_rows() -> None:
    assert ranked([], [], []) == {}
    with pytest.raises(RepeatedDocument):
        ranked(["q", "q"], ["d", "d"], [1.0, 0.0])


def test_an_outsiders_first_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "outsider_stage.py").write_text(
        "from bench.contract.candidates import Candidates, QueryCandidates\n"
        "from bench.retrieval.options import FirstStageOptions\n"
        "class Options(FirstStageOptions):\n"
        "    first: str\n"
        "class Stage:\n"
        "    Options = Options\n"
        "    def __init__(self, options, base_dir):\n"
        "        self.options, self.name = options, 'mine'\n"
        "    def retrieve(self, dataset, query_ids, depth):\n"
        "        return Candidates({q: QueryCandidates((self.options.first,), (1.0,)) for q in "
        "query_ids}, depth, {})\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    stage = retrieval.build("outsider_stage:Stage", "d3", tmp_path).retrieve(
        dataset(PETS, {"q": "x"}), ["q"], 5
    )
    assert stage.by_query["q"].doc_ids == ("d3",)


class Nearest(BaseFirstStage):
    meaning = "the nearest shelf"

    def retrieve(self, dataset: Dataset, query_ids: Sequence[str], depth: int) -> Candidates:
        raise NotImplementedError


def test_a_line_in_the_table_is_in_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(retrieval.TABLE, "nearest", f"{__name__}:Nearest")
    result = CliRunner().invoke(cli, ["list", "first-stages"])
    assert result.exit_code == 0
    (line,) = [line for line in result.output.splitlines() if line.startswith("nearest")]
    assert "the nearest shelf" in line
    assert [name for name in retrieval.TABLE if name not in result.output] == []


class Returning(BaseFirstStage):
    """Retrieves for one query what a test has chosen."""

    answer: ClassVar[Any] = None

    def retrieve(self, dataset: Dataset, query_ids: Sequence[str], depth: int) -> Candidates:
        if isinstance(self.answer, QueryCandidates):
            return Candidates({"q1": self.answer}, depth, {"first_stage": "returning"})
        answer: Candidates = self.answer
        return answer


class Unfinished(BaseFirstStage):
    """Has no `retrieve`."""


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (None, "returned None; it returns Candidates"),
        ([], "returned a value of type list; it returns Candidates"),
        (Candidates({}, 2, {}), "returned no entry for query 'q1'"),
        (QueryCandidates(("d1", "d1"), (2.0, 1.0)), "query 'q1' has a document twice"),
        (QueryCandidates(("d1", "d2", "d3"), (3.0, 2.0, 1.0)), "has 3 documents, and at most 2"),
        (QueryCandidates(("d1", "d2"), (1.0,)), "has 2 documents and 1 scores"),
        (QueryCandidates(("d1", "else"), (2.0, 1.0)), "document 'else' is not in the collection"),
    ],
)
def test_what_an_outsiders_first_stage_retrieves_is_checked(
    answer: Any, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Returning, "answer", answer)
    stage = retrieval.build(f"{__name__}:Returning", None, tmp_path)
    with pytest.raises(RerankerError, match=problem) as error:
        candidates_of(stage, dataset(PETS, {"q1": "cat"}), ["q1"], 2)
    assert str(error.value).startswith(f"retrieve() of {__name__}:Returning")


def test_a_first_stage_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=f"first stage '{__name__}:Unfinished' cannot be made"):
        retrieval.build(f"{__name__}:Unfinished", None, tmp_path)
