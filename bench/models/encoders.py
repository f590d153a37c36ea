"""Encoders of BERT's layout: BERT, RoBERTa, XLM-R, CamemBERT, ELECTRA."""

from __future__ import annotations

from typing import Any

PLAIN = (
    "BertSelfAttention",
    "CamembertSelfAttention",
    "ElectraSelfAttention",
    "RobertaSelfAttention",
    "XLMRobertaSelfAttention",
)
"""transformers' attention modules that do what BERT's does."""


def layers_of(network: Any) -> Any:
    """Return the layers of an encoder of BERT's layout; None for another layout."""
    return getattr(getattr(network.base_model, "encoder", None), "layer", None)


def is_plain(attention: Any) -> bool:
    """Return whether an attention module is BERT's, its projections as they were trained."""
    if type(attention).__name__ not in PLAIN or attention.is_decoder:
        return False
    positions = getattr(attention, "position_embedding_type", "absolute")
    return are_linear(attention.query, attention.key, attention.value) and positions == "absolute"


def are_linear(*modules: Any) -> bool:
    """Return whether modules are torch's own linear layers: an adapter that is not merged has
    layers of its own in their place.
    """
    import torch

    return all(type(module) is torch.nn.Linear for module in modules)
