"""A harmless word before every document."""

from bench.probes.base import Probe, ProbedQuery, Variant, rewritten


def variant(query: ProbedQuery) -> Variant:
    return Variant([rewritten(query.request, lambda text: f"Title: {text}")])


PROBE = Probe('"Title:" before every document', "quality", variant)
