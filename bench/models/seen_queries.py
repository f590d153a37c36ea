"""The queries that a model folder was trained on, in a file next to its weights: what its row is
compared with wherever it is measured.

Of each query the file has digests, and its id where it was trained on or chose the best step, no
text: it says whether a model has seen a query, and not what it has seen to whoever does not guess
it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from bench.core.atomic import write_atomically
from bench.core.errors import DataError, reading_problem
from bench.core.json_file import json_value
from bench.core.note import Code, Note, note
from bench.datasets.leaks import Query, Seen
from bench.datasets.similarity import Words
from bench.models.weights import Weights, adapter_folder

FILE = "queries.log"
"""A line of JSON per query. No part of the model: it decides no score."""
TRAINING = "training.log"
"""What a training of ours leaves in every model folder."""


class SeenQuery(NamedTuple):
    """A query by its id and digests; its text is not known."""

    name: str
    key: str
    words: Words
    texts: frozenset[str]
    text: str = ""


def write(seen: Seen, folder: Path) -> None:
    """Write what a model has seen into its folder."""
    lines = [*_lines("train", seen.train), *_lines("dev", seen.dev)]
    for key, texts in seen.tested.items():
        lines.append({"portion": "test", "key": key, "documents": sorted(texts)})
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    write_atomically(folder / FILE, text.encode())


def _lines(portion: str, queries: Sequence[Query]) -> list[dict[str, Any]]:
    return [
        {
            "portion": portion,
            "query": query.name,
            "key": query.key,
            "words": sorted(query.words),
            "documents": sorted(query.texts),
        }
        for query in queries
    ]


def read(folder: Path) -> Seen | None:
    """Return what a model has seen; None where its folder does not say. Raises DataError for a file
    that cannot be read.
    """
    path = folder / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {reading_problem(error)}") from error
    portions: dict[str, list[SeenQuery]] = {"train": [], "dev": []}
    tested: dict[str, frozenset[str]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            fields = json_value(line)
            if fields["portion"] == "test":
                tested[fields["key"]] = frozenset(fields["documents"])
            else:
                portions[fields["portion"]].append(_query(fields))
        except (ValueError, TypeError, KeyError) as error:
            raise DataError.at(path, number, f"does not name a query: {error!r}") from error
    return Seen(portions["train"], portions["dev"], tested)


def _query(fields: Mapping[str, Any]) -> SeenQuery:
    words, documents = frozenset(fields["words"]), frozenset(fields["documents"])
    return SeenQuery(str(fields["query"]), str(fields["key"]), words, documents)


def together(last: Seen, before: Sequence[Seen]) -> Seen:
    """Return what a model has seen in its last training and in those of its base."""
    train = chain(last.train, *(seen.train for seen in before))
    dev = chain(last.dev, *(seen.dev for seen in before))
    return last._replace(train=list(train), dev=list(dev))


def folders_of(weights: Weights, adapter: str | None = None) -> Iterator[Path]:
    """Yield the folders of a model that are here and may say what it has seen."""
    folder = weights.unnamed_folder()
    if folder is not None:
        yield folder
    if adapter:
        yield adapter_folder(adapter)


def seen_by(weights: Weights, adapter: str | None = None) -> list[Seen]:
    """Return what each part of a model has seen, as far as its folder says it."""
    every = map(read, folders_of(weights, adapter))
    return [seen for seen in every if seen is not None]


def notes_of(folders: Iterable[Path]) -> list[Note]:
    """Return a note where a recipe has trained a model, and its folder does not say on what."""
    for folder in folders:
        if (folder / TRAINING).is_file() and not (folder / FILE).is_file():
            return [note(Code.UNCOMPARED, file=FILE)]
    return []
