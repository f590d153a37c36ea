"""Reading the order that a language model writes: "[2] > [1] > [3]", or whatever it made of it. The result is always a permutation.

As published with RankGPT (Sun et al., 2023, arXiv:2304.09542, section 3.2): what was left out goes to the end in the order given, what was
named twice or never existed is passed over. Every answer that needed this is told apart, since its order is partly not the model's.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

_IN_BRACKETS = re.compile(r"\[\s*(\d{1,9})\s*\]")
_BARE = re.compile(r"(?<![\d.-])\d{1,9}(?!\d|\.\d)")


class Permutation(NamedTuple):
    """`order` holds every position from 0 on once, the best first; `repaired` says whether the answer named them otherwise."""

    order: list[int]
    repaired: bool


def read(answer: str, count: int) -> Permutation:
    """The order of `count` passages, numbered from 1 in the answer.

    Only what follows a model's thinking counts. Numbers in brackets go before others, so that "these 3 passages: [2] > [1] > [3]" is read
    right; digits of every script and shape are digits.
    """
    said = unicodedata.normalize("NFKC", answer.rpartition("</think>")[2])
    named = [int(number) - 1 for number in _IN_BRACKETS.findall(said) or _BARE.findall(said)]
    kept = list(dict.fromkeys(position for position in named if 0 <= position < count))
    missing = sorted(set(range(count)) - set(kept))
    return Permutation(kept + missing, repaired=named != kept or bool(missing))
