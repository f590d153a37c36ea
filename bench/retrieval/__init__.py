"""First stages: where the candidates come from that every reranker gets.

An outsider's class is named "package.module:Class". It has a class attribute `Options` (a subclass
of FirstStageOptions), takes `(options, base_dir)`, and has `name` and `retrieve(dataset, query_ids,
depth)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.contract.first_stage import FirstStage
from bench.core.errors import SuiteError
from bench.core.options import validated
from bench.core.plugins import resolve
from bench.retrieval.options import FirstStageOptions

__all__ = ["TABLE", "FirstStageOptions", "build", "options_for"]

TABLE = {
    "bm25": "bench.retrieval.bm25:BM25",
    "pyterrier": "bench.retrieval.pyterrier:PyTerrier",
    "run": "bench.retrieval.run:RunFile",
    "scoreddocs": "bench.retrieval.scoreddocs:ScoredDocs",
}


def options_for(name: str) -> type[FirstStageOptions]:
    """The model that validates a first stage's options. Raises SuiteError naming the nearest valid
    name.
    """
    model: type[FirstStageOptions] = _class(name).Options
    return model


def build(name: str, options: Mapping[str, Any] | str | float | None, base_dir: Path) -> FirstStage:
    """A first stage, ready to retrieve; nothing is read yet. A bare value stands for the one option
    that must be given: `run: my.run`.

    Raises SuiteError for an unknown name or options that cannot be used.
    """
    model = options_for(name)
    stage: FirstStage = _class(name)(validated(model, options, f"first stage '{name}'"), base_dir)
    return stage


def _class(name: str) -> Any:
    found = resolve(name, TABLE, "first stage")
    if not isinstance(getattr(found, "Options", None), type) or not hasattr(found, "retrieve"):
        raise SuiteError(
            f"first stage '{name}': the class needs an attribute Options and a method retrieve"
        )
    return found
