"""`list` and `show`: what a suite can name, in plain lines. Reads data files only; numpy and
everything heavier stay out of `list`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import resources
from itertools import zip_longest
from pathlib import Path
from shutil import get_terminal_size
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import click

from bench.core.errors import SuiteError, nearest, nearest_of_many
from bench.core.wording import sentences

if TYPE_CHECKING:
    from rich.console import Console


def show_list(what: str, backend: str | None = None) -> None:
    """Print one list: rerankers (of one backend, where one is named), or one of LISTS."""
    if what == "rerankers":
        from bench.discover.reranker_list import lines

        texts = lines(backend)
    else:
        texts = _aligned(list(LISTS[what]()))
    for text in texts:
        click.echo(text)


def show_one(what: str, name: str, console: Console) -> None:
    """Print everything about one of DETAILS: a reranker, dataset, suite or run, or a guide."""
    DETAILS[what](name, console)


def _datasets() -> Iterator[Sequence[str]]:
    from bench.datasets import embedded_names

    for name in embedded_names():
        yield (f"embedded:{name}", "comes with rerank-bench, no network")
    yield (
        "files:FOLDER",
        "your own: docs.jsonl, queries.tsv, qrels.txt, or BEIR's corpus.jsonl, queries.jsonl, "
        "qrels/*.tsv; compressed, too",
    )
    yield (
        "irds:ID",
        "any ir_datasets id, such as irds:beir/scifact/test or "
        "irds:msmarco-passage/trec-dl-2019/judged",
    )
    yield ("custom:MODULE:CALLABLE", "a loader of your own")


def _first_stages() -> Iterator[Sequence[str]]:
    from bench.retrieval import TABLE, FirstStageOptions, class_of

    common = FirstStageOptions.model_fields
    for name in TABLE:
        kind = class_of(name)
        options = [key for key in kind.Options.model_fields if key not in common]
        yield (name, kind.meaning, ", ".join(options))
    yield ("MODULE:CLASS", "a first stage of your own", "")


def _scenarios() -> Iterator[Sequence[str]]:
    from bench.latency.scenarios import SCENARIOS, class_of

    for name in SCENARIOS:
        scenario = class_of(name)
        options = ", ".join(scenario.Options.model_fields)
        yield (name, scenario.question, scenario.place.title, options)
    yield ("MODULE:CLASS", "a scenario of your own", "", "")


def _executors() -> Iterator[Sequence[str]]:
    from bench.scoring.executors import EXECUTORS, class_of

    for name in EXECUTORS:
        kind = class_of(name)
        yield (name, kind.meaning, ", ".join(kind.Options.model_fields))
    yield ("MODULE:CLASS", "an executor of your own", "")


def _sections() -> Iterator[Sequence[str]]:
    from bench.reports.sections import SECTIONS

    for name, entry in SECTIONS.items():
        yield (name, ", ".join(sorted(entry.places)))


def _probes() -> Iterator[Sequence[str]]:
    from bench.probes import PROBES

    for name, probe in PROBES.items():
        yield (name, probe.title)


def _docs() -> Iterator[Sequence[str]]:
    for name, page in pages().items():
        title = page.read_text(encoding="utf-8").partition("\n")[0]
        yield (name, title.lstrip("# "))
    yield ("",)
    yield ("`rerank-bench show doc NAME` prints one",)


def pages() -> dict[str, Path]:
    """Return the guides that come with the package: name -> file."""
    folder = Path(str(resources.files("bench"))) / "docs"
    # in a source checkout they are at the top level
    if not folder.is_dir():
        folder = folder.parent.parent / "docs"
    return {path.stem: path for path in sorted(folder.glob("*.md"))}


def _suites() -> Iterator[Sequence[str]]:
    import yaml

    from bench.suite.suite import shipped

    for name, path in shipped().items():
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        yield (name, " ".join(str(content.get("description", "")).split()))


def _measures() -> Iterator[Sequence[str]]:
    from bench.quality.measures import MEASURES
    from bench.quality.score_measures import SCORE_MEASURES

    yield from MEASURES.items()
    for measure in SCORE_MEASURES.values():
        yield measure.name, f"of scores, {measure.better} is better: {measure.meaning}"
    yield ("",)
    yield ("written as in ir_measures: nDCG@10, RR@10, P(rel=2)@5, R@100, AP",)


UNLIMITED = 1000
"""Columns of what is no terminal: nothing wraps there."""
NARROWEST = 20
"""Characters below which no column of a list wraps."""
GAP = "  "
LISTS: Mapping[str, Callable[[], Iterator[Sequence[str]]]] = {
    "datasets": _datasets,
    "first-stages": _first_stages,
    "scenarios": _scenarios,
    "executors": _executors,
    "measures": _measures,
    "probes": _probes,
    "sections": _sections,
    "suites": _suites,
    "docs": _docs,
}


def _aligned(rows: list[Sequence[str]]) -> Iterator[str]:
    """Yield the rows with columns as wide as their longest cell; in a terminal that has no room
    for them, the widest columns wrap. A row of one cell stays as it is.
    """
    table = [row for row in rows if len(row) > 1]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - get_terminal_size((UNLIMITED, 24)).columns
    while excess > 0 and max(widths) > NARROWEST:
        widths[widths.index(max(widths))] -= 1
        excess -= 1
    for row in rows:
        if len(row) == 1:
            yield row[0]
        else:
            yield from _wrapped(row, widths)


def _wrapped(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    """Yield the lines of a row whose cells wrap. A word that is longer than its column is not
    broken.
    """
    columns = []
    for cell, width in zip(row, widths, strict=True):
        columns.append(wrap(cell, width, break_long_words=False, break_on_hyphens=False))
    for line in zip_longest(*columns, fillvalue=""):
        cells = [text.ljust(width) for text, width in zip(line, widths, strict=True)]
        yield GAP.join(cells).rstrip()


def _show_reranker(name: str, console: Console) -> None:
    import yaml

    from bench import rerankers
    from bench.catalogue import entries

    entry = entries.load().get(name)
    facts: Mapping[str, object] = {}
    if entry is not None:
        facts = entry.model_dump(mode="json", exclude_none=True)
    elif name not in rerankers.TABLE and ":" not in name:
        known = [*entries.load(), *rerankers.TABLE]
        hint = nearest_of_many(name, known, "rerank-bench list rerankers")
        raise SuiteError(f"no reranker '{name}': {hint}; one of your own is named module:Class")
    _print_data(console, {name: {**facts, "options_decide": _options_by_decision(name)}}, yaml)


def _options_by_decision(name: str) -> dict[str, list[str]]:
    """Return what the options of a reranker decide: `scores`, `speed` or `nothing` -> options. One
    that does not say counts as deciding the scores.
    """
    from bench import rerankers
    from bench.core.options import decision, fields_of

    model = rerankers.options_for(name)
    groups: dict[str, list[str]] = {"scores": [], "speed": [], "nothing": []}
    for option in fields_of(model):
        groups[decision(model, option).decides].append(option)
    return groups


def _show_suite(name: str, console: Console) -> None:
    import yaml

    from bench.suite.suite import load

    _print_data(console, load(name).resolved(), yaml)


def _show_doc(name: str, console: Console) -> None:
    page = pages().get(name.removeprefix("docs/").removesuffix(".md"))
    if page is None:
        raise SuiteError(f"there is no guide '{name}': {nearest(name, pages())}")
    console.print(page.read_text(encoding="utf-8"), markup=False, end="", soft_wrap=True)


def _print_data(console: Console, data: Any, yaml: Any) -> None:
    console.print(
        yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=max(60, console.width - 2)),
        markup=False,
        end="",
        soft_wrap=True,
    )


def _show_dataset(name: str, console: Console) -> None:
    from bench import datasets

    dataset = datasets.load(name, None, Path.cwd())
    grades: set[int] = set()
    for by_document in dataset.qrels.values():
        grades.update(by_document.values())
    facts: dict[str, str | int] = {
        "id": dataset.id,
        "documents": len(dataset.documents),
        "queries": len(dataset.queries),
        "judged queries": sum(query_id in dataset.qrels for query_id in dataset.queries),
        "judgments": sum(map(len, dataset.qrels.values())),
        "grades": ", ".join(map(str, sorted(grades))),
        "relevant from grade": dataset.min_relevance,
    }
    for key, value in dataset.identity.items():
        facts.setdefault(key, value)
    for key, value in facts.items():
        console.print(f"{key:<20} {value}", markup=False)
    for text in sentences(dataset.warnings):
        console.print(f"note: {text}", markup=False)


def _show_run(name: str, console: Console) -> None:
    from bench import reports
    from bench.records import baselines

    run = baselines.find(name)
    console.print(
        f"{run.info.suite} {run.info.id}, {run.info.status}, {run.info.started}", markup=False
    )
    reports.show(run, console)


DETAILS: Mapping[str, Callable[[str, Console], None]] = {
    "reranker": _show_reranker,
    "dataset": _show_dataset,
    "suite": _show_suite,
    "run": _show_run,
    "doc": _show_doc,
}
