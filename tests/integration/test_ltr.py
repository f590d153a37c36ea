"""The learned stage inside a suite: cross-fitted without a query's own judgments, trained once,
refused where queries leak, next to fusions of the same stages.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

import bench
from bench import datasets, rerankers, retrieval
from bench.cli.main import cli
from bench.contract.candidates import Candidates
from bench.contract.learned import Origin
from bench.contract.meter import Meter
from bench.contract.recipe import Recipe
from bench.contract.request import CandidateList
from bench.contract.stage import Reranker
from bench.core.errors import BenchError, DataError, RerankerError, SuiteError
from bench.core.handed import handed_over
from bench.core.note import Code
from bench.datasets.base import Dataset
from bench.datasets.folds import folds
from bench.learning import learner
from bench.learning.features import code_digests
from bench.records.run import Run
from bench.reports.document import Table
from bench.reports.sections.learned import learned as section
from bench.reports.view import View
from bench.retrieval.requests import Requests
from bench.runner.inputs import inputs
from bench.scoring.engine import score
from bench.suite import suite as suites
from bench.suite.planning import plan

HERE = "tests.integration.test_ltr"
BM25 = Recipe("bm25", None, ".")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANK_BENCH_CACHE", str(tmp_path / "cache"))


@dataclass
class Work:
    """A collection with its BM25 candidates, and what a learned stage makes of them."""

    dataset: Dataset
    candidates: Candidates

    @property
    def requests(self) -> Requests:
        return Requests(self.dataset, self.candidates, list(self.dataset.qrels))

    def stage(self, options: Mapping[str, Any], between: Sequence[str] = ()) -> Reranker:
        reranker = rerankers.build("ltr", options)
        reranker.follows(Origin(BM25, self.candidates.depth, 42, tuple(between)))
        reranker.over(self.dataset)
        reranker.bind(self.dataset.qrels, self.candidates)
        reranker.check()
        return reranker

    def scores(self, options: Mapping[str, Any]) -> dict[str, Any]:
        return dict(score(self.stage(options), self.requests, chunk_pairs=500).scores)


def work(dataset: Dataset, depth: int = 30) -> Work:
    stage = retrieval.build("bm25", None, Path())
    return Work(dataset, stage.retrieve(dataset, list(dataset.qrels), depth))


@pytest.fixture(scope="module")
def everyday(tmp_path_factory: pytest.TempPathFactory) -> Work:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RERANK_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        return work(datasets.load("embedded:everyday", None, Path()))


def shop(folder: Path, queries: int = 20) -> Dataset:
    """Write a collection in which the cheapest of the documents that match is relevant, and return
    it: clicks say nothing, and some documents have no price.
    """
    folder.mkdir(exist_ok=True)
    generator = np.random.default_rng(3)
    documents: list[str] = []
    qrels: list[str] = []
    for number in range(queries):
        prices = generator.permutation(8) + 1
        for place, price in enumerate(prices.tolist()):
            doc: dict[str, Any] = {"doc_id": f"d{number}-{place}", "text": f"lamp{number} red"}
            if price < 8:
                doc["price"] = price * 2.5
            doc["clicks"] = int(generator.integers(100))
            doc["stock"] = str(place)
            documents.append(json.dumps(doc))
            qrels.append(f"q{number} 0 d{number}-{place} {int(price == 1)}")
    (folder / "docs.jsonl").write_text("\n".join(documents) + "\n")
    (folder / "queries.tsv").write_text("".join(f"q{i}\tlamp{i}\n" for i in range(queries)))
    (folder / "qrels.txt").write_text("\n".join(qrels) + "\n")
    return datasets.load(f"files:{folder}", None, Path())


def by_price(query: str, documents: Sequence[Mapping[str, Any]]) -> list[float]:
    """A feature of one's own."""
    return [float(fields["price"]) for fields in documents]


class Times:
    """A feature that is an object."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, query: str, documents: Sequence[Mapping[str, Any]]) -> list[float]:
        return [self.factor * float(fields["price"]) for fields in documents]


def too_short(query: str, documents: Sequence[Mapping[str, Any]]) -> list[float]:
    return [1.0]


def test_numeric_fields_find_what_no_word_can(tmp_path: Path) -> None:
    shelf = work(shop(tmp_path / "shop"))
    stage = shelf.stage({"fields": ["price", "clicks", "stock"], "l2": 0.01})
    scores = score(stage, shelf.requests, chunk_pairs=500).scores
    for request in shelf.requests:
        best = request.doc_ids[int(np.argmax(scores[request.query_id]))]
        assert shelf.dataset.qrels[request.query_id][best] == 1
    assert stage.learned is not None
    first = stage.learned.importances[0]
    assert (first.feature, (first.weight or 0.0) < 0) == ("field.price", True)
    names = {row.feature for row in stage.learned.importances}
    # all documents have clicks, so that a flag for none says nothing to a linear model
    assert {"field.clicks", "field.stock", "field.price.absent"} <= names
    assert "field.clicks.absent" not in names


def test_numbers_of_a_collection_are_read_and_are_no_part_of_its_hash(tmp_path: Path) -> None:
    dataset = shop(tmp_path / "shop", 2)
    text = (tmp_path / "shop" / "docs.jsonl").read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    doc_ids = [row["doc_id"] for row in rows]
    prices = dataset.numbers(doc_ids, "price")
    assert prices == pytest.approx([row.get("price", np.nan) for row in rows], nan_ok=True)
    assert dataset.numbers(doc_ids, "stock") == [float(row["stock"]) for row in rows]
    assert np.isnan(dataset.numbers(doc_ids, "text")).all()
    lines = "".join(json.dumps({**row, "clicks": -1}) + "\n" for row in rows)
    (tmp_path / "shop" / "docs.jsonl").write_text(lines)
    again = datasets.load(f"files:{tmp_path / 'shop'}", None, Path())
    assert again.identity == dataset.identity
    assert again.numbers(doc_ids, "clicks") == [-1.0] * len(rows)


def test_other_numbers_are_another_training(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    options = {"fields": ["price"]}
    before = work(shop(folder)).stage(options)
    score(before, work(shop(folder)).requests, chunk_pairs=500)
    text = (folder / "docs.jsonl").read_text().replace('"price": 2.5,', '"price": 2.25,')
    (folder / "docs.jsonl").write_text(text)
    shelf = work(datasets.load(f"files:{folder}", None, Path()))
    after = shelf.stage(options)
    scored = score(after, shelf.requests, chunk_pairs=500)
    assert before.fingerprint() != after.fingerprint()
    assert not scored.cached
    # the same goes for a collection that is trained on
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("docs.jsonl", "queries.tsv", "qrels.txt"):
        text = (folder / name).read_text()
        (elsewhere / name).write_text(text.replace("lamp", "bulb"))
    trained = {**options, "train": f"files:{elsewhere}"}
    first = shelf.stage(trained)
    score(first, shelf.requests, chunk_pairs=500)
    text = (elsewhere / "docs.jsonl").read_text()
    (elsewhere / "docs.jsonl").write_text(text.replace('"price": 2.25,', '"price": 2.2,'))
    second = shelf.stage(trained)
    score(second, shelf.requests, chunk_pairs=500)
    assert first.fingerprint() != second.fingerprint()


def test_a_function_of_ones_own_is_a_feature(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    shop(folder)
    text = (folder / "docs.jsonl").read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    lines = [json.dumps({**row, "price": str(row.get("price", 99))}) for row in rows]
    (folder / "docs.jsonl").write_text("\n".join(lines))
    shelf = work(datasets.load(f"files:{folder}", None, Path()))
    stage = shelf.stage({"features": ["before"], "functions": [f"{HERE}:by_price"]})
    score(stage, shelf.requests, chunk_pairs=500)
    assert stage.learned is not None
    assert stage.learned.importances[0].feature == "own.by_price"
    with pytest.raises(RerankerError, match="shape \\(1,\\) for 8 documents"):
        shelf.scores({"functions": [f"{HERE}:too_short"]})
    numbers = work(shop(tmp_path / "numbers"))
    with pytest.raises(RerankerError, match=r"by_price: KeyError: 'price': .* `fields` names: add"):
        numbers.scores({"functions": [f"{HERE}:by_price"]})
    with pytest.raises(SuiteError, match="no 'by_prices': did you mean 'by_price'"):
        shelf.stage({"functions": [f"{HERE}:by_prices"]})


def test_a_query_never_teaches_the_model_that_scores_it(everyday: Work) -> None:
    """Other judgments of one query leave the scores of its fold as they are, to the last bit, and
    change those of other folds.
    """
    dataset = everyday.dataset
    texts = {query_id: dataset.queries[query_id] for query_id in dataset.qrels}
    fold_of = folds(texts, 5, 42)
    changed = next(iter(dataset.qrels))
    reversed_grades = {doc_id: 3 - grade for doc_id, grade in dataset.qrels[changed].items()}
    other = replace(dataset, qrels={**dataset.qrels, changed: reversed_grades})
    before = everyday.scores({})
    after = Work(other, everyday.candidates).scores({})
    same = {query_id for query_id in before if np.array_equal(before[query_id], after[query_id])}
    assert same == {query_id for query_id in before if fold_of[query_id] == fold_of[changed]}


def test_a_second_run_trains_nothing_and_gives_the_same_bits(
    everyday: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = everyday.stage({"model": "linear"})
    scores = score(first, everyday.requests, chunk_pairs=500, fresh=True).scores

    def refuse(*arguments: Any) -> Any:
        raise AssertionError("trained again")

    monkeypatch.setattr(learner.Learner, "_new", refuse)
    second = everyday.stage({"model": "linear"})
    again = score(second, everyday.requests, chunk_pairs=500, fresh=True).scores
    assert all(np.array_equal(scores[name], again[name]) for name in scores)
    assert second.learned is not None
    assert first.learned is not None
    assert second.learned.fusions == first.learned.fusions
    assert second.learned.importances == first.learned.importances
    assert second.learned.files == first.learned.files
    third = everyday.stage({"l2": 0.5})
    with pytest.raises(AssertionError, match="trained again"):
        score(third, everyday.requests, chunk_pairs=500)


def test_the_timed_pass_works_features_out_anew(everyday: Work) -> None:
    stage = everyday.stage({})
    scores = score(stage, everyday.requests, chunk_pairs=500).scores
    spans: list[str] = []

    class Noted:
        def __init__(self, name: str) -> None:
            spans.append(name)

        def __enter__(self) -> None: ...

        def __exit__(self, *problem: object) -> None: ...

    request = everyday.requests[3]
    views = stage._over()._collection.views  # type: ignore[attr-defined]
    calls: list[int] = []

    def counted_views(requests: Sequence[CandidateList]) -> Any:
        calls.append(len(requests))
        return views(requests)

    stage._over()._collection.views = counted_views  # type: ignore[attr-defined]
    outcomes = stage.score_lists([request], Meter(span=Noted))
    assert spans == ["features", "model"]
    assert calls == [1]
    assert np.array_equal(np.asarray(outcomes[0]), scores[request.query_id])


def test_a_model_of_another_dataset_scores_and_leaks_are_refused(
    everyday: Work, tmp_path: Path
) -> None:
    stage = everyday.stage({"train": "embedded:everyday-train"})
    scored = score(stage, everyday.requests, chunk_pairs=500)
    assert len(scored.scores) == len(everyday.requests)
    learned = stage.learned
    assert learned is not None
    assert (learned.dataset, learned.folds, learned.queries) == ("everyday-train", None, 100)
    assert [len(fusion.weights) for fusion in learned.fusions] == [0, 1]
    with pytest.raises(DataError, match="80 queries to train on are also measured"):
        everyday.scores({"train": "embedded:everyday"})
    text = next(iter(everyday.dataset.queries.values()))
    folder = tmp_path / "leaky"
    shop(folder)
    queries = (folder / "queries.tsv").read_text()
    (folder / "queries.tsv").write_text(queries.replace("lamp3\n", f"{text.upper()} \n"))
    with pytest.raises(DataError, match=r"1 query to train on .* 'q3'"):
        everyday.scores({"train": f"files:{folder}"})


def test_a_saved_model_is_loaded_and_refuses_the_queries_that_it_learned_from(
    everyday: Work, tmp_path: Path
) -> None:
    stage = everyday.stage({"train": "embedded:everyday-train"})
    scores = score(stage, everyday.requests, chunk_pairs=500).scores
    assert stage.learned is not None
    path = tmp_path / "model.json"
    path.write_bytes(stage.learned.files[".json"])
    loaded = everyday.scores({"load": str(path)})
    assert all(np.array_equal(scores[name], loaded[name]) for name in scores)
    own = everyday.stage({})
    score(own, everyday.requests, chunk_pairs=500)
    assert own.learned is not None
    path.write_bytes(own.learned.files[".json"])
    with pytest.raises(DataError, match=r"model.json was trained on 80 queries .* measured"):
        everyday.scores({"load": str(path)})


def noted_on(everyday: Work, path: Path) -> list[str]:
    """Codes of the notes on a stage that loads a model."""
    facts = everyday.stage({"load": str(path)}).describe().facts
    return [fields["code"] for fields in facts.get("warnings", [])]


def test_a_file_next_to_trees_says_which_queries_they_learned_from(
    everyday: Work, tmp_path: Path
) -> None:
    pytest.importorskip("lightgbm", reason="the extra [ltr] is not installed")
    stage = everyday.stage({"model": "lightgbm", "trees": 2})
    score(stage, everyday.requests, chunk_pairs=500)
    assert stage.learned is not None
    names = list(stage.learned.files)
    assert (names[0], names[-1]) == (".txt", ".txt.provenance.json")
    for name in (names[0], names[-1]):
        (tmp_path / f"model{name}").write_bytes(stage.learned.files[name])
    with pytest.raises(DataError, match=r"model.txt was trained on 80 queries .* measured"):
        everyday.scores({"load": str(tmp_path / "model.txt")})
    (tmp_path / "model.txt").write_bytes(stage.learned.files[".fold-1.txt"])
    with pytest.raises(DataError, match=r"provenance.json is of another model than model.txt"):
        everyday.scores({"load": str(tmp_path / "model.txt")})
    (tmp_path / "model.txt.provenance.json").write_text("[]")
    with pytest.raises(DataError, match=r"does not say what model.txt was trained on") as caught:
        everyday.scores({"load": str(tmp_path / "model.txt")})
    assert "\n" not in str(caught.value)


def test_models_of_lightgbm_and_xgboost_are_loaded(everyday: Work, tmp_path: Path) -> None:
    pytest.importorskip("lightgbm", reason="the extra [ltr] is not installed")
    options = {"model": "lightgbm", "trees": 10, "train": "embedded:everyday-train"}
    stage = everyday.stage(options)
    scores = score(stage, everyday.requests, chunk_pairs=500).scores
    assert stage.learned is not None
    (tmp_path / "model.txt").write_bytes(stage.learned.files[".txt"])
    loaded = everyday.scores({"load": str(tmp_path / "model.txt")})
    assert all(np.array_equal(scores[name], loaded[name]) for name in scores)
    (unknown,) = noted_on(everyday, tmp_path / "model.txt")
    assert unknown == Code.MODEL_TRAINING_UNKNOWN
    provenance = tmp_path / "model.txt.provenance.json"
    provenance.write_bytes(stage.learned.files[".txt.provenance.json"])
    assert noted_on(everyday, tmp_path / "model.txt") == []
    assert json.loads(provenance.read_text())["dataset"] == "everyday-train"
    trees = {
        "left_children": [1, -1, -1],
        "right_children": [2, -1, -1],
        "split_indices": [0, 0, 0],
        "split_conditions": [3.5, 1.0, 0.0],
        "default_left": [0, 0, 0],
        "loss_changes": [1.0, 0.0, 0.0],
    }
    booster = {"name": "gbtree", "model": {"trees": [trees]}}
    fields = {"learner": {"feature_names": ["before.rank"], "gradient_booster": booster}}
    (tmp_path / "xgb.json").write_text(json.dumps(fields))
    loaded = everyday.scores({"load": str(tmp_path / "xgb.json")})
    assert noted_on(everyday, tmp_path / "xgb.json") == [Code.MODEL_TRAINING_UNKNOWN]
    for own in loaded.values():
        assert own.tolist() == [1.0] * min(3, len(own)) + [0.0] * (len(own) - 3)
    fields["learner"]["feature_names"] = ["before.rang"]
    (tmp_path / "xgb.json").write_text(json.dumps(fields))
    with pytest.raises(RerankerError, match=r"'before.rang', which this stage does not have"):
        everyday.scores({"load": str(tmp_path / "xgb.json")})


def test_other_stages_are_features_and_what_they_lack_is_flagged(everyday: Work) -> None:
    """A narrow first stage returns few of the candidates: the others have a flag and no number."""
    narrow = {"bm25": {"name": "narrow", "b": 1, "depth": 5}}
    stage = everyday.stage({"first_stages": [narrow], "encoder": "word-overlap"})
    score(stage, everyday.requests, chunk_pairs=500)
    assert stage.learned is not None
    assert list(stage.learned.stages) == ["before", "narrow", "cosine"]
    request: CandidateList = everyday.requests[0]
    view = stage._over()._collection.views([request])[0]  # type: ignore[attr-defined]
    known = ~np.isnan(view.stages["narrow"])
    assert 0 < known.sum() <= 5
    columns = stage._over()._features.columns(view)  # type: ignore[attr-defined]
    assert np.array_equal(columns["stage.narrow.absent"] == 0, known)
    own = retrieval.build("bm25", {"b": 1}, Path()).search(everyday.dataset, request.query_id, 5)
    listed = dict(zip(own.doc_ids, own.scores, strict=True))
    for doc_id, value in zip(request.doc_ids, columns["stage.narrow.score"], strict=True):
        assert value == pytest.approx(listed.get(doc_id, np.nan), nan_ok=True)
    weights = stage.learned.fusions[1].weights
    assert len(weights) == 5
    assert all(len(row) == 3 and sum(row) == pytest.approx(1) for row in weights)


def test_it_cannot_train_elsewhere_after_another_reranker(everyday: Work) -> None:
    with pytest.raises(RerankerError, match="it comes after 'word-overlap'"):
        everyday.stage({"train": "embedded:everyday-train"}, ["word-overlap"])


def test_it_says_what_it_needs(everyday: Work) -> None:
    stage = rerankers.build("ltr")
    with pytest.raises(RerankerError, match="was not trained"):
        stage.score_lists([everyday.requests[0]], Meter())
    with pytest.raises(DataError, match="no document has a number 'price'"):
        everyday.scores({"fields": ["price"]})
    with pytest.raises(SuiteError, match="there is no file"):
        everyday.stage({"load": "nowhere.json"})
    with pytest.raises(DataError, match="fold"):
        everyday.scores({"folds": 500})


def test_without_a_quality_pass_it_learns_from_the_first_stage(everyday: Work) -> None:
    """As in a server: the judged queries' candidates are searched, and a new query is scored by the
    model of all queries.
    """
    stage = everyday.stage({})
    scores = score(stage, everyday.requests, chunk_pairs=500).scores
    served = everyday.stage({})
    served.load()
    request = everyday.requests[4]
    assert np.array_equal(
        np.asarray(served.score_lists([request], Meter())[0]), scores[request.query_id]
    )
    new = replace(request, query=f"{request.query} please")
    assert stage.learned is not None
    path = json.loads(stage.learned.files[".json"])
    assert len(path["trained_on"]) == 80
    (outcome,) = served.score_lists([new], Meter())
    assert served.state.trained.model_of(new.query) is served.state.trained.final
    assert len(np.asarray(outcome)) == len(new.doc_ids)
    restored = everyday.stage({}, ["another stage"])
    restored.restore(stage.learned.key)
    restored.load()
    assert restored.state.trained.final.to_text() == served.state.trained.final.to_text()
    with pytest.raises(RerankerError, match="documents of its collection alone"):
        served.score_lists([replace(request, doc_ids=["x"] * len(request.docs))], Meter())


SUITE: Mapping[str, Any] = {
    "name": "learned",
    "datasets": [{"embedded:everyday": {"queries": 20}}],
    "rerankers": ["ltr", "word-overlap"],
    "pipelines": [
        {
            "name": "short",
            "stages": [{"bm25": {"keep": 30}}, {"ltr": {"keep": 10}}, "word-overlap"],
        },
        {
            "name": "long",
            "stages": [{"bm25": {"keep": 30}}, {"ltr": {"keep": 10}}, {"ltr": {"name": "again"}}],
        },
    ],
    "measures": ["nDCG@10"],
    "depth": 30,
    "devices": ["cpu"],
    "latency": {
        "queries": 3,
        "rounds": 1,
        "offline_pairs": 60,
        "warmup_max": 3,
        "scenarios": ["single", "cold"],
        "cold_runs": 1,
    },
    "store_texts": False,
}


def test_a_suite_trains_measures_and_times_it(tmp_path: Path) -> None:
    run: Run = bench.run(SUITE, out=tmp_path / "results")
    assert run.info.failures() == []
    by_name = {record.trial.reranker: record for record in run.records.values()}
    alone = by_name["ltr"]
    assert alone.latency is not None
    short, long = by_name["short"].latency, by_name["long"].latency
    assert short is not None
    assert long is not None
    # a fresh process finds in the cache what the run has learned; what comes after other
    # rerankers, it cannot
    assert short["cold"]["failed"] == 0
    assert short["cold"]["runs"] > 0
    assert long["cold"]["runs"] == 0
    assert [row.stage for row in alone.learned] == ["ltr"]
    assert [row.stage for row in by_name["long"].learned] == ["ltr", "again"]
    assert by_name["long"].learned[1].stages == ["ltr", "bm25"]
    for record in (alone, by_name["short"], by_name["long"]):
        for row in record.learned:
            assert [fusion.kind for fusion in row.fusions] == ["rrf", "tuned"]
            assert all((run.folder / "models" / name).is_file() for name in row.files)
            model = json.loads((run.folder / "models" / row.files[0]).read_text())
            assert len(model["weights"]) == len(row.importances)
    fusion = alone.learned[0].fusions[0]
    first = by_name["first-stage"].quality["nDCG@10"].mean
    # of one list there is nothing to fuse
    assert fusion.quality["nDCG@10"].mean == pytest.approx(first)
    gain = alone.quality["nDCG@10"].mean - first
    assert fusion.difference["nDCG@10"].mean == pytest.approx(gain)
    shown = section(View(run))
    assert shown is not None
    tables = [block for block in shown.blocks if isinstance(block, Table)]
    alone_table = next(table for table in tables if table.rows_title == "fusion")
    assert alone_table.rows[0].cells["weights"].text == "–"
    # the stage that both pipelines and the row begin with is there once
    assert [table.rows[0].name for table in tables if table.rows_title == "fusion"] == [
        "bm25 alone: nothing to fuse",
        "RRF of ltr, bm25",
    ]
    again: Run = bench.run({**SUITE, "latency": None}, out=tmp_path / "results")
    repeated = {record.trial.reranker: record for record in again.records.values()}["ltr"]
    assert repeated.learned == alone.learned
    assert repeated.quality == alone.quality
    assert repeated.keys["system"] == alone.keys["system"]


def test_a_run_goes_on_only_where_functions_and_models_are_as_they_were(tmp_path: Path) -> None:
    """The code of a feature and the file of a model decide the numbers of a run."""
    (tmp_path / "learned_features.py").write_text("def one(query, documents):\n    return [1]\n")
    (tmp_path / "model.json").write_text("{}")
    options = {"functions": ["learned_features:one"], "load": "model.json"}
    text = (
        f"{{name: x, datasets: ['embedded:everyday'], rerankers: [{{ltr: {json.dumps(options)}}}]}}"
    )
    (tmp_path / "suite.yaml").write_text(text)

    def digests() -> Mapping[str, str]:
        suite = suites.load(tmp_path / "suite.yaml")
        # a run plans first, which imports the function
        plan(suite, "cpu", lenient=True)
        return inputs(suite, {}, fresh=False)

    before = digests()
    (tmp_path / "learned_features.py").write_text("def one(query, documents):\n    return [2]\n")
    importlib.reload(sys.modules["learned_features"])
    (tmp_path / "model.json").write_text("{ }")
    after = digests()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"learned_features", "model.json"}


def test_the_code_of_a_function_is_that_of_its_module_and_of_what_it_imports_next_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "imported_helper.py").write_text("VALUE = 1\n")
    (tmp_path / "importing_features.py").write_text(
        "import functools\nimport imported_helper\n\n"
        "def one(query, documents):\n    return [imported_helper.VALUE] * len(documents)\n\n"
        "part = functools.partial(one)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    names = ["importing_features:one", "importing_features:part"]
    before = code_digests(names)
    assert all(before.values())
    (tmp_path / "imported_helper.py").write_text("VALUE = 2\n")
    after = code_digests(names)
    assert all(before[name] != after[name] for name in names)


def test_the_code_of_an_object_that_is_called_is_also_that_of_its_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The class is in another folder than the module that makes an object of it."""
    for name in ("classes", "features"):
        (tmp_path / name).mkdir()
        monkeypatch.syspath_prepend(tmp_path / name)
    code = "class Constant:\n    def __call__(self, query, documents):\n        return [1]\n"
    (tmp_path / "classes" / "class_of_features.py").write_text(code)
    module = "from class_of_features import Constant\n\nconstant = Constant()\n"
    (tmp_path / "features" / "called_features.py").write_text(module)
    before = code_digests(["called_features:constant"])
    (tmp_path / "classes" / "class_of_features.py").write_text(code.replace("[1]", "[2]"))
    changed = code_digests(["called_features:constant"])
    assert before["called_features:constant"] != changed["called_features:constant"]
    (tmp_path / "features" / "called_features.py").write_text(f"{module}\n")
    assert code_digests(["called_features:constant"]) != changed


def test_what_an_object_that_was_handed_over_scores_is_kept_nowhere(tmp_path: Path) -> None:
    """Two objects of one class may hold different numbers, which no file says."""
    shelf = work(shop(tmp_path / "shop"))
    made = {f"handed:times_{number}": Times(number) for number in (1, 2)}
    with handed_over(made):
        assert set(code_digests(list(made)).values()) == {""}
        for name in made:
            stage = shelf.stage({"features": ["before"], "fields": ["price"], "functions": [name]})
            score(stage, shelf.requests, chunk_pairs=500)
            assert not stage.fingerprint(), "no cache has its scores"


def test_parts_of_others_learn_too(tmp_path: Path) -> None:
    """A learned stage among the parts of another reranker, alone and after a cut."""
    run: Run = bench.run(
        {
            **SUITE,
            "rerankers": [{"fuse": {"of": ["ltr", "word-overlap"]}}],
            "pipelines": [
                {
                    "name": "cut first",
                    "stages": [
                        {"bm25": {"keep": 30}},
                        {"cut": {"keep": 20}},
                        {"blend": {"of": "ltr"}},
                    ],
                }
            ],
            "latency": None,
        },
        out=tmp_path / "results",
        latency=False,
    )
    assert run.info.failures() == []


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"fields": ["clicks", "prize"]}, "no document has a number 'prize': did you mean 'price'"),
        ({"train": "files:./shop"}, "20 queries to train on are also measured in shop"),
        ({"fields": ["price"]}, ""),
        ({"train": "embedded:everyday"}, ""),
    ],
)
@pytest.mark.parametrize("is_part", [False, True])
def test_validate_finds_what_does_not_fit_the_collection(
    tmp_path: Path, options: dict[str, Any], problem: str, is_part: bool
) -> None:
    shop(tmp_path / "shop")
    row: dict[str, Any] = {"ltr": options}
    if is_part:
        row = {"fuse": {"of": [row, "word-overlap"]}}
    path = tmp_path / "s.yaml"
    data = {"name": "s", "datasets": ["files:./shop"], "rerankers": [row], "latency": None}
    path.write_text(yaml.safe_dump(data))
    done = CliRunner().invoke(cli, ["validate", str(path)], standalone_mode=False)
    assert done.exception is None, done.output
    assert done.return_value == int(bool(problem))
    assert problem in done.output


def test_the_shipped_suite_is_planned() -> None:
    path = suites.shipped()["ltr"]
    (group,) = plan(suites.load(path), "cpu", lenient=True)
    statuses = {planned.trial.reranker: planned.status for planned in group.planned}
    assert {"lexical", "with dense", "trained elsewhere", "trees", "cascade"} <= set(statuses)
    assert statuses["lexical"].status == "pending"


def test_a_suite_names_what_is_wrong_with_an_entry_inside(tmp_path: Path) -> None:
    load = partial(bench.run, out=tmp_path, latency=False)
    suite = {"name": "wrong", "datasets": ["embedded:everyday"], "latency": None}
    with pytest.raises(BenchError, match=r"rerankers.0.ltr.first_stages.0.*bm52"):
        load({**suite, "rerankers": [{"ltr": {"first_stages": ["bm52"]}}]})
    with pytest.raises(BenchError, match=r"rerankers.0.ltr.train.*lacks its kind"):
        load({**suite, "rerankers": [{"ltr": {"train": "everyday-train"}}]})
