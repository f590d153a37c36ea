"""Tables in a terminal: what fits is shown, what does not is named, and nothing of outside reaches
the terminal itself.
"""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from bench.comparison import budgets, pairs
from bench.comparison.leaderboard import collect
from bench.core.errors import first_line
from bench.gate import check
from bench.records.run import Run
from bench.reports import budget, comparison, leaderboard, markdown, terminal, verdict
from bench.reports.fitting import fitting, leading, left_out
from bench.reports.screen import screen
from tests.support.made_reports import Made, made_report

NAMES = {"a:x:": 1.0, "back\\": 0.3, "bell\x07\x1b[31m\u202e": 4.0}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    made = Made(
        noise=NAMES,
        datasets=("one", "two"),
        skipped={"gone": "no \x1b[2Jhub"},
        failures={"a:x:": {"q1": "down"}},
    )
    return made_report(tmp_path_factory.mktemp("made"), made)


def printed(run: Run, width: int, compare: bool = False) -> str:
    buffer = io.StringIO()
    if compare:
        comparison.print_comparison(
            pairs.compare([run], None, None, ()), screen(file=buffer, width=width)
        )
    else:
        terminal.print_run(run, screen(file=buffer, width=width))
    return buffer.getvalue()


def test_names_are_printed_as_they_are_but_for_what_moves_the_cursor(run: Run) -> None:
    text = printed(run, 140)
    assert "a:x: (cpu)" in text
    assert "back\\ (cpu)" in text
    assert not set("\x07\x1b\u202e") & set(text)
    assert first_line(ValueError("\x1b[2Jgone\u202e")) == "ValueError: [2Jgone"


@pytest.mark.parametrize("compare", [False, True])
def test_a_narrow_terminal_leaves_out_columns_whole_and_names_them(run: Run, compare: bool) -> None:
    narrow, wide = printed(run, 80, compare), printed(run, 160, compare)
    assert "at 80 columns: " in narrow
    assert "left out" not in wide
    assert max(map(len, narrow.splitlines())) <= 80 or compare
    heads = [line for line in narrow.splitlines() if line.startswith(" reranker")]
    assert all("failed" in line for line in heads[:1]), "who fails is always shown"
    assert "…" not in narrow.partition("moved most")[0]


def test_columns_are_kept_by_importance_and_shown_in_their_order() -> None:
    widths = {"nDCG": 8, "95 %": 16, "RR": 8, "R": 8}
    assert fitting(widths, 80, 20, ["nDCG", "RR", "R"]) == ["nDCG", "95 %", "RR", "R"]
    assert fitting(widths, 50, 20, ["nDCG", "RR", "R"]) == ["nDCG", "RR", "R"]
    assert fitting(widths, 40, 20, ["nDCG", "RR", "R"]) == ["nDCG", "RR"]
    assert (
        left_out(widths, ["nDCG", "RR"], 40)
        == "at 40 columns: 95 %, R left out; a wider terminal shows more"
    )
    assert not left_out(widths, list(widths), 80)


def test_a_note_stands_under_its_table_and_once_where_it_holds_of_several(
    run: Run, tmp_path: Path
) -> None:
    made = made_report(
        tmp_path, Made(noise={"a": 1.0}, datasets=("one",), failures={"a": {"q1": "down"}})
    )
    assert printed(made, 140).count("a: 1 of 40 queries failed") == 1
    assert (
        printed(run, 140).count(
            "a:x:: 1 of 40 queries failed and score 0 (e.g. down) (in 2 tables)"
        )
        == 1
    )
    assert (
        markdown.report(run).count("1 of 40 queries failed and score 0 (e.g. down) (in 2 tables)")
        == 1
    )


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_of_timings_wraps_no_cell_and_names_what_it_leaves_out(
    tmp_path: Path, width: int
) -> None:
    made = made_report(tmp_path, Made(noise={"a": 1.0, "b" * 30: 2.0}, queries=60))
    lines = printed(made, width).splitlines()
    assert max(map(len, lines)) <= width
    start = next(i for i, line in enumerate(lines) if "scenario" in line)
    shown = lines[start].split()
    table = [line for line in lines[start + 2 :] if line.strip()]
    rows = table[: next(i for i, line in enumerate(table) if "left out" in line)]
    assert [line.split()[0] for line in rows] == ["a"] * 5 + ["b" * 30] * 5
    missing = table[len(rows)]
    assert missing.startswith(f"at {width} columns: ")
    assert "pairs/s" in missing
    assert "pairs/s" not in shown


def test_leading_columns_end_at_the_first_that_does_not_fit() -> None:
    widths = {"scenario": 10, "p50 ms": 20, "p95 ms": 20, "n": 3}
    assert leading(widths, 100, 20) == list(widths)
    assert leading(widths, 60, 20) == ["scenario", "p50 ms"]
    assert leading(widths, 62, 90) == ["scenario"], "a long name folds at half of the width"


ODD = "[red]x[/red]\\"


@pytest.mark.parametrize("width", [80, 160])
def test_no_text_from_outside_is_parsed_as_markup(tmp_path: Path, width: int) -> None:
    made = made_report(tmp_path, Made(noise={ODD: 1.0, "b": 0.3}, datasets=("[bold]d[/]\\",)))
    buffer = io.StringIO()
    console = screen(file=buffer, width=width)
    terminal.print_run(made, console)
    comparison.print_comparison(pairs.compare([made], None, None, ()), console)
    budget.print_budget(budgets.budget(made, p50_ms=1e9), console)
    leaderboard.print_board(collect(tmp_path), console)
    verdict.print_verdict(check(made, made), console)
    text = buffer.getvalue()
    assert text.count(f"{ODD} (cpu)") >= 3
    assert f"{ODD} (cpu) moved most:" in text
    assert "[bold]d[/]\\, " in text
    assert text.count(ODD) >= 5
