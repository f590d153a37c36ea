"""The checks of a document as JUnit XML, which GitLab, Jenkins, CircleCI and others read.

JUnit has no schema of its own; elements and attributes are those that the consumers' documentation
names (https://docs.gitlab.com/ci/testing/unit_test_reports/).
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

from bench.core.errors import BenchError
from bench.reports.document import Check, Document

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
COUNTED = (("failures", "failure"), ("errors", "error"), ("skipped", "skipped"))
ELEMENTS = {"failed": "failure", "error": "error", "skipped": "skipped"}


def render(document: Document) -> str:
    """Return a test suite per group of checks, a test case per check. Raises BenchError for a
    document without checks.
    """
    checks = document.checks
    if checks is None:
        raise BenchError(f"{document.title}: there are no checks that JUnit could count")
    root = ElementTree.Element("testsuites", name=_clean(checks.name))
    suites: dict[str, ElementTree.Element] = {}
    for check in checks.items:
        suite = suites.get(check.suite)
        if suite is None:
            suite = ElementTree.SubElement(root, "testsuite", name=_clean(check.suite))
            suite.set("timestamp", checks.started)
            suites[check.suite] = suite
        _add_case(suite, check)
    if checks.notes:
        for suite in list(suites.values())[:1]:
            ElementTree.SubElement(suite, "system-out").text = _clean("\n".join(checks.notes))
    for suite in [root, *suites.values()]:
        suite.set("tests", str(len(suite.findall(".//testcase"))))
        for name, tag in COUNTED:
            suite.set(name, str(len(suite.findall(f".//{tag}"))))
    ElementTree.indent(root, " ")
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'


def _add_case(suite: ElementTree.Element, check: Check) -> None:
    case = ElementTree.SubElement(
        suite, "testcase", classname=_clean(check.suite), name=_clean(check.name), time="0"
    )
    text = _clean(check.text)
    if check.result == "passed":
        ElementTree.SubElement(case, "system-out").text = text
    elif check.result == "skipped":
        ElementTree.SubElement(case, "skipped", message=text)
    else:
        element = ElementTree.SubElement(case, ELEMENTS[check.result], message=text)
        element.set("type", check.outcome)
        element.text = text


def _clean(text: str) -> str:
    """Return text without the characters that XML 1.0 cannot carry."""
    return _NOT_XML.sub("\ufffd", text)
