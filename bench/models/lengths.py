"""How long a model's inputs may be, and how long they were: counted from what the library tokenises
anyway, never a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from typing import Any

from bench.contract.meter import Meter
from bench.contract.request import CandidateList, Usage
from bench.models import headers

_NO_LIMIT = 1 << 30


def limit_length(model: Any, max_length: int | None, spec: str) -> None:
    """Set the maximum length, which must fit the tables of learned positions. Raises RerankerError
    where that of the options does not.
    """
    tables = [_positions(module) for module in model.modules()]
    shortest = min((length for length in tables if length is not None), default=None)
    headers.refuse_longer(spec, max_length, shortest)
    limits = (shortest, max_length or length_limit(model))
    lengths = [length for length in limits if length is not None]
    if lengths:
        model.max_seq_length = min(lengths)


def length_limit(model: Any) -> int | None:
    """Return the tokens that an input is cut to, or None where there is no limit (a tokenizer then
    names a number beyond all sense).
    """
    length = model.max_seq_length
    if length is None or length >= _NO_LIMIT:
        return None
    return int(length)


def _positions(module: Any) -> int | None:
    """Return how many tokens a table of learned positions holds; None where a module has none.
    RoBERTa's kind starts counting after the padding index.
    """
    import torch

    table = getattr(module, "position_embeddings", None)
    if not isinstance(table, torch.nn.Embedding):
        return None
    if table.padding_idx is None:
        return int(table.num_embeddings)
    return int(table.num_embeddings - table.padding_idx - 1)


def count_tokens(
    model: Any,
    meter: Callable[[], Meter],
    add_cut: Callable[[Sequence[Any]], None] | None = None,
) -> None:
    """Have every batch that the model tokenises counted by the meter of the run at work, and its
    making marked as a span. Looks at what the library made anyway: nothing is tokenised twice.

    The inputs that were cut go to `add_cut`, where inputs are single texts; without it they are
    pairs, and counted as such.
    """
    preprocess = model.preprocess

    def counted(inputs: Any, *args: Any, **kwargs: Any) -> Any:
        with meter().span("tokenise"):
            features = preprocess(inputs, *args, **kwargs)
        cut = cut_rows(features, length_limit(model))
        meter().count(tokens_of(features))
        if add_cut is None:
            meter().count(Usage(truncated=len(cut)))
        else:
            add_cut([inputs[i] for i in cut])
        return features

    model.preprocess = counted


def tokens_of(features: Any) -> Usage:
    """Return the tokens of a tokenised batch, with and without padding."""
    mask = features.get("attention_mask")
    if mask is None and "input_ids" not in features:
        return Usage()
    if mask is None:
        # sequences put end to end, without padding
        total = features["input_ids"].numel()
        return Usage(tokens=total, slots=total)
    return Usage(tokens=int(mask.sum()), slots=mask.numel())


def cut_rows(features: Any, limit: int | None) -> list[int]:
    """Return which inputs of a tokenised batch were cut: those that fill the limit, where the
    tokenizer says that something was left.
    """
    mask = features.get("attention_mask")
    if mask is None or limit is None:
        return []
    full: list[int] = (mask.sum(dim=1) >= limit).nonzero().flatten().tolist()
    encodings = getattr(features, "encodings", None)
    if encodings is None:
        return full
    return [i for i in full if encodings[i].overflowing]


def pairs_of(
    requests: Sequence[CandidateList], cut_queries: Set[str], cut_documents: Set[str]
) -> Usage:
    """Return how many pairs the requests have, and how many were cut: in the query, the document,
    or both.
    """
    pairs = truncated = in_query = 0
    for request in requests:
        pairs += len(request.docs)
        if request.query in cut_queries:
            in_query += len(request.docs)
            truncated += len(request.docs)
        elif cut_documents:
            truncated += sum(doc in cut_documents for doc in request.docs)
    return Usage(pairs=pairs, truncated=truncated, cut_queries=in_query)
