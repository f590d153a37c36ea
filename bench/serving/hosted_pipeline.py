"""A pipeline of a suite, with its collection, behind the server: it searches as well as reranks."""

from __future__ import annotations

import json
from collections import ChainMap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bench import datasets, retrieval
from bench.contract.candidates import QueryCandidates
from bench.contract.meter import Meter
from bench.contract.request import CandidateList, Failure
from bench.core.errors import BenchError, RerankerError, SuiteError, nearest
from bench.core.json_file import read_json
from bench.core.redaction import redacted
from bench.datasets.base import Dataset
from bench.pipelines.handing import aligned, standing
from bench.pipelines.pipeline import Pipeline, Step
from bench.serving.hosted import Hosted, Scale, refuse_without_map
from bench.serving.learned import with_learned
from bench.serving.limits import Limits
from bench.serving.problem import Problem
from bench.serving.search import Hit, Search
from bench.suite import suite as suites
from bench.suite.planning import Group, Planned, plan
from bench.suite.suite import Suite

if TYPE_CHECKING:
    from bench.contract.request import Scores
    from bench.records.run import Run
    from bench.serving.shapes import Question

ASKED = "\0 asked"
"""The id of a query that is asked now. No query of a collection has it."""
SENT = "\0 sent "
"""The beginning of the ids of documents that a request brings along."""


@dataclass(frozen=True)
class _Row:
    """A row of a suite that can be served: its group and its place in it."""

    group: Group
    planned: Planned

    @property
    def name(self) -> str:
        return self.planned.trial.reranker

    @property
    def full_name(self) -> str:
        return f"{self.planned.trial.dataset} > {self.short_name}"

    @property
    def short_name(self) -> str:
        """Its name with its first stage."""
        return f"{self.planned.trial.first_stage} > {self.name}"


class HostedPipeline(Hosted):
    """Searches `depth` documents of the collection at a time. A query that is asked is none of the
    collection's: what was learned from judgments serves it as it serves any new query.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        dataset: Dataset,
        depth: int,
        names: Sequence[str],
        *,
        scale: Scale = "raw",
        limits: Limits | None = None,
    ) -> None:
        super().__init__(pipeline, names, scale=scale, limits=limits)
        self._asked: dict[str, str] = {}
        self._dataset = replace(dataset, queries=ChainMap(self._asked, dict(dataset.queries)))
        self._pipeline, self._depth = pipeline, depth
        pipeline.over(self._dataset)

    @property
    def searches(self) -> bool:
        return True

    @property
    def why_not_documents(self) -> str:
        steps = self._pipeline.steps
        if not any(step.reranker.reads_texts for step in steps):
            return "this pipeline searches, and no stage of it reads documents"
        for step in steps:
            if step.reranker.needs_collection:
                return (
                    f"'{step.name}' looks documents up in the collection, where documents of a "
                    "request are not"
                )
        if steps[0].reranker.reads_scores:
            return (
                f"'{steps[0].name}' reads the scores of the search, which documents of a request "
                "do not have"
            )
        return ""

    @property
    def stages(self) -> Sequence[Step]:
        """The stages after the search."""
        return self._pipeline.steps

    def load(self) -> None:
        """Raises what a stage's `load` raises, and RerankerError for one that learns from the lists
        of a run: a server has none.
        """
        super().load()
        for step in self._pipeline.steps:
            if step.reranker.is_untrained:
                raise RerankerError(
                    f"'{step.name}' learns from the lists of a run, which a server does not have: "
                    "run the suite and give the run by --learned, give its weights or thresholds "
                    "as numbers, or serve the winner.json of `tune`, which holds them; an ltr "
                    "serves right after the first stage, or from its file by load"
                )

    def info(self) -> dict[str, object]:
        """Return what is served: the collection and the stages in their order."""
        return {
            **super().info(),
            "dataset": redacted(dict(self._dataset.identity)),
            "documents": len(self._dataset.documents),
            "depth": self._depth,
            "stages": [self._pipeline.first_name, *(step.name for step in self._pipeline.steps)],
        }

    def search(
        self, search: Search, is_gone: Callable[[], bool] = lambda: False
    ) -> tuple[list[Hit], int]:
        """Return the documents that the pipeline gives, best first, and the tokens read. Raises
        Problem and ClientGone.
        """
        self._check_name(search.model)
        return self._in_turn(is_gone, self._found, search)

    def _found(self, search: Search) -> tuple[list[Hit], int]:
        import numpy as np

        self._asked[ASKED] = search.query
        # a pipeline looks for as many documents as the list that it gets has
        places = ("",) * self._depth
        ranking, tokens = self._run(
            self._pipeline.run, CandidateList(ASKED, search.query, places, places)
        )
        doc_ids = ranking.doc_ids[: search.best]
        scores = self._scaled(np.asarray(ranking.scores[: search.best], dtype=np.float64))
        texts: Sequence[str | None] = [None] * len(doc_ids)
        if search.echo:
            texts = self._dataset.texts(doc_ids)
        rows = zip(doc_ids, scores.tolist(), texts, strict=True)
        return [Hit(*row) for row in rows], tokens

    def _scores(self, question: Question) -> tuple[Scores, int]:
        """Return the score of each document that a request brings along, after all stages but the
        search. Those that a cut left out come below the others.
        """
        doc_ids = tuple(f"{SENT}{number}" for number in range(len(question.documents)))
        request = CandidateList(ASKED, question.query, doc_ids, question.documents)
        if self.why_not_documents:
            raise Problem(400, f"{self.why_not_documents}: POST /search")
        self._asked[ASKED] = question.query
        seen, tokens = self._run(self._pipeline.after_search, request, status=400)
        before = QueryCandidates(doc_ids, tuple(map(float, range(len(doc_ids), 0, -1))))
        after = QueryCandidates(tuple(seen.doc_ids), tuple(seen.scores))
        return aligned(request, standing(before, after)), tokens

    def _run(
        self,
        work: Callable[[Sequence[CandidateList], Meter], Sequence[CandidateList | Failure]],
        request: CandidateList,
        status: int = 500,
    ) -> tuple[CandidateList, int]:
        """Return what the pipeline makes of a request, and the tokens read; Problem with this
        status for what a stage cannot do.
        """
        meter = Meter()
        try:
            (outcome,) = work([request], meter)
        except BenchError as error:
            raise Problem(status, str(error)) from error
        finally:
            self._pipeline.pause()
        if isinstance(outcome, Failure):
            raise Problem(502, outcome.reason)
        return outcome, int(meter.usage.tokens)


def described_suite(source: str) -> Suite:
    """Return the suite of a file, or the shipped one of this name. A JSON file may hold it under
    the key `suite`, next to what was measured of it. Raises SuiteError.
    """
    path = suites.find(source)
    if path.suffix != ".json":
        return suites.load(path)
    try:
        data = read_json(path)
    except (OSError, ValueError) as error:
        raise SuiteError(f"{path}: cannot be read: {error}") from error
    if not isinstance(data, dict) or not isinstance(data.get("suite", data), dict):
        raise SuiteError(f"{path}: holds no suite: give an object with the key 'suite'")
    text = json.dumps(data.get("suite", data), ensure_ascii=False)
    return suites.parse(text, str(path), path.resolve().parent)


def of_suite(
    suite: Suite,
    name: str | None,
    device: str,
    *,
    aliases: Sequence[str] = (),
    scale: Scale = "raw",
    limits: Limits | None = None,
    learned: Run | None = None,
) -> HostedPipeline:
    """Return a row of a suite, not loaded yet: the one of this name, or the only one; with what a
    run has learned of it, where one is given by `learned`.

    Raises SuiteError where there is no such row or several, BenchError for one that cannot search.
    """
    row = _row(suite, name, device)
    trial, group = row.planned.trial, row.group
    if row.planned.status.status != "pending":
        raise SuiteError(f"{row.full_name}: {row.planned.status.reason}")
    dataset = datasets.load(group.dataset.name, group.dataset.options, suite.base_dir, suite.seed)
    if learned is not None:
        suite = with_learned(suite, group, row.planned, dataset, learned)
        row = _row(suite, None, device)
        trial, group = row.planned.trial, row.group
    pipeline = row.planned.pipeline
    if pipeline is None:
        part = group.first_stage
        first = retrieval.build(part.name, part.options, suite.base_dir, group.device)
        step = Step(trial.reranker, row.planned.reranker, None, trial.reranker)
        pipeline = Pipeline(trial.first_stage, first, [step], device=trial.host)
    if pipeline.first.is_given or any(step.reranker.is_given for step in pipeline.steps):
        raise SuiteError(
            f"{row.full_name}: one of its stages knows the collection's own queries alone, and "
            "cannot answer a new one; serve a row that searches"
        )
    refuse_without_map(row.full_name, pipeline, scale)
    return HostedPipeline(
        pipeline, dataset, trial.depth, [trial.reranker, *aliases], scale=scale, limits=limits
    )


def _row(suite: Suite, name: str | None, device: str) -> _Row:
    """Return the row of this name. Raises SuiteError."""
    rows: list[_Row] = []
    for group in plan(suite, device, lenient=True):
        for planned in group.planned:
            if planned.trial.kind == "reranker":
                rows.append(_Row(group, planned))
    full_names = [row.full_name for row in rows]
    if name is None and len(rows) > 1:
        raise SuiteError(
            f"the suite {suite.name} has {len(rows)} rows to serve: choose one with --pipeline: "
            f"{', '.join(full_names)}"
        )
    fitting = [row for row in rows if name in (None, row.name, row.short_name, row.full_name)]
    if not fitting:
        names = dict.fromkeys([*(row.name for row in rows), *(row.short_name for row in rows)])
        close = nearest(name or "", names)
        raise SuiteError(f"the suite {suite.name} has no row '{name}': {close}")
    if len(fitting) > 1:
        raise SuiteError(
            f"the suite {suite.name} has '{name}' {len(fitting)} times: choose one with "
            f"--pipeline: {', '.join(row.full_name for row in fitting)}"
        )
    return fitting[0]
