"""A person's check of a model's judgments: the sample that is drawn for it, and what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.core.digest import file_digest
from bench.core.errors import BenchError
from bench.datasets import provenance
from bench.datasets.provenance import MODEL, Provenance
from bench.judging import review_files, sample
from bench.judging.agreement import Agreement, agreement
from bench.judging.bounds import RowBounds, bounds
from bench.judging.collection import collection_of
from bench.judging.pool import datasets_of
from bench.judging.written import qrels_path, write_provenance
from bench.records.run import Run


@dataclass(frozen=True)
class Review:
    """What a review says: the agreement, and what the disagreement does to the measures."""

    dataset: str
    model: str
    unreviewed: int
    agreement: Agreement
    rows: Sequence[RowBounds]


def draw(run: Run, folder: Path, dataset: str | None, size: int, seed: int) -> list[Path]:
    """Draw a sample of the judgments of a dataset and write its files; return those for the person.
    Raises BenchError where there are no judgments, or grades of a person already.
    """
    name, qrels, facts = _judged(run, folder, dataset)
    own = sample.drawn(name, qrels, facts.written_as, size, seed)
    return review_files.write(qrels.parent, own, review_files.shown(own, collection_of(run, name)))


def read(run: Run, folder: Path, dataset: str | None, file: Path, seed: int) -> Review:
    """Read what a person gave back, write the agreement into the provenance, and return both.
    Raises BenchError where the judgments are not those that the sample was drawn from.
    """
    import numpy as np

    name, qrels, facts = _judged(run, folder, dataset)
    own = sample.read_sample(qrels.parent / review_files.SAMPLE)
    if own.qrels_digest != file_digest(qrels):
        raise BenchError(
            f"{qrels}: was written anew since the sample was drawn: draw one of these judgments"
        )
    reviewed = sample.grades_of(own, review_files.read(file, own))
    judgments = sample.judgments_of(qrels)
    if not set(reviewed) <= set(judgments[MODEL]):
        raise BenchError(
            f"{qrels.parent / review_files.SAMPLE}: names pairs that {qrels.name} does not have: "
            "draw a sample anew"
        )
    index = {grade: place for place, grade in enumerate(own.scale)}
    counts = np.zeros((len(index), len(index)))
    for pair, grade in reviewed.items():
        counts[index[judgments[MODEL][pair]], index[grade]] += 1
    totals = np.array([own.totals.get(grade, 0) for grade in own.scale], dtype=np.float64)
    outcome = agreement(own.scale, counts, totals, seed)
    rows = bounds(run, name, judgments, reviewed, own.scale, seed)
    write_provenance(qrels, _with_agreement(facts, outcome))
    unreviewed = len(own.pairs) - len(reviewed)
    return Review(name, facts.served_model or facts.model, unreviewed, outcome, rows)


def _judged(run: Run, folder: Path, dataset: str | None) -> tuple[str, Path, Provenance]:
    """Return the dataset that a model has judged, its file and its provenance. Raises BenchError
    where there is none, or several and none is named.
    """
    known = datasets_of(run, dataset)
    written = [name for name in known if qrels_path(folder, name).is_file()]
    if not written:
        raise BenchError(
            f"{folder}: holds no judgments of {', '.join(known)}: make them first, with "
            "`rerank-bench judge RUN --with ...`"
        )
    if len(written) > 1:
        raise BenchError(
            f"a review is of one dataset: name one with --dataset ({', '.join(written)})"
        )
    qrels = qrels_path(folder, written[0])
    facts = provenance.read(qrels)
    if facts is None:
        raise BenchError(f"{provenance.path_of(qrels)}: there is no such file")
    return written[0], qrels, facts


def _with_agreement(facts: Provenance, outcome: Agreement) -> Provenance:
    kappa = outcome.kappa
    own = provenance.Agreement(
        pairs=outcome.pairs,
        kappa=kappa.value,
        low=kappa.low,
        high=kappa.high,
        weighted=outcome.weighted.value,
        accuracy=outcome.accuracy.value or 0.0,
        reviewed=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return facts.model_copy(update={"agreement": own})
