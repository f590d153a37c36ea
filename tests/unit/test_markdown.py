"""report.md as a merge-request comment: the verdict first, a table that fits, what is missing
named, the rest folded away.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import bench
from bench import reports
from bench.quality import statistics
from bench.quality.statistics import ALPHA
from bench.records.run import Run
from bench.reports import show
from bench.reports.document import absences, plain
from bench.reports.findings import findings
from bench.reports.printed_tables import plain as unescaped
from bench.reports.renderers.markdown import escape
from bench.reports.sections.reading import reading
from bench.reports.sections.results import DELTA, table
from bench.reports.sections.verdict import sentences
from bench.reports.view import View, absent_of
from tests.support.made_reports import Made, made_report
from tests.support.made_runs import made_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    content = Made(
        noise={"good": 0.3, "twin": 0.3, "poor": 40.0},
        skipped={"gone": "no model hub", "lost": "no model hub"},
        description="What *this* is.",
        queries=80,
    )
    return made_report(tmp_path_factory.mktemp("made"), content)


def told(run: Run) -> list[str]:
    lines = []
    for finding in findings(run, run.rows):
        lines.append(" ".join(plain(sentence) for sentence in sentences(finding)))
    return lines


def test_the_comment_begins_with_the_verdict_and_folds_the_rest(run: Run) -> None:
    page = reports.markdown(run)
    first, verdict, worth, heading, table, missing, *_ = page.split("\n\n")
    assert first == "## made-report"
    assert re.match(r"\*\*(good|twin) \(cpu\)\*\* ranks best on made", verdict)
    assert re.match(r"It helps \d+ % of the queries and hurts \d+ %; a point costs ", worth)
    assert heading == "### made, bm25, 20 candidates (80 queries)"
    assert missing == "- gone, lost skipped: no model hub"
    head, _, *lines = table.splitlines()
    assert head == "| reranker | nDCG@10 | Δ first | p | RR@10 | p50 ms | p95 ms | pairs/s |"
    assert len(lines) == 5
    assert sum("**" in line for line in lines) == 1, "one best value"
    assert page.count("<details>") == page.count("</details>") >= 3
    visible = re.sub(r"<details>.*?</details>", "", page, flags=re.DOTALL)
    assert max(map(len, visible.splitlines())) < 400
    assert "What \\*this\\* is." in visible


def test_the_fastest_of_those_that_tie_is_named(run: Run) -> None:
    [text] = told(run)
    [finding] = findings(run, run.rows)
    assert {row.name for row in finding.tied} == {"good", "twin"}
    times = {row.name: row.query_here.p50_ms for row in finding.tied if row.query_here}
    assert finding.fastest is not None
    assert times[finding.fastest.name] == min(times.values())
    assert f"{min(times.values()):.1f} ms per query (p50)" in text


def test_a_tie_agrees_with_the_comparison_command(run: Run) -> None:
    from bench.comparison.pairs import compare

    [finding] = findings(run, run.rows)
    assert finding.best is not None
    against = compare([run], baseline=finding.best.name)
    by_name = {one.new.trial.reranker: one.difference.p for one in against}
    assert by_name["poor"] < ALPHA
    assert all(by_name[row.name] >= ALPHA for row in finding.tied[1:])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.5, 0.6, 0.7, 0.6] * 6, "a (cpu) ranks best on tiny (bm25, 5 candidates)"),
        (
            [0.1, 0.2, 0.1, 0.2] * 6,
            "No reranker helps on tiny (bm25, 5 candidates): the best, a (cpu), is below the "
            "first stage",
        ),
        (
            [0.3, 0.5, 0.4, 0.4] * 6,
            "No reranker can be told from the first stage on tiny (bm25, 5 candidates): the "
            "best, a (cpu), has",
        ),
    ],
)
def test_the_verdict_says_what_the_difference_shows(
    tmp_path: Path, values: list[float], expected: str
) -> None:
    first = [0.4, 0.4, 0.4, 0.5] * 6
    delta = statistics.difference(values, first)
    run = made_run(
        tmp_path,
        {"first-stage": first, "a": values},
        record={"a": {"vs_first_stage": {"nDCG@10": delta}}},
    )
    [text] = told(run)
    assert text.startswith(expected)


FEW = {
    "first-stage": [0.8, 0.8, 0.8, 0.8, 0.9, 0.9],
    "a": [0.9, 0.9, 0.9, 0.9, 0.9, 0.9],
    "b": [0.9, 0.9, 0.9, 0.9, 0.9, 0.9],
    "untimed": [0.9, 0.9, 0.9, 0.9, 0.9, 0.9],
    "fast": [0.7, 0.9, 0.9, 0.9, 0.2, 0.3],
}


@pytest.mark.parametrize(
    ("count", "sentence"),
    [
        (1, "bad-0 (cpu) is worse than the first stage."),
        (2, "bad-0 (cpu) and bad-1 (cpu) are worse than the first stage."),
        (4, "4 rerankers are worse than the first stage."),
    ],
)
def test_the_verdict_names_who_is_worse_where_nobody_is_better(
    tmp_path: Path, count: int, sentence: str
) -> None:
    """The table marks them, so that the verdict cannot say that nothing is known of anyone."""
    first = [0.4, 0.4, 0.4, 0.5] * 6
    values = {"first-stage": first, "a": [0.3, 0.5, 0.4, 0.4] * 6}
    values |= {f"bad-{i}": [0.1, 0.2, 0.1, 0.2] * 6 for i in range(count)}
    record = {
        name: {"vs_first_stage": {"nDCG@10": statistics.difference(own, first)}}
        for name, own in values.items()
        if name != "first-stage"
    }
    run = made_run(tmp_path, values, record=record)
    [text] = told(run)
    where = "the first stage on tiny (bm25, 5 candidates): the best, a (cpu), has"
    assert text.startswith(f"No reranker is shown to be better than {where}")
    assert sentence in text
    view = View(run)
    rows = table(view, next(iter(view.groups)), "").rows
    assert [row.cell(DELTA).badge for row in rows].count("worse") == count
    assert "Latency is" not in str(reading(view).blocks), "nothing was timed"


def test_the_verdict_names_who_is_better_where_the_best_mean_is_not(tmp_path: Path) -> None:
    first = [0.4] * 24
    values = {"first-stage": first, "wild": [0.0, 1.0, 1.0, 0.0] * 6, "sure": [0.45] * 24}
    record = {
        name: {"vs_first_stage": {"nDCG@10": statistics.difference(values[name], first)}}
        for name in ("wild", "sure")
    }
    [text] = told(made_run(tmp_path, values, record=record))
    assert text.startswith("The best mean cannot be told from the first stage on tiny")
    assert "sure (cpu) is better than the first stage." in text


def test_ties_with_the_best_are_named_timed_or_not(tmp_path: Path) -> None:
    steps = [0.3, -0.28] * 12
    values = {"first-stage": [0.4] * 24, "a": [0.5] * 24, "b": [0.5 - step for step in steps]}
    values["c"] = [0.485 + step for step in steps]
    cases: dict[str, dict[str, list[float]]] = {"untimed": {}, "best alone": {"a": [4.0] * 24}}
    for name, times in cases.items():
        [text] = told(made_run(tmp_path / name, values, milliseconds=times))
        assert "b (cpu) and c (cpu) tie with the best." in text
    both = {"a": [1.0] * 24, "b": [4.0] * 24}
    [text] = told(made_run(tmp_path / "fastest", values, milliseconds=both))
    assert "a (cpu) is the fastest of the 2 that tie and were timed" in text
    assert "b (cpu) and c (cpu) tie with the best." in text
    del values["b"], values["c"]
    values["poor"] = [0.1] * 24
    [text] = told(made_run(tmp_path / "alone", values))
    assert "No other reranker ties with the best." in text


def test_a_percentile_of_too_few_queries_says_that_it_is_withheld(tmp_path: Path) -> None:
    values = {"first-stage": [0.4] * 24, "a": [0.5] * 24}
    run = made_run(tmp_path, values, milliseconds={"a": [4.0] * 24})
    view = View(run)
    [first, row] = table(view, next(iter(view.groups)), "").rows
    assert (first.cell("p95 ms").text, row.cell("p95 ms").text) == ("–", "withheld")
    assert "| withheld |" in reports.markdown(run)


def test_the_room_that_is_left_names_whose_it_is(tmp_path: Path) -> None:
    first = [0.4, 0.4, 0.4, 0.5] * 6
    values = {"first-stage": first, "a": [0.3, 0.5, 0.5, 0.5] * 6, "bad": [0.1, 0.2, 0.1, 0.2] * 6}
    record = {
        name: {"vs_first_stage": {"nDCG@10": statistics.difference(values[name], first)}}
        for name in ("a", "bad")
    }
    values["oracle"] = [0.8, 0.8, 0.8, 0.9] * 6
    [text] = told(made_run(tmp_path, values, record=record))
    room = "The best goes 6 % of the way from there to the best order of these candidates"
    assert f"bad (cpu) is worse than the first stage. {room}." in text


def few_queries(tmp_path: Path) -> Run:
    first = FEW["first-stage"]
    deltas = {name: statistics.difference(values, first) for name, values in FEW.items()}
    return made_run(
        tmp_path,
        FEW,
        record={name: {"vs_first_stage": {"nDCG@10": delta}} for name, delta in deltas.items()},
        milliseconds={"a": [4.0] * 6, "b": [3.0] * 6, "fast": [1.0] * 6},
    )


def test_nothing_is_offered_that_is_below_the_first_stage_or_that_too_few_queries_tell(
    tmp_path: Path,
) -> None:
    [text] = told(few_queries(tmp_path))
    assert "b (cpu), a (cpu) and untimed (cpu), have nDCG@10 0.9000" in text
    assert "6 queries, of which 4 move, are too few to tell: the smallest p they allow" in text
    assert "are too few to tell fast (cpu) from the best: the smallest p" in text
    assert "b (cpu) is the fastest of the 2 that tie and were timed: 3.00 ms" in text
    assert "Not timed: untimed (cpu)." in text
    assert "fast (cpu) is" not in text


def test_a_tie_below_the_first_stage_is_no_choice(tmp_path: Path) -> None:
    steps = [0.3, -0.28] * 12
    values = {"first-stage": [0.49] * 24, "a": [0.5] * 24, "b": [0.48 - step for step in steps]}
    times = {"a": [4.0] * 24, "b": [1.0] * 24}
    [finding] = findings(run := made_run(tmp_path, values, milliseconds=times), run.rows)
    assert [row.name for row in finding.tied] == ["a", "b"]
    assert [row.name for row in finding.choices] == ["a"]


def test_a_faster_choice_comes_with_the_loss_that_the_queries_can_rule_out(
    tmp_path: Path,
) -> None:
    steps = [0.3, -0.28] * 12
    values = {"first-stage": [0.4] * 24, "a": [0.5] * 24, "b": [0.5 - step for step in steps]}
    [text] = told(made_run(tmp_path, values, milliseconds={"a": [4.0] * 24, "b": [1.0] * 24}))
    assert "b (cpu) is the fastest that these queries cannot tell from the best: 1.00 ms" in text
    assert "24 queries are too few to rule out a loss of less than 0.2" in text
    assert "with the best" not in text, "the sentence on speed names it"


def test_an_interval_without_0_and_a_large_p_are_explained_once(tmp_path: Path) -> None:
    from bench.comparison.pairs import compare
    from bench.reports import comparison
    from bench.reports.renderers.markdown import render

    reason = "the fewer move, the more a bootstrap interval is too narrow"
    run = few_queries(tmp_path)
    for page in (reports.markdown(run), render(comparison.document(compare([run])))):
        assert page.count(reason) == 1
        [line] = [line for line in page.splitlines() if reason in line]
        assert "a (cpu), b (cpu), untimed (cpu):" in line
        assert "4 of 6 queries move" in line
    assert reports.html(run).count(reason) == 1


def test_a_busy_machine_and_an_untimed_row_are_noted_wherever_times_are_shown(
    tmp_path: Path,
) -> None:
    from bench.comparison.leaderboard import collect
    from bench.reports import leaderboard
    from bench.reports.exports import export
    from bench.reports.renderers.markdown import render

    busy = "other processes took 88% of the CPU during timing"
    values = {"first-stage": [0.4] * 24, "a": [0.6, 0.5] * 12, "overlap": [0.5, 0.4] * 12}
    facts = {"description": {"backend": "run-file", "facts": {"other_candidates": True}}}
    run = made_run(
        tmp_path / "results",
        values,
        milliseconds={"a": [4.0] * 24},
        record={"a": {"latency": {"disturbances": [busy], "notes": [busy]}}, "overlap": facts},
    )
    [text] = told(run)
    assert f"O{busy[1:]}." in text
    for page in (reports.markdown(run), reports.html(run)):
        assert "overlap (cpu): not timed: a reference" in page
        assert f"a (cpu): {busy}" in page
    assert [row["timing disturbed"] for row in json.loads(str(export(run, "json")))][1] == busy
    assert "88\\% of the CPU during timing" in str(export(run, "latex"))
    document = leaderboard.document(collect(tmp_path))
    page = render(document)
    assert f"a (cpu): {busy}" in page
    assert "overlap, not in the verdict" in page
    assert "overlap (cpu): a run over other candidates than these" in page
    entries = {entry["reranker"]: entry for entry in document.data[0]["entries"]}
    assert entries["a"]["disturbances"] == busy
    assert entries["overlap"]["out_of_verdict"].startswith("a run over other candidates")


def test_no_reranker_is_no_verdict(tmp_path: Path) -> None:
    run = made_run(tmp_path, {"first-stage": [0.1, 0.2]}, failed=["a"])
    assert told(run) == ["No reranker was measured on tiny (bm25, 5 candidates)."]
    assert absences(absent_of(run.rows)) == ["a (cpu) failed: no reason given"]
    assert "- a (cpu) failed: no reason given" in reports.markdown(run)


def test_collections_with_other_grades_have_their_own_measure_names(
    collection: Path, tmp_path: Path
) -> None:
    """RR@10 is RR(rel=2)@10 where grade 2 is relevant: one run may hold both."""
    from io import StringIO

    from rich.console import Console

    suite = {
        "name": "mixed",
        "datasets": [
            f"files:{collection}",
            {f"files:{collection}": {"min_relevance": 2, "name": "strict"}},
        ],
        "rerankers": [{"tests.support.fakes:HashReranker": {"name": "fake"}}],
        "measures": ["RR@10"],
        "latency": None,
    }
    run = bench.run(suite, out=tmp_path)
    page = (run.folder / "report.md").read_text()
    assert "| reranker | RR@10 |" in page
    assert "| reranker | RR(rel=2)@10 |" in page
    console = Console(file=StringIO(), width=140)
    show(run, console)
    assert "RR(rel=2)@10" in console.file.getvalue()  # type: ignore[attr-defined]
    assert "RR(rel=2)@10" in (run.folder / "report.html").read_text()


def test_the_verdict_says_where_the_candidates_leave_no_room_to_gain(tmp_path: Path) -> None:
    room = "leave no room to gain"
    values = {"first-stage": [0.5, 1.0, 0.5], "a": [0.5, 1.0, 0.4], "oracle": [0.5, 1.0, 0.5]}
    (without,) = told(made_run(tmp_path / "without", values))
    assert room in without
    (left,) = told(made_run(tmp_path / "left", {**values, "oracle": [0.6, 1.0, 0.5]}))
    assert room not in left


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("from $5 to $10", r"from \$5 to \$10"),
        ("$/1k queries", "$/1k queries"),
        ("a | $x$", r"a \| \$x\$"),
    ],
)
def test_what_lies_between_two_dollars_is_no_formula(text: str, written: str) -> None:
    assert escape(text) == written
    assert unescaped(written) == text
