"""The commands of `rerank-bench` by name, each imported when it is used: help for all of them loads
none.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, MutableMapping
from typing import NamedTuple

import click


class Entry(NamedTuple):
    """A command as "module:attribute", and the first sentence of its help."""

    function: str
    sentence: str


TABLE: dict[str, Entry] = {
    "run": Entry(
        "bench.cli.running:run",
        "Run SUITE (a YAML file, or the name of a shipped suite) and write a run folder "
        "with its report.",
    ),
    "report": Entry(
        "bench.cli.looking:report",
        "Rebuild the report of RUN from its records alone, and print its table.",
    ),
    "compare": Entry(
        "bench.cli.comparing:compare",
        "Compare rerankers query by query: with a baseline in one RUN, or the same reranker "
        "in several.",
    ),
    "slices": Entry(
        "bench.cli.comparing:slices",
        "Compare the rerankers of RUN by classes of queries: by language, type, length, "
        "difficulty.",
    ),
    "budget": Entry(
        "bench.cli.tuning:budget",
        "The best quality of RUN that fits a latency budget: over rerankers, depths, number "
        "formats, runtimes and batch sizes.",
    ),
    "compose": Entry(
        "bench.cli.composing:compose",
        "Every cascade, cut, fusion and blend that the stored scores of RUN allow: quality "
        "as a real run would measure it, a forecast of latency, cost.",
    ),
    "calibrate": Entry(
        "bench.cli.meaning:calibrate",
        "What the scores of each row of RUN mean, or those of RERANKER (a reranker, "
        "`first-stage` or a trial): reliability, ECE, Brier, log loss, AUC, as they are and "
        "mapped to probabilities; or a threshold with a guarantee over queries.",
    ),
    "answerability": Entry(
        "bench.cli.meaning:answerability",
        "Whether the scores of RUN, or those of RERANKER, tell that nothing relevant is "
        "among the candidates: each query with and without its relevant documents.",
    ),
    "tune": Entry(
        "bench.cli.tuning:tune",
        "Find the best pipeline of SUITE inside a budget with few timed calls: score its "
        "rows once, compose, forecast, time the promising pipelines in rounds, confirm the "
        "best two on fresh queries.",
    ),
    "train": Entry(
        "bench.cli.training:train",
        "Train a reranker by RECIPE (a YAML file, docs/training.md), and compare it with "
        "its untuned base on test queries.",
    ),
    "noise": Entry(
        "bench.cli.measuring:noise_",
        "Measure the noise floor of this machine: one reranker against itself, as two "
        "rerankers of a run are measured.",
    ),
    "check": Entry(
        "bench.cli.comparing:check",
        "Check that the run NEW, or a suite with --sequential, is no worse than a baseline.",
    ),
    "parity": Entry(
        "bench.cli.comparing:parity",
        "Set the scores of two trials of RUN side by side (A and B: trial ids or "
        "rerankers), or those of each reranker in two RUNs.",
    ),
    "probe": Entry(
        "bench.cli.probing:probe",
        "Probe whether the order of SUITE's rerankers, or of RERANKER over the embedded "
        "collection, is stable: reversed input, other batches, split lists, blank and "
        "duplicate documents, prefixes, negation, injected orders and more "
        "(docs/probes.md).",
    ),
    "judge": Entry(
        "bench.cli.judging:judge",
        "Judge what RUN ranks first with a chat model: pool the top documents of all rows, "
        "ask for grades from 0 to 3, write TREC qrels with where they come from next to "
        "them.",
    ),
    "verify": Entry(
        "bench.cli.verifying:verify",
        "Recompute every number of RUN from its folder, and name what was changed: scores, "
        "grades, rankings, means, intervals, p values, depths, losses, timings, hashes, and "
        "what report.md and report.html print of them (docs/verify.md).",
    ),
    "baseline": Entry(
        "bench.cli.keeping:baseline",
        "Keep a run that others have to live up to: `rerank-bench check NEW --baseline NAME`.",
    ),
    "serve": Entry(
        "bench.cli.serving:serve",
        "Serve RERANKER (as a suite names it) at /rerank, in the shapes of Cohere, Jina, "
        "vLLM, TEI, Voyage and Mixedbread; or a pipeline of a suite at /search, too, over "
        "the suite's collection.",
    ),
    "plot": Entry(
        "bench.cli.exporting:plot",
        "Draw a picture of RUN: quality against latency or depth, latency distributions, a "
        "sweep's heat map, or wins and losses by query.",
    ),
    "export": Entry(
        "bench.cli.exporting:export",
        "Write the results of RUN for other tools: a LaTeX table, CSV, JSON or Parquet, "
        "MTEB-style JSON, a model-card snippet, TREC runs.",
    ),
    "leaderboard": Entry(
        "bench.cli.exporting:leaderboard",
        "Every run under FOLDER in one place: grouped by what makes numbers comparable, "
        "best first, the newest of each reranker.",
    ),
    "validate": Entry(
        "bench.cli.validating:validate",
        "Check SUITE without running it: every key, type and name; the data opened, counted "
        "and compared; what runs, is skipped or fails.",
    ),
    "schema": Entry(
        "bench.cli.running:schema",
        "Print the JSON Schema of suite files, for editors, or write it to PATH.",
    ),
    "list": Entry(
        "bench.cli.looking:list_",
        "List WHAT there is: rerankers with size, context, languages, licence, price, what "
        "they need and whether it is here; datasets, first-stages, scenarios, executors and "
        "measures that a suite may name; probes, sections of the report, shipped suites, and "
        "the guides (docs).",
    ),
    "show": Entry(
        "bench.cli.looking:show",
        "Show one reranker of the catalogue, a dataset's card and size, a suite as "
        "resolved, a run's table, or a guide: `show doc training` is docs/training.md.",
    ),
    "doctor": Entry(
        "bench.cli.looking:doctor",
        "Say what is installed here, which devices there are, whether the model hub answers "
        "and which API keys are set (never the keys).",
    ),
}
"""In the order in which a reader meets them."""


class Commands(MutableMapping[str, click.Command]):
    """The commands of the table, and those that are added to them. A command is imported when it is
    looked up.
    """

    def __init__(self) -> None:
        self._imported: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._imported:
            module, _, attribute = TABLE[name].function.partition(":")
            command: click.Command = getattr(importlib.import_module(module), attribute)
            self._imported[name] = command
        return self._imported[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._imported[name] = command

    def __delitem__(self, name: str) -> None:
        del self._imported[name]

    def __contains__(self, name: object) -> bool:
        return name in TABLE or name in self._imported

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*TABLE, *self._imported]))

    def __len__(self) -> int:
        return len({*TABLE, *self._imported})

    def sentence(self, name: str) -> str:
        """Return the first sentence of a command's help."""
        if name in TABLE:
            return TABLE[name].sentence
        return self[name].get_short_help_str(limit=1000)
