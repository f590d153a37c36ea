"""A document without text among the others."""

from bench.probes.base import Probe, ProbedQuery, Variant, with_document


def variant(query: ProbedQuery) -> Variant:
    middle = len(query.request.doc_ids) // 2
    return Variant([with_document(query.request, "probe:blank", "", middle)])


PROBE = Probe("a blank document among the others", "order", variant)
