"""Notes are codes with numbers, and each code has its words."""

from __future__ import annotations

import pytest

from bench.contract.note import Code, Note
from bench.reports.wording import WORDS, worded


def test_every_code_has_words() -> None:
    assert set(WORDS) == set(Code)
    for code in Code:
        sentence = worded(Note(code, count=3, total=4, text="timed out"))
        assert sentence
        assert "\n" not in sentence


@pytest.mark.parametrize(
    ("note", "sentence"),
    [
        (Note(Code.TIES, 21, 24), "21 of 24 documents tie in score"),
        (Note(Code.TRUNCATED, 1, 8), "12% of the pairs were cut at max length"),
        (Note(Code.CUT_QUERIES, 1), "once a query was too long and was cut as well"),
        (
            Note(Code.FAILED, 1, 1, "timed out"),
            "1 of 1 query failed and score 0 (e.g. timed out)",
        ),
        (
            Note(Code.BLANKS, 2),
            "not sent, and ranked behind all others: 2 documents without text",
        ),
        (Note(Code.TEXT, text="the machine was busy"), "the machine was busy"),
    ],
)
def test_a_note_is_worded_with_its_numbers(note: Note, sentence: str) -> None:
    assert worded(note) == sentence
