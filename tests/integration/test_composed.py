"""Rerankers that are made of others, and the cut: held against what their parts give alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import yaml

import bench
from bench import rerankers
from bench.contract.candidates import QueryCandidates
from bench.contract.meter import Meter
from bench.contract.request import CandidateList, Failure, Usage
from bench.core.errors import SuiteError
from bench.core.note import Code
from bench.core.progress import Observer
from bench.datasets.folds import folds
from bench.ranking.fusion import rrf, weighted
from bench.ranking.order import rank
from bench.records.run import Run
from bench.records.schema import Record
from bench.reports.sections import stages
from bench.reports.view import View
from bench.rerankers.base import BaseReranker, Description
from bench.runner.forecast import forecast
from bench.scoring.engine import score
from bench.suite import suite
from tests.support import tiny_late

pytestmark = pytest.mark.usefixtures("without_reports")

HERE = "tests.integration.test_composed"


class Toy(BaseReranker):
    """A toy that counts the lists that it scores."""

    lists: ClassVar[list[str]] = []

    def fingerprint(self) -> dict[str, Any]:
        return {"backend": type(self).__name__}

    def describe(self) -> Description:
        return Description("toy", self.fingerprint(), {"device": self.device})

    def value(self, query: str, doc: str) -> float:
        raise NotImplementedError

    def rerank(self, requests: Sequence[CandidateList]) -> list[Any]:
        outcomes: list[Any] = []
        for request in requests:
            Toy.lists.append(request.query_id)
            self.meter.count(Usage(calls=1), request.query_id)
            values = [self.value(request.query, doc) for doc in request.docs]
            outcomes.append(np.asarray(values, dtype=np.float64))
        return outcomes


class Short(Toy):
    """Short documents first."""

    def value(self, query: str, doc: str) -> float:
        return -float(len(doc))


class Shared(Toy):
    """By shared letters."""

    def value(self, query: str, doc: str) -> float:
        return len(set(query.lower().split()) & set(doc.lower().split())) * 7.5


class Failing(Toy):
    """Fails on some queries."""

    def rerank(self, requests: Sequence[CandidateList]) -> list[Any]:
        outcomes = super().rerank(requests)
        for place, request in enumerate(requests):
            if request.query_id.endswith("1"):
                outcomes[place] = Failure("busy")
        return outcomes

    def value(self, query: str, doc: str) -> float:
        return float(len(query) - len(doc))


SHORT, SHARED, FAILING = f"{HERE}:Short", f"{HERE}:Shared", f"{HERE}:Failing"
PARTS = [{SHORT: {"name": "short"}}, {SHARED: {"name": "shared"}}]
REQUESTS = [
    CandidateList(
        f"q{number}",
        f"query number {number}",
        [f"d{number}{place}" for place in range(6)],
        [f"{'query ' * (place % 3)}text {'x' * ((number * place) % 5)}" for place in range(6)],
        [float(9 - place * (number + 1) / 4) for place in range(6)],
    )
    for number in range(12)
]


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("RERANK_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
    Toy.lists.clear()


def alone(name: str, request: CandidateList) -> QueryCandidates:
    """What a part gives a list by itself."""
    (scores,) = rerankers.build(name).score_lists([request], Meter())
    assert not isinstance(scores, Failure)
    return ordered(request, scores)


def ordered(request: CandidateList, scores: Any) -> QueryCandidates:
    ranking = rank(request.doc_ids, scores)
    return QueryCandidates(ranking.doc_ids, ranking.scores)


def before(request: CandidateList) -> QueryCandidates:
    return QueryCandidates(tuple(request.doc_ids), tuple(request.scores))


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("fuse", {"of": PARTS}, lambda r: rrf([alone(SHORT, r), alone(SHARED, r)])),
        (
            "fuse",
            {"of": PARTS, "by": "weighted", "weights": [1, 3], "norm": "min-max"},
            lambda r: weighted([alone(SHORT, r), alone(SHARED, r)], [1, 3], "min-max"),
        ),
        (
            "blend",
            {"of": SHARED, "weight": 0.7},
            lambda r: weighted([alone(SHARED, r), before(r)], [0.7, 1 - 0.7], "z-score"),
        ),
        (
            "blend",
            {"of": SHARED, "norm": "none"},
            lambda r: weighted([alone(SHARED, r), before(r)], [0.5, 0.5], "none"),
        ),
        (
            "skip",
            {"of": SHORT, "when": {"margin_below": 1.0}},
            lambda r: alone(SHORT, r) if r.scores[0] - r.scores[1] < 1 else before(r),
        ),
        (
            "fuse",
            {"of": [PARTS[0], {"blend": {"of": SHARED, "weight": 1}}], "k": 1},
            lambda r: rrf(
                [alone(SHORT, r), weighted([alone(SHARED, r), before(r)], [1, 0])], None, 1
            ),
        ),
    ],
)
def test_a_composite_is_what_its_parts_give(
    name: str, options: Mapping[str, Any], expected: Callable[[CandidateList], QueryCandidates]
) -> None:
    """The quality pass, from nothing and from the cache of the parts, and a timed call give the
    same bits.
    """
    first = score(rerankers.build(name, options), REQUESTS, chunk_pairs=10)
    calls = len(Toy.lists)
    again = score(rerankers.build(name, options), REQUESTS, chunk_pairs=10)
    assert len(Toy.lists) == calls
    timed = rerankers.build(name, options)
    for request in REQUESTS:
        (outcome,) = timed.run([request], Meter())
        assert not isinstance(outcome, Failure)
        wanted = expected(request)
        assert (tuple(outcome.doc_ids), tuple(outcome.scores)) == (wanted.doc_ids, wanted.scores)
        for scored in (first, again):
            assert ordered(request, scored.scores[request.query_id]) == wanted
    assert first.description == again.description
    assert first.usage["calls"] == again.usage["calls"] == calls


def test_a_skipped_query_is_not_scored() -> None:
    options = {"of": SHORT, "when": {"top_below": 100.0}}
    score(rerankers.build("skip", options), REQUESTS, chunk_pairs=100)
    assert len(Toy.lists) == len(REQUESTS)
    Toy.lists.clear()
    rule = {"of": SHARED, "when": {"margin_below": 1.0}}
    skip = rerankers.build("skip", rule)
    scored = score(skip, REQUESTS, chunk_pairs=100)
    unsure = [request for request in REQUESTS if request.scores[0] - request.scores[1] < 1]
    assert 0 < len(unsure) < len(REQUESTS)
    assert Toy.lists == [request.query_id for request in unsure]
    assert len(scored.scores) == len(REQUESTS)
    assert scored.usage["calls"] == len(unsure)
    tokens = skip.expected_usage(REQUESTS, len)
    assert tokens.pairs == 6 * len(unsure)


def test_a_quantile_is_that_of_the_other_folds() -> None:
    options = {"of": SHORT, "when": {"margin_quantile": 0.5}, "folds": 3}
    skip = rerankers.build("skip", options)
    score(skip, REQUESTS, chunk_pairs=100)
    margins = {request.query_id: request.scores[0] - request.scores[1] for request in REQUESTS}
    fold_of = folds({request.query_id: request.query for request in REQUESTS}, 3, 42)
    wanted: list[str] = []
    for query_id, margin in margins.items():
        others = [margins[name] for name in margins if fold_of[name] != fold_of[query_id]]
        if margin < np.quantile(others, 0.5):
            wanted.append(query_id)
    assert Toy.lists == wanted
    facts = skip.describe().facts
    assert len(facts["thresholds"]["by_fold"]) == 3


def test_a_query_that_fails_in_a_part_fails_with_its_name() -> None:
    options = {"of": [PARTS[0], {FAILING: {"name": "flaky"}}]}
    scored = score(rerankers.build("fuse", options), REQUESTS, chunk_pairs=10)
    assert scored.failures == {"q1": "flaky: busy", "q11": "flaky: busy"}
    assert len(scored.scores) == 10


QUERIES = 24
"""Enough for the folds of what is tuned."""


def cascade(*later: Any, **more: Any) -> dict[str, Any]:
    return {
        "name": "composed",
        "datasets": [{"embedded:everyday": {"queries": QUERIES}}],
        "pipelines": [{"name": "mine", "stages": [{"bm25": {"keep": 30}}, *later]}],
        "measures": ["nDCG@10", "R@30"],
        "devices": ["cpu"],
        "latency": None,
        **more,
    }


def record_of(run: Run, name: str = "mine") -> Record:
    return next(record for record in run.records.values() if record.trial.reranker == name)


def ranking_of(run: Run, name: str = "mine") -> dict[str, list[tuple[str, float]]]:
    record = record_of(run, name)
    lines = run.ranking(record.trial.id)
    return {
        query_id: list(zip(entry.doc_ids, entry.scores, strict=True))
        for query_id, entry in lines.items()
    }


TIMED = {"queries": 3, "rounds": 1, "warmup_max": 0, "span_queries": 3, "offline_pairs": 60}


def test_stages_that_are_made_of_others_are_measured_and_timed(tmp_path: Path) -> None:
    run = bench.run(
        cascade(
            {"fuse": {"of": PARTS, "weights": "tuned", "by": "weighted", "keep": 20}},
            {"cut": {"within": 2.0}},
            {"blend": {"of": SHARED, "weight": "tuned"}},
            rerankers=[{"blend": {"of": SHARED, "name": "row"}}],
            first_stages=[{"bm25": {"depth": 30}}],
            latency=TIMED,
        ),
        out=tmp_path,
    )
    assert {status.status for status in run.info.trials} == {"done"}
    record = record_of(run)
    search, fuse, cut, blend = record.stages
    assert fuse.spans == ["fuse: short", "fuse: shared", "fuse: combine"]
    assert blend.spans == [f"blend: {SHARED}", "blend: combine"]
    spans = run.latency[run.latency["trial"] == record.trial.id]["span"]
    assert {search.name, "fuse", *fuse.spans, "cut", "blend", *blend.spans} <= set(spans)
    assert fuse.usage["calls"] == 2 * QUERIES
    # what is cut by score is lost, and the recall of what is handed on says so
    assert cut.recall is not None
    assert fuse.recall is not None
    assert cut.lost is not None
    assert cut.lost == pytest.approx(fuse.recall - cut.recall)
    assert cut.lost > 0
    assert cut.quality["nDCG@10"] == fuse.quality["nDCG@10"]
    facts: Any = record.description["facts"]
    notes = [about["code"] for about in facts["warnings"]]
    assert notes.count(Code.TUNED_WEIGHTS.value) == 2
    own = facts["stages"]
    assert len(own[0]["weights"]["by_fold"]) == len(own[2]["weights"]["by_fold"]) == 5
    section = stages.stages(View(run))
    assert section is not None
    row = run.latency[run.latency["trial"] == record_of(run, "row").trial.id]["span"]
    assert {SHARED, "combine", "sort"} <= set(row)


def test_a_cut_hands_on_what_its_scores_say_and_never_nothing(tmp_path: Path) -> None:
    """The stage after it sees those alone; the others keep their place below."""
    plain = bench.run(cascade({SHORT: {"name": "short"}}), out=tmp_path)
    run = bench.run(
        cascade({"cut": {"within": 1.5, "keep": 8}}, {SHORT: {"name": "short"}}), out=tmp_path
    )
    everything = bench.run(cascade({"cut": {"min_score": 1e9}}, SHORT), out=tmp_path)
    bm25 = ranking_of(plain, "first-stage")
    after = ranking_of(run)
    alone_first = ranking_of(everything)
    assert record_of(run).stages[1].keep == 8
    for query_id, entry in bm25.items():
        top = entry[0][1]
        kept = [doc_id for doc_id, value in entry if value >= top - 1.5][:8]
        order = [doc_id for doc_id, _ in after[query_id]]
        assert set(order[: len(kept)]) == set(kept)
        assert order[len(kept) :] == [doc_id for doc_id, _ in entry if doc_id not in kept]
        # at least the best one is handed on
        assert [doc_id for doc_id, _ in alone_first[query_id]] == [doc_id for doc_id, _ in entry]


def test_a_timed_pipeline_cuts_as_the_quality_pass_does() -> None:
    cut = rerankers.build("cut", {"within": 1.5})
    assert cut.hands_on([9.0, 8.0, 7.5, 7.4]) == 3
    assert cut.hands_on([-5.0]) == 1
    assert rerankers.build("cut", {"min_score": 3}).hands_on([2.0, 1.0]) == 1
    assert rerankers.build("cut", {"min_score": 3, "within": 1}).hands_on([5.0, 4.0, 3.5]) == 2
    assert rerankers.build("cut").hands_on([2.0, 1.0]) is None


def test_an_estimate_counts_what_each_part_has_yet_to_score(tmp_path: Path) -> None:
    data = cascade(
        {"skip": {"of": SHORT, "when": {"margin_below": 1.0}, "keep": 10}},
        {"fuse": {"of": PARTS}},
    )
    loaded = suite.load(data)
    (before,) = forecast(loaded, out=tmp_path, observer=Observer()).rows
    # the documents that the second stage gets are not known yet, and their number is
    assert QUERIES * 2 * 10 < before.usage.pairs < QUERIES * (30 + 2 * 10)
    bench.run(data, out=tmp_path)
    (after,) = forecast(loaded, out=tmp_path, observer=Observer()).rows
    assert (after.usage.pairs, after.cached) == (0, QUERIES)


def test_late_interaction_is_a_stage_between(tmp_path: Path) -> None:
    folder = tiny_late.late_interaction(tmp_path / "late")
    run = bench.run(
        cascade(
            {"late-interaction": {"model": str(folder), "keep": 12, "name": "late"}},
            {SHORT: {"name": "short", "keep": 5}},
            latency={**TIMED, "span_queries": 2, "queries": 2},
        ),
        out=tmp_path / "results",
    )
    record = record_of(run)
    assert [stage.name for stage in record.stages] == ["bm25", "late", "short"]
    assert [stage.keep for stage in record.stages] == [30, 12, 5]
    spans = run.latency[run.latency["trial"] == record.trial.id]["span"]
    assert {"bm25", "late", "short"} <= set(spans)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"fuse": {"of": ["word-overlap"]}}, "fuse.of: needs at least 2"),
        ({"fuse": {"of": [SHORT, "minilm-l7"]}}, r"fuse.of.1.minilm-l7: unknown reranker"),
        ({"fuse": {"of": [SHORT, "bm25"]}}, "'bm25' is a first stage: it belongs under first_st"),
        ({"fuse": {"of": [SHORT, SHORT]}}, "two parts are named"),
        ({"fuse": {"of": [SHORT, "oracle"]}}, r"fuse.of.1.oracle: 'oracle' is a reference"),
        ({"fuse": {"of": [SHORT, "cut"]}}, "'cut' orders nothing"),
        (
            {"fuse": {"of": [SHORT, {SHARED: {"optional": True}}]}},
            "a part cannot be left out alone",
        ),
        ({"fuse": {"of": PARTS, "weights": [1, 2, 3]}}, "3 weights for 2 parts"),
        ({"blend": {"of": SHORT, "weight": 1.5}}, "'tuned', or a number from 0 to 1"),
        ({"blend": {"of": SHORT, "folds": 3}}, "folds belongs to 'weight: tuned'"),
        ({"skip": {"of": SHORT}}, "skip.when: is missing"),
        ({"skip": {"of": SHORT, "when": {}}}, "one rule of margin_below, top_below"),
        ({"skip": {"of": SHORT, "when": {"margin_bellow": 1}}}, "did you mean 'margin_below'"),
        (
            {"blend": {"of": {"cross-encoder": {"model": "x", "max_lenth": 4}}}},
            r"s.yaml:9: rerankers.0.blend.of.cross-encoder.max_lenth: unknown key: did you",
        ),
        ({"cut": {"within": 1}}, "it belongs among the stages of a pipeline"),
        ({"cut": {"keep": 5}}, "it belongs among the stages of a pipeline"),
    ],
)
def test_what_cannot_be_names_the_key(
    tmp_path: Path, entry: Mapping[str, Any], message: str
) -> None:
    file = tmp_path / "s.yaml"
    data = {"name": "s", "datasets": ["embedded:everyday"], "rerankers": [entry]}
    file.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    with pytest.raises(SuiteError, match=message):
        suite.load(file)


def test_a_cut_of_a_pipeline_has_to_cut() -> None:
    with pytest.raises(SuiteError, match="give keep, min_score or within"):
        suite.load(cascade("cut"))
    with pytest.raises(SuiteError, match=r"stages.1.fuse.of.1.minilm-l7: unknown reranker"):
        suite.load(cascade({"fuse": {"of": [SHORT, "minilm-l7"]}}))


def test_a_sweep_changes_the_parts_too(tmp_path: Path) -> None:
    from tests.support import tiny_models

    folder = tiny_models.bert_cross_encoder(tmp_path / "cross")
    part = {"cross-encoder": {"model": str(folder), "name": "cross"}}
    run = bench.run(
        cascade(
            {"fuse": {"of": [part, PARTS[0]], "keep": 10}},
            datasets=[{"embedded:everyday": {"queries": 8}}],
            latency={**TIMED, "sweep": {"depths": [10], "dtypes": ["bfloat16"], "rounds": 1}},
        ),
        out=tmp_path / "results",
    )
    assert set(run.sweep["dtype"].dropna()) == {"bfloat16"}


def sugar(entry: Any, **more: Any) -> dict[str, Any]:
    """A suite with a cascade among its rerankers, after two first stages."""
    data = cascade()
    del data["pipelines"]
    plain = {"bm25": {"name": "plain", "stemmer": None, "depth": 20}}
    return {**data, "depth": 30, "first_stages": ["bm25", plain], "rerankers": [entry], **more}


STAGES = [{SHARED: {"name": "shared", "keep": 9}}, {SHORT: {"name": "short"}}]


def test_a_cascade_is_a_pipeline_after_each_first_stage(tmp_path: Path) -> None:
    run = bench.run(sugar({"cascade": STAGES}, latency=TIMED), out=tmp_path)
    assert {status.status for status in run.info.trials} == {"done"}
    records = [record for record in run.records.values() if record.stages]
    assert [record.trial.reranker for record in records] == ["shared > short"] * 2
    assert [record.trial.first_stage for record in records] == ["bm25", "plain"]
    assert [[stage.keep for stage in record.stages] for record in records] == [
        [30, 9, 9],
        [20, 9, 9],
    ]
    # what a pipeline of the same stages gives, bit for bit
    long = bench.run(cascade(*STAGES), out=tmp_path)
    short = ranking_of(run, "shared > short")
    assert short == ranking_of(long)
    rows = forecast(suite.load(sugar({"cascade": STAGES})), out=tmp_path).rows
    assert [(row.usage.pairs, row.cached) for row in rows] == [(0, QUERIES), (0, QUERIES)]


def test_a_cascade_may_have_a_name_and_be_left_out(tmp_path: Path) -> None:
    entry = {
        "cascade": {"name": "mine", "stages": [STAGES[0], "cohere-rerank-v3.5"], "optional": True}
    }
    run = bench.run(sugar(entry), out=tmp_path)
    trials = [status for status in run.info.trials if status.trial.reranker == "mine"]
    assert {status.status for status in trials} == {"skipped"}


def test_objects_are_stages_of_a_cascade(tmp_path: Path) -> None:
    def shortest(query: str, docs: Sequence[str]) -> list[float]:
        return [-float(len(doc)) for doc in docs]

    run = bench.run(sugar({"cascade": [STAGES[0], shortest]}), out=tmp_path)
    assert {status.status for status in run.info.trials} == {"done"}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"cascade": "minilm-l6"}, "s.yaml:10: rerankers.0.cascade: a cascade is a list of stages"),
        ({"cascade": []}, "needs at least one"),
        ({"cascade": ["minilm-l7"]}, r"rerankers.0.cascade.0.minilm-l7: unknown reranker"),
        (
            {"cascade": {"stages": [SHORT, {SHARED: {"keep": 0}}]}},
            r"s.yaml:13: rerankers.0.cascade.stages.1.tests.*: keep: 0 is no number",
        ),
        ({"cascade": [{SHORT: {"keep": 21}}]}, "21 is more than the 20 documents that it gets"),
        ({"cascade": [{SHORT: {"keep": 5}}, {SHARED: {"keep": 6}}]}, "6 is more than the 5"),
        ({"cascade": ["bm25", SHORT]}, "'bm25' retrieves: it can only be the first"),
        ({"cascade": [SHORT, "oracle"]}, "'oracle' is a reference and no stage"),
        ({"cascade": [SHORT, SHORT]}, "two stages are named"),
        ({"cascade": {"stagess": [SHORT]}}, "did you mean 'stages'"),
        ({"cascade": {"name": "oracle", "stages": [SHORT]}}, "'oracle' is the name of a row"),
        (
            {"cascade": [{"fuse": {"of": [SHORT, "minilm-l7"]}}]},
            r"rerankers.0.cascade.0.fuse.of.1.minilm-l7: unknown reranker",
        ),
    ],
)
def test_a_cascade_that_cannot_be_names_the_key(
    tmp_path: Path, entry: Mapping[str, Any], message: str
) -> None:
    file = tmp_path / "s.yaml"
    plain = {"bm25": {"name": "plain", "depth": 20}}
    data = {"name": "s", "datasets": ["embedded:everyday"], "first_stages": ["bm25", plain]}
    file.write_text(
        yaml.safe_dump({**data, "rerankers": [entry]}, sort_keys=False), encoding="utf-8"
    )
    with pytest.raises(SuiteError, match=message):
        suite.load(file)


def test_editors_know_a_cascade() -> None:
    import jsonschema

    from bench.suite.json_schema import schema

    validator = jsonschema.Draft202012Validator(schema())
    stages_: list[Any] = ["minilm-bi-encoder", {"minilm-l6": {"keep": 5}}]
    for entry in (
        {"cascade": stages_},
        {"cascade": {"name": "x", "stages": stages_, "optional": True}},
        {"fuse": {"of": ["minilm-l6", {"blend": {"of": "minilm-l6", "weight": "tuned"}}]}},
        {"skip": {"of": "minilm-l6", "when": {"margin_below": 1}}},
    ):
        data = {"name": "s", "datasets": ["embedded:everyday"], "rerankers": [entry]}
        validator.validate(data)
    wrongs: list[Any] = [{"cascade": [{"minilm-l6": {"kep": 5}}]}, {"fuse": {"of": ["nobody"]}}]
    for wrong in wrongs:
        data = {"name": "s", "datasets": ["embedded:everyday"], "rerankers": [wrong]}
        assert list(validator.iter_errors(data))
