"""Scores are shared by pair: whatever list a pair is asked for in, it is scored and paid for once,
and a score is never taken for something else.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import bench
from bench.contract.request import CandidateList, Usage, cut
from bench.contract.scored import Scored
from bench.core.cache_dir import DAMAGED
from bench.core.note import Code
from bench.records.run import Run
from bench.reports import show
from bench.rerankers.description import identified
from bench.scoring import chunk_file
from bench.scoring.cache import ScoreCache
from bench.scoring.engine import score
from bench.scoring.known import ScoreCaches
from tests.support.fakes import FakeOptions, HashReranker
from tests.support.made_requests import requests
from tests.support.notes import noted

HERE = "tests.integration.test_shared_pairs"


@pytest.fixture(autouse=True)
def cache_in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANK_BENCH_CACHE", str(tmp_path / "cache"))


class Billed(HashReranker):
    """Says what each query and each chunk cost, and which pairs it was asked for."""

    asked: list[tuple[str, str]]

    def __init__(self, options: Any, device: str = "cpu") -> None:
        super().__init__(options, device)
        self.asked = []

    def rerank(self, requests: Sequence[CandidateList]) -> list[Any]:
        for request in requests:
            self.meter.count(Usage(tokens=len(request.docs)), request.query_id)
        self.meter.count(Usage(calls=1))
        return super().rerank(requests)

    def score(self, pairs: Sequence[tuple[str, str]]) -> Any:
        self.asked += pairs
        return super().score(pairs)


class Batched(Billed):
    """Its last bits depend on what is scored together, as those of a network do."""

    def score(self, pairs: Sequence[tuple[str, str]]) -> Any:
        return super().score(pairs) + 1e-12 * len(pairs)


class Interrupted(Batched):
    """Is stopped in its third chunk."""

    chunks = 0

    def rerank(self, requests: Sequence[CandidateList]) -> list[Any]:
        Interrupted.chunks += 1
        if Interrupted.chunks == 3:
            raise KeyboardInterrupt
        return super().rerank(requests)


for stopped in (Interrupted,):
    stopped.__module__, stopped.__qualname__ = Batched.__module__, Batched.__qualname__


class Listwise(Billed):
    pointwise = False


class OfScores(Billed):
    reads_scores = True


class PerRequest(Billed):
    """A service that normalises the scores of each request."""

    @property
    def merges_calls(self) -> bool:
        return False

    def rerank(self, requests: Sequence[CandidateList]) -> list[Any]:
        return [scores / scores.sum() for scores in super().rerank(requests)]


def made(kind: type[Billed] = Billed, **options: Any) -> Billed:
    return kind(FakeOptions(**options))


def scored(reranker: Billed, lists: Sequence[CandidateList], **more: Any) -> Scored:
    return score(reranker, lists, chunk_pairs=10, **more)


def picked(numbers: Sequence[int], lists: Sequence[CandidateList]) -> list[CandidateList]:
    """Return some documents of each list, in another order."""
    return [
        CandidateList(
            one.query_id,
            one.query,
            [one.doc_ids[number] for number in numbers],
            [one.docs[number] for number in numbers],
        )
        for one in lists
    ]


def test_any_list_of_known_pairs_is_free_and_of_others_the_rest_is_asked() -> None:
    whole = requests(4, docs=5)
    first = scored(made(), whole)
    reranker = made()
    free = scored(reranker, picked([3, 0, 4], whole))
    assert (reranker.asked, free.cached_queries, free.computed_queries) == ([], 4, 0)
    for query_id, values in free.scores.items():
        assert values.tobytes() == first.scores[query_id][[3, 0, 4]].tobytes()
    more = [
        CandidateList(one.query_id, one.query, [*one.doc_ids, "new"], [*one.docs, "new text"])
        for one in whole
    ]
    reranker = made()
    rest = scored(reranker, more)
    assert reranker.asked == [(one.query, "new text") for one in whole]
    assert (rest.computed_queries, rest.pairs.computed, rest.pairs.cached) == (4, 4, 20)
    for one in more:
        expected = [reranker._one(one.query, text) for text in one.docs]
        assert rest.scores[one.query_id].tolist() == expected


def test_scores_of_one_request_are_not_merged_with_those_of_another() -> None:
    whole = requests(4, docs=5)
    halves = [picked([0, 1, 2], whole), picked([2, 3, 4], whole)]
    for half in halves:
        scored(made(PerRequest), half)
    reranker = made(PerRequest)
    result = scored(reranker, whole)
    assert len(reranker.asked) == 20, "known pairs are asked again, next to the others"
    for one in whole:
        assert sum(result.scores[one.query_id]) == pytest.approx(1)
    later = made(PerRequest)
    part = scored(later, halves[1])
    assert not later.asked, "a part of one request is in its order"
    for one in whole:
        assert part.scores[one.query_id].tolist() == result.scores[one.query_id][2:].tolist()


def test_a_query_is_reused_where_the_run_itself_has_bought_all_of_its_scores() -> None:
    whole = requests(4, docs=5)
    scored(made(), [cut(one, 3) for one in whole[:2]])
    caches = ScoreCaches()
    assert scored(made(), whole, caches=caches).computed_queries == 4
    again = scored(made(), whole, caches=caches)
    assert (again.cached_queries, again.reused) == (4, {one.query_id for one in whole[2:]})


@pytest.mark.parametrize("kind", [Listwise, OfScores])
def test_a_score_that_depends_on_the_list_is_not_shared(kind: type[Billed]) -> None:
    whole = requests(4, docs=5)
    scored(made(kind), whole)
    reranker = made(kind)
    assert scored(reranker, [cut(one, 3) for one in whole]).computed_queries == 4
    assert len(reranker.asked) == 12
    assert scored(made(kind), whole).computed_queries == 0


def test_a_list_with_a_document_without_text_is_asked_whole() -> None:
    blank = [
        CandidateList(one.query_id, one.query, one.doc_ids, [*one.docs[:-1], " "])
        for one in requests(2, docs=3)
    ]
    scored(made(), blank)
    reranker = made()
    assert scored(reranker, blank).computed_queries == 0
    assert scored(reranker, [cut(one, 2) for one in blank]).computed_queries == 2
    assert scored(made(), [cut(one, 2) for one in blank]).computed_queries == 0


def test_a_list_that_shares_nothing_is_scored_as_it_is_with_texts_that_it_has_twice() -> None:
    twice = [CandidateList("q", "query", ["a", "b", "c"], ["one", "two", "one"])]
    reranker = made(Batched)
    result = scored(reranker, twice)
    assert len(reranker.asked) == 3
    assert result.scores["q"][0] == result.scores["q"][2]


def test_a_cache_of_before_is_read_by_list_and_answers_by_pair_from_then_on() -> None:
    whole = requests(4, docs=5)
    first = scored(made(), whole)
    folder = without_pairs()
    before = {path.name: path.read_bytes() for path in folder.glob("*.npz")}
    again = made()
    read = scored(again, whole)
    assert not again.asked
    assert (read.usage, read.usage_by_query) == (first.usage, first.usage_by_query)
    assert len(list(folder.glob("*.pairs"))) == 2, "one of each chunk of lists"
    later = made()
    assert scored(later, [cut(one, 4) for one in whole]).cached_queries == 4
    assert not later.asked
    assert before.items() <= {path.name: path.read_bytes() for path in folder.iterdir()}.items()


def without_pairs() -> Path:
    """Make the files of the cache those of an earlier version, and return its folder."""
    folder = ScoreCache(identified(made())).folder
    for path in folder.glob("*.npz"):
        with np.load(path) as arrays:
            older = {name: arrays[name] for name in arrays.files if name != "pairs"}
        np.savez(path, **older)
    return folder


def test_a_damaged_file_of_pairs_is_renamed_and_made_again() -> None:
    whole = requests(4, docs=5)
    first = scored(made(), whole)
    folder = without_pairs()
    scored(made(), whole)
    path = min(folder.glob("*.pairs"))
    path.write_bytes(path.read_bytes()[:-30])
    result = scored(made(), whole)
    assert noted(result.notes, Code.CACHE_DAMAGED).count == 1
    assert path.with_name(path.name + DAMAGED).is_file()
    assert path.is_file()
    assert result.cached_queries == 4
    assert [*result.scores["q0"]] == [*first.scores["q0"]]


def test_a_flip_of_any_bit_of_a_file_of_pairs_is_seen_or_changes_nothing() -> None:
    keys = np.arange(8, dtype=np.uint64).reshape(4, 2)
    data = chunk_file.encode_pairs({"k1": keys[:3], "k2": keys[3:]})
    damaged = harmless = 0
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            read = chunk_file.decode_pairs(bytes(flipped))
        except chunk_file.DamagedFile:
            damaged += 1
            continue
        harmless += 1
        assert {key: values.tolist() for key, values in read.items()} == {
            "k1": keys[:3].tolist(),
            "k2": keys[3:].tolist(),
        }
    assert damaged > 2 * harmless, "most of a file matters"


def test_newest_scores_count_by_pair_too() -> None:
    whole = requests(4, docs=5)
    old = scored(made(Batched), whole)
    new = score(made(Batched), whole, chunk_pairs=20, fresh=True)
    assert old.scores["q0"][0] != new.scores["q0"][0]
    for path in ScoreCache(identified(made(Batched))).folder.glob("*.npz"):
        os.utime(path, (0, 0))
    assert (
        scored(made(Batched), [cut(one, 2) for one in whole]).scores["q0"][0]
        == (new.scores["q0"][0])
    )


def test_a_resumed_pass_has_the_bits_of_an_undisturbed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = [cut(one, 3) for one in requests(3, docs=5)], requests(12, docs=5)
    passes: list[list[Scored]] = []
    for number, kind in enumerate((Batched, Interrupted)):
        monkeypatch.setenv("RERANK_BENCH_CACHE", str(tmp_path / f"cache{number}"))
        scored(made(Batched), lists[0])
        if kind is Interrupted:
            with pytest.raises(KeyboardInterrupt):
                scored(made(kind), lists[1])
        passes.append([scored(made(Batched), lists[1])])
    [undisturbed], [resumed] = passes
    assert resumed.cached_queries > 0
    for query_id, values in undisturbed.scores.items():
        assert values.tobytes() == resumed.scores[query_id].tobytes()


@pytest.mark.parametrize("fresh", [False, True])
def test_what_rows_show_less_what_they_share_is_what_was_paid(fresh: bool) -> None:
    caches = ScoreCaches(fresh=fresh)
    whole = requests(6, docs=6)
    asked: list[tuple[str, str]] = []
    results: list[Scored] = []
    for lists in ([cut(one, 3) for one in whole], whole, picked([5, 1], whole), whole[:2]):
        reranker = made()
        results.append(scored(reranker, lists, caches=caches))
        asked += reranker.asked
    assert len(asked) == len(set(asked)) == 36, "each pair once"
    assert [result.pairs.shared for result in results] == [0, 18, 12, 12]
    tokens = [result.usage["tokens"] - result.shared_usage.get("tokens", 0) for result in results]
    assert tokens == [18, 18, 0, 0]
    assert results[1].usage["tokens"] == 36, "all that its scores cost when they were bought"
    assert results[2].usage["tokens"] == pytest.approx(12)
    assert results[1].usage_by_query["q0"]["tokens"] == 6


def suite(**more: Any) -> dict[str, Any]:
    names = ("a", "b")
    pipelines = []
    for keep in (60, 40, 30, 20, 10, 5):
        for name in names:
            stages = [
                {"bm25": {"keep": 60}},
                {f"{HERE}:Billed": {"name": "cheap", "salt": "cheap", "keep": keep}},
                {f"{HERE}:Billed": {"name": name, "salt": name}},
            ]
            pipelines.append({"name": f"{name}-{keep}", "stages": stages})
    return {
        "name": "shared",
        "datasets": [{"embedded:everyday": {"queries": 16}}],
        "pipelines": pipelines,
        "devices": ["cpu"],
        "latency": None,
        "store_texts": False,
        **more,
    }


@pytest.fixture(scope="module")
def cascades(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Run, int, int]]:
    """A run of 12 cascades over the same texts, the pairs that were scored, and those asked for."""
    folder = tmp_path_factory.mktemp("cascades")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RERANK_BENCH_CACHE", str(folder / "cache"))
        log = folder / "log"
        settings = suite()
        for pipeline in settings["pipelines"]:
            for stage in pipeline["stages"][1:]:
                stage[f"{HERE}:Billed"]["log"] = str(log)
        run = bench.run(settings, out=folder)
        yield run, log.stat().st_size, 12


def test_twelve_cascades_over_the_same_texts_score_each_pair_once(
    cascades: tuple[Run, int, int],
) -> None:
    run, calls, count = cascades
    records = [record for record in run.records.values() if record.stages]
    assert len(records) == count
    candidates = run.records["everyday--bm25--first-stage"].counts.pairs
    assert calls == 3 * candidates, "by three stages, each candidate once"
    pairs = [record.pairs for record in records]
    assert all(own is not None for own in pairs)
    total = sum(own.computed + own.cached for own in pairs if own is not None)
    shared = sum(own.shared for own in pairs if own is not None)
    assert total - shared == calls
    assert sum(own.computed for own in pairs if own is not None) == calls
    for record in records:
        assert record.pairs is not None
        stages = [stage.pairs for stage in record.stages if stage.pairs is not None]
        assert sum(own.shared for own in stages) == record.pairs.shared
    tokens = [record.usage["tokens"] - record.shared_usage.get("tokens", 0.0) for record in records]
    assert sum(tokens) == pytest.approx(calls)


def test_the_run_says_how_many_pairs_were_shared(cascades: tuple[Run, int, int]) -> None:
    run, calls, _ = cascades
    pairs = [record.pairs for record in run.records.values() if record.pairs is not None]
    total = sum(own.computed + own.cached for own in pairs)
    sentence = f"{total - calls:,} of {total:,} pairs were shared"
    assert sentence in (run.folder / "report.md").read_text()
    assert sentence in (run.folder / "report.html").read_text()
    out = io.StringIO()
    show(run, Console(file=out, width=300))
    assert sentence in " ".join(out.getvalue().split())


def test_cascades_have_the_scores_that_they_have_alone(
    cascades: tuple[Run, int, int], tmp_path: Path
) -> None:
    run, _, _ = cascades
    settings = suite()
    settings["pipelines"] = settings["pipelines"][7:8]
    alone = bench.run(settings, out=tmp_path)
    [trial] = [record.trial.id for record in alone.records.values() if record.stages]
    assert alone.scores_of(trial) == run.scores_of(trial)
    assert alone.values(trial, "nDCG@10") == run.values(trial, "nDCG@10")
    [record] = [record for record in alone.records.values() if record.stages]
    assert record.pairs is not None
    assert record.pairs.shared == 0


def test_an_estimate_counts_pairs_that_are_known_or_bought_by_then(tmp_path: Path) -> None:
    settings = suite()
    settings["pipelines"] = settings["pipelines"][::4]
    before = bench.estimate(settings, out=tmp_path)
    run = bench.run(settings, out=tmp_path)
    after = bench.estimate(settings, out=tmp_path)
    assert [row.cached for row in after.rows] == [row.queries for row in after.rows]
    pairs = run.records["everyday--bm25--first-stage"].counts.pairs
    assert before.rows[0].usage.pairs == 2 * pairs
    assert sum(row.usage.pairs for row in before.rows) <= 3 * pairs


def test_a_run_of_before_has_no_pairs_in_its_records(cascades: tuple[Run, int, int]) -> None:
    run, _, _ = cascades
    path = next((run.folder / "records").iterdir())
    data = json.loads(path.read_text())
    data.pop("pairs", None)
    data.pop("shared_usage", None)
    from bench.records.schema import Record

    assert Record.model_validate(data).pairs is None


class Uncached(Billed):
    """Has no identity, so that no cache knows it."""

    pairs = 0

    def fingerprint(self) -> dict[str, Any]:
        return {}

    def score(self, pairs: Sequence[tuple[str, str]]) -> Any:
        Uncached.pairs += len(pairs)
        return super().score(pairs)


@pytest.mark.parametrize(("score_of_b", "passes"), [(1.0, 1), (0.5, 2)])
def test_groups_whose_candidates_agree_share_the_stages_that_they_begin_with(
    score_of_b: float, passes: int, collection: Path, tmp_path: Path
) -> None:
    """Scores of the search are candidates, too: a stage may read them."""
    pipelines = []
    for name, score_of_second in (("one", 1.0), ("other", score_of_b)):
        lines = []
        for query in ("q1", "q2", "q3", "q4"):
            lines.append(f"{query} Q0 d00 1 2.0 x\n{query} Q0 d03 2 {score_of_second} x\n")
        (tmp_path / f"{name}.run").write_text("".join(lines))
        search = {"run": {"path": str(tmp_path / f"{name}.run"), "name": name, "keep": 2}}
        stages = [search, {f"{HERE}:Uncached": {"name": "uncached"}}]
        pipelines.append({"name": f"of-{name}", "stages": stages})
    Uncached.pairs = 0
    settings = suite(datasets=[f"files:{collection}"], pipelines=pipelines)
    run = bench.run(settings, out=tmp_path / "out")
    assert len(run.groups) == 2
    assert Uncached.pairs == passes * 8
    shared = [own.pairs.shared for own in run.records.values() if own.stages and own.pairs]
    assert shared == [0, 8 * (2 - passes)]
