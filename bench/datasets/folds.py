"""Folds of queries, for what is learned from judgments and measured on the same collection: a
query is served by what was fitted on the queries of the other folds.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from hashlib import blake2b

from bench.core import words
from bench.core.counting import counted
from bench.core.errors import DataError
from bench.datasets.base import content_hash

SHOWN = 3
"""Queries that an error names."""


def folds(queries: Mapping[str, str], count: int, seed: int) -> Mapping[str, int]:
    """Return the fold of each query, from 0 to `count` - 1, by a hash of the seed and the query's
    text. Queries of the same text, but for case and white space, are in one fold; folds differ by
    at most one text in size.

    `queries` maps ids to texts; their order decides nothing. Raises DataError where there are fewer
    texts than folds.
    """
    texts = {query_id: same_text(text) for query_id, text in queries.items()}
    distinct = sorted(set(texts.values()), key=lambda text: content_hash([(str(seed), text)]))
    if count < 2 or len(distinct) < count:
        raise DataError(
            f"{counted(len(distinct), 'query')} of different texts cannot be parted into "
            f"{count} folds: give fewer folds, 2 or more, or more judged queries"
        )
    fold_of = {text: number % count for number, text in enumerate(distinct)}
    return {query_id: fold_of[text] for query_id, text in texts.items()}


def query_digest(text: str) -> str:
    """Return a short digest of what a query asks, by which a file names it without its text."""
    return blake2b(same_text(text).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def same_text(text: str) -> str:
    """Return what two queries that ask the same have in common: the text in lower case, composed,
    with single spaces.
    """
    return " ".join(words.normal(text).split())


def visible_text(text: str) -> str:
    """Return what two texts have in common that a reader cannot tell apart: as `same_text`, and
    without regard to a letter's form (NFKC: full width, ligatures, ß and ss) and to characters that
    are not seen.
    """
    if text.isascii():
        return same_text(text)
    plain = unicodedata.normalize("NFKC", text).casefold()
    seen = "".join(each for each in plain if unicodedata.category(each) != "Cf")
    return same_text(seen)


def refuse_shared(
    training: Mapping[str, str], queries: Mapping[str, str], trained_on: str, name: str
) -> None:
    """Raise DataError where queries that something is trained on are also measured: it names them.

    Both map ids to texts; `trained_on` and `name` are what messages call their datasets. Queries
    are the same where their texts are as `visible_text` has them, whatever their ids.
    """
    shared = list(_shared(training, queries))
    if not shared:
        return
    named = ", ".join(_named(*pair, name) for pair in shared[:SHOWN])
    more = ""
    if len(shared) > SHOWN:
        more = f" and {len(shared) - SHOWN} more"
    raise DataError(
        f"{trained_on}: {counted(len(shared), 'query')} to train on are also measured in {name}: "
        f"{named}{more}; train on other queries"
    )


def _named(query_id: str, other_id: str, name: str) -> str:
    """Return a query as an error names it, with its id in the other dataset where that differs."""
    if query_id == other_id:
        return repr(query_id)
    return f"{query_id!r} ({other_id!r} in {name})"


def _shared(training: Mapping[str, str], queries: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the ids of each query that both have, in either."""
    by_text: dict[str, str] = {}
    for query_id, text in queries.items():
        by_text.setdefault(visible_text(text), query_id)
    for query_id, text in training.items():
        other = by_text.get(visible_text(text))
        if other is not None:
            yield query_id, other
