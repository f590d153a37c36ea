"""Heads with several labels as one score: the log-odds of the label that means relevant.

monoBERT and its kin have two labels, "not relevant" and "relevant"; their authors rank by the
log-softmax of the second, which orders as the difference of the two logits does, and is rounded to
0 where that is large. Method: Nogueira and Cho, "Passage Re-ranking with BERT" (2019,
arXiv:1901.04085).
"""

from __future__ import annotations

from typing import Any

from bench.core.errors import RerankerError

Features = dict[str, Any]
"""What sentence-transformers hands from module to module: tensors, mostly."""
RELEVANT = ("relevant", "yes", "true")
"""Names that a label can only have where it speaks for the document."""


def as_one_score(model: Any, label: int | str | None, spec: str) -> dict[str, int | str]:
    """Make a loaded CrossEncoder with several labels give one score per pair; return the label, for
    its identity.

    Returns nothing and changes nothing where it has one score already. Raises RerankerError where
    the label is not known.
    """
    count = model.num_labels
    if count == 1:
        if label is not None:
            raise RerankerError(f"{spec}: has one label, which is its score; leave 'label' out")
        return {}
    names = _names(model, count)
    number = position(names, label, spec)
    model.append(_log_odds(number))
    return {"label": names[number]}


def _names(model: Any, count: int) -> list[str]:
    named = getattr(model.config, "id2label", None) or {}
    return [str(named.get(number, f"LABEL_{number}")) for number in range(count)]


def position(names: list[str], label: int | str | None, spec: str) -> int:
    """Return the number of the label that means relevant. Raises RerankerError where it is not
    known.
    """
    listed = ", ".join(f"{number}: {name}" for number, name in enumerate(names))
    if label is None:
        speaking = [number for number, name in enumerate(names) if name.strip().lower() in RELEVANT]
        if len(speaking) == 1:
            return speaking[0]
        raise RerankerError(
            f"{spec}: its head has {len(names)} labels ({listed}); a reranker has one score per "
            "pair: say which label means relevant, as "
            f"option 'label: {len(names) - 1}' or by name"
        )
    if isinstance(label, int):
        if 0 <= label < len(names):
            return label
    elif [name.lower() for name in names].count(label.lower()) == 1:
        return [name.lower() for name in names].index(label.lower())
    raise RerankerError(f"{spec}: option 'label': there is no label {label!r}; it has {listed}")


def _log_odds(position: int) -> Any:
    """Return a module that turns the logits of several labels into the log-odds of one. Shapes:
    (rows, labels) to (rows, 1).
    """
    import torch

    class LogOdds(torch.nn.Module):  # type: ignore[misc]
        def forward(self, features: Features) -> Features:
            logits = features["scores"].float()
            others = torch.cat([logits[:, :position], logits[:, position + 1 :]], dim=1)
            scores = logits[:, position : position + 1] - others.logsumexp(dim=1, keepdim=True)
            return {**features, "scores": scores}

    return LogOdds()
