"""The choice inside a latency budget, on runs whose values and times a test chose."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import bench
from bench import reports
from bench.cli.main import main
from bench.comparison.budgets import Choice, budget, exit_code
from bench.contract.trial import System
from bench.core.errors import BenchError, RecordError
from bench.latency.sample import Sample
from bench.records.points import Point
from bench.records.run import Run
from bench.reports import budget as report
from bench.reports import plots
from bench.reports.charts import tradeoff as chart
from bench.reports.marks import marks_of
from bench.reports.renderers import render, terminal
from tests.support.made_runs import made_run

N = 80
RNG = np.random.default_rng(3)
BASE = RNG.random(N)
GOOD = np.clip(BASE + 0.2, 0, 1)
BETTER = np.clip(BASE + 0.3, 0, 1)


def steady(milliseconds: float, queries: int = N) -> list[float]:
    """Calls around a time, the slowest a tenth above it."""
    return list(np.linspace(0.9, 1.1, queries) * milliseconds)


def made(tmp_path: Path, **more: Any) -> Run:
    """Three rerankers at depth 5: a fast one, a better one, and one that is best and slow."""
    values = {
        "first-stage": BASE,
        "fast": GOOD,
        "better": BETTER,
        "slow": np.clip(BASE + 0.4, 0, 1),
    }
    times = {"fast": steady(20), "better": steady(80), "slow": steady(500)}
    return made_run(tmp_path, values, **{"milliseconds": times, **more})


def names(choice: Choice) -> tuple[str | None, str | None]:
    return _name(choice.best), _name(choice.runner_up)


def _name(point: Point | None) -> str | None:
    return point.trial.reranker if point else None


def only(found: list[Choice]) -> Choice:
    [choice] = found
    return choice


def test_a_notebook_shows_choices_as_tables(tmp_path: Path) -> None:
    found = bench.budget(made(tmp_path), p95_ms=100)
    (choice,) = found
    assert "better (cpu) over 5 candidates" in repr(found)
    assert repr(choice).startswith("<Choice: nDCG@10 within p95 ≤ 100 ms on ")
    assert repr(choice).endswith("; 2 fit, 1 too slow, 0 withheld>")
    assert len(repr(choice)) < 300
    shown = found._repr_html_()
    assert "better (cpu)" in shown
    assert "p95 ≤ 100 ms" in shown


def test_a_frame_has_a_row_per_point_with_its_verdict(tmp_path: Path) -> None:
    frame = bench.budget(made(tmp_path), p95_ms=100).to_frame()
    assert list(zip(frame["reranker"], frame["verdict"], strict=True)) == [
        ("better", "best"),
        ("fast", "runner-up"),
        ("slow", "too slow"),
    ]
    assert set(frame["measure"]) == {"nDCG@10"}
    rows = frame.set_index("reranker")
    assert rows["quality"]["better"] == pytest.approx(BETTER.mean())
    assert rows["p50_ms"]["fast"] == pytest.approx(20)
    assert "judged_by" not in frame.columns


def test_times_without_the_search_are_named_as_such(tmp_path: Path) -> None:
    """A pipeline's time has its search in it, a reranker's has not."""
    choice = only(bench.budget(made(tmp_path), p95_ms=100))
    without = "without the search by bm25, which comes on top"
    (sentence,) = [text for text in report.sentences(choice) if without in text]
    assert sentence == f"Times are {without}."
    timed = replace(choice, search_ms=2.5)
    assert f"{without} (p50 2.50 ms)." in " ".join(report.sentences(timed))
    assert choice.best is not None
    pipeline = replace(choice.best, searches=True)
    mixed = " ".join(report.sentences(replace(choice, best=pipeline)))
    assert "times of pipelines have their search in them, those of the other rows are" in mixed
    alone = replace(choice, best=pipeline, runner_up=None, fitting=(), too_slow=())
    assert without not in " ".join(report.sentences(alone))


def test_where_a_model_has_judged_the_frame_says_so(tmp_path: Path) -> None:
    judge = {"model": "grader-1", "prompt": "umbrela", "judged": 9, "judgments": 9}
    dataset = {"id": "tiny", "judge": judge}
    run = made(tmp_path, record={"better": {"dataset": dataset}})
    words = "9 of 9 judgments are by a model, grader-1"
    found = bench.budget(run, p95_ms=100)
    assert found.to_frame()["judged_by"].str.contains(words).all()
    assert words in found._repr_html_()


def test_what_is_just_beyond_the_limit_is_not_one_time_the_limit(tmp_path: Path) -> None:
    slow = made(
        tmp_path, milliseconds={"fast": steady(100.4), "better": steady(180), "slow": steady(500)}
    )
    told = repr(bench.budget(slow, p50_ms=100))
    assert "0.4 % over the limit" in told
    assert " 1 times" not in told


def test_the_best_that_fits_and_the_runner_up(tmp_path: Path) -> None:
    choice = only(bench.budget(made(tmp_path), p95_ms=100))
    assert names(choice) == ("better", "fast")
    assert choice.outcome == "fits"
    assert [point.trial.reranker for point in choice.too_slow] == ["slow"]
    assert choice.unlimited is not None
    assert choice.unlimited.trial.reranker == "slow"
    assert choice.difference is not None
    assert choice.difference.mean == pytest.approx(float((BETTER - GOOD).mean()))
    assert choice.difference.p < 0.001


@pytest.mark.parametrize(
    ("limit", "best"), [(1000, "slow"), (540, "better"), (40, "fast"), (10, None)]
)
def test_a_limit_holds_for_the_percentile_that_was_asked_for(
    tmp_path: Path, limit: float, best: str | None
) -> None:
    """`slow` has a median of 500 ms and a p95 of 545: inside a median limit of 540, outside the
    same limit on p95.
    """
    run = made(tmp_path)
    assert names(only(budget(run, p95_ms=limit)))[0] == best
    assert names(only(budget(run, p50_ms=540)))[0] == "slow"
    assert names(only(budget(run, p50_ms=540, p95_ms=100)))[0] == "better"


def test_when_nothing_fits_the_nearest_is_named(tmp_path: Path) -> None:
    choice = only(budget(made(tmp_path), p95_ms=5))
    assert choice.outcome == "nothing fits"
    assert [point.trial.reranker for point in choice.too_slow] == ["fast", "better", "slow"]
    assert exit_code([choice.outcome]) == 1
    [told] = [text for text in report.sentences(choice) if "nearest" in text]
    assert "fast (cpu) over 5 candidates" in told
    assert "4.4 times" in told


def test_a_withheld_p95_is_not_guessed(tmp_path: Path) -> None:
    run = made(tmp_path, milliseconds={"fast": steady(20, 30), "better": steady(80, 58)})
    choice = only(budget(run, p95_ms=100))
    assert choice.outcome == "withheld"
    assert exit_code([choice.outcome]) == 4
    text = " ".join(report.sentences(choice))
    assert "30 distinct queries were timed. Time 29 more (latency: {queries: 59})" in text
    assert "--p50-ms 100" in text
    assert names(only(budget(run, p50_ms=100))) == ("better", "fast")


def test_a_median_beyond_the_limit_needs_no_p95(tmp_path: Path) -> None:
    """p95 is no smaller than the median."""
    run = made(tmp_path, milliseconds={"fast": steady(20, 30), "slow": steady(500, 30)})
    choice = only(budget(run, p95_ms=100))
    assert (
        [p.trial.reranker for p in choice.withheld],
        [p.trial.reranker for p in choice.too_slow],
    ) == (["fast"], ["slow"])
    assert choice.outcome == "withheld", "fast may fit"
    assert not [text for text in report.sentences(choice) if "Nothing that was timed fits" in text]
    assert only(budget(run, p95_ms=10)).outcome == "nothing fits"


def test_a_service_is_marked_and_asked_for_more_queries_in_its_own_words(tmp_path: Path) -> None:
    rows = [
        Sample("tiny--bm25--api", "request", 0, f"q{i}", 5, None, 50_000_000) for i in range(20)
    ]
    run = made_run(tmp_path, {"first-stage": BASE, "api": GOOD}, devices={"api": "-"}, latency=rows)
    choice = only(budget(run, p95_ms=100))
    text = " ".join(report.sentences(choice))
    assert "request_queries: 59" in text
    assert "through a network" in text
    assert report.table(choice).rows[0].label == "apiʳ"
    assert only(budget(run, p50_ms=100)).outcome == "fits"


def test_who_was_not_timed_is_named_and_may_be_the_best_without_the_limit(tmp_path: Path) -> None:
    values = {"first-stage": BASE, "fast": GOOD, "overlap": BETTER}
    busy = "other processes took 88% of the CPU during timing"
    run = made_run(
        tmp_path,
        values,
        milliseconds={"fast": steady(20)},
        failed=["gone"],
        record={"fast": {"latency": {"disturbances": [busy]}}},
    )
    choice = only(budget(run, p95_ms=100))
    text = "\n".join(report.sentences(choice))
    assert "Not timed: overlap (cpu)." in text
    assert "gone (cpu) is not placed: failed" in text
    assert f"the best is overlap (cpu) with {BETTER.mean():.4f}; it was not timed." in text
    assert text.count(f"O{busy[1:]}.") == 1
    [data] = json.loads(render(report.document([choice]), "json"))
    assert data["untimed"] == ["overlap (cpu)", "gone (cpu)"]
    assert data["disturbances"] == [busy]


def test_a_runner_up_below_the_first_stage_that_few_queries_tell_is_said_to_be(
    tmp_path: Path,
) -> None:
    values = {"first-stage": [0.5] * 6, "good": [0.6] * 6, "poor": [0.6, 0.6, 0.1, 0.1, 0.1, 0.1]}
    times = {"good": [20.0] * 6, "poor": [10.0] * 6}
    choice = only(budget(made_run(tmp_path, values, milliseconds=times), p50_ms=100))
    text = "\n".join(report.sentences(choice))
    assert "6 queries, of which 4 move, are too few to tell: the smallest p they allow" in text
    assert "poor (cpu) is below the first stage." in text


def test_what_means_nothing_is_chosen_last(tmp_path: Path) -> None:
    random = {"lucky": {"description": {"facts": {"random_weights": True}}}}
    values = {"first-stage": BASE, "lucky": BETTER, "fast": GOOD}
    run = made_run(
        tmp_path, values, milliseconds={"lucky": steady(1), "fast": steady(20)}, record=random
    )
    assert names(only(budget(run, p95_ms=100))) == ("fast", None)
    alone = only(budget(run, p95_ms=10))
    assert names(alone) == ("lucky", None)
    assert [verdict for _, verdict in report.verdicts(alone)] == ["best", "too slow"]
    assert "It has random weights: the order means nothing" in " ".join(report.sentences(alone))


@pytest.mark.parametrize("milliseconds", [1, 400])
def test_what_means_nothing_is_not_compared_and_the_reason_is_given(
    tmp_path: Path, milliseconds: float
) -> None:
    """It neither fits nor is too slow, and no line of a chart goes through it."""
    stages = [{"name": "wired", "random_weights": True}]
    run = made_run(
        tmp_path,
        {"first-stage": BASE, "lucky": BETTER, "fast": GOOD, "slow": BETTER},
        milliseconds={"lucky": steady(milliseconds), "fast": steady(20), "slow": steady(300)},
        record={"lucky": {"description": {"facts": {"stages": stages}}}},
    )
    choice = only(budget(run, p95_ms=100))
    verdicts = [(point.trial.reranker, verdict) for point, verdict in report.verdicts(choice)]
    assert verdicts == [
        ("fast", "best"),
        ("slow", "too slow"),
        ("lucky", "not compared: random weights"),
    ]
    text = " ".join(report.sentences(choice))
    assert "ms) is not compared: wired: random weights: the order means nothing." in text
    assert "lucky" not in {point.trial.reranker for point in choice.fitting}
    members = run.rows
    points = chart.points(members, "nDCG@10", marks_of(run))
    assert "lucky (cpu), not in the verdict" in [point.name for point in points]
    assert [point.row.name for point in chart.pareto(points)] == ["fast", "slow"]
    assert "lucky (cpu), not in the verdict" in reports.html(run)


def test_one_point_is_no_front(tmp_path: Path) -> None:
    better_and_faster = {"first-stage": BASE, "better": BETTER, "slow": GOOD}
    times = {"better": steady(20), "slow": steady(300)}
    one = made_run(tmp_path / "one", better_and_faster, milliseconds=times)
    two = made(tmp_path / "two")
    for run, has_front in ((one, False), (two, True)):
        (path,) = plots.write(run, "pareto", tmp_path / run.folder.parent.parent.name, "svg")
        assert ("Pareto front" in path.read_text()) is has_front
        assert ("Pareto front</li>" in reports.html(run)) is has_front


def test_equal_quality_goes_to_the_faster_and_no_query_tells_them_apart(tmp_path: Path) -> None:
    run = made_run(
        tmp_path,
        {"first-stage": BASE, "a": GOOD, "b": GOOD},
        milliseconds={"a": steady(60), "b": steady(30)},
    )
    choice = only(budget(run, p95_ms=100))
    assert names(choice) == ("b", "a")
    assert choice.difference is not None
    assert choice.difference.p == 1.0
    assert "do not tell the two apart" in " ".join(report.sentences(choice))


def test_a_reranker_below_the_first_stage_is_told(tmp_path: Path) -> None:
    run = made_run(
        tmp_path,
        {"first-stage": BASE, "bad": BASE * 0.5, "worse": BASE * 0.4},
        milliseconds={"bad": steady(5), "worse": steady(5)},
    )
    text = " ".join(report.sentences(only(budget(run, p95_ms=10))))
    assert "worse (cpu) is below the first stage. bad (cpu) does not improve on" in text


def test_an_upper_end_beyond_the_limit_is_told(tmp_path: Path) -> None:
    times = [50.0] * 76 + [300.0] * 4
    run = made_run(tmp_path, {"first-stage": BASE, "a": GOOD}, milliseconds={"a": times})
    choice = only(budget(run, p95_ms=70))
    assert names(choice)[0] == "a"
    assert "interval of it reaches" in " ".join(report.sentences(choice))


def test_devices_are_chosen_among(tmp_path: Path) -> None:
    run = made(tmp_path, devices={"slow": "cuda:1", "fast": "cuda"})
    assert names(only(budget(run, p95_ms=1000, device="cuda"))) == ("slow", "fast")
    assert names(only(budget(run, p95_ms=1000, device="cuda:1"))) == ("slow", None)
    assert names(only(budget(run, p95_ms=1000, device="cpu"))) == ("better", None)
    with pytest.raises(
        BenchError,
        match="--device cude: nothing of that name was timed in this run: did you mean 'cuda'",
    ):
        budget(run, p95_ms=1000, device="cude")


def swept(tmp_path: Path, **more: Any) -> Run:
    """One reranker timed at depths 10, 50 and 100, batch sizes 8 and 32, and in bfloat16; scored at
    100, with a curve.
    """
    curve: dict[tuple[str | System, int], Any] = {
        ("a", depth): np.clip(BASE + gain, 0, 1)
        for depth, gain in ((10, 0.1), (20, 0.15), (50, 0.2), (75, 0.25), (100, 0.3))
    }
    curve[(System("a", "bfloat16"), 50)] = np.clip(BASE + 0.19, 0, 1)
    points: list[dict[str, Any]] = [
        {
            "reranker": "a",
            "depth": depth,
            "dtype": "float32",
            "batch_size": batch,
            "milliseconds": steady(depth * (1 + batch / 64)),
        }
        for depth in (10, 50, 100)
        for batch in (8, 32)
    ]
    points += [
        {
            "reranker": "a",
            "depth": depth,
            "dtype": dtype,
            "batch_size": 32,
            "changes": {"dtype": dtype},
            "milliseconds": steady(depth / 2),
        }
        for depth, dtype in ((50, "bfloat16"), (100, "float16"))
    ]
    values = {"first-stage": BASE, "a": curve["a", 100]}
    return made_run(
        tmp_path,
        values,
        depth=100,
        by_depth=curve,
        sweep=points,
        milliseconds={"a": steady(150)},
        **more,
    )


def test_a_sweep_is_searched_over_depths_batches_and_number_formats(tmp_path: Path) -> None:
    run = swept(tmp_path)
    choice = only(budget(run, p95_ms=65))
    best = choice.best
    assert best is not None
    assert (best.depth, best.settings["batch_size"], best.settings["dtype"]) == (50, 8, "float32")
    assert choice.runner_up is not None
    assert choice.runner_up.system.changes == ("bfloat16",)
    assert choice.runner_up.quality == pytest.approx(float(np.clip(BASE + 0.19, 0, 1).mean()))
    assert [point.system.changes for point in choice.unscored] == [("float16",)], (
        "a number format that nothing scored has no quality"
    )


def test_without_another_system_the_runner_up_is_another_depth(tmp_path: Path) -> None:
    choice = only(budget(swept(tmp_path), p95_ms=15))
    assert (choice.best and choice.best.depth, choice.runner_up) == (10, None)
    both = only(budget(swept(tmp_path / "b", systems={"a": {"v": 1}}), p95_ms=1000))
    assert both.best is not None
    assert both.best.depth == 100


def test_between_timed_depths_is_offered_as_interpolated_and_never_chosen(tmp_path: Path) -> None:
    choice = only(budget(swept(tmp_path), p95_ms=98))
    assert choice.best is not None
    assert (choice.best.depth, choice.best.between) == (50, None)
    assert choice.between is not None
    assert (choice.between.depth, choice.between.between) == (75, (50, 100))
    # The times of the depths on both sides are drawn.
    assert choice.between.p95_ms == pytest.approx(75 * 1.125 * 1.09, rel=0.01)
    assert all(point.between is None for point in choice.fitting)
    assert "Interpolated between the timed depths 50 and 100, not measured" in " ".join(
        report.sentences(choice)
    )
    assert ("interpolated", 75) in [
        (verdict, point.depth) for point, verdict in report.verdicts(choice)
    ]


def test_nothing_is_guessed_beyond_the_timed_depths(tmp_path: Path) -> None:
    """Depth 20 lies between 10 and 50, whereas nothing was timed below 10."""
    choice = only(budget(swept(tmp_path), p95_ms=25))
    assert choice.between is not None
    assert choice.between.depth == 20
    assert only(budget(swept(tmp_path / "b"), p95_ms=5)).between is None


def test_a_run_of_one_depth_says_what_a_sweep_would_add(tmp_path: Path) -> None:
    text = " ".join(report.sentences(only(budget(made(tmp_path), p95_ms=100))))
    assert "Only depth 5 was timed" in text
    assert "latency.sweep.depths" in text


def test_groups_are_answered_apart_and_can_be_named(tmp_path: Path) -> None:
    run = made(tmp_path, dataset="tiny", first_stage="bm25")
    assert len(budget(run, p95_ms=100, dataset="tiny", first_stage="bm25")) == 1
    with pytest.raises(BenchError, match="--dataset other"):
        budget(run, p95_ms=100, dataset="other")
    with pytest.raises(BenchError, match=r"--first-stage bm52: .* did you mean 'bm25'"):
        budget(run, p95_ms=100, first_stage="bm52")


@pytest.mark.parametrize("limits", [{}, {"p95_ms": 0}, {"p50_ms": float("nan")}])
def test_a_budget_needs_a_limit_above_zero(tmp_path: Path, limits: dict[str, float]) -> None:
    with pytest.raises(BenchError, match="limit"):
        budget(made(tmp_path), **limits)  # type: ignore[arg-type]


def test_a_run_without_timings_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no reranker of this run was timed"):
        budget(made_run(tmp_path, {"first-stage": BASE, "a": GOOD}), p95_ms=100)


def test_a_run_without_timings_names_the_timed_one_next_to_it(tmp_path: Path) -> None:
    timed = made(tmp_path, name="timed")
    untimed = made_run(tmp_path, {"first-stage": BASE, "a": GOOD}, name="untimed")
    with pytest.raises(RecordError) as raised:
        budget(untimed, p95_ms=100)
    assert str(timed.folder) in str(raised.value)


@pytest.mark.parametrize("width", [80, 140])
def test_the_table_fits_a_terminal(tmp_path: Path, width: int) -> None:
    buffer = io.StringIO()
    choices = budget(swept(tmp_path), p95_ms=98)
    console = Console(file=buffer, width=width, highlight=False)
    terminal.show(report.document(choices), console)
    assert max(map(len, buffer.getvalue().splitlines())) <= width
    for expected in ("best", "runner-up", "interpolated", "first-stage", "b8"):
        assert expected in buffer.getvalue()


def test_markdown_and_json_hold_the_same_points(tmp_path: Path) -> None:
    found = budget(swept(tmp_path), p95_ms=98)
    [data] = json.loads(render(report.document(found), "json"))
    page = render(report.document(found), "markdown")
    assert [point["verdict"] for point in data["points"]][:2] == ["best", "runner-up"]
    assert data["points"][0]["batch_size"] == 8
    assert page.count("\n|") == len(data["points"]) + 3, "a head, a line, and the first stage"
    assert data["outcome"] == "fits"


def test_the_command_answers_and_exits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = made(tmp_path)

    def command(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["rerank-bench", "budget", str(run.folder), *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        return int(stopped.value.code or 0)

    assert command("--p95-ms", "100") == 0
    assert "better (cpu) over 5 candidates" in capsys.readouterr().out.replace("\n", " ")
    assert command("--p95-ms", "5", "--format", "json") == 1
    assert json.loads(capsys.readouterr().out)[0]["outcome"] == "nothing fits"
    assert command() == 2
    assert "--p95-ms 100" in capsys.readouterr().err
