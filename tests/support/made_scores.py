"""Run folders with scores and judgments that a test chooses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.contract.candidates import QueryCandidates
from bench.records.run import Run
from bench.records.scores import score_writer
from bench.records.tables import JUDGMENTS, path_of, write_rows
from tests.support.made_runs import made_run

Lists = Mapping[str, Sequence[tuple[str, float]]]
Judgment = tuple[str, str, int]


def scored_run(
    out: Path,
    rows: Mapping[str, Lists],
    judgments: Sequence[Judgment],
    *,
    unscored: Sequence[str] = (),
    facts: Mapping[str, Any] | None = None,
    record: Mapping[str, Mapping[str, Any]] | None = None,
    **options: Any,
) -> Run:
    """A run with the scores of each row by query, and (query, document, grade) judgments.
    `unscored` are rows of which the run keeps no scores; `facts` are of the dataset, `record` what
    else a row's record holds.
    """
    dataset = options.get("dataset", "tiny")
    names = [*rows, *unscored]
    queries = len(next(iter(rows.values())))
    made = made_run(
        out,
        {name: [0.5] * queries for name in names},
        record={
            name: {"dataset": dict(facts or {}), **(record or {}).get(name, {})} for name in names
        },
        **options,
    )
    for name, lists in rows.items():
        with score_writer(made.folder, f"{dataset}--bm25--{name}") as write:
            for query_id, pairs in lists.items():
                ordered = sorted(pairs, key=lambda pair: -pair[1])
                doc_ids, scores = zip(*ordered, strict=True)
                write(query_id, QueryCandidates(doc_ids, scores))
    written = [(dataset, *judgment) for judgment in judgments]
    write_rows(path_of(made.folder, JUDGMENTS, dataset), JUDGMENTS, written)
    return Run(made.folder)
