"""What a person gets of a sample, and gives back: a plain CSV, and a page that needs no server.
Neither holds a grade of the model.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.core.atomic import write_atomically
from bench.core.errors import BenchError, DataError, reading_problem
from bench.core.spreadsheet import guarded
from bench.datasets.base import Dataset
from bench.judging.grades import GRADES
from bench.judging.sample import Sample

SAMPLE, TABLE, PAGE = "review.json", "review.csv", "review.html"
COLUMNS = ("pair", "query", "document", "grade")
DELIMITERS = (",", ";", "\t")
"""What spreadsheets write between cells, by the country that they are set to."""
_DATA = "{{data}}"


@dataclass(frozen=True)
class Shown:
    """A pair as a person sees it."""

    pair: str
    query: str
    document: str


def shown(sample: Sample, dataset: Dataset) -> list[Shown]:
    """Return the pairs of a sample with their whole texts."""
    members = sample.pairs.items()
    texts = dataset.texts([member.document for _, member in members])
    return [
        Shown(name, dataset.queries[member.query], text)
        for (name, member), text in zip(members, texts, strict=True)
    ]


def write(folder: Path, sample: Sample, pairs: Sequence[Shown]) -> list[Path]:
    """Write the sample, the CSV and the page; return the two for the person. Raises BenchError
    where a CSV is there: it may hold grades.
    """
    table, page = folder / TABLE, folder / PAGE
    if table.exists():
        raise BenchError(
            f"{table}: is there and may hold grades: read it with --reviewed, or move it away"
        )
    write_atomically(folder / SAMPLE, f"{sample.model_dump_json(indent=1)}\n".encode())
    write_atomically(page, page_of(sample, pairs).encode("utf-8", "replace"))
    write_atomically(table, table_of(pairs).encode("utf-8", "replace"))
    return [table, page]


def table_of(pairs: Sequence[Shown]) -> str:
    """Return the CSV, its column of grades empty. A text that a spreadsheet would compute is a text
    in it.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for pair in pairs:
        writer.writerow([pair.pair, guarded(pair.query), guarded(pair.document), ""])
    return buffer.getvalue()


def page_of(sample: Sample, pairs: Sequence[Shown]) -> str:
    """Return the page. Texts are data of it, and no part of its markup."""
    template = (Path(__file__).parent / "assets" / PAGE).read_text(encoding="utf-8")
    data = {
        "name": f"{sample.dataset}-{sample.qrels_digest[:8]}-{sample.seed}",
        "dataset": sample.dataset,
        "pairs": [vars(pair) for pair in pairs],
    }
    # no text ends the element that holds it
    text = json.dumps(data).replace("<", "\\u003c")
    return template.replace(_DATA, text)


def read(path: Path, sample: Sample) -> dict[str, int]:
    """Return the grade, 0 to 3, of each pair that a person graded. Raises DataError naming the line
    of what cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {reading_problem(error)}") from error
    grades: dict[str, int] = {}
    for line, name, cell in _rows(path, text):
        if name not in sample.pairs:
            raise DataError.at(path, line, f"there is no pair {name!r} in the sample")
        if not cell:
            continue
        # spreadsheets write 2 as 2.0, or 2,0
        digit = cell.removesuffix(".0").removesuffix(",0")
        if digit not in map(str, GRADES):
            raise DataError.at(path, line, f"pair {name}: grade {cell!r} is none of 0, 1, 2, 3")
        if name in grades:
            raise DataError.at(path, line, f"pair {name} is there twice")
        grades[name] = int(digit)
    if not grades:
        raise DataError(f"{path}: no pair has a grade yet")
    return grades


def _rows(path: Path, text: str) -> Iterator[tuple[int, str, str]]:
    """Yield the line, the pair and the grade of each row. Raises DataError where the columns are
    not there.
    """
    first = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=first.count)
    # a cell holds a whole document
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    header = [name.strip().casefold() for name in next(reader, [])]
    if not {"pair", "grade"} <= set(header):
        raise DataError.at(path, 1, f"the columns are {', '.join(COLUMNS)}; found {first!r:.80}")
    places = header.index("pair"), header.index("grade")
    for row in reader:
        if len(row) <= max(places):
            if any(row):
                raise DataError.at(path, reader.line_num, "has fewer cells than the first line")
            continue
        yield reader.line_num, row[places[0]].strip(), row[places[1]].strip()
