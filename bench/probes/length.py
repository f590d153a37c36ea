"""A document that is not relevant, made longer by text that answers nothing: its score may not
rise.
"""

from bench.probes.base import Probe, ProbedQuery, Variant, rewritten
from bench.probes.filler import filler

WORDS = 120


def variant(query: ProbedQuery) -> Variant | None:
    place = query.last_irrelevant
    if place is None:
        return None
    changed = rewritten(query.request, lambda text: f"{text} {filler(WORDS)}", place)
    return Variant([changed], query.request.doc_ids[place])


PROBE = Probe(f"a document that is not relevant, {WORDS} words longer", "direction", variant)
