"""What training queries must not share with those that a model is measured on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from bench.core.counting import counted
from bench.core.errors import DataError
from bench.training.queries import JudgedQuery
from bench.training.similarity import near_pairs

Kind = Literal["same query", "nearly the same query", "same relevant document"]
SHOWN = 10
"""Pairs that an error names."""
LONGEST = 60
"""Characters of a query in a message."""


class Leak(NamedTuple):
    """A training query and one of another portion, and what they share."""

    kind: Kind
    training: JudgedQuery
    other: JudgedQuery


def leaks(
    training: Sequence[JudgedQuery], others: Sequence[JudgedQuery], *, documents: bool
) -> list[Leak]:
    """Return each pair of a training query and another one that ask the same or nearly the same,
    or, with `documents`, have a relevant document in common; a pair is there once, by the first of
    these.
    """
    pairs: dict[tuple[str, str], Leak] = {}
    for leak in _all(training, others, documents):
        pairs.setdefault((leak.training.name, leak.other.name), leak)
    return list(pairs.values())


def _all(
    training: Sequence[JudgedQuery], others: Sequence[JudgedQuery], documents: bool
) -> Iterator[Leak]:
    by_text: dict[str, list[JudgedQuery]] = {}
    by_document: dict[str, list[JudgedQuery]] = {}
    for other in others:
        by_text.setdefault(other.key, []).append(other)
        for digest in other.texts:
            by_document.setdefault(digest, []).append(other)
    for query in training:
        for other in by_text.get(query.key, ()):
            yield Leak("same query", query, other)
    texts = [query.text for query in training]
    for place, other_place in near_pairs(texts, [other.text for other in others]):
        yield Leak("nearly the same query", training[place], others[other_place])
    if not documents:
        return
    for query in training:
        for digest in sorted(query.texts):
            for other in by_document.get(digest, ()):
                yield Leak("same relevant document", query, other)


def without(training: Sequence[JudgedQuery], pairs: Sequence[Leak]) -> list[JudgedQuery]:
    """Return the training queries that are in no leak."""
    names = {leak.training.name for leak in pairs}
    return [query for query in training if query.name not in names]


def refuse(pairs: Sequence[Leak], portion: str, of: str = "training") -> None:
    """Raise DataError where there are leaks: it counts them and names the first pairs."""
    if not pairs:
        return
    queries = counted(len({leak.training.name for leak in pairs}), "query")
    fix = f"leave them out of the {of} data"
    if of == "training":
        fix = f"{fix}, or write `leaks: drop` in the recipe, which leaves them out and counts them"
    lines = [f"{queries} of {of} would say beforehand what {portion} asks: {fix}"]
    lines += [f"  {_sentence(leak, portion)}" for leak in pairs[:SHOWN]]
    if len(pairs) > SHOWN:
        lines.append(f"  and {len(pairs) - SHOWN} more")
    raise DataError("\n".join(lines))


def _sentence(leak: Leak, portion: str) -> str:
    own, other = leak.training, leak.other
    pair = f"'{own.name}' ({_cut(own.text)}) and '{other.name}' of {portion} ({_cut(other.text)})"
    return f"{leak.kind}: {pair}"


def _cut(text: str) -> str:
    line = " ".join(text.split())
    if len(line) <= LONGEST:
        return line
    return f"{line[: LONGEST - 1]}…"
