"""What queries that a model has seen must not share with those that it is measured on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol, TypeVar

from bench.core.counting import counted
from bench.core.errors import DataError
from bench.datasets.base import Dataset
from bench.datasets.judged_queries import measured as measured_queries
from bench.datasets.similarity import Words, near_pairs

Kind = Literal["same query", "nearly the same query", "same relevant document"]
SHOWN = 10
"""Pairs that an error names."""
LONGEST = 60
"""Characters of a query in a message."""
THE_SUITE = "the suite"
"""What a message calls the queries that a model is measured on after its training."""
THE_BASE = "the base"
"""What it calls those of the trainings that a base has had before."""


class Query(Protocol):
    """A query as leaks are looked for: what it is called, what it asks (a blank text where only
    digests of it are known), and digests of its text, its words and its relevant documents.
    """

    @property
    def name(self) -> str: ...

    @property
    def text(self) -> str: ...

    @property
    def key(self) -> str: ...

    @property
    def words(self) -> Words: ...

    @property
    def texts(self) -> frozenset[str]: ...


SomeQuery = TypeVar("SomeQuery", bound=Query)


class Leak(NamedTuple):
    """A training query and one of another portion, and what they share."""

    kind: Kind
    training: Query
    other: Query


class Seen(NamedTuple):
    """What a model has seen: the queries that it was trained on, and those that chose the best
    step. The queries of its test are known not to leak: relevant documents by the key of each.
    """

    train: Sequence[Query] = ()
    dev: Sequence[Query] = ()
    tested: Mapping[str, frozenset[str]] = {}


def leaks(training: Sequence[Query], others: Sequence[Query], *, documents: bool) -> list[Leak]:
    """Return each pair of a training query and another one that ask the same or nearly the same,
    or, with `documents`, have a relevant document in common; a pair is there once, by the first of
    these.
    """
    pairs: dict[tuple[str, str], Leak] = {}
    for leak in _all(training, others, documents):
        pairs.setdefault((leak.training.name, leak.other.name), leak)
    return list(pairs.values())


def _all(training: Sequence[Query], others: Sequence[Query], documents: bool) -> Iterator[Leak]:
    by_text: dict[str, list[Query]] = {}
    by_document: dict[str, list[Query]] = {}
    for other in others:
        by_text.setdefault(other.key, []).append(other)
        for digest in other.texts:
            by_document.setdefault(digest, []).append(other)
    for query in training:
        for other in by_text.get(query.key, ()):
            yield Leak("same query", query, other)
    words = [query.words for query in training]
    for place, other_place in near_pairs(words, [other.words for other in others]):
        yield Leak("nearly the same query", training[place], others[other_place])
    if not documents:
        return
    for query in training:
        for digest in sorted(query.texts):
            for other in by_document.get(digest, ()):
                yield Leak("same relevant document", query, other)


def without(training: Sequence[SomeQuery], pairs: Sequence[Leak]) -> list[SomeQuery]:
    """Return the training queries that are in no leak."""
    names = {leak.training.name for leak in pairs}
    return [query for query in training if query.name not in names]


def tested_of(queries: Sequence[Query]) -> dict[str, frozenset[str]]:
    """Return the relevant documents of test queries by the key of each."""
    tested: dict[str, frozenset[str]] = {}
    for query in queries:
        tested[query.key] = tested.get(query.key, frozenset()) | query.texts
    return tested


def refuse_measured(seen: Seen, measured: Dataset) -> None:
    """Raise DataError where queries that are trained on, or choose the best step, ask what measured
    ones ask, or where training documents answer these. Nothing is measured of a dataset that is
    trained on itself.
    """
    if not measured.is_measured:
        return
    others: list[Query] = []
    for query in measured_queries(measured):
        tested = seen.tested.get(query.key)
        if query.text and (tested is None or not query.texts <= tested):
            others.append(query)
    refuse(leaks(seen.train, others, documents=True), THE_SUITE)
    refuse(leaks(seen.dev, others, documents=False), THE_SUITE, "dev")


def refuse(pairs: Sequence[Leak], portion: str, of: str = "training") -> None:
    """Raise DataError where there are leaks: it counts them and names the first pairs."""
    if not pairs:
        return
    queries = counted(len({leak.training.name for leak in pairs}), "query")
    fix = (
        f"leave them out of the {of} data, or write `leaks: drop` in the recipe, which leaves them "
        "out and counts them"
    )
    if portion == THE_SUITE:
        fix = (
            "measure on other queries (`only: FILE` takes some of a collection; those of a "
            "recipe's test are in the test-queries-*.txt that `rerank-bench train` writes)"
        )
    elif of == THE_BASE:
        fix = "test on other queries, or begin with another base"
    lines = [f"{queries} of {of} would say beforehand what {portion} asks: {fix}"]
    lines += [f"  {_sentence(leak, portion)}" for leak in pairs[:SHOWN]]
    if len(pairs) > SHOWN:
        lines.append(f"  and {len(pairs) - SHOWN} more")
    raise DataError("\n".join(lines))


def _sentence(leak: Leak, portion: str) -> str:
    pair = f"{_named(leak.training)} and {_named(leak.other, f' of {portion}')}"
    return f"{leak.kind}: {pair}"


def _named(query: Query, place: str = "") -> str:
    """Return a query by its name, and by its text where that is known."""
    name = f"'{query.name}'{place}"
    if not query.text:
        return name
    return f"{name} ({_cut(query.text)})"


def _cut(text: str) -> str:
    line = " ".join(text.split())
    if len(line) <= LONGEST:
        return line
    return f"{line[: LONGEST - 1]}…"
