"""report.md: the run as a merge-request comment or a page in a repository."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.records.store import Run
from bench.records.table import GroupKey, Row, groups, headline, notes_on, rows
from bench.reports import numbers, timings
from bench.reports.cells import cells, columns

EXPLANATION = """\
Brackets are 95 % bootstrap intervals over queries. Δ first is the paired difference to the first stage, p its permutation test (two-sided).
`oracle` is the best order these candidates allow. Latency is one query in flight, from raw strings to sorted scores; p95 is withheld
below 59 queries; ms/pair is amortised (per query / candidates). Parts are taken in calls of their own: they need not add up to p50."""
FAILURES = "failed is the share of queries whose call failed: they score 0."
COSTS = "$/1k queries is what the scores cost when they were bought, cached ones included, at the price that the record names."


def report(run: Run, pictures: Sequence[tuple[GroupKey, Path]] = ()) -> str:
    """The whole page."""
    found = rows(run)
    parts = [f"# {run.info.suite}", *([run.info.description] if run.info.description else []), _summary(found, headline(run))]
    for (dataset, first_stage, depth), members in groups(found).items():
        parts += [f"## {dataset}, {first_stage}, {depth} candidates", main_table(members, headline(run)), *latency_tables(members)]
        parts += [f"![{_caption(path)}](<{path.name}>)" for group, path in pictures if group == (dataset, first_stage, depth)]
    parts += [_explanation(found), *_notes(run, found), _environment(run), _reproduce(run)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _explanation(found: Sequence[Row]) -> str:
    more = [FAILURES] if any(row.failed for row in found) else []
    more += [COSTS] if any(row.cost for row in found) else []
    return " ".join([EXPLANATION, *more])


def main_table(members: Sequence[Row], measures: Sequence[str]) -> str:
    """One group's rows; skipped trials stand below the others with their reasons."""
    shown = columns(members, measures)
    head = ["reranker", *shown]
    lines = [_line(head), _line(["---", *["--:"] * len(shown)])]
    for row in members:
        if row.status == "done":
            found = cells(row, measures)
            lines.append(_line([_label(row), *(found[name] for name in shown)]))
    lines += [
        _line([_label(row), f"{row.status}: {escape(row.reason or 'no reason given')}", *[""] * (len(head) - 2)])
        for row in members
        if row.status != "done"
    ]
    return "\n".join(lines)


def latency_tables(members: Sequence[Row]) -> list[str]:
    """Every scenario with its intervals, and where the time goes."""
    names = {row.trial.id: _label(row) for row in members}
    lines = timings.full(members, names)
    if not lines:
        return []
    found = ["### Latency", table(timings.HEAD, lines)]
    if timings.has_requests(members):
        found.append(timings.REQUEST_NOTE)
    pieces = timings.parts(members, names)
    found += ["Where the time goes (median ms, share):"] if pieces else []
    return [*found, *(table(head, lines) for head, *lines in pieces)]


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table whose first column reads from the left."""
    return "\n".join([_line(head), _line(["---", *["--:"] * (len(head) - 1)]), *(_line(line) for line in lines)])


def _label(row: Row) -> str:
    name = escape(row.name) if row.trial.device == "-" else f"{escape(row.name)} ({row.trial.device})"
    return f"*{name}*" if row.trial.kind == "reference" else name


def _summary(table: Sequence[Row], measures: Sequence[str]) -> str:
    """One sentence per group: who leads, by how much, at what cost."""
    sentences = []
    for (dataset, *_), members in groups(list(table)).items():
        done = [row for row in members if row.status == "done" and row.trial.kind == "reranker"]
        if not done or not measures:
            continue
        best = max(done, key=lambda row: row.quality[measures[0]].mean)
        delta = best.differences.get(measures[0])
        text = f"**{escape(best.name)}** leads on {dataset} with {measures[0]} {numbers.quality(best.quality[measures[0]].mean)}"
        if delta:
            text += f", {numbers.change(delta)} on the first stage (p {numbers.p_value(delta.p)})"
        if best.single:
            text += f", at {numbers.milliseconds(best.single.p50_ms)} ms a query (p50, {best.trial.device})"
        if best.cost:
            text += f", for ${numbers.dollars(best.cost.usd_per_1000_queries)} per 1,000 queries"
        sentences.append(f"{text}.")
    return " ".join(sentences)


def _caption(picture: Path) -> str:
    return "quality against latency" if picture.name.startswith("tradeoff") else "quality against the candidates reranked"


def _notes(run: Run, table: Sequence[Row]) -> list[str]:
    notes = [f"- {escape(text)}" for text in run.info.warnings]
    for members in groups(list(table)).values():
        names = {row.trial.id: _label(row) for row in members}
        notes += [f"- {timings.about(about, members, names)}: {escape(note)}" for about, note in notes_on(members)]
    return ["## Notes", "\n".join(notes)] if notes else []


def _environment(run: Run) -> str:
    machine = run.info.environment
    facts = {"CPU": machine.get("cpu"), "cores": machine.get("physical_cores"), "GPU": machine.get("gpu"), "Python": machine.get("python")}
    libraries = machine.get("libraries") or {}
    lines = [f"- {name}: {value}" for name, value in facts.items() if value]
    lines += [f"- {name} {version}" for name, version in libraries.items() if version]
    return "<details><summary>Environment</summary>\n\n" + "\n".join(lines) + "\n\n</details>"


def _reproduce(run: Run) -> str:
    command = run.info.command or f"rerank-bench run {run.info.suite}"
    return f"Reproduce: `{command}` with rerank-bench {run.info.version}. Run `{run.info.id}`, {run.info.started}."


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def escape(text: str) -> str:
    """Text as text: what Markdown or HTML would read as markup is escaped. An underscore inside a word is none."""
    return re.sub(r"([\\`*\[\]<>|]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))", r"\\\1", " ".join(text.split()))
