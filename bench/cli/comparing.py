"""`compare`, `check`, `parity`: what lies between runs, and whether that passes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.arguments import (
    MEANING,
    NEWEST,
    PATH,
    RUN,
    form_option,
    quiet_option,
    run_argument,
)
from bench.cli.console import echo, open_observer
from bench.core.errors import BenchError, nearest

if TYPE_CHECKING:
    from bench.gate import Gates, Judge, Verdict
    from bench.gate.staged import StagedCheck
    from bench.records.run import Run


FORMS = ("table", "markdown", "json", "junit", "github")


class Form(click.ParamType[tuple[str, Path | None]]):
    """`FORM` or `FORM:PATH`."""

    name = "form"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, Path | None]:
        form, colon, path = str(value).partition(":")
        if form not in FORMS or bool(colon) != bool(path):
            self.fail(f"'{value}': FORM or FORM:PATH; {nearest(form, FORMS)}", param, ctx)
        if not path:
            return form, None
        return form, Path(path)


@click.command(epilog=MEANING)
@click.argument("runs", metavar="RUN [RUN ...]", nargs=-1, required=True, type=RUN)
@click.option(
    "--baseline",
    metavar="NAME",
    help="The reranker to compare with, or it with its device as tables have it, NAME (DEVICE). "
    "Default: first-stage in one run, itself in the first of several.",
)
@click.option("--measure", help="Such as nDCG@10. Default: the first run's first measure.")
@click.option(
    "--across",
    multiple=True,
    metavar="FIELD",
    help="A field that may differ between runs: candidates, depth, template, ...",
)
@click.option(
    "--moved",
    type=click.IntRange(0),
    metavar="N",
    help="Queries that moved most, shown per comparison; 0 for none. Default: 3 in a terminal, "
    "else 5.",
)
@form_option("table", "markdown", "json", "csv")
def compare(
    runs: tuple[Run, ...],
    baseline: str | None,
    measure: str | None,
    across: tuple[str, ...],
    moved: int | None,
    form: str,
) -> None:
    """Compare rerankers query by query: with a baseline in one RUN, or the same reranker in
    several.

    Exits 3, naming the fields that differ, where the runs did not measure the same thing.
    """
    from bench.comparison import pairs as comparing
    from bench.reports import comparison

    comparisons = comparing.compare(runs, baseline, measure, across)
    queries = comparison.SHOWN
    if form == "table":
        queries = comparison.SHOWN_IN_TERMINAL
    if moved is not None:
        queries = moved
    echo(comparison.document(comparisons, queries), form, *runs)


@click.command(epilog=MEANING)
@run_argument
@click.option(
    "--by",
    "fields",
    multiple=True,
    metavar="FIELD",
    help="A field of the queries, such as language; `length`; or `difficulty`, the first stage's "
    "own value. May be repeated. Default: all of them.",
)
@click.option(
    "--baseline",
    metavar="NAME",
    help="The reranker to compare with. Default: first-stage.",
)
@click.option("--measure", help="Such as nDCG@10. Default: the run's first measure.")
@form_option("table", "markdown", "json", "csv")
def slices(
    run: Run, fields: tuple[str, ...], baseline: str | None, measure: str | None, form: str
) -> None:
    """Compare the rerankers of RUN by classes of queries: by language, type, length, difficulty.

    Each class has its means and paired differences with intervals, p corrected by Holm over all
    classes; those of fewer than 10 queries are named and not judged.
    """
    from bench.comparison.slices import slicings
    from bench.reports import sliced

    tables = slicings(run, fields, baseline, measure)
    if not tables:
        raise BenchError(f"{run.folder}: its queries have no field to part them by")
    echo(sliced.document(tables), form, run)


class RunOrSuite(click.ParamType["Run | Path"]):
    """A run, or the path of a suite file."""

    name = "run"

    def convert(self, value: Any, param: Any, ctx: Any) -> Run | Path:
        path = Path(value)
        if path.suffix in (".yaml", ".yml"):
            return path
        return NEWEST.convert(value, param, ctx)


@click.command(epilog=MEANING)
@click.argument("new", metavar="NEW", type=RunOrSuite())
@click.option(
    "--baseline", required=True, metavar="RUN", type=NEWEST, help="What NEW has to live up to."
)
@click.option(
    "--gates",
    type=PATH,
    metavar="FILE",
    help="A YAML file of gates and their limits (docs/ci.md). Default: quality and drift.",
)
@click.option(
    "--measure",
    help="Such as nDCG@10, in place of a gates file. Default: the baseline's first measure.",
)
@click.option(
    "--margin",
    type=float,
    help="The largest mean loss that is still acceptable, in place of a gates file. Default: 0.01.",
)
@click.option(
    "--live",
    is_flag=True,
    help="Time both sides anew, in turn, for the speed gate (1.10 times unless the gates file "
    "says).",
)
@click.option(
    "--sequential",
    is_flag=True,
    help="NEW is a suite file: run it on more and more of its queries, and stop each reranker when "
    "its quality gates are certain. Of a run, say after how many queries they were.",
)
@click.option(
    "--fresh", is_flag=True, help="Of a suite: score everything anew, without the score cache."
)
@click.option(
    "--accept-underpowered",
    is_flag=True,
    hidden=True,
    expose_value=False,
    help="Has no effect any more.",
)
@click.option(
    "--inconclusive",
    type=click.Choice(["pass", "fail"]),
    help="What an inconclusive check counts as, in place of exit code 4.",
)
@click.option(
    "--format",
    "forms",
    multiple=True,
    type=Form(),
    metavar="FORM[:PATH]",
    help="table (the default), markdown, json, junit, github; printed, or to PATH.",
)
@quiet_option
def check(
    new: Run | Path,
    baseline: Run,
    gates: Path | None,
    measure: str | None,
    margin: float | None,
    live: bool,
    sequential: bool,
    fresh: bool,
    inconclusive: Any,
    forms: tuple[tuple[str, Path | None], ...],
    quiet: bool,
) -> int:
    """Check that the run NEW, or a suite with --sequential, is no worse than a baseline.

    Exits 0 pass, 1 fail, 2 bad input, 3 incomparable, 4 inconclusive. Give --format several times
    to write several of them.
    """
    from bench import gate

    if gates and (measure is not None or margin is not None):
        raise BenchError(
            "--gates: the file says measures and margins; leave --measure and --margin out"
        )
    questions = gate.load(gates) if gates else gate.quality_of(measure, margin)
    if isinstance(new, Path):
        if live or not sequential:
            raise BenchError(_of_a_suite(new, live))
        staged = _staged(new, baseline, questions, fresh, quiet)
        verdict = staged.verdict(inconclusive)
    else:
        if fresh:
            raise BenchError(
                "--fresh goes with --sequential and a suite: a run has its scores already"
            )
        gate.refuse_itself(new, baseline)
        judge: Judge = gate.stored_speed
        if live:
            questions, judge = questions.with_speed(), _live_speed(quiet)
        verdict = gate.check(
            new, baseline, questions, inconclusive=inconclusive, speed=judge, sequential=sequential
        )
    problems = []
    for form, path in forms or (("table", None),):
        # Where one output cannot be written, the others are all the same.
        try:
            _write_verdict(verdict, form, path)
        except BenchError as error:
            problems.append(str(error))
    if problems:
        raise BenchError("\n".join(problems))
    return verdict.exit_code


def _of_a_suite(path: Path, live: bool) -> str:
    """Return why a suite is not checked."""
    if live:
        return f"{path}: --live times two runs: run the suite and check its run"
    return f"{path}: a suite is checked with --sequential; else run it, and check its run"


def _staged(suite: Path, baseline: Run, questions: Gates, fresh: bool, quiet: bool) -> StagedCheck:
    from bench.gate.staged import StagedCheck
    from bench.suite.suite import load

    return StagedCheck(load(suite), baseline, questions, fresh, open_observer(quiet=quiet))


def _live_speed(quiet: bool) -> Judge:
    from bench.gate.live import LiveSpeed

    return LiveSpeed(open_observer(quiet=quiet))


def _write_verdict(verdict: Verdict, form: str, path: Path | None) -> None:
    from bench.core.atomic import write_atomically
    from bench.reports import verdict as report
    from bench.reports.judges import marked
    from bench.reports.renderers import render

    document = report.terminal(verdict) if form == "table" else report.document(verdict)
    runs = (verdict.new, verdict.baseline)
    if path is None:
        echo(document, form, *runs)
    else:
        text = render(marked(document, *runs), form).rstrip("\n")
        write_atomically(path, f"{text}\n".encode())


@click.command(epilog=MEANING)
@run_argument
@click.argument("others", metavar="A B | RUN", nargs=-1, required=True)
def parity(run: Run, others: tuple[str, ...]) -> None:
    """Set the scores of two trials of RUN side by side (A and B: trial ids or rerankers), or those
    of each reranker in two RUNs.

    Says how far scores differ at most, the mean Kendall tau of the orders and the mean overlap of
    the top 10; judges nothing. Exits 3 where the candidates differ.
    """
    from bench.comparison import parity as comparing

    if len(others) > 2:
        raise BenchError("parity takes two runs, or one run and two of its trials or rerankers")
    if len(others) == 2:
        parities = comparing.within_run(run, *others)
    elif comparing.is_in(run, others[0]):
        raise BenchError(
            f"parity RUN A B: {others[0]} is in {run.folder}; name what it is set side by side "
            "with: a trial or reranker of that run, as B"
        )
    else:
        parities = comparing.between_runs(run, RUN.convert(others[0], None, None))
    for pair in parities:
        drift = comparing.sentence(pair.drift)
        click.echo(f"{pair.new.trial.id} against {pair.baseline.trial.id}, {drift}")
    for text in comparing.sources(parities):
        click.echo(f"note: {text}", err=True)
