"""Tables in a terminal: what fits is shown, what does not is named, and nothing of outside reaches
the terminal itself.
"""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest

from bench import reports
from bench.comparison import budgets, pairs
from bench.comparison.leaderboard import collect
from bench.core.errors import first_line
from bench.gate import check
from bench.records.run import Run
from bench.reports import (
    answerability,
    budget,
    cells,
    comparison,
    cut,
    leaderboard,
    probed,
    verdict,
)
from bench.reports.document import Column, Document, Row, Section, Table
from bench.reports.renderers import terminal
from bench.reports.renderers.columns import in_full
from bench.reports.renderers.screen import screen
from bench.reports.renderers.terminal import fitting, shortened
from tests.support.made_reports import Made, made_report

NAMES = {"a:x:": 1.0, "back\\": 0.3, "bell\x07\x1b[31m\u202e": 4.0}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    content = Made(
        noise=NAMES,
        datasets=("one", "two"),
        skipped={"gone": "no \x1b[2Jhub"},
        failures={"a:x:": {"q1": "down"}},
    )
    return made_report(tmp_path_factory.mktemp("made"), content)


def printed(run: Run, width: int, compare: bool = False) -> str:
    buffer = io.StringIO()
    if compare:
        document = comparison.document(pairs.compare([run], None, None, ()))
        terminal.show(document, screen(file=buffer, width=width))
    else:
        reports.show(run, screen(file=buffer, width=width))
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
    tables = [line for line in heads if "Δ" in line]
    assert tables
    assert all("failed" in line for line in tables), "who fails is always shown"
    assert "…" not in narrow.partition("Moved most")[0]


TABLES = {
    "probe": probed.COLUMNS,
    "calibrate --keep-recall": cut.COLUMNS,
    "compare": comparison.COLUMNS,
    "answerability": answerability.COLUMNS,
}


@pytest.mark.parametrize("command", TABLES)
def test_no_two_columns_have_one_title(command: str) -> None:
    """What is left out could not be told from what is there."""
    shown = in_full(Table("row", TABLES[command], [], ""))
    titles = [column.column.title for column in shown]
    assert len(titles) == len(set(titles)), titles


def test_intervals_of_several_columns_are_named_by_them() -> None:
    columns = [Column(key, key, interval="own", priority=0) for key in ("one", "two")]
    buffer = io.StringIO()
    section = Section("s", "", [Table("row", columns, [Row("a", {})], "")])
    terminal.show(Document("", [section]), screen(file=buffer, width=22))
    assert "at 22 columns: one 95 %, two 95 % left out" in " ".join(buffer.getvalue().split())


def test_columns_are_kept_by_importance_and_shown_in_their_order() -> None:
    columns = [Column("nDCG", "nDCG", priority=0), Column("95 %", "95 %", priority=5)]
    columns += [Column("RR", "RR", priority=2), Column("R", "R", priority=4)]
    widths = [8, 16, 8, 8]
    assert fitting(columns, widths, 57) == [0, 1, 2, 3]
    assert fitting(columns, widths, 27) == [0, 2, 3]
    assert fitting(columns, widths, 17) == [0, 2]
    assert fitting(columns, widths, 5) == [0], "the headline column is never left out"
    columns[2] = replace(columns[2], needed=True)
    assert fitting(columns, widths, 5) == [0, 2], "nor is one that the table needs"


def test_a_name_that_has_no_room_keeps_its_beginning_and_its_end() -> None:
    assert shortened("a-name", 6) == "a-name"
    assert shortened("a-very-long-name-of-a-reranker (cpu)", 16) == "a-very-l…r (cpu)"
    assert len(shortened("日本語リランカー", 9)) <= 9


def test_a_note_stands_under_its_table_and_once_where_it_holds_of_several(
    run: Run, tmp_path: Path
) -> None:
    made = made_report(
        tmp_path, Made(noise={"a": 1.0}, datasets=("one",), failures={"a": {"q1": "down"}})
    )
    assert printed(made, 140).count("a (cpu): 1 of 40 queries failed") == 1
    assert (
        printed(run, 140).count(
            "a:x: (cpu): 1 of 40 queries failed and score 0 (e.g. down) (in 2 tables)"
        )
        == 1
    )
    assert (
        reports.markdown(run).count("1 of 40 queries failed and score 0 (e.g. down) (in 2 tables)")
        == 1
    )


@pytest.mark.parametrize("width", [80, 120])
def test_no_row_wraps_and_what_is_left_out_is_named(tmp_path: Path, width: int) -> None:
    name = "b" * 30
    made = made_report(tmp_path, Made(noise={"a": 1.0, name: 2.0}, queries=60))
    lines = printed(made, width).splitlines()
    assert max(map(len, lines)) <= width
    rows = [line.split()[0] for line in lines if line.startswith(" ") and line.strip()]
    tables = rows.count("reranker")
    assert tables > 3
    assert rows.count(name) >= tables
    missing = [line for line in lines if line.startswith(f"at {width} columns: ")]
    assert missing
    assert all("nDCG@10" not in line for line in missing)


def test_a_long_name_takes_no_column_of_numbers_with_it(tmp_path: Path) -> None:
    made = made_report(tmp_path, Made(noise={"b" * 200: 2.0}, queries=5, timed=False))
    text = printed(made, 60)
    assert max(map(len, text.splitlines())) <= 60 or "95 %" not in text
    assert "nDCG@10" in text
    assert "b…b" in text


ODD = "[red]x[/red]\\"


@pytest.mark.parametrize("width", [80, 160])
def test_no_text_from_outside_is_parsed_as_markup(tmp_path: Path, width: int) -> None:
    made = made_report(tmp_path, Made(noise={ODD: 1.0, "b": 0.3}, datasets=("[bold]d[/]\\",)))
    buffer = io.StringIO()
    console = screen(file=buffer, width=width)
    reports.show(made, console)
    terminal.show(comparison.document(pairs.compare([made], None, None, ())), console)
    terminal.show(budget.document(budgets.budget(made, p50_ms=1e9)), console)
    terminal.show(leaderboard.document(collect(tmp_path)), console)
    terminal.show(verdict.terminal(check(made, made)), console)
    text = buffer.getvalue()
    assert text.count(f"{ODD} (cpu)") >= 3
    assert f"{ODD} (cpu): q" in text
    assert "[bold]d[/]\\, " in text
    assert text.count(ODD) >= 5


def test_a_name_of_several_lines_is_one_line_of_its_table() -> None:
    rows = [Row("a\nb", {"x": cells.count(1)}), Row("c\nd", {"x": cells.count(2)}, device="cpu")]
    table = Table("name", [Column("x", "x")], rows, "caption")
    text = terminal.render(Document("", [Section("s", "", [table])]))
    assert [line.split() for line in text.splitlines()[-2:]] == [
        ["a", "b", "1"],
        ["c", "d", "(cpu)", "2"],
    ]
