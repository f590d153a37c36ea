"""What a training left as a document: its data, the model, and what it gains; and what it would
take, before it begins.
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.comparison.learning_curves import learning_curves
from bench.core.counting import counted
from bench.quality.statistics import Difference
from bench.records.run import Run
from bench.reports import cells, numbers
from bench.reports.document import (
    Block,
    Bullets,
    Column,
    Document,
    Paragraph,
    Record,
    Row,
    Section,
    Strong,
    Table,
)
from bench.reports.sections.learning_curves import sentence
from bench.training.comparison import TRAINED, UNTUNED, Gain
from bench.training.lists import DataFacts
from bench.training.recipe import Recipe
from bench.training.train import Foreseen, Trained

LEFT_OUT = {
    "dropped_by_leak": "training queries that leak into dev or test",
    "dropped_of_dev": "dev queries that the test asks, too",
    "without_positive": "queries without a relevant document",
    "failed": "queries that the teacher did not answer",
    "dropped_by_margin": "candidates inside the margin",
    "dropped_by_teacher": "candidates above the teacher's limit",
}
"""What the lists lack, by the name of its count."""


def document(trained: Trained) -> Document:
    """Return a table of the comparison, what was trained on, and the gain in words."""
    blocks: list[Block] = []
    if trained.gain is not None:
        blocks.append(table(trained.gain))
    blocks.append(Bullets([(line,) for line in sentences(trained)]))
    blocks.append(Paragraph((Strong(answer(trained)),)))
    title = f"Trained: {trained.recipe.name}"
    return Document("", [Section("trained", title, blocks)], data=_data(trained))


def forecast(foreseen: Foreseen) -> Document:
    """Return what a training would take."""
    lines = list(of_forecast(foreseen))
    section = Section(
        "forecast", f"Training: {foreseen.recipe.name}", [Bullets([(line,) for line in lines])]
    )
    return Document("", [section], data=_forecast_data(foreseen))


def of_forecast(foreseen: Foreseen) -> Iterator[str]:
    """Yield portions, pairs and what a teacher would be asked."""
    portions = foreseen.split.portions
    yield (
        f"{counted(len(portions.train), 'query')} to train on, {len(portions.dev):,} for dev, "
        f"{len(portions.test):,} for the test."
    )
    if foreseen.data is not None:
        yield from of_data(foreseen.data.facts)
    bill = foreseen.bill
    if bill is not None:
        price = "at a price that is not known"
        if bill.usd is not None:
            price = f"for ${numbers.dollars(bill.usd)}"
        pairs = counted(bill.pairs, "pair")
        yield f"The teacher would be asked about at most {pairs} that no cache has, {price}."
    timed = foreseen.estimate
    if timed is not None:
        memory = "memory that is not known"
        if timed.memory is not None:
            memory = f"{numbers.size(timed.memory)} of memory"
        yield (
            f"{counted(timed.steps, 'step')} over {counted(timed.pairs, 'pair')} and "
            f"{counted(timed.checks, 'check')} of {counted(timed.dev_pairs, 'dev pair')} take "
            f"{numbers.duration(timed.seconds)} on {timed.device} in {timed.dtype}, less where it "
            f"stops early, and {memory}."
        )


def _forecast_data(foreseen: Foreseen) -> Record:
    portions, bill = foreseen.split.portions, foreseen.bill
    data: Record = {
        "recipe": foreseen.recipe.name,
        "queries": len(portions.train),
        "dev_queries": len(portions.dev),
        "test_queries": len(portions.test),
        "dropped": foreseen.split.dropped,
        "dropped_of_dev": foreseen.split.dropped_of_dev,
    }
    if foreseen.data is not None:
        facts = foreseen.data.facts
        data["data"] = {**facts._asdict(), "pairs": facts.pairs}
    if bill is not None:
        data["teacher"] = {"pairs": bill.pairs, "usd": bill.usd}
    timed = foreseen.estimate
    if timed is not None:
        data["training"] = {**vars(timed), "seconds": timed.seconds}
    return data


def table(gain: Gain) -> Table:
    """Return the rows of the comparison."""
    column = Column(gain.measure, gain.measure, better="higher", priority=0, interval="value")
    rows: list[Row] = []
    for name, estimate in gain.rows.items():
        cell = cells.measure(estimate)
        rows.append(Row(name, {gain.measure: cell}, kind="reranker", best=name == TRAINED))
    return Table("row", [column], rows, f"{gain.measure} on the test queries")


def sentences(trained: Trained) -> Iterator[str]:
    """Yield what was trained on, and how."""
    if trained.facts is not None:
        yield from of_data(trained.facts)
    fitted = trained.fitted
    if fitted is not None:
        yield (
            f"{counted(fitted.steps, 'step')} in {numbers.duration(fitted.seconds)} on "
            f"{fitted.device}; the weights are those of step {fitted.best_step:,}, dev nDCG@10 "
            f"{numbers.quality(fitted.best.ndcg)}."
        )
    if trained.gain is not None:
        yield from _fresh_head(trained.recipe, trained.gain.run)
        for curve in learning_curves(trained.gain.run):
            yield sentence(curve)


def _fresh_head(recipe: Recipe, run: Run) -> Iterator[str]:
    """Yield what begins with the weights of a bi-encoder where a cross-encoder does, and how it
    would begin as that bi-encoder.
    """
    if recipe.kind != "cross-encoder" or recipe.head == "cosine":
        return
    bases = [record for record in run.records.values() if record.trial.reranker == UNTUNED]
    if any(record.description["backend"] == "bi-encoder" for record in bases):
        yield (
            f"{recipe.base} has no head for pairs: {TRAINED} began with one of random weights, and "
            f"{UNTUNED} is the bi-encoder of the same weights. `head: cosine` with `lora: {{rank: "
            "8, merge: false}` begins as that bi-encoder does."
        )


def of_data(facts: DataFacts) -> Iterator[str]:
    """Yield the counts of training lists, and of what they lack."""
    yield (
        f"{counted(facts.queries, 'query')} trained on, {counted(facts.pairs, 'pair')}: "
        f"{facts.positives:,} positives, {facts.hard:,} hard negatives ({facts.judged:,} of them "
        f"judged), {facts.easy:,} random ones; {facts.dev_queries:,} dev queries."
    )
    counts = facts._asdict()
    parts = [f"{counts[name]:,} {what}" for name, what in LEFT_OUT.items() if counts[name]]
    if parts:
        yield f"Left out: {', '.join(parts)}."
    if facts.shared_documents:
        documents = counted(facts.shared_documents, "document")
        yield f"{documents} of the training lists are relevant to test queries, as negatives."


def answer(trained: Trained) -> str:
    """Return the gain in a sentence."""
    gain = trained.gain
    if gain is None:
        return "Nothing was compared: the recipe has no test. Write such as test: 0.2."
    difference = gain.difference
    queries = counted(difference.queries, "query")
    return (
        f"{gain.measure} {numbers.quality(gain.trained.mean)} against "
        f"{numbers.quality(gain.untrained.mean)} of {gain.base}, {numbers.tested(difference)}, on "
        f"{queries} of the test: {_verdict(difference)}"
    )


def _verdict(difference: Difference) -> str:
    if difference.low > 0:
        return "training pays here."
    if difference.high < 0:
        return "training makes it worse here."
    return "no difference is certain."


def _data(trained: Trained) -> Record:
    gain, fitted, facts = trained.gain, trained.fitted, trained.facts
    data: Record = {"recipe": trained.recipe.name, "model": str(trained.model)}
    if facts is not None:
        data["data"] = {**facts._asdict(), "pairs": facts.pairs}
    if fitted is not None:
        data["training"] = {
            "steps": fitted.steps,
            "best_step": fitted.best_step,
            "seconds": fitted.seconds,
            "curve": [list(point) for point in fitted.curve],
        }
    if gain is not None:
        data["comparison"] = {
            "run": str(gain.run.folder),
            "measure": gain.measure,
            "base": gain.base,
            "rows": {name: vars(estimate) for name, estimate in gain.rows.items()},
            "difference": vars(gain.difference),
        }
    return data
