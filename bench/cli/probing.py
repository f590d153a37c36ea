"""`probe`: whether a reranker's order survives what should not change it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.arguments import (
    PATH,
    count_option,
    device_option,
    form_option,
    options_of,
    quiet_option,
)
from bench.cli.console import echo, open_observer, warn
from bench.core.errors import BenchError

if TYPE_CHECKING:
    from bench.records.probe_file import ProbeFile
    from bench.suite.suite import Suite

SUITES = (".yaml", ".yml")
ACCUSED = 1


@click.command()
@click.argument("target", metavar="SUITE|RERANKER")
@click.option("--reranker", metavar="NAME", help="One reranker of the suite. Default: all of them.")
@click.option(
    "--option",
    "-o",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of RERANKER, as in a suite.",
)
@click.option(
    "--probe", "names", multiple=True, metavar="NAME", help="A probe, repeatable. Default: all."
)
@count_option("--queries", 20, "Queries, a seeded choice.")
@count_option("--depth", 20, "Documents of each query.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the choice of queries.")
@device_option
@click.option(
    "--estimate",
    is_flag=True,
    help="Only report calls, tokens and price: load nothing, send nothing, write nothing.",
)
@click.option(
    "--out",
    type=PATH,
    default=Path("results") / "probes",
    show_default=True,
    help="Folder for a JSON file per reranker.",
)
@form_option("table", "markdown", "json")
@quiet_option
def probe(
    target: str,
    reranker: str | None,
    options: tuple[str, ...],
    names: tuple[str, ...],
    queries: int,
    depth: int,
    seed: int,
    device: str | None,
    estimate: bool,
    out: Path,
    form: str,
    quiet: bool,
) -> int:
    """Probe whether the order of SUITE's rerankers, or of RERANKER over the embedded collection, is
    stable: reversed input, other batches, split lists, blank and duplicate documents, prefixes,
    negation, injected orders and more (docs/probes.md).

    Models are asked, never the score cache: see --estimate for a hosted one. Exits 0 stable, 1 some
    probe accuses, 2 bad input or a probe that could not be asked.
    """
    from bench.probes.suite import Cost, Sizes, Skipped, check_names, cost, probe_row, rows
    from bench.reports import probed

    check_names(names)
    sizes = Sizes(queries, depth, seed)
    observer = open_observer(quiet=quiet or estimate)
    files: list[ProbeFile] = []
    costs: list[Cost] = []
    skipped: list[Skipped] = []
    failures: list[str] = []
    suite = _suite(target, options)
    paths: list[Path] = []
    for row in rows(suite, sizes, only=reranker, device=device, absent=estimate, observer=observer):
        if isinstance(row, Skipped):
            skipped.append(row)
            continue
        if estimate:
            costs.append(cost(row, sizes, names))
            continue
        try:
            probes = probe_row(row, sizes, names, observer)
        except BenchError as error:
            failures.append(f"{row.planned.trial.reranker}: {error}")
            continue
        # at once: an interrupt loses the row at work
        paths.append(_written(out, probes))
        files.append(probes)
    if estimate:
        echo(probed.costs(costs, skipped), form)
        return 0
    if not files:
        reasons = [f"{row.reranker}: {row.reason}" for row in skipped]
        raise BenchError("; ".join([*failures, *reasons]) or "the suite has no reranker")
    echo(probed.document(files, skipped), form)
    if form == "table":
        for path in paths:
            click.echo(f"probes  {path}")
    for failure in failures:
        warn(f"rerank-bench: {failure}")
    return _exit_code(files, failures)


def _written(folder: Path, probes: ProbeFile) -> Path:
    """Write the probes of a row. Returns their file."""
    from bench.core.filenames import file_stem
    from bench.records import probe_file

    words = (probes.reranker, probes.device, probes.dataset, probes.first_stage)
    stem = "--".join(filter(None, words)).replace(":", "-")
    path = folder / f"{file_stem(stem)}.json"
    probe_file.write(path, probes)
    return path


def _suite(target: str, options: tuple[str, ...]) -> Suite:
    """Return the suite of a file or a name, or one of the reranker that the target names."""
    from bench.probes.suite import suite_of
    from bench.suite.suite import load, shipped

    if Path(target).suffix in SUITES or target in shipped():
        if options:
            raise BenchError("--option is of a reranker: a suite holds the options of its stages")
        return load(target)
    return suite_of(target, options_of(options))


def _exit_code(files: list[ProbeFile], failures: list[str]) -> int:
    if any(probes.named("accused") for probes in files):
        return ACCUSED
    if failures or any(probes.named("failed") for probes in files):
        return BenchError.exit_code
    return 0
