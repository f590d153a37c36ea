"""report.md: the run as a merge-request comment or a page in a repository. What decides stands
first; what explains it is folded away.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.comparison.agreement import Agreement, agreements
from bench.core.counting import counted
from bench.quality.measures import JUDGED
from bench.records.points import Point
from bench.records.rows import GroupKey, Row, candidates_of, groups, measures_of
from bench.records.run import Run
from bench.reports import agreement, latency_only, numbers, sweep, timings
from bench.reports.cells import DELTA, cells, columns
from bench.reports.notes import notes as notes_of
from bench.reports.summary import Finding, Style, absent, findings, name_of, sentences

EXPLANATION = f"""\
Brackets are 95 % bootstrap intervals over queries. {DELTA} is the paired difference to the first
stage, p its permutation test (two-sided). `oracle` is the best order these candidates allow.
Latency is one query in flight, from raw strings to sorted scores; p95 is withheld below 59 queries;
ms/pair is amortised (per query / candidates). Parts are taken in calls of their own: they need not
add up to p50.""".replace("\n", " ")
FAILURES = "failed is the share of queries whose call failed: they score 0."
COSTS = (
    "$/1k queries is what the scores cost when they were bought, cached ones included, at "
    "the price that the record names."
)
FOLDED_NOTES = 6
"""From so many notes on, they are folded."""
IN_FULL = ("95 %", JUDGED, "ms/pair")
"""Columns that stand in the full table only: the compact one has intervals beside their values."""

CAPTIONS = {
    "tradeoff": "quality against latency",
    "depth": "quality against the candidates reranked",
    "sweep": "latency by candidates and batch size",
}


def report(run: Run, pictures: Sequence[tuple[GroupKey, Path]] = ()) -> str:
    """The whole page."""
    found, swept, agreed, bare = (
        run.rows,
        sweep.points(run),
        agreements(run),
        latency_only.tables(run),
    )
    parts = [f"## {escape(run.info.suite)}", _summary(findings(run, found))]
    for (dataset, first_stage, depth), members in groups(found).items():
        parts += [
            f"### {escape(dataset)}, {escape(first_stage)}, {candidates_of(members)}",
            compact_table(members),
            _absent(members),
        ]
        parts += [timings.REQUEST_NOTE] if timings.has_requests(members) else []
        parts += agreement_table(agreed.get((dataset, first_stage, depth), ()), members)
        parts += latency_only_tables(bare.get((dataset, first_stage, depth)))
        full = [
            main_table(members),
            *latency_tables(members),
            *sweep_tables(*swept.get((dataset, first_stage, depth), ("", []))),
        ]
        full.append(
            _pictures([path for group, path in pictures if group == (dataset, first_stage, depth)])
        )
        parts.append(folded("All columns, latency", full))
    parts += [
        _notes(run, found),
        folded("How to read this", [_explanation(found)]),
        folded("Environment", [_environment(run)]),
    ]
    parts += [escape(run.info.description), _reproduce(run)]
    return "\n\n".join(part for part in parts if part) + "\n"


def compact_table(members: Sequence[Row]) -> str:
    """What one decides by, narrow enough for a comment: the best value of the headline measure
    among rerankers is bold.
    """
    measures = measures_of(members)
    shown = [name for name in columns(members, measures) if name not in IN_FULL]
    competing = [row for row in members if row.trial.kind == "reranker" and not row.meaningless]
    ranked = [
        row.quality[measures[0]].mean
        for row in competing
        if measures and measures[0] in row.quality
    ]
    lines = []
    for row in members:
        if row.status == "done":
            line = cells(row, measures)
            lead, delta = (
                (row.quality.get(measures[0]), row.differences.get(measures[0]))
                if measures
                else (None, None)
            )
            if lead:
                value = line[measures[0]]
                if row in competing and lead.mean == max(ranked):
                    value = f"**{value}**"
                line[measures[0]] = f"{value} {numbers.interval(lead)}"
            if delta:
                line[DELTA] += f" [{delta.low:+.3f}, {delta.high:+.3f}]"
            lines.append([_label(row), *(line[name] for name in shown)])
    return table(["reranker", *shown], lines)


def main_table(members: Sequence[Row]) -> str:
    """One group's rows in every column; skipped trials are told apart from it."""
    measures = measures_of(members)
    shown = columns(members, measures)
    done = [(row, cells(row, measures)) for row in members if row.status == "done"]
    return table(
        ["reranker", *shown],
        [[_label(row), *(found[name] for name in shown)] for row, found in done],
    )


def latency_tables(members: Sequence[Row]) -> list[str]:
    """Every scenario with its intervals, and where the time goes."""
    names = {row.trial.id: _label(row) for row in members}
    lines = timings.full(members, names)
    if not lines:
        return []
    found = [table(lines[0], lines[1:])]
    pieces = timings.parts(members, names)
    found += ["Where the time goes (median ms, share):"] if pieces else []
    return [*found, *(table(head, lines) for head, *lines in pieces)]


def latency_only_tables(bare: latency_only.Bare | None) -> list[str]:
    """Networks without their weights, apart from all that has a quality."""
    if bare is None:
        return []
    lines = [[escape(cell) for cell in line.values()] for line in bare.lines]
    told = "\n".join(f"- {escape(text)}" for text in (*bare.notes, *bare.absent))
    return [
        f"**{latency_only.TITLE}**",
        *([table(list(bare.lines[0]), lines)] if lines else []),
        told,
    ]


def sweep_tables(measure: str, rerankers: Sequence[Sequence[Point]]) -> list[str]:
    """Each reranker's times at every depth and setting that was swept, and the quality there."""
    found = []
    for points in rerankers:
        head, *lines = [[escape(cell) for cell in line] for line in sweep.lines(points, measure)]
        trial = points[0].trial
        found += [f"Sweep of {escape(trial.reranker)} ({trial.device}):", table(head, lines)]
    return [*found, sweep.NOTE] if found else []


def agreement_table(found: Sequence[Agreement], members: Sequence[Row]) -> list[str]:
    """How much faster the same model runs in other ways, and what that does to its scores."""
    lines = [[escape(name), *cells] for name, *cells in agreement.lines(found, members)]
    return [agreement.TITLE, table(agreement.head(found), lines)] if found else []


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table whose first column reads from the left."""
    return "\n".join(
        [_line(head), _line(["---", *["--:"] * (len(head) - 1)]), *(_line(line) for line in lines)]
    )


def folded(title: str, parts: Iterable[str]) -> str:
    """Parts that open on a click; nothing where there are none."""
    content = "\n\n".join(part for part in parts if part)
    return f"<details><summary>{title}</summary>\n\n{content}\n\n</details>" if content else ""


def _label(row: Row) -> str:
    name = (
        escape(row.name) if row.trial.device == "-" else f"{escape(row.name)} ({row.trial.device})"
    )
    return f"*{name}*" if row.trial.kind == "reference" else name


def _summary(found: Sequence[Finding]) -> str:
    """Who leads, by how much, whether that is real, at what cost: a line per group."""
    style = Style(escape, lambda name: f"**{escape(name)}**")
    told = [" ".join(sentences(finding, style)) for finding in found]
    return told[0] if len(told) == 1 else "\n".join(f"- {one}" for one in told)


def _absent(members: Sequence[Row]) -> str:
    lines = []
    for status in ("failed", "skipped"):
        lines += [
            f"- {escape(', '.join(names))} {status}: {escape(reason)}"
            for reason, names in absent(members, status).items()
        ]
    return "\n".join(lines)


def _explanation(found: Sequence[Row]) -> str:
    more = [FAILURES] if any(row.failed for row in found) else []
    more += [COSTS] if any(row.cost for row in found) else []
    return " ".join([EXPLANATION, *more])


def _pictures(paths: Sequence[Path]) -> str:
    """Where the pictures are. None is embedded: a posted comment has no files, and would show
    broken ones.
    """
    named = [
        f"{_code(path.name)} ({CAPTIONS.get(path.name.partition('-')[0], path.suffix)})"
        for path in paths
    ]
    return f"Pictures, in the run's folder: {', '.join(named)}." if named else ""


def _notes(run: Run, found: Sequence[Row]) -> str:
    notes = [f"- {escape(text)}" for text in run.info.warnings]
    own, shared = notes_of(found, name_of)
    for (dataset, first_stage, _), texts in own.items():
        where = f"{dataset}, {first_stage}: " if len(own) > 1 else ""
        notes += [f"- {escape(where + text)}" for text in texts]
    notes += [f"- {escape(text)}" for text in shared]
    if len(notes) >= FOLDED_NOTES:
        return folded(counted(len(notes), "note"), ["\n".join(notes)])
    return "\n".join(notes)


def _environment(run: Run) -> str:
    machine = run.info.environment
    facts = {
        "CPU": machine.get("cpu"),
        "cores": machine.get("physical_cores"),
        "GPU": machine.get("gpu"),
        "Python": machine.get("python"),
    }
    libraries = machine.get("libraries") or {}
    lines = [f"- {name}: {value}" for name, value in facts.items() if value]
    lines += [f"- {name} {version}" for name, version in libraries.items() if version]
    return "\n".join(lines)


def _reproduce(run: Run) -> str:
    command = run.info.command or f"rerank-bench run {run.info.suite}"
    return (
        f"Reproduce: {_code(command)} with rerank-bench {run.info.version}. Run "
        f"`{run.info.id}`, {run.info.started}."
    )


def _code(text: str) -> str:
    """Text as code, whatever backticks it holds."""
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    space = " " if len(fence) > 1 else ""
    return f"{fence}{space}{' '.join(text.split())}{space}{fence}"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def escape(text: str) -> str:
    """Text as text: what Markdown or HTML would read as markup is escaped. An underscore inside a
    word is none.
    """
    return re.sub(
        r"([\\`*\[\]<>|]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))", r"\\\1", " ".join(text.split())
    )
