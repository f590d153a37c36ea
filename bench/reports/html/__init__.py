"""report.html: the whole run in one file that opens from disk, without a network; its tables and
charts need no script.
"""

from __future__ import annotations

from bench.comparison.agreement import agreements
from bench.records.run import Run


def report(run: Run) -> str:
    """The page of a run, from its records alone."""
    from markupsafe import Markup, escape

    from bench.reports import agreement, latency_only, numbers, summary, timings
    from bench.reports.html import facts, group
    from bench.reports.html.glossary import glossary
    from bench.reports.html.overview import overview
    from bench.reports.html.page import for_script, page
    from bench.reports.html.queries import MOST_QUERIES, Documents

    style = summary.Style(lambda text: str(escape(text)), lambda text: f"<b>{escape(text)}</b>")
    table = run.rows
    found = summary.findings(run, table)
    marks, documents = group.marks(run), Documents.of(run)
    timed, agreed = [] if run.sweep.empty else run.points, agreements(run)
    most = max(20, MOST_QUERIES // max(1, len(found)))
    views = [
        group.view(run, one, f"g{i}", marks, timed, agreed.get(one.group, ()), documents, most)
        for i, one in enumerate(found, 1)
    ]
    listed, cut = documents.listed()
    drills = [{"id": view.id, "label": view.title, **view.drill} for view in views if view.drill]
    data = {"groups": drills, "docs": listed, "cut": cut, "texts": not run.queries.empty}
    return page(
        run=run,
        views=views,
        data=for_script(data),
        has_drill=bool(drills),
        skipped=summary.absent(table, "skipped"),
        failed=summary.absent(table, "failed"),
        sentences=lambda finding: [Markup(one) for one in summary.sentences(finding, style)],
        overview=overview(found, marks),
        glossary=glossary(
            dict.fromkeys(name for record in run.records.values() for name in record.quality)
        ),
        agreement_title=agreement.TITLE,
        bare=latency_only.tables(run),
        bare_title=latency_only.TITLE,
        markup=Markup,
        facts=facts,
        numbers=numbers,
        name_of=summary.name_of,
        one_query=timings.one_query,
        swatch=lambda mark: Markup(mark.swatch()),
        command=run.info.command or f"rerank-bench run {run.info.suite}",
    )
