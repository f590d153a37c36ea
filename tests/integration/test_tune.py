"""`tune` chooses what an exhaustive timed run of all pipelines would choose, with far fewer calls:
on the embedded collection, by rerankers whose time passes on a clock of the test.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import bench
from bench.comparison.budgets import exit_code
from bench.composition.composed import Limits
from bench.contract.stage import Description
from bench.core.errors import BenchError
from bench.core.note import Code, note
from bench.core.options import option
from bench.machine.disturbance import Disturbance, Watch
from bench.quality import statistics
from bench.records.run import Run
from bench.reports import tuned as report
from bench.reports.renderers import render
from bench.rerankers.base import PointwiseReranker
from bench.rerankers.options import RerankerOptions
from bench.runner import loop
from bench.serving.hosted_pipeline import described_suite, of_suite
from bench.serving.search import Hit, Search
from bench.suite import suite as suites
from bench.suite.suite import Suite
from bench.tuning import search, winner
from bench.tuning.common import common_pipelines
from bench.tuning.journal import Journal
from bench.tuning.outcome import Outcome, TimedPipeline
from bench.tuning.tune import Settings, dataset_names, tune
from tests.support.fake_clock import FakeClock

pytestmark = pytest.mark.usefixtures("without_reports")


class Ticking(FakeClock):
    """Takes a microsecond to read, so that no call takes none."""

    def now_ns(self) -> int:
        self.now += 1000
        return super().now_ns()


class Paced(PointwiseReranker):
    """Scores by the words that a query and a document share, with noise; each pair takes a while on
    the test's clock.
    """

    class Options(RerankerOptions):
        ms: float = option(1.0, decides="speed")
        noise: float = option(0.0, decides="scores")

    clock = Ticking()

    def fingerprint(self) -> dict[str, Any]:
        return {"backend": "paced", "noise": self.options.noise}

    def describe(self) -> Description:
        return Description("paced", self.fingerprint(), {"device": self.device})

    def score(self, pairs: Sequence[tuple[str, str]]) -> Any:
        Paced.clock.work(self.options.ms * len(pairs))
        return np.array([self._one(query, doc) for query, doc in pairs])

    def _one(self, query: str, doc: str) -> float:
        shared = set(query.lower().split()) & set(doc.lower().split())
        digest = hashlib.sha256(f"{query}\0{doc}".encode()).digest()
        return sum(map(len, shared)) + float(self.options.noise) * digest[0] / 255


NAME = "tests.integration.test_tune:Paced"
SUITE: dict[str, Any] = {
    "name": "tuned",
    "datasets": ["embedded:everyday"],
    "rerankers": [
        {NAME: {"name": "cheap", "ms": 1.0, "noise": 30.0}},
        {NAME: {"name": "middle", "ms": 3.0, "noise": 12.0}},
        {NAME: {"name": "dear", "ms": 10.0, "noise": 0.5}},
    ],
    "depth": 20,
    "devices": "cpu",
    "latency": None,
}
BUDGET = 80.0
"""Milliseconds that several pipelines keep to, and not all."""


@dataclass(frozen=True)
class Exhaustive:
    """Every pipeline, timed on as many queries as confirm a choice: quality, p95, and the calls."""

    pipelines: Sequence[tuple[float, float]]
    calls: int

    def best(self, p95_ms: float) -> float:
        """Return the highest quality that fits."""
        return max(quality for quality, high in self.pipelines if high <= p95_ms)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for the searches of this module. A suite is scored once: each search of it reads the
    same run.
    """
    path = tmp_path_factory.mktemp("tune")
    runs: dict[str, Run] = {}
    score = loop.run

    def scored_once(suite: Suite, **options: Any) -> Run:
        key = repr(suite.resolved())
        if key not in runs:
            runs[key] = score(suite, **options)
        return runs[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RERANK_BENCH_CACHE", str(path / "cache"))
        patch.setattr(loop, "run", scored_once)
        yield path


@pytest.fixture(scope="module")
def whole(folder: Path) -> Outcome:
    """A search that nothing disturbed."""
    return found(folder, "whole", BUDGET)


def found(folder: Path, name: str, p95_ms: float) -> Outcome:
    """Return what a search comes to, timed by the test's clock."""
    settings = Settings(folder / name, folder / "results", clock=Paced.clock)
    return tune(suites.load(SUITE), Limits(p95_ms=p95_ms), settings)


@pytest.fixture(scope="module")
def exhaustive(folder: Path) -> Exhaustive:
    """Every pipeline that the search could time, timed by the same stages."""
    with pytest.MonkeyPatch.context() as patch:
        recorded: list[Any] = []

        def all_of_them(self: Any, candidates: Sequence[Any]) -> None:
            chains = [candidate.chain for candidate in candidates]
            times = self.stages.pipelines(chains, self.queries.confirming, "all")
            for candidate in candidates:
                calls = [ms for rounds in times[str(candidate.chain)].values() for ms in rounds]
                recorded.append((candidate.quality, float(np.quantile(calls, 0.95))))

        patch.setattr(search.Search, "run", all_of_them)
        outcome = found(folder, "all", 1.0)
    return Exhaustive(recorded, outcome.calls)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_the_choice_is_that_of_an_exhaustive_run(
    folder: Path, exhaustive: Exhaustive, share: float
) -> None:
    times = sorted({round(high, 3) for _, high in exhaustive.pipelines})
    place = int(share * (len(times) - 1))
    budget = (times[place] + times[place + 1]) / 2
    outcome = found(folder, f"at {share}", budget)
    assert outcome.winner is not None
    assert outcome.winner.candidate.quality == exhaustive.best(budget)
    assert outcome.winner.p95_ms <= budget
    assert outcome.winner.is_confirmed
    assert outcome.winner.queries == 59
    assert outcome.verdict == "fits"
    assert outcome.calls < exhaustive.calls / 3
    assert outcome.pipelines == len(exhaustive.pipelines)
    assert outcome.beyond + outcome.beaten + len(outcome.timed) == outcome.pipelines


def test_the_winner_is_a_suite_that_runs_with_the_same_quality(
    folder: Path, whole: Outcome
) -> None:
    assert whole.winner is not None
    assert exit_code([whole.verdict]) == 0
    description = json.loads((folder / "whole" / "winner.json").read_text())
    assert description["winner"]["p95_ms"] == whole.winner.p95_ms
    assert description["timed_calls"] == whole.calls
    written = yaml.safe_load((folder / "whole" / "winner.yaml").read_text())
    assert description["suite"] == written
    assert description["learned"] == []
    values, _ = run_again(folder / "whole", folder / "again")
    assert values == list(whole.winner.candidate.values)


def run_again(source: Path, out: Path) -> tuple[list[float], Run]:
    """Return the values of a written winner in a run of its own, by query id, and the run."""
    run = bench.run(source / "winner.yaml", out=out, latency=False)
    (row,) = [row for row in run.rows if row.trial.reranker == "winner"]
    return list(run.values(row.trial.id, "nDCG@10").values()), run


def served(source: Path) -> list[Hit]:
    """Return what a written winner finds."""
    hosted = of_suite(described_suite(str(source / "winner.json")), None, "cpu")
    hosted.load()
    try:
        hits, _ = hosted.search(Search("how do I get a stain out of a shirt", 3, True, None))
    finally:
        hosted.close()
    return hits


def test_the_winner_is_served(folder: Path, whole: Outcome) -> None:
    hits = served(folder / "whole")
    assert len(hits) == 3
    assert all(hit.text for hit in hits)
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)


def test_an_interrupted_search_times_nothing_twice(
    folder: Path, whole: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Journal.write
    entries: list[str] = []

    def stop_after_three(self: Journal, name: str, timed: Any, disturbances: Any) -> None:
        write(self, name, timed, disturbances)
        entries.append(name)
        if len(entries) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "write", stop_after_three)
    with pytest.raises(KeyboardInterrupt):
        found(folder, "cut", BUDGET)
    monkeypatch.setattr(Journal, "write", write)
    rest = found(folder, "cut", BUDGET)
    assert rest.winner == whole.winner
    assert 0 < rest.calls < whole.calls
    again = found(folder, "cut", BUDGET)
    assert (again.calls, again.winner) == (0, whole.winner)
    assert (whole.reused, rest.reused) == (0, 3)
    assert again.reused > rest.reused
    answer = " ".join(report.sentences(again))
    assert f"{again.reused} timings of an earlier call of this search" in answer


BUSY = "other processes took 40 % of the CPU during timing"


def test_a_busy_machine_is_named_wherever_the_times_are(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the table, in JSON and next to the winner; also where a later call times nothing anew."""
    facts = Watch.facts

    def busy(self: Watch) -> Disturbance:
        return {**facts(self), "disturbances": [note(Code.FOREIGN_CPU, 0.4).to_dict()]}

    monkeypatch.setattr(Watch, "facts", busy)
    found(folder, "busy", BUDGET)
    monkeypatch.setattr(Watch, "facts", facts)
    outcome = found(folder, "busy", BUDGET)
    assert outcome.calls == 0
    assert f"{BUSY[0].upper()}{BUSY[1:]}." in list(report.sentences(outcome))
    (data,) = json.loads(render(report.document([outcome]), "json"))
    assert data["disturbances"] == [BUSY]
    assert json.loads((folder / "busy" / "winner.json").read_text())["disturbances"] == [BUSY]
    assert len(served(folder / "busy")) == 3


def test_nothing_that_fits_is_an_answer_that_names_the_nearest(folder: Path) -> None:
    outcome = found(folder, "none", 1e-9)
    assert outcome.winner is None
    assert exit_code([outcome.verdict]) == 1
    assert outcome.nearest is not None
    answer = " ".join(report.sentences(outcome))
    assert f"Nothing fits. The nearest is {outcome.nearest.chain} (p50 " in answer
    assert not (folder / "none" / "winner.yaml").exists()


def test_a_search_needs_a_limit_and_rerankers(folder: Path) -> None:
    with pytest.raises(BenchError, match="--p95-ms"):
        tune(suites.load(SUITE), Limits(), Settings(folder / "x"))
    bare = suites.load({**SUITE, "rerankers": []})
    with pytest.raises(BenchError, match="nothing to compose"):
        tune(bare, Limits(p95_ms=1.0), Settings(folder / "x"))
    for name, problem in (("nDCG@7", "takes no nDCG@7"), ("ECE", "ECE is a measure of scores")):
        settings = Settings(folder / "x", folder / "unmeasured", measure=name)
        with pytest.raises(BenchError, match=problem):
            tune(suites.load(SUITE), Limits(p95_ms=1.0), settings)
    assert not (folder / "unmeasured").exists(), "refused before anything is scored"


LEARNING: dict[str, Any] = {
    **SUITE,
    "datasets": [{"embedded:everyday": {"queries": 20}}],
    "first_stages": ["bm25", {"bm25": {"name": "b2", "k1": 2}}],
    "rerankers": [
        SUITE["rerankers"][0],
        "ltr",
        {"blend": {"name": "mixed", "of": SUITE["rerankers"][2], "weight": "tuned", "folds": 2}},
        {
            "skip": {
                "name": "unsure",
                "of": {"fuse": {"of": ["word-overlap", SUITE["rerankers"][2]], "weights": "tuned"}},
                "when": {"margin_quantile": 0.5},
                "folds": 2,
            }
        },
    ],
    "pipelines": [
        {"name": "named", "stages": [{"bm25": {"name": "b3", "b": 0.1, "keep": 5}}, "word-overlap"]}
    ],
    "depth": 10,
    "seed": 3,
}


@pytest.fixture(scope="module")
def few(folder: Path) -> Outcome:
    """A search over two first stages with rows that learn, on too few queries for a p95."""
    settings = Settings(folder / "few", folder / "results", clock=Paced.clock)
    return tune(suites.load(LEARNING), Limits(p95_ms=9.5), settings)


def test_rows_that_learn_and_unnamed_hybrids_are_candidates(few: Outcome) -> None:
    (pipeline,) = few.left_out
    assert pipeline[0] == "named"
    assert "a pipeline that the suite names" in pipeline[1]
    assert few.too_slow + few.too_dear + few.beaten + len(few.timed) == few.pipelines
    assert few.too_slow > 0
    answer = " ".join(report.sentences(few))
    assert f"{few.too_slow} whose forecast is outside the limits" in answer


CHOSEN = {
    "ltr": "b2:10 > ltr",
    "mixed": "bm25:10 > mixed",
    "unsure": "bm25:10 > unsure",
    "hybrid": "z-score(bm25, b2):10 > cheap",
    "share": "blend(cheap",
}
"""Pipelines of each kind of what is learned, by how their names begin or what they hold."""


@pytest.fixture(scope="module")
def chosen(folder: Path) -> dict[str, tuple[Outcome, Path]]:
    """A search that confirms one pipeline of each kind, and the files of each as the winner."""
    outcomes: dict[str, tuple[Outcome, Path]] = {}
    write_one = winner.write

    def one_of_each(self: search.Search, candidates: Sequence[Any]) -> TimedPipeline:
        wanted = [
            next(each for each in candidates if text in str(each.chain)) for text in CHOSEN.values()
        ]
        return self._confirmed(wanted)[0]

    def write_each(outcome: Outcome, suite: Suite, parts: Any, run: Run, out: Path) -> None:
        for name, text in CHOSEN.items():
            best = next(each for each in outcome.timed if text in str(each.chain))
            own = replace(outcome, winner=best)
            write_one(own, suite, parts, run, out / name)
            outcomes[name] = (own, out / name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search.Search, "run", one_of_each)
        patch.setattr("bench.tuning.tune.write", write_each)
        settings = Settings(folder / "chosen", folder / "results", clock=Paced.clock)
        tune(suites.load(LEARNING), Limits(p95_ms=9.5), settings)
    return outcomes


@pytest.mark.parametrize("name", CHOSEN)
def test_what_was_learned_is_served_from_the_description(
    chosen: dict[str, tuple[Outcome, Path]], name: str
) -> None:
    _, source = chosen[name]
    description = json.loads((source / "winner.json").read_text())
    text = json.dumps(description["suite"])
    assert "tuned" not in text.replace("tuned-winner", "")
    assert "quantile" not in text
    assert bool(description["learned"]) == (name != "hybrid")
    assert len(served(source)) == 3
    if name == "ltr":
        assert description["learned"][0]["model"] == "winner-ltr.json"
        stages = description["suite"]["pipelines"][0]["stages"]
        assert stages[1]["ltr"]["load"] == "winner-ltr.json"
        model = json.loads((source / "winner-ltr.json").read_text())
        assert len(model["trained_on"]) == 20


@pytest.mark.parametrize("name", ["ltr", "hybrid"])
def test_the_suite_of_a_winner_learns_again_with_the_same_values(
    chosen: dict[str, tuple[Outcome, Path]], tmp_path: Path, name: str
) -> None:
    outcome, source = chosen[name]
    assert outcome.winner is not None
    values, _ = run_again(source, tmp_path)
    assert values == list(outcome.winner.candidate.values)


def test_the_share_of_a_blend_is_learned_on_queries_that_do_not_choose_it(
    chosen: dict[str, tuple[Outcome, Path]], tmp_path: Path
) -> None:
    """The share of the winner gives the other half of the queries the values that they have in the
    choice; their own half had another share.
    """
    outcome, source = chosen["share"]
    assert outcome.winner is not None
    tuning = outcome.winner.candidate.tuning
    assert tuning is not None
    values, _ = run_again(source, tmp_path)
    others = [half == 1 for half in tuning.half_of]
    assert others.count(True) == tuning.queries[1]
    chosen_by = list(outcome.winner.candidate.values)
    served_others = [value for value, other in zip(values, others, strict=True) if other]
    choice_others = [value for value, other in zip(chosen_by, others, strict=True) if other]
    assert served_others == choice_others
    (learned,) = json.loads((source / "winner.json").read_text())["learned"]
    assert learned["share"] == tuning.shares[1]
    assert 0 < learned["share"] < 1, "else it is the stage before or the row alone"
    assert learned["quality_on_the_others"] == pytest.approx(np.mean(choice_others))
    answer = " ".join(report.sentences(outcome))
    assert f"Its share was learned on {tuning.queries[0]} queries" in answer


def test_a_suite_of_two_datasets_asks_for_one(folder: Path) -> None:
    other = {"embedded:everyday": {"name": "again", "queries": 5}}
    both = suites.load({**SUITE, "datasets": ["embedded:everyday", other]})
    with pytest.raises(BenchError, match="has everyday, again: choose one with --dataset"):
        tune(both, Limits(p95_ms=1.0), Settings(folder / "x"))
    with pytest.raises(BenchError, match=r"no dataset 'agin'.*'again'"):
        tune(both, Limits(p95_ms=1.0), Settings(folder / "x", dataset="agin"))


@pytest.mark.parametrize("names", [("a b", "a-b"), ("same", "same")])
def test_two_datasets_that_would_share_a_folder_are_refused(names: tuple[str, str]) -> None:
    datasets = [{"embedded:everyday": {"name": name}} for name in names]
    with pytest.raises(BenchError, match=rf"datasets\.0\.embedded:everyday is named '{names[0]}'"):
        dataset_names(suites.load({**SUITE, "datasets": datasets}))


@pytest.fixture(scope="module")
def both(folder: Path) -> list[Outcome]:
    """Searches on two datasets of one suite."""
    other = {"embedded:everyday": {"name": "again", "queries": 30}}
    suite = suites.load({**SUITE, "datasets": ["embedded:everyday", other]})
    outcomes: list[Outcome] = []
    for name in dataset_names(suite):
        settings = Settings(
            folder / "both" / name, folder / "results", dataset=name, clock=Paced.clock
        )
        outcomes.append(tune(suite, Limits(p95_ms=BUDGET), settings))
    return outcomes


def test_the_best_pipeline_for_all_datasets_has_the_highest_mean_of_what_fits_on_each(
    both: list[Outcome],
) -> None:
    """By a brute force over the candidates of both searches."""
    by_dataset = [{each.chain: each for each in outcome.candidates} for outcome in both]
    means: dict[Any, float] = {}
    for chain, candidate in by_dataset[0].items():
        other = by_dataset[1].get(chain)
        if other is not None and all(keeps(outcome, chain) for outcome in both):
            means[chain] = (candidate.quality + other.quality) / 2
    best, *others = common_pipelines(both)
    assert best.fits
    assert best.mean == max(means.values())
    assert {pipeline.chain for pipeline in (best, *others) if pipeline.fits} == set(means)
    for outcome in both:
        assert outcome.winner is not None
        timed = [each for each in (best, *others) if each.chain == outcome.winner.chain]
        assert all(outcome.dataset in each.best_on for each in timed)
        assert all(outcome.dataset not in each.forecast_on for each in timed)
    document = report.document(both)
    assert [section.key for section in document.sections] == ["tuned", "tuned1", "for-all"]
    text = render(document, "markdown")
    assert f"{best.chain} has the best mean of the pipelines that keep to the limits" in text
    assert "| again |" in text
    *_, shared = json.loads(render(document, "json"))
    assert shared["datasets"] == ["everyday", "again"]
    assert shared["pipelines"][0]["mean_quality"] == best.mean


def keeps(outcome: Outcome, chain: Any) -> bool:
    """Return whether a pipeline keeps to the limit of 95 of 100 calls, timed or by its forecast."""
    (candidate,) = [each for each in outcome.candidates if each.chain == chain]
    times = [each.p95_ms for each in outcome.timed if each.chain == chain]
    return max(times, default=candidate.forecast_ms) <= BUDGET


def test_a_pipeline_that_fits_on_no_dataset_is_not_named_for_all(both: list[Outcome]) -> None:
    tight = [replace(outcome, limits=Limits(p95_ms=1e-9)) for outcome in both]
    text = render(report.document(tight), "markdown")
    assert "No pipeline keeps to the limits on all of the datasets." in text
    assert exit_code(each.verdict for each in both) == 4
    none = [both[0], replace(both[1], winner=None)]
    assert exit_code(each.verdict for each in none) == 1


def test_the_forecast_of_a_confirmed_median_is_within_its_interval_or_outside(
    whole: Outcome,
) -> None:
    assert whole.winner is not None
    assert whole.winner.p50_range is not None
    low, high = whole.winner.p50_range
    assert low <= whole.winner.p50_ms <= high
    p50_ms = whole.winner.candidate.forecast_p50_ms
    for forecast, place in ((p50_ms, low <= p50_ms <= high), (low / 2, False), (high * 2, False)):
        candidate = replace(whole.winner.candidate, forecast_p50_ms=forecast)
        best = replace(whole.winner, candidate=candidate)
        assert best.is_as_forecast is place
        word = "within" if place else "outside"
        answer = " ".join(report.sentences(replace(whole, winner=best)))
        assert f"ms, is {word} the 95 % interval of the timed one" in answer


def test_an_estimate_over_few_queries_is_marked_and_no_verdict_by_it_is_sure(few: Outcome) -> None:
    assert exit_code([few.verdict]) == 4
    assert all(pipeline.queries < 59 for pipeline in few.timed)
    rows = report.table(few).rows
    assert all(row.cells["p95"].text.startswith("~") for row in rows)
    verdicts = {str(row.cells["verdict"].text) for row in rows}
    assert "best, not sure" in verdicts
    assert not verdicts & {"best", "runner-up", "too slow"}
    answer = " ".join(report.sentences(few))
    assert "that looks as if it fits" in answer
    assert "a provisional estimate over fewer than 59 queries" in answer


def test_a_runner_up_of_equal_values_is_called_equal(few: Outcome) -> None:
    assert few.winner is not None
    chain = replace(few.winner.chain, depth=7)
    equal = replace(few.winner, candidate=replace(few.winner.candidate, chain=chain))
    difference = statistics.difference(few.winner.candidate.values, equal.candidate.values, 0)
    answer = " ".join(report.sentences(replace(few, runner_up=equal, difference=difference)))
    assert f"The runner-up, {chain}, has an equal nDCG@10 on every query." in answer
    assert "is lower by" not in answer
    # other values with the same mean
    values = list(few.winner.candidate.values)
    place = next(place for place, value in enumerate(values) if value != values[0])
    values[0], values[place] = values[place], values[0]
    moved = replace(equal, candidate=replace(equal.candidate, values=values))
    difference = statistics.difference(few.winner.candidate.values, values, 0)
    answer = " ".join(report.sentences(replace(few, runner_up=moved, difference=difference)))
    assert "has the same mean nDCG@10" in answer
    assert "other values on 2 queries" in answer
    assert "is lower by" not in answer


def test_a_pipeline_whose_calls_failed_has_no_time(few: Outcome) -> None:
    candidate = few.timed[0].candidate
    failed = TimedPipeline(candidate, math.inf, math.inf, 0)
    outcome = replace(few, winner=None, runner_up=None, nearest=failed, timed=[failed])
    (row,) = report.table(outcome).rows
    assert row.cells["p95"].number is None
    assert row.cells["verdict"].text == "failed"
    assert "(each of its calls failed)" in next(report.sentences(outcome))
