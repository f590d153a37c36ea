"""PyTerrier both ways: our rerankers in its pipelines and experiments, its pipelines as our first
stage.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bench
from bench import datasets, retrieval
from bench.contract.candidates import Candidates
from bench.core.errors import DataError, RerankerError, SuiteError, Unavailable
from bench.core.note import Code
from bench.integrations.pyterrier import transformer
from bench.retrieval.options import FirstStageOptions
from tests.support.agreement import DOUBLE
from tests.support.paths import ROOT

pt = pytest.importorskip("pyterrier")

pytestmark = pytest.mark.filterwarnings(
    "ignore:The inplace keyword"
)  # pandas 3.1 warns of what PyTerrier 1.1 still writes

HERE = "tests.integration.test_pyterrier"
FAKE = "tests.support.fakes:HashReranker"
EVERYDAY = "embedded:everyday"
FRAME = pd.DataFrame(
    {
        "qid": ["q2", "q2", "q1", "q1", "q1"],
        "query": ["two", "two", "one", "one", "one"],
        "docno": ["a", "b", "a", "b", "c"],
        "text": ["x", "xx", "xxx", "x", "x"],
        "score": 1.0,
        "rank": 7,
        "url": ["u1", "u2", "u3", "u4", "u5"],
    }
)


def by_length(query: str, docs: list[str]) -> list[float]:
    return [float(len(doc)) for doc in docs]


def two_grades(query: str, docs: list[str]) -> list[float]:
    """Many ties."""
    return [float(len(doc) % 2) for doc in docs]


def retrieved(topics: Any) -> Any:
    """Our BM25 as a PyTerrier stage: what a pipeline over the embedded collection would find,
    queries by text.
    """
    dataset = datasets.load(EVERYDAY, None, Path(), 42)
    stage = retrieval.build("bm25", None, Path()).retrieve(dataset, list(topics["qid"]), 20)
    rows = [
        (qid, query, doc_id, score)
        for qid, query in zip(topics["qid"], topics["query"], strict=True)
        for doc_id, score in zip(
            stage.by_query[qid].doc_ids, stage.by_query[qid].scores, strict=True
        )
    ]
    return pt.model.add_ranks(pd.DataFrame(rows, columns=["qid", "query", "docno", "score"]))


def results(**columns: Any) -> Callable[[Any], Any]:
    return lambda topics: pd.DataFrame(
        {"qid": "q1", "docno": ["d01", "d00"], "score": [1.0, 1.0], **columns}
    )


def broken(topics: Any) -> Any:
    raise RuntimeError("no index here\nsecond line")


pipeline = pt.apply.generic(retrieved) % 20
tied = pt.apply.generic(results())
strange = pt.apply.generic(results(docno=["d01", "elsewhere"]))
twice = pt.apply.generic(results(docno=["d01", "d01"], score=[2.0, 1.0]))
unscored = pt.apply.generic(lambda topics: results()(topics).drop(columns="score"))
not_finite = pt.apply.generic(results(score=[1.0, float("nan")]))
stranger = pt.apply.generic(results(qid="other"))
broken_pipeline = pt.apply.generic(broken)
no_frame = pt.apply.generic(lambda topics: [])
not_a_pipeline = {"a": 1}


class Turned(pt.Transformer):  # type: ignore[misc, name-defined]
    """The worst document first."""

    def transform(self, inp: Any) -> Any:
        pt.validate.columns(inp, includes=["qid", "docno", "rank"])
        return inp.assign(score=inp["rank"].astype(float))


by_text_length = pt.apply.doc_score(lambda row: float(len(row["text"])))


def from_pipeline(collection: Path, name: str, depth: int = 5) -> Candidates:
    dataset = datasets.load(f"files:{collection}", None, Path(), 42)
    return retrieval.build("pyterrier", f"{HERE}:{name}", Path()).retrieve(
        dataset, list(dataset.queries), depth
    )


def test_rows_come_back_in_our_order_with_their_columns() -> None:
    stage = transformer(by_length, device="cpu").transform(FRAME)
    assert list(zip(stage["qid"], stage["docno"], stage["rank"], strict=True)) == [
        ("q2", "b", 0),
        ("q2", "a", 1),
        ("q1", "a", 0),
        ("q1", "c", 1),  # tied with b: doc_id descending
        ("q1", "b", 2),
    ]
    assert stage["url"].tolist() == ["u2", "u1", "u3", "u5", "u4"]
    assert stage["score"].tolist()[:4] == [2.0, 1.0, 3.0, 1.0]
    assert np.float32(stage["score"].iloc[4]) < np.float32(1.0)
    assert stage["score"].iloc[4] == pytest.approx(1.0)
    assert FRAME["rank"].tolist() == [7] * 5


def test_scores_are_those_of_the_reranker_alone() -> None:
    [alone] = [bench.reranker(FAKE, device="cpu", salt="s").score("one", ["xxx", "x", "x"])]
    stage = transformer(FAKE, device="cpu", salt="s").transform(
        FRAME.query("qid == 'q1'").set_index(pd.Index([5, 5, 9]))
    )
    assert stage.set_index("docno")["score"]["a"] == alone[0]


def test_another_text_field_and_no_scores_yet() -> None:
    bare = FRAME.rename(columns={"text": "body"}).drop(columns=["score", "rank"])
    assert transformer(by_length, device="cpu", text_field="body")(bare)["docno"].tolist() == [
        "b",
        "a",
        "a",
        "c",
        "b",
    ]


def test_a_transformer_of_theirs_is_a_row_with_a_time(tmp_path: Path) -> None:
    suite = {
        "name": "theirs",
        "datasets": [EVERYDAY],
        "depth": 10,
        "devices": ["cpu"],
        "rerankers": [
            {"function": by_length},
            {"scorer": by_text_length},
            {"composed": by_text_length >> Turned()},
            f"{HERE}:by_text_length",
        ],
        "latency": {"queries": 2, "rounds": 1, "warmup_max": 0, "span_queries": 0},
        "store_texts": False,
    }
    run = bench.run(suite, out=tmp_path)
    records = {record.trial.reranker: record for record in run.records.values()}
    ndcg = {name: record.quality["nDCG@10"].mean for name, record in records.items()}
    assert ndcg["function"] == ndcg["scorer"] == ndcg[f"{HERE}:by_text_length"]
    assert ndcg["composed"] != ndcg["scorer"]
    assert records["scorer"].description["identity"]["repr"] == "pt.apply.doc_score()"
    for name in ("scorer", "composed", f"{HERE}:by_text_length"):
        assert records[name].description["backend"] == "pyterrier"
        assert records[name].latency is not None


def test_their_operators_compose_a_reranker() -> None:
    docs = ["a", "bbb", "cc"]
    assert bench.reranker(by_text_length, device="cpu").score("q", docs).tolist() == [1, 3, 2]
    turned = bench.reranker(by_text_length >> Turned(), device="cpu")
    assert turned.score("q", docs).argsort().tolist() == [1, 2, 0]
    cut = bench.reranker(by_text_length % 1, device="cpu")
    assert cut.score("q", docs).argmax() == 1
    unscored = bench.reranker(pt.apply.generic(lambda frame: frame[["qid", "docno"]]), device="cpu")
    with pytest.raises(RerankerError, match="its results lack score"):
        unscored.score("q", docs)


def test_nothing_is_loaded_before_the_first_results_and_it_composes() -> None:
    lazy = transformer("tests.support.fakes:MissingReranker", device="cpu")
    assert repr(lazy) == "rerank-bench(tests.support.fakes:MissingReranker)"
    empty = (lazy % 3).transform(FRAME.head(0))
    assert {"score", "rank", "docno"} <= set(empty.columns)
    with pytest.raises(Unavailable, match="no FAKE_API_KEY"):
        lazy.transform(FRAME)


def test_a_failed_query_loses_its_rows_and_is_told() -> None:
    flaky = transformer("tests.support.fakes:FlakyReranker", device="cpu", fail_query="q1")
    with pytest.warns(
        UserWarning, match="1 of 2 queries failed and get no documents; 'q1': timed out"
    ):
        assert set(flaky.transform(FRAME)["qid"]) == {"q2"}


def test_input_that_cannot_be_reranked() -> None:
    ours = transformer(by_length, device="cpu")
    with pytest.raises(KeyError, match="text"):
        ours.transform(FRAME.drop(columns="text"))
    with pytest.raises(DataError, match="'q2' lists document 'a' twice"):
        ours.transform(FRAME.assign(docno="a"))
    with pytest.raises(DataError, match="document 'b' has no text in column 'text'"):
        ours.transform(FRAME.assign(text=["x", None, "x", "x", "x"]))
    with pytest.raises(SuiteError, match="did you mean 'minilm-l6'"):
        transformer("minilm-16")


def test_the_experiment_of_the_docs_works() -> None:
    page = (ROOT / "docs" / "adding.md").read_text(encoding="utf-8")
    [code] = [
        block
        for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL)
        if "pt.Experiment" in block
    ]
    space: dict[str, Any] = {}
    exec(code, space)
    assert space["table"].set_index("name")["recip_rank"].to_dict() == {
        "first stage": 0.5,
        "reranked": 1.0,
    }


@pytest.mark.parametrize("name", [FAKE, f"{HERE}:two_grades"])
def test_an_experiment_and_our_record_agree(name: str, tmp_path: Path) -> None:
    """The same ranking, ties or none, gives the same nDCG@10 and RR@10 for every query here and
    there.
    """
    suite = {
        "name": "agree",
        "datasets": [EVERYDAY],
        "first_stages": [{"pyterrier": f"{HERE}:pipeline"}],
        "rerankers": [{name: {"name": "ours"}}],
        "latency": None,
        "depth": 20,
        "devices": "cpu",
    }
    run = bench.run(suite, out=tmp_path)
    dataset = datasets.load(EVERYDAY, None, Path(), 42)
    texts = pt.apply.generic(
        lambda frame: frame.assign(text=dataset.texts(frame["docno"].tolist()))
    )
    topics = pd.DataFrame(dataset.queries.items(), columns=["qid", "query"])
    grades = [
        (qid, doc_id, grade)
        for qid, judged in dataset.qrels.items()
        for doc_id, grade in judged.items()
    ]
    qrels = pd.DataFrame(grades, columns=["qid", "docno", "label"])
    measures = [pt.measures.nDCG @ 10, pt.measures.RR @ 10]
    theirs = pt.Experiment(
        [pipeline >> texts >> transformer(name, device="cpu")],
        topics,
        qrels,
        measures,
        names=["ours"],
        perquery=True,
        verbose=False,
    )
    [trial] = [
        record.trial.id for record in run.records.values() if record.trial.reranker == "ours"
    ]
    rows = run.per_query[run.per_query["trial"] == trial]
    for measure in map(str, measures):
        their = theirs[theirs["measure"] == measure].set_index("qid")["value"]
        mine = rows[rows["measure"] == measure].set_index("query")["value"]
        assert len(mine) == len(dataset.queries)
        assert mine.to_dict() == pytest.approx(their.to_dict(), abs=DOUBLE)
        assert mine.std() > 0


def test_a_pipeline_gives_candidates() -> None:
    dataset = datasets.load(EVERYDAY, None, Path(), 42)
    wanted = list(dataset.queries)[:5]
    ours = retrieval.build("bm25", None, Path()).retrieve(dataset, wanted, 7)
    options = {"pipeline": f"{HERE}:pipeline", "name": "theirs"}
    stage: Any = retrieval.build("pyterrier", options, Path())
    candidates = stage.retrieve(dataset, wanted, 7)
    assert candidates.hash == ours.hash
    assert stage.name == "theirs"
    assert candidates.source == {
        "first_stage": "pyterrier",
        "pipeline": f"{HERE}:pipeline",
        "repr": repr(pipeline),
        "pyterrier": pt.__version__,
    }


def test_equal_scores_follow_the_tie_rule_and_are_counted(collection: Path) -> None:
    found = from_pipeline(collection, "tied")
    assert found.by_query["q1"].doc_ids == ("d01", "d00")
    assert found.by_query["q2"].doc_ids == ()
    assert Code.TIED_CANDIDATES in {note.code for note in found.warnings}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("strange", "lists documents that .* does not have: 1 of 2, the first is 'elsewhere'"),
        ("twice", "lists document 'd01' twice"),
        ("unscored", r"gives no column score \(its columns: qid, docno\)"),
        ("not_finite", "the score of document 'd00' is not a finite number"),
        ("stranger", "has none of .* queries"),
        ("broken_pipeline", "failed: RuntimeError: no index here$"),
        ("no_frame", "gives a list, not a data frame"),
    ],
)
def test_results_that_cannot_be_used(collection: Path, name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        from_pipeline(collection, name)


def test_names_that_lead_to_no_pipeline(collection: Path) -> None:
    with pytest.raises(SuiteError, match="is no PyTerrier transformer but a dict"):
        from_pipeline(collection, "not_a_pipeline")
    with pytest.raises(SuiteError, match="has no 'missing'"):
        from_pipeline(collection, "missing")
    with pytest.raises(SuiteError, match="option 'pipeline'"):
        retrieval.build("pyterrier", "no-colon", Path())
    assert issubclass(retrieval.options_for("pyterrier"), FirstStageOptions)


def test_without_pyterrier_the_message_names_the_extra() -> None:
    code = """
import sys
sys.modules["pyterrier"] = None
from pathlib import Path
from bench import datasets, retrieval
from bench.core.errors import Unavailable
from bench.integrations.pyterrier import transformer
dataset = datasets.load("embedded:everyday", None, Path(), 42)
for attempt in (
    lambda: transformer("minilm-l6"),
    lambda: retrieval.build("pyterrier", "a.b:c", Path()).retrieve(dataset, [], 3),
):
    try:
        attempt()
    except Unavailable as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (
        done.stdout.splitlines()
        == ["pyterrier not installed. pip install 'rerank-bench[pyterrier]'"] * 2
    ), done.stderr
