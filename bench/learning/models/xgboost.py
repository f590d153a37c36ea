"""A ready model in XGBoost's JSON, read without the library: its trees are walked here.

The layout is that of XGBoost's model schema: per tree, arrays over nodes. A leaf has no left child
and keeps its value among the split conditions. Values are compared in single precision, as XGBoost
does; a value that is missing (NaN) goes the tree's default way. The constant base score is left
out: it changes no order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bench.core.errors import RerankerError
from bench.core.json_file import json_value
from bench.learning.models.base import Model

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.learning.values import Matrix, Scores

LEAF = -1


@dataclass(frozen=True)
class Tree:
    """One tree: arrays over its nodes, the root first."""

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    feature: NDArray[np.int64]
    condition: NDArray[np.float32]
    default_left: NDArray[np.bool_]
    gain: NDArray[np.float64]

    def leaves(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the value of the leaf that each row falls into."""
        import numpy as np

        nodes = np.zeros(len(matrix), dtype=np.int64)
        for _ in range(len(self.left)):
            inner = np.flatnonzero(self.left[nodes] != LEAF)
            if not len(inner):
                break
            at = nodes[inner]
            values = matrix[inner, self.feature[at]]
            is_left = values < self.condition[at]
            is_left = np.where(np.isnan(values), self.default_left[at], is_left)
            nodes[inner] = np.where(is_left, self.left[at], self.right[at])
        return np.asarray(self.condition[nodes], dtype=np.float32)


class XGBoostModel(Model):
    """Trees of an XGBoost model, summed."""

    kind: ClassVar[str] = "xgboost"

    def __init__(self, features: Sequence[str], trees: Sequence[Tree], text: str) -> None:
        super().__init__(features)
        self._trees = trees
        self._text = text

    def scores(self, matrix: Matrix) -> Scores:
        import numpy as np

        values = matrix.astype(np.float32)
        total = np.zeros(len(matrix), dtype=np.float64)
        for tree in self._trees:
            total += tree.leaves(values)
        return total

    def weights(self) -> Mapping[str, float]:
        import numpy as np

        gains = dict.fromkeys(self.features, 0.0)
        for tree in self._trees:
            for node in np.flatnonzero(tree.left != LEAF):
                gains[self.features[tree.feature[node]]] += float(tree.gain[node])
        return gains

    def to_text(self) -> str:
        return self._text


def read(text: str) -> XGBoostModel:
    """Return a model from XGBoost's JSON. Raises RerankerError for another booster than plain
    trees, categories, and a model without names of features.
    """
    try:
        learner = json_value(text)["learner"]
        booster = learner["gradient_booster"]
        if booster["name"] != "gbtree":
            raise RerankerError(
                f"an XGBoost model of booster '{booster['name']}' is not read: gbtree is"
            )
        features = [str(name) for name in learner.get("feature_names") or ()]
        trees = [_tree(fields) for fields in booster["model"]["trees"]]
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise RerankerError(f"not an XGBoost model in JSON: {error!r}") from error
    if not features:
        raise RerankerError(
            "the XGBoost model names no features: train it with feature_names, those of this stage"
        )
    if any(int(tree.feature.max(initial=0)) >= len(features) for tree in trees):
        raise RerankerError("the XGBoost model splits by a feature that it does not name")
    return XGBoostModel(features, trees, text)


def _tree(fields: Mapping[str, Any]) -> Tree:
    import numpy as np

    if fields.get("categories_nodes"):
        raise RerankerError("an XGBoost model with categories is not read")
    left = np.array(fields["left_children"], dtype=np.int64)
    right = np.array(fields["right_children"], dtype=np.int64)
    inner = left != LEAF
    # a child comes after its parent, so that no walk goes round in circles
    numbers = np.arange(len(left))
    is_ordered = (left[inner] > numbers[inner]) & (right[inner] > numbers[inner])
    if not is_ordered.all() or max(left.max(), right.max()) >= len(left):
        raise RerankerError("the XGBoost model has a tree whose nodes are out of order")
    return Tree(
        left,
        right,
        np.array(fields["split_indices"], dtype=np.int64),
        np.array(fields["split_conditions"], dtype=np.float32),
        np.array(fields["default_left"], dtype=np.bool_),
        np.array(fields["loss_changes"], dtype=np.float64),
    )
