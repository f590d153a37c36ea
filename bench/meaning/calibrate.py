"""What the scores of each row mean: errors of the scores as they are, and of maps from scores to
probabilities that were fitted on other queries.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from bench.calibration import errors, maps
from bench.calibration.errors import Bins
from bench.calibration.file import Calibration, Errors, FittedOn
from bench.calibration.logistic import logistic
from bench.core.errors import CalibrationError, DataError, RecordError
from bench.core.note import Note
from bench.core.version import version
from bench.datasets.folds import query_digest
from bench.meaning.cross_fitting import (
    FOLDS,
    PLATT,
    RECIPES,
    Recipe,
    cross_fitted,
    fold_numbers,
    lists_of,
    map_of_group,
    refuse_folds,
)
from bench.meaning.error_intervals import AUC, Labelled, auc_of, errors_of
from bench.meaning.far_scores import far_scores
from bench.meaning.groups import groups_of
from bench.meaning.paired_brier import BrierDifference, SquaredErrors, brier_differences
from bench.meaning.resampling import Resampling
from bench.records.judged_scores import (
    JudgedScores,
    Scale,
    all_judged_scores,
    judged_scores,
    rows_named,
)
from bench.records.judges import refuse_unjudged
from bench.records.rows import GroupKey, group_of
from bench.records.run import Run

if TYPE_CHECKING:
    from bench.calibration.arrays import FloatArray, IntArray

Unjudged = Literal["left-out", "not-relevant"]
RAW = "as they are"
LOGISTIC = "logistic of them"
"""1 / (1 + exp(-score)), which libraries apply to what they call logits."""


@dataclass(frozen=True)
class Assessed:
    """Scores or probabilities of one kind, with their errors. `errors` has AUC alone where they are
    no probabilities, and is empty where a map could not be fitted, for which `problem` says why.
    `squares` are the squared errors of probabilities, summed by query, shape (queries,).
    """

    name: str
    errors: Errors = field(default_factory=dict)
    curve: Bins | None = None
    problem: str = ""
    fitted: bool = False
    squares: FloatArray | None = None

    @property
    def are_probabilities(self) -> bool:
        return self.curve is not None


@dataclass(frozen=True)
class Reading:
    """A row's scores under one reading of unjudged documents. `raw` are the scores without a map,
    `maps` those with one, fitted on other queries.
    """

    unjudged: Unjudged
    pairs: int
    relevant: int
    queries: int
    raw: Sequence[Assessed]
    maps: Sequence[Assessed]

    @property
    def all(self) -> Sequence[Assessed]:
        return (*self.raw, *self.maps)

    @property
    def best(self) -> Assessed | None:
        """The map with the lowest Brier score, so the highest Brier skill; None without one."""
        usable = [each for each in self.maps if each.are_probabilities]
        return min(usable, key=lambda each: each.errors["brier"].value or 0.0, default=None)


@dataclass(frozen=True)
class RowCalibration:
    """The scores of one row. `readings` has the default one first, and the other one where some
    documents are unjudged and the collection has judgments of documents that are not relevant.
    `against` is its difference to the first stage's row of the same candidates, or to the first
    row, where several rows are asked for.
    """

    table: JudgedScores
    readings: Sequence[Reading]
    groups: Sequence[str] = ()
    notes: Sequence[Note] = ()
    against: BrierDifference | None = None

    @property
    def unjudged(self) -> int:
        return int((~self.table.is_judged).sum())


@dataclass(frozen=True)
class Settings:
    """How maps are fitted and errors resampled. `by` is a field of the queries: each of its values
    has maps of its own.
    """

    folds: int = FOLDS
    seed: int = 0
    recipes: Sequence[Recipe] = RECIPES
    by: str | None = None


def calibrate(
    run: Run,
    name: str | None = None,
    *,
    dataset: str | None = None,
    first_stage: str | None = None,
    settings: Settings | None = None,
) -> list[RowCalibration]:
    """Return the errors of each row of a run, or of the rows of one reranker or trial.

    Raises RecordError for a name that is unknown and a run without scores, CalibrationError where
    the scores of what is named are ranks, DataError where every row has fewer queries than folds.
    """
    tables = tables_of(run, name, dataset=dataset, first_stage=first_stage)
    own = settings or Settings(seed=run.seed)
    return calibrated(run, tables, own, is_named=name is not None)


def calibrated(
    run: Run, tables: Sequence[JudgedScores], settings: Settings, *, is_named: bool
) -> list[RowCalibration]:
    """Return the errors of some rows. Where they are named (`is_named`), ranks are refused."""
    if is_named:
        for table in tables:
            refuse_ranks(table)
    refuse_folds(run, tables, settings.folds, settings.seed)
    rows = [_row(run, table, settings) for table in tables]
    groups: dict[GroupKey, list[RowCalibration]] = {}
    for row in rows:
        groups.setdefault(group_of(row.table.row.trial), []).append(row)
    compared = {key: iter(_compared(own, settings.seed)) for key, own in groups.items()}
    return [next(compared[group_of(row.table.row.trial)]) for row in rows]


def _compared(rows: Sequence[RowCalibration], seed: int) -> list[RowCalibration]:
    """Return rows over the same candidates with their differences in the Brier score to the first
    stage's, or to the first of them that has probabilities.
    """
    squares = [_squares(row) for row in rows]
    usable = [(row, own) for row, own in zip(rows, squares, strict=True) if own is not None]
    if len(usable) < 2:
        return list(rows)
    firsts = [pair for pair in usable if pair[0].table.row.trial.is_first_stage]
    lead, baseline = (firsts or usable)[0]
    differences = brier_differences(squares, baseline, lead.table.name, seed)
    return [replace(row, against=own) for row, own in zip(rows, differences, strict=True)]


def _squares(row: RowCalibration) -> SquaredErrors | None:
    """Return the squared errors of a row's probabilities: of its scores where they are some, else
    of Platt's map, cross-fitted; None where it has neither.
    """
    import numpy as np

    reading = row.readings[0]
    platt = [each for each in reading.maps if each.name == PLATT.name]
    sums = [each.squares for each in (*reading.raw[:1], *platt) if each.squares is not None]
    if not sums:
        return None
    labels = labels_of(row.table, reading.unjudged)
    owners = row.table.owners[~np.isnan(labels)]
    documents = np.bincount(owners, minlength=len(row.table.query_ids)).astype(np.float64)
    return SquaredErrors(row.table.query_ids, sums[0], documents)


def tables_of(
    run: Run,
    name: str | None = None,
    *,
    dataset: str | None = None,
    first_stage: str | None = None,
) -> list[JudgedScores]:
    """Return the scores and grades of the rows that are asked for. Raises RecordError where there
    are none.
    """
    if name is None:
        tables = all_judged_scores(run)
    else:
        tables = [judged_scores(run, row) for row in rows_named(run, name)]
    if not tables:
        refuse_unjudged(run)
        raise RecordError(
            f"{run.folder}: keeps no scores: run the suite again, without `store_scores: false`"
        )
    datasets = [table.row.trial.dataset for table in tables]
    tables = _named(run, tables, datasets, dataset, "dataset")
    first_stages = [table.row.trial.first_stage for table in tables]
    return _named(run, tables, first_stages, first_stage, "first stage")


def _named(
    run: Run, tables: list[JudgedScores], names: Sequence[str], wanted: str | None, kind: str
) -> list[JudgedScores]:
    """Return the tables of one name; all of them where none is wanted."""
    if wanted is None:
        return tables
    if wanted not in names:
        known = ", ".join(dict.fromkeys(names))
        raise RecordError(f"{run.folder}: there is no {kind} '{wanted}'; there is {known}")
    return [table for table, name in zip(tables, names, strict=True) if name == wanted]


def refuse_ranks(table: JudgedScores) -> None:
    """Raise CalibrationError where a row's scores are places and nothing else."""
    if table.are_ranks:
        raise CalibrationError(f"{table.row.trial.id}: {RANKS[table.scale]}: {NO_MAP}")


RANKS = {
    Scale.RANKS: "its scores are ranks (they fall by equal steps in every query)",
    Scale.REDEALT: "its scores are ranks (the first stage's scores, dealt out anew)",
}
NO_MAP = "a rank says nothing of relevance across queries; take a row with scores of its own"


def default_reading(table: JudgedScores) -> Unjudged:
    """Return how unjudged documents are read: left out, but where only relevant ones are judged."""
    if table.relevant_only:
        return "not-relevant"
    return "left-out"


def labels_of(table: JudgedScores, unjudged: Unjudged) -> FloatArray:
    return table.labels(unjudged_as_not_relevant=unjudged == "not-relevant")


def _row(run: Run, table: JudgedScores, settings: Settings) -> RowCalibration:
    first = default_reading(table)
    names: list[Unjudged] = [first]
    if first == "left-out" and not table.is_judged.all():
        names.append("not-relevant")
    groups: list[str] = []
    if settings.by is not None:
        groups = groups_of(run, table, settings.by)
    readings = [_reading(run, table, name, settings, groups) for name in names]
    notes: list[Note] = []
    if not table.are_ranks:
        far = far_scores(lists_of(table), labels_of(table, first))
        notes += [far] if far is not None else []
    return RowCalibration(table, readings, groups, notes)


def _reading(
    run: Run, table: JudgedScores, unjudged: Unjudged, settings: Settings, groups: Sequence[str]
) -> Reading:
    import numpy as np

    labels = labels_of(table, unjudged)
    is_known = ~np.isnan(labels)
    owners = table.owners[is_known]
    resampling = Resampling(len(table.query_ids), settings.seed)
    labelled = Labelled(labels[is_known], owners, resampling)
    scores = table.scores[is_known]
    raw = list(_raw(table, scores, labelled))
    assessed: list[Assessed] = []
    if len(scores) and not table.are_ranks:
        try:
            fold_of = fold_numbers(run, table, settings.folds, settings.seed)
        except DataError as error:
            names = [recipe.name for recipe in settings.recipes]
            assessed = [Assessed(name, problem=str(error), fitted=True) for name in names]
        else:
            assessed = list(_maps(table, labels, labelled, fold_of, settings.recipes, groups))
    return Reading(
        unjudged,
        int(is_known.sum()),
        int(labelled.labels.sum()),
        len(np.unique(owners)),
        raw,
        assessed,
    )


def _maps(
    table: JudgedScores,
    labels: FloatArray,
    labelled: Labelled,
    fold_of: IntArray,
    recipes: Sequence[Recipe],
    groups: Sequence[str],
) -> Iterator[Assessed]:
    """Yield the probabilities of each kind of map, cross-fitted; why there are none, where a fold
    has nothing to fit it on.
    """
    import numpy as np

    is_known = ~np.isnan(labels)
    lists = lists_of(table)
    for recipe in recipes:
        try:
            values = cross_fitted(recipe, lists, labels, fold_of, groups)
        except CalibrationError as error:
            yield Assessed(recipe.name, problem=str(error), fitted=True)
        else:
            folds = fold_of[table.owners][is_known]
            yield _assessed(recipe.name, values[is_known], labelled, folds)


def _raw(table: JudgedScores, scores: FloatArray, labelled: Labelled) -> Iterator[Assessed]:
    """Yield the scores of documents with a label without a map: as they are, and through a logistic
    curve where the row's are no probabilities.
    """
    if table.are_ranks:
        yield Assessed(RAW, {AUC: auc_of(scores, labelled)}, problem="ranks")
        return
    if not len(scores):
        yield Assessed(RAW, problem="no judged documents")
        return
    if table.scores.min() >= 0 and table.scores.max() <= 1:
        yield _assessed(RAW, scores, labelled)
        return
    yield Assessed(RAW, {AUC: auc_of(scores, labelled)}, problem="not probabilities")
    yield _assessed(LOGISTIC, logistic(scores), labelled)


def _assessed(
    name: str, probabilities: FloatArray, labelled: Labelled, folds: IntArray | None = None
) -> Assessed:
    """Return probabilities with their errors; `folds` are those of each document where a map of
    each fold gave them.
    """
    return Assessed(
        name,
        errors_of(probabilities, labelled, folds),
        errors.reliability(probabilities, labelled.labels),
        fitted=folds is not None,
        squares=labelled.by_query((probabilities - labelled.labels) ** 2),
    )


def calibration_of(
    run: Run, row: RowCalibration, recipe: Recipe, settings: Settings
) -> Calibration:
    """Return the map fitted on all queries of a row, with the errors that it had when it was fitted
    on other queries than those measured.

    Raises CalibrationError where there is nothing to fit it on, or nothing to fit it on in the
    other folds: a map without an error of its own says nothing of what it is worth.
    """
    import numpy as np

    table = row.table
    reading = row.readings[0]
    own = next((each for each in reading.maps if each.name == recipe.name), None)
    if own is not None and own.problem:
        raise CalibrationError(
            f"{table.row.trial.id}: no {recipe.name} map is written: none could be fitted on other "
            f"queries than those that it is measured on: {own.problem}"
        )
    labels = labels_of(table, reading.unjudged)
    lists = lists_of(table)
    groups: dict[str, maps.ScoreMap] = {}
    for group in sorted(set(row.groups)):
        is_wanted = np.array([own == group for own in row.groups])
        part, is_theirs = lists.part(is_wanted)
        groups[group] = map_of_group(recipe, part, labels[is_theirs], group)
    return Calibration(
        map=maps.fitted(recipe.kind, lists, labels, recipe.features),
        fitted_on=_fitted_on(run, row, recipe, settings),
        by=settings.by,
        groups=groups,
    )


def _query_digests(run: Run, table: JudgedScores) -> list[str]:
    """Return the digests of a row's queries whose texts the run has."""
    queries = run.queries
    own = queries[queries["dataset"] == table.row.trial.dataset]
    texts = dict(zip(own["query"].tolist(), own["text"].tolist(), strict=True))
    measured = [texts.get(query_id) for query_id in table.query_ids]
    return sorted({query_digest(text) for text in measured if isinstance(text, str)})


def _fitted_on(run: Run, row: RowCalibration, recipe: Recipe, settings: Settings) -> FittedOn:
    table = row.table
    trial = table.row.trial
    record = run.records[trial.id]
    reading = row.readings[0]
    raw = next((each.errors for each in reading.raw if each.are_probabilities), None)
    own = next((each.errors for each in reading.maps if each.name == recipe.name), {})
    return FittedOn(
        reranker=trial.reranker,
        identity=record.identity.without_libraries().digest,
        dataset=trial.dataset,
        dataset_hashes=dict(record.keys["quality"].fields.get("dataset") or {}),
        first_stage=trial.first_stage,
        depth=trial.depth,
        relevant_from=table.threshold,
        unjudged=reading.unjudged,
        pairs=reading.pairs,
        relevant=reading.relevant,
        unjudged_pairs=row.unjudged,
        queries=reading.queries,
        query_digests=_query_digests(run, table),
        folds=settings.folds,
        seed=settings.seed,
        raw=raw,
        cross_fitted=own,
        run=run.info.id,
        version=version(),
    )
