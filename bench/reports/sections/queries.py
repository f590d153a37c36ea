"""Single queries: the view into each of them, and those that the best reranker moved most."""

from __future__ import annotations

from dataclasses import replace

from bench.reports import cells
from bench.reports.cells import Badge
from bench.reports.document import (
    Block,
    Column,
    Drill,
    Fold,
    Heading,
    Paragraph,
    Row,
    Section,
    Table,
)
from bench.reports.drill import GroupDrill, PageGroup
from bench.reports.findings import Finding
from bench.reports.names import name_of
from bench.reports.view import View

MOVED = 5


def queries(view: View) -> Section:
    """Return the drill-down of every group, and tables of the biggest wins and losses."""
    groups: list[PageGroup] = []
    tables: list[Block] = []
    for i, finding in enumerate(view.findings, 1):
        group = view.rankings.drills[finding.group]
        data = group.data(finding.best)
        if data:
            label = view.title(finding.group)
            groups.append({"id": f"g{i}", "label": label, **data})
        moved = _moved(group, finding)
        if moved and len(view.findings) > 1:
            tables.append(Heading(view.title(finding.group)))
        if moved:
            tables.append(moved)
    blocks: list[Block] = []
    if groups:
        texts, cut = view.rankings.documents.listed()
        has_texts = not view.run.queries.empty
        blocks.append(Drill({"groups": groups, "docs": texts, "cut": cut, "texts": has_texts}))
    if tables:
        title = ("Biggest wins and losses of the best reranker",)
        blocks.append(Fold(title, tables, is_open=not groups))
    if not blocks:
        blocks = [Paragraph(("This run holds no rankings to look into.",), quiet=True)]
    return Section("queries", "Queries", blocks)


def _moved(group: GroupDrill, finding: Finding) -> Table | None:
    """Return the best reranker's biggest wins, then its biggest losses."""
    if finding.best is None or group.base is None:
        return None
    before, after = group.values[group.base.trial.id], group.values[finding.best.trial.id]
    changes = {query: after[query] - value for query, value in before.items() if query in after}
    order = sorted(changes, key=lambda query: changes[query])
    wins = [query for query in reversed(order) if changes[query] > 0][:MOVED]
    losses = [query for query in order if changes[query] < 0][:MOVED]
    rows = []
    badges: dict[str, Badge] = {**dict.fromkeys(wins, "better"), **dict.fromkeys(losses, "worse")}
    for query, badge in badges.items():
        by_column = {
            "before": cells.mean(before[query]),
            "after": cells.mean(after[query]),
            "change": cells.change(changes[query], badge),
        }
        row = Row(query, by_column)
        if text := group.words.get(query):
            row = replace(row, name=text, id=query)
        rows.append(row)
    if not rows:
        return None
    columns = [
        Column("before", "first stage"),
        Column("after", name_of(finding.best.trial)),
        Column("change", "change", priority=0),
    ]
    return Table("query", columns, rows, "queries that moved most", style="moved")
