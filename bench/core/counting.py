"""How many of what, in words: the one place that knows that 1 is no plural."""

from __future__ import annotations

_PLURALS = {
    "query": "queries",
    "labelled query": "labelled queries",
    "judged query": "judged queries",
    "distinct query": "distinct queries",
    "process": "processes",
}


def counted(number: float, noun: str) -> str:
    """Return a whole number with its noun: 1 query, 80 queries, 12,000 pairs."""
    if number != 1:
        noun = _PLURALS.get(noun, f"{noun}s")
    return f"{number:,.0f} {noun}"


def candidates(depth: int, longest: int | None = None) -> str:
    """Return the depth of reranking in words; where no query has as many candidates, the length of
    the longest list as well.
    """
    if longest is None or longest >= depth:
        return counted(depth, "candidate")
    return f"at most {counted(longest, 'candidate')} (depth {depth:,})"


def times(number: float) -> str:
    """Return how often something happened: once, 2 times."""
    return "once" if number == 1 else f"{number:,.0f} times"


def percent(share: float, digits: int = 0) -> str:
    """Return a share in per cent: 33 %."""
    return f"{100 * share:.{digits}f} %"


def two_digits(number: float) -> str:
    """Return a number with its first two digits, and a large one in full: 0.0018, 7.4, 7,424."""
    if abs(number) >= 99.5:
        return f"{number:,.0f}"
    return f"{number:.2g}"
