"""Parity: how far two trials over the same candidates lie apart, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from bench.cli.main import main
from bench.comparison.parity import between_runs, sources, within_run
from bench.core.errors import BenchError, IncomparableError, RecordError
from bench.records.run import Run
from tests.support.made_runs import made_run

ORDER = [("d1", 9.0), ("d2", 7.0), ("d3", 4.0), ("d4", 2.0), ("d5", -1.0)]
SWAPPED = [("d2", 9.5), ("d1", 7.0), ("d3", 4.0), ("d4", 2.0), ("d5", -1.0)]
ONE = {"q0": ORDER, "q1": ORDER}
OTHER = {"q0": ORDER, "q1": SWAPPED}


def one_run(tmp_path: Path, **rankings: Any) -> Run:
    rankings = rankings or {"a": OTHER, "b": ONE}
    return made_run(tmp_path, {name: [0.5, 0.5] for name in rankings}, rankings=rankings)


def test_two_rerankers_of_one_run(tmp_path: Path) -> None:
    """One of ten pairs turned in one of two queries: tau 1 and 0.8. d2 moved by 2.5, d1 by 2."""
    (found,) = within_run(one_run(tmp_path), "a", "b")
    assert (found.new.trial.reranker, found.baseline.trial.reranker) == ("a", "b")
    assert (found.drift.queries, found.drift.max_difference, found.drift.overlap) == (2, 2.5, 1.0)
    assert found.drift.tau == pytest.approx(0.9)


def test_one_name_of_a_run_asks_for_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = one_run(tmp_path)
    monkeypatch.setattr(sys, "argv", ["rerank-bench", "parity", str(run.folder), "a"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert f"parity RUN A B: a is in {run.folder}; name what it is" in capsys.readouterr().err


def test_scores_from_the_cache_are_said_in_one_line_a_run(tmp_path: Path) -> None:
    cached = {"scores": {"cached": 2, "computed": 0}}
    run = made_run(
        tmp_path,
        {"a": [0.5, 0.5], "b": [0.5, 0.5]},
        rankings={"a": OTHER, "b": ONE},
        record={"a": cached, "b": cached},
    )
    (text,) = sources([*within_run(run, "a", "b"), *within_run(run, "b", "a")])
    assert text.startswith(f"run {run.info.id}: scores are older than the run")
    assert text.count("(2 of 2 queries)") == 2


def test_a_trial_id_names_a_trial(tmp_path: Path) -> None:
    (found,) = within_run(one_run(tmp_path), "tiny--bm25--b", "a")
    assert (found.new.trial.reranker, found.drift.max_difference) == ("b", 2.5)


def test_the_top_10_overlap_counts_what_is_shown(tmp_path: Path) -> None:
    long = [(f"d{i}", 100.0 - i) for i in range(20)]
    turned = [(f"d{19 - i}", 100.0 - i) for i in range(20)]
    shifted = [(f"d{(i + 5) % 20}", 100.0 - i) for i in range(20)]
    (found,) = within_run(
        one_run(tmp_path, a={"q0": turned, "q1": shifted}, b={"q0": long, "q1": long}), "a", "b"
    )
    assert found.drift.overlap == 0.25
    assert found.drift.max_difference == 19.0


def test_two_runs_are_matched_by_reranker(tmp_path: Path) -> None:
    new = made_run(
        tmp_path, {"a": [0.5, 0.5], "b": [0.5, 0.5]}, rankings={"a": OTHER, "b": ONE}, name="new"
    )
    old = made_run(
        tmp_path,
        {"b": [0.5, 0.5], "a": [0.5, 0.5]},
        rankings={"a": ONE, "b": {"q0": ORDER}},
        name="old",
    )
    found = {one.new.trial.reranker: one.drift for one in between_runs(new, old)}
    assert (found["a"].max_difference, found["b"].max_difference) == (2.5, 0.0)
    assert (found["b"].queries, found["b"].unshared) == (1, 1)


def test_another_measure_is_no_obstacle_but_other_candidates_are(tmp_path: Path) -> None:
    old = made_run(tmp_path, {"a": [0.5, 0.5]}, rankings={"a": ONE}, name="old")
    judged = made_run(
        tmp_path,
        {"a": [0.5, 0.5]},
        rankings={"a": ONE},
        quality={"measures": ["RR@10"]},
        name="judged",
    )
    assert between_runs(judged, old)[0].drift.max_difference == 0.0
    for field, value in (
        ("candidates", "xyz"),
        ("depth", 9),
        ("dataset", {"corpus": "c2", "qrels": "q1"}),
    ):
        other = made_run(
            tmp_path, {"a": [0.5, 0.5]}, rankings={"a": ONE}, quality={field: value}, name=field
        )
        with pytest.raises(IncomparableError, match=f"differ in {field}") as caught:
            between_runs(other, old)
        assert caught.value.exit_code == 3


def test_trials_without_a_query_in_common_are_incomparable(tmp_path: Path) -> None:
    with pytest.raises(IncomparableError, match="no ranked query in common"):
        within_run(one_run(tmp_path, a={"q0": ORDER}, b={"q1": ORDER}), "a", "b")


def test_names_that_lead_nowhere_are_told(tmp_path: Path) -> None:
    run = one_run(tmp_path, alpha=ONE, b=ONE)
    with pytest.raises(BenchError, match=r"no finished trial or reranker alfa: .*alpha"):
        within_run(run, "alfa", "b")
    with pytest.raises(RecordError, match="nothing to set side by side"):
        within_run(run, "b", "b")
    with pytest.raises(RecordError, match="no reranker is in both"):
        between_runs(run, made_run(tmp_path, {"c": [0.5]}, name="third"))


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = one_run(tmp_path)
    other = made_run(
        tmp_path, {"a": [0.5, 0.5]}, rankings={"a": ONE}, quality={"candidates": "x"}, name="other"
    )
    same = str(run.folder)
    for arguments, code, told in (
        (
            [same, "a", "b"],
            0,
            "2 queries: max |score difference| 2.5, mean tau 0.9000, mean top-10 overlap 1.000",
        ),
        (
            [same, same],
            0,
            "tiny--bm25--b against tiny--bm25--b, 2 queries: max |score difference| 0, mean tau "
            "1.0000",
        ),
        ([same, str(other.folder)], 3, "differ in candidates"),
        ([same, "a", "b", "c"], 2, "two runs, or one run and two of its trials"),
        ([same], 2, "Missing argument"),
    ):
        monkeypatch.setattr(sys, "argv", ["rerank-bench", "parity", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        shown = capsys.readouterr()
        assert left.value.code == code, shown
        assert told in shown.out + shown.err
