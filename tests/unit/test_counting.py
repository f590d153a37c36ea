"""Counts in sentences."""

from __future__ import annotations

import pytest

from bench.core.counting import counted, times


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (1, "query", "1 query"),
        (0, "query", "0 queries"),
        (12_000, "pair", "12,000 pairs"),
        (2.0, "process", "2 processes"),
        (1.0, "other", "1 other"),
    ],
)
def test_one_is_no_plural(number: float, noun: str, text: str) -> None:
    assert counted(number, noun) == text


def test_how_often() -> None:
    assert (times(1), times(0), times(3.0)) == ("once", "0 times", "3 times")
