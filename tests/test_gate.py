"""The gate: what passes, what fails, what is refused, and how often it is wrong."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from bench.cli import main
from bench.compare import sides
from bench.errors import BenchError, IncomparableError, RecordError
from bench.gate import check, drift, non_inferiority
from bench.measure.stats import POWER_FACTOR
from bench.records.store import Run
from bench.reports import verdict as report
from tests.made_runs import made_run
from tests.test_compare import dl19 as dl19

RNG = np.random.default_rng(5)
OLD = RNG.random(200)
NOISE = RNG.normal(0, 0.02, 200)
NOISE -= NOISE.mean()
ORDER = [("d1", 9.0), ("d2", 7.0), ("d3", 4.0), ("d4", 2.0), ("d5", -1.0)]


def runs(tmp_path: Path, new: Any, old: Any = OLD, **more: Any) -> tuple[Run, Run]:
    """(new, baseline) with one reranker `a`, whose system keys differ unless told otherwise."""
    systems = more.pop("systems", ({"a": {"v": 2}}, {"a": {"v": 1}}))
    return (
        made_run(tmp_path, {"first-stage": old, "a": new}, systems=systems[0], name="new", **more),
        made_run(tmp_path, {"first-stage": old, "a": old}, systems=systems[1], name="old"),
    )


@pytest.mark.parametrize(("shift", "outcome", "code"), [(0.0, "pass", 0), (-0.03, "fail", 1), (-0.01, "inconclusive", 4), (0.2, "pass", 0)])
def test_a_verdict_and_its_exit_code(tmp_path: Path, shift: float, outcome: str, code: int) -> None:
    found = check(*runs(tmp_path, OLD + NOISE + shift), margin=0.01)
    assert (found.outcome, found.exit_code()) == (outcome, code)
    assert found.checks[0].drift is None


def test_inconclusive_counts_as_what_the_caller_says(tmp_path: Path) -> None:
    found = check(*runs(tmp_path, OLD + NOISE - 0.01))
    assert [found.exit_code(), found.exit_code("pass"), found.exit_code("fail")] == [4, 0, 1]
    failing = check(*runs(tmp_path / "failing", OLD + NOISE - 0.05))
    assert failing.exit_code("pass") == 1


def test_a_margin_below_the_detectable_effect_is_refused_unless_accepted(tmp_path: Path) -> None:
    pair = runs(tmp_path, (OLD + 20 * NOISE))
    with pytest.raises(BenchError, match=r"margin 0\.01 is below the minimum detectable effect.*--accept-underpowered") as caught:
        check(*pair)
    assert caught.value.exit_code == 2
    assert "200 queries detect 0.0" in str(caught.value)
    found = check(*pair, accept_underpowered=True)
    assert found.outcome == "inconclusive"
    assert found.checks[0].underpowered
    assert check(*pair, margin=0.5).outcome == "pass"


def test_one_query_can_never_gate(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="one query tells nothing"):
        check(*runs(tmp_path, [0.5], old=[0.5]))


@pytest.mark.parametrize("margin", [0.0, -0.01, float("nan"), float("inf")])
def test_a_margin_is_a_positive_number(tmp_path: Path, margin: float) -> None:
    with pytest.raises(BenchError, match="--margin"):
        check(*runs(tmp_path, OLD), margin=margin)


def test_a_reranker_that_failed_in_the_new_run_fails_the_gate(tmp_path: Path) -> None:
    new = made_run(tmp_path, {"first-stage": OLD}, failed=["a"], name="new")
    old = made_run(tmp_path, {"first-stage": OLD, "a": OLD}, name="old")
    found = check(new, old)
    assert (found.outcome, found.checks) == ("fail", ())
    assert "made--" not in report.to_markdown(found)
    assert "tiny--bm25--a failed in the new run" in report.to_markdown(found)


def test_a_reranker_that_is_gone_is_told(tmp_path: Path) -> None:
    new = made_run(tmp_path, {"a": OLD}, rankings={"a": {"q0": ORDER}}, name="new")
    old = made_run(tmp_path, {"a": OLD, "b": OLD}, rankings={"a": {"q0": ORDER}}, name="old")
    found = check(new, old)
    assert found.outcome == "pass"
    assert found.absent == ("tiny--bm25--b",)
    assert "tiny--bm25--b is in the baseline and not in the new run" in report.to_markdown(found)
    with pytest.raises(RecordError, match="no reranker is in both"):
        check(made_run(tmp_path, {"c": OLD}, name="third"), old)


def test_another_quality_key_is_incomparable(tmp_path: Path) -> None:
    with pytest.raises(IncomparableError, match="differ in candidates;"):
        check(*runs(tmp_path, OLD, quality={"candidates": "other"}))


# The deterministic gate


def same_system(tmp_path: Path, ranking: Any, dtype: str = "float32", new: Any = OLD) -> tuple[Run, Run]:
    made = [
        made_run(tmp_path, {"a": values}, systems={"a": {"dtype": dtype}}, rankings={"a": order}, name=name)
        for name, values, order in (("new", new, ranking), ("old", OLD, {"q0": ORDER, "q1": ORDER}))
    ]
    return made[0], made[1]


def shifted(by: float) -> list[tuple[str, float]]:
    return [(doc, score + by) for doc, score in ORDER]


@pytest.mark.parametrize(
    ("ranking", "dtype", "outcome"),
    [
        (ORDER, "float32", "pass"),
        (shifted(0.005), "float32", "pass"),
        (shifted(0.02), "float32", "fail"),
        (shifted(0.02), "bfloat16", "pass"),
        (shifted(1.0), "bfloat16", "fail"),
        ([("d2", 7.001), ("d1", 7.0), *ORDER[2:]], "bfloat16", "fail"),
    ],
)
def test_the_same_weights_must_give_the_same_scores(tmp_path: Path, ranking: Any, dtype: str, outcome: str) -> None:
    """Per-query quality is equal in every case: only the scores can tell."""
    found = check(*same_system(tmp_path, {"q0": ORDER, "q1": ranking}, dtype))
    assert found.checks[0].quality == "pass"
    assert found.outcome == outcome


def test_drift_is_measured_as_it_is(tmp_path: Path) -> None:
    turned = [("d5", 9.0), ("d4", 7.0), ("d3", 4.0), ("d2", 2.0), ("d1", -1.0)]
    new, old = same_system(tmp_path, {"q0": ORDER, "q1": turned})
    pair = [sides(run)[0] for run in (new, old)]
    found = drift(*pair)
    assert (found.queries, found.unshared, found.max_difference, found.tau, found.overlap) == (2, 0, 10.0, 0.0, 1.0)


def test_near_ties_that_change_places_everywhere_are_drift(tmp_path: Path) -> None:
    """Scores within the tolerance may still mean another order: tau tells for all of it, overlap for what is shown."""
    n = 400
    old = [("d0", 10.0), *((f"d{i}", 1.0 - i * 1e-6) for i in range(1, n))]
    turned = [("d0", 10.0), *((f"d{n - i}", 1.0 - i * 1e-6) for i in range(1, n))]
    window = [
        *old[:6],
        *((old[i + 4][0], old[i][1]) for i in range(6, 10)),
        *((old[i - 4][0], old[i][1]) for i in range(10, 14)),
        *old[14:],
    ]
    below = [*old[:10], *((old[n + 9 - i][0], old[i][1]) for i in range(10, n))]
    for new, tau_kept, overlap_kept in ((turned, False, False), (window, True, False), (below, False, True)):
        folder = tmp_path / f"{tau_kept}{overlap_kept}"
        made = [
            made_run(folder, {"a": OLD}, systems={"a": {"dtype": "float32"}}, rankings={"a": {"q0": order}}, name=name)
            for name, order in (("new", new), ("old", old))
        ]
        found = drift(*(sides(run)[0] for run in made))
        assert found.max_difference <= found.allowed
        assert (found.tau >= 0.995, found.overlap >= 0.99) == (tau_kept, overlap_kept)
        assert found.outcome == "fail"


def test_queries_that_one_run_did_not_rank_are_counted(tmp_path: Path) -> None:
    found = check(*same_system(tmp_path, {"q0": ORDER}))
    assert found.checks[0].drift is not None
    assert (found.checks[0].drift.queries, found.checks[0].drift.unshared) == (1, 1)
    assert "1 queries were ranked by one run only" in report.to_markdown(found)


def test_a_ranking_that_is_gone_is_one_clear_error(tmp_path: Path) -> None:
    new, old = same_system(tmp_path, {"q0": ORDER})
    path = new.folder / "rankings" / "tiny--bm25--a.run.gz"
    path.unlink()
    with pytest.raises(BenchError, match=r"tiny--bm25--a\.run\.gz"):
        check(new, old)


def test_known_drift_fails_without_asking_for_power(tmp_path: Path) -> None:
    found = check(*same_system(tmp_path, {"q0": shifted(3.0), "q1": ORDER}, new=OLD + 20 * NOISE))
    assert found.outcome == "fail"


# How often the quality gate is wrong: differences as rerankers have them, half of the queries unmoved, the others with heavy tails

SD, N, GATES = 0.1, 49, 1000
DETECTABLE = POWER_FACTOR * SD / N**0.5


def simulated(shift: float, seed: int) -> Any:
    """Differences of GATES simulated pairs of runs, mean `shift`, standard deviation SD. Shape: (GATES, N)."""
    rng = np.random.default_rng(seed)
    moved = rng.random((GATES, N)) < 0.5
    return moved * rng.laplace(0, SD, (GATES, N)) + shift


def outcomes(shift: float, margin: float, seed: int = 1) -> dict[str, float]:
    drawn = simulated(shift, seed)
    assert drawn.std() == pytest.approx(SD, rel=0.03)
    told = [non_inferiority(row, margin, seed=i, resamples=500)[2] for i, row in enumerate(drawn)]
    return {name: told.count(name) / GATES for name in ("pass", "fail", "inconclusive")}


def test_two_equal_rerankers_fail_the_gate_in_at_most_5_of_100_cases() -> None:
    assert outcomes(0.0, DETECTABLE)["fail"] <= 0.05


def test_a_drop_of_twice_the_margin_is_caught() -> None:
    """It does not pass. To *fail* outright rather than be inconclusive is another matter: a margin of 2.8 standard errors leaves
    2.8 - 1.645 = 1.155 of them, which is 88 cases of 100 for normal differences, some 86 for these. 95 of 100 take a margin of
    2 * 1.645 = 3.29 standard errors with normal differences, and some 3.7 with these tails."""
    found = outcomes(-2 * DETECTABLE, DETECTABLE)
    assert found["pass"] <= 0.001
    assert 0.82 <= found["fail"] <= 0.92
    margin = 3.7 / POWER_FACTOR * DETECTABLE
    assert outcomes(-2 * margin, margin)["fail"] >= 0.95


def test_a_loss_of_the_margin_passes_in_about_5_of_100_cases() -> None:
    """The error that non-inferiority bounds. The percentile bootstrap is narrow at 49 queries: some 7 of 100 with these tails."""
    assert 0.03 <= outcomes(-DETECTABLE, DETECTABLE)["pass"] <= 0.09


# Formats and the command


def test_every_format_says_the_same(tmp_path: Path) -> None:
    found = check(*runs(tmp_path, OLD + NOISE - 0.05))
    assert json.loads(report.to_json(found))["outcome"] == "fail"
    assert "## fail: nDCG@10" in report.to_markdown(found)
    console = Console(width=80, record=True, file=io.StringIO())
    report.print_verdict(found, console)
    text = console.export_text()
    assert "-0.0500" in text
    assert "tau" in text
    assert max(map(len, text.split("fail: ")[0].splitlines())) <= 80
    assert "fail: nDCG@10" in text


def test_the_command_exits_as_documented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    new, old = runs(tmp_path, OLD + NOISE - 0.01)
    failing, _ = runs(tmp_path / "failing", OLD + NOISE - 0.05)
    other, _ = runs(tmp_path / "other", OLD, quality={"candidates": "other"})
    for folder, more, code in (
        (old.folder, ["--format", "json", "--accept-underpowered"], 2),
        (new.folder, [], 4),
        (new.folder, ["--inconclusive", "pass"], 0),
        (failing.folder, ["--format", "markdown"], 1),
        (other.folder, [], 3),
        (tmp_path / "nowhere", [], 2),
    ):
        monkeypatch.setattr(sys, "argv", ["rerank-bench", "check", str(folder), "--baseline", str(old.folder), *more])
        with pytest.raises(SystemExit) as left:
            main()
        assert left.value.code == code, capsys.readouterr()
    assert "differ in candidates" in capsys.readouterr().err


def test_rankvicuna_against_itself_passes_with_no_difference(dl19: Any) -> None:
    run = dl19("bm25-top100")
    found = check(run, Run(run.folder))
    (one,) = found.checks
    assert found.exit_code() == 0
    assert (one.comparison.difference.mean, one.low, one.high) == (0.0, 0.0, 0.0)
    assert one.drift is not None
    assert (one.drift.max_difference, one.drift.tau, one.drift.overlap) == (0.0, 1.0, 1.0)


def test_a_run_over_other_candidates_is_incomparable(dl19: Any) -> None:
    with pytest.raises(IncomparableError, match="they differ in candidates;") as caught:
        check(dl19("spladepp-ed-top100"), dl19("bm25-top100"))
    assert caught.value.exit_code == 3
