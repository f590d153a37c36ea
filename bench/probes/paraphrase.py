"""The query in other words, by rules for English questions."""

import re
from dataclasses import replace

from bench.probes.base import Probe, ProbedQuery, Variant

RULES = (
    (r"^how (do|can|should|does) (i|you|we|one) ", "what is the way to "),
    (r"^how to ", "what is the way to "),
    (r"^what (is|are) ", r"please explain what \1 "),
    (r"^(why|when|where|who|which) ", r"please explain \1 "),
    (r"^(can|should|may|is|are|do|does) ", r"tell me: \1 "),
)
OTHERWISE = "I would like to know about this: "


def variant(query: ProbedQuery) -> Variant:
    return Variant([replace(query.request, query=_in_other_words(query.request.query))])


def _in_other_words(text: str) -> str:
    for pattern, words in RULES:
        changed, count = re.subn(pattern, words, text, flags=re.IGNORECASE)
        if count:
            return changed
    return f"{OTHERWISE}{text}"


PROBE = Probe("the query in other words, by rules", "quality", variant)
