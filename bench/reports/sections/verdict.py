"""The verdict in a few sentences: which reranker ranks best, whether that is real, which is fastest
among its equals, what is missing.
"""

from __future__ import annotations

from bench.core.counting import counted
from bench.core.wording import sentences as worded
from bench.quality import statistics
from bench.quality.statistics import ALPHA
from bench.records.rows import Row, candidates_of, disturbances_of
from bench.reports import numbers
from bench.reports.document import (
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
from bench.reports.findings import Finding, one_query, ranked
from bench.reports.names import as_sentence, name_of, too_few, too_few_moved
from bench.reports.view import View, absent_of


def verdict(view: View) -> Section:
    """Return a card per group: sentences, and on a page the numbers in large."""
    several = len(view.findings) > 1
    cards = Grid([_card(finding, several) for finding in view.findings])
    return Section("verdict", "Verdict", [cards], titled=False)


def missing(view: View) -> Section | None:
    """Return who failed or was skipped, and the warnings of the run. Text reports have the first
    under their tables and the second among their notes.
    """
    absent = [row for members in view.groups.values() for row in absent_of(members)]
    blocks: list[Block] = []
    for status in ("failed", "skipped"):
        reasons = by_reason(absent, status)
        texts = [f"{', '.join(names)} ({reason})" for reason, names in reasons.items()]
        if texts:
            title = Strong(f"{status.capitalize()}:")
            blocks.append(Paragraph((title, f" {'; '.join(texts)}.")))
    warnings = [(text,) for text in worded(view.run.info.warnings)]
    blocks += [Bullets(warnings)] if warnings else []
    return Section("missing", "To know beforehand", blocks) if blocks else None


def sentences(finding: Finding) -> list[Words]:
    """Return the finding in words."""
    lines = [_lead(finding), _room(finding)]
    if finding.best:
        lines += [_others(finding), _speed(finding), _busy(finding), _margin(finding)]
        lines += [_untimed(finding), _undecided(finding), _money(finding)]
    return [line for line in lines if line]


def _card(finding: Finding, several: bool) -> Card:
    parts: list[Inline] = []
    for sentence in sentences(finding):
        parts += [" ", *sentence] if parts else sentence
    blocks: list[Block] = [Paragraph(tuple(parts))]
    if finding.best and not several:
        blocks.append(Facts(_tiles(finding, finding.best), "tiles"))
    return Card(blocks, "verdict")


def _tiles(finding: Finding, best: Row) -> dict[str, str]:
    quality = numbers.quality(best.quality[finding.measure].mean)
    names = ", ".join(name_of(row.trial) for row in finding.equals)
    tiles = {"best ranking": names, finding.measure: quality}
    if delta := finding.difference:
        tiles["over the first stage"] = numbers.change(delta)
        tiles["95 % interval, p"] = f"{numbers.signed_interval(delta)} p {numbers.p_value(delta.p)}"
    fastest = finding.fastest
    timing = one_query(fastest) if fastest else None
    if fastest and timing:
        if fastest is not best:
            tiles["fastest in its tie"] = name_of(fastest.trial)
        tiles["latency of a query, p50"] = f"{numbers.milliseconds(timing.p50_ms)} ms"
    return tiles


def _lead(finding: Finding) -> Words:
    dataset, first_stage, _ = finding.group
    where = f"{dataset} ({first_stage}, {candidates_of(finding.members)})"
    best = finding.best
    if best is None:
        if {row.status for row in finding.members} == {"failed"}:
            return (f"Nothing was measured on {dataset} ({first_stage}): it failed.",)
        return (f"No reranker {_why_none(finding)} on {where}.",)
    value = f"{finding.measure} {numbers.quality(best.quality[finding.measure].mean)}"
    name, delta = Strong(name_of(best.trial)), finding.difference
    equals: list[Inline] = [name]
    for row in finding.equals[1:]:
        equals += [", ", Strong(name_of(row.trial))]
    several = len(equals) > 1
    if several:
        equals[-2] = " and "
    rank = "rank best, equal" if several else "ranks best"
    if delta is None:
        return (*equals, f" {rank} on {where}: {value}.")
    by = f"{numbers.change(delta)} {numbers.signed_interval(delta)} (p {numbers.p_value(delta.p)})"
    if delta.p >= ALPHA:
        none = f"No reranker can be told from the first stage on {where}: the best, "
        have = "have" if several else "has"
        few = f" {too_few_moved(delta)}." if too_few(delta) else ""
        return (none, *equals, f", {have} {value}, {by}.{few}")
    if delta.mean > 0:
        return (*equals, f" {rank} on {where}: {value}, {by} over the first stage.")
    none = f"No reranker helps on {where}: the best, "
    are = "are" if several else "is"
    return (none, *equals, f", {are} below the first stage: {value}, {by}.")


def _why_none(finding: Finding) -> str:
    rerankers = [row for row in finding.members if row.trial.kind == "reranker"]
    if any(finding.measure in row.quality for row in rerankers):
        return "can lead a verdict (see the notes)"
    return "was measured"


def _others(finding: Finding) -> Words:
    """Return which other rerankers tie with the best, where the fastest of them is not named."""
    if len(_timed(finding)) > 1 or finding.fastest is not finding.best:
        return ()
    others = len(finding.tied) - len(finding.equals)
    if others:
        return (f"These queries cannot tell {counted(others, 'other reranker')} from it.",)
    competing = ranked(finding.members, finding.measure)
    if len(competing) == 1 or len(finding.equals) > 1 or finding.undecided:
        return ()
    return ("No other reranker ties with it.",)


def _timed(finding: Finding) -> list[Row]:
    return [row for row in finding.choices if one_query(row)]


def _speed(finding: Finding) -> Words:
    best, fastest = finding.best, finding.fastest
    timing = one_query(fastest) if fastest else None
    if best is None or fastest is None or timing is None:
        return ()
    network = ", through a network" if fastest.query_elsewhere else ""
    cost = f"{numbers.milliseconds(timing.p50_ms)} ms a query (p50{network})"
    name, timed = Strong(name_of(fastest.trial)), _timed(finding)
    if fastest is best and len(timed) > 1:
        return (name, f" is the fastest of the {len(timed)} that tie and were timed: {cost}.")
    if fastest is best:
        return (name, f" takes {cost}.")
    against = ""
    if best.query_here and fastest.query_here:
        against = f", against {numbers.milliseconds(best.query_here.p50_ms)} ms"
    tie = "that these queries cannot tell from the best"
    return (name, f" is the fastest {tie}: {cost}{against}.")


def _busy(finding: Finding) -> Words:
    """Return what else the machine did while the times of the choices were taken."""
    texts = disturbances_of(_timed(finding))
    return (as_sentence("; ".join(texts)),) if texts else ()


def _margin(finding: Finding) -> Words:
    """Return the smallest loss that the queries can rule out, where the fastest one's difference to
    the best is smaller.
    """
    rival = finding.rivals.get(finding.fastest.trial.id) if finding.fastest else None
    if rival is None:
        return ()
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
    share = f"{100 * finding.room:.0f}\N{NO-BREAK SPACE}%"
    return (f"That is {share} of the way from there to the best order of these candidates.",)


def _money(finding: Finding) -> Words:
    cost = finding.best.cost if finding.best else None
    if cost is None:
        return ()
    dollars = numbers.dollars(cost.usd_per_1000_queries)
    return (f"The best ranking costs ${dollars} per 1,000 queries.",)
