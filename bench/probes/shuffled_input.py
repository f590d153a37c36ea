"""The documents in a random order."""

from bench.probes.base import Probe, ProbedQuery, Variant, reordered


def variant(query: ProbedQuery) -> Variant:
    places = list(range(len(query.request.doc_ids)))
    query.random.shuffle(places)
    return Variant([reordered(query.request, places)])


PROBE = Probe("documents in a random order", "order", variant)
