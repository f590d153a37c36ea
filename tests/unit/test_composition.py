"""Forecasts, prices and the front of composed pipelines, by numbers that a hand can check."""

from __future__ import annotations

import io
import math
import re
from dataclasses import replace

import numpy as np
import pytest

from bench.composition.chain import Chain
from bench.composition.composed import (
    ComposedPipeline,
    Composition,
    Limits,
    Tuning,
    by_quality,
    front,
)
from bench.composition.entries import entry_of
from bench.composition.prices import RowPrice, price_of
from bench.composition.rules import SkipRule
from bench.composition.times import Forecast, Forecasts, StageTimes, pairs_of
from bench.composition.works import Cut, Fuse, Rank, Skip, Step
from bench.contract.part import Part
from bench.core.errors import BenchError
from bench.latency.columns import Interval
from bench.reports import composed as report
from bench.reports.plots import composed as picture
from bench.reports.renderers import render
from bench.reports.renderers.screen import screen
from bench.reports.renderers.terminal import show

SEARCH = StageTimes("bm25", {100: {"q1": [1.0], "q2": [3.0]}})
ONCE = StageTimes("once", {100: {"q1": [100.0], "q2": [200.0]}}, longest=100)
TWICE = StageTimes(
    "twice",
    {20: {"q1": [30.0], "q2": [50.0]}, 100: {"q1": [100.0], "q2": [140.0]}},
    longest=100,
)
CASCADE = Chain("bm25", 100, (Step(Rank("once"), 20), Step(Rank("twice"))))


def test_a_forecast_is_the_sum_of_its_stages_query_by_query() -> None:
    forecasts = Forecasts({"once": ONCE, "twice": TWICE}, {"bm25": SEARCH})
    assert forecasts.samples(CASCADE).tolist() == [[131.0], [253.0]]
    (forecast,) = forecasts.of([CASCADE])
    assert forecast == Forecast(192.0, None, 2, "measured")
    assert forecasts.intervals(CASCADE) is not None


def test_a_row_timed_once_is_taken_in_proportion_and_has_no_interval() -> None:
    forecasts = Forecasts({"once": ONCE}, {})
    chain = Chain("bm25", 50, (Step(Rank("once")),))
    (forecast,) = forecasts.of([chain])
    assert forecast == Forecast(75.0, None, 2, "proportional", without_search=True)
    assert forecasts.intervals(chain) is None


@pytest.mark.parametrize(
    ("depth", "median"), [(20, 40.0), (60, 80.0), (100, 120.0), (10, 30.0), (500, 120.0)]
)
def test_a_row_timed_at_two_depths_lies_on_their_line(depth: int, median: float) -> None:
    own = dict(TWICE.medians)[TWICE.nearest(TWICE.reached(depth))]
    assert own * TWICE.factor(depth) == pytest.approx(median)


def test_less_than_in_proportion_is_never_forecast_below_the_smallest_depth() -> None:
    steep = StageTimes("steep", {10: {"q": [10.0]}, 20: {"q": [40.0]}})
    assert 10.0 * steep.factor(5) == pytest.approx(5.0)


def test_a_row_without_a_time_has_no_forecast() -> None:
    forecasts = Forecasts({"once": ONCE}, {"bm25": SEARCH})
    assert forecasts.of([CASCADE]) == [None]


def test_pairs_count_every_part_of_a_fusion() -> None:
    fused = Chain("bm25", 50, (Step(Fuse(("a", "b")), 10), Step(Cut(), 5), Step(Rank("c"))))
    assert pairs_of(fused) == 50 + 50 + 5


def test_prices_fall_with_documents_where_tokens_are_billed() -> None:
    rows = {"once": RowPrice(2.0, 100.0), "twice": RowPrice(1.0, 100.0, by_tokens=False)}
    assert price_of(CASCADE, rows) == 3.0
    half = Chain("bm25", 50, (Step(Rank("once")),))
    assert price_of(half, rows) == 1.0
    assert price_of(half, {"once": RowPrice(None, 100.0)}) is None


def pipeline(name: str, quality: float, ms: float, usd: float | None = 0.0) -> ComposedPipeline:
    chain = Chain(name, 10)
    return ComposedPipeline(
        chain, {"m": np.zeros(1)}, quality, Forecast(ms, ms, 60, "measured"), usd, 10
    )


def test_the_front_holds_what_no_other_beats() -> None:
    members = [
        pipeline("fast", 0.5, 1.0),
        pipeline("slow", 0.5, 2.0),
        pipeline("good", 0.7, 5.0),
        pipeline("dear", 0.9, 9.0, usd=4.0),
        pipeline("unpriced", 0.6, 5.0, usd=None),
    ]
    assert {each.chain.first for each in front(members)} == {"fast", "good", "dear"}


def test_a_search_alone_that_was_not_timed_has_no_time() -> None:
    """The sum of no times is not 0 ms."""
    unknown = Forecast(0.0, 0.0, 60, "measured", without_search=True)
    alone = replace(pipeline("search", 0.5, 1.0), latency=unknown, pairs=0)
    known = replace(alone, latency=Forecast(0.0, 0.0, 60, "measured"))
    composition = Composition("data", "m", 60, (alone, known), unsearched=("search",))
    rows = report.table(composition, [alone, known]).rows
    assert [row.cells["p50"].number for row in rows] == [None, 0.0]
    assert [row["p50_ms"] for row in report.flat(composition)] == [None, 0.0]
    assert [Limits(p50_ms=1.0).fit(each) for each in (alone, known)] == [False, True]
    said = " ".join(report.sentences(composition, 2, None))
    assert "The search of search was not timed, and is in none of these times" in said


def test_a_pipeline_without_a_time_is_no_faster_than_one_that_has_one() -> None:
    """Ten documents are not ten milliseconds."""
    untimed = replace(pipeline("untimed", 0.6, 1.0), latency=None)
    timed = [pipeline("slow", 0.7, 500.0), pipeline("fast", 0.5, 100.0)]
    assert {each.chain.first for each in front([untimed, *timed])} == {"slow", "fast"}
    few = replace(pipeline("few", 0.5, 1.0), latency=None, pairs=5)
    assert {each.chain.first for each in front([untimed, few])} == {"untimed", "few"}


def test_limits_let_pass_what_is_known_to_keep_to_them() -> None:
    limits = Limits(p95_ms=5.0, usd_per_1000=1.0)
    assert limits.fit(pipeline("fits", 0.5, 5.0))
    assert not limits.fit(pipeline("slow", 0.5, 5.1))
    assert not limits.fit(pipeline("unpriced", 0.5, 1.0, usd=None))
    assert not limits.fit(pipeline("dear", 0.5, 1.0, usd=2.0))
    assert str(limits) == "p95 ≤ 5 ms, $1 per 1,000 queries"


def test_the_front_is_shown_best_first_and_says_what_it_is_of() -> None:
    """Where nothing was timed, in the order of the table of all."""
    members = [pipeline("good", 0.7, 5.0), pipeline("weak", 0.4, 9.0), pipeline("fast", 0.5, 1.0)]
    marked = [replace(each, on_front=each.quality != 0.4) for each in by_quality(members)]
    timed = Composition("d", "m", 80, tuple(marked))
    names = {False: ["good:10", "fast:10", "weak:10"], True: ["good:10", "fast:10"]}
    for frontier, own in names.items():
        content = report.document([timed], frontier=frontier)
        (data,) = content.data
        assert [row["pipeline"] for row in data["pipelines"]] == own
        lines = render(content, "csv").splitlines()[1:]
        assert [line.split(",")[2] for line in lines] == own
        buffer = io.StringIO()
        show(content, screen(file=buffer, width=80))
        assert re.findall(r"(\w+:10)", buffer.getvalue()) == own
    assert "No time is known" not in " ".join(report.sentences(timed, 3, None))
    untimed = replace(timed, pipelines=tuple(replace(each, latency=None) for each in marked))
    said = " ".join(report.sentences(untimed, 3, None))
    assert "No time is known: on the front is what no other beats in quality, in the docu" in said


def test_a_picture_names_each_pipeline_at_its_own_point() -> None:
    """Where one has no time, all are drawn by their pairs."""
    timed = replace(pipeline("timed", 0.5, 100.0), on_front=True)
    untimed = replace(pipeline("untimed", 0.6, 1.0), on_front=True, latency=None, pairs=5)
    figure = picture.figure(Composition("d", "nDCG@10", 80, (untimed, timed)))
    labels = {label.get_text(): label.xy for label in figure.axes[0].texts}
    assert labels == {"timed:10": (10.0, 0.5), "untimed:10": (5.0, 0.6)}


@pytest.mark.parametrize(("ms", "place"), [(95.0, "within"), (110.0, "within"), (111.0, "outside")])
def test_a_forecast_is_compared_with_the_timed_median(ms: float, place: str) -> None:
    """Where the run timed the pipeline itself: by the interval of its median."""
    timed = replace(pipeline("timed", 0.5, ms), timed=Interval(100.0, 95.0, 110.0))
    assert timed.is_as_forecast is (place == "within")
    composition = Composition("d", "nDCG@10", 80, (timed, pipeline("other", 0.4, 3.0)))
    first, second = report.table(composition, composition.pipelines).rows
    assert first.cells["as_forecast"].text == place
    assert first.cells["timed"].number == 100.0
    assert (second.cells["as_forecast"].text, second.cells["timed"].number) == ("", None)
    row, other = report.flat(composition)
    columns = ("timed_p50_ms", "timed_p50_low_ms", "timed_p50_high_ms", "p50_forecast")
    assert [row[name] for name in columns] == [100.0, 95.0, 110.0, place]
    assert [other[name] for name in columns] == [None] * 4
    counts = {"within": "1, and outside for 0", "outside": "0, and outside for 1"}
    assert counts[place] in " ".join(report.sentences(composition, 2, None))


def test_a_run_that_timed_no_pipeline_has_no_column_of_it() -> None:
    composition = Composition("d", "nDCG@10", 80, (pipeline("a", 0.5, 1.0),))
    keys = {column.key for column in report.table(composition, composition.pipelines).columns}
    assert not keys & {"timed", "as_forecast"}


def test_a_stage_for_some_queries_takes_its_time_for_these_alone() -> None:
    chain = Chain("bm25", 100, (Step(Skip("once", SkipRule("margin_below", 1.0))),))
    shares = {chain: {"q1": 0.0, "q2": 1.0}}
    forecasts = Forecasts({"once": ONCE}, {"bm25": SEARCH}, shares=shares)
    assert forecasts.samples(chain).tolist() == [[1.0], [203.0]]
    tokens = {"once": RowPrice(2.0, 100.0)}
    assert price_of(chain, tokens, shares) == 1.0
    half = {chain: {"q1": 0.5, "q2": 1.0}}
    assert price_of(chain, tokens, half) == 1.5
    assert price_of(chain, {"once": RowPrice(2.0, 100.0, by_tokens=False)}, half) == 2.0
    (forecast,) = Forecasts({"once": ONCE}, {"bm25": SEARCH}, shares=half).of([chain])
    assert forecast is not None
    assert forecast.basis == "proportional"


HEADS = {"": ["nDCG@10", "~p50 ms", "front"], "p95": ["nDCG@10", "~p95 ms", "front"]}


@pytest.mark.parametrize("limit", HEADS)
@pytest.mark.parametrize("usd", [0.0, None, 0.25])
def test_a_narrow_terminal_keeps_quality_time_and_front(limit: str, usd: float | None) -> None:
    rows = [
        replace(pipeline(f"row{number}", 0.5, 10.0 + number, usd), on_front=number == 0)
        for number in range(2)
    ]
    chain = Chain("bm25", 100, (Step(Rank("minilm-cross-encoder"), 50), Step(Rank("r" * 40))))
    rows = [replace(row, chain=replace(chain, depth=100 - n)) for n, row in enumerate(rows)]
    limits = Limits(p95_ms=1000.0) if limit else Limits()
    composition = Composition("d", "nDCG@10", 80, tuple(rows), limits)
    buffer = io.StringIO()
    show(report.document([composition]), screen(file=buffer, width=80))
    lines = buffer.getvalue().splitlines()
    (head,) = [line for line in lines if line.startswith(" pipeline")]
    for title in HEADS[limit]:
        assert title in head
    assert "$/1k" not in head
    assert sum("●" in line for line in lines) == 1
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(("usd", "is_kept"), [(0.0, False), (None, False), (0.25, True)])
def test_a_cost_of_nothing_is_left_out_before_the_pairs(usd: float | None, is_kept: bool) -> None:
    composition = Composition("d", "nDCG@10", 80, (pipeline("a", 0.5, 1.0, usd),))
    by_key = {
        column.key: column for column in report.table(composition, composition.pipelines).columns
    }
    assert (by_key["usd"].priority < by_key["pairs"].priority) == is_kept


@pytest.mark.parametrize(
    "limits",
    [{"p95_ms": math.nan}, {"p50_ms": math.inf}, {"p95_ms": 0.0}, {"usd_per_1000": math.nan}],
)
def test_a_limit_that_nothing_could_keep_or_break_is_refused(limits: dict[str, float]) -> None:
    with pytest.raises(BenchError, match="a limit is a number of milliseconds above 0"):
        Limits(**limits)


def test_a_bare_value_of_a_chain_gets_the_name_of_its_option() -> None:
    parts = {
        "mine": Part(name="run", options="runs/mine.run"),
        "theirs": Part(name="cross-encoder", options="./model"),
    }
    chain = Chain("mine", 20, (Step(Rank("theirs"), 5),))
    entry = entry_of(chain, "winner", parts).to_entry()
    assert entry["stages"] == [
        {"run": {"path": "runs/mine.run", "keep": 20}},
        {"cross-encoder": {"model": "./model", "keep": 5}},
    ]


def test_tuned_weights_are_on_the_front_for_what_they_give_alone() -> None:
    """The chain of tuned weights is that of equal ones, which may be better."""
    equal = pipeline("z-score(a, b)", 0.7, 5.0)
    tuned = replace(equal, quality=0.6, tuning=Tuning((0.0, 1.0), (5, 5)))
    (own,) = front([tuned, equal])
    assert own is equal
