"""First stages: where the candidates come from that every reranker gets.

An outsider's class is named "package.module:Class". It has a class attribute `Options` (a subclass
of FirstStageOptions), takes `(options, base_dir)`, and has `retrieve(dataset, query_ids, depth)`;
one that derives from `bench.retrieval.base.BaseFirstStage` has the rest by default.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.core.errors import SuiteError
from bench.core.options import validated
from bench.core.outsiders import OutsiderError, outsiders_code
from bench.core.plugins import resolve
from bench.core.progress import Observer
from bench.retrieval.base import BaseFirstStage, wrap
from bench.retrieval.options import FirstStageOptions

__all__ = ["TABLE", "FirstStageOptions", "build", "class_of", "is_first_stage", "options_for"]

TABLE = {
    "bm25": "bench.retrieval.bm25:BM25",
    "dense": "bench.retrieval.dense:Dense",
    "hybrid": "bench.retrieval.hybrid:Hybrid",
    "minilm-dense": "bench.retrieval.dense:MiniLMDense",
    "pyterrier": "bench.retrieval.pyterrier:PyTerrier",
    "run": "bench.retrieval.run:RunFile",
    "scoreddocs": "bench.retrieval.scoreddocs:ScoredDocs",
    "sparse": "bench.retrieval.sparse:Sparse",
}


def class_of(name: str) -> type[BaseFirstStage]:
    """Return the class of a first stage. Raises SuiteError naming the nearest valid name."""
    kind: type[BaseFirstStage] = _class(name)
    return kind


def options_for(name: str) -> type[FirstStageOptions]:
    """Return the model that validates a first stage's options.

    Raises SuiteError naming the nearest valid name.
    """
    model: type[FirstStageOptions] = _class(name).Options
    return model


def build(
    name: str,
    options: Mapping[str, Any] | str | float | None,
    base_dir: Path,
    device: str = "cpu",
    observer: Observer | None = None,
) -> BaseFirstStage:
    """Return a first stage, ready to retrieve; nothing is read yet. A bare value is the one
    required option: `run: my.run`. One that runs a model does so on the device; the observer gets
    the progress of what takes long.

    Raises SuiteError for an unknown name or options that cannot be used.
    """
    model = options_for(name)
    valid = validated(model, options, f"first stage '{name}'")
    try:
        with outsiders_code():
            stage: BaseFirstStage = _class(name)(valid, base_dir)
    except OutsiderError as error:
        raise SuiteError(f"first stage '{name}' cannot be made: {error}") from error.cause
    stage.is_outside = name not in TABLE
    stage.attach(device, observer or Observer())
    return stage


def is_first_stage(name: str) -> bool:
    """Return whether a name is that of a first stage. Raises SuiteError for a name that leads
    nowhere.
    """
    return name in TABLE or (":" in name and _retrieves(resolve(name, TABLE, "first stage")))


def _retrieves(kind: Any) -> bool:
    return isinstance(getattr(kind, "Options", None), type) and hasattr(kind, "retrieve")


def _class(name: str) -> Any:
    kind = resolve(name, TABLE, "first stage")
    if not _retrieves(kind):
        raise SuiteError(
            f"first stage '{name}': the class needs an attribute Options and a method retrieve"
        )
    if issubclass(kind, BaseFirstStage):
        return kind
    return wrap(kind)
