"""What a training brought: the trained model next to its untuned base, BM25 and the first stage on
the test queries, as an ordinary run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench.comparison.pairs import Side, paired
from bench.contract.part import Part
from bench.contract.trial import FIRST_STAGE
from bench.core.atomic import write_atomically
from bench.core.errors import RerankerError
from bench.core.filenames import file_stem
from bench.core.options import as_mapping
from bench.core.progress import Observer
from bench.core.redaction import redacted
from bench.datasets.base import Dataset
from bench.datasets.judged_queries import JudgedQuery
from bench.quality import statistics
from bench.quality.statistics import Difference, Estimate
from bench.records.run import Run
from bench.runner import loop
from bench.suite import suite as suites
from bench.suite.moved import moved
from bench.suite.naming import display_name
from bench.suite.nested import options_for
from bench.suite.suite import Suite
from bench.training.recipe import Recipe
from bench.training.split import Split

TRAINED, UNTUNED, BM25, PIPELINE = "trained", "untuned", "bm25", "negatives' pipeline"
"""The rows of the comparison."""
SUITE = "comparison.yaml"
RUNS = "comparison"
MEASURES = ("nDCG@10", "RR@10")


@dataclass(frozen=True)
class Gain:
    """The difference of the trained row to another one, `base`, over all test queries together:
    the untuned base, or the first stage where a base scores nothing. `rows` are the means of all
    rows, in the order of the table.
    """

    measure: str
    base: str
    trained: Estimate
    untrained: Estimate
    difference: Difference
    rows: Mapping[str, Estimate]
    run: Run


@dataclass(frozen=True)
class Comparing:
    """Runs comparisons under `out`; the other fields are those of a run."""

    out: Path
    device: str | None
    observer: Observer
    fresh: bool = False
    command: str = ""
    on: str | None = None

    def gain(self, recipe: Recipe, split: Split, rows: Sequence[Part]) -> Gain:
        """Return what the row named `trained` gains, from a run over the test queries. Paths in
        `rows` are as seen from `out`. Raises RerankerError where that row has failed.
        """
        suite = self.suite(recipe, split, rows)
        run = loop.run(
            suite,
            out=self.out / RUNS,
            device=self.device,
            time_it=False,
            fresh=self.fresh,
            observer=self.observer,
            command=self.command,
        )
        return gain_of(run, display_name(recipe.first_stage))

    def suite(self, recipe: Recipe, split: Split, rows: Sequence[Part]) -> Suite:
        """Return the suite of a comparison, and write its file."""
        fields = suite_fields(recipe, split, rows, self.out)
        path = self.out / SUITE
        # the file is without secrets, the run needs them
        write_atomically(path, _text(redacted(fields)).encode())
        suite = suites.parse(_text(fields), str(path), path.resolve().parent)
        if self.on is not None:
            return suite.with_executor(self.on)
        return suite


def _text(fields: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(fields), sort_keys=False, allow_unicode=True)


def suite_fields(recipe: Recipe, split: Split, rows: Sequence[Part], out: Path) -> dict[str, Any]:
    """Return the suite of the comparison as plain data, its paths as seen from `out`; files with
    the ids of test queries are written there, where test is a share.
    """
    stages = recipe.negatives.pipeline
    first = recipe.first_stage
    pipelines: list[dict[str, Any]] = []
    if first.name != BM25:
        pipelines.append({"name": BM25, "stages": [BM25]})
    if len(stages) > 1:
        entries = [stage.to_entry() for stage in stages]
        pipelines.append({"name": PIPELINE, "stages": entries})
    fields: dict[str, Any] = {
        "first_stages": [first.to_entry()],
        "pipelines": pipelines,
    }
    away = {key: moved(value, recipe.base_dir, out) for key, value in fields.items()}
    return {
        "name": recipe.name,
        "description": f"What training by the recipe {recipe.name} gains on its test queries.",
        "datasets": test_datasets(recipe, split, out),
        **away,
        "rerankers": [part.to_entry() for part in rows],
        "measures": list(MEASURES),
        "depth": recipe.depth,
        "seed": recipe.seed,
        "latency": None,
    }


def test_datasets(recipe: Recipe, split: Split, out: Path) -> list[Any]:
    """Return the entries of the datasets that the trained model is measured on: without a test
    those that an ltr is cross-fitted on.
    """
    test = recipe.test
    if test is None:
        return [moved(part.to_entry(), recipe.base_dir, out) for part in recipe.data]
    if test.dataset is not None:
        return [moved(test.dataset.to_entry(), recipe.base_dir, out)]
    return restricted(recipe, split.datasets, split.portions.test, "test", out)


def restricted(
    recipe: Recipe,
    datasets: Sequence[Dataset],
    queries: Sequence[JudgedQuery],
    portion: str,
    out: Path,
) -> list[Any]:
    """Return the entries of the training data with the queries of a portion alone, and write the
    ids of these next to the suite.
    """
    entries: list[Any] = []
    for place, (part, dataset) in enumerate(zip(recipe.data, datasets, strict=True)):
        ids = [query.query_id for query in queries if query.dataset == place]
        if not ids:
            continue
        name = f"{portion}-queries-{file_stem(dataset.id)}.txt"
        write_atomically(out / name, "".join(f"{query_id}\n" for query_id in ids).encode())
        options = dict(as_mapping(options_for("datasets", part.name), part.options))
        # a sample of the queries, and a file of some, are behind these ids
        for key in ("queries", "only"):
            options.pop(key, None)
        entry = {part.name: {**options, "only": name}}
        entries.append(moved(entry, recipe.base_dir, out))
    return entries


def path_from(path: Path, out: Path) -> str:
    """Return a path as a suite in `out` has it."""
    relative = Path(os.path.relpath(path.resolve(), out.resolve())).as_posix()
    if "/" in relative:
        return relative
    return f"./{relative}"


def gain_of(run: Run, first_stage: str) -> Gain:
    """Return what the trained row of a comparison gains. Raises RerankerError where it, or what it
    is compared with, has no values.
    """
    measure = MEASURES[0]
    values: dict[str, list[float]] = {}
    ours: list[float] = []
    theirs: list[float] = []
    name = FIRST_STAGE
    by_row = _sides(run, first_stage)
    # a base that failed is no reason to compare with something else
    if any(status.trial.reranker == UNTUNED for status in run.info.trials):
        name = UNTUNED
    if TRAINED not in by_row:
        raise RerankerError(f"the trained model was not measured: {_why(run)}")
    if name not in by_row:
        raise RerankerError(f"{name} was not measured: {_why(run)}")
    bases = {side.trial.dataset: side for side in by_row[name]}
    lacking = {record.trial.dataset for record in run.records.values()} - {
        side.trial.dataset for side in by_row[TRAINED] if side.trial.dataset in bases
    }
    if lacking:
        names = ", ".join(sorted(lacking))
        raise RerankerError(f"{TRAINED} or {name} was not measured on {names}: {_why(run)}")
    for new in by_row[TRAINED]:
        old = bases[new.trial.dataset]
        pair = paired(new, old, measure, seed=run.seed)
        own, other = new.values(measure), old.values(measure)
        ours += [own[query] for query in pair.deltas]
        theirs += [other[query] for query in pair.deltas]
    for row, sides in by_row.items():
        values[row] = []
        for side in sides:
            values[row] += side.values(measure).values()
    estimates = {row: statistics.estimate(own, run.seed) for row, own in values.items()}
    return Gain(
        measure,
        name,
        statistics.estimate(ours, run.seed),
        statistics.estimate(theirs, run.seed),
        statistics.difference(ours, theirs, run.seed),
        estimates,
        run,
    )


def _sides(run: Run, first_stage: str) -> dict[str, list[Side]]:
    """Return the measured rows by name, but for those whose queries mostly failed, and for the
    references of other first stages.
    """
    sides: dict[str, list[Side]] = {}
    for record in run.records.values():
        trial = record.trial
        is_other = trial.kind == "reference" and trial.first_stage != first_stage
        if not record.mostly_failed and not is_other:
            sides.setdefault(trial.reranker, []).append(Side(run, record))
    return sides


def _why(run: Run) -> str:
    """Return why rows of a run have no values."""
    reasons = [status.reason for status in run.info.trials if status.reason]
    return "; ".join(dict.fromkeys(reasons)) or "most of its queries failed"
