"""A cross-encoder that begins as its bi-encoder: query and document are read next to each other,
each as if it were alone, with some attention between them, and scored by the cosine of their means.

A bi-encoder's weights become a plain cross-encoder only with a new head, which takes many thousand
judged pairs to learn what the bi-encoder knew. Here every text keeps its own first token and its
own positions, what passes between the two is damped, and the head has no weights: untrained it
ranks nearly as the bi-encoder does, and training goes on from there.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from bench.core.errors import RerankerError

DAMPING = -2.0
"""Added to the attention scores between query and document, before their softmax."""
KERNELS = ("eager", "sdpa")
"""The attention kernels that take numbers to add to every score."""
SCALE = 20.0
"""What the cosine is multiplied by, so that a softmax over a list of scores can be sharp."""


def read_apart(model: Any, spec: str) -> None:
    """Have a loaded CrossEncoder of BERT's kind score by the cosine of two texts that are read next
    to each other. Raises RerankerError for a network of another kind.
    """
    network = model[0].model
    if network.config.model_type != "bert" or network.base_model is network:
        raise RerankerError(
            f"{spec}: head: cosine is for networks of kind bert, and this is one of kind "
            f"{network.config.model_type}"
        )
    kernel = network.config._attn_implementation
    if kernel not in KERNELS:
        raise RerankerError(f"{spec}: head: cosine needs attention eager or sdpa, not {kernel}")
    apart = _network_class()(network.config)
    apart.bert = network.bert
    # reads the first token, for a head that is not here
    apart.bert.pooler = None
    model[0].model = apart.to(network.device, network.dtype)


@cache
def _network_class() -> Any:
    """Return the class of the network."""
    import torch
    from transformers import BertPreTrainedModel
    from transformers.modeling_outputs import SequenceClassifierOutput

    class BertApart(BertPreTrainedModel):  # type: ignore[misc]
        """See the module. Takes the inputs of a pair of texts and gives one logit."""

        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.num_labels = 1

        def forward(
            self,
            input_ids: Any,
            attention_mask: Any = None,
            token_type_ids: Any = None,
            **others: Any,
        ) -> Any:
            ids, of_query, of_document = _separate(input_ids, attention_mask, token_type_ids)
            hidden = self.bert(
                input_ids=ids,
                attention_mask=_damped(of_query, of_document, self.dtype),
                token_type_ids=torch.zeros_like(ids),
                position_ids=_positions(of_document),
            ).last_hidden_state.float()
            cosines = torch.nn.functional.cosine_similarity(
                _mean(hidden, of_query), _mean(hidden, of_document)
            )
            return SequenceClassifierOutput(logits=SCALE * cosines.unsqueeze(1))

    return BertApart


def _separate(input_ids: Any, attention_mask: Any, token_type_ids: Any) -> tuple[Any, Any, Any]:
    """Return the tokens with a first token of its own before the document, and which are of the
    query and of the document. Shapes: (pairs, tokens + 1).
    """
    import torch

    pairs, width = input_ids.shape
    is_text = attention_mask.bool()
    start = (is_text & (token_type_ids == 0)).sum(1, keepdim=True)
    place = torch.arange(width + 1, device=input_ids.device).expand(pairs, -1)
    source = (place - (place > start).long()).clamp(max=width - 1)
    ids = input_ids.gather(1, source)
    ids = torch.where(place == start, input_ids[:, :1], ids)
    of_query = place < start
    of_document = (place >= start) & (place <= is_text.sum(1, keepdim=True))
    return ids, of_query, of_document


def _positions(of_document: Any) -> Any:
    """Return each token's position in its own text; what fills a batch up has any."""
    import torch

    place = torch.arange(of_document.shape[1], device=of_document.device)
    return torch.where(of_document, of_document.long().cumsum(1) - 1, place)


def _damped(of_query: Any, of_document: Any, dtype: Any) -> Any:
    """Return what is added to attention scores: nothing inside a text, DAMPING between the two, the
    lowest number toward what fills a batch up. Shape: (pairs, 1, tokens, tokens).
    """
    import torch

    between = of_document.unsqueeze(2) != of_document.unsqueeze(1)
    scores = torch.where(between, DAMPING, 0.0)
    filling = ~(of_query | of_document)
    lowest = torch.finfo(dtype).min
    return scores.masked_fill(filling.unsqueeze(1), lowest).to(dtype).unsqueeze(1)


def _mean(hidden: Any, chosen: Any) -> Any:
    """Return the mean over the chosen tokens. Shape: (pairs, values)."""
    weights = chosen.unsqueeze(2).to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1).clamp(min=1)
