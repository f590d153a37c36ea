"""`judge`: judgments by a chat model, for a run whose dataset has none or too few."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.arguments import (
    MEANING,
    PATH,
    count_option,
    form_option,
    options_of,
    own_options,
    quiet_option,
    run_argument,
)
from bench.cli.console import echo, open_observer, warn
from bench.core.counting import counted
from bench.core.errors import BenchError
from bench.core.json_file import json_value

if TYPE_CHECKING:
    from bench.judging.forecast import Forecast
    from bench.judging.job import Job, Outcome
    from bench.records.run import Run


class Grades(click.ParamType[tuple[int, int, int, int]]):
    """What the grades 0, 1, 2 and 3 are written as: `0,0,1,1`."""

    name = "grades"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int, int, int]:
        try:
            first, second, third, fourth = map(int, str(value).split(","))
        except ValueError:
            self.fail(f"{value} is not four whole numbers, such as 0,0,1,1", param, ctx)
        return first, second, third, fourth


class Body(click.ParamType[dict[str, Any]]):
    """Fields of a request as JSON."""

    name = "json"

    def convert(self, value: Any, param: Any, ctx: Any) -> dict[str, Any]:
        try:
            fields = json_value(value)
        except ValueError:
            fields = None
        if not isinstance(fields, dict):
            self.fail('write a JSON object, such as {"reasoning_effort": "low"}', param, ctx)
        return fields


@click.command(epilog=MEANING)
@run_argument
@click.option(
    "--with",
    "judge_name",
    metavar="KIND:MODEL",
    help="openai-chat:MODEL (any OpenAI-compatible server) or local-chat:MODEL (a chat model on "
    "this machine).",
)
@click.option("--dataset", help="One of the run's datasets. Default: all of them.")
@count_option("--depth", 10, "Documents of each row, per query, that are pooled.")
@click.option(
    "--only",
    type=click.Choice(("holes",)),
    help="holes: pairs without a judgment alone; the file keeps people's judgments next to them.",
)
@click.option(
    "--prompt", type=PATH, help="A file with {query} and {passage}. Default: UMBRELA's prompt."
)
@click.option("--base-url", help="Address of the server. Default: OpenAI's.")
@own_options(
    "Of the server, as of a hosted reranker: api_key_env, concurrency, requests_per_minute, "
    "tokens_per_minute, retries, timeout_s; or of the local model."
)
@click.option(
    "--body", type=Body(), help="JSON object: further fields of a request; null takes one away."
)
@click.option(
    "--price",
    type=(click.FloatRange(0), click.FloatRange(0)),
    metavar="IN OUT",
    help="US dollars per million tokens read and written. Default: the catalogue's.",
)
@count_option("--max-tokens", 100, "Tokens that the model may write.")
@click.option("--document-words", type=click.IntRange(1), help="Words that documents are cut to.")
@click.option(
    "--grades",
    "scale",
    type=Grades(),
    metavar="A,B,C,D",
    help="What the grades 0, 1, 2 and 3 are written as.",
)
@count_option("--asks", 2, "Answers without a grade after which a pair is left.")
@click.option(
    "--ask-again", is_flag=True, help="Also ask about pairs that were left without a grade."
)
@click.option(
    "--max-cost", type=click.FloatRange(0, min_open=True), help="US dollars to spend at most."
)
@click.option(
    "--insist", is_flag=True, help="Take a judge of a ranked model's family, and have it noted."
)
@click.option("--estimate", is_flag=True, help="Only report requests, tokens, price and time.")
@click.option("--yes", is_flag=True, help="Do not ask before something is paid for.")
@click.option(
    "--review",
    "size",
    type=click.IntRange(1),
    metavar="N",
    help="Draw N of the judgments for a person: review.csv and review.html, which hold no grade of "
    "the model.",
)
@click.option(
    "--reviewed",
    type=PATH,
    metavar="FILE",
    help="Read the person's CSV: agreement, and what the disagreement does to the measures.",
)
@click.option("--seed", type=click.IntRange(0), help="Of the sample. Default: the run's.")
@click.option("--out", type=PATH, help="Folder for judgments and answers. Default: judged/SUITE.")
@quiet_option
@form_option("table", "markdown", "json")
def judge(
    run: Run,
    judge_name: str | None,
    dataset: str | None,
    depth: int,
    only: str | None,
    prompt: Path | None,
    base_url: str | None,
    options: tuple[str, ...],
    body: dict[str, Any] | None,
    price: tuple[float, float] | None,
    max_tokens: int,
    document_words: int | None,
    scale: tuple[int, int, int, int] | None,
    asks: int,
    ask_again: bool,
    max_cost: float | None,
    insist: bool,
    estimate: bool,
    yes: bool,
    size: int | None,
    reviewed: Path | None,
    seed: int | None,
    out: Path | None,
    quiet: bool,
    form: str,
) -> None:
    """Judge what RUN ranks first with a chat model: pool the top documents of all rows, ask for
    grades from 0 to 3, write TREC qrels with where they come from next to them.

    All answers are kept in answers.jsonl: what was paid for is not asked again, and an interrupted
    call goes on where it was. An answer without a grade is no judgment: the pair is listed, and
    the command exits 2. A suite uses the file with the dataset option `qrels`.
    """
    from bench.judging import job as jobs
    from bench.judging import prompt as prompts
    from bench.reports import judged as report

    folder = out or Path("judged") / run.info.suite
    own_seed = run.seed if seed is None else seed
    if judge_name is None:
        _review(run, folder, dataset, size, reviewed, own_seed, form)
        return
    if reviewed is not None:
        raise BenchError("--reviewed reads a review: leave --with out")
    settings = jobs.Settings(
        judge_name,
        prompts.load(prompt),
        _options(options, base_url, body, price),
        dataset=dataset,
        depth=depth,
        only_holes=only == "holes",
        max_tokens=max_tokens,
        words=document_words,
        scale=scale,
        asks=asks,
        asks_again=ask_again,
        max_cost=max_cost,
        insists=insist,
    )
    with jobs.opened(run, settings, folder) as job:
        for line in job.notes:
            warn(f"note: {line}")
        if estimate:
            echo(report.forecast(job.forecast), form)
            return
        _confirm(job, yes=yes, max_cost=max_cost)
        outcomes = job.run(open_observer(quiet=quiet))
    echo(report.document(outcomes), form)
    if form == "table":
        _paths(outcomes)
    if size is not None:
        _review(run, folder, dataset, size, None, own_seed, form)
    _refuse_gaps(outcomes)


def _review(
    run: Run,
    folder: Path,
    dataset: str | None,
    size: int | None,
    reviewed: Path | None,
    seed: int,
    form: str,
) -> None:
    """Draw a sample for a person, or read one back. Raises BenchError where neither is wanted."""
    from bench.judging import review
    from bench.reports import reviewed as report

    if reviewed is not None and size is None:
        echo(report.document(review.read(run, folder, dataset, reviewed, seed)), form)
    elif size is not None and reviewed is None:
        for path in review.draw(run, folder, dataset, size, seed):
            click.echo(f"review  {path}")
    else:
        raise BenchError(
            "name a judge with --with, draw a sample for a person with --review, or read it back "
            "with --reviewed"
        )


def _options(
    options: tuple[str, ...],
    base_url: str | None,
    body: dict[str, Any] | None,
    price: tuple[float, float] | None,
) -> dict[str, Any]:
    """Return the options of the judge, as a suite would have them."""
    fields = options_of(options)
    if base_url is not None:
        fields["base_url"] = base_url
    if body is not None:
        fields["body"] = body
    if price is not None:
        fields["price"] = {"usd": price[0], "usd_out": price[1], "per": "million tokens"}
    return fields


def _confirm(job: Job, *, yes: bool, max_cost: float | None) -> None:
    """Ask before something is paid for. Raises BenchError where nobody is there to ask, and Abort
    where the answer is no.
    """
    if yes or max_cost is not None:
        return
    expected = job.forecast
    if not expected.to_ask or expected.usd == 0:
        return
    cost = _cost(expected)
    if not sys.stdin.isatty():
        raise BenchError(f"{cost}: give --yes, or --max-cost with what it may cost at most")
    click.confirm(f"{cost}. Go on?", abort=True, err=True)


def _cost(expected: Forecast) -> str:
    requests = counted(expected.to_ask, "request")
    if expected.usd is None:
        return f"{requests} to {expected.judge}, at a price that is not known"
    return f"{requests} to {expected.judge}, ${expected.usd:.2f} at most"


def _paths(outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        if outcome.path is not None:
            click.echo(f"qrels   {outcome.path}")
            click.echo(f"suite   qrels: {outcome.path}")


def _refuse_gaps(outcomes: Sequence[Outcome]) -> None:
    """Raise BenchError where a pair has no grade."""
    lines: list[str] = []
    for outcome in outcomes:
        reasons = outcome.judged.reasons
        if reasons:
            pairs = counted(len(outcome.judged.assignment.pool.pairs), "pair")
            first = next(iter(reasons.values()))
            lines.append(
                f"{outcome.dataset}: {len(reasons)} of {pairs} have no grade (e.g. {first})"
            )
    if lines:
        raise BenchError("\n".join(lines))
