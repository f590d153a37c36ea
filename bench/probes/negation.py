"""A relevant document that says the opposite, by rules for English: its score may not rise."""

import re

from bench.probes.base import Probe, ProbedQuery, Variant, rewritten

_VERBS = re.compile(r"\b(is|are|was|were|can|could|should|will|would|must|may|has|have|do|does)\b")


def variant(query: ProbedQuery) -> Variant | None:
    place = query.first_relevant
    if place is None:
        return None
    changed = rewritten(query.request, _negated, place)
    return Variant([changed], query.request.doc_ids[place])


def _negated(text: str) -> str:
    changed, count = _VERBS.subn(r"\1 not", text)
    if count:
        return changed
    return f"It is not true that {text}"


PROBE = Probe("a relevant document with its verbs negated", "direction", variant)
