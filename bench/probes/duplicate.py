"""A document twice."""

from bench.probes.base import Probe, ProbedQuery, Variant, with_document


def variant(query: ProbedQuery) -> Variant:
    text = query.request.docs[0]
    count = len(query.request.doc_ids)
    return Variant([with_document(query.request, "probe:again", text, count)])


PROBE = Probe("the first document a second time", "order", variant)
