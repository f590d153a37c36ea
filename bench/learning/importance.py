"""How much each feature of a model counts: its weight or gain, and by permutation (Breiman 2001):
how much nDCG@10 falls when its values are dealt out anew among a query's documents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bench.contract.learned import Importance
from bench.learning.gain import Graded
from bench.learning.matrix import Example
from bench.learning.models.base import Model

if TYPE_CHECKING:
    import numpy as np

    from bench.learning.values import Matrix

QUERIES = 200
"""Queries that are looked at; of more, a seeded sample."""
REPEATS = 3


def importances(
    models: Mapping[str, Model],
    examples: Sequence[Example],
    judged: Mapping[str, Graded],
    names: Sequence[str],
    seed: int,
) -> list[Importance]:
    """Return each feature's importance, the largest first. `models` are those that score each
    query, by its id: with cross-fitting, of the other folds. Weights are means over the models.
    """
    import numpy as np

    generator = np.random.default_rng(seed)
    chosen = [example for example in examples if judged[example.query_id].ideal > 0]
    if len(chosen) > QUERIES:
        drawn = np.sort(generator.choice(len(chosen), QUERIES, replace=False))
        chosen = [chosen[place] for place in drawn]
    distinct = list({id(model): model for model in models.values()}.values())
    tables = [model.weights() for model in distinct]
    before = _mean_gain(models, chosen, [example.matrix for example in chosen], judged)
    rows: list[Importance] = []
    for column, name in enumerate(names):
        falls: list[float] = []
        for _ in range(REPEATS):
            matrices = [_permuted(example.matrix, column, generator) for example in chosen]
            falls.append(before - _mean_gain(models, chosen, matrices, judged))
        weight = float(np.mean([table[name] for table in tables]))
        permutation = float(np.mean(falls)) if chosen else None
        rows.append(Importance(name, weight, permutation))
    return sorted(rows, key=lambda row: -abs(row.weight or 0.0))


def _mean_gain(
    models: Mapping[str, Model],
    examples: Sequence[Example],
    matrices: Sequence[Matrix],
    judged: Mapping[str, Graded],
) -> float:
    """Return the mean nDCG@10 of these matrices, each query by its model; 0 without queries."""
    by_model: dict[int, list[int]] = {}
    for place, example in enumerate(examples):
        by_model.setdefault(id(models[example.query_id]), []).append(place)
    gains: list[float] = []
    for places in by_model.values():
        model = models[examples[places[0]].query_id]
        scores = model.scores_of_many([matrices[place] for place in places])
        for place, own in zip(places, scores, strict=True):
            gains.append(judged[examples[place].query_id].ndcg(own))
    return sum(gains) / max(len(gains), 1)


def _permuted(matrix: Matrix, column: int, generator: np.random.Generator) -> Matrix:
    permuted = matrix.copy()
    permuted[:, column] = generator.permutation(permuted[:, column])
    return permuted
