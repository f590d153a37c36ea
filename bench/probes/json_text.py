"""Every document as JSON."""

import json

from bench.probes.base import Probe, ProbedQuery, Variant, rewritten


def variant(query: ProbedQuery) -> Variant:
    return Variant([rewritten(query.request, _as_json)])


def _as_json(text: str) -> str:
    return json.dumps({"text": text}, ensure_ascii=False)


PROBE = Probe("every document as JSON", "quality", variant)
