"""A very long document in the list, to whose length the others are padded."""

from bench.probes.base import Probe, ProbedQuery, Variant, pointwise_only, with_document
from bench.probes.filler import filler

WORDS = 400


def variant(query: ProbedQuery) -> Variant:
    count = len(query.request.doc_ids)
    return Variant([with_document(query.request, "probe:long", filler(WORDS), count)])


PROBE = Probe("next to a very long document", "order", variant, pointwise_only)
