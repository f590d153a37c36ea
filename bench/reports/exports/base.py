"""What several formats ask of a run."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bench.core.filenames import file_stem
from bench.core.wording import sentences, worded
from bench.quality.measures import JUDGED
from bench.quality.statistics import Estimate
from bench.records.judges import judge_note, refuse_unjudged
from bench.records.rows import doubts
from bench.records.run import Run
from bench.records.schema import Record

SHORT_NAMES = {"rr": "mrr", "ap": "map", "r": "recall", "p": "precision"}


def reranked(run: Run) -> Iterator[Record]:
    """Yield the records of rerankers whose means may be published: not those of which most queries
    failed. Raises RecordError where nobody has judged the queries yet.
    """
    refuse_unjudged(run)
    for record in run.records.values():
        if record.trial.kind == "reranker" and not record.mostly_failed and record.quality:
            yield record


def doubt(record: Record) -> str:
    """Return why the order of a record means nothing; empty where it means something."""
    return "; ".join(sentences(doubts(record)))


def judged_by(record: Record) -> str:
    """Return that a model made the judgments; empty where people did."""
    note = judge_note(record)
    return worded(note) if note is not None else ""


def measured(record: Record) -> list[tuple[str, Estimate]]:
    """Return the measures of a record with their means."""
    return [(measure, mean) for measure, mean in record.quality.items() if measure != JUDGED]


def mteb_name(measure: str) -> str:
    """Return MTEB's name of a mean: nDCG@10 -> ndcg_at_10, RR@10 -> mrr_at_10, AP -> map. The grade
    from which a document is relevant is the dataset's, and left out; any other variant keeps its
    full name: it is not what MTEB's name means.
    """
    plain = re.sub(r"\(rel=\d+\)", "", measure)
    if "(" in plain:
        return measure
    stem, _, cutoff = plain.partition("@")
    name = SHORT_NAMES.get(stem.lower(), stem.lower())
    return f"{name}_at_{cutoff}" if cutoff else name


def file_name(name: str) -> str:
    return file_stem(name, other="_").strip(".") or "x"
