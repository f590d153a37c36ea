"""Reading the order that a language model writes: "[2] > [1] > [3]", or whatever it made of it. The
result is always a permutation.

As published with RankGPT (Sun et al., 2023, arXiv:2304.09542, section 3.2): what was left out goes
to the end in the order given, what was named twice or never existed is passed over. Every answer
that needed this is marked, since its order is partly not the model's.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

_IN_BRACKETS = re.compile(r"\[\s*(\d{1,9})\s*\]")
_BARE = re.compile(r"(?<![\d.-])\d{1,9}(?!\d|\.\d)")
_ITEM = re.compile(r"^\W*(?:rank\s*)?(\d{1,9})\s*[.):-](?!\d)(.*)$", re.MULTILINE | re.IGNORECASE)
"""A line of a numbered list: its place and the rest."""
_THINKING = re.compile(r"<(?:think|thinking|reasoning|thought)>", re.IGNORECASE)
_THOUGHT = re.compile(r"</(?:think|thinking|reasoning|thought)>", re.IGNORECASE)


class Permutation(NamedTuple):
    """`order` holds every position from 0 on once, the best first; `repaired` says whether the
    answer named them otherwise.
    """

    order: list[int]
    repaired: bool


def read(answer: str, count: int) -> Permutation:
    """Return the order of `count` passages, numbered from 1 in the answer.

    Only what follows a model's thinking counts; thinking without an end holds no answer. Numbers in
    brackets go before others, so that "these 3 passages: [2] > [1] > [3]" is read right; digits of
    every script and shape are digits.
    """
    text = unicodedata.normalize("NFKC", _THINKING.split(after_thoughts(answer))[0])
    numbers = _IN_BRACKETS.findall(text) or _in_lines(text) or _BARE.findall(text)
    named = [int(number) - 1 for number in numbers]
    known = list(dict.fromkeys(position for position in named if 0 <= position < count))
    missing = sorted(set(range(count)) - set(known))
    return Permutation(known + missing, repaired=named != known or bool(missing))


def is_unfinished(answer: str) -> bool:
    """Return whether an answer ended in the midst of the model's thinking."""
    return bool(_THINKING.search(after_thoughts(answer)))


def after_thoughts(answer: str) -> str:
    """Return what follows a model's thinking."""
    return _THOUGHT.split(answer)[-1]


def _in_lines(answer: str) -> list[str]:
    """Return the passages of a numbered list, "1. Passage 5": the first number after the one that
    counts the line. Empty where the answer is no such list."""
    items = _ITEM.findall(answer)
    numbers = [_BARE.findall(text) for _, text in items]
    if [int(place) for place, _ in items] != list(range(1, len(items) + 1)) or not all(numbers):
        return []
    return [first for first, *_ in numbers]
