"""Some documents alone, each in a call of its own list."""

from bench.probes.base import Probe, ProbedQuery, Variant, pointwise_only, reordered

DOCUMENTS = 5


def variant(query: ProbedQuery) -> Variant:
    count = len(query.request.doc_ids)
    step = max(1, count // DOCUMENTS)
    places = range(0, count, step)[:DOCUMENTS]
    return Variant([reordered(query.request, [place]) for place in places])


PROBE = Probe("five documents alone, not in a batch", "order", variant, pointwise_only, apart=True)
