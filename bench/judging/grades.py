"""The grade in a model's answer, or that there is none. Nothing is guessed: an answer that can be
read in two ways has no grade.
"""

from __future__ import annotations

import re

from bench.rerankers.listwise.permutation import after_thoughts, is_unfinished

LOWEST, HIGHEST = 0, 3
GRADES = (0, 1, 2, 3)
NO_GRADE = "the answer has no grade"
EMPTY = "the answer is empty"
SEVERAL = "the answer has several final scores"
UNFINISHED = "the answer was cut off in the midst of the model's thinking; raise --max-tokens"
CUT = "the answer was cut off before its grade; raise --max-tokens"
_FINAL = re.compile(
    r"final[ _]score[^\w\u2212-]{0,6}(?:is[^\w\u2212-]{1,4})?"
    r"([\u2212-]?\d+(?:\s*(?:[.,;/…\u2010-\u2015\u2212-]|\.{2,3}|or|to|and)\s*\d+)?)",
    re.IGNORECASE,
)
"""A final score with what may follow it: "2 or 3" and "2.5" are no grade."""
_ALONE = re.compile(r"[\s#*_`'\"“‘(\[{]{0,4}([0-3])[\s#*_`'\"”’)\]}.!]{0,4}")
"""A digit in marks of emphasis, quotes or brackets: with a sign, as "-1" and "<2", it is none."""


class NoGrade(ValueError):
    """An answer that is no judgment; the message says why."""


def grade_in(answer: str, *, is_cut: bool = False) -> int:
    """Return the grade of an answer, 0 to 3: that of "final score: N", as UMBRELA's prompt asks for
    it, or of an answer that is a digit alone. `is_cut` says that the model had no room left.

    Raises NoGrade for anything else.
    """
    if is_unfinished(answer):
        raise NoGrade(UNFINISHED)
    text = after_thoughts(answer)
    alone = _ALONE.fullmatch(text.strip())
    if alone:
        return int(alone[1])
    scores = set(_FINAL.findall(text))
    if len(scores) > 1:
        raise NoGrade(SEVERAL)
    if not scores:
        raise NoGrade(_absence(text, is_cut=is_cut))
    score = scores.pop()
    if score not in map(str, GRADES):
        raise NoGrade(f"{score} is no grade from {LOWEST} to {HIGHEST}")
    return int(score)


def _absence(text: str, *, is_cut: bool) -> str:
    if is_cut:
        return CUT
    return NO_GRADE if text.strip() else EMPTY
