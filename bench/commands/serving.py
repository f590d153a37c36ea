"""`serve`: a reranker behind a local HTTP server."""

from __future__ import annotations

import signal
import threading
from typing import Any

import click

from bench.errors import BenchError, SuiteError

LOCAL = ("127.0.0.1", "localhost")


@click.command()
@click.argument("reranker")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at. There are no keys: keep it local.")
@click.option("--port", type=click.IntRange(0, 65535), default=8787, show_default=True, help="0 takes a free one.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
@click.option("--option", "-o", "options", multiple=True, metavar="KEY=VALUE", help="An option of the reranker, as in a suite.")
def serve(reranker: str, host: str, port: int, device: str, options: tuple[str, ...]) -> None:
    """Serve RERANKER (as a suite names it) at /rerank, in the shapes of Cohere, Jina, vLLM, TEI, Voyage and Mixedbread.

    \b
    rerank-bench serve minilm-l6
    rerank-bench serve cross-encoder -o model=./my-model -o max_length=256 --port 9000

    Scores are the reranker's own, raw. Requests are answered one after the other. The model of a listwise reranker can also be talked to,
    at /v1/chat/completions. Stops at Ctrl-C.
    """
    from bench.measure.machine import resolve_device
    from bench.serving import hosted
    from bench.serving.server import CHAT_PATHS, RERANK_PATHS, RerankServer

    found = hosted.build(reranker, _options(options), resolve_device(device))
    with RerankServer(found, host, port, on_crash=lambda line: click.echo(line, err=True)) as server:
        found.load()
        server.start()
        description = found.describe()
        random = ", random weights" if description.facts.get("random_weights") else ""
        click.echo(f"serving {found.names[0]} ({description.backend} on {description.facts.get('device', '-')}{random}) at {server.url}")
        posts = (*RERANK_PATHS, *CHAT_PATHS) if found.talks else RERANK_PATHS
        click.echo(f"POST {', '.join(posts)}; GET /info, /health; stop with Ctrl-C")
        if host not in LOCAL:
            click.echo("note: whoever reaches this address may use it; there are no keys", err=True)
        _wait_for_a_signal()
        click.echo("stopping")


def _wait_for_a_signal() -> None:
    """Until Ctrl-C or SIGTERM. A second one ends the process at once."""
    stopped = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: stopped.set()) for number in numbers]
    while not stopped.wait(0.5):  # in turns, since no signal ends a wait on Windows
        pass
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def _options(given: tuple[str, ...]) -> dict[str, Any]:
    """KEY=VALUE pairs, each value read as a suite would read it; a text that YAML takes for a mapping stays a text."""
    from bench.yaml_source import Source

    found: dict[str, Any] = {}
    for one in given:
        key, equals, text = one.partition("=")
        if not equals:
            raise BenchError(f"--option {one}: write KEY=VALUE")
        if key.strip() in found:
            raise BenchError(f"--option {key.strip()}: given twice; keep one of the two")
        try:
            value = Source(text, key).data
        except SuiteError:
            value = text
        found[key.strip()] = text if isinstance(value, dict) else value
    return found
