"""The verdict in a few sentences: which reranker ranks best, whether that is real, which is fastest
among its equals, what is missing.
"""

from __future__ import annotations

from bench.core.counting import counted
from bench.records.rows import Row, candidates_of
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
from bench.reports.findings import ALPHA, Finding, one_query, ranked
from bench.reports.names import name_of
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
    warnings = [(text,) for text in view.run.info.warnings]
    blocks += [Bullets(warnings)] if warnings else []
    return Section("missing", "To know beforehand", blocks) if blocks else None


def sentences(finding: Finding) -> list[Words]:
    """Return the finding in words."""
    lines = [_lead(finding), _room(finding), _speed(finding), _money(finding)]
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
    tiles = {"best ranking": name_of(best.trial), finding.measure: quality}
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
        return (f"No reranker {_why_none(finding)} on {where}.",)
    value = f"{finding.measure} {numbers.quality(best.quality[finding.measure].mean)}"
    name, delta = Strong(name_of(best.trial)), finding.difference
    if delta is None:
        return (name, f" ranks best on {where}: {value}.")
    by = f"{numbers.change(delta)} {numbers.signed_interval(delta)} (p {numbers.p_value(delta.p)})"
    if delta.p >= ALPHA:
        none = f"No reranker can be told from the first stage on {where}: the best, "
        return (none, name, f", has {value}, {by}.")
    if delta.mean > 0:
        return (name, f" ranks best on {where}: {value}, {by} over the first stage.")
    none = f"No reranker helps on {where}: the best, "
    return (none, name, f", is below the first stage: {value}, {by}.")


def _why_none(finding: Finding) -> str:
    rerankers = [row for row in finding.members if row.trial.kind == "reranker"]
    if any(finding.measure in row.quality for row in rerankers):
        return "can lead a verdict (see the notes)"
    return "was measured"


def _speed(finding: Finding) -> Words:
    best, fastest, others = finding.best, finding.fastest, len(finding.tied) - 1
    if best is None:
        return ()
    alone = ""
    if others:
        alone = f"These queries cannot tell {counted(others, 'other reranker')} from it."
    elif len(ranked(finding.members, finding.measure)) > 1:
        alone = "No other reranker ties with it."
    timing = one_query(fastest) if fastest else None
    if fastest is None or timing is None:
        return (alone,) if alone else ()
    network = ", through a network" if fastest.request else ""
    cost = f"{numbers.milliseconds(timing.p50_ms)} ms a query (p50{network})"
    if fastest is best:
        if others:
            return (f"It is the fastest of the {others + 1} that tie: {cost}.",)
        return (f"{alone} It takes {cost}.".strip(),)
    against = ""
    if best.single and fastest.single:
        against = f", against {numbers.milliseconds(best.single.p50_ms)} ms"
    name = Strong(name_of(fastest.trial))
    return (name, f" is the fastest that these queries cannot tell from it: {cost}{against}.")


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
