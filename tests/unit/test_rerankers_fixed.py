"""The rows that compute nothing: first stage, oracle, published run."""

from __future__ import annotations

import gzip
import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bench
from bench import datasets, rerankers
from bench import retrieval as first_stage
from bench.contract.candidates import Candidates, QueryCandidates
from bench.contract.request import CandidateList, Failure
from bench.core.errors import DataError, RerankerError, SuiteError, Unavailable
from bench.core.note import Code, Note
from bench.ranking.order import rank
from bench.records.rows import rows
from bench.reports.document import plain
from bench.reports.findings import findings
from bench.reports.sections.verdict import sentences
from bench.suite import suite
from bench.suite.planning import plan
from tests.support.notes import counts

NONE = Candidates({}, 10, {})


def order(reranker: Any, query_id: str, doc_ids: list[str]) -> list[str]:
    """The ranking that the reranker's scores give under the tie rule; scores must fall strictly."""
    (scores,) = reranker.rerank([CandidateList(query_id, "text", doc_ids, ["text"] * len(doc_ids))])
    assert len(set(scores)) == len(doc_ids)
    return list(rank(doc_ids, scores.tolist()).doc_ids)


def dcg(grades: list[int]) -> float:
    return sum(grade / math.log2(position + 2) for position, grade in enumerate(grades))


IDS = st.lists(st.text("abcxyz0189", min_size=1, max_size=4), unique=True, max_size=6)


@given(IDS)
def test_the_first_stage_keeps_its_order(doc_ids: list[str]) -> None:
    assert order(rerankers.build("first-stage"), "q", doc_ids) == doc_ids


@given(IDS, st.data())
def test_no_order_is_better_than_the_oracles(doc_ids: list[str], data: st.DataObject) -> None:
    grades = {
        doc_id: data.draw(st.integers(0, 3)) for doc_id in doc_ids if data.draw(st.booleans())
    }
    oracle: Any = rerankers.build("oracle")
    oracle.bind({"q": grades}, NONE)
    found = order(oracle, "q", doc_ids)
    assert sorted(found) == sorted(doc_ids)
    best = max(
        dcg([grades.get(doc_id, 0) for doc_id in permutation])
        for permutation in itertools.permutations(doc_ids)
    )
    assert dcg([grades.get(doc_id, 0) for doc_id in found]) == pytest.approx(best)


def test_the_oracle_keeps_the_first_stages_order_among_equals() -> None:
    oracle: Any = rerankers.build("oracle")
    oracle.bind({"q": {"c": 1, "a": 1, "z": 2}}, NONE)
    assert order(oracle, "q", ["b", "c", "a", "z", "d"]) == ["z", "c", "a", "b", "d"]
    assert order(oracle, "unjudged", ["b", "c"]) == ["b", "c"]


def test_the_oracle_needs_judgments() -> None:
    with pytest.raises(RerankerError, match="no judgments"):
        order(rerankers.build("oracle"), "q", ["a"])


def published(tmp_path: Path, lines: str, name: str = "published.run") -> Any:
    path = tmp_path / name
    path.write_bytes(gzip.compress(lines.encode()) if name.endswith(".gz") else lines.encode())
    return rerankers.build("run-file", name, base_dir=tmp_path)


@pytest.mark.parametrize("name", ["published.run", "published.run.gz"])
def test_a_run_orders_its_candidates_by_the_tie_rule(tmp_path: Path, name: str) -> None:
    """Scores decide, never the rank column; equal scores go by doc_id, falling."""
    run = published(
        tmp_path, "q Q0 a 3 2.0 t\nq Q0 b 1 5.0 t\nq Q0 c 2 2.0 t\nq Q0 elsewhere 4 1.0 t\n", name
    )
    run.check()
    run.bind({"q": {"a": 1}}, NONE)
    run.load()
    doc_ids = ["x", "a", "b", "y", "c"]
    (scores,) = run.rerank([CandidateList("q", "text", doc_ids, ["text"] * 5)])
    assert list(rank(doc_ids, scores.tolist()).doc_ids) == ["b", "c", "a", "x", "y"]
    assert scores.tolist() == [1.0, 2.0, 5.0, 0.0, 2.0], (
        "its scores as they are, ties included; candidates that it lacks below them"
    )
    expected = {
        "source": name,
        "queries_absent": 0,
        "candidates": 5,
        "candidates_absent": 2,
        "extra_documents": 1,
    }
    facts = run.describe().facts
    noted = counts(facts.pop("warnings"))
    assert noted == {Code.ABSENT_CANDIDATES: 2, Code.EXTRA_DOCUMENTS: 1}
    assert facts == {**expected, "other_candidates": True}
    run.rerank([CandidateList("q", "text", doc_ids, ["text"] * 5)])
    assert run.describe().facts["candidates"] == 5, "a request asked twice counts once"


def test_what_a_run_does_not_answer_fails_and_scores_0(tmp_path: Path) -> None:
    """As trec_eval -c has it: neither a query that the run lacks nor one of which it lists no
    candidate gets the first stage's order.
    """
    run = published(tmp_path, "q1 Q0 a 1 2.0 t\nq2 Q0 elsewhere 1 1.0 t\n")
    run.load()
    outcomes = run.rerank(
        [CandidateList(query, "text", ["n", "m"], ["", ""]) for query in ("q9", "q2")]
    )
    reasons = [
        "published.run does not list the query",
        "published.run lists none of its candidates",
    ]
    assert outcomes == [Failure(reason) for reason in reasons]
    assert run.describe().facts["queries_absent"] == 1


def test_a_run_over_its_own_candidates_needs_no_note(tmp_path: Path) -> None:
    """Reranked deeper than here: what lies below the depth is left out, and no candidate is
    absent.
    """
    run = published(tmp_path, "".join(f"q Q0 d{i} {i} {10 - i}.5 t\n" for i in range(1, 9)))
    run.load()
    (scores,) = run.rerank([CandidateList("q", "text", ["d3", "d1", "d2"], [""] * 3)])
    assert scores.tolist() == [7.5, 9.5, 8.5]
    facts = run.describe().facts
    assert "other_candidates" not in facts
    assert counts(facts["warnings"]) == {Code.EXTRA_DOCUMENTS: 5}


def test_ranks_that_contradict_scores_are_counted(tmp_path: Path) -> None:
    run = published(tmp_path, "q Q0 a 1 0.1 t\nq Q0 b 2 0.2 t\nr Q0 a 1 2 t\nr Q0 b 2 1 t\n")
    run.load()
    run.rerank([CandidateList(query, "text", ["a", "b"], ["", ""]) for query in ("q", "r")])
    assert counts(run.describe().facts["warnings"]) == {Code.CONTRADICTED: 1}


@pytest.mark.parametrize("lowest", [-1e300, -1.79e308, 1e17, 5e-324, 0.0])
def test_candidates_that_a_run_lacks_come_last_at_any_score(tmp_path: Path, lowest: float) -> None:
    run = published(tmp_path, f"q Q0 a 1 {lowest!r} t\nq Q0 b 2 1e300 t\n")
    run.load()
    assert order(run, "q", ["x", "y", "a", "b", "z"]) == ["b", "a", "x", "y", "z"]


def test_the_first_stages_scores_are_its_own() -> None:
    """As they were where they agree with the order; else n, n-1, ..., 1, and a count."""
    by_query = {
        "q": QueryCandidates(("b", "c", "a"), (3.5, 1.25, 1.25)),
        "r": QueryCandidates(("a", "b"), (1.0, 2.0)),
    }
    first_stage: Any = rerankers.build("first-stage")
    first_stage.bind({}, Candidates(by_query, 10, {}))
    requests = [
        CandidateList(query, "text", one.doc_ids, [""] * len(one.doc_ids))
        for query, one in by_query.items()
    ]
    assert [scores.tolist() for scores in first_stage.rerank(requests)] == [
        [3.5, 1.25, 1.25],
        [2.0, 1.0],
    ]
    assert counts(first_stage.describe().facts["warnings"]) == {Code.OUT_OF_ORDER: 1}


def test_equal_runs_have_one_identity_wherever_they_lie(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    line = "q Q0 a 1 2.0 t\n"
    first, second = published(tmp_path, line), published(tmp_path / "other", line, "copy.run")
    third = published(tmp_path, "q Q0 a 1 3.0 t\n", "third.run")
    assert first.describe().identity == second.describe().identity != third.describe().identity


def test_a_run_of_another_collection_is_an_error(tmp_path: Path) -> None:
    run = published(tmp_path, "q Q0 a 1 2.0 t\n")
    run.bind({"1": {}, "2": {}}, NONE)
    with pytest.raises(RerankerError, match="has none of the 2 judged queries"):
        run.load()


def test_a_missing_or_malformed_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no such run file"):
        rerankers.build("run-file", "nowhere.run", base_dir=tmp_path).check()
    with pytest.raises(DataError, match="2"):
        published(tmp_path, "q Q0 a 1 2.0 t\nthis is no run\n").load()
    with pytest.raises(RerankerError, match="load\\(\\) comes before"):
        order(published(tmp_path, "q Q0 a 1 2.0 t\n"), "q", ["a"])


def test_fixed_rows_are_not_worth_caching() -> None:
    assert (
        rerankers.build("first-stage").fingerprint()
        == rerankers.build("oracle").fingerprint()
        == {}
    )
    first_stage: Any = rerankers.build("first-stage")
    (scores,) = first_stage.rerank([CandidateList("q", "t", ["a"], ["t"])])
    assert isinstance(scores, np.ndarray)
    assert scores.dtype == np.float64


SUITE: dict[str, Any] = {
    "name": "published",
    "datasets": ["embedded:everyday"],
    "first_stages": ["bm25", {"bm25": {"b": 0.9, "name": "bm25-long"}}],
    "depth": 5,
    "measures": ["nDCG@10"],
    "latency": None,
}


def test_a_run_is_bound_to_its_own_first_stage(tmp_path: Path) -> None:
    """Over others the row does not appear; a name that the suite has not is an error that says
    which it has.
    """
    (tmp_path / "some.run").write_text("q Q0 a 1 2.0 t\n")
    bound = {
        "run-file": {
            "path": str(tmp_path / "some.run"),
            "first_stage": "bm25-long",
            "dataset": "everyday",
        }
    }
    groups = plan(suite.load({**SUITE, "rerankers": [bound]}))
    names = [[planned.trial.reranker for planned in group.planned] for group in groups]
    assert names == [["first-stage", "oracle"], ["first-stage", "some", "oracle"]]
    for option, name in (("first_stage", "bm25-lang"), ("dataset", "everday")):
        wrong = {"run-file": {**bound["run-file"], option: name}}
        with pytest.raises(
            SuiteError, match=f"the suite has no {option.replace('_', ' ')} '{name}': did you mean"
        ):
            plan(suite.load({**SUITE, "rerankers": [wrong]}))


def test_a_run_over_other_candidates_leads_no_verdict(tmp_path: Path) -> None:
    """A perfect run, of which the candidates hold a part: its row says so, is not the best, and its
    raw scores are written.
    """
    data = datasets.load("embedded:everyday", None, Path())
    relevant = {
        query: [doc for doc, grade in grades.items() if grade > 0]
        for query, grades in data.qrels.items()
    }
    others = list(data.documents.ids())[:40]
    lists = {query: list(dict.fromkeys([*docs, *others]))[:30] for query, docs in relevant.items()}
    lines = [
        f"{query} Q0 {doc} {i} {1000 - i} t\n"
        for query, docs in lists.items()
        for i, doc in enumerate(docs, 1)
    ]
    (tmp_path / "perfect.run").write_text("".join(lines))
    published = {"run-file": str(tmp_path / "perfect.run")}
    overlap = "word-overlap"
    run = bench.run(
        {**SUITE, "first_stages": ["bm25"], "rerankers": [published, overlap]}, out=tmp_path / "out"
    )
    by_name = {row.name: row for row in rows(run)}
    (finding,) = findings(run, rows(run))
    assert by_name["perfect"].quality["nDCG@10"].mean > by_name[overlap].quality["nDCG@10"].mean
    assert finding.best is not None
    assert finding.best.name == overlap
    assert Note(Code.OTHER_CANDIDATES) in by_name["perfect"].notes
    assert (
        max(
            score
            for ranking in run.ranking("everyday--bm25--perfect").values()
            for score in ranking.scores
        )
        == 999.0
    )
    bm25 = first_stage.build("bm25", None, Path()).retrieve(data, list(data.queries), 5)
    alone = [row for row in rows(run) if row.name != overlap]
    (finding,) = findings(run, alone)
    assert [plain(sentence) for sentence in sentences(finding)] == [
        "No reranker can lead a verdict (see the notes) on everyday (bm25, 5 candidates)."
    ]
    for query, written in run.ranking("everyday--bm25--first-stage").items():
        assert written.doc_ids == bm25.by_query[query].doc_ids
        # The run file holds float32 scores in the digits that tell them apart.
        assert written.scores == pytest.approx(bm25.by_query[query].scores, rel=1e-6)
