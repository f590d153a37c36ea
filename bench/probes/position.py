"""The text of a relevant document at the end of a long document, and at its beginning."""

from bench.probes.base import Probe, ProbedQuery, Variant, rewritten
from bench.probes.filler import filler

WORDS = 400


def variant(query: ProbedQuery) -> Variant | None:
    place = query.first_relevant
    if place is None:
        return None
    more = filler(WORDS)
    late = rewritten(query.request, lambda text: f"{more} {text}", place)
    early = rewritten(query.request, lambda text: f"{text} {more}", place)
    return Variant([late, early], query.request.doc_ids[place])


PROBE = Probe(f"an answer after {WORDS} words, not before them", "information", variant)
