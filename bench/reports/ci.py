"""Verdicts as CI systems read them: JUnit XML (GitLab, Jenkins, CircleCI, ...) and the workflow
commands of GitHub Actions.

JUnit has no schema of its own; elements and attributes are those that the consumers' documentation
names (https://docs.gitlab.com/ci/testing/unit_test_reports/). Workflow commands and their escapes:
https://docs.github.com/actions/reference/workflow-commands-for-github-actions.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from xml.etree import ElementTree

from bench.core.errors import BenchError
from bench.gate.verdict import Gate, Verdict
from bench.reports import verdict as page

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_junit(verdict: Verdict) -> str:
    """A test suite per dataset and first stage, a test case per reranker and gate.

    A gate that fails is a failure, one that could not be compared or told is an error, and what has
    no say is skipped, as is an inconclusive gate that counts as passed.
    """
    root = ElementTree.Element(
        "testsuites", name=_clean(f"rerank-bench check {verdict.new.info.suite}")
    )
    suites: dict[str, ElementTree.Element] = {}
    for gate in verdict.gates:
        where = f"{verdict.new.info.suite}.{gate.trial.dataset}.{gate.trial.first_stage}"
        suite = suites.get(where)
        if suite is None:
            suite = suites[where] = ElementTree.SubElement(
                root, "testsuite", name=_clean(where), timestamp=verdict.new.info.started
            )
        _add_case(suite, gate, verdict, where)
    if verdict.notes:
        for suite in list(suites.values())[:1]:
            ElementTree.SubElement(suite, "system-out").text = _clean("\n".join(verdict.notes))
    for suite in [root, *suites.values()]:
        suite.set("tests", str(len(suite.findall(".//testcase"))))
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            suite.set(name, str(len(suite.findall(f".//{tag}"))))
    ElementTree.indent(root, " ")
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}'
    )


def to_github(verdict: Verdict) -> str:
    """An annotation for each gate that did not pass and one for the verdict. Where GitHub names a
    file for the job's summary, the Markdown is appended to it. Raises BenchError when that file
    cannot be written.
    """
    if path := os.environ.get("GITHUB_STEP_SUMMARY"):
        try:
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(page.to_markdown(verdict) + "\n")
        except OSError as error:
            raise BenchError(
                f"GITHUB_STEP_SUMMARY: {path}: cannot be written: {error.strerror}"
            ) from error
    lines = [_annotation(verdict, gate) for gate in verdict.gates if gate.outcome != "pass"]
    level = "notice" if verdict.exit_code == 0 else "error"
    lines += [_command("notice", "rerank-bench", text) for text in verdict.notes]
    return "\n".join(
        [
            *lines,
            _command(
                level,
                "rerank-bench",
                "; ".join([page.title(verdict), page.runs(verdict), *_absent(verdict)]),
            ),
        ]
    )


def _add_case(suite: ElementTree.Element, gate: Gate, verdict: Verdict, where: str) -> None:
    name = f"{page.label(gate.trial)}: {gate.name}"
    case = ElementTree.SubElement(
        suite, "testcase", classname=_clean(where), name=_clean(name), time="0"
    )
    text = _clean(_sentence(gate))
    counted = verdict.counted(gate.outcome)
    if not gate.decides or (gate.outcome != "pass" and counted == "pass"):
        ElementTree.SubElement(case, "skipped", message=text)
    elif counted != "pass":
        tag = "failure" if counted == "fail" else "error"
        ElementTree.SubElement(case, tag, type=gate.outcome, message=text).text = text
    else:
        ElementTree.SubElement(case, "system-out").text = text


def _annotation(verdict: Verdict, gate: Gate) -> str:
    counted = verdict.counted(gate.outcome)
    level = (
        "notice"
        if not gate.decides
        else "error"
        if counted in ("fail", "incomparable")
        else "warning"
    )
    return _command(
        level, f"{gate.trial.reranker}: {gate.name} {page.outcome(gate)}", _sentence(gate)
    )


def _sentence(gate: Gate) -> str:
    found = f"found {gate.found}" if gate.found else ""
    return "; ".join(
        part for part in (found, f"limit {gate.limit}" if gate.limit else "", gate.told) if part
    )


def _absent(verdict: Verdict) -> list[str]:
    return [f"{name} is not in the new run" for name in verdict.absent]


def _command(level: str, title: str, message: str) -> str:
    safe = _escape(title).replace(":", "%3A").replace(",", "%2C")
    return f"::{level} title={safe}::{_escape(message)}"


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _clean(text: str) -> str:
    """Without the characters that XML 1.0 cannot carry."""
    return _NOT_XML.sub("\ufffd", text)
