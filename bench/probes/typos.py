"""Two neighbouring letters of a query's words swapped."""

from dataclasses import replace

from bench.probes.base import Probe, ProbedQuery, Variant

LONG = 5
"""Letters from which on a word may have a typo."""
WORDS = 2


def variant(query: ProbedQuery) -> Variant | None:
    words = query.request.query.split()
    long = [place for place, word in enumerate(words) if len(word) >= LONG and word.isalpha()]
    if not long:
        return None
    generator = query.random
    for place in generator.sample(long, min(WORDS, len(long))):
        word = words[place]
        at = generator.randrange(1, len(word) - 2)
        words[place] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return Variant([replace(query.request, query=" ".join(words))])


PROBE = Probe("typos in up to two words of the query", "information", variant)
