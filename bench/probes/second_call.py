"""The same call again: what differs is the noise that the other probes are held against."""

from bench.probes.base import Probe, ProbedQuery, Variant


def variant(query: ProbedQuery) -> Variant:
    return Variant([query.request])


PROBE = Probe("the same call again", "order", variant)
