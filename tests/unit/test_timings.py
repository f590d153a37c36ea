"""How latency is written in reports: intervals, loads that were too much, parts, each note once,
p95 and ms a pair in the picture.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from bench.contract.trial import Trial
from bench.core.note import Code, Note
from bench.latency.columns import P50, PER_PAIR
from bench.latency.sample import Condition, Sample
from bench.latency.spans import ON_DEVICE
from bench.latency.summary import parts, summarise
from bench.quality.statistics import Estimate
from bench.records.facts import LoadFacts, TimingFacts
from bench.records.packed import unpacked
from bench.records.rows import Row
from bench.reports import cells, numbers
from bench.reports.charts.svg import Mark
from bench.reports.charts.tradeoff import Point, points
from bench.reports.document import Table
from bench.reports.names import about
from bench.reports.plots import style, tradeoff
from bench.reports.progress import TerminalObserver
from bench.reports.renderers.columns import in_full
from bench.reports.sections import latency
from bench.reports.wording import notes_on

LABELS = {"a": "a", "b": "b", "oracle": "oracle"}
SLOW = Condition("server", 50.0)


def trial(name: str, device: str | None = "cpu") -> Trial:
    return Trial(id=name, dataset="d", first_stage="bm25", reranker=name, device=device, depth=10)


def made(
    name: str,
    samples: list[Sample],
    timing: TimingFacts | None = None,
    notes: tuple[Note, ...] = (),
) -> Row:
    table = pd.DataFrame(samples)
    latency = {scenario: found for (_, scenario), found in summarise(table).items()}
    pieces = {scenario: found for (_, scenario), found in parts(table).items()}
    quality = {"nDCG@10": Estimate(mean=0.5, low=0.4, high=0.6, n=60)}
    return Row(trial(name), "done", None, quality, {}, latency, pieces, timing or {}, notes)


def timed(
    of: str | Condition, n: int = 60, pairs: int = 10, span: str = "total", ms: float = 100.0
) -> list[Sample]:
    name, rate = (of, None) if isinstance(of, str) else of
    return [
        Sample("t", name, i, f"q{i}", pairs, None, int((ms + i) * 1e6), span=span, rate=rate)
        for i in range(n)
    ]


def lines(table: Table) -> list[dict[str, str]]:
    """The table as a text report has it: a row's name and its cells by title."""
    shown = in_full(table)
    return [
        {"reranker": row.label, **{column.column.title: column.text(row) for column in shown}}
        for row in table.rows
    ]


def test_every_scenario_has_a_table_with_its_intervals() -> None:
    row = made("ours", [*timed("single"), *timed("offline", n=2)])
    [single] = lines(latency.table("single", [row]))
    found: Any = row.latency[Condition("single")]
    median = f"{found.p50_ms:.0f} [{found.of(P50).low:.0f}, {found.of(P50).high:.0f}]"
    assert (single["reranker"], single["queries"], single["p50 ms"]) == ("ours (cpu)", "60", median)
    assert single["p95 ms"].startswith("156 [")
    assert found.per_pair_ms == pytest.approx(found.p50_ms / 10)
    assert found.of(PER_PAIR).low == pytest.approx(found.of(P50).low / 10)
    assert single["ms/pair"].startswith("12.9 [")
    table = latency.table("offline", [row])
    [offline] = lines(table)
    assert table.lead == "pairs_per_s"
    assert "queries" not in offline
    assert "p95 ms" not in offline
    assert " [" in offline["pairs/s"]


def test_energy_has_a_column_where_a_gpu_reports_it() -> None:
    timing = TimingFacts(joules_per_1000_pairs=42.4)
    known = made("ours", [*timed("single"), *timed("offline", n=2)], timing)
    unknown = made("theirs", timed("offline", n=2), {"joules_per_1000_pairs": None})
    both = lines(latency.table("offline", [known, unknown]))
    assert [line["J/1k pairs"] for line in both] == ["42", "–"]
    assert "J/1k pairs" not in lines(latency.table("offline", [unknown]))[0]
    assert latency.table("offline", [replace(known, latency={})]).rows == []


def test_one_sample_has_no_interval_and_withheld_percentiles_say_so() -> None:
    assert cells.duration(5.0, 5.0, 5.0).interval == ""
    assert cells.duration(None).text == numbers.NOTHING
    [line] = lines(latency.table("cold", [made("ours", timed("cold", n=1))]))
    assert (line["calls"], line["p50 ms"]) == ("1", "100")
    [line] = lines(latency.table("single", [made("ours", timed("single", n=58))]))
    assert line["p95 ms"] == "withheld"


def test_percentiles_of_an_overloaded_server_are_left_out() -> None:
    load = LoadFacts(rate=50.0, utilisation=2.5, overloaded=True)
    row = made("ours", timed(SLOW), {"server": {"loads": [load]}})
    [line] = lines(latency.table("server", [row]))
    assert (line["load"], line["queries"]) == ("50/s, 250 % load", "60")
    assert (line["p50 ms"], line["p95 ms"]) == ("overloaded", "–")
    calm = LoadFacts(rate=50.0, utilisation=0.5, overloaded=False)
    row = made("ours", timed(SLOW), {"server": {"loads": [calm]}})
    [line] = lines(latency.table("server", [row]))
    assert line["load"] == "50/s, 50 % load"
    assert line["p50 ms"].startswith("130 [")


def test_parts_are_shares_of_their_sum_and_the_device_s_own_clock_is_next_to_it() -> None:
    samples = [
        row
        for name, ms in (("tokenise", 10.0), ("forward", 80.0), (ON_DEVICE, 70.0), ("other", 10.0))
        for row in timed("single", 1, ms=ms, span=name)
    ]
    [table] = latency.part_tables([made("ours", samples)], "d")
    [line] = lines(table)
    assert line == {
        "reranker": "ours (cpu)",
        "scenario": "single",
        "tokenise": "10.0 (10 %)",
        "forward": "80.0 (80 %)",
        ON_DEVICE: "70.0 (70 %)",
        "other": "10.0 (10 %)",
    }


def test_each_kind_of_scenario_has_its_own_parts_and_cold_its_memory() -> None:
    samples = [
        *timed("cold", 1, span="load"),
        *timed(SLOW, 1, span="queue"),
        *timed(Condition("server", 9.0), 1, span="queue"),
    ]
    row = made("ours", samples, {"cold": {"peak_rss_bytes": 3 << 29}})
    cold, loads = latency.part_tables([row], "d")
    [line] = lines(cold)
    assert (line["load"], line["memory"]) == ("100 (100 %)", "1.50 GiB")
    assert [line["scenario"] for line in lines(loads)] == ["server 50/s", "server 9/s"]
    assert latency.part_tables([replace(row, parts={})], "d") == []


def test_a_note_that_rows_share_is_told_once() -> None:
    busy = Note(Code.TEXT, text="busy")
    first, second = (
        made("a", timed("single"), notes=(busy, Note(Code.TEXT, text="tied"))),
        made("b", timed("single"), notes=(busy,)),
    )
    reference = Row(trial("oracle", "-").model_copy(update={"kind": "reference"}), "done", None)
    members = [reference, first, second]
    assert notes_on(members) == [([first, second], "busy"), ([first], "tied")]
    told = [about(rows, members, LABELS) for rows, _ in notes_on(members)]
    assert told == ["every reranker", "a"]
    assert about([first], [reference, first], LABELS) == "a", "the only one is called by its name"


def test_shares_of_judged_documents_are_one_note_with_their_range() -> None:
    shares = {"a": 0.081, "b": 0.24}
    few = [made(name, [], notes=(Note(Code.FEW_JUDGED, x, 1),)) for name, x in shares.items()]
    [(rows, text)] = notes_on(few)
    assert (list(rows), text.split(" of the")[0]) == (few, "only 8 to 24 %")
    [(_, text)] = notes_on(few[:1])
    assert text.startswith("only 8 % of the top 10")


def test_a_bar_leaves_its_counts_room() -> None:
    file = io.StringIO()
    console = Console(width=80, file=file)
    label = f"scoring with {'a-long-name-' * 9} on cuda:1"
    with TerminalObserver(console).task(label, 1_000_000, "pairs") as advance:
        advance(17)
    [line] = file.getvalue().splitlines()
    assert len(line) <= 80
    assert "cuda:1" in line
    assert "1000000/1000000 pairs" in line


def test_a_value_does_not_take_the_room_of_a_bar() -> None:
    """A training's dev value, in a terminal of 80 columns: counts and times stay whole."""
    file = io.StringIO()
    console = Console(width=80, file=file, force_terminal=True, color_system=None)
    observer = TerminalObserver(console)
    with observer.task("everyday-small: training", 30, "steps") as advance:
        advance(17)
        observer.value("loss 2.682, dev nDCG@10 0.4960")
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", file.getvalue()).replace("\r", "\n").splitlines()
    shown = [line.rstrip() for line in lines if line.strip()]
    assert max(map(len, shown)) <= 80
    bar, value = shown[-2:]
    assert re.search(r"everyday-small: training .* 30/30 steps 0:00:\d\d left 0:00:00$", bar)
    assert value == "loss 2.682, dev nDCG@10 0.4960"


def points_of(rows: Sequence[Row]) -> list[Point]:
    return points(rows, "nDCG@10", {row.trial.id: Mark(i) for i, row in enumerate(rows)})


@pytest.mark.parametrize("pairs", [(10, 10), (10, 7)])
def test_the_picture_shows_p95_and_milliseconds_a_pair(pairs: tuple[int, int]) -> None:
    rows = [
        made(name, timed("single", pairs=count)) for name, count in zip("ab", pairs, strict=True)
    ]
    axes = tradeoff._figure(rows, points_of(rows), "title").axes[0]
    label = "(log scale; points: median, bars: 95 % intervals, faint tick: p95)"
    assert axes.get_xlabel().endswith(label)
    [low] = {row.latency[Condition("single")].of(P50)[1] for row in rows}
    bars = [path.vertices for bar in axes.collections for path in bar.get_paths()]
    assert any(bar[0][0] == pytest.approx(low) for bar in bars), "the bar begins at the interval's"
    drawn = [float(line.get_xdata()[-1]) for line in axes.get_lines()]
    assert any(
        value == pytest.approx(rows[0].latency[Condition("single")].p95_ms) for value in drawn
    )
    seconds = [child for child in axes.child_axes if child.get_xlabel().startswith("ms per pair")]
    assert len(seconds) == (1 if pairs[0] == pairs[1] else 0), (
        "queries of several lengths have no one axis"
    )


def test_a_hosted_reranker_is_named_so_and_outside_the_pareto_front() -> None:
    ours, theirs = made("ours", timed("single")), made("theirs", timed("request", n=5, ms=1.0))
    worse = Estimate(mean=0.4, low=0.3, high=0.5, n=60)
    quick = replace(made("quick", timed("single", ms=10.0)), quality={"nDCG@10": worse})
    theirs = replace(theirs, trial=trial("theirs", device=None))
    rows = [ours, quick, theirs]
    axes = tradeoff._figure(rows, points_of(rows), "title").axes[0]
    front = next(line for line in axes.get_lines() if line.get_label() == "Pareto front")
    here = [row.latency[Condition("single")].p50_ms for row in (quick, ours)]
    assert list(front.get_xdata()) == here
    axes.figure.canvas.draw()
    legend = axes.get_legend()
    assert legend.get_window_extent().y1 < axes.get_window_extent().y0, "it covers no interval"
    assert {text.get_text() for text in legend.get_texts()} >= {
        "ours (cpu)",
        "theirs (request)",
    }


@pytest.mark.parametrize(
    ("references", "labels"),
    [
        ({"first-stage": 0.5, "oracle": 0.5}, ["first-stage, oracle"]),
        ({"first-stage": 0.5, "oracle": 0.51}, ["first-stage, oracle"]),
        ({"first-stage": 0.2, "oracle": 0.9}, ["first-stage", "oracle"]),
    ],
)
def test_references_close_to_one_another_share_a_label_in_the_picture(
    references: dict[str, float], labels: list[str]
) -> None:
    _, axes = style.new_figure("title")
    axes.set_ylim(0, 1)
    tradeoff._draw_references(axes, references)
    assert [text.get_text() for text in axes.texts] == labels


def test_a_call_of_several_queries_has_no_query_and_a_star_of_earlier_versions_is_none() -> None:
    rows = [
        Sample("t", "offline", turn, query, 40, None, 1_000_000_000)
        for turn, query in enumerate(["*", None])
    ]
    table = unpacked(pd.DataFrame(rows), {})
    assert table["query"].isna().tolist() == [True, True]
    (summary,) = summarise(table).values()
    assert (summary.queries, summary.pairs_per_s) == (1, 40.0)


def test_a_long_name_leaves_room_for_the_picture() -> None:
    fig, axes = style.new_figure("title")
    axes.plot([1, 2], [1, 2], label=f"first {'x' * 200} last")
    axes.plot([1, 2], [2, 1], label="two\nlines \U0001f680")
    style.legend_below(axes)
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert [len(label) for label in labels] == [style.LONGEST_NAME, 11]
    assert labels[0].startswith("first x")
    assert labels[0].endswith("x last")
    assert labels[1] == "two lines \U0001f680"
    # a warning would fail here
    assert style.image(fig, "png")
