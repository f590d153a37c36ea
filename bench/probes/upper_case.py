"""Query and documents in upper case: a cased model reads other words."""

from dataclasses import replace

from bench.probes.base import Probe, ProbedQuery, Variant, rewritten


def variant(query: ProbedQuery) -> Variant:
    request = replace(query.request, query=query.request.query.upper())
    return Variant([rewritten(request, str.upper)])


PROBE = Probe("query and documents in upper case", "information", variant)
