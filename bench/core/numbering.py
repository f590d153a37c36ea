"""Names to numbers, millions of them."""

from __future__ import annotations

from collections import defaultdict
from itertools import count


def numbers_of_names() -> defaultdict[str, int]:
    """Return an empty dictionary that gives each name that it is first asked for the next number,
    from 0.
    """
    return defaultdict(count().__next__)
