"""Queries that ask nearly the same, by their words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

NEAR = 0.7
"""Similarity from which on two queries are nearly the same: 20 pairs of the 1,190 English questions
of XQuAD-R, all of them the same question in other words or with one word more.
"""
Words = frozenset[str]
"""The words of a text, or digests of them."""


def near_pairs(left: Sequence[Words], right: Sequence[Words]) -> Iterator[tuple[int, int]]:
    """Yield the places of a text and of another one that are nearly the same.

    The similarity is a weighted Jaccard coefficient of the sets of words: the weights of the words
    that both have, divided by those of the words that either has. A word weighs
    ln(1 + n / d), where d of all n texts have it: "how do I" counts little, and a name a lot. Pairs
    are found by the rarest words of each text, of which a near pair shares one (prefix filtering:
    Chaudhuri, Ganti and Kaushik 2006).
    """
    weights = weights_of([*left, *right])
    holders: dict[str, list[int]] = {}
    for place, other in enumerate(right):
        for word in _prefix(other, weights):
            holders.setdefault(word, []).append(place)
    for place, own in enumerate(left):
        candidates: set[int] = set()
        for word in _prefix(own, weights):
            candidates.update(holders.get(word, ()))
        for other_place in sorted(candidates):
            if similarity(own, right[other_place], weights) >= NEAR:
                yield place, other_place


def weights_of(texts: Sequence[Words]) -> dict[str, float]:
    """Return the weight of each word."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    return {word: math.log(1 + len(texts) / count) for word, count in counts.items()}


def similarity(own: Words, other: Words, weights: Mapping[str, float]) -> float:
    """Return the weighted Jaccard coefficient of two sets of words; 0 where both are empty."""
    either = _total(own | other, weights)
    if not either:
        return 0.0
    return _total(own & other, weights) / either


def _prefix(text: Words, weights: Mapping[str, float]) -> list[str]:
    """Return the heaviest words of a text, so many that what is left cannot make a near pair: a
    pair of similarity s shares at least s of the weight of either.
    """
    rest = _total(text, weights)
    limit = NEAR * rest
    prefix: list[str] = []
    for word in sorted(text, key=lambda word: (-weights[word], word)):
        # rounding must lose no pair
        if rest < limit * (1 - 1e-9):
            break
        prefix.append(word)
        rest -= weights[word]
    return prefix


def _total(text: Iterable[str], weights: Mapping[str, float]) -> float:
    return math.fsum(weights[word] for word in text)
