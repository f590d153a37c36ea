"""Grades of what a file calls its judgments: whole numbers, as TREC tools count them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping

Label = str | int | float
"""A number, or a word that is none. Numbers that are equal are one label: 2, "2" and "2.0"."""
Grades = Mapping[Label, int]
"""The `grades` option of a dataset: label -> grade."""

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
BEYOND = 1_000_000_000
"""Grades are smaller in size: trec_eval and its bindings keep them in 32 bits."""


class GradeProblem(ValueError):
    """A label that is no grade; the message ends in the fix."""


def label(value: object) -> Label:
    """Return the label that a cell holds. Raises GradeProblem for what is neither a number nor a
    word.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int | float):
        return value
    if not isinstance(value, str):
        raise GradeProblem(f"grade {value!r} is neither a number nor a word")
    text = value.strip()
    if re.fullmatch(r"[+-]?[0-9]{1,400}", text, re.ASCII):
        return int(text)
    if NUMBER.fullmatch(text):
        return label(float(text))
    return text


def grade(value: object, grades: Grades | None = None) -> int:
    """Return the grade of a cell, by the map where there is one. Raises GradeProblem naming the
    fix.
    """
    name = label(value)
    if grades is not None:
        if name not in grades:
            known = ", ".join(map(str, grades))
            raise GradeProblem(
                f"grade '{value}' is not in the dataset's `grades` ({known}): add it there"
            )
        return grades[name]
    if isinstance(name, str):
        if name.casefold() in ("nan", "", "none", "null", "na"):
            raise GradeProblem(
                f"grade '{value}' is no grade: leave the row out, or map it with `grades`"
            )
        raise GradeProblem(
            f"grade '{value}' is not a number; map words to whole numbers with the dataset's "
            "option `grades`, "
            f"such as grades: {{{_written(str(value))}: 1}}"
        )
    if isinstance(name, float) and not math.isfinite(name):
        raise GradeProblem(
            f"grade '{value}' is no grade: leave the row out, or map it with `grades`"
        )
    if isinstance(name, float) and abs(name) < BEYOND:
        raise GradeProblem(
            f"grade '{value}' is not a whole number; map gains with the dataset's option "
            "`grades`, such as "
            f"grades: {{{value}: {max(1, round(name * 100))}}} (nDCG stays the same when all are "
            "scaled alike)"
        )
    if abs(name) >= BEYOND:
        raise GradeProblem(
            f"grade '{value}' has more than nine digits, which TREC tools cannot count; map it "
            "with `grades`"
        )
    return int(name)


def _written(word: str) -> str:
    """Return a word as YAML reads it back: in quotes where it would be taken for something else."""
    import yaml

    try:
        if yaml.safe_load(f"{{{word}: 1}}") == {word: 1}:
            return word
    except (yaml.YAMLError, ValueError):
        pass
    return json.dumps(word, ensure_ascii=False)


def is_number(cell: str) -> bool:
    """Return whether a cell is written as a number."""
    return NUMBER.fullmatch(cell.strip()) is not None
