"""A run tells which stage lost each relevant document: in records, tables, words and pictures."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import bench
from bench.contract.request import CandidateList, Failure
from bench.records.losses import LossRecord, StageLosses
from bench.records.run import Run
from bench.records.schema import Record
from bench.reports import html, markdown, plots, show
from bench.reports.document import plain
from bench.reports.sections.losses import sentence
from bench.rerankers.base import BaseReranker, Description

pytestmark = pytest.mark.usefixtures("pixels")

HERE = "tests.integration.test_losses_of_a_run"
CUTOFF = 10


class Backwards(BaseReranker):
    """Puts the best candidates last, so that a cut after it takes them."""

    reads_texts = False

    def fingerprint(self) -> dict[str, Any]:
        return {}

    def describe(self) -> Description:
        return Description("backwards", {})

    def rerank(self, requests: Sequence[CandidateList]) -> list[Any]:
        return [np.arange(len(request.doc_ids), dtype=float) for request in requests]


class Refusing(Backwards):
    def rerank(self, requests: Sequence[CandidateList]) -> list[Any]:
        outcomes: list[Any] = super().rerank(requests)
        for number, request in enumerate(requests):
            if request.query_id.endswith("1"):
                outcomes[number] = Failure("busy")
        return outcomes


SUITE: dict[str, Any] = {
    "name": "losses",
    "datasets": ["embedded:everyday"],
    "rerankers": ["word-overlap", {f"{HERE}:Refusing": {"name": "refusing"}}],
    "pipelines": [
        {
            "name": "careful",
            "stages": [{"bm25": {"keep": 40}}, {"word-overlap": {"name": "words", "keep": 38}}],
        },
        {
            "name": "planted",
            "stages": [
                {"bm25": {"keep": 40}},
                {f"{HERE}:Backwards": {"name": "turned", "keep": 12}},
                {"word-overlap": {"name": "words"}},
            ],
        },
        {
            "name": "failing",
            "stages": [
                {"bm25": {"keep": 40}},
                {"word-overlap": {"name": "words", "keep": 20}},
                {f"{HERE}:Refusing": {"name": "refusing"}},
            ],
        },
    ],
    "measures": ["nDCG@10", "R@10"],
    "devices": ["cpu"],
    "depth": 40,
    "latency": None,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("losses")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RERANK_BENCH_CACHE", str(folder / "cache"))
        yield bench.run(SUITE, out=folder)


def record_of(run: Run, name: str) -> Record:
    return next(own for own in run.records.values() if own.trial.reranker == name)


def losses_of(run: Run, name: str) -> LossRecord:
    losses = record_of(run, name).losses
    assert losses is not None
    return losses


NAMES = ("first-stage", "oracle", "word-overlap", "refusing", "careful", "planted", "failing")


@pytest.mark.parametrize("name", NAMES)
def test_losses_are_those_of_the_ranking(run: Run, name: str) -> None:
    """Counted anew from the judgments and the ranking's file."""
    record = record_of(run, name)
    losses = losses_of(run, name)
    judged = run.judgments
    relevant = judged[judged["grade"] >= record.dataset["min_relevance"]]
    ranking = run.ranking(record.trial.id)
    found = retrieved = 0
    for query_id, doc_id in zip(relevant["query"], relevant["document"], strict=True):
        if query_id in ranking:
            found += doc_id in ranking[query_id].doc_ids[:CUTOFF]
    candidates = run.ranking(record_of(run, "first-stage").trial.id)
    for query_id, doc_id in zip(relevant["query"], relevant["document"], strict=True):
        retrieved += query_id in candidates and doc_id in candidates[query_id].doc_ids
    assert (losses.cutoff, losses.in_top) == (CUTOFF, found)
    assert losses.relevant - losses.stages[0].not_retrieved == retrieved
    assert losses.in_top + sum(stage.total for stage in losses.stages) == losses.relevant
    rows = run.losses[run.losses["trial"] == record.trial.id]
    assert len(rows) == losses.relevant - losses.in_top
    by_stage = rows.groupby(["stage", "loss"], observed=True).size().to_dict()
    for stage in losses.stages:
        for way in ("not-retrieved", "cut", "ranked-below", "failed"):
            count = getattr(stage, way.replace("-", "_"))
            assert by_stage.get((stage.stage, way), 0) == count


def test_a_reranker_alone_loses_by_its_order_and_by_queries_that_fail(run: Run) -> None:
    search, reranker = losses_of(run, "word-overlap").stages
    assert (search.stage, reranker.stage) == ("bm25", "word-overlap")
    assert (search.cut, search.ranked_below, reranker.cut, reranker.failed) == (0, 0, 0, 0)
    assert losses_of(run, "refusing").stages[1].failed > 0
    [alone] = losses_of(run, "first-stage").stages
    assert (alone.not_retrieved, alone.cut) == (search.not_retrieved, 0)


def test_a_failing_last_stage_is_blamed_for_what_it_was_handed(run: Run) -> None:
    losses = losses_of(run, "failing")
    assert [stage.failed > 0 for stage in losses.stages] == [False, False, True]


def test_a_planted_bad_cut_is_named_in_the_reports_words(run: Run) -> None:
    losses = losses_of(run, "planted")
    turned = losses.stages[1]
    assert turned.cut == max(
        max(stage.not_retrieved, stage.cut, stage.ranked_below) for stage in losses.stages
    )
    words = (
        f"planted (cpu)**: {losses.in_top:,} of {losses.relevant:,} relevant documents are in the "
        f"top 10; of the rest, **turned** cuts {turned.cut:,}"
    )
    assert words in markdown(run)
    shown = io.StringIO()
    show(run, Console(file=shown, width=200))
    assert words.replace("**", "") in " ".join(shown.getvalue().split())
    careful = losses_of(run, "careful")
    assert careful.stages[1].cut < turned.cut / 10
    stages = [StageLosses(stage="bm25"), StageLosses(stage="by score", ranked_below=1, cut=2)]
    row = next(row for row in run.rows if row.losses)
    one = replace(row, losses=LossRecord(cutoff=10, relevant=5, in_top=2, stages=stages))
    # whatever a stage is called
    text = "2 of 5 relevant documents are in the top 10; of the rest, by score cuts 2, by score "
    assert f"{text}ranks 1 below." in plain(sentence(one))


def test_the_lost_documents_of_the_highest_grades_are_listed(run: Run) -> None:
    trial = record_of(run, "planted").trial
    grades = {
        (query, document): grade
        for query, document, grade in zip(
            *(run.judgments[name] for name in ("query", "document", "grade")), strict=True
        )
    }
    rows = run.losses[run.losses["trial"] == trial.id].itertuples()
    lost = [(str(row.query), str(row.doc_id), str(row.stage), str(row.loss)) for row in rows]
    lost.sort(key=lambda own: -grades[own[0], own[1]])
    queries = dict(zip(run.queries["query"], run.queries["text"], strict=True))
    texts = run.document_texts({(trial.dataset, doc_id) for _, doc_id, _, _ in lost[:10]})
    pages = markdown(run), html(run)
    _, _, comment = pages[0].partition("planted (cpu): relevant documents lost, the highest graded")
    comment, _, _ = comment.partition("</details>")
    assert comment.count("\n| ") == 1 + 1 + 10
    for query_id, doc_id, stage, loss in lost[:10]:
        (line,) = [
            line
            for line in comment.splitlines()
            if f"| {doc_id} |" in line and queries[query_id] in line
        ]
        assert f"| {grades[query_id, doc_id]} | {stage} | {loss.replace('-', ' ')} |" in line
        assert texts[trial.dataset, doc_id][:40] in line
        assert doc_id in pages[1]
    assert "the highest graded first" in pages[1]
    assert "word-overlap (cpu): relevant documents lost" not in pages[0], "pipelines alone"


def test_without_texts_the_lost_documents_have_ids(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.folder, tmp_path / "bare")
    for name in ("queries", "documents"):
        shutil.rmtree(tmp_path / "bare" / name)
    bare = bench.load(tmp_path / "bare")
    _, _, comment = markdown(bare).partition("planted (cpu): relevant documents lost")
    comment, _, _ = comment.partition("</details>")
    assert comment.count("\n| ") == 1 + 1 + 10
    assert "begins with" not in comment
    own = bare.losses["query"].astype(str)
    assert any(f"| {query_id} |" in comment for query_id in own)


def test_recall_before_and_after_each_cut_is_in_the_record(run: Run) -> None:
    for name in ("careful", "planted"):
        stages = record_of(run, name).stages
        assert stages[0].recall_before is None
        for before, stage in pairwise(stages):
            assert stage.recall_before == pytest.approx(before.recall)
            assert stage.lost == pytest.approx((before.recall or 0.0) - (stage.recall or 0.0))


def test_a_page_has_a_picture_of_each_pipeline(run: Run) -> None:
    page = html(run)
    losses = losses_of(run, "planted")
    assert f"{losses.relevant} relevant documents of planted (cpu); bm25: " in page
    assert f"turned: {losses.stages[1].cut} cut" in page
    assert page.count('class="flow c0 band"') == 2 * (2 + 3 + 3), "for a desk and for a phone"


def test_a_picture_of_each_pipeline_is_drawn(run: Run, tmp_path: Path) -> None:
    paths = plots.write(run, "flow", tmp_path)
    assert len(paths) == 3
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_a_run_of_before_has_no_losses_and_a_report(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "older"
    shutil.copytree(run.folder, folder)
    shutil.rmtree(folder / "losses")
    for path in (folder / "records").iterdir():
        data = json.loads(path.read_text())
        data.pop("losses")
        for stage in data["stages"]:
            stage.pop("recall_before")
        path.write_text(json.dumps(data))
    older = Run(folder)
    assert older.losses.empty
    assert "relevant documents are in the top" not in markdown(older)
    assert not plots.write(older, "flow", tmp_path)
