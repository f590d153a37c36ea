"""From material to judged lists: negatives chosen, labels given, everything counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from bench.core.counting import counted
from bench.core.progress import Observer
from bench.datasets.base import Dataset
from bench.datasets.folds import visible_text
from bench.datasets.judged_queries import JudgedQuery
from bench.scoring.engine import HERE
from bench.scoring.executors.base import Executor
from bench.training.lists import DataFacts, TrainingData, TrainingList
from bench.training.material import Material, material, mined
from bench.training.mining import Miner
from bench.training.negatives import Chosen, Scores, choose, window
from bench.training.recipe import Recipe
from bench.training.split import Split
from bench.training.teaching import Bill, Lesson, Teacher, teacher_of

BINARY = ("binary-cross-entropy", "contrastive")
"""Losses whose labels are 0 and 1."""
MARGIN = "margin-mse"
"""The loss whose labels are a teacher's scores."""
Answers = dict[str, dict[str, float]]
"""Query name -> document id -> a teacher's score."""


class Row(NamedTuple):
    """A training query with its negatives; `positives` are its first documents."""

    query: JudgedQuery
    positives: tuple[str, ...]
    chosen: Chosen

    @property
    def doc_ids(self) -> tuple[str, ...]:
        return (*self.positives, *self.chosen.doc_ids)


def build(
    recipe: Recipe, split: Split, miner: Miner, teacher: Teacher | None, observer: Observer
) -> TrainingData:
    """Return the lists to train on, and those to choose the best step by. Raises DataError where
    nothing is left to train on.
    """
    source = material(recipe, split, miner)
    answers: Answers = {}
    if teacher is not None and recipe.negatives.below is not None:
        answers = _asked(teacher, source, _windows(recipe, source))
    rows = _rows(recipe, source, answers)
    labels = answers
    if teacher is not None and recipe.learns_scores:
        labels = _asked(teacher, source, {row.query.name: row.doc_ids for row in rows})
        rows = [row for row in rows if row.query.name in labels]
    failed = len(source.queries) - len(rows)
    if failed:
        observer.note(f"left out, since the teacher did not answer: {counted(failed, 'query')}")
    data = _data(recipe, split, miner, source, rows, labels)
    if data.facts.shared_documents:
        documents = counted(data.facts.shared_documents, "document")
        observer.note(
            f"{documents} of the training lists are relevant to test queries: as negatives of "
            "others, which teaches nothing of the test queries themselves"
        )
    return replace(data, facts=data.facts._replace(failed=failed))


class Forecast(NamedTuple):
    """What training would take: its data, before a teacher leaves negatives out and with 0 for its
    scores, and what the teacher would be asked.
    """

    data: TrainingData
    bill: Bill | None


def training_data(
    recipe: Recipe,
    split: Split,
    device: str | None,
    observer: Observer,
    executor: Executor = HERE,
) -> TrainingData:
    """Return the lists to train on, mined and scored by a teacher where the executor does its
    work.
    """
    miner = Miner(recipe, device, observer, executor)
    teacher = teacher_of(recipe, device, observer, executor)
    return build(recipe, split, miner, teacher, observer)


def forecast(recipe: Recipe, split: Split, miner: Miner, teacher: Teacher | None) -> Forecast:
    """Return the data of a training and the teacher's bill; the teacher is not asked. The bill is
    an upper limit where the teacher chooses the negatives whose scores are wanted.
    """
    source = material(recipe, split, miner)
    untaught = recipe.negatives.model_copy(update={"below": None})
    rows = _rows(recipe.model_copy(update={"negatives": untaught}), source, {})
    data = _data(recipe, split, miner, source, rows, {})
    if teacher is None:
        return Forecast(data, None)
    wanted: dict[str, tuple[str, ...]] = {}
    if recipe.negatives.below is not None:
        wanted = _windows(recipe, source)
    if recipe.learns_scores:
        for row in rows:
            both = (*wanted.get(row.query.name, ()), *row.doc_ids)
            wanted[row.query.name] = tuple(dict.fromkeys(both))
    bills = [teacher.bill(*lessons) for lessons in _lessons(source, wanted)]
    prices = [bill.usd for bill in bills]
    usd = None
    if None not in prices:
        usd = sum(price or 0.0 for price in prices)
    return Forecast(data, Bill(sum(bill.pairs for bill in bills), usd))


def _data(
    recipe: Recipe,
    split: Split,
    miner: Miner,
    source: Material,
    rows: Sequence[Row],
    labels: Mapping[str, Scores],
) -> TrainingData:
    """Return the data that rows make, with a teacher's scores as `labels`."""
    train = [_list(recipe, source.datasets, row, labels) for row in rows]
    dev = _dev_lists(split, miner)
    facts = _facts(split, source, rows)._replace(dev_queries=len(dev))
    dev_qrels = {query.name: query.grades for query in split.portions.dev}
    positives = {row.query.name: len(row.positives) for row in rows}
    return TrainingData(train, dev, dev_qrels, positives, facts, split.seen)


def _windows(recipe: Recipe, source: Material) -> dict[str, tuple[str, ...]]:
    """Return the documents of each query that decide which negatives a teacher leaves out."""
    wanted: dict[str, tuple[str, ...]] = {}
    for query in source.queries:
        candidates = source.candidates[query.name]
        inside = window(recipe.negatives, query, candidates, source.barred[query.dataset])
        wanted[query.name] = (*query.positives, *inside.doc_ids)
    return wanted


def _lessons(
    source: Material, wanted: Mapping[str, Sequence[str]]
) -> list[tuple[Dataset, list[Lesson]]]:
    """Return what a teacher is asked of each dataset."""
    lessons: list[tuple[Dataset, list[Lesson]]] = []
    for place, dataset in enumerate(source.datasets):
        own = [
            Lesson(query, wanted[query.name])
            for query in source.queries
            if query.dataset == place and query.name in wanted
        ]
        if own:
            lessons.append((dataset, own))
    return lessons


def _asked(teacher: Teacher, source: Material, wanted: Mapping[str, Sequence[str]]) -> Answers:
    """Return a teacher's scores. A query that failed has none."""
    answers: Answers = {}
    for dataset, lessons in _lessons(source, wanted):
        answers |= teacher.scores(dataset, lessons)
    return answers


def _rows(recipe: Recipe, source: Material, answers: Mapping[str, Scores]) -> list[Row]:
    """Return each query with its negatives; one without the answer that its negatives need is left
    out.
    """
    rows: list[Row] = []
    for query in source.queries:
        if recipe.negatives.below is not None and query.name not in answers:
            continue
        chosen = choose(
            recipe.negatives,
            query,
            source.candidates[query.name],
            source.collections[query.dataset],
            recipe.seed,
            teacher=answers.get(query.name),
            barred=source.barred[query.dataset],
        )
        rows.append(Row(query, _positives(recipe, source.datasets, query), chosen))
    return rows


def _positives(recipe: Recipe, datasets: Sequence[Dataset], query: JudgedQuery) -> tuple[str, ...]:
    """Return the documents that a list begins with: the relevant ones, and for a loss over graded
    lists those of any grade above 0.
    """
    if recipe.objective in BINARY or recipe.objective == MARGIN:
        return query.positives
    graded = [(-grade, doc_id) for doc_id, grade in query.grades.items() if grade > 0]
    others = [doc_id for _, doc_id in sorted(graded) if doc_id not in query.positives]
    return (*query.positives, *datasets[query.dataset].known(others))


def _list(
    recipe: Recipe,
    datasets: Sequence[Dataset],
    row: Row,
    labels: Mapping[str, Scores],
) -> TrainingList:
    """Return a training list; a label that a teacher has not given is 0."""
    query, doc_ids = row.query, row.doc_ids
    texts = datasets[query.dataset].texts(doc_ids)
    scores = labels.get(query.name, {})
    if recipe.objective == MARGIN:
        values = [scores.get(doc_id, 0.0) for doc_id in doc_ids]
    elif recipe.objective in BINARY:
        values = [1.0] * len(row.positives) + [0.0] * len(row.chosen.doc_ids)
    else:
        values = [float(max(0, query.grades.get(doc_id, 0))) for doc_id in doc_ids]
    if recipe.anchor is not None:
        pairs = zip(values, doc_ids, strict=True)
        values = [grade + recipe.anchor * scores.get(doc_id, 0.0) for grade, doc_id in pairs]
    values = [recipe.sharpness * value for value in values]
    return TrainingList(query.name, query.text, doc_ids, texts, values)


def _dev_lists(split: Split, miner: Miner) -> list[TrainingList]:
    """Return the candidates of dev queries with their grades; a query without candidates has an
    empty list, and scores 0.
    """
    queries = split.portions.dev
    candidates = mined(miner, queries, split.dev_datasets)
    lists: list[TrainingList] = []
    for query in queries:
        doc_ids = candidates[query.name].doc_ids
        texts = split.dev_datasets[query.dataset].texts(doc_ids)
        grades = [float(query.grades.get(doc_id, 0)) for doc_id in doc_ids]
        lists.append(TrainingList(query.name, query.text, doc_ids, texts, grades))
    return lists


def _facts(split: Split, source: Material, rows: Sequence[Row]) -> DataFacts:
    """Return the counts of the training lists."""
    chosen = [row.chosen for row in rows]
    judged = sum(len(each.judged) for each in chosen)
    return DataFacts(
        queries=len(rows),
        positives=sum(len(row.positives) for row in rows),
        hard=judged + sum(len(each.hard) for each in chosen),
        judged=judged,
        easy=sum(len(each.easy) for each in chosen),
        dropped_by_teacher=sum(each.by_teacher for each in chosen),
        dropped_by_margin=sum(each.by_margin for each in chosen),
        without_positive=split.without_positive,
        dropped_by_leak=split.dropped,
        dropped_of_dev=split.dropped_of_dev,
        shared_documents=_shared(split, source, rows),
    )


def _shared(split: Split, source: Material, rows: Sequence[Row]) -> int:
    """Return how many documents of the training lists are relevant to test queries, by their
    texts.
    """
    relevant: set[str] = set()
    for query in split.portions.test:
        texts = split.test_datasets[query.dataset].texts(query.positives)
        relevant |= set(map(visible_text, texts))
    relevant.discard("")
    by_place: dict[int, dict[str, None]] = {}
    for row in rows:
        by_place.setdefault(row.query.dataset, {}).update(dict.fromkeys(row.doc_ids))
    shared: set[str] = set()
    for place, doc_ids in by_place.items():
        texts = source.datasets[place].texts(list(doc_ids))
        shared |= relevant & set(map(visible_text, texts))
    return len(shared)
