"""What grows with queries is kept as numbers and written a stretch at a time, and reads as it
always did.
"""

from __future__ import annotations

import gzip
import re
import sys
from array import array
from collections.abc import Iterator
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.contract import candidates
from bench.contract.candidates import Candidates, Compact, QueryCandidates
from bench.contract.scored import ScoresByQuery
from bench.contract.trial import System
from bench.core import long_array
from bench.core.errors import RecordError
from bench.core.long_array import LongArray
from bench.latency.sample import Sample
from bench.latency.sweep_plan import SETTINGS
from bench.quality.measures import evaluate
from bench.quality.query_values import QueryValues, SharedPlaces
from bench.ranking import trec_rows, trec_stretches
from bench.ranking.order import count_ties
from bench.ranking.trec import read_content
from bench.ranking.trec_order import joined, ordered, ordered_part
from bench.records import scores, tables
from bench.records.tables import DEPTHS, PER_QUERY, read_table
from bench.reports import drill
from bench.retrieval.given import _ties

RANKINGS = {
    "q1": QueryCandidates(("d1", "d2"), (2.5, 1.0)),
    "q2": QueryCandidates((), ()),
    "q3": QueryCandidates(("d2",), (7.0,)),
}


def test_compact_rankings_are_the_mapping_that_they_were_made_of() -> None:
    compact = Compact(RANKINGS.items())
    assert compact == RANKINGS
    assert list(compact) == ["q1", "q2", "q3"]
    assert (len(compact), compact.documents) == (3, 3)
    assert "q2" in compact
    assert compact.get("q9") is None
    with pytest.raises(KeyError):
        compact["q9"]


def test_candidates_are_kept_compact_with_the_hash_that_they_had() -> None:
    own = Candidates(RANKINGS, 2, {})
    assert isinstance(own.by_query, Compact)
    assert own.by_query == RANKINGS
    assert own.hash == Candidates(Compact(RANKINGS.items()), 2, {}).hash


def test_a_million_candidates_are_no_million_objects() -> None:
    names = [f"d{i}" for i in range(100)]
    ranking = QueryCandidates(tuple(names), tuple(map(float, range(100, 0, -1))))
    before = sys.getallocatedblocks()
    compact = Compact((f"q{i}", ranking) for i in range(10_000))
    assert compact.documents == 1_000_000
    assert sys.getallocatedblocks() - before < 100_000


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have arrays of more than 80 bytes go to files."""
    monkeypatch.setattr(long_array, "IN_MEMORY", 80)
    monkeypatch.setattr(long_array, "AT_ONCE", 40)


@pytest.mark.usefixtures("little_memory")
def test_numbers_beyond_the_limit_are_read_back_from_a_file() -> None:
    numbers = LongArray("d")
    expected: list[float] = []
    for size in (3, 8, 1, 0, 20, 2):
        piece = [float(len(expected) + place) for place in range(size)]
        numbers.extend(piece)
        expected += piece
    assert len(numbers) == len(expected) == 34
    for start in range(35):
        for end in range(start, 35):
            assert numbers.stretch(start, end).tolist() == expected[start:end]


@pytest.mark.usefixtures("little_memory")
def test_numbers_stay_in_memory_where_no_file_can_be_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numbers = LongArray("i")
    numbers.extend(range(50))

    def refuse() -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(numbers, "_write", refuse)
    numbers.extend(range(50, 90))
    numbers.extend(range(90, 200))
    assert numbers.stretch(0, 200).tolist() == list(range(200))
    assert numbers.stretch(45, 95).tolist() == list(range(45, 95))


def test_rankings_pass_through_blocks_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_array, "IN_MEMORY", 30)
    monkeypatch.setattr(long_array, "AT_ONCE", 10)
    compact = Compact(RANKINGS.items())
    for documents, sizes in ((100, [3]), (2, [2, 1]), (1, [1, 2])):
        monkeypatch.setattr(candidates, "AT_ONCE", documents)
        blocks = list(compact.blocks())
        assert Compact.of_blocks(blocks) == RANKINGS
        assert [len(block.query_ids) for block in blocks] == sizes
    assert compact.length("q1") == 2


def test_scores_by_query_are_the_mapping_that_they_were_made_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(long_array, "IN_MEMORY", 30)
    scores = ScoresByQuery()
    for number in range(9):
        scores[f"q{number}"] = np.arange(number, dtype=np.float64)
    scores["q3"] = np.array([7.5])
    scores.put_in_order(["q8", "q3", "q9", "q0"])
    assert list(scores) == ["q8", "q3", "q0"]
    assert [own.tolist() for own in scores.values()] == [list(range(8)), [7.5], []]
    del scores["q3"]
    assert "q3" not in scores
    scores.clear()
    assert not scores


def test_rankings_as_numbers_are_measured_as_those_of_objects(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(candidates, "AT_ONCE", 40)
    rng = np.random.default_rng(5)
    names = [f"d{place}" for place in range(60)]
    rankings: dict[str, QueryCandidates] = {}
    qrels: dict[str, dict[str, int]] = {"without": {"d1": 1}, "unranked": {"d61": 2}}
    for number in rng.permutation(25).tolist():
        drawn = rng.permutation(names)[: int(rng.integers(0, 30))].tolist()
        scores = tuple(float(-place) for place in range(len(drawn)))
        rankings[f"q{number}"] = QueryCandidates(tuple(drawn), scores)
        judged = rng.permutation([*names, "d99"])[:9].tolist()
        qrels[f"q{24 - number}"] = {name: int(rng.integers(-1, 3)) for name in judged}
    del qrels["q7"]
    rankings["unranked"] = QueryCandidates((), ())
    wanted = ["nDCG@5", "RR@3", "AP", "R@10", "P@5", "Success@1", "Judged@10", "Bpref"]
    assert len(list(Compact(rankings.items()).blocks())) > 5
    expected = evaluate(rankings, qrels, wanted)
    assert evaluate(Compact(rankings.items()), qrels, wanted) == expected
    assert sum(expected["nDCG@5"].values()) > 1
    assert evaluate(Compact(), qrels, wanted[:1]) == {"nDCG@5": dict.fromkeys(qrels, 0.0)}


def rows(trial: str, n: int, value: float) -> list[tuple[str, str, str, float]]:
    return [(trial, f"q{i}", "nDCG@10", value) for i in range(n)]


def test_a_table_is_a_file_per_trial_and_one_that_ran_again_replaces_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "STRETCH", 7)
    both = [*rows("a", 20, 0.5), *rows("b", 5, 0.25), *rows("a", 1, 0.5)]
    assert tables.write_trials(tmp_path, PER_QUERY, iter(both)) == {"a", "b"}
    tables.write_trials(tmp_path, PER_QUERY, rows("a", 3, 1.0))
    table = read_table(tmp_path, PER_QUERY, {"b": 0, "a": 1})
    assert table["trial"].tolist() == ["b"] * 5 + ["a"] * 3
    assert set(table["value"]) == {0.25, 1.0}
    assert tuple(table.columns) == PER_QUERY.names


def test_a_group_that_is_written_leaves_the_files_of_others_as_they_are(tmp_path: Path) -> None:
    tables.write_trials(tmp_path, PER_QUERY, rows("a", 20, 0.5))
    before = (tmp_path / "per_query" / "a.parquet").stat()
    tables.write_trials(tmp_path, PER_QUERY, rows("b", 5, 0.25))
    after = (tmp_path / "per_query" / "a.parquet").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_table_that_cannot_be_written_whole_is_not_written(tmp_path: Path) -> None:
    def broken() -> Iterator[tuple[str, str, str, float]]:
        yield from rows("a", 20, 0.5)
        raise KeyError("half way")

    tables.write_trials(tmp_path, PER_QUERY, rows("a", 3, 1.0))
    with pytest.raises(KeyError):
        tables.write_trials(tmp_path, PER_QUERY, broken())
    assert [path.name for path in (tmp_path / "per_query").iterdir()] == ["a.parquet"]
    assert len(read_table(tmp_path, PER_QUERY)) == 3


def test_a_trial_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="cannot be the name of a file"):
        tables.write_trials(tmp_path / "run", PER_QUERY, rows("../a", 1, 1.0))
    assert not list(tmp_path.rglob("*.parquet"))


def test_others_read_a_folder_of_files_as_one_table(tmp_path: Path) -> None:
    import pyarrow.dataset as ds

    system = System("a", dtype="int8")
    tables.write_trials(tmp_path, DEPTHS, [(*System("a"), 5, "q0", "nDCG@10", 0.5)])
    tables.write_trials(tmp_path, DEPTHS, [(*System("b"), 5, "q0", "nDCG@10", 1.0)])
    other = tmp_path / "depths" / "a" / "int8.parquet"
    tables.write_rows(other, DEPTHS, [(*system, 5, "q0", "nDCG@10", 0.25)])
    frame = pd.read_parquet(tmp_path / "depths")
    assert sorted(frame["value"]) == [0.25, 0.5, 1.0]
    assert tuple(frame.columns) == DEPTHS.names
    assert ds.dataset(tmp_path / "depths").count_rows() == 3


def test_the_columns_are_the_fields_of_what_is_written() -> None:
    assert tuple(tables.CALL) == Sample._fields
    assert tuple(tables.SETTING) == SETTINGS
    assert tuple(tables.SYSTEM) == ("trial", *(f"system_{name}" for name in System._fields[1:]))
    assert System._fields[1:] == SETTINGS


def test_values_by_query_are_the_mapping_that_they_were_made_of() -> None:
    shared = SharedPlaces()
    values = QueryValues(shared.of(["q1", "q2"]), array("d", [0.5, 1.0]))
    assert values == {"q1": 0.5, "q2": 1.0}
    assert (list(values), values.mean, values.get("q3")) == (["q1", "q2"], 0.75, None)
    assert shared.of(["q1", "q2"]) is values.places
    assert list(shared.of(["q2", "q1"])) == ["q2", "q1"]
    with pytest.raises(ValueError, match="'q1' comes twice"):
        shared.of(["q1", "q1"])
    with pytest.raises(ValueError, match="1 values for 2 queries"):
        QueryValues(values.places, array("d", [1.0]))


def test_a_table_is_read_in_stretches_of_one_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "STRETCH", 7)
    tables.write_trials(tmp_path, PER_QUERY, [*rows("a", 20, 0.5), *rows("b", 5, 0.25)])
    parts = list(tables.read_stretches(tmp_path, PER_QUERY, "a"))
    assert [part.num_rows for part in parts] == [7, 7, 6]
    assert {cell for part in parts for cell in part["trial"].to_pylist()} == {"a"}
    assert list(tables.read_stretches(tmp_path, PER_QUERY, "c")) == []
    assert sum(part.num_rows for part in tables.read_stretches(tmp_path, PER_QUERY)) == 25


@pytest.mark.parametrize("packed", [False, True])
def test_a_run_file_is_read_in_stretches_of_whole_queries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    monkeypatch.setattr(trec_stretches, "STRETCH", 100)
    lines = ["# a header", ""]
    for query in range(30):
        lines += [f"q{query} Q0 d{place} {place} {9 - place} t" for place in range(query % 7)]
    path = tmp_path / ("x.run.gz" if packed else "x.run")
    data = "\n".join(lines).encode()
    path.write_bytes(gzip.compress(data) if packed else data)
    parts = list(trec_stretches.whole_queries(path))
    assert len(parts) > 5
    whole = ordered(trec_rows.read(path))
    assert joined(map(ordered_part, parts)) == whole == read_content(path)
    assert list(whole.by_query) == list(read_content(path).by_query)


@pytest.mark.parametrize(
    "odd",
    [
        "q0 Q0 d9 9 0.5 t",  # a query whose rows are apart
        "q0 Q0  d9 9 0.5 t",  # two blanks
        "q99 Q0 d9 9 nan t",
        "q99 Q0 d9 9 0.5",
        "\ufeffq99 Q0 d9 9 0.5 t",
    ],
)
def test_an_odd_row_is_left_to_the_closer_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    monkeypatch.setattr(trec_stretches, "STRETCH", 100)
    path = tmp_path / "x.run"
    lines = [f"q{query} Q0 d{query} 1 1.5 t" for query in range(30)]
    path.write_text("\n".join([*lines, odd, ""]), encoding="utf-8")
    with pytest.raises(trec_stretches.Irregular):
        list(trec_stretches.whole_queries(path))


def test_ties_of_a_block_are_those_of_its_rankings() -> None:
    rng = np.random.default_rng(2)
    rankings: dict[str, QueryCandidates] = {"q0": QueryCandidates((), ())}
    for number in range(1, 40):
        scores = sorted(rng.integers(0, 5, int(rng.integers(0, 7))).tolist(), reverse=True)
        doc_ids = tuple(f"d{place}" for place in range(len(scores)))
        rankings[f"q{number}"] = QueryCandidates(doc_ids, tuple(map(float, scores)))
    expected = sum(count_ties(ranking.scores) for ranking in rankings.values())
    assert expected > 20
    assert sum(map(_ties, Compact(rankings.items()).blocks())) == expected
    lengths = [len(ranking.doc_ids) for ranking in rankings.values()]
    own = Candidates(rankings, 9, {})
    assert list(own.lengths) == lengths


def test_scores_of_some_queries_bring_no_names_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores, "TOGETHER", 6)
    (tmp_path / "scores").mkdir()
    ranking = {f"q{i}": QueryCandidates((f"d{i}", f"e{i}"), (2.0, 1.0)) for i in range(20)}
    with scores.score_writer(tmp_path, "a") as write:
        for query_id, own in ranking.items():
            write(query_id, own)
    wanted = frozenset(["q3", "q4", "q17", "absent"])
    path = tables.path_of(tmp_path, tables.SCORES, "a")
    (rows, more) = tables.stretches(path, tables.SCORES, only=wanted)
    assert rows["query"].to_pylist() == ["q3", "q3", "q4", "q4"]
    assert rows["doc_id"].chunk(0).dictionary.to_pylist() == ["d3", "e3", "d4", "e4"]
    assert more["query"].to_pylist() == ["q17", "q17"]
    read = scores.read_scores(tmp_path, "a", wanted)
    assert read == {query_id: ranking[query_id] for query_id in ("q3", "q4", "q17")}
    assert scores.read_scores(tmp_path, "a", ["absent"]) == {}


@pytest.mark.parametrize("dictionary", [True, False])
def test_scores_of_any_query_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, dictionary: bool
) -> None:
    """Names in no order, of letters of one byte to four."""
    monkeypatch.setattr(scores, "TOGETHER", 6)
    monkeypatch.setattr(pq, "ParquetWriter", partial(pq.ParquetWriter, use_dictionary=dictionary))
    (tmp_path / "scores").mkdir()
    names = ["q", "Q1", "ä", "zz", "\uffff", "😀", "é", "a", "q1", "10", "9", "~", "日本", "日"]
    ranking = {name: QueryCandidates((f"d-{name}", "e"), (2.0, 1.0)) for name in names}
    with scores.score_writer(tmp_path, "a") as write:
        for query_id, own in ranking.items():
            write(query_id, own)
    for pair in combinations([*names, "absent", ""], 2):
        read = scores.read_scores(tmp_path, "a", pair)
        assert read == {name: ranking[name] for name in names if name in pair}


@pytest.mark.parametrize("kind", ["binary", "string_view", "dictionary of binary", "list"])
def test_queries_that_are_no_text_are_refused_and_not_missing(tmp_path: Path, kind: str) -> None:
    (tmp_path / "scores").mkdir()
    names = pa.array(["q1", "q2"])
    cells = {
        "binary": names.cast(pa.binary()),
        "string_view": names.cast(pa.string_view()),
        "dictionary of binary": names.cast(pa.binary()).dictionary_encode(),
        "list": pa.array([["q1"], ["q2"]]),
    }
    columns = {"trial": ["a", "a"], "query": cells[kind], "doc_id": ["d", "d"], "score": [1.0, 2.0]}
    path = tables.path_of(tmp_path, tables.SCORES, "a")
    pq.write_table(pa.table(columns), path)
    for wanted in (["q1"], ["absent"], []):
        with pytest.raises(RecordError, match=r"a\.parquet: .*'query'.* no text"):
            scores.read_scores(tmp_path, "a", wanted)


def test_row_groups_of_other_queries_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores, "TOGETHER", 6)
    (tmp_path / "scores").mkdir()
    with scores.score_writer(tmp_path, "a") as write:
        for number in range(30):
            write(f"q{number:02}", QueryCandidates(("d", "e"), (2.0, 1.0)))
    places: list[int] = []
    read = pq.ParquetFile.read_row_group

    def counted(file: pq.ParquetFile, place: int, **options: object) -> object:
        if "columns" not in options:
            places.append(place)
        return read(file, place, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", counted)
    assert scores.read_scores(tmp_path, "a", ["q04", "q29", "r"]).keys() == {"q04", "q29"}
    assert places == [1, 9]


@pytest.mark.parametrize(
    ("groups", "documents", "queries"),
    [(1, 100, 600), (3, 100, 200), (1, 1000, 300), (2, 1000, 150), (1, 10**6, 20), (50, 5, 20)],
)
def test_a_drill_down_has_fewer_queries_where_their_lists_are_long(
    groups: int, documents: float, queries: int
) -> None:
    assert drill.limit_of(groups, documents) == queries
    assert drill.limit_of(1, 0) == 600


def test_a_flip_of_a_bit_of_what_a_file_says_of_its_queries_loses_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of a file has no checksum."""
    monkeypatch.setattr(scores, "TOGETHER", 40)
    (tmp_path / "scores").mkdir()
    names = [f"query-{number}" for number in range(10, 40)]
    with scores.score_writer(tmp_path, "a") as write:
        for name in names:
            write(name, QueryCandidates(("d", "e"), (2.0, 1.0)))
    path = tables.path_of(tmp_path, tables.SCORES, "a")
    content = path.read_bytes()
    end = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    places = [match.start() for match in re.finditer(b"query-", content) if match.start() >= end]
    assert len(places) >= 4
    for place in places:
        for byte in range(place, place + len("query-10")):
            flipped = bytearray(content)
            flipped[byte] ^= 1
            path.write_bytes(flipped)
            assert scores.read_scores(tmp_path, "a", names).keys() == set(names)
