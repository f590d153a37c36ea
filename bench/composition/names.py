"""Names and numbers in the line of a pipeline, written so that they are read as the same again."""

from __future__ import annotations

import re

NUMBER = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[-+]?[0-9]+)?"
EITHER = " or "
"""Between the weights of the two halves of the queries."""
QUOTED = re.compile(r'"((?:[^"]|"")*)"')
_PLAIN = re.compile(r'[^\s>,"()](?:[^>,"()]*[^\s>,"()])?(?: ?\([^>,"()]*\))?')
_CALL = re.compile(r"(rrf|hybrid|blend|z-score|min-max|none|cut|skip)\s*\(.*\)|cut")
_HYBRID = re.compile(r"(hybrid|z-score|min-max|none)\(.*\)")
_ENDS = re.compile(rf".*(?:\s{NUMBER}|:\s*[0-9]+| each| (?:margin|top)_.*)")
"""What reads as something else than a part of the name."""


def quoted(name: str) -> str:
    """Return a name as a line has it: in double quotes where it would be read as anything else."""
    if _PLAIN.fullmatch(name) and not _CALL.fullmatch(name) and not _ENDS.fullmatch(name):
        return name
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def first_written(first: str) -> str:
    """Return the name of a first stage as a line has it: that of a hybrid is one already."""
    return first if _HYBRID.fullmatch(first) else quoted(first)


def number(value: float) -> str:
    """Return a number in the fewest digits that are read as the same number."""
    short = f"{value:g}"
    return short if float(short) == value else repr(float(value))


def weight(value: float, other: float) -> str:
    """Return the weights of the two halves of the queries: one number where they are the same."""
    if value == other:
        return number(value)
    return f"{number(value)}{EITHER}{number(other)}"
