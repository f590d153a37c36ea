"""What is to be judged: the documents that some row of a run ranks among its first, by query.

Pooling as TREC does it (Sparck Jones and van Rijsbergen 1975; Voorhees and Harman 2005): the union
of the top k of all rows. The oracle is left out: its order is made of judgments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bench.core.digest import digest_of, file_digest
from bench.core.errors import RecordError, nearest
from bench.records.folder import ranking_path
from bench.records.judgments import qrels_in
from bench.records.rows import Row
from bench.records.run import Run

Qrels = Mapping[str, Mapping[str, int]]


class Pair(NamedTuple):
    """A document to judge for a query; `rank` is the best that a row gave it, from 1."""

    query_id: str
    doc_id: str
    rank: int


@dataclass(frozen=True)
class Pool:
    """The pairs of one dataset, in the order in which they are asked: the first ranks of all
    queries first. `digest` is of the rankings that were pooled, `judged` holds what the run has of
    judgments.
    """

    dataset: str
    pairs: Sequence[Pair]
    rows: Sequence[Row]
    digest: str
    judged: Qrels


def datasets_of(run: Run, name: str | None) -> list[str]:
    """Return the datasets of a run, or the one that is named. Raises RecordError for another."""
    names = list(dict.fromkeys(row.trial.dataset for row in run.rows))
    if name is None:
        return names
    if name not in names:
        raise RecordError(f"--dataset {name}: {nearest(name, names)}")
    return [name]


def pool(run: Run, dataset: str, depth: int, *, only_holes: bool = False) -> Pool:
    """Return what some row ranks among its first `depth`; with `only_holes`, what of that has no
    judgment. Raises RecordError where no row of the dataset has a ranking.
    """
    rows = pooled_rows(run, dataset)
    table = run.judgments
    judged = qrels_in(table[table["dataset"] == dataset])
    ranks: dict[tuple[str, str], int] = {}
    for row in rows:
        for query_id, doc_id, rank in top_pairs(run, row, depth):
            pair = (query_id, doc_id)
            ranks[pair] = min(rank, ranks.get(pair, rank))
    pairs = [Pair(query_id, doc_id, rank) for (query_id, doc_id), rank in ranks.items()]
    if only_holes:
        pairs = [pair for pair in pairs if pair.doc_id not in judged.get(pair.query_id, {})]
    pairs.sort(key=lambda pair: (pair.rank, pair.query_id, pair.doc_id))
    files = {row.trial.id: file_digest(ranking_path(run.folder, row.trial.id)) for row in rows}
    return Pool(dataset, pairs, rows, digest_of(files), judged)


def pooled_rows(run: Run, dataset: str) -> list[Row]:
    """Return the rows of a dataset that have a ranking, but for the oracle. Raises RecordError
    where none has.
    """
    rows = [
        row
        for row in run.rows
        if row.trial.dataset == dataset
        and row.status == "done"
        and not row.trial.is_oracle
        and run.has_ranking(row.trial.id)
    ]
    if not rows:
        raise RecordError(f"{run.folder}: no row of {dataset} has a ranking to pool")
    return rows


def top_pairs(run: Run, row: Row, depth: int) -> Iterator[Pair]:
    """Yield what a row ranks among its first `depth`, with its rank there."""
    for piece in run.ranking_pieces(row.trial.id):
        top = piece[piece["rank"] <= depth]
        columns = (top[name].tolist() for name in ("query", "document", "rank"))
        for query_id, doc_id, rank in zip(*columns, strict=True):
            yield Pair(str(query_id), str(doc_id), rank)
