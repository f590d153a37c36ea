"""What checks find and what they could not check, in words."""

from __future__ import annotations

from collections.abc import Mapping

from bench.verification.finding import Code, Finding, Gap, Place, Reason, Value

DIFFERS = "is {actual}, recomputed {expected}"
SENTENCES: Mapping[Code, str] = {
    Code.UNREADABLE: "cannot be read: {actual}",
    Code.MISSING_FILE: "the run wrote this file, and it is not there",
    Code.EXTRA_FILE: "the run did not write this file",
    Code.NO_TRIAL: "is the record of a trial that was not measured by run.json",
    Code.CHANGED_FILE: "is not the file that the run wrote (SHA-256)",
    Code.CHANGED_ROWS: "its rows are not those that the run wrote ({expected} then, {actual} now)",
    Code.KEY_HASH: "is {actual}, and its fields give {expected}",
    Code.KEY_FIELD: "is {actual}, and elsewhere the record says {expected}",
    Code.DATA_HASH: "gives the hash {actual}, and the records say {expected}",
    Code.CANDIDATES_HASH: "is {actual}, and the candidates give {expected}",
    Code.CANDIDATE: "is a candidate: {expected}; is ranked: {actual}",
    Code.DEPTH: "holds {actual} documents, and the depth is {expected}",
    Code.ORDER: "ranks {actual} where the scores rank {expected}",
    Code.SCORE: "its score is {actual}, and the ranking has {expected}",
    Code.BEST_ORDER: "ranks {actual} where the best order has {expected}",
    Code.QUERY: "the query belongs here: {expected}; is here: {actual}",
    Code.VALUE: DIFFERS,
    Code.MEAN: "the mean is {actual}, recomputed {expected}",
    Code.INTERVAL: "the end of the interval is {actual}, recomputed {expected}",
    Code.DIFFERENCE: "the mean difference is {actual}, recomputed {expected}",
    Code.ABSENT: "is not in the record",
    Code.P_VALUE: "p is {actual}, recomputed {expected}",
    Code.MOVED: DIFFERS,
    Code.DEPTH_VALUE: DIFFERS,
    Code.COUNT: "the count is {actual}, recomputed {expected}",
    Code.LOSS: "was lost: {actual}; recomputed: {expected}",
    Code.LOSSES: "counts {actual} documents, recomputed {expected}",
    Code.STAGE: DIFFERS,
    Code.PERCENTILE: "is {actual}, and the timed calls give {expected}",
    Code.CALLS: "counts {actual}, and the table has {expected}",
    Code.CALL: "a call of {actual} documents, and the query has {expected} candidates",
    Code.USAGE: "is {actual}, and the queries add up to more, {expected}",
    Code.COST: "is {actual}, and units at their price give {expected}",
    Code.RESCORED: "its score is {expected}, scored again {actual}",
    Code.DRAWS: "names {actual} draws, and this version, which wrote the run, draws {expected}",
    Code.PRINTED: "prints {actual}, and the record has {expected}",
    Code.PRINTED_ROW: "the row belongs here: {expected}; is printed: {actual}",
    Code.NOT_PRINTED: "the table of these candidates is not in the report",
}
"""By code, what is said after the place."""
REASONS: Mapping[Reason, str] = {
    Reason.NO_DIGESTS: "there are no digests (an older run, a saved baseline): what nothing else "
    "depends on, such as a single timing, could have been changed",
    Reason.UNFINISHED: "the run is not finished: it has no digests yet",
    Reason.NO_SCORES: "no scores are kept (older, or store_scores: false): whether the ranking is "
    "theirs",
    Reason.NO_RANKING: "there is no ranking",
    Reason.NO_JUDGMENTS: "there are no judgments, or not all of them (older runs keep those of "
    "candidates)",
    Reason.NO_CANDIDATES: "candidates or judgments are not in the folder",
    Reason.NO_STAGES: "what the stages before the last scored is not in the folder",
    Reason.NO_TIMINGS: "an older version wrote no summaries of timings: they are computed when "
    "they are read",
    Reason.NO_LOSSES: "an older version counted no losses",
    Reason.NO_TEXTS: "the texts of queries without judgments are not kept: the hash of all queries",
    Reason.OTHER_DRAWS: "a version that draws other resamples wrote it: intervals and p",
    Reason.OTHER_SYSTEM: "the scores of this setting of the sweep are not kept",
    Reason.NOT_RESCORED: "not scored again: {text}",
    Reason.NO_REPORT: "there is no such report: `rerank-bench report RUN` writes it",
    Reason.OTHER_REPORT: "another version wrote it, with other tables",
}


def sentence(finding: Finding) -> str:
    """Return a finding in words: where, and what differs."""
    words = SENTENCES[finding.code].format(
        expected=shown(finding.expected), actual=shown(finding.actual)
    )
    return f"{where(finding.place)}: {words}"


def reason(gap: Gap) -> str:
    """Return why something could not be checked."""
    return REASONS[gap.reason].format(text=gap.text)


def where(place: Place) -> str:
    """Return a place in words."""
    parts = [place.file]
    if place.query:
        parts.append(f"query {place.query}")
    if place.document:
        parts.append(f"document {place.document}")
    if place.key:
        parts.append(place.key)
    return ", ".join(parts)


def shown(value: Value) -> str:
    """Return a value as text."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.10g}"
    return str(value)
