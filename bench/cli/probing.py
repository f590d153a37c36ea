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
    own_options,
    quiet_option,
)
from bench.cli.console import echo, open_observer, warn
from bench.core.errors import BenchError

if TYPE_CHECKING:
    from bench.probes.suite import Sizes
    from bench.reports.probed import Probes
    from bench.suite.suite import Suite

ACCUSED = 1


@click.command()
@click.argument("target", metavar="SUITE|RERANKER")
@click.option("--reranker", metavar="NAME", help="One reranker of the suite. Default: all of them.")
@own_options("An option of RERANKER, as in a suite.")
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
    probe accuses, 2 bad input, a dataset that could not be loaded (the others go on), a probe that
    could not be asked, or a reranker that none fits.
    """
    from bench.probes.suite import Sizes, check_names, names_a_suite, suite_named
    from bench.reports import probed

    check_names(names)
    sizes = Sizes(queries, depth, seed)
    if options and names_a_suite(target):
        raise BenchError("--option is of a reranker: a suite holds the options of its stages")
    suite = suite_named(target, options_of(options))
    if estimate:
        return _estimate(suite, sizes, names, reranker, device, form)
    observer = open_observer(quiet=quiet)
    probes = probed.probed(suite, sizes, names, reranker, device, out, observer)
    echo(probes.document(), form)
    if form == "table":
        for path in probes.paths:
            click.echo(f"probes  {path}")
    for failure in probes.failed:
        warn(f"rerank-bench: {failure.reranker}: {failure.reason}")
    for own in probes:
        if not own.was_probed:
            warn(f"rerank-bench: {own.reranker}: no probe applies, so that nothing was probed")
    return _exit_code(probes)


def _estimate(
    suite: Suite,
    sizes: Sizes,
    names: tuple[str, ...],
    reranker: str | None,
    device: str | None,
    form: str,
) -> int:
    """Print what the probes would take. Returns the exit code."""
    from bench.probes.suite import Cost, Failed, Skipped, cost, rows
    from bench.reports import probed

    costs: list[Cost] = []
    skipped: list[Skipped] = []
    for row in rows(suite, sizes, only=reranker, device=device, absent=True):
        if isinstance(row, Skipped):
            skipped.append(row)
        else:
            costs.append(cost(row, sizes, names))
    echo(probed.costs(costs, skipped), form)
    if any(isinstance(row, Failed) for row in skipped):
        return BenchError.exit_code
    return 0


def _exit_code(probes: Probes) -> int:
    if any(own.named("accused") for own in probes):
        return ACCUSED
    if probes.failed or any(own.named("failed") or not own.was_probed for own in probes):
        return BenchError.exit_code
    return 0
