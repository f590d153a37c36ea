"""The list in two requests."""

from bench.probes.base import Probe, ProbedQuery, Variant, pointwise_only, reordered


def variant(query: ProbedQuery) -> Variant:
    places = range(len(query.request.doc_ids))
    middle = len(places) // 2
    halves = (places[:middle], places[middle:])
    return Variant([reordered(query.request, half) for half in halves])


PROBE = Probe("the list in two requests", "order", variant, pointwise_only, apart=True)
