"""A pipeline of several stages runs end to end: quality after each stage, recall lost by each cut,
a span per stage; its stages may be those of an outsider, each named in one line.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import yaml

import bench
from bench.contract.candidates import Candidates, QueryCandidates
from bench.contract.request import CandidateList, Failure
from bench.contract.trial import System
from bench.core.errors import SuiteError
from bench.core.progress import Observer
from bench.datasets.base import Dataset
from bench.records.run import Run
from bench.records.schema import Record
from bench.reports.document import Document, Table
from bench.reports.renderers import terminal
from bench.reports.renderers.screen import screen
from bench.reports.sections import latency, stages
from bench.reports.view import View
from bench.rerankers.base import BaseReranker, Description
from bench.retrieval.base import BaseFirstStage
from bench.suite import suite
from tests.support.command import bench as command

HERE = "tests.integration.test_pipelines"


class SharedWords(BaseFirstStage):
    """A toy first stage: documents by the words that they share with the query."""

    def retrieve(self, dataset: Dataset, query_ids: Sequence[str], depth: int) -> Candidates:
        words = {doc_id: set(fields["text"].split()) for doc_id, fields in dataset.documents}
        by_query: dict[str, QueryCandidates] = {}
        for query_id in query_ids:
            query = set(dataset.queries[query_id].split())
            scores = {doc_id: float(len(query & own)) for doc_id, own in words.items()}
            best = sorted(scores, key=lambda doc_id: (scores[doc_id], doc_id), reverse=True)
            best = best[:depth]
            ranking = tuple(scores[doc_id] for doc_id in best)
            by_query[query_id] = QueryCandidates(tuple(best), ranking)
        return Candidates(by_query, depth, {"first_stage": "shared words"})


class Shortest:
    """A toy reranker, which inherits nothing."""

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        return [-float(len(document)) for _, document in pairs]


class Halved(BaseReranker):
    """A toy calibration: it maps the scores of the stage before, and reads no text."""

    reads_texts = False
    reads_scores = True

    def fingerprint(self) -> dict[str, Any]:
        return {"backend": "halved"}

    def describe(self) -> Description:
        return Description("halved", self.fingerprint())

    def rerank(self, requests: Sequence[CandidateList]) -> list[Any]:
        return [np.asarray(request.scores) / 2 for request in requests]


class Counted(Shortest):
    """Counts the pairs that it scores."""

    pairs: ClassVar[int] = 0

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        Counted.pairs += len(pairs)
        return super().score(pairs)


class Closing(BaseReranker):
    """Is interrupted while it scores, and says whether it was closed."""

    closed: ClassVar[int] = 0

    def fingerprint(self) -> dict[str, Any]:
        return {}

    def describe(self) -> Description:
        return Description("closing", {})

    def rerank(self, requests: Sequence[CandidateList]) -> list[Any]:
        raise KeyboardInterrupt

    def close(self) -> None:
        Closing.closed += 1


class Refusing(BaseReranker):
    """Answers every query but some."""

    def fingerprint(self) -> dict[str, Any]:
        return {}

    def describe(self) -> Description:
        return Description("refusing", {})

    def rerank(self, requests: Sequence[CandidateList]) -> list[Any]:
        return [self._answer(request) for request in requests]

    def _answer(self, request: CandidateList) -> Any:
        if request.query_id.endswith("1"):
            return Failure("busy")
        return np.arange(len(request.docs))[::-1]


class MostlyRefusing(Refusing):
    """Answers few queries."""

    def _answer(self, request: CandidateList) -> Any:
        if not request.query_id.endswith("1"):
            return Failure("busy")
        return np.arange(len(request.docs))[::-1]


class Kept(Halved):
    """Scores that the cache keeps."""


def cascade(*stages: Any, name: str = "cascade", **more: Any) -> dict[str, Any]:
    return {
        "name": "made",
        "datasets": [{"embedded:everyday": {"queries": 24}}],
        "pipelines": [{"name": name, "stages": list(stages)}],
        "measures": ["nDCG@10", "R@60", "R@20", "R@5"],
        "devices": ["cpu"],
        "latency": None,
        "store_texts": False,
        **more,
    }


THREE = ({"bm25": {"keep": 60}}, {"word-overlap": {"keep": 20}}, {f"{HERE}:Shortest": {"keep": 5}})
TIMED = {
    "queries": 3,
    "rounds": 1,
    "warmup_max": 0,
    "span_queries": 3,
    "offline_pairs": 60,
    "first_stages": True,
}


def record_of(run: Run, name: str) -> Record:
    return next(record for record in run.records.values() if record.trial.reranker == name)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RERANK_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        return bench.run(cascade(*THREE, latency=TIMED), out=tmp_path_factory.mktemp("out"))


def test_the_quality_after_each_stage_is_that_of_the_order_as_it_stands(finished: Run) -> None:
    record, first = record_of(finished, "cascade"), record_of(finished, "first-stage")
    assert [stage.name for stage in record.stages] == ["bm25", "word-overlap", f"{HERE}:Shortest"]
    assert record.stages[0].quality == first.quality
    assert record.stages[-1].quality == record.quality
    means = [stage.quality["nDCG@10"].mean for stage in record.stages]
    assert len(set(means)) == 3
    plain = cascade(rerankers=["word-overlap"], depth=60, first_stages=["bm25"], pipelines=[])
    second = record_of(bench.run(plain, out=finished.folder.parent / "plain"), "word-overlap")
    assert record.stages[1].quality["nDCG@10"] == second.quality["nDCG@10"]


def test_a_cut_loses_the_recall_that_it_loses(finished: Run) -> None:
    found = record_of(finished, "cascade").stages
    assert [(stage.received, stage.keep) for stage in found] == [(None, 60), (60, 20), (20, 5)]
    for stage in found:
        assert stage.recall == pytest.approx(stage.quality[f"R@{stage.keep}"].mean)
    assert found[0].lost is None
    for before, after in pairwise(found):
        assert before.recall is not None
        assert after.recall is not None
        assert after.lost == pytest.approx(before.recall - after.recall)
        assert after.lost_documents is not None
        assert after.lost_documents > 0


def test_every_stage_has_a_span_and_the_search_is_one(finished: Run) -> None:
    trial = record_of(finished, "cascade").trial.id
    rows = finished.latency[finished.latency["trial"] == trial]
    spans = set(rows.loc[rows["scenario"] == "single", "span"])
    assert spans == {"total", "bm25", "word-overlap", f"{HERE}:Shortest", "other"}
    assert (rows["nanoseconds"] >= 0).all()


def test_the_first_stage_is_timed_as_a_stage_of_its_own(finished: Run) -> None:
    record = record_of(finished, "first-stage")
    rows = finished.latency[finished.latency["trial"] == record.trial.id]
    single = rows[rows["scenario"] == "single"]
    assert set(single["span"]) == {"total", "bm25", "other"}
    assert len(single[single["span"] == "total"]) == TIMED["queries"]
    assert set(rows["scenario"]) == {"single", "offline"}
    assert "speed" in record.keys
    table = latency.table("single", finished.rows)
    assert [row.name for row in table.rows] == ["first-stage", "cascade"]


@pytest.mark.parametrize("first_stages", [True, False])
def test_a_first_stage_that_is_given_or_not_asked_for_has_no_time(
    first_stages: bool, finished: Run, tmp_path: Path
) -> None:
    ranking = next((finished.folder / "rankings").glob("*first-stage.run.gz"))
    first = {"run": {"path": str(ranking), "keep": 10}} if first_stages else {"bm25": {"keep": 10}}
    plan = {**TIMED, "scenarios": ["single"], "first_stages": first_stages}
    done = bench.run(cascade(first, f"{HERE}:Shortest", latency=plan), out=tmp_path)
    assert record_of(done, "first-stage").latency is None
    assert record_of(done, "cascade").latency is not None


def test_a_sweep_times_a_pipeline_at_other_depths_and_settings(tmp_path: Path) -> None:
    tunable = "tests.support.fakes:TunableReranker"
    sweep = {"depths": [5, 20], "dtypes": ["bfloat16"], "rounds": 1}
    plan = {**TIMED, "scenarios": ["single"], "sweep": sweep}
    stages_ = ({"bm25": {"keep": 20}}, {"word-overlap": {"keep": 10}}, tunable)
    few = [{"embedded:everyday": {"queries": 20}}]
    done = bench.run(cascade(*stages_, latency=plan, datasets=few), out=tmp_path)
    points = [point for point in done.points if point.trial.reranker == "cascade"]
    settings = [(point.depth, point.system.dtype) for point in points]
    assert sorted(settings, key=str) == [(20, "bfloat16"), (20, None), (5, "bfloat16"), (5, None)]
    qualities = done.qualities("nDCG@10")
    own, changed = (
        qualities.at(System(points[0].trial.id, dtype=dtype), 20) for dtype in (None, "bfloat16")
    )
    assert own
    assert changed
    assert own.keys() == changed.keys()
    assert own != changed, "the number format of this one changes its scores"
    assert qualities.at(points[0].system, 5) is None, "other documents reach every stage there"


def test_reports_tell_each_stage(finished: Run) -> None:
    section = stages.stages(View(finished))
    assert section is not None
    (table,) = [block for block in section.blocks if isinstance(block, Table)]
    names = [row.name for row in table.rows]
    assert names == ["bm25", "word-overlap", f"{HERE}:Shortest", stages.IN_ALL]
    assert all(row.cells["p50"].number for row in table.rows)
    for file in ("report.md", "report.html"):
        shown = (finished.folder / file).read_text()
        assert section.title in shown
        assert "The times of a pipeline have its search in them" in shown


def test_a_narrow_terminal_shows_the_numbers_of_a_pipeline_with_a_long_name(
    tmp_path: Path,
) -> None:
    name = "first bm25 > word-overlap, which comes second > the shortest, which come last of all"
    done = bench.run(cascade(*THREE, name=name), out=tmp_path)
    section = stages.stages(View(done))
    assert section is not None
    console = screen(file=io.StringIO(), width=80)
    with console.capture() as capture:
        terminal.show(Document("", [section]), console, titled=False)
    lines = capture.get().splitlines()
    (heading,) = [line for line in lines if line.startswith("first bm25 >")]
    assert heading.startswith(name)
    record = record_of(done, name)
    for stage in record.stages:
        (line,) = [line for line in lines if line.strip().startswith(f"{stage.name} ")]
        assert f"{stage.quality['nDCG@10'].mean:.4f}" in line
        assert f" {stage.keep} " in line


def test_toys_of_an_outsider_are_named_in_one_line_each(tmp_path: Path) -> None:
    toys = [f"{HERE}:{name}" for name in ("SharedWords", "Shortest", "Halved")]
    settings = cascade({toys[0]: {"keep": 30}}, {toys[1]: {"keep": 10}}, toys[2])
    path = tmp_path / "toys.yaml"
    path.write_text(yaml.safe_dump(settings))
    valid = command("validate", str(path), cwd=tmp_path)
    assert valid.returncode == 0, valid.stderr
    assert toys[0] in valid.stdout
    done = bench.run(settings, out=tmp_path / "out")
    record = record_of(done, "cascade")
    assert [stage.name for stage in record.stages] == toys
    assert record.stages[2].quality == record.stages[1].quality, "halves keep their order"
    assert all(toy in (done.folder / "report.md").read_text() for toy in toys)


def test_a_stage_that_two_pipelines_begin_with_runs_once(tmp_path: Path) -> None:
    Counted.pairs = 0
    shared = [{"bm25": {"keep": 50}}, {f"{HERE}:Counted": {"keep": 20}}]
    settings = cascade(*shared, "word-overlap", name="one")
    settings["pipelines"].append({"name": "two", "stages": [*shared, f"{HERE}:Shortest"]})
    done = bench.run(settings, out=tmp_path)
    assert Counted.pairs == record_of(done, "one").counts.pairs
    one, two = record_of(done, "one"), record_of(done, "two")
    assert one.stages[1].quality == two.stages[1].quality
    assert one.quality != two.quality


def test_a_pipeline_is_measured_with_the_rerankers_over_the_same_candidates(tmp_path: Path) -> None:
    settings = cascade(*THREE, rerankers=["word-overlap"], depth=60)
    settings["pipelines"].append({"name": "deeper", "stages": [{"bm25": {"keep": 80}}]})
    done = bench.run(settings, out=tmp_path)
    where = {record.trial.reranker: record.trial for record in done.records.values()}
    assert where["cascade"].first_stage == where["word-overlap"].first_stage == "bm25"
    assert (where["deeper"].first_stage, where["deeper"].depth) == ("bm25 at 80", 80)


def test_a_query_that_fails_in_one_stage_fails_in_the_pipeline(tmp_path: Path) -> None:
    done = bench.run(cascade("bm25", f"{HERE}:Refusing", "word-overlap"), out=tmp_path)
    record = record_of(done, "cascade")
    assert 0 < record.counts.failed < record.counts.queries
    assert record.counts.failed == len(record.failures)
    assert all(reason == f"{HERE}:Refusing: busy" for reason in record.failures.values())


def test_a_query_that_failed_lost_nothing_to_a_cut(tmp_path: Path) -> None:
    done = bench.run(cascade("bm25", f"{HERE}:Refusing", "word-overlap"), out=tmp_path)
    first, refusing, last = record_of(done, "cascade").stages
    assert (refusing.lost, refusing.lost_documents) == (0.0, 0)
    assert (last.lost, last.lost_documents) == (0.0, 0)
    assert refusing.recall == last.recall
    assert refusing.quality["R@60"].mean < first.quality["R@60"].mean, "it scores 0 there"


def test_a_stage_of_which_most_queries_failed_has_no_quality(tmp_path: Path) -> None:
    done = bench.run(cascade("bm25", "word-overlap", f"{HERE}:MostlyRefusing"), out=tmp_path)
    record = record_of(done, "cascade")
    assert record.mostly_failed
    first, words, mostly = record.stages
    assert first.quality
    assert words.quality
    assert mostly.quality == {}
    assert mostly.lost == 0.0
    assert stages.stages(View(done)) is None


def test_cached_and_computed_queries_are_counted_query_by_query(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RERANK_BENCH_CACHE", str(tmp_path / "cache"))
    bench.run(cascade("bm25", f"{HERE}:Kept"), out=tmp_path)
    done = bench.run(
        cascade("bm25", f"{HERE}:Kept", f"{HERE}:MostlyRefusing"), out=tmp_path / "again"
    )
    record = record_of(done, "cascade")
    queries, failed = record.counts.queries, record.counts.failed
    assert failed > queries / 2
    assert record.stages[1].scores == {"cached": queries, "computed": 0}
    assert record.stages[2].scores == {"cached": 0, "computed": queries - failed}
    assert record.scores == {"cached": failed, "computed": queries - failed}


def test_stages_are_closed_when_a_person_interrupts(tmp_path: Path) -> None:
    Closing.closed = 0
    with pytest.raises(KeyboardInterrupt):
        bench.run(cascade("bm25", f"{HERE}:Closing"), out=tmp_path, progress=Observer())
    assert Closing.closed == 1


@pytest.mark.parametrize(
    ("stages_", "message"),
    [
        (["bm25", {"word-overlap": {"keep": 200}}], "keep: 200 is more than the 100 documents"),
        ([{"bm25": {"keep": 0}}], "keep: 0 is no number of documents"),
        (["bm25", "bm25"], "'bm25' retrieves: it can only be the first"),
        (["word-overlap"], "a pipeline begins with a first stage, such as bm25"),
        (["bm25", "word-overlap", "word-overlap"], "two stages are named 'word-overlap'"),
        (
            [
                "bm25",
                {"word-overlap": {"name": "by word"}},
                {"word-overlap": {"name": "by-word"}},
            ],
            "two stages are named 'by word' and 'by-word'",
        ),
        ([{"bm25": {"keep": 50, "depth": 60}}], "keep or depth, not both"),
        (["bm25", {"word-overlap": {"kep": 5}}], "kep"),
        ([], "stages"),
    ],
)
def test_a_pipeline_that_cannot_be_is_refused(stages_: list[Any], message: str) -> None:
    with pytest.raises(SuiteError, match=message):
        suite.load(cascade(*stages_))
