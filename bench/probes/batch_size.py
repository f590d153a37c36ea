"""Another batch size of the model."""

from bench.contract.stage import Reranker
from bench.probes.base import Probe, ProbedQuery, Variant

SIZE = 3


def variant(query: ProbedQuery) -> Variant:
    return Variant([query.request])


def applies(reranker: Reranker) -> str:
    if "batch_size" in type(reranker.options).model_fields:
        return ""
    return "it has no option batch_size"


PROBE = Probe(f"batch_size: {SIZE}", "order", variant, applies, {"batch_size": SIZE})
