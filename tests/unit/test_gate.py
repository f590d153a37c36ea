"""The gate: what passes, what fails, what is refused, and what cannot be compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.comparison.drift import drift
from bench.comparison.pairs import sides
from bench.core.errors import BenchError, RecordError
from bench.gate import Gate, Gates, Verdict, check, quality_of
from bench.gate.file import DriftGate
from bench.records.run import Run
from bench.reports import verdict as report
from bench.reports.renderers import render
from tests.support.made_gate_runs import NOISE, OLD, runs
from tests.support.made_runs import made_run

ORDER = [("d1", 9.0), ("d2", 7.0), ("d3", 4.0), ("d4", 2.0), ("d5", -1.0)]


def gate(found: Verdict, name: str = "quality nDCG@10") -> Gate:
    [one] = [one for one in found.gates if one.name == name]
    return one


@pytest.mark.parametrize(
    ("shift", "outcome", "code"),
    [(0.0, "pass", 0), (-0.03, "fail", 1), (-0.01, "inconclusive", 4), (0.2, "pass", 0)],
)
def test_a_verdict_and_its_exit_code(tmp_path: Path, shift: float, outcome: str, code: int) -> None:
    verdict = check(*runs(tmp_path, OLD + NOISE + shift))
    assert (verdict.outcome, verdict.exit_code) == (outcome, code)
    assert gate(verdict).numbers["difference"] == pytest.approx(shift)
    assert gate(verdict, "drift").decides is False


def test_inconclusive_counts_as_what_the_caller_says(tmp_path: Path) -> None:
    pair = runs(tmp_path, OLD + NOISE - 0.01)
    assert [check(*pair, inconclusive=one).exit_code for one in (None, "pass", "fail")] == [4, 0, 1]
    failing = runs(tmp_path / "failing", OLD + NOISE - 0.05)
    assert check(*failing, inconclusive="pass").exit_code == 1


def test_a_margin_below_what_the_queries_support_is_inconclusive_and_says_what_they_support(
    tmp_path: Path,
) -> None:
    pair = runs(tmp_path, (OLD + 5 * NOISE))
    found = check(*pair)
    assert (found.outcome, found.exit_code) == ("inconclusive", 4)
    assert gate(found).numbers["underpowered"]
    assert (
        f"200 queries support a margin of {gate(found).numbers['smallest_margin']:.4f} at least; "
        in gate(found).remark
    )
    assert (
        f"; {gate(found).numbers['queries_needed']:,} queries would support 0.01"
        in gate(found).remark
    )
    assert check(*pair, quality_of(margin=0.4)).outcome == "pass"


@pytest.mark.parametrize(("shift", "outcome"), [(-0.2, "fail"), (0.2, "pass")])
def test_a_shown_loss_or_gain_stands_whatever_the_power(
    tmp_path: Path, shift: float, outcome: str
) -> None:
    """Where the whole interval lies beyond the margin, or above zero, the verdict does not rest on
    the margin.
    """
    verdict = check(*runs(tmp_path, OLD + 5 * NOISE + shift))
    assert gate(verdict).numbers["underpowered"]
    assert verdict.outcome == outcome


def test_a_pass_that_the_bounds_prove_is_a_pass(tmp_path: Path) -> None:
    """Its lower bound lies between the margin and zero: the bound keeps its 5 % whatever the power,
    which is a matter of how often an unchanged reranker would pass.
    """
    verdict = check(*runs(tmp_path, OLD + 5 * NOISE + 0.01))
    assert -0.01 < gate(verdict).numbers["one_sided_low"] < 0
    assert (verdict.outcome, gate(verdict).numbers["underpowered"]) == ("pass", True)


def test_one_query_can_never_gate(tmp_path: Path) -> None:
    verdict = check(*runs(tmp_path, [0.5], old=[0.5]))
    assert verdict.exit_code == 4
    assert "one query supports no margin" in gate(verdict).remark


@pytest.mark.parametrize("margin", [0.0, -0.01, float("nan"), float("inf")])
def test_a_margin_is_a_positive_number(margin: float) -> None:
    with pytest.raises(BenchError, match="--margin"):
        quality_of(margin=margin)


def test_a_reranker_that_failed_in_the_new_run_fails_the_gate(tmp_path: Path) -> None:
    new = made_run(tmp_path, {"first-stage": OLD}, failed=["a"], name="new")
    old = made_run(tmp_path, {"first-stage": OLD, "a": OLD}, name="old")
    verdict = check(new, old)
    assert (verdict.outcome, [one.name for one in verdict.gates]) == ("fail", ["run"])
    assert "| a | run | fail | failed | runs |" in render(report.document(verdict), "markdown")
    assert "- a, run: no reason given" in render(report.document(verdict), "markdown")


def test_a_reranker_that_is_gone_is_told(tmp_path: Path) -> None:
    new = made_run(tmp_path, {"a": OLD}, rankings={"a": {"q0": ORDER}}, name="new")
    old = made_run(tmp_path, {"a": OLD, "b": OLD}, rankings={"a": {"q0": ORDER}}, name="old")
    allowed = check(new, old, Gates(missing="pass"))
    assert allowed.outcome == "pass"
    assert allowed.absent == ("tiny--bm25--b",)
    assert "tiny--bm25--b is in the baseline and not in the new run" in render(
        report.document(allowed), "markdown"
    )
    verdict = check(new, old)
    assert (verdict.outcome, gate(verdict, "run").trial.reranker) == ("fail", "b")
    assert "not checked" not in render(report.document(verdict), "markdown")
    third = made_run(tmp_path, {"c": OLD}, name="third")
    assert [one.remark for one in check(third, old).gates] == [
        "it is not in the new run: known: c"
    ] * 2
    with pytest.raises(RecordError, match="no reranker is in both"):
        check(third, old, Gates(missing="pass"))


def test_another_quality_key_is_incomparable_and_named(tmp_path: Path) -> None:
    pair = runs(tmp_path, OLD, quality={"candidates": "other"})
    verdict = check(*pair)
    assert (verdict.outcome, verdict.exit_code) == ("incomparable", 3)
    assert "they differ in candidates (abc → other)" in gate(verdict).remark
    assert check(*pair, Gates(across=("candidates",))).outcome == "pass"


def test_a_measure_that_one_run_lacks_is_an_error_and_those_of_both_are_gated(
    tmp_path: Path,
) -> None:
    old = made_run(tmp_path, {"a": OLD}, name="old")
    new = made_run(
        tmp_path,
        {"a": OLD},
        name="new",
        quality={"measures": ["nDCG@10", "R@20"]},
        more={"R@20": {"a": OLD}},
    )
    both = Gates(drift=None)
    assert check(new, old, both).outcome == check(old, new, both).outcome == "pass"
    asks = Gates.model_validate({"quality": {"R@20": 0.5}, "drift": None})
    with pytest.raises(BenchError, match=r"old: its records hold no R@20: known: nDCG@10"):
        check(new, old, asks)
    with pytest.raises(RecordError, match=r"a of .*old holds no R@20; both hold nDCG@10"):
        check(old, new, asks)


def test_a_shown_loss_outweighs_what_could_not_be_compared(tmp_path: Path) -> None:
    old = made_run(tmp_path, {"a": OLD, "b": OLD}, name="old")
    new = made_run(
        tmp_path,
        {"a": OLD - 0.4, "b": OLD},
        name="new",
        quality_of={"b": {"candidates": "other"}},
        systems={"a": {"v": 2}},
    )
    verdict = check(new, old)
    assert {one.trial.reranker: one.outcome for one in verdict.gates if one.decides} == {
        "a": "fail",
        "b": "incomparable",
    }
    assert verdict.exit_code == 1


def test_several_measures_have_margins_of_their_own(tmp_path: Path) -> None:
    old = made_run(tmp_path, {"a": OLD}, name="old", more={"RR@10": {"a": OLD}})
    new = made_run(
        tmp_path, {"a": OLD}, name="new", more={"RR@10": {"a": OLD - 0.05}}, systems={"a": {"v": 2}}
    )
    verdict = check(new, old, Gates(quality={"nDCG@10": 0.01, "RR@10": 0.02}))
    assert (gate(verdict).outcome, gate(verdict, "quality RR@10").outcome, verdict.outcome) == (
        "pass",
        "fail",
        "fail",
    )
    assert check(new, old, Gates(quality={"nDCG@10": 0.01, "rr@10": 0.1})).outcome == "pass"
    with pytest.raises(BenchError, match="did you mean 'RR@10'"):
        check(new, old, Gates(quality={"RR@1": 0.1}))


def test_a_check_that_asks_nothing_is_refused_and_one_that_shows_nothing_does_not_pass(
    tmp_path: Path,
) -> None:
    pair = runs(tmp_path, OLD)
    with pytest.raises(BenchError, match="asks nothing"):
        check(*pair, Gates(quality=None, drift=None))
    assert check(*pair, Gates(quality=None)).outcome == "incomparable"


# The deterministic gate


def same_system(
    tmp_path: Path, ranking: Any, dtype: str = "float32", new: Any = OLD
) -> tuple[Run, Run]:
    made = [
        made_run(
            tmp_path,
            {"a": values},
            systems={"a": {"dtype": dtype}},
            rankings={"a": order},
            name=name,
        )
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
        (shifted(0.02), "bfloat16+float32", "pass"),
        (shifted(0.02), "int8", "pass"),
        (shifted(0.02), "float32 of a 16-layer model", "fail"),
        (shifted(0.02), "uint16x", "fail"),
        (shifted(1.0), "bfloat16", "fail"),
        ([("d2", 7.001), ("d1", 7.0), *ORDER[2:]], "bfloat16", "fail"),
    ],
)
def test_the_same_weights_must_give_the_same_scores(
    tmp_path: Path, ranking: Any, dtype: str, outcome: str
) -> None:
    """Per-query quality is equal in every case: only the scores can tell."""
    verdict = check(*same_system(tmp_path, {"q0": ORDER, "q1": ranking}, dtype))
    assert gate(verdict).outcome == "pass"
    assert (gate(verdict, "drift").outcome, verdict.outcome) == (outcome, outcome)


def test_drift_is_measured_as_it_is(tmp_path: Path) -> None:
    turned = [("d5", 9.0), ("d4", 7.0), ("d3", 4.0), ("d2", 2.0), ("d1", -1.0)]
    new, old = same_system(tmp_path, {"q0": ORDER, "q1": turned})
    pair = [sides(run)[0] for run in (new, old)]
    difference = drift(pair[0], pair[1])
    assert (
        difference.queries,
        difference.unshared,
        difference.max_difference,
        difference.tau,
        difference.overlap,
    ) == (
        2,
        0,
        10.0,
        0.0,
        1.0,
    )


def test_near_ties_that_change_places_everywhere_are_drift(tmp_path: Path) -> None:
    """Scores within the tolerance may still mean another order: tau tells for all of it, overlap
    for what is shown.
    """
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
    for new, tau_kept, overlap_kept in (
        (turned, False, False),
        (window, True, False),
        (below, False, True),
    ):
        folder = tmp_path / f"{tau_kept}{overlap_kept}"
        made = [
            made_run(
                folder,
                {"a": OLD},
                systems={"a": {"dtype": "float32"}},
                rankings={"a": {"q0": order}},
                name=name,
            )
            for name, order in (("new", new), ("old", old))
        ]
        difference = drift(sides(made[0])[0], sides(made[1])[0])
        assert difference.max_difference <= difference.allowed
        assert (difference.tau >= 0.995, difference.overlap >= 0.99) == (tau_kept, overlap_kept)
        assert difference.is_within is False


def test_queries_that_one_run_did_not_rank_are_counted(tmp_path: Path) -> None:
    verdict = check(*same_system(tmp_path, {"q0": ORDER}))
    assert (
        gate(verdict, "drift").numbers["queries"],
        gate(verdict, "drift").numbers["unshared"],
    ) == (
        1,
        1,
    )
    assert "1 query ranked by one run only" in render(report.document(verdict), "markdown")


def test_a_ranking_that_is_gone_is_one_clear_error(tmp_path: Path) -> None:
    new, old = same_system(tmp_path, {"q0": ORDER})
    path = new.folder / "rankings" / "tiny--bm25--a.run.gz"
    path.unlink()
    with pytest.raises(BenchError, match=r"tiny--bm25--a\.run\.gz"):
        check(new, old)


def test_known_drift_fails_without_asking_for_power(tmp_path: Path) -> None:
    verdict = check(*same_system(tmp_path, {"q0": shifted(3.0), "q1": ORDER}, new=OLD + 5 * NOISE))
    assert verdict.outcome == "fail"


@pytest.mark.parametrize(
    ("was", "now", "across", "checked"),
    [
        ({"torch": "2.4.0"}, {"torch": "2.5.1"}, (), False),
        ({"torch": "2.4.0"}, {"torch": "2.5.1"}, ("versions",), True),
        ({"torch": "2.4.0"}, {"torch": "2.5.1"}, ("torch",), True),
        ({}, {"tokenizers": "0.23"}, ("versions",), True),
        ({"versions": {"theirs": "1.2"}}, {"versions": {"theirs": "1.3"}}, ("versions",), True),
        ({"server": "10.0.0.5"}, {"server": "10.0.0.6"}, ("versions",), False),
        ({"model": "2.1"}, {"model": "2.2"}, ("versions",), False),
        ({"revision": "1.0.0"}, {}, ("versions",), False),
        ({"max_length": 512}, {"max_length": 32}, ("versions",), False),
        ({"max_length": 512}, {"max_length": 32}, ("max_length",), True),
        (
            {"torch": "2.4.0", "revision": "abc"},
            {"torch": "2.5.1", "revision": "def"},
            ("versions",),
            False,
        ),
    ],
)
def test_drift_is_compared_across_what_the_user_allows(
    tmp_path: Path, was: Any, now: Any, across: tuple[str, ...], checked: bool
) -> None:
    """An upgraded library makes another system: the quality gate still runs, and drift is compared
    when asked for.
    """
    made = [
        made_run(
            tmp_path,
            {"a": OLD},
            systems={"a": {"dtype": "float32", **system}},
            rankings={"a": {"q0": order}},
            name=name,
        )
        for name, system, order in (("new", now, shifted(3.0)), ("old", was, ORDER))
    ]
    verdict = check(made[0], made[1], Gates(drift=DriftGate(across=across)))
    assert gate(verdict).outcome == "pass"
    drifted = gate(verdict, "drift")
    assert (drifted.outcome, drifted.decides) == (
        ("fail", True) if checked else ("incomparable", False)
    )
    assert all(name in drifted.remark for name in now if was.get(name) != now[name])
    required = check(made[0], made[1], Gates(drift=DriftGate(across=across, required=True)))
    assert required.exit_code == (1 if checked else 3)


def test_tolerances_may_be_given(tmp_path: Path) -> None:
    pair = same_system(tmp_path, {"q0": ORDER, "q1": shifted(0.5)})
    assert check(*pair).outcome == "fail"
    assert check(*pair, Gates(drift=DriftGate(score=0.1))).outcome == "pass"


# A real collection
