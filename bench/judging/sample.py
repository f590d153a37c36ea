"""A sample of the model's judgments for a person: drawn evenly by grade, in an order that tells
nothing, with the chance of each pair to be drawn.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, ValidationError

from bench.core.digest import file_digest
from bench.core.errors import BenchError, DataError
from bench.core.note import Notes
from bench.core.options import Options, first_problem
from bench.datasets.judgment_rows import COLUMNS
from bench.datasets.lines import numbered_lines
from bench.datasets.provenance import MODEL

Judgments = dict[tuple[str, str], int]
"""Query id and document id -> grade."""


class Member(Options):
    """A pair of the sample: its ids and the model's grade, which the person does not see."""

    query: str
    document: str
    grade: int


class Sample(Options):
    """What was drawn, and of how many: `totals` are the model's judgments by grade, as they are
    written; `written_as` is what the grades 0 to 3 are written as.
    """

    version: int = 1
    dataset: str
    seed: int
    qrels_digest: str = Field(description="SHA-256 of the judgments that were drawn from")
    written_as: tuple[int, int, int, int]
    totals: dict[int, int]
    pairs: dict[str, Member] = Field(description="by the name that the person sees, in its order")

    @property
    def scale(self) -> list[int]:
        """The grades of the file, rising."""
        return sorted({*self.written_as, *self.totals})


def judgments_of(qrels: Path) -> dict[str, Judgments]:
    """Return the judgments of a written file by who made them. Raises DataError."""
    columns = COLUMNS[4]
    by_origin: dict[str, Judgments] = {}
    for number, line in numbered_lines(qrels, Notes()):
        cells = line.split()
        try:
            pair = (cells[columns["query"]], cells[columns["document"]])
            by_origin.setdefault(cells[1], {})[pair] = int(cells[columns["grade"]])
        except (IndexError, ValueError) as error:
            raise DataError.at(
                qrels, number, "is not as `rerank-bench judge` wrote it: judge RUN again"
            ) from error
    return by_origin


def drawn(
    dataset: str, qrels: Path, written_as: tuple[int, int, int, int], size: int, seed: int
) -> Sample:
    """Return a sample of the model's judgments: as many of each grade as there are, up to an even
    share. Raises BenchError where there are none.
    """
    judgments = judgments_of(qrels).get(MODEL, {})
    if not judgments:
        raise BenchError(f"{qrels}: holds no judgment by a model")
    strata: dict[int, list[tuple[str, str]]] = {}
    for pair, grade in sorted(judgments.items()):
        strata.setdefault(grade, []).append(pair)
    generator = random.Random(seed)
    members: list[Member] = []
    for grade, count in allotted({own: len(pairs) for own, pairs in strata.items()}, size).items():
        for query_id, doc_id in generator.sample(strata[grade], count):
            members.append(Member(query=query_id, document=doc_id, grade=grade))
    generator.shuffle(members)
    width = len(str(len(members)))
    return Sample(
        dataset=dataset,
        seed=seed,
        qrels_digest=file_digest(qrels),
        written_as=written_as,
        totals={grade: len(pairs) for grade, pairs in strata.items()},
        pairs={f"p{number:0{width}d}": member for number, member in enumerate(members, 1)},
    )


def allotted(sizes: Mapping[int, int], total: int) -> dict[int, int]:
    """Return how many pairs of each grade are drawn: even shares, what a small stratum lacks shared
    by the others.
    """
    counts = dict.fromkeys(sizes, 0)
    left = min(total, sum(sizes.values()))
    while left:
        for grade in sorted(sizes):
            if left and counts[grade] < sizes[grade]:
                counts[grade] += 1
                left -= 1
    return counts


def read_sample(path: Path) -> Sample:
    """Return a sample from its file. Raises BenchError where there is none, or it cannot be
    read.
    """
    try:
        return Sample.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BenchError(
            f"{path}: there is no sample ({error.strerror}): `rerank-bench judge RUN --review 50` "
            "draws one"
        ) from error
    except UnicodeDecodeError as error:
        raise BenchError(f"{path}: cannot be read: is not text in UTF-8") from error
    except ValidationError as error:
        raise BenchError(f"{path}: {first_problem(error, Sample)}") from error


def grades_of(sample: Sample, reviewed: Mapping[str, int]) -> Judgments:
    """Return what a person gave to the pairs of a sample, as grades are written in the file."""
    judgments: Judgments = {}
    for name, grade in reviewed.items():
        member = sample.pairs[name]
        judgments[member.query, member.document] = sample.written_as[grade]
    return judgments
