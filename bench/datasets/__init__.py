"""Datasets: documents, queries, graded judgments and an identity, whatever they were loaded from.

A dataset id is its kind, a colon, and what that kind of loader needs:

    embedded:NAME                     a collection that comes with the package
    files:FOLDER                      a folder of files, relative to the suite's;
                                      files:FOLDER#SPLIT for BEIR's layout
    irds:ID                           anything ir_datasets knows
    custom:package.module:callable    an outsider's loader;
                                      custom:package.module:callable#TEXT passes it TEXT

A loader is a callable `(reference: str, base_dir: Path) -> Dataset`; those of the table take a
`Reading`, too. It brings documents, queries, qrels and what its identity declares; sampling, the
template, counted warnings and content hashes are added here, the same way for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.core.errors import DataError, SuiteError, nearest
from bench.core.note import Notes
from bench.core.options import validated
from bench.core.paths import expanded
from bench.core.plugins import resolve
from bench.datasets import provenance
from bench.datasets.base import Dataset, Qrels
from bench.datasets.grades import GradeProblem, grade
from bench.datasets.judgment_rows import read_qrels
from bench.datasets.only import restricted
from bench.datasets.options import DatasetOptions, template_fields
from bench.datasets.reading import Reading

__all__ = ["TABLE", "DatasetOptions", "embedded_names", "load", "options_for"]

TABLE = {
    "embedded": "bench.datasets.embedded:load",
    "files": "bench.datasets.files:load",
    "irds": "bench.datasets.irds:load",
}
CUSTOM = "custom"
UNJUDGED = "none"
"""What the option `qrels` says where nobody has judged yet."""
SAMPLED = 10_000
"""Documents of a large file that a check reads."""


def load(
    dataset_id: str,
    options: DatasetOptions | Mapping[str, Any] | None,
    base_dir: Path,
    seed: int = 42,
    *,
    check: bool = False,
) -> Dataset:
    """Return the dataset behind an id.

    Relative paths are relative to `base_dir`; `seed` draws the sample of queries, where the options
    want one. `check` reads only the first documents of a large file and downloads nothing: enough
    to say what would fail.

    Raises SuiteError for an id or options that cannot be used, DataError for bad data, Unavailable
    for what is not on this machine.
    """
    from bench.datasets.prepare import prepare

    settings = validated(DatasetOptions, options, dataset_id)
    kind, reference = _split(dataset_id)
    fields = template_fields(settings.document)
    limit = SAMPLED if check else None
    reading = Reading(fields, settings.grades, limit, check, judged=settings.qrels is None)
    if kind == CUSTOM:
        dataset = _custom(dataset_id, reference, base_dir, reading)
    else:
        loader = resolve(kind, TABLE, "dataset kind")
        dataset = loader(reference, base_dir, reading)
    dataset = _judged(dataset, settings, base_dir)
    if settings.only is not None:
        dataset = restricted(dataset, base_dir / expanded(settings.only))
    return prepare(dataset, settings, seed)


def _judged(dataset: Dataset, settings: DatasetOptions, base_dir: Path) -> Dataset:
    """Return the dataset with the judgments that its options name. Raises DataError."""
    if settings.qrels is None:
        return dataset
    if settings.qrels == UNJUDGED:
        empty: Qrels = {query_id: {} for query_id in dataset.queries}
        return replace(dataset, qrels=empty, is_unjudged=True, judge=None)
    path = base_dir / expanded(settings.qrels)
    notes = Notes()
    qrels = read_qrels(path, notes, settings.grades)
    judge = provenance.facts_of(path, qrels)
    warnings = (*dataset.warnings, *notes.all())
    return replace(dataset, qrels=qrels, warnings=warnings, judge=judge)


def _custom(dataset_id: str, reference: str, base_dir: Path, reading: Reading) -> Dataset:
    """Return the dataset of an outsider's loader, its grades mapped and checked."""
    target, _, rest = reference.partition("#")
    dataset = resolve(target, {}, "dataset loader")(rest, base_dir)
    if not isinstance(dataset, Dataset):
        problem = (
            f"the loader returned a {type(dataset).__name__}, not a bench.datasets.base.Dataset"
        )
        raise SuiteError(f"{dataset_id}: {problem}")
    qrels: dict[str, dict[str, int]] = {}
    for query_id, labels in dataset.qrels.items():
        for doc_id, label in labels.items():
            try:
                qrels.setdefault(query_id, {})[doc_id] = grade(label, reading.grades)
            except GradeProblem as error:
                problem = f"query '{query_id}', document '{doc_id}': {error}"
                raise DataError(f"{dataset_id}: {problem}") from error
    return replace(dataset, qrels=qrels)


def options_for(dataset_id: str) -> type[DatasetOptions]:
    """Return the model that validates a dataset's options. Imports no loader.

    Raises SuiteError for an id of no known kind.
    """
    _split(dataset_id)
    return DatasetOptions


def embedded_names() -> list[str]:
    """Return the collections that come with the package. Cheap."""
    from bench.datasets import embedded

    return embedded.names()


def _split(dataset_id: str) -> tuple[str, str]:
    kind, colon, reference = dataset_id.partition(":")
    if kind in TABLE or kind == CUSTOM:
        if reference:
            return kind, reference
        raise SuiteError(
            f"dataset '{dataset_id}' names nothing: write {kind}:... as in {_grammar()}"
        )
    if colon:
        raise SuiteError(
            f"unknown dataset kind '{kind}' in '{dataset_id}': {nearest(kind, (*TABLE, CUSTOM))}"
        )
    names = embedded_names()
    if dataset_id in names:
        raise SuiteError(
            f"dataset '{dataset_id}' lacks its kind: did you mean 'embedded:{dataset_id}'?"
        )
    hint = "none embedded"
    if names:
        hint = nearest(dataset_id, names)
    raise SuiteError(f"dataset '{dataset_id}' lacks its kind: write {_grammar()} ({hint})")


def _grammar() -> str:
    return "embedded:NAME, files:FOLDER, irds:ID or custom:package.module:callable"
