"""The verdict in a few sentences: which reranker ranks best, whether that is real, which is fastest
among its equals, what is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bench.core.counting import counted, percent
from bench.core.wording import sentences as worded
from bench.quality import statistics
from bench.quality.statistics import ALPHA
from bench.records.rows import Row, candidates_of, disturbances_of
from bench.reports import numbers
from bench.reports.answerability import sentence as answerability
from bench.reports.cells import Badge
from bench.reports.document import (
    Absent,
    Block,
    Bullets,
    Card,
    Facts,
    Grid,
    Inline,
    Paragraph,
    Section,
    Strong,
    Words,
    by_reason,
)
from bench.reports.findings import Finding, median_ms, one_query, ranked
from bench.reports.names import as_sentence, name_of, too_few, too_few_moved
from bench.reports.sections.worth import sentence
from bench.reports.view import View, absent_of, is_pending


class Form(NamedTuple):
    """The verbs of a sentence on one reranker, or on several."""

    rank: str
    have: str
    are: str


LISTED = 3
"""Up to this number of rerankers are named, more of them are counted."""
SINGLE = Form("ranks best", "has", "is")
SEVERAL = Form("rank best, equal", "have", "are")


def verdict(view: View) -> Section:
    """Return a card per group: sentences, and on a page the numbers of the only group in large."""
    is_alone = len(view.findings) == 1
    cards = Grid([_card(view, finding, with_tiles=is_alone) for finding in view.findings])
    return Section("verdict", "Verdict", [cards], titled=False)


def missing(view: View) -> Section | None:
    """Return who failed or was skipped, and the warnings of the run. Text reports have the first
    under their tables and the second among their notes.
    """
    absent: list[Absent] = []
    for members in view.groups.values():
        absent += absent_of(members)
    blocks: list[Block] = []
    for status in ("failed", "skipped"):
        reasons = by_reason(absent, status)
        texts = [f"{', '.join(names)} ({reason})" for reason, names in reasons.items()]
        if texts:
            title = Strong(f"{status.capitalize()}:")
            blocks.append(Paragraph((title, f" {'; '.join(texts)}.")))
    if view.run.info.warnings:
        blocks.append(Bullets([(text,) for text in worded(view.run.info.warnings)]))
    if not blocks:
        return None
    return Section("missing", "Before you read on", blocks)


def sentences(finding: Finding) -> list[Words]:
    """Return the finding in words."""
    lines = [_lead(finding), *_marked(finding), _room(finding)]
    if finding.best:
        lines += [_others(finding), _speed(finding), _busy(finding), _margin(finding)]
        lines += [_untimed(finding), _undecided(finding), _money(finding)]
    return [line for line in lines if line]


def _best(finding: Finding) -> str:
    """Return the id of the trial that ranks best; empty where none does."""
    return finding.best.trial.id if finding.best else ""


def _card(view: View, finding: Finding, with_tiles: bool) -> Card:
    best = _best(finding)
    worth, top_score = view.worth_of.get(best), view.top_score_of.get(best)
    words: list[Inline] = []
    for line in sentences(finding):
        words += [*line, " "]
    words.pop()
    blocks: list[Block] = [Paragraph(tuple(words))]
    if worth is not None and worth.gain.mean > 0:
        blocks.append(Paragraph((as_sentence(sentence(worth)),)))
    if top_score is not None and answerability(top_score):
        text = answerability(top_score, view.drawn_from(finding.group))
        blocks.append(Paragraph((as_sentence(text),)))
    if finding.best and with_tiles:
        blocks.append(Facts(_tiles(finding, finding.best), "tiles"))
    return Card(blocks, "verdict")


def _tiles(finding: Finding, best: Row) -> dict[str, str]:
    quality = numbers.quality(best.quality[finding.measure].mean)
    names = ", ".join(name_of(row.trial) for row in finding.equals)
    tiles = {"best ranking": names, finding.measure: quality}
    if delta := finding.difference:
        tiles["against the first stage"] = numbers.change(delta.mean)
        tiles["95 % interval"] = numbers.signed_interval(delta)
        tiles["p"] = numbers.p_value(delta.p)
    fastest = finding.fastest
    if fastest and fastest is not best:
        tiles["fastest in its tie"] = name_of(fastest.trial)
    if fastest:
        tiles["latency of a query, p50"] = f"{numbers.milliseconds(median_ms(fastest))} ms"
    return tiles


def _lead(finding: Finding) -> Words:
    dataset, first_stage, _ = finding.group
    where = f"{dataset} ({first_stage}, {candidates_of(finding.members)})"
    best, delta = finding.best, finding.difference
    if best is None:
        if {row.status for row in finding.members} == {"failed"}:
            return (f"Nothing was measured on {dataset} ({first_stage}): it failed.",)
        if is_pending(finding.members):
            return (f"The run has not reached {dataset} ({first_stage}).",)
        return (f"No reranker {_why_none(finding)} on {where}.",)
    value = f"{finding.measure} {numbers.quality(best.quality[finding.measure].mean)}"
    names = _listed(finding.equals)
    form = SEVERAL if len(finding.equals) > 1 else SINGLE
    if delta is None:
        return (*names, f" {form.rank} on {where}: {value}.")
    if delta.p >= ALPHA:
        tail = f", {form.have} {value}, {numbers.tested(delta)}."
        if too_few(delta):
            tail += f" {too_few_moved(delta)}."
        return (f"{_none_better(finding)} on {where}: the best, ", *names, tail)
    if delta.mean > 0:
        over = f"{value}, {numbers.tested(delta)} over the first stage"
        return (*names, f" {form.rank} on {where}: {over}.")
    below = f"{form.are} below the first stage: {value}, {numbers.tested(delta)}"
    return (f"No reranker helps on {where}: the best, ", *names, f", {below}.")


def _none_better(finding: Finding) -> str:
    """Return what is shown of the first stage and the rerankers, of which the best does not
    differ from it.
    """
    marks = set(finding.badges.values())
    if "better" in marks:
        return "The best mean cannot be told from the first stage"
    if "worse" in marks:
        return "No reranker is shown to be better than the first stage"
    return "No reranker can be told from the first stage"


def _marked(finding: Finding) -> Iterator[Words]:
    """Yield which others are better or worse than the first stage, where the best does not differ
    from it.
    """
    delta = finding.difference
    if finding.best is None or delta is None or delta.p < ALPHA:
        return
    marks: tuple[Badge, ...] = ("better", "worse")
    for mark in marks:
        rows = finding.marked(mark)
        if len(rows) > LISTED:
            yield (f"{len(rows)} rerankers are {mark} than the first stage.",)
        elif rows:
            form = SEVERAL if len(rows) > 1 else SINGLE
            yield (*_listed(rows), f" {form.are} {mark} than the first stage.")


def _listed(rows: Sequence[Row]) -> list[Inline]:
    """Return the names of rows: a, b and c."""
    words: list[Inline] = []
    for row in rows:
        words += [Strong(name_of(row.trial)), ", "]
    words.pop()
    if len(rows) > 1:
        words[-2] = " and "
    return words


def _why_none(finding: Finding) -> str:
    rerankers = [row for row in finding.members if row.trial.kind == "reranker"]
    if any(finding.measure in row.quality for row in rerankers):
        return "can lead a verdict (see the notes)"
    return "was measured"


def _others(finding: Finding) -> Words:
    """Return which other rerankers tie with the best; empty where the sentence on speed names the
    only one.
    """
    equals = {row.trial.id for row in finding.equals}
    others = [row for row in finding.tied if row.trial.id not in equals]
    if others == [finding.fastest]:
        return ()
    if others:
        verb = "tie" if len(others) > 1 else "ties"
        return (*_listed(others), f" {verb} with the best.")
    competing = ranked(finding.members, finding.measure)
    if len(competing) == 1 or len(finding.equals) > 1 or finding.undecided:
        return ()
    return ("No other reranker ties with the best.",)


def _timed(finding: Finding) -> list[Row]:
    return [row for row in finding.choices if one_query(row)]


def _speed(finding: Finding) -> Words:
    best, fastest = finding.best, finding.fastest
    if best is None or fastest is None:
        return ()
    network = ", through a network" if fastest.query_elsewhere else ""
    cost = f"{numbers.milliseconds(median_ms(fastest))} ms per query (p50{network})"
    name, timed = Strong(name_of(fastest.trial)), _timed(finding)
    if fastest is best and len(timed) > 1:
        return (name, f" is the fastest of the {len(timed)} that tie and were timed: {cost}.")
    if fastest is best:
        return (name, f" takes {cost}.")
    if best.query_here and fastest.query_here:
        cost = f"{cost}, against {numbers.milliseconds(median_ms(best))} ms"
    return (name, f" is the fastest that these queries cannot tell from the best: {cost}.")


def _busy(finding: Finding) -> Words:
    """Return what else the machine did while the times of the choices were taken."""
    texts = disturbances_of(_timed(finding))
    if not texts:
        return ()
    return (as_sentence("; ".join(texts)),)


def _margin(finding: Finding) -> Words:
    """Return the smallest loss that the queries can rule out, where the fastest one's difference to
    the best is smaller.
    """
    fastest = finding.fastest
    if fastest is None or fastest.trial.id not in finding.rivals:
        return ()
    rival = finding.rivals[fastest.trial.id]
    margin = statistics.smallest_margin(list(rival.deltas.values()))
    if not abs(rival.difference.mean) < margin < float("inf"):
        return ()
    queries = counted(rival.difference.queries, "query")
    loss = f"a loss of less than {numbers.quality(margin)}"
    return (f"{queries} are too few to rule out {loss}.",)


def _untimed(finding: Finding) -> Words:
    """Return which of those that tie with the best were not timed."""
    names = [name_of(row.trial) for row in finding.choices if not one_query(row)]
    if not names or not _timed(finding):
        return ()
    return (f"Not timed: {', '.join(names)}.",)


def _undecided(finding: Finding) -> Words:
    """Return which others move too few queries to tell them from the best."""
    if not finding.undecided:
        return ()
    differences = [finding.rivals[row.trial.id].difference for row in finding.undecided]
    widest = max(differences, key=lambda difference: difference.moved)
    names = ", ".join(name_of(row.trial) for row in finding.undecided)
    return (f"{too_few_moved(widest, f' {names} from the best')}.",)


def _room(finding: Finding) -> Words:
    if finding.leaves_no_room:
        best = "no order of them is better than the first stage's"
        return (f"The candidates leave no room to gain: {best}.",)
    if finding.room is None or not 0 < finding.room <= 1:
        return ()
    way = "the way from there to the best order of these candidates"
    return (f"The best goes {percent(finding.room)} of {way}.",)


def _money(finding: Finding) -> Words:
    if finding.best is None or finding.best.cost is None:
        return ()
    dollars = numbers.dollars(finding.best.cost.usd_per_1000_queries)
    return (f"The best ranking costs ${dollars} per 1,000 queries.",)
