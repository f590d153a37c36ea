"""The checks of a document as workflow commands of GitHub Actions.

Their form and escapes:
https://docs.github.com/actions/reference/workflow-commands-for-github-actions.
"""

from __future__ import annotations

import os
from pathlib import Path

from bench.core.errors import BenchError
from bench.reports.document import Document
from bench.reports.renderers import markdown

TOOL = "rerank-bench"


def render(document: Document) -> str:
    """Return an annotation for each check that is worth one, and one for the outcome. Where GitHub
    names a file for the job's summary, the document is appended to it as Markdown.

    Raises BenchError when that file cannot be written, and for a document without checks.
    """
    checks = document.checks
    if checks is None:
        raise BenchError(f"{document.title}: there are no checks that GitHub could show")
    if path := os.environ.get("GITHUB_STEP_SUMMARY"):
        try:
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(markdown.render(document))
        except OSError as error:
            reason = f"cannot be written: {error.strerror}"
            raise BenchError(f"GITHUB_STEP_SUMMARY: {path}: {reason}") from error
    lines = [
        _command(check.level, check.title, check.text) for check in checks.items if check.level
    ]
    lines += [_command("notice", TOOL, text) for text in checks.notes]
    return "\n".join([*lines, _command(checks.level, TOOL, checks.summary)])


def _command(level: str, title: str, message: str) -> str:
    safe = _escape(title).replace(":", "%3A").replace(",", "%2C")
    return f"::{level} title={safe}::{_escape(message)}"


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
