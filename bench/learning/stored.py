"""What training left in the cache: models as text, importances, and what fusions have of each
query. A folder per training, whole or not there; no pickle.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contract.learned import Importance
from bench.core.cache_dir import cache_dir
from bench.core.kept_folder import is_intact, keep
from bench.learning import models
from bench.learning.matrix import Example
from bench.learning.options import LtrOptions
from bench.learning.training import Trained
from bench.ranking.tuning import FusionWeights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FIELDS = "trained.json"
SIGNALS = "signals.npz"


@dataclass(frozen=True)
class Stored:
    """A training with its importances. The examples have signals for the fusions; those of the
    cache have no features.
    """

    trained: Trained
    importances: Sequence[Importance]
    examples: Sequence[Example]


def stored_or_new(key: str | None, make: Callable[[], Stored], options: LtrOptions) -> Stored:
    """Return the training of this key from the cache, else a new one, which is then stored. Where
    the cache cannot be read or written, it is made anew each time; without a key, too.
    """
    if key is None:
        return make()
    known = read_stored(key, options)
    if known is not None:
        return known
    stored = make()
    try:
        keep(_folder(key), partial(_write, stored))
    except OSError:
        # the cache is full, or read-only: what was trained serves this run
        return stored
    return stored


def read_stored(key: str, options: LtrOptions) -> Stored | None:
    """Return the training of this key; None where the cache does not have it whole."""
    folder = _folder(key)
    try:
        if is_intact(folder):
            return _read(folder, options)
    except OSError:
        return None
    return None


def _folder(key: str) -> Path:
    return cache_dir("ltr", key[:20])


def _write(stored: Stored, folder: Path) -> None:
    import numpy as np

    trained = stored.trained
    fields = {
        "features": trained.features,
        "final": trained.final.to_text(),
        "of_fold": [model.to_text() for model in trained.of_fold],
        "folds": dict(trained.folds),
        "queries": trained.queries,
        "documents": trained.documents,
        "weights": asdict(trained.weights),
        "importances": [asdict(row) for row in stored.importances],
        "kind": trained.final.kind,
        "query_ids": [example.query_id for example in stored.examples],
        "doc_ids": [list(example.doc_ids) for example in stored.examples],
    }
    (folder / FIELDS).write_text(json.dumps(fields), encoding="utf-8")
    np.savez(folder / SIGNALS, **_signals(stored.examples))  # type: ignore[arg-type]


def _signals(examples: Sequence[Example]) -> dict[str, NDArray[np.float64]]:
    """Return the signals of all queries end to end, by name."""
    import numpy as np

    names = list(examples[0].signals) if examples else []
    return {name: np.concatenate([row.signals[name] for row in examples]) for name in names}


def _read(folder: Path, options: LtrOptions) -> Stored:
    import numpy as np

    fields = json.loads((folder / FIELDS).read_text(encoding="utf-8"))
    with np.load(folder / SIGNALS, allow_pickle=False) as arrays:
        signals = {name: arrays[name] for name in arrays.files}
    kind = fields["kind"]
    trained = Trained(
        tuple(fields["features"]),
        models.read(kind, fields["final"], options),
        fields["queries"],
        fields["documents"],
        _weights(fields["weights"]),
        [models.read(kind, text, options) for text in fields["of_fold"]],
        fields["folds"],
    )
    rows = [Importance(**row) for row in fields["importances"]]
    return Stored(trained, rows, _examples(fields["query_ids"], fields["doc_ids"], signals))


def _weights(fields: Mapping[str, Any]) -> FusionWeights:
    by_fold = tuple(map(tuple, fields["by_fold"]))
    return FusionWeights(tuple(fields["overall"]), by_fold, fields["fold_of"])


def _examples(
    query_ids: Sequence[str],
    doc_ids: Sequence[Sequence[str]],
    signals: Mapping[str, NDArray[np.float64]],
) -> list[Example]:
    import numpy as np

    examples: list[Example] = []
    start = 0
    for query_id, own in zip(query_ids, doc_ids, strict=True):
        end = start + len(own)
        cut = {name: values[start:end] for name, values in signals.items()}
        examples.append(Example(query_id, tuple(own), np.empty((len(own), 0)), cut))
        start = end
    return examples
