"""Every document with the marks of Markdown."""

from bench.probes.base import Probe, ProbedQuery, Variant, rewritten


def variant(query: ProbedQuery) -> Variant:
    return Variant([rewritten(query.request, lambda text: f"## Passage\n\n> **{text}**")])


PROBE = Probe("every document as Markdown", "quality", variant)
