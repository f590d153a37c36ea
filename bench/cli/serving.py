"""`serve`: a reranker behind a local HTTP server."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.arguments import PATH, RUN, count_option, options_of, own_options
from bench.core.errors import BenchError

if TYPE_CHECKING:
    from bench.contract.stage import Description
    from bench.records.run import Run
    from bench.serving.hosted import Hosted, Scale

LOCAL = ("127.0.0.1", "localhost")
SUITES = (".yaml", ".yml", ".json")
"""How the names of files end that describe a suite."""


@click.command()
@click.argument("reranker")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen at. There are no keys: keep it local.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8787,
    show_default=True,
    help="0 takes a free one.",
)
@click.option(
    "--pipeline",
    metavar="NAME",
    help="The row of a suite to serve, where the first argument is a suite that has several.",
)
@click.option(
    "--learned",
    type=RUN,
    metavar="RUN",
    help="A finished run of the suite: tuned weights, learned thresholds and models are those that "
    "it learned of all judged queries.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
@own_options("An option of the reranker, as in a suite.")
@click.option(
    "--alias",
    "aliases",
    multiple=True,
    metavar="NAME",
    help="A further model name that requests may use.",
)
@click.option(
    "--scores",
    "scale",
    type=click.Choice(["raw", "sigmoid", "probability"]),
    help="raw: the reranker's own, the default. sigmoid: squashed into 0 to 1. probability: those "
    "of a calibration, for clients that cut at a threshold.",
)
@click.option(
    "--calibration",
    type=PATH,
    metavar="FILE",
    help="Scores are the probabilities of this file of `calibrate`, in the same order.",
)
@click.option(
    "--allow-host",
    "host_names",
    multiple=True,
    metavar="NAME",
    help="A host name that the server is called by, next to localhost and numeric addresses, or a "
    "site whose pages may ask it; * for any.",
)
@count_option("--max-body", 16 * 2**20, "Bytes of a request.")
@count_option("--max-documents", 1000, "Documents of a request.")
@count_option("--max-characters", 2**20, "Characters of a query or a document.")
@count_option("--max-tokens", 2**19, "Tokens of a request's pairs, estimated.")
def serve(
    reranker: str,
    host: str,
    port: int,
    pipeline: str | None,
    learned: Run | None,
    device: str,
    options: tuple[str, ...],
    aliases: tuple[str, ...],
    scale: Scale | None,
    calibration: Path | None,
    host_names: tuple[str, ...],
    max_body: int,
    max_documents: int,
    max_characters: int,
    max_tokens: int,
) -> None:
    """Serve RERANKER (as a suite names it) at /rerank, in the shapes of Cohere, Jina, vLLM, TEI,
    Voyage and Mixedbread; or a pipeline of a suite at /search, too, over the suite's collection.

    \b
    rerank-bench serve minilm-l6
    rerank-bench serve my-suite.yaml --pipeline cascade
    rerank-bench serve winner.json
    rerank-bench serve my-suite.yaml --pipeline blend --learned results/my-suite/RUN
    rerank-bench serve cross-encoder -o model=./my-model -o max_length=256 --port 9000
    rerank-bench serve minilm-l6 --alias rerank-v3.5 --scores sigmoid
    rerank-bench serve minilm-l6 --calibration calibration.json --scores probability

    Requests are answered one after the other; what is beyond the limits is refused with status 413.
    The model of a listwise reranker can also be talked to, at /v1/chat/completions. Stops at Ctrl-C
    or SIGTERM.
    """
    from bench.machine.fingerprint import resolve_device
    from bench.serving import hosted
    from bench.serving.hosted_pipeline import described_suite, of_suite
    from bench.serving.limits import Limits
    from bench.serving.server import RerankServer

    limits = Limits(
        body_bytes=max_body, documents=max_documents, characters=max_characters, tokens=max_tokens
    )
    place = resolve_device(device)
    model: hosted.Hosted
    scale = _scale(scale, calibration)
    if pipeline is not None or Path(reranker).suffix in SUITES:
        if options:
            raise BenchError("--option is of a reranker: a suite holds the options of its stages")
        if calibration is not None:
            raise BenchError(
                "--calibration is of a reranker: in a suite, write its last stage as `calibrated: "
                "{of: ..., map: FILE}`"
            )
        model = of_suite(
            described_suite(reranker),
            pipeline,
            place,
            aliases=aliases,
            scale=scale,
            limits=limits,
            learned=learned,
        )
    else:
        if learned is not None:
            raise BenchError("--learned is of a suite's row: a reranker learns nothing in a run")
        model = hosted.build(
            reranker,
            options_of(options),
            place,
            aliases=aliases,
            scale=scale,
            limits=limits,
            calibration=calibration,
        )
    server = RerankServer(model, host, port, lambda line: click.echo(line, err=True), host_names)
    with _signals() as stopped:
        _load(model, stopped)
        server.start()
        click.echo(f"serving {model.names[0]} ({_loaded(model.describe())}) at {server.url}")
        for line in announced(model):
            click.echo(line)
        if host not in LOCAL:
            click.echo("note: whoever reaches this address may use it; there are no keys", err=True)
        # In turns, since no signal ends a wait on Windows.
        while not stopped.wait(0.5):
            pass
    click.echo("stopping")
    try:
        is_idle = server.stop()
    except KeyboardInterrupt:
        # a second signal: nobody waits for the requests in hand
        is_idle = False
    if not is_idle:
        click.echo("a request was still at work; it is left unanswered", err=True)
        _leave(0)


def announced(model: Hosted) -> Iterator[str]:
    """Yield what a server answers, by which names and at which paths, and why not at others."""
    from bench.serving.server import PAGES, RERANK_PATHS, posts_of

    if len(model.names) > 1:
        yield f"also called {', '.join(model.names[1:])}"
    yield f"POST {', '.join(posts_of(model))}; GET {', '.join(PAGES)}; stop with Ctrl-C"
    if model.why_not_documents:
        yield f"no POST {RERANK_PATHS[0]}: {model.why_not_documents}"


def _scale(scale: Scale | None, calibration: Path | None) -> Scale:
    """Return the scale of the scores: probabilities where there is a calibration, unless another
    one is asked for, which is refused.
    """
    if calibration is None:
        return scale or "raw"
    if scale not in (None, "probability"):
        raise BenchError(
            f"--scores {scale}: a calibration gives probabilities: write --scores probability, or "
            "leave --calibration out"
        )
    return "probability"


@contextmanager
def _signals() -> Iterator[threading.Event]:
    """Return an event that Ctrl-C or SIGTERM sets. A second signal, after the block, ends the
    process at once.
    """
    stopped = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: stopped.set()) for number in numbers]
    try:
        yield stopped
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _load(model: Hosted, stopped: threading.Event) -> None:
    """Load the model, unless a signal comes before that is done: nothing can end a library that
    reads or downloads weights but the end of the process, and nothing is lost by it.
    """
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(model.load)
        while not loading.done():
            if stopped.wait(0.02):
                click.echo("stopped before the model was loaded", err=True)
                _leave(130)
    loading.result()


def _leave(code: int) -> None:
    """End the process now, whatever its threads are at."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _loaded(description: Description) -> str:
    """Return what loaded, in a few words."""
    words = description.backend
    device = description.facts.get("device")
    if device is not None:
        words = f"{words} on {device}"
    if description.facts.get("random_weights"):
        words = f"{words}, random weights"
    return words
