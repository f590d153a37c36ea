"""What a reader should know before trusting a row, as a code with its numbers. Reports word it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """What a note is about."""

    RANDOM_WEIGHTS = "random-weights"
    OTHER_CANDIDATES = "other-candidates"
    MOSTLY_FAILED = "mostly-failed"
    FAILED = "failed"
    FEW_JUDGED = "few-judged"
    TIES = "ties"
    BEYOND_SINGLE_PRECISION = "beyond-single-precision"
    TRUNCATED = "truncated"
    CUT_QUERIES = "cut-queries"
    REPAIRS = "repairs"
    HALVINGS = "halvings"
    CUT_ANSWERS = "cut-answers"
    SPLIT_REQUESTS = "split-requests"
    BLANKS = "blanks"
    NO_RANKING = "no-ranking"
    UNTIMED = "untimed"
    TEXT = "text"


@dataclass(frozen=True)
class Note:
    """A code with its numbers: `count` of `total`, and the `text` that came from elsewhere, such as
    the reason of a failure. A sentence that is stored as one is the text of a note of code `text`.
    """

    code: Code
    count: float = 0.0
    total: float = 0.0
    text: str = ""
