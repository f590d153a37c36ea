"""A document that is not relevant, its text three times over: its score may not rise."""

from bench.probes.base import Probe, ProbedQuery, Variant, rewritten

TIMES = 3


def variant(query: ProbedQuery) -> Variant | None:
    place = query.last_irrelevant
    if place is None:
        return None
    changed = rewritten(query.request, lambda text: " ".join([text] * TIMES), place)
    return Variant([changed], query.request.doc_ids[place])


PROBE = Probe("a document that is not relevant, three times over", "direction", variant)
