"""The models of a learned stage by name: each a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.contract.requirement import Requirement
from bench.core.errors import RerankerError
from bench.core.plugins import resolve
from bench.core.version import installed
from bench.learning.models.needs import LIGHTGBM
from bench.learning.options import LtrOptions

if TYPE_CHECKING:
    from bench.learning.models.base import Model, Trainer

TABLE: dict[str, str] = {
    "linear": "bench.learning.models.linear:LinearTrainer",
    "lightgbm": "bench.learning.models.lightgbm:LightGBMTrainer",
}
LIBRARIES: Mapping[str, Sequence[str]] = {
    "linear": ("numpy", "scipy"),
    "lightgbm": ("numpy", "lightgbm"),
}
"""The libraries that decide what is fitted."""


def trainer(options: LtrOptions) -> Trainer:
    """Return what fits the model that the options name."""
    built: Trainer = resolve(options.model, TABLE, "model")(options)
    return built


def requirements(options: LtrOptions) -> Sequence[Requirement]:
    """Return what the model needs to run."""
    if _kind(options) == "lightgbm":
        return (LIGHTGBM,)
    return ()


def libraries(options: LtrOptions) -> dict[str, str | None]:
    """Return the versions of the libraries that decide the scores."""
    return {name: installed(name) for name in LIBRARIES.get(_kind(options), ("numpy",))}


def loaded(path: Path, options: LtrOptions) -> Model:
    """Return a model that was trained before: JSON of this project or of XGBoost, text of LightGBM.
    Raises RerankerError for anything else.
    """
    from bench.learning.models import lightgbm, linear, xgboost

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RerankerError(f"ltr: load: {path.name} cannot be read: {error}") from error
    try:
        if path.suffix == ".txt":
            return lightgbm.LightGBMTrainer(options).read(text)
        if '"learner"' in text[:10_000]:
            return xgboost.read(text)
        return linear.LinearTrainer(options).read(text)
    except RerankerError as error:
        raise RerankerError(f"ltr: load: {path.name}: {error}") from error


def read(kind: str, text: str, options: LtrOptions) -> Model:
    """Return a model of a kind from the text that it wrote."""
    if kind == "xgboost":
        from bench.learning.models import xgboost

        return xgboost.read(text)
    reader: Trainer = resolve(kind, TABLE, "model")(options)
    return reader.read(text)


def _kind(options: LtrOptions) -> str:
    """Return the kind of model that runs: of a file, by its name."""
    if options.load is None:
        return options.model
    return "lightgbm" if options.load.endswith(".txt") else "loaded"
