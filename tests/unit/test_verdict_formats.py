"""Verdicts as people and CI systems read them."""

from __future__ import annotations

import io
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console

from bench.cli.main import main
from bench.contract.trial import Trial
from bench.gate import Gate, Gates, Verdict, check
from bench.gate.verdict import Line
from bench.reports import verdict as report
from bench.reports.renderers import render, terminal
from tests.support.made_gate_runs import NOISE, OLD, runs
from tests.support.made_runs import made_run

TRIAL = Trial(
    id="t", dataset="d<a>", first_stage="bm25", reranker="évil\x01|%,:\n<b>", device="cpu", depth=5
)


NASTY = "50% lost\r\n::error::forged, <script>&amp; ]]> \x00"


@pytest.fixture
def mixed(tmp_path: Path) -> Verdict:
    """A gate of every outcome, with text that every format has to escape."""
    new, old = runs(tmp_path, OLD)
    gates = (
        Gate(
            TRIAL,
            "quality nDCG@10",
            "fail",
            "-0.1 [-0.2, -0.05]",
            "> -0.01",
            "50% lost\r\n::error::forged, <script>&amp; ]]> \x00",
            {"x": 1},
        ),
        Gate(TRIAL, "drift", "incomparable", "not checked", remark="another system", decides=False),
        Gate(TRIAL, "speed", "incomparable", limit="≤ 1.1x", remark="the speed keys differ"),
        Gate(TRIAL, "cost", "inconclusive"),
        Gate(TRIAL, "failures", "pass", "0 of 9", "none"),
    )
    return Verdict(new, old, gates, absent=("tiny--bm25--gone",))


def test_junit_is_well_formed_and_says_what_ci_needs(mixed: Verdict) -> None:
    root = ElementTree.fromstring(render(report.document(mixed), "junit"))
    assert {name: root.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "5",
        "failures": "1",
        "errors": "2",
        "skipped": "1",
    }
    [suite] = root.findall("testsuite")
    assert suite.get("tests") == "5"
    cases = {str(case.get("name")).rpartition(": ")[2]: case for case in suite.findall("testcase")}
    assert list(cases) == ["quality nDCG@10", "drift", "speed", "cost", "failures"]
    failure = cases["quality nDCG@10"].find("failure")
    assert failure is not None
    assert "<script>&amp; ]]> \ufffd" in str(failure.text)
    assert "found -0.1" in str(failure.get("message"))
    assert [child.tag for child in cases["failures"]] == ["system-out"]
    assert "évil\ufffd|%,:" in str(cases["drift"].get("name"))


@pytest.mark.parametrize(
    ("counts_as", "errors", "skipped", "failures"),
    [(None, 2, 1, 1), ("pass", 1, 2, 1), ("fail", 1, 1, 2)],
)
def test_junit_counts_what_is_inconclusive_as_the_exit_code_does(
    mixed: Verdict, counts_as: Any, errors: int, skipped: int, failures: int
) -> None:
    root = ElementTree.fromstring(
        render(report.document(replace(mixed, inconclusive=counts_as)), "junit")
    )
    assert [root.get(name) for name in ("errors", "skipped", "failures")] == [
        str(errors),
        str(skipped),
        str(failures),
    ]


def test_github_annotations_cannot_be_forged(
    mixed: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    lines = render(report.document(mixed), "github").split("\n")
    levels = [re.findall("^::([a-z]+) ", line) for line in lines]
    assert levels == [["error"], ["notice"], ["error"], ["warning"], ["error"]]
    assert lines[0].startswith(
        "::error title=évil\x01|%25%2C%3A%0A<b>%3A quality nDCG@10 fail::found -0.1 [-0.2, "
        "-0.05]; limit > -0.01; "
    )
    assert "50%25 lost%0D%0A::error::forged, <script>" in lines[0]
    assert "tiny--bm25--gone is not in the new run" in lines[-1]


def test_github_gets_the_markdown_for_its_summary(
    mixed: Verdict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    render(report.document(mixed), "github")
    assert summary.read_text() == "before\n" + render(report.document(mixed), "markdown")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    with pytest.raises(Exception, match=r"GITHUB_STEP_SUMMARY.*cannot be written"):
        render(report.document(mixed), "github")


def test_markdown_is_escaped_and_leads_with_what_did_not_pass(mixed: Verdict) -> None:
    page = render(report.document(mixed), "markdown")
    assert page.startswith(
        "## ❌ fail: made, 1 of 4 gates passed\n\nrun 20260101T000000Z-new against "
        "20260101T000000Z-old\n"
    )
    assert "<script>" not in page
    assert "\\<script\\>" in page
    assert page.index("quality nDCG@10") < page.index("0 of 9")
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 6 for row in rows)
    assert "tiny--bm25--gone is in the baseline and not in the new run" in page


def test_many_gates_that_passed_are_folded(tmp_path: Path) -> None:
    names = [f"r{i}" for i in range(14)]
    new, old = (made_run(tmp_path, dict.fromkeys(names, OLD), name=name) for name in ("new", "old"))
    page = render(report.document(check(new, old, Gates(drift=None))), "markdown")
    assert "<details><summary>14 gates passed</summary>\n\n| reranker" in page


@pytest.mark.parametrize("width", [80, 140])
def test_the_terminal_table_fits(tmp_path: Path, width: int) -> None:
    verdict = check(*runs(tmp_path, OLD + NOISE - 0.05))
    console = Console(width=width, record=True, file=io.StringIO())
    terminal.show(report.terminal(verdict), console)
    text = console.export_text()
    for expected in (
        "\na\n",
        "quality nDCG@10",
        "-0.0500 [-0.052",
        "> -0.01",
        "another system: v (1 → 2)",
        "fail: made",
    ):
        assert expected in text
    assert max(map(len, text.split("a, quality")[0].splitlines())) <= width


def test_the_numbers_of_drift_leave_room_for_their_limits(tmp_path: Path) -> None:
    """At 80 columns, next to each other, they did not: the limit was the column left out."""
    new, old = runs(tmp_path, OLD)
    answer = check(new, old, Gates(failures=0)).gates[0]
    lines = (
        Line("drift", "7,424", "≤ 0.0018"),
        Line("drift, tau", "0.934", "≥ 0.995"),
        Line("drift, top 10", "0.90", "≥ 0.99"),
    )
    drifted = replace(answer, name="drift", outcome="fail", lines=lines)
    console = Console(width=80, record=True, file=io.StringIO())
    terminal.show(report.terminal(Verdict(new, old, (answer, drifted))), console)
    text = console.export_text()
    assert "left out" not in text
    for line in lines:
        assert any(line.measured in row and line.limit in row for row in text.splitlines())


def test_what_was_found_stays_where_a_name_leaves_no_room_for_its_limit(tmp_path: Path) -> None:
    new, old = runs(tmp_path, OLD)
    answer = check(new, old).gates[0]
    named = replace(answer, name="quality nDCG@10, difficulty medium", outcome="inconclusive")
    console = Console(width=80, record=True, file=io.StringIO())
    terminal.show(report.terminal(Verdict(new, old, (named,))), console)
    assert named.measured in console.export_text()


def test_json_holds_every_number(tmp_path: Path) -> None:
    value = json.loads(render(report.document(check(*runs(tmp_path, OLD + NOISE - 0.05))), "json"))
    assert (value["outcome"], value["exit_code"]) == ("fail", 1)
    quality, drifted = value["gates"]
    assert quality["numbers"]["difference"] == pytest.approx(-0.05)
    assert quality["numbers"]["smallest_margin"] > 0
    assert (drifted["gate"], drifted["decides"]) == ("drift", False)


def test_one_query_is_valid_json(tmp_path: Path) -> None:
    verdict = check(*runs(tmp_path, [0.5], old=[0.5]))
    assert (
        json.loads(render(report.document(verdict), "json"))["gates"][0]["numbers"][
            "smallest_margin"
        ]
        is None
    )


def run_command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["rerank-bench", "check", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        main()
    assert isinstance(left.value.code, int)
    return left.value.code


def test_the_command_exits_as_documented(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    new, old = runs(tmp_path, OLD + NOISE - 0.01)
    failing, _ = runs(tmp_path / "failing", OLD + NOISE - 0.05)
    other, _ = runs(tmp_path / "other", OLD, quality={"candidates": "other"})
    noisy, _ = runs(tmp_path / "noisy", np.clip(OLD + 20 * np.roll(NOISE, 1), 0, 1))
    gates = tmp_path / "gates.yaml"
    gates.write_text("quality: 0.2")
    for folder, more, code in (
        (new.folder, [], 4),
        (new.folder, ["--inconclusive", "pass"], 0),
        (new.folder, ["--margin", "0.05"], 0),
        (new.folder, ["--gates", gates], 0),
        (new.folder, ["--gates", gates, "--margin", "0.1"], 2),
        (new.folder, ["--gates", tmp_path / "gone.yaml"], 2),
        (new.folder, ["--format", "xml"], 2),
        (new.folder, ["--format", "json:"], 2),
        (failing.folder, ["--format", "markdown"], 1),
        (other.folder, [], 3),
        (noisy.folder, [], 4),
        (noisy.folder, ["--accept-underpowered"], 4),
        (tmp_path / "nowhere", [], 2),
    ):
        assert run_command(monkeypatch, folder, "--baseline", old.folder, *more) == code, (
            folder,
            more,
            capsys.readouterr(),
        )
    assert "differ in candidates (abc → other)" in " ".join(capsys.readouterr().out.split())


def test_formats_go_where_they_are_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    new, old = runs(tmp_path, OLD + NOISE - 0.05)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    sent = [
        f"{form}:{tmp_path / 'sent' / form}"
        for form in ("table", "markdown", "json", "junit", "github")
    ]
    forms = [part for one in ("github", *sent) for part in ("--format", one)]
    assert run_command(monkeypatch, new.folder, "--baseline", old.folder, *forms) == 1
    printed = capsys.readouterr().out
    assert printed.startswith("::error title=a%3A quality nDCG@10 fail::")
    assert len(printed.splitlines()) == 3
    written = {path.name: path.read_text() for path in (tmp_path / "sent").iterdir()}
    assert written["github"] == printed
    assert written["markdown"].startswith("## ❌ fail")
    assert json.loads(written["json"])["exit_code"] == 1
    assert ElementTree.fromstring(written["junit"]).get("failures") == "1"
    assert "quality nDCG@10" in written["table"]
