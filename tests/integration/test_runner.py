"""A whole run, from suite to record: what it leaves, what it says of queries and failures, what it
reuses, what stops it.
"""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import ir_measures
import pytest

import bench
from bench.core.errors import BenchError, RerankerError, SuiteError, Unavailable
from bench.core.note import Code
from bench.ranking.trec import metadata_path, read_run
from bench.records.run import Run
from bench.suite.planning import plan
from bench.suite.suite import load
from tests.support.notes import noted

FAKE = "tests.support.fakes:HashReranker"


def suite(collection: Path, *rerankers: Any, **more: Any) -> dict[str, Any]:
    """A suite over the tiny collection. Latency is small, since nothing here asserts a time."""
    base = {
        "name": "tiny",
        "datasets": [f"files:{collection}"],
        "rerankers": list(rerankers or [{FAKE: {"name": "fake"}}]),
        "latency": {"queries": 3, "rounds": 2, "warmup_max": 3},
        "depth": 5,
    }
    return {**base, **more}


def run(
    collection: Path,
    *rerankers: Any,
    tmp_path: Path,
    latency: bool = False,
    fresh: bool = False,
    **more: Any,
) -> Run:
    return bench.run(
        suite(collection, *rerankers, **more),
        out=tmp_path / "results",
        latency=latency,
        fresh=fresh,
    )


def trial(found: Run, name: str) -> Any:
    return next(record for record in found.records.values() if record.trial.reranker == name)


def test_a_run_leaves_the_documented_folder(collection: Path, tmp_path: Path) -> None:
    finished_run = run(collection, tmp_path=tmp_path, latency=True)
    names = {
        str(path.relative_to(finished_run.folder))
        for path in finished_run.folder.rglob("*")
        if path.is_file()
    }
    assert names == {
        "run.json",
        *(
            f"{table}/tiny--bm25--{name}.parquet"
            for table in ("per_query", "depths", "scores", "losses")
            for name in ("first-stage", "fake--cpu", "oracle")
        ),
        "latency/tiny--bm25--fake--cpu.parquet",
        *(
            f"{table}/tiny--bm25--first-stage.parquet"
            for table in ("queries", "documents", "judgments")
        ),
        "digests.json",
        *(f"digests/tiny--bm25--{name}.parquet" for name in ("first-stage", "fake--cpu", "oracle")),
        "report.html",
        "report.md",
        "tradeoff-tiny-bm25.png",
        "depth-tiny-bm25.png",
        *(f"records/tiny--bm25--{name}.json" for name in ("first-stage", "fake--cpu", "oracle")),
        *(f"rankings/tiny--bm25--{name}.run.gz" for name in ("first-stage", "fake--cpu", "oracle")),
        *(
            f"rankings/tiny--bm25--{name}.ir_metadata.yaml"
            for name in ("first-stage", "fake--cpu", "oracle")
        ),
    }
    assert finished_run.info.status == "done"
    assert list(finished_run.per_query.columns) == ["trial", "query", "measure", "value"]
    columns = [
        "trial",
        "scenario",
        "round",
        "query",
        "pairs",
        "tokens",
        "nanoseconds",
        "warmup",
        "span",
        "slots",
        "truncated",
        "rate",
    ]
    assert list(finished_run.latency.columns) == columns
    assert set(finished_run.latency["trial"]) == {"tiny--bm25--fake--cpu"}
    assert repr(finished_run).startswith("<Run tiny")


def test_queries_are_counted_as_documented(collection: Path, tmp_path: Path) -> None:
    """q6 has no judgment and is left out; q5 has no candidate and scores 0; q4's one judged
    document is relevant.
    """
    counts = trial(run(collection, tmp_path=tmp_path), "fake").counts
    assert (counts.queries, counts.unjudged_queries, counts.without_candidates, counts.failed) == (
        5,
        1,
        1,
        0,
    )
    assert counts.ties == 0


def test_the_aggregate_is_the_mean_of_ir_measures_over_the_ranking_on_disk(
    collection: Path, tmp_path: Path
) -> None:
    """The rankings, read as any other tool would read them, give the record's numbers."""
    finished_run = run(collection, tmp_path=tmp_path, measures=["nDCG@10", "RR@10", "AP"])
    qrels = list(ir_measures.read_trec_qrels(str(collection / "qrels.txt")))
    for record in finished_run.records.values():
        with gzip.open(
            finished_run.folder / "rankings" / f"{record.trial.id}.run.gz", "rt"
        ) as file:
            lines = "".join(line for line in file if not line.startswith("#"))
        measures = [ir_measures.nDCG @ 10, ir_measures.RR @ 10, ir_measures.AP]
        expected = ir_measures.pytrec_eval.calc_aggregate(
            measures, qrels, list(ir_measures.read_trec_run(lines))
        )
        for measure, value in expected.items():
            assert record.quality[str(measure)].mean == pytest.approx(value)


def test_the_oracle_is_above_everything_and_the_first_stage_is_the_candidates_order(
    collection: Path, tmp_path: Path
) -> None:
    finished_run = run(collection, tmp_path=tmp_path)
    means = {
        record.trial.reranker: record.quality["nDCG@10"].mean
        for record in finished_run.records.values()
    }
    assert means["oracle"] == max(means.values())
    assert trial(finished_run, "first-stage").vs_first_stage == {}
    assert trial(finished_run, "oracle").vs_first_stage["nDCG@10"].mean == pytest.approx(
        means["oracle"] - means["first-stage"]
    )
    assert finished_run.ranking("tiny--bm25--first-stage")["q3"].doc_ids[0] == "d02"


def test_an_optional_row_is_skipped_with_its_reason_and_another_stops_the_run_before_any_work(
    collection: Path, tmp_path: Path
) -> None:
    missing = "tests.support.fakes:MissingReranker"
    finished_run = run(
        collection,
        {FAKE: {"name": "fake"}},
        {missing: {"name": "gone", "optional": True}},
        tmp_path=tmp_path,
    )
    status = next(status for status in finished_run.info.trials if status.trial.reranker == "gone")
    assert (status.status, status.reason) == ("skipped", "no FAKE_API_KEY")
    assert "no FAKE_API_KEY" in (finished_run.folder / "report.md").read_text()
    assert finished_run.to_frame().set_index("reranker").loc["gone", "reason"] == "no FAKE_API_KEY"
    with pytest.raises(
        Unavailable,
        match=r"'gone': no FAKE_API_KEY. export FAKE_API_KEY=...; or mark it `optional: true`",
    ):
        run(collection, {missing: {"name": "gone"}}, tmp_path=tmp_path / "other")
    with pytest.raises(
        Unavailable,
        match=r"'gone': no FAKE.*; reranker 'lost': no FAKE.*; or mark them `optional: true`$",
    ):
        run(
            collection,
            {missing: {"name": "gone"}},
            {missing: {"name": "lost"}},
            tmp_path=tmp_path / "other",
        )
    assert not (tmp_path / "other").exists()


def test_a_crash_fails_its_own_row_only_and_keeps_the_traceback(
    collection: Path, tmp_path: Path
) -> None:
    finished_run = run(
        collection,
        {FAKE: {"name": "fake"}},
        {FAKE: {"name": "bad", "crash": "out of paper", "salt": "x"}},
        tmp_path=tmp_path,
    )
    status = {status.trial.reranker: status for status in finished_run.info.trials}
    assert status["fake"].status == "done"
    assert status["bad"].status == "failed"
    assert "out of paper" in str(status["bad"].reason)
    assert (
        "RuntimeError: out of paper"
        in (finished_run.folder / "errors" / f"{status['bad'].trial.id}.txt").read_text()
    )
    assert "failed: RuntimeError" in (finished_run.folder / "report.md").read_text()


def test_a_reranker_that_cannot_load_for_timing_fails_its_own_row_only(
    collection: Path, tmp_path: Path
) -> None:
    """Its scores are cached, so that it is loaded for the timed pass alone: the other rows keep
    their records and timings.
    """
    gone = "tests.support.fakes:UnloadableReranker"
    run(collection, {gone: {"name": "gone", "salt": "g"}}, tmp_path=tmp_path)
    finished_run = run(
        collection,
        {FAKE: {"name": "fake"}},
        {gone: {"name": "gone", "salt": "g", "crash": "yes"}},
        tmp_path=tmp_path,
        latency=True,
    )
    status = {
        status.trial.reranker: (status.status, status.reason) for status in finished_run.info.trials
    }
    assert status["gone"] == ("failed", "the weights are gone")
    assert status["fake"] == ("done", None)
    assert set(finished_run.latency["trial"]) == {"tiny--bm25--fake--cpu"}


@pytest.mark.parametrize("wrong", ["nan", "count", "answers"])
def test_a_reranker_that_breaks_its_contract_fails_with_one_line(
    collection: Path, tmp_path: Path, wrong: str
) -> None:
    finished_run = run(
        collection,
        {"tests.support.fakes:FlakyReranker": {"name": "bad", "wrong": wrong}},
        tmp_path=tmp_path,
    )
    assert [
        status.status for status in finished_run.info.trials if status.trial.reranker == "bad"
    ] == ["failed"]
    assert not (finished_run.folder / "errors").exists()


def test_a_failed_query_scores_zero_and_is_told(collection: Path, tmp_path: Path) -> None:
    finished_run = run(
        collection,
        {"tests.support.fakes:FlakyReranker": {"name": "flaky", "fail_query": "q3"}},
        tmp_path=tmp_path,
    )
    record = trial(finished_run, "flaky")
    assert record.counts.failed == 1
    assert record.failures == {"q3": "timed out"}
    per_query = finished_run.per_query.query("trial == @record.trial.id and query == 'q3'")
    assert set(per_query["value"]) == {0.0}
    assert "1 of 4 queries failed" in (finished_run.folder / "report.md").read_text()


def test_scores_come_from_the_cache_and_give_the_same_numbers(
    collection: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    spec = {FAKE: {"name": "fake", "log": str(log)}}
    first = run(collection, spec, tmp_path=tmp_path)
    scored = log.stat().st_size
    second = run(collection, spec, tmp_path=tmp_path)
    assert log.stat().st_size == scored > 0
    assert first.folder != second.folder
    assert trial(second, "fake").scores == {"cached": 4, "computed": 0}
    assert trial(first, "fake").quality == trial(second, "fake").quality
    assert trial(first, "fake").keys == trial(second, "fake").keys
    run(collection, spec, tmp_path=tmp_path, fresh=True)
    assert log.stat().st_size == 2 * scored


def test_an_unfinished_run_of_the_same_suite_is_continued_in_its_folder(
    collection: Path, tmp_path: Path
) -> None:
    first = run(collection, tmp_path=tmp_path)
    info = json.loads((first.folder / "run.json").read_text())
    info |= {"status": "running", "finished": None}
    (first.folder / "run.json").write_text(json.dumps(info))
    (first.folder / "records" / "tiny--bm25--oracle.json").unlink()
    again = run(collection, tmp_path=tmp_path)
    assert again.folder == first.folder
    assert again.info.status == "done"
    assert len(again.records) == 3
    assert not again.per_query.duplicated(["trial", "query", "measure"]).any()
    assert run(collection, tmp_path=tmp_path, depth=4).folder != first.folder


def test_a_folder_at_work_is_not_taken_over(collection: Path, tmp_path: Path) -> None:
    from filelock import FileLock

    first = run(collection, tmp_path=tmp_path)
    info = json.loads((first.folder / "run.json").read_text()) | {"status": "running"}
    (first.folder / "run.json").write_text(json.dumps(info))
    with FileLock(first.folder / ".lock"):
        assert run(collection, tmp_path=tmp_path).folder != first.folder


def test_a_published_run_is_a_row(collection: Path, tmp_path: Path) -> None:
    published = tmp_path / "published.run"
    published.write_text("q1 Q0 d03 1 9 x\nq1 Q0 d00 2 8 x\nq3 Q0 d02 1 1 x\n")
    finished_run = run(collection, {"run-file": str(published)}, tmp_path=tmp_path)
    ranking = finished_run.ranking("tiny--bm25--published")["q1"].doc_ids
    assert ranking[:2] == ("d03", "d00")
    assert sorted(ranking) == sorted(finished_run.ranking("tiny--bm25--first-stage")["q1"].doc_ids)


def test_candidates_from_a_run_file_are_the_first_stage(collection: Path, tmp_path: Path) -> None:
    given = tmp_path / "bm25.run"
    given.write_text("q1 Q0 d03 1 9 x\nq1 Q0 d00 2 8 x\nq2 Q0 d01 1 1 x\n")
    finished_run = run(
        collection, tmp_path=tmp_path, first_stages=[{"run": {"path": str(given), "name": "given"}}]
    )
    assert finished_run.ranking("tiny--given--first-stage")["q1"].doc_ids == ("d03", "d00")
    assert trial(finished_run, "fake").counts.without_candidates == 3


def test_two_rows_of_one_name_are_refused(collection: Path) -> None:
    with pytest.raises(SuiteError, match="another 'name'"):
        plan(load(suite(collection, {FAKE: {"name": "a"}}, {FAKE: {"name": "a", "salt": "b"}})))


def test_a_dataset_without_judgments_is_an_error(collection: Path, tmp_path: Path) -> None:
    (collection / "qrels.txt").write_text("q99 0 d00 1\n")
    with pytest.raises(BenchError, match="judgment"):
        run(collection, tmp_path=tmp_path)


def test_rankings_open_in_trec_eval_with_its_own_order(collection: Path, tmp_path: Path) -> None:
    """trec_eval 9 stops at a comment, and all of them read scores in single precision: the order
    must survive both.
    """
    import numpy as np

    finished_run = run(collection, tmp_path=tmp_path)
    path = finished_run.folder / "rankings" / "tiny--bm25--fake--cpu.run.gz"
    text = gzip.decompress(path.read_bytes()).decode()
    assert "#" not in text
    assert metadata_path(path).read_text().startswith("platform:")
    for ranking in read_run(path).values():
        assert (np.diff(np.array(ranking.scores, dtype=np.float32)) < 0).all()


def test_the_report_is_rebuilt_from_the_records_alone(collection: Path, tmp_path: Path) -> None:
    from bench import reports

    finished_run = run(collection, tmp_path=tmp_path, latency=True)
    before = (finished_run.folder / "report.md").read_text()
    (finished_run.folder / "report.md").unlink()
    for path in collection.iterdir():
        path.unlink()
    reports.write(bench.load(finished_run.folder))
    assert (finished_run.folder / "report.md").read_text() == before


def test_a_reranker_on_its_own() -> None:
    ranked = bench.reranker("tests.support.fakes:HashReranker", device="cpu").rerank(
        "apple", ["one", "two", "three"]
    )
    assert sorted(index for index, _ in ranked) == [0, 1, 2]
    assert [score for _, score in ranked] == sorted((score for _, score in ranked), reverse=True)
    with pytest.raises(RerankerError, match="no documents"):
        bench.reranker("tests.support.fakes:HashReranker", device="cpu").rerank("apple", [])


def test_no_path_of_this_machine_reaches_the_record(collection: Path, tmp_path: Path) -> None:
    """Identities are hashes and names, so that a record can be shared. The suite as asked holds
    what its author wrote.
    """
    finished_run = run(collection, tmp_path=tmp_path)
    for path in (finished_run.folder / "records").iterdir():
        assert str(collection) not in path.read_text()
        assert os.uname().nodename not in path.read_text()


def test_a_cutoff_below_the_candidates_is_noted(collection: Path, tmp_path: Path) -> None:
    finished_run = run(collection, tmp_path=tmp_path, measures=["nDCG@5", "R@100"], depth=5)
    note = noted(finished_run.info.warnings, Code.SHALLOW)
    assert note.names == {"depth": "5", "measures": "R@100"}


def test_an_outsiders_first_stage_is_counted_and_its_scores_are_held_to_its_order(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It finds nothing for one query, gives another's candidates against their scores, and a
    third's with its own scores.
    """
    (tmp_path / "outsider_stage.py").write_text(
        "from bench.contract.candidates import Candidates, QueryCandidates\n"
        "from bench.retrieval.options import FirstStageOptions\n"
        "class Stage:\n"
        "    Options = FirstStageOptions\n"
        "    def __init__(self, options, base_dir):\n"
        "        self.options, self.name = options, 'mine'\n"
        "    def retrieve(self, dataset, query_ids, depth):\n"
        "        ids = tuple(sorted(dataset.documents.ids())[:2])\n"
        "        lists = {q: QueryCandidates(ids, (7.5, 2.5)) for q in query_ids}\n"
        "        lists[query_ids[0]] = QueryCandidates((), ())\n"
        "        lists[query_ids[1]] = QueryCandidates(ids, (1.0, float('inf')))\n"
        "        return Candidates(lists, depth, {})\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    finished_run = run(collection, tmp_path=tmp_path, first_stages=["outsider_stage:Stage"])
    assert noted(finished_run.info.warnings, Code.NO_CANDIDATES).count == 1
    (trial,) = [trial for trial in finished_run.records if trial.endswith("first-stage")]
    assert sorted({ranking.scores for ranking in finished_run.ranking(trial).values()}) == [
        (2.0, 1.0),
        (7.5, 2.5),
    ]
    warnings = finished_run.records[trial].description["facts"]["warnings"]
    assert noted(warnings, Code.OUT_OF_ORDER).count == len(warnings) == 1
