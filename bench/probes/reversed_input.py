"""The documents in reversed order."""

from bench.probes.base import Probe, ProbedQuery, Variant, reordered


def variant(query: ProbedQuery) -> Variant:
    places = range(len(query.request.doc_ids))
    return Variant([reordered(query.request, places[::-1])])


PROBE = Probe("documents in reversed order", "order", variant)
