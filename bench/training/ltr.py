"""Learned stages by a recipe: trained by the stage `ltr` itself in the run that compares it, and
its model written as the file that `ltr: {load: FILE}` takes.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from bench.contract.part import Part
from bench.core.atomic import write_atomically
from bench.core.errors import RerankerError
from bench.learning.model_files import PROVENANCE
from bench.serving.learned import model_file
from bench.suite.moved import moved
from bench.training.comparison import TRAINED, Gain, restricted
from bench.training.recipe import Recipe
from bench.training.split import Split

LTR = "ltr"
MODEL = "model"


def row(recipe: Recipe, split: Split, out: Path) -> Part:
    """Return the stage as a row of the comparison: trained on the training queries, or, where the
    recipe has no test, cross-fitted on all of them.
    """
    options: dict[str, Any] = dict(moved(dict(recipe.ltr or {}), recipe.base_dir, out))
    options.setdefault("seed", recipe.seed)
    if recipe.test is not None:
        (entry,) = restricted(recipe, split.datasets, split.portions.train, "training", out)
        options["train"] = entry
    return Part(LTR, {"name": TRAINED, **options})


def keep_model(gain: Gain, out: Path) -> Path:
    """Copy the model that a run has trained on all training queries, and what says which these
    are, into `out`; return the file that `ltr` loads. Raises RerankerError where there is none.
    """
    run = gain.run
    for record in run.records.values():
        if record.trial.reranker != TRAINED:
            continue
        source = model_file(run, record)
        if source is None:
            continue
        path = out / f"{MODEL}{source.suffix}"
        write_atomically(path, source.read_bytes())
        provenance = source.with_name(f"{source.name}{PROVENANCE}")
        if provenance.is_file():
            shutil.copyfile(provenance, path.with_name(f"{path.name}{PROVENANCE}"))
        return path
    raise RerankerError(f"{run.folder}: the run has no file of the trained model")
